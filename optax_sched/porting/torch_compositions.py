"""torch's schedulers made of others: one after another, and several at once."""

from typing import Any

from optax_sched._core.arithmetic import multiply
from optax_sched._core.schedule import Schedule
from optax_sched._schedules.retime import shift
from optax_sched.porting.reading import number, refuse, tidy, whole
from optax_sched.porting.simplify import joined
from optax_sched.porting.torch_schedulers import (
    FACTORS,
    RATES,
    Factors,
    base_rate,
    reduce_lr_on_plateau,
    waves,
)
from optax_sched.porting.transformers_schedules import lambda_lr

MODULE = "torch.optim.lr_scheduler"
IN_CHAIN = "port its parts, and join or multiply them as you mean it"


def ported(scheduler: Any) -> list[Any]:
    """What a scheduler of torch does to the rate of each parameter group."""
    groups = range(len(scheduler.optimizer.param_groups))
    if _name(scheduler) == "ReduceLROnPlateau":
        return [reduce_lr_on_plateau(scheduler, group) for group in groups]
    return [_whole(scheduler, group) for group in groups]


def _whole(scheduler: Any, group: int, until: int | None = None, depth: int = 0) -> Schedule:
    """A scheduler from step 0 on, perhaps the first part of others `depth` levels deep.

    `until` is the step at which the part that follows takes over.
    """
    name = _name(scheduler)
    if name == "SequentialLR":
        return _sequence(scheduler, group, until, depth)
    if name == "ChainedScheduler":
        return _chain(scheduler, group, until, depth)
    if name in FACTORS:
        rate = base_rate(scheduler, group)
        if depth:  # the outermost sets the rate back before it starts
            rate = _initial_rate(scheduler, group)
        factors = FACTORS[name](scheduler)
        if depth > 1:
            rate = tidy(factors.stepped_twice(rate))
        return _used(factors, rate, until)
    return _rates(scheduler, group, until)


def _sequence(scheduler: Any, group: int, until: int | None, depth: int) -> Schedule:
    parts = [it for it in _parts(scheduler, depth) if until is None or it[0] < until]
    stops = [*(start for start, _ in parts[1:]), until]
    schedules = [_whole(parts[0][1], group, stops[0], depth + 1)]
    for (start, part), stop in zip(parts[1:], stops[1:], strict=True):
        length = None if stop is None else stop - start
        schedules.append(_later(part, group, length))
    return joined(schedules, [start for start, _ in parts[1:]])


def _later(scheduler: Any, group: int, until: int | None) -> Schedule:
    """A part from its milestone on, where torch starts it anew from its own base rate."""
    name = _name(scheduler)
    _refuse_nested(scheduler)
    if name in FACTORS:
        factors = FACTORS[name](scheduler, is_later=True)
        return _used(factors, base_rate(scheduler, group), until)
    return _rates(scheduler, group, until)


def _parts(scheduler: Any, depth: int) -> list[tuple[int, Any]]:
    """The parts that are ever used, with the step at which each begins.

    torch's constructor of an outer scheduler steps an inner sequence without setting its clock back:
    its milestones come one step early for each level.
    """
    milestones = [whole(scheduler, "milestones", it, 0) for it in scheduler._milestones]
    if milestones != sorted(milestones):
        refuse(scheduler, "milestones", "in order", scheduler._milestones)
    if depth and milestones and milestones[0] <= depth:
        refuse(scheduler, "milestones", f"more than {depth} within another scheduler", milestones)
    starts = [0, *(milestone - depth for milestone in milestones)]
    parts = list(zip(starts, scheduler._schedulers, strict=True))
    following = [*starts[1:], None]
    return [part for part, stop in zip(parts, following, strict=True) if part[0] != stop]


def _used(factors: Factors, rate: float, until: float | None) -> Schedule:
    """The factors on a rate, a wave for as long as it is used."""
    if factors.period is not None and until is not None and until > factors.period:
        return waves(rate, factors.period, 1, factors.floor, until)
    return factors.build(rate)


def _rates(scheduler: Any, group: int, until: int | None) -> Schedule:
    """A scheduler that sets the rate anew at every step."""
    name = _name(scheduler)
    if name == "LambdaLR":
        return lambda_lr(scheduler, group, until)
    if name == "OneCycleLR" and until is not None and until > scheduler.total_steps:
        refuse(scheduler, "total_steps", f"{until} or more, as it is used", scheduler.total_steps)
    if name in RATES:
        return RATES[name](scheduler, group)
    refuse(scheduler, "step", "of a scheduler that port knows within others", name)


def _chain(scheduler: Any, group: int, until: int | None, depth: int) -> Schedule:
    """The product of the factors, except that a sequence in it sets the rate anew at its milestones."""
    members = _flat(scheduler)
    if len(members) == 1:
        # Within another scheduler it is stepped by the chain, not started.
        inner = bool(depth) and _name(members[0]) in FACTORS
        return _whole(members[0], group, until, depth + inner)
    sequences = [it for it in members if _name(it) == "SequentialLR"]
    if len(sequences) > 1 or (sequences and depth):
        refuse(
            scheduler,
            "schedulers",
            "without a second SequentialLR around or in it",
            list(map(_name, members)),
            IN_CHAIN,
        )
    if not sequences:
        factors = [_factors(it, until) for it in members]
        rate = _initial_rate(members[0], group) if depth else base_rate(members[0], group)
        if depth:
            for it in factors:
                rate = it.stepped_twice(rate)
        return _product(factors, tidy(rate))
    return _chain_with_a_sequence(members, sequences[0], group)


def _chain_with_a_sequence(members: list[Any], inner: Any, group: int) -> Schedule:
    place = members.index(inner)
    parts = _parts(inner, 0)
    others = [(i, it, _factors(it, None)) for i, it in enumerate(members) if i != place]
    for _, it, factors in others:
        if factors.at(0) != 1:
            rule = "one that begins at the optimizer's rate, beside a SequentialLR"
            refuse(it, "optimizer", rule, _name(it), IN_CHAIN)
    stops = [*(start for start, _ in parts[1:]), None]
    schedules = []
    for (start, part), stop in zip(parts, stops, strict=True):
        _refuse_nested(part)
        length = None if stop is None else stop - start
        factors = _factors(part, length, is_later=start > 0)
        rate = base_rate(part, group) if start else _initial_rate(part, group)
        running = []
        for i, it, other in others:
            # At a milestone the sequence wipes out what the schedulers before it have done.
            wiped = other.at(start if i < place else max(start - 1, 0))
            if wiped == 0:
                refuse(
                    it,
                    "optimizer",
                    f"one that is not at 0 at the milestone {start}",
                    _name(it),
                    IN_CHAIN,
                )
            if start and other.memoryless:
                running.append(other)
                rate *= other.at(start) / wiped
            else:
                rate /= wiped
                running.append(other._replace(build=_from(other, start)) if start else other)
        schedules.append(_product([factors, *running], tidy(rate)))
    return joined(schedules, [start for start, _ in parts[1:]])


def _from(factors: Factors, start: int) -> Any:
    return lambda rate: shift(factors.build(rate), start)


def _product(factors: list[Factors], rate: float) -> Schedule:
    first, *rest = factors
    return multiply(first.build(rate), *(it.build(1.0) for it in rest))


def _factors(scheduler: Any, until: int | None, *, is_later: bool = False) -> Factors:
    """The factors of a scheduler that is not alone."""
    name = _name(scheduler)
    if name not in FACTORS:
        rule = (
            "a scheduler that multiplies the rate, which one that sets it anew at every step does not"
        )
        refuse(scheduler, "step", rule, name, IN_CHAIN)
    factors = FACTORS[name](scheduler, is_later=is_later)
    if factors.floor != 0:
        refuse(scheduler, "eta_min", "0 in a ChainedScheduler", scheduler.eta_min, IN_CHAIN)
    if factors.period is not None and until is not None and until > factors.period:
        refuse(scheduler, "T_max", f"{until} or more, as it is used", scheduler.T_max, IN_CHAIN)
    return factors


def _flat(scheduler: Any) -> list[Any]:
    if _name(scheduler) != "ChainedScheduler":
        return [scheduler]
    return [member for part in scheduler._schedulers for member in _flat(part)]


def _refuse_nested(scheduler: Any) -> None:
    if _name(scheduler) in ("SequentialLR", "ChainedScheduler"):
        rule = "the first part of the scheduler around it: torch raises NotImplementedError later"
        refuse(scheduler, "schedulers", rule, _name(scheduler), IN_CHAIN)


def _initial_rate(scheduler: Any, group: int) -> float:
    return number(scheduler, "initial_lr", scheduler.optimizer.param_groups[group]["initial_lr"])


def _name(scheduler: Any) -> str:
    """The name of one of torch's own classes; else it is refused."""
    kind = type(scheduler)
    if kind.__module__ != MODULE:
        refuse(
            scheduler, "step", f"that of a class in {MODULE}", f"{kind.__module__}.{kind.__qualname__}"
        )
    return kind.__qualname__
