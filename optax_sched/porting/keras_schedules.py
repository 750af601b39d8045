"""keras' six schedules, which are functions of the step as ours are."""

import math
from typing import Any

from optax_sched._core.arithmetic import multiply
from optax_sched._core.operands import constant
from optax_sched._core.schedule import Schedule
from optax_sched._schedules.by_factors import exponential_decay, step_decay
from optax_sched._schedules.combine import join, warmup
from optax_sched._schedules.cyclic import cosine_restarts
from optax_sched._schedules.decays import polynomial_decay
from optax_sched._schedules.piecewise import piecewise_constant
from optax_sched._schedules.power_laws import inverse_time_decay, power_law_decay
from optax_sched._schedules.retime import every, repeat, shift
from optax_sched._schedules.warmup_recipes import warmup_cosine_decay
from optax_sched.porting.curves import half_cosine, power_of_rest
from optax_sched.porting.reading import increasing, number, refuse, steps, tidy

MODULE = "keras.src.optimizers.schedules.learning_rate_schedule"
SUM = (
    "it is a sum, for which a builder is made by "
    "schedule(lambda step, schedule, floor: schedule(step) + floor, name='above')"
)


def exponential(it: Any) -> Schedule:
    builder = step_decay if it.staircase else exponential_decay
    return builder(_rate(it), _length(it), number(it, "decay_rate", it.decay_rate))


def piecewise(it: Any) -> Schedule:
    """To keras a boundary belongs to the piece before it."""
    values = [number(it, "values", value) for value in it.values]
    starts = [math.floor(b) + 1 for b in increasing(it, "boundaries", it.boundaries)]
    # A piece that ends where it begins, or before step 0, is never seen.
    pieces = [
        (start, value)
        for start, stop, value in zip([0, *starts], [*starts, math.inf], values, strict=True)
        if max(start, 0) < stop
    ]
    if len(pieces) == 1:
        return constant(pieces[0][1])
    return piecewise_constant([value for _, value in pieces], [start for start, _ in pieces[1:]])


def polynomial(it: Any) -> Schedule:
    rate, length = _rate(it), _length(it)
    end, power = number(it, "end_learning_rate", it.end_learning_rate), number(it, "power", it.power)
    if not it.cycle:
        return power_of_rest(rate, length, end, power)
    # Cycle k lasts k T steps, of which (k - 1) T are over when it begins: what remains of it falls as
    # in the first, from 1/k^power. At its last step keras is still at its end.
    if end != 0:
        refuse(it, "end_learning_rate", "0.0 where there are cycles", end, SUM)
    if length != int(length):
        refuse(it, "decay_steps", "whole where there are cycles", length)
    falls = repeat(shift(polynomial_decay(rate, length, power=power), 1), length)
    heights = every(shift(power_law_decay(1.0, 1.0, -power), 1), length)
    return join([rate, multiply(falls, heights)], [1])


def inverse_time(it: Any) -> Schedule:
    rate, length, slope = _rate(it), _length(it), number(it, "decay_rate", it.decay_rate)
    if it.staircase:
        return every(inverse_time_decay(rate, 1, slope), length)
    return inverse_time_decay(rate, length, slope)


def cosine(it: Any) -> Schedule:
    """keras' warm-up comes before decay_steps, and counts only with a target."""
    rate, length, alpha = _rate(it), _length(it), number(it, "alpha", it.alpha)
    if it.warmup_target is None:
        return half_cosine(rate, length, tidy(alpha * rate))
    peak = number(it, "warmup_target", it.warmup_target)
    warm, end = steps(number(it, "warmup_steps", it.warmup_steps)), tidy(alpha * peak)
    if warm <= 0:
        return half_cosine(peak, length, end)
    if rate <= peak and end <= peak:
        return warmup_cosine_decay(peak, warm, warm + length, rate, end)
    return warmup(half_cosine(peak, length, end), warm, rate)


def restarts(it: Any) -> Schedule:
    rate, alpha = _rate(it), number(it, "alpha", it.alpha)
    first = steps(number(it, "first_decay_steps", it.first_decay_steps))
    growth, fall = steps(number(it, "t_mul", it._t_mul)), number(it, "m_mul", it._m_mul)
    if alpha != 0 and fall != 1:
        refuse(it, "m_mul", "1.0 where alpha is not 0", fall, SUM)
    if alpha > 1:
        refuse(it, "alpha", "at most 1", alpha)
    return cosine_restarts(rate, first, tidy(alpha * rate), None if growth == 1 else growth, fall)


def _rate(it: Any) -> float:
    return number(it, "initial_learning_rate", it.initial_learning_rate)


def _length(it: Any) -> Any:
    return steps(number(it, "decay_steps", it.decay_steps))


SCHEDULES = {
    "ExponentialDecay": exponential,
    "PiecewiseConstantDecay": piecewise,
    "PolynomialDecay": polynomial,
    "InverseTimeDecay": inverse_time,
    "CosineDecay": cosine,
    "CosineDecayRestarts": restarts,
}
