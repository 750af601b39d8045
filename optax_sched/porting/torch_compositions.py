"""torch's schedulers as `port` meets them: alone, one after another, and several at once."""

from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import Settings
from optax_sched.porting.simplify import joined, seen
from optax_sched.porting.torch_schedulers import FACTORS, RATES, Part, on_plateau
from optax_sched.porting.transformers_schedules import lambda_lr

MODULE = "torch.optim.lr_scheduler"
SINGLE = {**FACTORS, **RATES, "LambdaLR": lambda_lr}
_APART = "port its parts, and join or multiply them as you mean it"


def ported(scheduler: Any) -> list[Any]:
    """What a scheduler of torch does to the rate of each parameter group."""
    porter = WHOLE.get(type(scheduler).__qualname__, _alone)
    return [porter(scheduler, group) for group in range(len(scheduler.optimizer.param_groups))]


def _alone(scheduler: object, group: int) -> Any:
    name = type(scheduler).__qualname__
    it = Part(scheduler, group)
    made = SINGLE[name](it)
    if name in FACTORS and not _stands_at(it, made):
        rule = "at the rate that this scheduler alone gives it"
        remedy = "something else changed it: port a scheduler of its own, made with the rate you mean"
        it.refuse("optimizer", rule, remedy, got=it.group["lr"])
    return made


def _stands_at(it: Part, made: Schedule) -> bool:
    """Whether a stepped scheduler, which goes on from the rate as it is, has come where ours comes."""
    step = it["last_epoch"]
    if step <= 0 or step > it.number("T_max", getattr(it.source, "T_max", step)):  # there ours holds
        return True
    return abs(float(made(step)) - it.group["lr"]) <= 1e-4 * it.group["lr"] + 1e-6 * it.rate


def _sequence(scheduler: Any, group: int) -> Schedule:
    """Each part starts anew at its milestone, from its own base rate."""
    whole = Settings(scheduler, {"milestones": scheduler._milestones})
    starts = [0, *(whole.whole("milestones", 0, it) for it in whole.increasing("milestones"))]
    made = []
    for start, stop, part in seen(starts, scheduler._schedulers):
        name = _single(part)
        # torch's constructor sets the rate back before the first part starts.
        first = Settings(part, part.optimizer.param_groups[group])["initial_lr"] if start == 0 else None
        it = Part(part, group, first if name in FACTORS else None)
        it.until, it.is_later = stop - start, start > 0
        made.append((start, SINGLE[name](it)))
    return joined([part for _, part in made], [start for start, _ in made[1:]])


def _chain(scheduler: Any, group: int) -> Schedule:
    """The product of the factors."""
    made: list[Schedule] = []
    for part in scheduler._schedulers:
        name = _single(part)
        it = Part(part, group, rate=1.0 if made else None)
        if len(scheduler._schedulers) > 1:
            if name not in FACTORS:
                rule = "a scheduler that multiplies the rate, which one that sets it anew does not"
                it.refuse("step", rule, _APART, got=name)
            if getattr(part, "eta_min", 0) != 0:
                it.refuse("eta_min", "0 in a ChainedScheduler", _APART)
        made.append(SINGLE[name](it))
    return ours.multiply(*made) if len(made) > 1 else made[0]


def _single(scheduler: object) -> str:
    """The name of a class of torch's that is made of no others; else it is refused."""
    kind, name = type(scheduler), type(scheduler).__qualname__
    if kind.__module__ != MODULE:
        rule = f"that of a class in {MODULE}"
        Settings(scheduler).refuse("step", rule, got=f"{kind.__module__}.{name}")
    if name not in SINGLE:
        rule = "of a scheduler that is made of no others, and no plateau"
        Settings(scheduler).refuse("step", rule, _APART, got=name)
    return name


# What can be no part of another.
WHOLE = {"ReduceLROnPlateau": on_plateau, "SequentialLR": _sequence, "ChainedScheduler": _chain}
