"""Every schedule of keras 3, and its plateau callback, on the jax backend in double precision."""

import itertools
import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
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
    library,
    precision,
    report,
    scales,
    within,
)

import optax_sched as os

keras = library("keras")
schedules: Any = keras.optimizers.schedules
pytestmark = pytest.mark.usefixtures("keras_in_double_precision")


def at_all_steps(schedule: Any) -> np.ndarray:
    """keras' values; mapped, since it asks whether a step is in the warm-up.

    Not compiled: some branch on their settings, and each would be compiled for each setting.
    """
    with jax.disable_jit():
        return np.asarray(jax.vmap(schedule)(STEPS), np.float64)


@agrees(settings=60)
def test_exponential_decay(draw: Draw) -> Pair:
    rate, steps = draw.rate(), draw.steps()
    factor = draw.factor(LENGTH / steps)
    return Pair(
        lambda: os.exponential_decay(rate, steps, factor),
        at_all_steps(schedules.ExponentialDecay(rate, steps, factor)),
    )


def on_time(theirs: np.ndarray, boundaries: Iterable[tuple[float, float, float]]) -> np.ndarray:
    """keras' values with its late boundaries put right: each a step, the value there, the one before.

    It finds a stair or a cycle by the floor of a rounded quotient or logarithm, and on a boundary may
    be one short. There it must have the value of the piece before; anything else stays as it is.
    """
    theirs = theirs.copy()
    for step, new, old in boundaries:
        at = round(step)
        if at < LENGTH and math.isclose(at, step) and math.isclose(theirs[at], old, abs_tol=1e-15):
            theirs[at] = new
    return theirs


def stairs(theirs: np.ndarray, steps: int, height: Callable[[int], float]) -> np.ndarray:
    return on_time(
        theirs, ((k * steps, height(k), height(k - 1)) for k in range(1, LENGTH // steps + 1))
    )


@agrees(settings=60)
def test_exponential_decay_staircase(draw: Draw) -> Pair:
    rate, steps = draw.rate(), draw.steps()
    factor = draw.factor(LENGTH / steps)
    theirs = at_all_steps(schedules.ExponentialDecay(rate, steps, factor, staircase=True))
    return Pair(
        lambda: os.step_decay(rate, steps, factor),
        stairs(theirs, steps, lambda k: rate * factor**k),
    )


@agrees(settings=60)
def test_inverse_time_decay(draw: Draw) -> Pair:
    rate, steps, slope = draw.rate(), draw.steps(), draw.number(1e-3, 10.0)
    return Pair(
        lambda: os.inverse_time_decay(rate, steps, slope),
        at_all_steps(schedules.InverseTimeDecay(rate, steps, slope)),
    )


@agrees(settings=60)
def test_inverse_time_decay_staircase(draw: Draw) -> Pair:
    """Ours on a clock that ticks once every decay_steps."""
    rate, steps, slope = draw.rate(), draw.steps(), draw.number(1e-3, 10.0)
    theirs = at_all_steps(schedules.InverseTimeDecay(rate, steps, slope, staircase=True))
    return Pair(
        lambda: os.every(os.inverse_time_decay(rate, 1, slope), steps),
        stairs(theirs, steps, lambda k: rate / (1 + slope * k)),
    )


@agrees(settings=60)
def test_piecewise_constant_decay(draw: Draw) -> Pair:
    """To keras a boundary belongs to the old piece: ours are 1 later."""
    boundaries = draw.boundaries(draw.pick(1, 2, 5))
    heights = [
        draw.pick(0.0, draw.rate(), draw.rate(), draw.rate()) for _ in range(len(boundaries) + 1)
    ]
    return Pair(
        lambda: os.piecewise_constant(heights, [boundary + 1 for boundary in boundaries]),
        at_all_steps(schedules.PiecewiseConstantDecay(boundaries, heights)),
    )


@agrees(settings=60)
def test_polynomial_decay(draw: Draw) -> Pair:
    """keras' end is 1e-4 where none is given."""
    rate, steps = max(draw.rate(), 1e-4), draw.steps()
    end = draw.pick(None, draw.floor(rate))
    power = draw.number(0.3, 4.0)
    given = {} if end is None else {"end_learning_rate": end}
    theirs = at_all_steps(schedules.PolynomialDecay(rate, steps, power=power, **given))
    end = 1e-4 if end is None else end
    return Pair(
        lambda: os.polynomial_decay(rate, steps, end, power),
        ended(theirs, steps, end, max(rate, end)),
    )


@agrees(settings=60)
def test_polynomial_decay_with_cycles(draw: Draw) -> Pair:
    """In cycle k keras decays over k T steps, of which (k - 1) T are over when it begins.

    At step k T it is still at its end, so that a cycle begins a step later. That is no repetition: each
    cycle is a slower decay, and all of them are one formula in `join`.
    """
    rate, steps, power = draw.rate(), draw.steps(least=5), draw.number(0.5, 3.0)
    end, cycles = draw.floor(rate), LENGTH // 5
    theirs = at_all_steps(schedules.PolynomialDecay(rate, steps, end, power, cycle=True)).copy()
    for k in range(1, (LENGTH - 1) // steps + 1):
        # There keras may have rounded to the next cycle, or have something left over.
        left_over, early = theirs[k * steps] - end, (rate - end) / (k + 1) ** power
        assert abs(left_over) <= 1e-7 * rate or math.isclose(left_over, early) or math.isnan(left_over)
        theirs[k * steps] = end
    starts = [0, *(k * steps + 1 for k in range(1, cycles))]

    def ours():
        parts = [
            os.shift(os.polynomial_decay(rate, steps * k, end, power), start)
            for k, start in enumerate(starts, 1)
        ]
        return os.join(parts, starts[1:])

    return Pair(ours, theirs)


@agrees(settings=60)
def test_cosine_decay(draw: Draw) -> Pair:
    """keras' alpha is the end as a fraction of the start."""
    rate, steps, alpha = draw.rate(), draw.steps(), draw.floor(1.0)
    return Pair(
        lambda: os.cosine_decay(rate, steps, alpha * rate),
        at_all_steps(schedules.CosineDecay(rate, steps, alpha)),
    )


@agrees(settings=60)
def test_cosine_decay_with_warmup(draw: Draw) -> Pair:
    """keras' decay_steps does not count the warm-up; alpha is a fraction of the target."""
    warm, steps, alpha = draw.steps(90), draw.steps(400), draw.floor(1.0)
    peak = draw.rate()
    start = draw.floor(peak)
    theirs = schedules.CosineDecay(start, steps, alpha, warmup_target=peak, warmup_steps=warm)
    return Pair(
        lambda: os.warmup_cosine_decay(peak, warm, warm + steps, start, alpha * peak),
        at_all_steps(theirs),
    )


above = os.schedule(lambda step, schedule, floor: schedule(step) + floor, name="above")


@agrees(settings=120)
def test_cosine_decay_restarts(draw: Draw) -> Pair:
    """keras' m_mul shrinks only the part above the floor alpha: where both are used, a sum."""
    rate, first = draw.rate(), draw.steps()
    growth, alpha = draw.pick(1.0, 1.5, 2.0, 3.0), draw.floor(1.0)
    fall = draw.pick(1.0, draw.factor(LENGTH / first) if growth == 1 else draw.number(0.5, 1.0))
    theirs = at_all_steps(schedules.CosineDecayRestarts(rate, first, growth, fall, alpha))

    def ours():
        if alpha == 0 or fall == 1:
            return os.cosine_restarts(rate, first, alpha * rate, growth, fall)
        return above(os.cosine_restarts((1 - alpha) * rate, first, 0.0, growth, fall), alpha * rate)

    starts = itertools.accumulate(first * growth**i for i in range(LENGTH))
    begun = itertools.takewhile(lambda item: item[1] < LENGTH, enumerate(starts, 1))
    peaks = ((start, rate * ((1 - alpha) * fall**i + alpha), alpha * rate) for i, start in begun)
    return Pair(ours, on_time(theirs, peaks), phase=rate if growth == 1.5 else 0.0)


def keras_rates(item: Lane, mode: str) -> list[float]:
    """The callback's rate after each loss; of a model it needs only an optimizer with a rate."""
    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="loss",
        factor=item.factor,
        patience=item.patience + 1,
        mode=mode,
        min_delta=item.threshold,
        cooldown=item.cooldown + 1,
        min_lr=item.min_scale,
    )
    optimizer = SimpleNamespace(learning_rate=1.0)
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(item.losses):
        callback.on_epoch_end(epoch, {"loss": loss})
        rates.append(optimizer.learning_rate)
    return rates


@pytest.mark.parametrize("mode", ["min", "max"])
def test_reduce_lr_on_plateau(mode: str):
    """keras' patience and cooldown are ours + 1, its threshold is absolute.

    The first loss is a number here: keras takes NaN for the best that there will ever be.
    """
    draw = Draw(f"plateau {mode}")
    lanes = [lane(draw, mode=mode, signed=True) for _ in range(60)]
    for item in lanes:
        item.losses[0] = np.nan_to_num(item.losses[0])
    with precision(double=True):
        theirs = [keras_rates(item, mode) for item in lanes]
    ours = scales(lanes, mode, "abs")
    assert np.sum(ours[:, 1:] < ours[:, :-1]) > 300  # there is something to agree on
    worst = within(ours, np.array(theirs), 1e-5, 0.0, lambda index: repr(lanes[index]))
    report(__name__, f"reduce_lr_on_plateau {mode}", len(lanes), worst)


@pytest.mark.parametrize(("keras_counts", "our_counts"), [((0, 0), (0, 0)), ((3, 0), (2, 0))])
def test_a_count_of_0_is_a_count_of_1_to_keras(keras_counts, our_counts):
    patience, cooldown = our_counts
    item = Lane(0.5, patience, 0.0, cooldown, 0.0, np.ones(30))
    theirs = keras_rates(
        item._replace(patience=keras_counts[0] - 1, cooldown=keras_counts[1] - 1), "min"
    )
    assert scales([item._replace(losses=np.ones(120))], "min", "abs")[0, :30].tolist() == theirs
