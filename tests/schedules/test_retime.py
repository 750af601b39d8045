"""A schedule on another clock: whole numbers are met in time, and nothing else is moved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import one_in

import optax_sched as os
from optax_sched import linear, retime, step_decay


@pytest.mark.parametrize("length", [3, 7, 10, 49, 1000, 12345])
@pytest.mark.parametrize("jitted", one_in(2, [False, True]))
def test_staircases_drop_in_time_whatever_the_clock_rounds_to(length, jitted):
    for ticks in (3.0, 7.0, 11.0):
        schedule = retime(os.table(np.arange(12.0)), linear(0.0, ticks, length))
        steps = np.arange(length + 1)
        got = (jax.jit(schedule) if jitted else schedule)(steps)
        np.testing.assert_array_equal(got, np.floor(steps * int(ticks) / length + 1e-9))


def test_a_whole_number_counts_from_4_ulp_on_and_not_before():
    clock = 1000.0 + np.arange(-8, 9, dtype=np.float32) * np.spacing(np.float32(1000.0))
    seen = retime(lambda t: t, os.table(clock))(np.arange(17))
    near = np.abs(np.arange(-8, 9)) <= 4
    np.testing.assert_array_equal(np.asarray(seen)[near], 1000.0)
    np.testing.assert_array_equal(np.asarray(seen)[~near], clock[~near])


def test_the_gradient_passes_unchanged():
    def value(factor, step):
        return retime(lambda t: t * t, lambda step: factor * step)(step)

    for step in (0.0, 1.0, 3.0, 2.5):  # whole clocks too
        assert float(jax.grad(value)(2.0, step)) == pytest.approx(4 * step**2)
        assert float(jax.grad(value, 1)(2.0, step)) == pytest.approx(8 * step)


def test_below_0_it_counts_as_0_for_plain_functions_too():
    schedule = retime(lambda t: 1.0 + t, linear(-3.0, 3.0, 6))
    np.testing.assert_allclose(schedule(np.arange(7)), [1, 1, 1, 1, 2, 3, 4])


@pytest.mark.parametrize("step", [0, 1, 5, 9, 10, 11, 1000])
def test_what_has_a_name_is_a_special_case(step):
    rate = os.cosine_decay(0.1, 40)
    pairs = [
        (os.delay(rate, 10), lambda t: jnp.maximum(t - 10, 0)),
        (os.shift(rate, 10), lambda t: t + 10),
        (os.stretch(rate, 2.0), lambda t: t / 2),
        (os.every(rate, 3), lambda t: t // 3),
        (os.join([rate, float(rate(10))], [10]), linear(0.0, 10.0, 10)),  # a step that stops
    ]
    for named, clock in pairs:
        assert float(retime(rate, clock)(step)) == pytest.approx(float(named(step)), rel=1e-6)


def test_lengths_on_the_two_clocks_are_not_compared_but_the_clocks_own_are():
    epochs = os.cosine_decay(0.1, 0.5)
    os.warmup(retime(epochs, linear(0.0, 1.0, 1000)), 100)
    with pytest.raises(ValueError, match=r"^warmup: schedule\.clock\.transition_steps must be in"):
        os.warmup(retime(epochs, linear(0.0, 1.0, 0.5)), 100)


def test_a_clock_is_swept_like_any_hyperparameter():
    clocks = os.stack([linear(0.0, 10.0, 10), linear(0.0, 20.0, 10)])
    got = jax.vmap(lambda clock: retime(linear(1.0, 0.0, 10), clock)(5))(clocks)
    np.testing.assert_allclose(got, [0.5, 0.0], atol=1e-6)
    assert float(retime(step_decay(1.0, 5, 0.5), 7)(0)) == 0.5  # a number: a clock that stands
