"""Every schedule of optax 0.2.8, which is always installed."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from agreement import (
    LENGTH,
    STEPS,
    Draw,
    Lane,
    Pair,
    agrees,
    ended,
    lane,
    report,
    scales,
    within,
)

import optax_sched as os


def at_all_steps(schedule: Callable[[Any], Any]) -> np.ndarray:
    """optax's values. Not of an array of steps: five of its schedules are wrong there.

    Of int64 steps: even in double precision a fraction of its int32 ones is a float32.
    """
    return np.asarray(jax.vmap(schedule)(STEPS.astype(np.int64)), np.float64)


def at_all_steps_with_exact_division(schedule: Callable[[Any], Any]) -> np.ndarray:
    """optax's values where NumPy divides the steps.

    XLA multiplies by a rounded reciprocal, and then some stairs of optax come a step late.
    """
    return np.asarray(schedule(STEPS.astype(np.int64)), np.float64)


@agrees(settings=40)
def test_constant_schedule(draw: Draw) -> Pair:
    value = draw.rate() * draw.pick(1, -1, 0)
    return Pair(lambda: os.constant(value), at_all_steps(optax.constant_schedule(value)))


@agrees(settings=80)
def test_linear_schedule(draw: Draw) -> Pair:
    """optax's transition_begin is a delay. (It takes a length of 0 for init_value for ever.)"""
    sign = draw.pick(1, -1)
    init, end, steps = sign * draw.floor(1.0), sign * draw.floor(1.0), draw.steps()
    begin = draw.steps_or_zero(90)
    theirs = at_all_steps(optax.linear_schedule(init, end, steps, begin))
    return Pair(
        lambda: os.delay(os.linear(init, end, steps), begin),
        ended(theirs, begin + steps, end, max(abs(init), abs(end))),
    )


@agrees(settings=80)
def test_polynomial_schedule(draw: Draw) -> Pair:
    init = draw.rate()
    end, power = draw.floor(init), draw.number(0.3, 4.0)
    steps, begin = draw.steps(), draw.steps_or_zero(90)
    theirs = at_all_steps(optax.polynomial_schedule(init, end, power, steps, begin))
    return Pair(
        lambda: os.delay(os.polynomial_decay(init, steps, end, power), begin),
        ended(theirs, begin + steps, end, max(init, end)),
    )


@agrees(settings=80)
def test_exponential_decay(draw: Draw) -> Pair:
    """optax's staircase is `step_decay`; its end_value None is our 0, and none is above the start."""
    init, steps, begin = draw.rate(), draw.steps(), draw.steps_or_zero(90)
    rate, end, staircase = (
        draw.factor(LENGTH / steps),
        draw.pick(None, init * draw.number(0.01, 1.0)),
        draw.pick(True, False),
    )
    decay = os.step_decay if staircase else os.exponential_decay
    return Pair(
        lambda: os.delay(decay(init, steps, rate, end or 0.0), begin),
        at_all_steps_with_exact_division(
            optax.exponential_decay(init, steps, rate, begin, staircase, end)
        ),
    )


@agrees(settings=60)
def test_exponential_decay_that_grows(draw: Draw) -> Pair:
    """A decay_rate above 1, for which optax's end_value is a ceiling: ours is a line in log space."""
    init, steps, rate = draw.rate(), draw.steps(), 1 / draw.factor(5)
    periods = max(1, round(4 / np.log(rate)))
    end, staircase, last = draw.number(1e-4, 10.0), draw.pick(True, False), steps * periods
    theirs = at_all_steps_with_exact_division(
        optax.exponential_decay(init, steps, rate, 0, staircase, end)
    )
    top = init * rate**periods

    def ours():
        if staircase:
            return os.clip(os.every(os.exponential(init, top, periods), steps), 0.0, end)
        return os.clip(os.exponential(init, top, last), 0.0, end)

    return Pair(ours, np.where(last < STEPS, min(top, end), theirs))


@agrees(settings=80)
def test_cosine_decay_schedule(draw: Draw) -> Pair:
    """optax's alpha is the end as a fraction of the start."""
    init, steps, alpha = draw.rate(), draw.steps(), draw.floor(1.0)
    exponent = draw.pick(1.0, draw.number(0.3, 3.0))
    return Pair(
        lambda: os.cosine_decay(init, steps, alpha * init, exponent),
        at_all_steps(optax.cosine_decay_schedule(init, steps, alpha, exponent)),
    )


@agrees(settings=80)
def test_piecewise_constant_schedule(draw: Draw) -> Pair:
    """optax multiplies from boundary to boundary; factors above 1, or 0, are values of ours."""
    init, boundaries = draw.rate(), draw.boundaries(draw.pick(1, 4))
    factors = [draw.number(0.05, 1.0) for _ in boundaries]
    free = draw.pick(True, False)
    if free:
        factors = [draw.pick(0.0, draw.number(0.2, 5.0), draw.number(0.2, 5.0)) for _ in boundaries]
    theirs = optax.piecewise_constant_schedule(init, dict(zip(boundaries, factors, strict=True)))

    def ours():
        if free:
            return os.piecewise_constant(list(np.cumprod([init, *factors])), boundaries)
        return os.multistep_decay(init, boundaries, factors)

    return Pair(ours, at_all_steps(theirs))


# optax 0.2.5 divides by 0 there.
_knots = optax.piecewise_interpolate_schedule("linear", 1.0, {0: 1.0, 2: 1.0})
KNOT_AT_0 = bool(jnp.isfinite(jax.jit(_knots)(1)))


@pytest.mark.slow
@agrees(settings=80)
def test_piecewise_interpolate_schedule(draw: Draw) -> Pair:
    """optax multiplies from knot to knot, and a knot at step 0 replaces the first value."""
    init, shape = draw.rate(), draw.pick("linear", "cosine")
    boundaries = draw.boundaries(draw.pick(1, 4))
    factors = [draw.pick(0.0, *(draw.number(0.1, 10.0) for _ in range(5))) for _ in boundaries]
    knots = dict(zip(boundaries, factors, strict=True))
    start = draw.pick(None, draw.number(0.1, 10.0)) if KNOT_AT_0 else None
    theirs = optax.piecewise_interpolate_schedule(
        shape, init, knots if start is None else {0: start, **knots}
    )
    heights = list(np.cumprod([init * (start or 1.0), *factors]))
    return Pair(lambda: os.piecewise_interpolate(heights, boundaries, shape), at_all_steps(theirs))


@agrees(settings=40)
def test_warmup_constant_schedule(draw: Draw) -> Pair:
    init, peak, steps = draw.floor(1.0), draw.rate(), draw.steps()
    return Pair(
        lambda: os.warmup(peak, steps, init),
        at_all_steps(optax.warmup_constant_schedule(init, peak, steps)),
    )


@agrees(settings=80)
def test_warmup_cosine_decay_schedule(draw: Draw) -> Pair:
    """optax's decay_steps is our total_steps; where it has an exponent ours is a composition."""
    total = draw.steps(least=2)
    warm, peak = draw.pick(0, draw.steps(total - 1), draw.steps(total - 1)), draw.rate()
    init, end, exponent = draw.floor(peak), draw.floor(peak), draw.pick(1.0, 1.0, draw.number(0.3, 3.0))

    def ours():
        if exponent == 1.0:
            return os.warmup_cosine_decay(peak, warm, total, init, end)
        return os.warmup(os.cosine_decay(peak, total - warm, end, exponent), warm, init)

    theirs = optax.warmup_cosine_decay_schedule(init, peak, warm, total, end, exponent)
    return Pair(ours, at_all_steps(theirs))


@agrees(settings=80)
def test_warmup_exponential_decay_schedule(draw: Draw) -> Pair:
    """optax warms up to the peak even where end_value is above it; here it is below."""
    warm, steps, begin = draw.steps_or_zero(200), draw.steps(), draw.steps_or_zero(90)
    peak, staircase = draw.rate(), draw.pick(True, False)
    init, end, rate = draw.floor(peak), draw.pick(None, peak * 0.25), draw.factor(LENGTH / steps)
    decay = os.step_decay if staircase else os.exponential_decay
    return Pair(
        lambda: os.warmup(os.delay(decay(peak, steps, rate, end or 0.0), begin), warm, init),
        at_all_steps_with_exact_division(
            optax.warmup_exponential_decay_schedule(
                init, peak, warm, steps, rate, begin, staircase, end
            )
        ),
    )


@agrees(settings=80)
def test_cosine_onecycle_schedule(draw: Draw) -> Pair:
    """optax truncates pct_start * total_steps to a whole step, which must be 1 or more."""
    total = draw.steps(least=4)
    peak, div, final = draw.rate(), draw.number(1.0, 40.0), draw.number(1.0, 1e4)
    pct_start = float(draw.rng.uniform(1.01 / total, 1))
    top = int(pct_start * total)
    theirs = optax.cosine_onecycle_schedule(total, peak, pct_start, div, final)
    return Pair(lambda: os.one_cycle(peak, total, top / total, div, final), at_all_steps(theirs))


@agrees(settings=80)
def test_linear_onecycle_schedule(draw: Draw) -> Pair:
    """optax truncates both knots. Its pct_final is our 2 pct_start; any other is a piecewise line."""
    total = draw.steps(least=6)
    peak, div, final = draw.rate(), draw.number(1.0, 40.0), draw.number(1.0, 1e4)
    top, symmetric = int(draw.rng.integers(1, (total + 1) // 2)), draw.pick(True, False)
    bend = 2 * top if symmetric else int(draw.rng.integers(top + 1, total))
    pct_start, pct_final = (top + 0.5) / total, (bend + 0.5) / total
    theirs = optax.linear_onecycle_schedule(total, peak, pct_start, pct_final, div, final)
    low = peak / div

    def ours():
        if symmetric:
            return os.one_cycle(peak, total, top / total, div, final, three_phase=True, shape="linear")
        return os.piecewise_interpolate([low, peak, low, low / final], [top, bend, total])

    return Pair(ours, at_all_steps(theirs))


@agrees(settings=60)
def test_sgdr_schedule(draw: Draw) -> Pair:
    """optax joins warm-ups and cosines, and so do we; the last one holds its end."""
    cycles = []
    for _ in range(3):
        total, peak = draw.steps(150, least=2), draw.rate()
        cycles.append(
            {
                "init_value": draw.floor(peak),
                "peak_value": peak,
                "warmup_steps": draw.steps(total - 1),
                "decay_steps": total,
                "end_value": draw.floor(peak),
            }
        )
    *ends, _ = itertools.accumulate(cycle["decay_steps"] for cycle in cycles)

    def ours():
        parts = [
            os.warmup_cosine_decay(
                cycle["peak_value"],
                cycle["warmup_steps"],
                cycle["decay_steps"],
                cycle["init_value"],
                cycle["end_value"],
            )
            for cycle in cycles
        ]
        return os.join(parts, ends)

    return Pair(ours, at_all_steps(optax.sgdr_schedule(cycles)))


@agrees(settings=60)
def test_sgdr_schedule_without_warmups(draw: Draw) -> Pair:
    """Where its cycles grow alike it is `cosine_restarts`."""
    first, growth, fall = draw.steps(60), draw.pick(1, 2, 3), draw.number(0.3, 1.0)
    peak, end, count = draw.rate(), draw.pick(0.0, 1e-5), draw.pick(1, 2, 3)
    cycles = [
        {
            "init_value": 0.0,
            "peak_value": peak * fall**i,
            "warmup_steps": 0,
            "decay_steps": first * growth**i,
            "end_value": end,
        }
        for i in range(count)
    ]
    return Pair(
        lambda: os.cosine_restarts(peak, first, end, growth, fall, count),
        at_all_steps(optax.sgdr_schedule(cycles)),
    )


@agrees(settings=80)
def test_join_schedules(draw: Draw) -> Pair:
    first, second, third = draw.rate(), draw.rate(), draw.rate()
    rise, fall, decay = draw.steps(), draw.steps(), draw.steps()
    boundaries, factor = draw.boundaries(2), draw.factor(LENGTH / decay)
    theirs = [
        optax.linear_schedule(0.0, first, rise),
        optax.cosine_decay_schedule(second, fall),
        optax.exponential_decay(third, decay, factor),
    ]

    def ours():
        parts = [
            os.linear(0.0, first, rise),
            os.cosine_decay(second, fall),
            os.exponential_decay(third, decay, factor),
        ]
        return os.join(parts, boundaries)

    return Pair(ours, at_all_steps(optax.join_schedules(theirs, boundaries)))


@agrees(settings=5)
def test_join_of_schedules_of_optax(draw: Draw) -> Pair:
    """An optax schedule is an operand as it is. It is program, not data: few settings, each compiled.

    Its fractions are float32 then, so these are of powers of 2, which lose nothing.
    """
    first, second, boundary = draw.rate(), draw.rate(), draw.steps(400)
    theirs = [optax.linear_schedule(0.0, first, 8), optax.exponential_decay(second, 32, 0.5)]
    return Pair(
        lambda: os.join(theirs, [boundary]), at_all_steps(optax.join_schedules(theirs, [boundary]))
    )


THRESHOLDS = [
    (rel, abs_)
    for rel in (0, 1 / 64, 1 / 8)
    for abs_ in (0, 1 / 64, 1 / 16)
    if (rel == 0) != (abs_ == 0)
]


@pytest.mark.parametrize(
    ("rtol", "atol"),
    [
        pytest.param(*it, marks=() if 1 / 8 in it or 1 / 16 in it else pytest.mark.wide)
        for it in THRESHOLDS
    ],
)
def test_reduce_on_plateau(rtol: float, atol: float):
    """optax's patience is ours + 1 (its 0 never cuts), its accumulation_size is our window.

    Its metrics are positive here: with a relative threshold it takes a constant negative loss for an
    improvement. It has no mode "max".
    """
    draw = Draw(f"plateau {rtol} {atol}")
    mode = "abs" if atol else "rel"
    worst = 0.0
    for factor in (0.75, 0.9):
        lanes = [
            lane(draw)._replace(threshold=rtol or atol, factor=factor, window=draw.pick(1, 1, 2, 4))
            for _ in range(40)
        ]
        ours = scales(lanes, "min", mode)
        theirs = optax_scales(lanes, factor, rtol, atol)
        worst = max(
            worst, within(ours, theirs, 1e-5, 0.0, lambda index, lanes=lanes: repr(lanes[index]))
        )
    report(__name__, f"reduce_on_plateau rtol={rtol} atol={atol}", 80, worst)


def optax_scales(lanes: list[Lane], factor: float, rtol: float, atol: float) -> np.ndarray:
    """optax takes three of the numbers as Python floats only, so they are the same in all lanes."""

    def run(patience, cooldown, window, min_scale, losses):
        build: Any = optax.contrib.reduce_on_plateau
        transform = build(factor, patience + 1, rtol, atol, cooldown, window, min_scale)

        def step(state, loss):
            _, state = transform.update(jnp.ones(()), state, value=loss)
            return state, state.scale

        return jax.lax.scan(step, transform.init(jnp.ones(())), losses)[1]

    columns = [
        np.array([getattr(item, name) for item in lanes])
        for name in ("patience", "cooldown", "window", "min_scale", "losses")
    ]
    patience, cooldown, window, min_scale, losses = columns
    result = jax.jit(jax.vmap(run))(
        patience.astype(np.int32),
        cooldown.astype(np.int32),
        window.astype(np.int32),
        min_scale.astype(np.float32),
        losses.astype(np.float32),
    )
    return np.asarray(result, np.float64)
