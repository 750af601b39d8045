"""The shortest name of a curve, and of parts one after another."""

import collections
from collections.abc import Iterable, Sequence
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.built import is_made_by
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import tidy

# timm's and transformers' names for shapes of a phase.
SHAPES: dict[str, Any] = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt"}


def cosine(start: float, length: float, end: float) -> Schedule:
    """Half a wave, which is a warm-up where it rises."""
    if end > start:
        return ours.warmup(end, length, start, "cosine")
    return ours.cosine_decay(start, length, end)


def powered(start: float, length: float, end: float, power: float) -> Schedule:
    """A power of what remains, on the way down or up."""
    if power == 1:
        return ours.linear(start, end, length)
    if end > start:
        return ours.warmup(end, length, start, ours.k_shape(power))
    return ours.polynomial_decay(start, length, end, power)


def stairs(start: float, factor: float, drops: Iterable[float]) -> Schedule:
    """A factor at each of some steps, as often as the step is there; up to step 0 from the start on."""
    counts = collections.Counter(max(drop, 0) for drop in drops)
    start = tidy(start * factor ** counts.pop(0, 0))
    boundaries = sorted(counts)
    if not boundaries:
        return ours.constant(start)
    factors = [tidy(factor ** counts[boundary]) for boundary in boundaries]
    return ours.multistep_decay(start, boundaries, factor if set(counts.values()) == {1} else factors)


def interpolated(values: list[float], boundaries: list[float], shape: Any) -> Schedule:
    """Lines or waves through knots, the first of them at step 0."""
    if not boundaries:
        return ours.constant(values[0])
    low, peak, last = values[0], max(values), values[-1]
    three_phase = values == [low, peak, low, last] and boundaries[1] == 2 * boundaries[0]
    if (three_phase or values == [low, peak, last]) and boundaries[0] > 0 and peak > low >= last > 0:
        total, (div, final) = boundaries[-1], map(tidy, (peak / low, low / last))
        return ours.one_cycle(peak, total, boundaries[0] / total, div, final, three_phase, shape)
    return ours.piecewise_interpolate(values, boundaries, shape)


def warmed(schedule: Schedule, steps: float, start: float = 0.0) -> Schedule:
    """A schedule after a line up to it, if there is one."""
    if not steps > 0:
        return schedule
    fall = _fall(schedule)
    if fall and max(start, schedule.end_value) <= schedule.init_value:
        shape, length = fall
        recipe = ours.warmup_cosine_decay if shape == "cosine" else ours.warmup_linear_decay
        return recipe(schedule.init_value, steps, steps + length, start, schedule.end_value)
    return ours.warmup(schedule, steps, start)


def joined(parts: Sequence[Schedule], boundaries: Sequence[float]) -> Schedule:
    """`join(parts, boundaries)`, or the recipe that it is."""
    if not boundaries:
        return parts[0]
    rise, second, last = parts[0], parts[1], parts[-1]
    is_rise = is_made_by(ours.linear, rise) and rise.transition_steps == boundaries[0]
    if is_rise and rise.end_value == _first_value(second):
        low, peak, fall = rise.init_value, rise.end_value, _fall(last)
        if len(parts) == 2:
            return warmed(last, boundaries[0], low)
        is_stable = len(parts) == 3 and is_made_by(ours.constant, second)
        if is_stable and fall and last.init_value == peak >= max(low, last.end_value):
            shape, length = fall
            total = boundaries[1] + length
            return ours.wsd(peak, boundaries[0], length, total, low, last.end_value, shape)
    return ours.join(parts, boundaries)


def _fall(schedule: Schedule) -> tuple[Any, float] | None:
    """The shape and the length of half a wave or a line; None for all else."""
    if is_made_by(ours.cosine_decay, schedule) and schedule.exponent == 1:
        return "cosine", schedule.decay_steps
    return ("linear", schedule.transition_steps) if is_made_by(ours.linear, schedule) else None


def _first_value(schedule: Schedule) -> float | None:
    """The value at step 0, where a setting says it."""
    if hasattr(schedule, "warmup_steps"):  # perhaps 0, and then it is another
        return None
    if is_made_by(ours.repeat, schedule):
        return _first_value(schedule.schedule)
    return getattr(schedule, "value", getattr(schedule, "init_value", None))
