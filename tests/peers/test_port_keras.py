"""`port` of keras' six schedules, on the jax backend in double precision."""

import itertools
from typing import Any

import jax
import numpy as np
import pytest
from agreement import LENGTH, STEPS, Draw, library
from ported import Case, ports

import optax_sched as os
from optax_sched.porting import port

keras = library("keras")
schedules: Any = keras.optimizers.schedules
pytestmark = pytest.mark.usefixtures("keras_in_double_precision")


def case(schedule: Any, *, phase: float = 0.0, late: Any = ()) -> Case:
    with jax.disable_jit():
        theirs = np.array(jax.vmap(schedule)(STEPS), np.float64)
    return Case(schedule, theirs, phase=phase, late=tuple(late))


@ports(settings=100)
def test_exponential_decay(draw: Draw) -> Case:
    rate, steps, staircase = draw.rate(), draw.steps(), draw.pick(True, False)
    factor = draw.factor(LENGTH / steps)
    late = range(steps, LENGTH, steps) if staircase else ()
    return case(schedules.ExponentialDecay(rate, steps, factor, staircase), late=late)


@ports(settings=100)
def test_inverse_time_decay(draw: Draw) -> Case:
    rate, steps, staircase = draw.rate(), draw.steps(), draw.pick(True, False)
    late = range(steps, LENGTH, steps) if staircase else ()
    made = schedules.InverseTimeDecay(rate, steps, draw.number(1e-3, 10.0), staircase)
    return case(made, late=late)


@ports(settings=100)
def test_piecewise_constant_decay(draw: Draw) -> Case:
    """Also with boundaries at 0, below it, or twice."""
    boundaries = draw.boundaries(draw.pick(1, 2, 5))
    boundaries = sorted([*draw.pick([], [0], [-3]), *draw.pick([], boundaries[:1]), *boundaries])
    heights = [draw.pick(0.0, draw.rate(), draw.rate()) for _ in range(len(boundaries) + 1)]
    return case(schedules.PiecewiseConstantDecay(boundaries, heights))


@ports(settings=100)
def test_polynomial_decay(draw: Draw) -> Case:
    rate, steps, end = draw.rate(), draw.steps(), draw.floor(1.0)
    power = draw.pick(1.0, draw.number(0.3, 4.0))
    return case(schedules.PolynomialDecay(rate, steps, end, power), late=(steps,))


@ports(settings=100)
def test_polynomial_decay_with_cycles(draw: Draw) -> Case:
    """On a boundary keras is still at its end, save for a residue or its rounding."""
    rate, steps, power = draw.rate(), draw.steps(), draw.number(0.5, 3.0)
    made = schedules.PolynomialDecay(rate, steps, draw.floor(rate), power, cycle=True)
    assert repr(port(made)).startswith("join(schedules=[constant(")
    return case(made, late=range(steps, LENGTH, steps))


def test_at_its_boundaries_a_cycle_is_at_its_end():
    ours = port(schedules.PolynomialDecay(0.1, 7, 0.0, 2.0, cycle=True))
    assert not ours(np.arange(7, LENGTH, 7)).any() and ours(np.arange(8, LENGTH, 7)).all()


@ports(settings=100)
def test_cosine_decay(draw: Draw) -> Case:
    rate, steps, alpha = draw.rate(), draw.steps(), draw.floor(1.0)
    return case(schedules.CosineDecay(rate, steps, alpha, warmup_steps=draw.steps_or_zero(90)))


@ports(settings=100)
def test_cosine_decay_with_warmup(draw: Draw) -> Case:
    """The target may lie below the start."""
    start, peak = draw.pick(0.0, draw.rate()), draw.rate()
    warm, steps, alpha = draw.steps_or_zero(90), draw.steps(400), draw.floor(1.0)
    made = schedules.CosineDecay(start, steps, alpha, warmup_target=peak, warmup_steps=warm)
    return case(made)


@ports(settings=100)
def test_cosine_decay_restarts(draw: Draw) -> Case:
    """With alpha and m_mul, keras' peaks fall to a floor that does not."""
    rate, first, growth = draw.rate(), draw.steps(), draw.pick(1.0, 1.5, 2.0, 3.0)
    alpha = draw.floor(1.0)
    fall = draw.pick(1.0, draw.factor(LENGTH / first) if growth == 1 else draw.number(0.5, 1.0))
    starts = itertools.accumulate(first * growth**i for i in range(LENGTH))
    late = itertools.takewhile(lambda start: start < LENGTH, starts)
    made = schedules.CosineDecayRestarts(rate, first, growth, fall, alpha)
    return case(made, phase=rate if growth == 1.5 else 0.0, late=late)


@pytest.mark.parametrize(
    ("made", "source"),
    [
        (schedules.CosineDecay(0.1, 90), "cosine_decay(0.1, 90)"),
        (
            schedules.CosineDecay(0.0, 90, 0.1, warmup_target=0.1, warmup_steps=10),
            "warmup_cosine_decay(0.1, 10, 100, 0.0, 0.01)",
        ),
        (schedules.ExponentialDecay(0.1, 90, 0.5, staircase=True), "step_decay(0.1, 90, 0.5)"),
        (schedules.PolynomialDecay(0.1, 90), "linear(0.1, 1e-4, 90)"),
        (
            schedules.PiecewiseConstantDecay([9, 99], [0.3, 0.2, 0.1]),
            "piecewise_constant([0.3, 0.2, 0.1], [10, 100])",
        ),
        (
            schedules.InverseTimeDecay(0.1, 90, 0.5, staircase=True),
            "every(inverse_time_decay(0.1, 1, 0.5), 90)",
        ),
        (schedules.CosineDecayRestarts(0.1, 90, t_mul=1.0), "cosine_restarts(0.1, 90)"),
        (
            schedules.CosineDecayRestarts(0.1, 90, 2.0, 0.5, 0.1),
            "cosine_restarts(0.09, 90, 0.0, 2.0, 0.5) + 0.01",
        ),
        (schedules.CosineDecay(0.1, 90, 2.0), "warmup(0.2, 90, 0.1, 'cosine')"),
        (schedules.PolynomialDecay(0.1, 90, 0.2, 2.0), "warmup(0.2, 90, 0.1, k_shape(2.0))"),
    ],
)
def test_the_source_is_as_one_would_write_it(made, source):
    assert repr(port(made)) == repr(os.from_source(source))


class Mine(schedules.CosineDecay):
    """A subclass, which may do anything."""


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (Mine(0.1, 10), "port: scheduler must be one object of optax's, torch's, transformers', k"),
        (
            schedules.PolynomialDecay(0.1, 90, 0.2, cycle=True),
            "port: PolynomialDecay.end_learning_rate must be at most 0.1 where there are cycles, got",
        ),
        (
            schedules.ExponentialDecay(0.1, 90, 1.5),
            "port: ExponentialDecay is beyond exponential_decay: ",
        ),
        (
            schedules.CosineDecayRestarts(0.1, 9, t_mul=0.5),
            "port: CosineDecayRestarts is beyond cosine_r",
        ),
        (
            schedules.PiecewiseConstantDecay([9, 3], [1, 2, 3]),
            "port: PiecewiseConstantDecay.boundaries must",
        ),
        (
            schedules.CosineDecay("0.1", 90),
            "port: CosineDecay.initial_learning_rate must be a number, got",
        ),
    ],
)
def test_what_has_no_equal_is_refused_by_name(made, says):
    with pytest.raises((TypeError, ValueError)) as refused:
        port(made)
    assert str(refused.value).startswith(says) and "\n" not in str(refused.value)
