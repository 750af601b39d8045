# pyright: reportAttributeAccessIssue=false
"""`MultiPowerLaw` and `AnnealingLaw`: their numbers, as pytrees, and what they refuse."""

import copy
import inspect
import itertools
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import one_in
from tables.loss_law_oracles import annealing, multi_power

from optax_sched import (
    constant,
    cosine_decay,
    cosine_restarts,
    join,
    linear,
    stack,
    step_decay,
    warmup,
    warmup_cosine_decay,
    wsd,
)
from optax_sched.planning import AnnealingLaw, MultiPowerLaw

NAN, INF = float("nan"), float("inf")
MULTI = (2.65, 0.6, 0.45, 440.0, 2.1, 0.6, 0.66)
ANNEALING = (2.6, 0.5, 0.5, 0.9, 0.97)
LAWS = [(MultiPowerLaw(*MULTI), multi_power, MULTI), (AnnealingLaw(*ANNEALING), annealing, ANNEALING)]
each_law = pytest.mark.parametrize(("law", "oracle", "parameters"), LAWS, ids=["multi", "annealing"])
one_law = pytest.mark.parametrize(
    ("law", "oracle", "parameters"),
    [
        pytest.param(*LAWS[0], id="multi"),
        pytest.param(*LAWS[1], id="annealing", marks=pytest.mark.wide),
    ],
)

SHORT = 60
SCHEDULES = {
    "constant": constant(3e-4),
    "warmup": warmup(3e-4, 12),
    "cosine": warmup_cosine_decay(3e-4, 12, SHORT),
    "wsd": wsd(3e-4, 12, 20, SHORT, shape="linear"),
    "stairs": step_decay(3e-4, 15, 0.3),
    "restarts from 0": cosine_restarts(3e-4, 20),
    "0 at first, in between and at the end": join([0.0, 3e-4, 0.0, 1e-4, 0.0], [3, 20, 30, 50]),
    "a function": lambda step: 3e-4 / (1.0 + jnp.float32(step)),
    "a number": 3e-4,
}
SOME = ("cosine", "0 at first, in between and at the end")


def rates_of(schedule: Any, count: int) -> list[float]:
    if isinstance(schedule, float):
        return [schedule] * count
    return [float(rate) for rate in jax.vmap(schedule)(jnp.arange(count))]


@each_law
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in SOME else pytest.mark.wide) for n in SCHEDULES]
)
def test_the_loss_is_that_of_the_double_loop(law, oracle, parameters, name):
    schedule = SCHEDULES[name]
    rates = rates_of(schedule, SHORT)
    want = [oracle(parameters, rates, step) for step in range(SHORT)]
    got = law(schedule, np.arange(SHORT))
    assert got.shape == (SHORT,) and got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_allclose(law(rates, range(SHORT)), want, rtol=1e-6)
    # Under a trace it is another way to the same numbers: every step is a piece.
    np.testing.assert_allclose(traced_losses(law, jnp.array(rates)), want, rtol=1e-6)
    np.testing.assert_allclose(traced_last_loss(law, jnp.array(rates)), want[-1], rtol=1e-6)


@jax.jit
def traced_losses(law, rates):
    return law(rates, np.arange(SHORT))


@jax.jit
def traced_last_loss(law, rates):
    return law(rates, SHORT - 1)


def test_the_loss_has_the_shape_of_the_steps():
    law, rates = LAWS[0][0], [1e-4, 3e-4, 2e-4]
    one = [multi_power(MULTI, rates, step) for step in range(3)]
    np.testing.assert_allclose(law(np.array(rates), [[2], [1]]), [[one[2]], [one[1]]], rtol=1e-6)
    assert law(rates, 1).shape == () and law(rates, []).shape == (0,)


@pytest.mark.slow
def test_before_any_rate_is_spent_the_loss_is_inf_and_its_gradient_0():
    for law, _, _ in LAWS:
        rates = [0.0, 0.0, 1e-4]
        np.testing.assert_array_equal(np.isinf(law(rates, [0, 1, 2])), [True, True, False])
        slope = jax.grad(lambda rates, law=law: jnp.minimum(law(rates, 1), 9.0))(jnp.array(rates))
        np.testing.assert_array_equal(slope, 0.0)


def multi_power_by_sums(parameters, rates, step):
    """The formula in NumPy's float64, for long runs."""
    L0, A, alpha, B, C, beta, gamma = parameters
    used = np.asarray(rates, np.float64)[: step + 1]
    since = np.cumsum(used[::-1])[::-1]
    x = C * used[1:] ** -gamma * since[1:]
    return L0 + A * since[0] ** -alpha + B * np.sum(np.diff(used) * -np.expm1(-beta * np.log1p(x)))


def annealing_by_steps(parameters, rates, step):
    L0, A, alpha, C, decay = parameters
    memory = area = 0.0
    for before, rate in itertools.pairwise(rates[: step + 1]):
        memory = decay * memory + before - rate
        area += memory
    return L0 + A * np.sum(rates[: step + 1]) ** -alpha - C * area


@pytest.mark.parametrize("traced", one_in(2, [False, True]))
def test_in_float32_the_error_is_at_most_3e_6_at_100_000_steps(traced):
    count = 100_000
    schedule = warmup_cosine_decay(3e-4, 2000, count, end_value=3e-6)
    rates = np.asarray(schedule(np.arange(count)), np.float64)
    steps = np.array([1, 2000, 2001, 70_000, 99_998, 99_999])
    # As float32 holds it: 1 - decay is what counts, and rounds far more than the law does.
    memory = AnnealingLaw(2.6, 0.5, 0.5, 0.9, float(np.float32(0.999)))
    for law, oracle in ((LAWS[0][0], multi_power_by_sums), (memory, annealing_by_steps)):
        want = [oracle(jax.tree.leaves(law), rates, step) for step in steps]
        used = jax.jit(lambda s, law=law: law(s, steps))(schedule) if traced else law(schedule, steps)
        np.testing.assert_allclose(used, want, rtol=1e-6)


def test_a_constant_rate_is_one_piece_however_long():
    law = LAWS[0][0]
    count = 1_000_000
    rates = np.full(count, 3e-4, np.float32)
    rates[:3] = [0.0, 1e-4, 2e-4]
    want = multi_power(MULTI, [*map(float, rates[:4])], 3)
    np.testing.assert_allclose(law(rates, 3), want, rtol=1e-6)
    flat = 3e-4 * (count - 2)
    gained = sum(
        (a - b) * (1 - (1 + 2.1 * b**-0.66 * (flat + s)) ** -0.6)
        for a, b, s in [(0.0, 1e-4, 0.0), (1e-4, 2e-4, -1e-4), (2e-4, 3e-4, -3e-4)]
    )
    want = 2.65 + 0.6 * flat**-0.45 - 440.0 * gained
    np.testing.assert_allclose(law(rates, count - 1), want, rtol=1e-5)


def test_a_million_traced_steps_need_no_square_of_memory():
    law, count = LAWS[0][0], 1_000_000
    compiled = jax.jit(lambda s: law(s, [10, count - 1])).lower(linear(3e-4, 0.0, count)).compile()
    used = compiled.memory_analysis()
    assert used is None or used.temp_size_in_bytes < 200e6


@pytest.mark.slow
@one_law
def test_gradients_are_those_of_the_double_loop(law, oracle, parameters):
    rates = np.asarray(rates_of(SCHEDULES["cosine"], 30))
    rates[0] = 1e-5  # away from 0, where the law has no derivative
    step = 29

    def by(values, place, change):
        moved = np.array(values, np.float64)
        moved[place] += change
        return moved

    by_law = jax.grad(lambda law: law(rates, step))(law)
    assert isinstance(by_law, type(law))
    for place, (value, slope) in enumerate(zip(parameters, jax.tree.leaves(by_law), strict=True)):
        change = 1e-5 * value
        high, low = (oracle(by(parameters, place, c), rates, step) for c in (change, -change))
        np.testing.assert_allclose(slope, (high - low) / (2 * change), rtol=2e-4, atol=1e-7)
    by_rates = jax.grad(lambda rates: law(rates, step))(jnp.asarray(rates, jnp.float32))
    for place in (0, 5, 12, 13, 28, 29):
        high, low = (oracle(parameters, by(rates, place, c), step) for c in (1e-8, -1e-8))
        np.testing.assert_allclose(by_rates[place], (high - low) / 2e-8, rtol=2e-3)


@pytest.mark.slow
@one_law
def test_laws_and_schedules_are_mapped_over(law, oracle, parameters):
    del oracle, parameters
    other = law.replace(L0=1.0, A=0.9)
    laws = jax.tree.map(lambda *leaves: jnp.array(leaves), law, other)
    schedules = [cosine_decay(3e-4, 20), cosine_decay(1e-4, 30)]
    steps = np.array([3, 19])
    got = jax.vmap(lambda law, s: law(s, steps))(laws, stack(schedules))
    want = [one(s, steps) for one, s in zip((law, other), schedules, strict=True)]
    np.testing.assert_allclose(got, want, rtol=1e-6)
    slope = jax.vmap(jax.grad(lambda peak: law(cosine_decay(peak, 20), 19)))(jnp.array([1e-4, 3e-4]))
    assert slope.shape == (2,) and np.all(np.isfinite(slope)) and np.all(slope != 0)


def test_other_values_and_steps_are_no_new_program():
    law = LAWS[0][0]
    run = jax.jit(lambda law, s: law(s, np.arange(5, 20)))
    run(law, cosine_decay(3e-4, 20))
    run(law.replace(gamma=0.7), cosine_decay(1e-4, 25))
    assert run._cache_size() == 1


def test_a_law_is_its_source_and_is_copied_and_pickled():
    for builder, (law, _, _) in zip((MultiPowerLaw, AnnealingLaw), LAWS, strict=True):
        assert repr(eval(repr(law))) == repr(law)
        for other in (copy.deepcopy(law), pickle.loads(pickle.dumps(law))):
            assert repr(other) == repr(law)
        assert type(law).__module__ == "optax_sched.planning"
        assert len(jax.tree.leaves(law)) == len(inspect.signature(builder).parameters)
        assert repr(law.replace(L0=np.float64(1.5))) == repr(law.replace(L0=1.5))
        with pytest.raises(AttributeError, match="immutable"):
            law.L0 = 1.0


def test_under_x64_it_is_float64(monkeypatch):
    del monkeypatch
    jax.config.update("jax_enable_x64", True)
    try:
        for law, oracle, parameters in LAWS:
            rates = np.asarray(wsd(3e-4, 5, 10, 40)(np.arange(40)))
            assert rates.dtype == np.float64
            got = law(rates, 39)
            assert got.dtype == jnp.float64
            np.testing.assert_allclose(got, oracle(parameters, rates.tolist(), 39), rtol=1e-12)
    finally:
        jax.config.update("jax_enable_x64", False)


BAD = [NAN, INF, -1.0, "1", None, True, 1j, [1.0]]
POSITIVE = ["alpha", "C", "beta", "gamma"]


@pytest.mark.parametrize("kind", [MultiPowerLaw, AnnealingLaw])
def test_each_parameter_refuses_what_it_may_not_be(kind):
    good = {MultiPowerLaw: MULTI, AnnealingLaw: ANNEALING}[kind]
    names = list(inspect.signature(kind).parameters)
    for place, name in enumerate(names):
        positive = name in POSITIVE and not (kind is AnnealingLaw and name == "C")
        rule = "a positive finite number" if positive else "a finite number, 0 or more"
        if name == "decay":
            rule = r"a number in \[0, 1\)"
        for bad in [*BAD, *([0.0] if positive else []), *([1.0] if name == "decay" else [])]:
            values = [*good[:place], bad, *good[place + 1 :]]
            with pytest.raises(
                (TypeError, ValueError), match=f"^{kind.__name__}: {name} must be {rule}, got "
            ):
                kind(*values)


RATES = "a schedule of finite rates, 0 or more, up to step ., got "
NO_RATES = "a schedule, a function of the step, a finite number, or a sequence of the rates used, got "
STEPS = "whole numbers, 0 or more, that are not traced, got "


@each_law
@pytest.mark.parametrize(
    ("schedule", "steps", "words"),
    [
        (constant(-0.1), 3, f"schedule must be {RATES}-0.1.* at step 0"),
        ([0.1, NAN], 1, f"schedule must be {RATES}nan at step 1"),
        ([0.1, 0.2, INF], [0], f"schedule must be {RATES}inf at step 2"),
        (np.ones((2, 3)), 1, f"schedule must be {NO_RATES}an array of shape"),
        ([], 0, f"schedule must be {NO_RATES}"),
        ([[1.0], [1.0, 2.0]], 0, f"schedule must be {NO_RATES}"),
        ([1j], 0, f"schedule must be {NO_RATES}"),
        ("cosine", 0, "schedule must be a schedule, a function of the step, a finite number, or "),
        (None, 0, "schedule must be a schedule, a function of the step, a finite number, or "),
        (np.ones(3), [0, 3], "schedule must be at least 4 rates, one an update, got "),
        (np.ones(3), -1, f"steps must be {STEPS}-1"),
        (np.ones(3), 0.5, f"steps must be {STEPS}0.5"),
        (np.ones(3), [0, NAN], f"steps must be {STEPS}nan"),
        (np.ones(3), "0", f"steps must be {STEPS}'0'"),
        (np.ones(3), True, f"steps must be {STEPS}True"),
        (np.ones(3), None, f"steps must be {STEPS}None"),
        (np.ones(3), [[0], [0, 1]], f"steps must be {STEPS}"),
    ],
)
def test_what_a_law_refuses(law, oracle, parameters, schedule, steps, words):
    del oracle, parameters
    with pytest.raises(
        (TypeError, ValueError), match=f"^{repr(law).partition('(')[0]}: {words}"
    ) as caught:
        law(schedule, steps)
    assert "\n" not in str(caught.value)


def test_traced_steps_and_a_batch_unmapped_are_refused():
    law = LAWS[0][0]
    with pytest.raises(
        TypeError, match=r"steps must be .* got a traced int32\[\]: make them with NumPy"
    ):
        jax.jit(lambda step: law([0.1, 0.1], step))(0)
    with pytest.raises(ValueError, match=r"one schedule, not a batch \(map over it"):
        law(stack([linear(0.1, 0.0, 5), linear(0.2, 0.0, 5)]), 3)
