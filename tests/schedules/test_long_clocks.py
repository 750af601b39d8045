# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Clocks of tokens: steps and lengths beyond what an int32 holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import optax_sched as o

TOKENS = 2e12
FLOATS = {
    "cosine": (o.cosine_decay(1.0, TOKENS), lambda n: (1 + np.cos(np.pi * n / TOKENS)) / 2),
    "warmup": (o.warmup(o.linear(1.0, 0.0, 1e12), 1e12), lambda n: n / 1e12),
    "join": (o.join([1.0, o.linear(1.0, 0.0, 1e12)], [1e11]), lambda n: 1 - (n - 1e11) / 1e12),
    "step": (o.step_decay(1.0, 1e11, 0.5), lambda n: 0.5 ** (n // 1e11)),
    "power law": (o.power_law_decay(1.0, 4.0, -0.51), lambda n: min(1, 4 * n**-0.51)),
}


@pytest.mark.parametrize("name", FLOATS)
def test_an_integer_step_beyond_int32_counts_where_a_length_is_a_float(name: str):
    schedule, formula = FLOATS[name]
    for n in (450_000_000_000, 750_000_000_000):
        want = formula(float(np.float32(n)))
        for step in (n, float(n), np.int64(n), np.array(n)):
            np.testing.assert_allclose(schedule(step), want, rtol=1e-6)
        np.testing.assert_allclose(schedule(np.array([n, n])), [want, want], rtol=1e-6)
    jitted = jax.jit(lambda s, t: s(t))
    np.testing.assert_allclose(jitted(schedule, 5e11), formula(5e11), rtol=1e-6)


@pytest.mark.parametrize("name", FLOATS)
def test_int64_steps_under_x64(name: str):
    jax.config.update("jax_enable_x64", True)
    try:
        schedule, formula = eval(repr(FLOATS[name][0]), dict(vars(o))), FLOATS[name][1]
        steps = jnp.array([123_456_789, 5 * 10**11])
        assert steps.dtype == jnp.int64
        want = [formula(123_456_789.0) if name != "join" else 1.0, formula(5e11)]
        np.testing.assert_allclose(schedule(steps), want, rtol=1e-12)
        np.testing.assert_allclose(jax.jit(schedule)(steps), want, rtol=1e-12)
    finally:
        jax.config.update("jax_enable_x64", False)


def test_unsigned_steps_beyond_int32():
    decay = o.linear(1.0, 0.0, 4e9)
    np.testing.assert_allclose(decay(np.uint32(3 * 10**9)), 0.25, rtol=1e-6)
    np.testing.assert_allclose(decay(jnp.uint32(3 * 10**9)), 0.25, rtol=1e-6)


def test_where_all_lengths_are_whole_a_step_stops_at_the_last():
    assert o.silver(1.0)(2**40) == o.silver(1.0)(2**31 - 1)
    assert o.linear(1.0, 0.0, 100)(2**40) == 0


def test_a_whole_length_beyond_int32_is_held_as_a_float():
    decay = o.linear(1.0, 0.0, 2 * 10**12)
    assert repr(decay) == "linear(init_value=1.0, end_value=0.0, transition_steps=2000000000000.0)"
    np.testing.assert_allclose(decay(10**12), 0.5, rtol=1e-6)
    assert decay(2 * 10**12) == 0 and decay(0) == 1


def test_counts_stay_below_the_limit():
    with pytest.raises(ValueError, match=r"num_cycles must be .* an integer is at most 2147483647"):
        o.cosine_restarts(1.0, 10, num_cycles=2**31)


def test_a_clock_of_tokens_is_drawn_to_its_end():
    decay = o.warmup(o.linear(1.0, 0.0, 1.5e12), 5e11)
    axes = Figure().subplots()
    o.plot([decay], 2 * 10**12, axes)
    steps, values = map(np.asarray, axes.get_lines()[0].get_data())
    assert steps[-1] == 2 * 10**12 and values[-1] == 0.0
    np.testing.assert_allclose(np.max(values), 1.0, atol=0.01)
    np.testing.assert_allclose(values, np.interp(steps, [0, 5e11, 2e12], [0, 1, 0]), atol=1e-6)
