"""The shortest name of a curve, and of parts one after another."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.built import is_made_by
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import steps, tidy

# timm's and transformers' names for shapes of a phase.
SHAPES: dict[str, Any] = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt"}


def cosine(start: float, length: float, end: float) -> Schedule:
    """Half a wave, which is a warm-up where it rises."""
    if end > start:
        return ours.warmup(end, length, start, "cosine")
    return ours.cosine_decay(start, length, end)


def waves(rate: float, length: float, half_waves: float, end: float, until: float) -> Schedule:
    """Cosine waves over `length` steps, which go on where they are used for longer."""
    if half_waves == 0:
        return ours.constant(rate)
    times = math.ceil(until / length) if 0 < length < until < math.inf else 1
    if times * half_waves == 1:
        return cosine(rate, length, end)
    return ours.cosine_waves(rate, steps(times * length), times * half_waves, end)


def powered(start: float, length: float, end: float, power: float) -> Schedule:
    """A power of what remains, on the way down or up."""
    if power == 1:
        return ours.linear(start, end, length)
    if end > start:
        return ours.warmup(end, length, start, ours.k_shape(power))
    return ours.polynomial_decay(start, length, end, power)


def stairs(start: float, drops: Iterable[tuple[float, float]]) -> Schedule:
    """A factor at each of some steps; one at step 0 or before counts from the start on."""
    factors = {0.0: start}
    for step, factor in sorted(drops):
        step = max(step, 0)
        factors[step] = tidy(factors.get(step, 1.0) * factor)
    start, boundaries, scales = factors.pop(0), list(factors), list(factors.values())
    if not boundaries:
        return ours.constant(start)
    if all(0 < scale <= 1 for scale in scales):
        return ours.multistep_decay(start, boundaries, scales[0] if len(set(scales)) == 1 else scales)
    values = itertools.accumulate([start, *scales], lambda value, scale: tidy(value * scale))
    return ours.piecewise_constant(list(values), boundaries)


def seen(starts: Sequence[float], parts: Sequence[Any]) -> list[tuple[float, float, Any]]:
    """Start, stop and part of those that are ever seen: each until any after it begins."""
    stops = list(itertools.accumulate([math.inf, *starts[:0:-1]], min))  # from the last part on
    rows = zip(starts, reversed(stops), parts, strict=True)
    return [(start, stop, part) for start, stop, part in rows if not max(start, 0) >= stop]


def interpolated(values: list[float], boundaries: list[float], shape: Any) -> Schedule:
    """Lines or waves through knots, the first of them at step 0."""
    if not boundaries:
        return ours.constant(values[0])
    low, peak, last = values[0], values[1], values[-1]
    rise, total = boundaries[0], boundaries[-1]
    is_back = len(values) == 4 and (values[2], boundaries[1]) == (low, 2 * rise)
    if (len(values) == 3 or is_back) and peak > low >= last > 0:
        div, final = tidy(peak / low), tidy(low / last)
        return ours.one_cycle(peak, total, rise / total, div, final, is_back, shape)
    return ours.piecewise_interpolate(values, boundaries, shape)


def warmed(schedule: Schedule, rise: float, start: float = 0.0) -> Schedule:
    """A schedule after a line up to it, if there is one."""
    if not rise > 0:
        return schedule
    shape, length = _fall(schedule)
    if shape and max(start, schedule.end_value) <= schedule.init_value:
        recipe = ours.warmup_cosine_decay if shape == "cosine" else ours.warmup_linear_decay
        return recipe(schedule.init_value, rise, rise + length, start, schedule.end_value)
    return ours.warmup(schedule, rise, start)


def joined(made: Sequence[tuple[float, Schedule]]) -> Schedule:
    """The `join` of schedules, each with the step at which it starts, or the recipe that it is."""
    (_, *boundaries), (rise, *rest) = zip(*made, strict=True)
    if not rest:
        return rise
    if is_made_by(ours.linear, rise) and rise.transition_steps == boundaries[0]:
        low, peak, fall = rise.init_value, rise.end_value, rest[-1]
        if len(rest) == 1 and _first_value(fall) == peak:
            return warmed(fall, boundaries[0], low)
        shape, length = _fall(fall)
        is_stable = len(rest) == 2 and is_made_by(ours.constant, rest[0]) and rest[0].value == peak
        if is_stable and shape and max(low, fall.end_value) <= peak == fall.init_value:
            total = boundaries[1] + length
            return ours.wsd(peak, boundaries[0], length, total, low, fall.end_value, shape)
    return ours.join([rise, *rest], boundaries)


def _fall(schedule: Schedule) -> tuple[Any, float]:
    """The shape and the length of a fall that recipes end with; no shape for anything else."""
    if is_made_by(ours.cosine_decay, schedule) and schedule.exponent == 1:
        return "cosine", schedule.decay_steps
    if is_made_by(ours.linear, schedule):
        return "linear", schedule.transition_steps
    return None, 0


def _first_value(schedule: Schedule) -> float | None:
    """The value at step 0, where a setting says it."""
    if hasattr(schedule, "warmup_steps"):  # perhaps 0, and then it is another
        return None
    return getattr(schedule, "value", getattr(schedule, "init_value", None))
