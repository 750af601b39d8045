"""optax's own schedules, which are closures: their settings are what they have closed over."""

import contextlib
import inspect
import math
from collections.abc import Callable
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.errors import Refusal
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import Settings, tidy
from optax_sched.porting.simplify import cosine, interpolated, joined, powered, seen


class Closure(Settings):
    """What a schedule of optax's was made with."""

    def __init__(self, schedule: Any):
        names, cells = schedule.__code__.co_freevars, schedule.__closure__ or ()
        values = {}
        for name, cell in zip(names, cells, strict=True):
            with contextlib.suppress(ValueError):  # what optax came to set is all that it uses
                values[name] = cell.cell_contents
        super().__init__(schedule, values)

    def height(self, name: str) -> float:
        return float(self[name])

    def delayed(self, schedule: Schedule) -> Schedule:
        begin = self.steps("transition_begin")
        return ours.delay(schedule, begin) if begin > 0 else schedule


def plain(it: Closure) -> Schedule:
    """A constant; also what optax makes of a length of 0, or of a rate of 0."""
    return ours.constant(it["init_value" if it.given("value") is None else "value"])


def polynomial(it: Closure) -> Schedule:
    start, end, power = it.height("init_value"), it.height("end_value"), it["power"]
    if power == 0:
        return ours.constant(start)
    return it.delayed(powered(start, it.steps("transition_steps"), end, power))


def exponential_or_steps(it: Closure) -> Schedule:
    start, length, rate = it.height("init_value"), it.steps("transition_steps"), it["decay_rate"]
    end = None if it.given("end_value") is None else it.height("end_value")
    if rate < 1:
        if end is not None and end >= start:
            return ours.constant(end)
        builder = ours.step_decay if it.raw("staircase") else ours.exponential_decay
        return it.delayed(builder(start, length, rate, end or 0.0))
    if rate == 1 or (end is not None and end <= start):
        return ours.constant(start if end is None else min(start, end))
    if it.raw("staircase") or end is None:
        it.refuse("decay_rate", "at most 1 where there are stairs or no end_value", "exponential rises")
    return it.delayed(ours.exponential(start, end, length * math.log(end / start) / math.log(rate)))


def cosine_with_a_power(it: Closure) -> Schedule:
    start, length, power = it.height("init_value"), it.steps("decay_steps"), it["exponent"]
    end = tidy(start * it["alpha"])
    if power == 1:
        return cosine(start, length, end)
    if end > start:
        it.refuse("alpha", "at most 1 where the exponent is not 1")
    return ours.cosine_decay(start, length, end, power)


def factors(it: Closure) -> Schedule:
    """A value that is multiplied by a factor at each boundary."""
    knots = sorted((it.raw("boundaries_and_scales") or {}).items())
    values, starts = [it.height("init_value")], [0.0]
    for boundary, scale in knots:
        values.append(tidy(values[-1] * it.number("boundaries_and_scales", scale)))
        starts.append(it.number("boundaries_and_scales", boundary))
    ahead = sum(start <= 0 for start in starts)  # of these only the last is seen
    values, starts, scales = values[ahead - 1 :], starts[ahead:], [it for _, it in knots[ahead - 1 :]]
    if not starts:
        return ours.constant(values[0])
    if not all(0 < scale <= 1 for scale in scales):
        return ours.piecewise_constant(values, starts)
    return ours.multistep_decay(values[0], starts, scales[0] if len(set(scales)) == 1 else scales)


def knots(it: Closure) -> Schedule:
    if it.given("bounds") is not None:  # before optax 0.2.6 its own name for the same
        times, values = it.raw("bounds").tolist(), it.raw("values").tolist()
    else:
        times, values = [0, *it.raw("boundaries")], [it["init_value"]]
        for scale in it.raw("scales"):
            values.append(values[-1] * it.number("scales", scale))
    times = [it.number("boundaries", time) for time in times]
    if min(times) < 0:
        it.refuse("boundaries", "0 or more", got=times)
    first = sum(time == 0 for time in times) - 1  # at a boundary of 0 the value is the one after it
    shape = {"_linear_interpolate": "linear", "_cosine_interpolate": "cosine"}
    name = shape[it.raw("interpolate_fn").__name__]
    return interpolated([tidy(value) for value in values[first:]], times[first + 1 :], name)


def sequence(it: Closure) -> Schedule:
    """Each part is seen until any part after it begins."""
    parts = it.raw("schedules")
    starts = [-math.inf, *(it.number("boundaries", start) for start in it.raw("boundaries"))]
    made: list[tuple[float, Schedule]] = []
    for start, _, part in seen(starts[: len(parts)], parts[: len(starts)]):
        own = part if isinstance(part, Schedule) else ported(part)
        made.append((max(start, 0), ours.shift(own, -start) if -math.inf < start < 0 else own))
    return joined([part for _, part in made], [start for start, _ in made[1:]])


def ported(schedule: object) -> Schedule:
    """What a schedule of optax's is here."""
    is_function = inspect.isfunction(schedule)
    porter = CLOSURES.get((schedule.__module__, schedule.__qualname__)) if is_function else None
    if porter is None:
        raise Refusal("port", "schedules", "optax's own or ours", schedule).error(TypeError)
    return porter(Closure(schedule))


_MADE_BY: dict[str, Callable[[Closure], Schedule]] = {
    "constant_schedule.<locals>.<lambda>": plain,
    "polynomial_schedule.<locals>.<lambda>": plain,
    "polynomial_schedule.<locals>.schedule": polynomial,
    "exponential_decay.<locals>.<lambda>": plain,
    "exponential_decay.<locals>.schedule": exponential_or_steps,
    "cosine_decay_schedule.<locals>.schedule": cosine_with_a_power,
    "piecewise_constant_schedule.<locals>.schedule": factors,
    "piecewise_interpolate_schedule.<locals>.schedule": knots,
    "join_schedules.<locals>.schedule": sequence,
}
# By module and name of the function that each makes.
CLOSURES = {
    (f"optax.schedules.{'_join' if porter is sequence else '_schedule'}", name): porter
    for name, porter in _MADE_BY.items()
}
