"""Where the phases of a composed schedule begin, in steps."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

import optax_sched._schedules as families
from optax_sched._core.built import formula_behind, is_made_by
from optax_sched._core.curve import horizon
from optax_sched._core.operands import Function
from optax_sched._core.recipe import composition
from optax_sched._core.schedule import Schedule


def phase_boundaries(schedule: Function) -> list[float]:
    """The steps after 0 at which a phase begins, in order, each once.

    They include the phases of operands, on the clock of the whole. There are none for `repeat`, whose
    cycles may never stop, and none for a function that is not a `Schedule`.
    """
    if not isinstance(schedule, Schedule):
        return []
    schedule = composition(schedule)
    steps = {float(step) for step in (*_own(schedule), *_of_operands(schedule))}
    return sorted(step for step in steps if step > 0)


def _own(schedule: Schedule) -> list[Any]:
    builder = formula_behind(schedule).builder
    if builder is families.noam:
        return [schedule.warmup_steps - 1]  # its first update is number 1
    if builder is families.wsd_cycles:
        starts = [budget * (1 - schedule.decay_fraction) for budget in np.asarray(schedule.budgets)]
        return [schedule.warmup_steps, *starts, *schedule.budgets[:-1]]
    if builder is families.delay:
        return [schedule.steps]
    # These three names mean the same in every schedule, a user's own too.
    words = {"boundaries", "warmup_steps", "start"} & formula_behind(schedule).domains.keys()
    return np.hstack([[], *(getattr(schedule, word) for word in words)]).tolist()


def _of_operands(schedule: Schedule) -> Iterator[float]:
    builder = formula_behind(schedule).builder
    if builder is families.join:
        begins = [0.0, *map(float, schedule.boundaries)]
        ends = [*begins[1:], math.inf]
        for part, begin, end in zip(schedule.schedules, begins, ends, strict=True):
            yield from (begin + step for step in phase_boundaries(part) if begin + step < end)
    elif builder is families.select:
        yield from phase_boundaries(schedule.schedules[int(schedule.index)])
    elif builder is families.retime:
        yield from phase_boundaries(schedule.clock)
        # Where a clock that does not run backwards shows them: at 4,000 steps, and lines between.
        steps = np.unique(np.linspace(0, horizon(schedule.clock), 4000, dtype=int))
        shown = np.maximum.accumulate(schedule.clock(steps))
        inner = [step for step in phase_boundaries(schedule.schedule) if step <= shown[-1]]
        yield from np.interp(inner, shown, steps).tolist()
    elif builder is not families.repeat:
        clock = _CLOCKS.get(builder, lambda step, schedule: step)
        for operand in map(composition, operands(schedule)):
            # A fall inside another schedule ends where a stable phase begins.
            falls = [operand] if is_made_by(families.cooldown, operand) else []
            ends = [fall.start + fall.cooldown_steps for fall in falls]
            yield from (float(clock(step, schedule)) for step in (*phase_boundaries(operand), *ends))


def operands(schedule: Schedule) -> list[Schedule]:
    """The operands of a schedule, in order."""
    values = [getattr(schedule, name) for name in formula_behind(schedule).domains]
    nodes = jax.tree.leaves(values, is_leaf=lambda node: isinstance(node, Schedule))
    return [node for node in nodes if isinstance(node, Schedule)]


# From a step on an operand's own clock to the step on the clock of the whole.
_CLOCKS: dict[Callable[..., Schedule], Callable[[float, Schedule], float]] = {
    families.warmup: lambda step, s: s.warmup_steps + step,
    families.cooldown: lambda step, s: step if step < s.start else 0,  # it is not read later
    families.delay: lambda step, s: s.steps + step,
    families.shift: lambda step, s: step - s.steps,
    families.stretch: lambda step, s: s.factor * step,
    families.every: lambda step, s: s.interval * step,
}
