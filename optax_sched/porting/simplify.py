"""The shortest name of a curve, and of parts one after another."""

import collections
from collections.abc import Iterable, Sequence
from typing import Any

from optax_sched._core.built import is_made_by
from optax_sched._core.operands import constant
from optax_sched._core.schedule import Schedule
from optax_sched._schedules.by_factors import multistep_decay
from optax_sched._schedules.combine import join, warmup
from optax_sched._schedules.cyclic import one_cycle
from optax_sched._schedules.decays import cosine_decay, linear, polynomial_decay
from optax_sched._schedules.piecewise import piecewise_interpolate
from optax_sched._schedules.shapes import k_shape
from optax_sched._schedules.stable_recipes import wsd
from optax_sched._schedules.warmup_recipes import warmup_cosine_decay, warmup_linear_decay
from optax_sched.porting.reading import tidy

# timm's and transformers' names for shapes of a phase.
SHAPES: dict[str, Any] = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt"}


def cosine(start: float, length: float, end: float) -> Schedule:
    """Half a wave, which is a warm-up where it rises."""
    if end > start:
        return warmup(end, length, start, "cosine")
    return cosine_decay(start, length, end)


def powered(start: float, length: float, end: float, power: float) -> Schedule:
    """A power of what remains, on the way down or up."""
    if power == 1:
        return linear(start, end, length)
    if end > start:
        return warmup(end, length, start, k_shape(power))
    return polynomial_decay(start, length, end, power)


def stairs(start: float, factor: float, drops: Iterable[float]) -> Schedule:
    """A factor at each of some steps, as often as the step is there."""
    counts = collections.Counter(drops)
    boundaries = sorted(counts)
    if not boundaries:
        return constant(start)
    factors = [tidy(factor ** counts[boundary]) for boundary in boundaries]
    return multistep_decay(start, boundaries, factor if set(counts.values()) == {1} else factors)


def interpolated(values: list[float], boundaries: list[float], shape: Any) -> Schedule:
    """Lines or waves through knots, the first of them at step 0."""
    if not boundaries:
        return constant(values[0])
    if len(values) == 3 and values[1] > values[0] >= values[2] > 0:
        total, (low, peak, last) = boundaries[1], values
        return one_cycle(
            peak, total, boundaries[0] / total, tidy(peak / low), tidy(low / last), False, shape
        )
    return piecewise_interpolate(values, boundaries, shape)


def warmed(schedule: Schedule, steps: float, start: float = 0.0) -> Schedule:
    """A schedule after a line up to it, if there is one."""
    if not steps > 0:
        return schedule
    peak = _first_value(schedule)
    if peak is None or max(start, getattr(schedule, "end_value", 0.0)) > peak:
        return warmup(schedule, steps, start)
    if is_made_by(cosine_decay, schedule) and schedule.exponent == 1:
        return warmup_cosine_decay(peak, steps, steps + schedule.decay_steps, start, schedule.end_value)
    if is_made_by(linear, schedule):
        total = steps + schedule.transition_steps
        return warmup_linear_decay(peak, steps, total, start, schedule.end_value)
    return warmup(peak if is_made_by(constant, schedule) else schedule, steps, start)


def joined(parts: Sequence[Schedule], boundaries: Sequence[float]) -> Schedule:
    """`join(parts, boundaries)`, or the recipe that it is."""
    if not boundaries:
        return parts[0]
    rise, *rest = parts
    peak = _first_value(rest[0])
    is_rise = is_made_by(linear, rise) and rise.transition_steps == boundaries[0]
    if is_rise and rise.end_value == peak:
        if len(rest) == 1:
            return warmed(rest[0], boundaries[0], rise.init_value)
        if len(rest) == 2 and is_made_by(constant, rest[0]) and rise.init_value <= peak:
            return _stable(rise, rest[1], boundaries) or join(parts, boundaries)
    return join(parts, boundaries)


def _stable(rise: Schedule, fall: Schedule, starts: Sequence[float]) -> Schedule | None:
    """A rise, a stable phase and a fall."""
    if is_made_by(cosine_decay, fall) and fall.exponent == 1:
        shape, length = "cosine", fall.decay_steps
    elif is_made_by(linear, fall):
        shape, length = "linear", fall.transition_steps
    else:
        return None
    peak, low, end = rise.end_value, rise.init_value, fall.end_value
    if fall.init_value != peak or end > peak:
        return None
    return wsd(peak, starts[0], length, starts[1] + length, low, end, shape)


def _first_value(schedule: Schedule) -> float | None:
    """The value at step 0, where a setting says it."""
    if hasattr(schedule, "warmup_steps"):  # perhaps 0, and then it is another
        return None
    return getattr(schedule, "value", getattr(schedule, "init_value", None))
