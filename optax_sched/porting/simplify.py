"""Parts one after another under the shortest name that they have together."""

from collections.abc import Sequence
from typing import Any

from optax_sched._core.built import is_made_by
from optax_sched._core.operands import constant
from optax_sched._schedules.by_factors import exponential_decay, multistep_decay, step_decay
from optax_sched._schedules.combine import join, warmup
from optax_sched._schedules.cyclic import cosine_restarts
from optax_sched._schedules.decays import cosine_decay, cosine_waves, linear, polynomial_decay
from optax_sched._schedules.stable_recipes import wsd
from optax_sched._schedules.warmup_recipes import warmup_cosine_decay, warmup_linear_decay

# What has its init_value at step 0.
_DECAYS = (
    cosine_decay,
    cosine_restarts,
    cosine_waves,
    exponential_decay,
    linear,
    multistep_decay,
    polynomial_decay,
    step_decay,
)


def joined(parts: Sequence[Any], boundaries: Sequence[int]) -> Any:
    """`join(parts, boundaries)`, or the recipe that it is."""
    flat, starts = list(parts), list(boundaries)
    if is_made_by(join, flat[0]):  # a join that begins a join
        starts = [*map(int, flat[0].boundaries), *starts]
        flat = [*flat[0].schedules, *flat[1:]]
    if not starts:
        return flat[0]
    if len(flat) == 2:
        return _warmed(flat, starts[0]) or join(flat, starts)
    if len(flat) == 3:
        return _stable(flat, starts) or join(flat, starts)
    return join(flat, starts)


def _first_value(schedule: Any) -> float | None:
    if is_made_by(constant, schedule):
        return schedule.value
    return schedule.init_value if any(is_made_by(it, schedule) for it in _DECAYS) else None


def _rises_to(schedule: Any, value: float | None, steps: int) -> bool:
    """Whether it is a line that arrives there just then."""
    is_line = is_made_by(linear, schedule)
    return is_line and schedule.transition_steps == steps and schedule.end_value == value


def _warmed(parts: Sequence[Any], start: int) -> Any:
    rise, rest = parts
    peak = _first_value(rest)
    if peak is None or not _rises_to(rise, peak, start):
        return None
    low = rise.init_value
    if low > peak or getattr(rest, "end_value", 0.0) > peak:
        return warmup(rest, start, low)
    if is_made_by(cosine_decay, rest) and rest.exponent == 1:
        return warmup_cosine_decay(peak, start, start + rest.decay_steps, low, rest.end_value)
    if is_made_by(linear, rest):
        return warmup_linear_decay(peak, start, start + rest.transition_steps, low, rest.end_value)
    return warmup(peak if is_made_by(constant, rest) else rest, start, low)


def _stable(parts: Sequence[Any], starts: Sequence[int]) -> Any:
    """A rise, a plain and a fall."""
    rise, plain, fall = parts
    is_plain = is_made_by(constant, plain)
    if not is_plain or not _rises_to(rise, plain.value, starts[0]) or rise.init_value > plain.value:
        return None
    if is_made_by(cosine_decay, fall) and fall.exponent == 1:
        shape, length = "cosine", fall.decay_steps
    elif is_made_by(linear, fall):
        shape, length = "linear", fall.transition_steps
    else:
        return None
    if fall.init_value != plain.value or fall.end_value > plain.value:
        return None
    low, end = rise.init_value, fall.end_value
    return wsd(plain.value, starts[0], length, starts[1] + length, low, end, shape)
