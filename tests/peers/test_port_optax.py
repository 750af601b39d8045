"""`port` of optax's own schedules: every function that makes one, joined and nested ones too."""

import inspect
from typing import Any

import jax
import numpy as np
import optax
import pytest
from agreement import LENGTH, STEPS, Draw
from ported import Case, ports

import optax_sched as os
from optax_sched.porting import port

ours: Any = optax.schedules


def case(schedule: Any, phase: float = 0.0, late: Any = ()) -> Case:
    """Every step counts, the ones after the end too."""
    steps = STEPS.astype(np.int64)  # of int32 optax makes float32, whatever JAX's setting
    return Case(schedule, np.array(jax.vmap(schedule)(steps), np.float64), phase=phase, late=late)


def begin(draw: Draw) -> int:
    return draw.pick(-3, 0, 0, draw.steps(90))


@ports(settings=20)
def test_constant_schedule(draw: Draw) -> Case:
    rate = draw.pick(draw.rate(), -draw.rate(), 0.0)
    return Case(optax.constant_schedule(rate), np.full(LENGTH, rate))


@ports(settings=20)
def test_linear_schedule(draw: Draw) -> Case:
    """Up and down, from below 0 too, and of no length."""
    start, end = draw.pick(0.0, draw.rate(), -draw.rate()), draw.pick(0.0, draw.rate())
    return case(
        optax.linear_schedule(start, end, draw.pick(0, draw.steps(), draw.steps()), begin(draw))
    )


@ports(settings=30)
def test_polynomial_schedule(draw: Draw) -> Case:
    start, end, power = draw.rate(), draw.pick(0.0, draw.rate()), draw.pick(0, 1, draw.number(0.5, 3.0))
    return case(optax.polynomial_schedule(start, end, power, draw.steps(), begin(draw)))


@ports(settings=30)
def test_exponential_decay(draw: Draw) -> Case:
    """With an end, which may lie above the start, with stairs, and growing to an end."""
    rate, steps = draw.rate(), draw.steps()
    factor = draw.pick(0, 1.0, draw.factor(LENGTH / steps), draw.factor(LENGTH / steps))
    stairs, end = draw.pick(True, False), draw.pick(None, 0.5 * rate, 2.0 * rate)
    if draw.pick(True, False, False):
        factor, stairs, end = draw.number(1.01, 4.0), False, draw.pick(0.5, 3.0) * rate
    start = begin(draw)
    late = range(max(start, 0) + steps, LENGTH, steps) if stairs else ()
    return case(optax.exponential_decay(rate, steps, factor, start, stairs, end), late=late)


@ports(settings=30)
def test_cosine_decay_schedule(draw: Draw) -> Case:
    power = draw.pick(1.0, 1.0, draw.number(0.5, 3.0))
    alpha = draw.pick(0.0, draw.number(1e-3, 1.0), 2.0 if power == 1 else 0.5)
    return case(optax.cosine_decay_schedule(draw.rate(), draw.steps(), alpha, power), phase=1.0)


@ports(settings=30)
def test_piecewise_constant_schedule(draw: Draw) -> Case:
    """Boundaries in any order, at 0 and before it; factors above 1 and 0."""
    starts = [*draw.pick([], [0], [-5, 0]), *draw.boundaries(draw.pick(0, 1, 4))]
    scales = {start: draw.pick(0.5, draw.number(0.1, 0.9)) for start in reversed(starts)}
    if draw.pick(True, False) and starts:
        scales[starts[-1]] = draw.pick(0.0, 1.0, 3.0)
    return case(optax.piecewise_constant_schedule(draw.rate(), draw.pick(scales, scales or None)))


@pytest.mark.slow
@ports(settings=40)
def test_piecewise_interpolate_schedule(draw: Draw) -> Case:
    zero = [0] if optax.__version__ > "0.2.5" else []  # there it is NaN
    starts = [*draw.pick([], zero), *draw.boundaries(draw.pick(0, 1, 4))]
    scales = {start: draw.pick(0.0, 1.0, draw.number(0.1, 3.0)) for start in starts}
    kind = draw.pick("linear", "cosine")
    return case(optax.piecewise_interpolate_schedule(kind, draw.rate(), scales), phase=1.0)


@ports(settings=20)
def test_onecycle_schedules(draw: Draw) -> Case:
    steps, start = draw.steps(least=20), draw.number(0.1, 0.5)
    more = {"div_factor": draw.number(1.5, 30.0), "final_div_factor": draw.number(1.0, 1e4)}
    made = draw.pick(
        ours.cosine_onecycle_schedule(steps, draw.rate(), start, **more),
        ours.linear_onecycle_schedule(steps, draw.rate(), start, 0.85, **more),
    )
    return case(made, phase=1.0)


@ports(settings=20)
def test_warmup_constant_schedule(draw: Draw) -> Case:
    return case(ours.warmup_constant_schedule(draw.floor(), draw.rate(), draw.steps_or_zero(90)))


@pytest.mark.slow
@ports(settings=30)
def test_warmup_cosine_decay_schedule(draw: Draw) -> Case:
    """The start may lie above the peak, the end too."""
    peak, warm = draw.rate(), draw.steps_or_zero(90)
    power = draw.pick(1.0, 1.0, draw.number(0.5, 3.0))
    end = draw.pick(0.0, 0.1 * peak, 2 * peak if power == 1 else peak)
    low, total = draw.pick(0.0, 2 * peak, 0.1 * peak), warm + draw.steps(400)
    return case(ours.warmup_cosine_decay_schedule(low, peak, warm, total, end, power), phase=2.0)


@ports(settings=20)
def test_warmup_exponential_decay_schedule(draw: Draw) -> Case:
    peak, warm, steps = draw.rate(), draw.steps_or_zero(90), draw.steps(200)
    stairs, end = draw.pick(True, False), draw.pick(None, 0.3 * peak)
    start = begin(draw)
    settings = (0.0, peak, warm, steps, draw.factor(LENGTH / steps), start, stairs, end)
    late = range(warm + max(start, 0) + steps, LENGTH, steps) if stairs else ()
    return case(ours.warmup_exponential_decay_schedule(*settings), late=late)


@pytest.mark.slow
@ports(settings=15)
def test_sgdr_schedule(draw: Draw) -> Case:
    cycles = []
    for _ in range(draw.pick(1, 3)):
        warm = draw.steps_or_zero(30)
        cycles.append({"init_value": 0.0, "peak_value": draw.rate(), "warmup_steps": warm})
        cycles[-1]["decay_steps"] = warm + draw.steps(200)
    return case(ours.sgdr_schedule(cycles), phase=1.0)


@pytest.mark.slow
@ports(settings=20)
def test_join_schedules(draw: Draw) -> Case:
    """Nested, out of order, with a boundary too many, at 0 and before it."""
    line, wave = optax.linear_schedule(0.0, 0.1, 50), optax.cosine_decay_schedule(0.1, 90)
    inner = optax.join_schedules([line, wave], [draw.steps(300)])
    flat = optax.constant_schedule(0.05)
    starts = draw.pick([100, 300], [300, 100], [0, 200], [-20, 200], [50, 50], [100, 300, 400])
    return case(optax.join_schedules([inner, wave, draw.pick(flat, inner)], starts), phase=1.0)


def test_every_function_of_optax_that_makes_a_schedule_is_tested():
    """A new optax with one more fails here: `port` is to take it."""
    functions = {it for it in vars(ours) if it.islower() and inspect.isfunction(getattr(ours, it))}
    functions -= {"inject_hyperparams", "inject_stateful_hyperparams"}
    tests = {it.removeprefix("test_") for it in globals() if it.startswith("test_")}
    cycles = {"cosine_onecycle_schedule", "linear_onecycle_schedule"}
    assert functions - tests == cycles and "onecycle_schedules" in tests


@pytest.mark.parametrize(
    ("made", "source"),
    [
        (ours.constant_schedule(0.1), "constant(0.1)"),
        (ours.linear_schedule(0.1, 0.0, 90, 10), "delay(linear(0.1, 0.0, 90), 10)"),
        (ours.polynomial_schedule(0.0, 0.1, 2, 90), "warmup(0.1, 90, 0.0, k_shape(2))"),
        (ours.exponential_decay(0.1, 90, 0.5, staircase=True), "step_decay(0.1, 90, 0.5)"),
        (ours.cosine_decay_schedule(0.1, 90, 0.1), "cosine_decay(0.1, 90, 0.01)"),
        (
            ours.piecewise_constant_schedule(0.1, {9: 0.5, 20: 0.5}),
            "multistep_decay(0.1, [9, 20], 0.5)",
        ),
        (ours.piecewise_constant_schedule(0.1, {9: 2.0}), "piecewise_constant([0.1, 0.2], [9])"),
        (
            ours.piecewise_interpolate_schedule("cosine", 0.1, {9: 0.5, 20: 0.0}),
            "piecewise_interpolate([0.1, 0.05, 0.0], [9, 20], 'cosine')",
        ),
        (ours.cosine_onecycle_schedule(100, 0.1), "one_cycle(0.1, 100)"),
        (
            ours.warmup_cosine_decay_schedule(0.0, 0.1, 10, 100, 0.01),
            "warmup_cosine_decay(0.1, 10, 100, 0.0, 0.01)",
        ),
        (ours.warmup_cosine_decay_schedule(0.0, 0.1, 0, 100), "cosine_decay(0.1, 100)"),
        (
            ours.join_schedules(
                [ours.linear_schedule(0.0, 0.1, 10), ours.linear_schedule(0.1, 0, 9)], [10]
            ),
            "warmup_linear_decay(0.1, 10, 19)",
        ),
        (
            ours.warmup_exponential_decay_schedule(0.0, 0.1, 10, 90, 0.5, end_value=0.01),
            "warmup(exponential_decay(0.1, 90, 0.5, 0.01), 10)",
        ),
    ],
)
def test_the_source_is_as_one_would_write_it(made, source):
    assert repr(port(made)) == repr(os.from_source(source))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda step: 0.1, "port: scheduler must be one object of optax's, "),
        (
            ours.exponential_decay(0.1, 90, 1.5),
            "port: exponential_decay.decay_rate must be at most 1 where there are stairs or no end",
        ),
        (
            ours.cosine_decay_schedule(0.1, 90, 2.0, 2.0),
            "port: cosine_decay_schedule.alpha must be at most 1 where the exponent is not 1, got 2.0",
        ),
        (ours.cosine_decay_schedule(-0.1, 90), "port: cosine_decay_schedule is beyond "),
        (
            ours.join_schedules([lambda step: 0.1, ours.constant_schedule(0.1)], [9]),
            "port: schedules must be optax's own or ours, got <function",
        ),
        (
            ours.WrappedSchedule(ours.constant_schedule(0.1)),
            "port: scheduler must be one object of opt",
        ),
    ],
)
def test_what_has_no_equal_is_refused_by_name(made, says):
    with pytest.raises((TypeError, ValueError)) as refused:
        port(made)
    assert str(refused.value).startswith(says) and "\n" not in str(refused.value)


def test_ours_within_a_join_of_optax():
    made = ours.join_schedules([os.linear(0.0, 0.1, 10), ours.cosine_decay_schedule(0.1, 90)], [10])
    assert repr(port(made)) == repr(os.warmup_cosine_decay(0.1, 10, 100))
