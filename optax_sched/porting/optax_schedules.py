"""optax's own schedules, which are closures: their settings are what they have closed over."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.errors import Refusal
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import Settings, tidy
from optax_sched.porting.simplify import cosine, interpolated, joined, powered, seen, stairs


class Closure(Settings):
    """What a schedule of optax's was made with."""

    def __init__(self, schedule: Any):
        names, cells = schedule.__code__.co_freevars, schedule.__closure__ or ()
        values = {}
        for name, cell in zip(names, cells, strict=True):
            with contextlib.suppress(ValueError):  # what optax came to set is all that it uses
                values[name] = cell.cell_contents
        super().__init__(schedule, values)

    def delayed(self, schedule: Schedule) -> Schedule:
        begin = self.steps("transition_begin")
        return ours.delay(schedule, begin) if begin > 0 else schedule


def plain(it: Closure) -> Schedule:
    """A constant; also what optax makes of a length of 0, or of a rate of 0."""
    return ours.constant(it["init_value" if it.values.get("value") is None else "value"])


def polynomial(it: Closure) -> Schedule:
    start, end, power = it["init_value"], it["end_value"], it["power"]
    if power == 0:
        return ours.constant(start)
    return it.delayed(powered(start, it.steps("transition_steps"), end, power))


def exponential_or_steps(it: Closure) -> Schedule:
    start, length, rate = it["init_value"], it.steps("transition_steps"), it["decay_rate"]
    end = None if it.values.get("end_value") is None else it["end_value"]
    if rate < 1:
        if end is not None and end >= start:
            return ours.constant(end)
        builder = ours.step_decay if it.values["staircase"] else ours.exponential_decay
        return it.delayed(builder(start, length, rate, end or 0.0))
    if rate == 1 or (end is not None and end <= start):
        return ours.constant(start if end is None else min(start, end))
    if it.values["staircase"] or end is None:
        it.refuse("decay_rate", "at most 1 where there are stairs or no end_value", "exponential rises")
    return it.delayed(ours.exponential(start, end, length * math.log(end / start) / math.log(rate)))


def cosine_with_a_power(it: Closure) -> Schedule:
    start, length, power = it["init_value"], it.steps("decay_steps"), it["exponent"]
    end = tidy(start * it["alpha"])
    if power == 1:
        return cosine(start, length, end)
    if end > start:
        it.refuse("alpha", "at most 1 where the exponent is not 1")
    return ours.cosine_decay(start, length, end, power)


def factors(it: Closure) -> Schedule:
    """A value that is multiplied by a factor at each boundary."""
    name = "boundaries_and_scales"
    drops = (it.values[name] or {}).items()
    return stairs(it["init_value"], [(it.number(name, at), it.number(name, by)) for at, by in drops])


def knots(it: Closure) -> Schedule:
    if it.values.get("bounds") is not None:  # before optax 0.2.6 its own name for the same
        times, values = it.values["bounds"].tolist(), it.values["values"].tolist()
    else:
        times, values = [0, *it.values["boundaries"]], [it["init_value"]]
        for scale in it.values["scales"]:
            values.append(values[-1] * it.number("scales", scale))
    times = [it.number("boundaries", time) for time in times]
    if min(times) < 0:
        it.refuse("boundaries", "0 or more", got=times)
    first = sum(time == 0 for time in times) - 1  # at a boundary of 0 the value is the one after it
    shape = {"_linear_interpolate": "linear", "_cosine_interpolate": "cosine"}
    name = shape[it.values["interpolate_fn"].__name__]
    return interpolated([tidy(value) for value in values[first:]], times[first + 1 :], name)


def sequence(it: Closure) -> Schedule:
    """Each part is seen until any part after it begins."""
    parts = it.values["schedules"]
    starts = [-math.inf, *(it.number("boundaries", start) for start in it.values["boundaries"])]
    made: list[tuple[float, Schedule]] = []
    for start, _, part in seen(starts[: len(parts)], parts[: len(starts)]):
        own = part if isinstance(part, Schedule) else ported(part)
        made.append((max(start, 0), ours.shift(own, -start) if -math.inf < start < 0 else own))
    return joined(made)


def ported(schedule: object) -> Schedule:
    """What a schedule of optax's is here."""
    key: Any = getattr(schedule, "__module__", None), getattr(schedule, "__qualname__", None)
    if key not in CLOSURES:
        raise Refusal("port", "schedules", "optax's own or ours", schedule).error(TypeError)
    return CLOSURES[key](Closure(schedule))


_MODULE = "optax.schedules._schedule"
# By module and name of the function that each makes.
CLOSURES: dict[tuple[str, str], Callable[[Closure], Schedule]] = {
    (_MODULE, "constant_schedule.<locals>.<lambda>"): plain,
    (_MODULE, "polynomial_schedule.<locals>.<lambda>"): plain,
    (_MODULE, "polynomial_schedule.<locals>.schedule"): polynomial,
    (_MODULE, "exponential_decay.<locals>.<lambda>"): plain,
    (_MODULE, "exponential_decay.<locals>.schedule"): exponential_or_steps,
    (_MODULE, "cosine_decay_schedule.<locals>.schedule"): cosine_with_a_power,
    (_MODULE, "piecewise_constant_schedule.<locals>.schedule"): factors,
    (_MODULE, "piecewise_interpolate_schedule.<locals>.schedule"): knots,
    ("optax.schedules._join", "join_schedules.<locals>.schedule"): sequence,
}
