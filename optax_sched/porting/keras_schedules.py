"""keras' six schedules, which are functions of the step as ours are."""

import math

import optax_sched._schedules as ours
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import Settings, tidy
from optax_sched.porting.simplify import cosine, powered, seen, warmed

MODULE = "keras.src.optimizers.schedules.learning_rate_schedule"


class Keras(Settings):
    """A schedule of keras'."""

    @property
    def rate(self) -> float:
        return self["initial_learning_rate"]

    @property
    def length(self) -> float:
        return self.steps("decay_steps")


def exponential(it: Keras) -> Schedule:
    builder = ours.step_decay if it.raw("staircase") else ours.exponential_decay
    return builder(it.rate, it.length, it["decay_rate"])


def piecewise(it: Keras) -> Schedule:
    """To keras a boundary belongs to the piece before it."""
    values = [it.number("values", value) for value in it.raw("values")]
    starts = [math.floor(b) + 1 for b in it.increasing("boundaries")]
    pieces = seen([0, *starts], values)
    values, starts = [value for *_, value in pieces], [start for start, *_ in pieces[1:]]
    return ours.piecewise_constant(values, starts) if starts else ours.constant(values[0])


def polynomial(it: Keras) -> Schedule:
    rate, length, end, power = it.rate, it.length, it["end_learning_rate"], it["power"]
    if not it.raw("cycle"):
        return powered(rate, length, end, power)
    # Cycle k lasts k T steps, of which (k - 1) T are over when it begins: what remains of it falls as
    # in the first, from 1/k^power. At its last step keras is still at its end.
    if end > rate:
        it.refuse("end_learning_rate", f"at most {rate} where there are cycles")
    if length != int(length):
        it.refuse("decay_steps", "whole where there are cycles")
    fall = ours.polynomial_decay(tidy(rate - end), length, power=power)
    falls = ours.repeat(ours.shift(fall, 1), length)
    heights = ours.every(ours.shift(ours.power_law_decay(1.0, 1.0, -power), 1), length)
    cycles = ours.multiply(falls, heights)
    return ours.join([rate, cycles + end if end else cycles], [1])


def inverse_time(it: Keras) -> Schedule:
    if it.raw("staircase"):
        return ours.every(ours.inverse_time_decay(it.rate, 1, it["decay_rate"]), it.length)
    return ours.inverse_time_decay(it.rate, it.length, it["decay_rate"])


def annealed(it: Keras) -> Schedule:
    """keras' warm-up comes before decay_steps, and counts only with a target."""
    if it.raw("warmup_target") is None:
        return cosine(it.rate, it.length, tidy(it["alpha"] * it.rate))
    peak = it["warmup_target"]
    return warmed(cosine(peak, it.length, tidy(it["alpha"] * peak)), it.steps("warmup_steps"), it.rate)


def restarts(it: Keras) -> Schedule:
    first, growth, fall = it.steps("first_decay_steps"), it.steps("_t_mul"), it["_m_mul"]
    longer, end = None if growth == 1 else growth, tidy(it["alpha"] * it.rate)
    if end == 0 or fall == 1:
        return ours.cosine_restarts(it.rate, first, end, longer, fall)
    # keras' floor does not shrink with the peaks.
    return ours.cosine_restarts(tidy(it.rate - end), first, 0.0, longer, fall) + end


SCHEDULES = {
    "ExponentialDecay": exponential,
    "PiecewiseConstantDecay": piecewise,
    "PolynomialDecay": polynomial,
    "InverseTimeDecay": inverse_time,
    "CosineDecay": annealed,
    "CosineDecayRestarts": restarts,
}
