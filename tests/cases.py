"""The one table: a row a builder, with its formula in plain Python and examples to try it on.

An oracle takes the step (a whole or real number, 0 or more) and the hyperparameters by name, and
computes in 50 decimal digits. It was written from the formula in DESIGN.md, not from our code.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import optax
from mpmath import mp, mpf

import optax_sched as os
from optax_sched import Schedule

mp.dps = 50
LAST = 2**31 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """One schedule of a row, and the steps at which something happens to it."""

    schedule: Schedule
    marks: Sequence[int] = ()
    start: float | None = None  # the value asked for at step 0, where it is asked for
    end: float | None = None  # the value asked for from the last mark on

    def steps(self) -> np.ndarray:
        """Around every mark, just before the last one, and where integers and floats part."""
        end = max(self.marks, default=1000)
        steps = {0, 1, 2, 3, 5, 10, 100, end // 3, end // 2, 10**6, LAST - 1, LAST}
        steps |= {mark + d for mark in self.marks for d in (-2, -1, 0, 1)}
        steps |= {end - d for d in (*range(1, 10), 30, 100)}
        steps |= {2**k + d for k in (8, 16, 23, 24, 25, 30) for d in (-1, 0, 1)}
        steps = sorted(step for step in steps if 0 <= step <= LAST)
        # One length for all, so that examples of one structure share a compiled function.
        return np.array(steps + [LAST] * (80 - len(steps)), np.int32)


@dataclasses.dataclass(frozen=True)
class Row:
    """One builder."""

    oracle: Callable[..., Any]
    examples: Sequence[Example]
    # Where a power, an exponential or a real-valued clock enters, DESIGN section 5 allows 4 ulp times
    # the sensitivity to float32 hyperparameters and progress on top of the 5e-7.
    sensitive: bool = False


def expected(schedule: Any, step: Any, rounded: bool = True) -> Any:
    """The oracle's value; `rounded`, at the hyperparameters as float32 holds them."""
    global _rounded
    before, _rounded = _rounded, rounded
    try:
        return part(schedule, step)
    finally:
        _rounded = before


_rounded = True


def part(schedule: Any, step: Any) -> Any:
    """The oracle's value of an operand, rounded as its owner's is."""
    if not isinstance(schedule, Schedule):
        return mpf(float(schedule(step)))
    name = repr(schedule).partition("(")[0]
    hypers = {h: _exact(getattr(schedule, h)) for h in inspect.signature(BUILDERS[name]).parameters}
    return mpf(ROWS[name].oracle(max(step, 0), **hypers))


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return mpf(float(np.float32(value))) if _rounded else mpf(value)
    if isinstance(value, np.ndarray):
        return [_exact(item) for item in value.tolist()]
    return value


def done(t, T):
    """The fraction of a phase of length T that is done at t."""
    return mpf(1) if t >= T else mpf(t) / T


def whole(t, T):
    """How many whole phases of length T lie before t."""
    return int(mpmath.floor(mpf(t) / T))


SHAPES = {
    "linear": lambda x: x,
    "cosine": lambda x: mpmath.sin(mp.pi * x / 2) ** 2,
    "sqrt": lambda x: 1 - mpmath.sqrt(1 - x),
    "square": lambda x: 1 - (1 - x) ** 2,
}


def shaped(shape, x):
    return SHAPES[shape](x) if isinstance(shape, str) else mpf(float(shape(float(x))))


def _constant(t, value):
    return value


def _linear(t, init_value, end_value, transition_steps):
    z = done(t, transition_steps)
    return init_value * (1 - z) + end_value * z


def _polynomial_decay(t, init_value, decay_steps, end_value, power):
    u = 1 - done(t, decay_steps)
    return end_value + (init_value - end_value) * u**power


def _cosine_decay(t, init_value, decay_steps, end_value, exponent):
    wave = (1 + mpmath.cos(mp.pi * done(t, decay_steps))) / 2
    return end_value + (init_value - end_value) * wave**exponent


def _log_decay(t, init_value, decay_steps, end_value):
    left = 1 - mpmath.log(1 + min(t, decay_steps)) / mpmath.log(1 + decay_steps)
    return end_value + (init_value - end_value) * left


def _exponential_decay(t, init_value, decay_steps, decay_rate, end_value):
    return max(init_value * decay_rate ** (mpf(t) / decay_steps), end_value)


def _step_decay(t, init_value, decay_steps, decay_rate, end_value):
    return max(init_value * decay_rate ** whole(t, decay_steps), end_value)


def _multistep_decay(t, init_value, boundaries, decay_rate):
    rates = decay_rate if isinstance(decay_rate, list) else [decay_rate] * len(boundaries)
    value = init_value
    for boundary, rate in zip(boundaries, rates, strict=True):
        value *= rate if t >= boundary else 1
    return value


def _cosine_restarts(t, init_value, period, end_value, period_mult, peak_mult, num_cycles):
    # A ratio such as 1.1 is meant in decimals, where 100 (1 + 1.1) is 210 and a boundary.
    if _rounded:
        period_mult = mpf(str(np.float32(float(period_mult))))
    start, length, index = mpf(0), mpf(period), 0
    if period_mult == 1:
        index = whole(t, period)
        start = mpf(period) * index
    while t >= start + length:
        start, length, index = start + length, length * period_mult, index + 1
    if num_cycles is not None and index >= num_cycles:
        return end_value
    wave = (1 + mpmath.cos(mp.pi * (t - start) / length)) / 2
    return end_value + (init_value * peak_mult**index - end_value) * wave


def _join(t, schedules, boundaries):
    index = sum(t >= boundary for boundary in boundaries)
    return part(schedules[index], t - [0, *boundaries][index])


def _warmup(t, schedule, warmup_steps, init_value, shape):
    if t >= warmup_steps:
        return part(schedule, t - warmup_steps)
    weight = shaped(shape, done(t, warmup_steps))
    return init_value + (part(schedule, 0) - init_value) * weight


# A user's own, made at module level so that it pickles.
halving = os.schedule(
    lambda step, init_value, period: init_value * 0.5 ** (step // period), name="halving"
)
gained = os.schedule(lambda step, inner, gains: inner(step) * gains[1], name="gained")

COSINE = os.cosine_decay(0.1, 1000)
LONG = os.cosine_decay(0.3, LAST, 0.001)

ROWS: dict[str, Row] = {
    "constant": Row(
        _constant,
        [Example(os.constant(0.1), start=0.1, end=0.1), Example(os.constant(-2), start=-2, end=-2)],
    ),
    "linear": Row(
        _linear,
        [
            Example(os.linear(0.1, 0.0, 1000), [1000], 0.1, 0.0),
            Example(os.linear(0.0, 0.3, 41), [41], 0.0, 0.3),
            Example(os.linear(3e-4, 1e-5, 7), [7], 3e-4, 1e-5),
            Example(os.linear(-1.0, -0.25, 3), [3], -1.0, -0.25),
            Example(os.linear(0.0, 1.0, LAST), [LAST], 0.0, 1.0),
            Example(os.linear(1.0, 0.0, 2**24 + 1), [2**24 + 1], 1.0, 0.0),
            Example(os.linear(1.0, 0.0, 1), [1], 1.0, 0.0),
        ],
    ),
    "polynomial_decay": Row(
        _polynomial_decay,
        [
            Example(os.polynomial_decay(0.1, 1000, power=0.9), [1000], 0.1, 0.0),
            Example(os.polynomial_decay(0.1, 250, 0.01, 2.5), [250], 0.1, 0.01),
            Example(os.polynomial_decay(0.0, 10**5, 1.0, 2.0), [10**5], 0.0, 1.0),
            Example(os.polynomial_decay(1.0, 41, power=0.5), [41], 1.0, 0.0),
        ],
        sensitive=True,
    ),
    "cosine_decay": Row(
        _cosine_decay,
        [
            Example(COSINE, [1000], 0.1, 0.0),
            Example(LONG, [LAST], 0.3, 0.001),
            Example(os.cosine_decay(1.0, 10**6, 0.1), [10**6], 1.0, 0.1),
            Example(os.cosine_decay(0.0, 10**5, 0.3), [10**5], 0.0, 0.3),
            Example(os.cosine_decay(0.1, 3), [3], 0.1, 0.0),
        ],
    ),
    "log_decay": Row(
        _log_decay,
        [
            Example(os.log_decay(0.1, 1000), [1000], 0.1, 0.0),
            Example(os.log_decay(0.1, LAST, 0.01), [LAST], 0.1, 0.01),
            Example(os.log_decay(0.3, 1), [1], 0.3, 0.0),
        ],
    ),
    "exponential_decay": Row(
        _exponential_decay,
        [
            Example(os.exponential_decay(0.1, 100, 0.96), [100, 1000], 0.1),
            Example(os.exponential_decay(0.1, 3, 0.5, 1e-5), [40], 0.1, 1e-5),
            Example(os.exponential_decay(0.1, 7, 1), [7], 0.1, 0.1),
        ],
        sensitive=True,
    ),
    "step_decay": Row(
        _step_decay,
        [
            Example(os.step_decay(0.1, 1000, 0.5, 1e-6), [1000, 2000, 10775000, 30000], 0.1, 1e-6),
            Example(os.step_decay(0.1, 2**24 + 3, 0.9), [k * (2**24 + 3) for k in (1, 2, 77)], 0.1),
            Example(os.step_decay(1, 1, 0.999), [1, 2], 1.0),
        ],
        sensitive=True,
    ),
    "multistep_decay": Row(
        _multistep_decay,
        [
            Example(os.multistep_decay(0.1, [30, 60, 90], 0.1), [30, 60, 90], 0.1),
            Example(
                os.multistep_decay(0.1, [2**24 + 1, 2**30 + 1], [0.5, 0.25]), [2**24 + 1, 2**30 + 1]
            ),
            Example(os.multistep_decay(0.1, np.array([5]), 0.5), [5], 0.1, 0.05),
        ],
        sensitive=True,
    ),
    "cosine_restarts": Row(
        _cosine_restarts,
        [
            Example(os.cosine_restarts(0.1, 10, period_mult=3), [10, 40, 130, 1210, 3640], 0.1),
            Example(os.cosine_restarts(0.1, 7), [7, 14, 7 * 2**21, LAST // 7 * 7], 0.1),
            Example(os.cosine_restarts(0.1, 1, 0.01, 10, 0.5, 4), [1, 11, 111, 1111], 0.1, 0.01),
            Example(
                os.cosine_restarts(0.1, 100, 0.0, 1.1, num_cycles=5), [100, 210, 331, 611], 0.1, 0.0
            ),
            Example(
                os.cosine_restarts(0.1, 10, period_mult=1.5, num_cycles=12), [10, 25, 2575], 0.1, 0.0
            ),
        ],
        sensitive=True,
    ),
    "join": Row(
        _join,
        [
            Example(os.join([os.linear(0.0, 0.1, 100), COSINE], [100]), [100, 1100], 0.0, 0.0),
            Example(
                os.join(
                    [os.linear(1.0, 0.5, 9), os.linear(0.4, 0.2, 5), os.linear(0.1, 0.1, 3)], [9, 20]
                ),
                [9, 20, 23],
                1.0,
                0.1,
            ),
            Example(os.join([0.3, LONG, halving(0.1, 9)], [10, 2**24 + 1]), [10, 2**24 + 1], 0.3),
            Example(os.join([optax.constant_schedule(0.5), COSINE], [5]), [5, 1005], 0.5, 0.0),
        ],
        sensitive=True,
    ),
    "warmup": Row(
        _warmup,
        [
            Example(os.warmup(COSINE, 100), [100, 1100], 0.0, 0.0),
            Example(os.warmup(COSINE, 0), [1000], 0.1, 0.0),
            Example(os.warmup(0.1, 10**6, 0.01, "cosine"), [10**6], 0.01, 0.1),
            Example(os.warmup(LONG, 1000, 0.001, "sqrt"), [1000], 0.001),
            Example(
                os.warmup(os.linear(1.0, 0.0, 9), 2**24 + 1, shape="square"),
                [2**24 + 1, 2**24 + 10],
                0.0,
                0.0,
            ),
        ],
    ),
    "halving": Row(
        lambda t, init_value, period: init_value * mpf(0.5) ** whole(t, period),
        [Example(halving(init_value=0.1, period=1000), [1000, 2000], 0.1)],
    ),
    "gained": Row(
        lambda t, inner, gains: part(inner, t) * gains[1],
        [Example(gained(COSINE, [1.0, 3.0]), [1000], 0.3, 0.0)],
    ),
}

OWN = {"halving": halving, "gained": gained}
BUILDERS: dict[str, Callable[..., Schedule]] = {
    name: builder
    for name, builder in {**vars(os), **OWN}.items()
    if inspect.isfunction(builder) and inspect.signature(builder).return_annotation is Schedule
}

CASES = [
    (name, f"{name}-{i}", example)
    for name, row in ROWS.items()
    for i, example in enumerate(row.examples)
]
