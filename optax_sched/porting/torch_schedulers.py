"""torch's schedulers that stand alone, as factors of the rate or as rates."""

import collections
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from optax_sched._core.operands import constant
from optax_sched._core.schedule import Schedule
from optax_sched._optax.plateau import plateau
from optax_sched._schedules.by_factors import exponential_decay, multistep_decay, step_decay
from optax_sched._schedules.cyclic import cosine_restarts, cyclic, one_cycle
from optax_sched._schedules.decays import cosine_waves, linear, polynomial_decay
from optax_sched._schedules.piecewise import piecewise_constant, piecewise_interpolate
from optax_sched._schedules.retime import shift
from optax_sched.porting.curves import half_cosine
from optax_sched.porting.reading import number, refuse, steps, tidy, whole


class Factors(NamedTuple):
    """A scheduler that multiplies the rate as it stands, from step to step."""

    build: Callable[[float], Schedule]  # from the rate that it starts with
    at: Callable[[int], float]  # the factor of that rate at a step
    # torch calls a first step twice where the scheduler is in another one: the rate after it
    stepped_twice: Callable[[float], float] = lambda rate: rate
    memoryless: bool = False  # whether it goes on from any step as from its first
    period: float | None = None  # where a wave turns and rises again
    floor: float = 0.0  # what it multiplies the distance to, in place of the rate


def step_lr(scheduler: Any, *, is_later: bool = False) -> Factors:
    size, gamma = whole(scheduler, "step_size", scheduler.step_size), _gamma(scheduler)
    return Factors(lambda rate: step_decay(rate, size, gamma), lambda t: gamma ** (t // size))


def multi_step_lr(scheduler: Any, *, is_later: bool = False) -> Factors:
    gamma, counts = _gamma(scheduler), collections.Counter[int]()
    for milestone, count in scheduler.milestones.items():
        counts[whole(scheduler, "milestones", milestone, 0)] += count
    at_once = gamma ** counts.pop(0, 0)
    boundaries = sorted(counts)
    factors = [tidy(gamma ** counts[boundary]) for boundary in boundaries]
    same = set(counts.values()) == {1}

    def build(rate: float) -> Schedule:
        if not boundaries:
            return constant(rate * at_once)
        return multistep_decay(tidy(rate * at_once), boundaries, gamma if same else factors)

    return Factors(build, lambda t: at_once * gamma ** sum(n for b, n in counts.items() if b <= t))


def constant_lr(scheduler: Any, *, is_later: bool = False) -> Factors:
    factor = number(scheduler, "factor", scheduler.factor)
    total = whole(scheduler, "total_iters", scheduler.total_iters, 0)
    if factor == 0:
        refuse(scheduler, "factor", "more than 0", factor, "torch divides by it at total_iters")
    if factor == 1:
        return Factors(constant, lambda _: 1.0)
    if total == 0:  # torch never comes to drop the factor, or has never had it
        kept = 1.0 if is_later else factor
        return Factors(lambda rate: constant(tidy(kept * rate)), lambda _: kept)
    return Factors(
        lambda rate: piecewise_constant([tidy(factor * rate), rate], [total]),
        lambda t: factor if t < total else 1.0,
    )


def linear_lr(scheduler: Any, *, is_later: bool = False) -> Factors:
    start = number(scheduler, "start_factor", scheduler.start_factor)
    end = number(scheduler, "end_factor", scheduler.end_factor)
    total = whole(scheduler, "total_iters", scheduler.total_iters, 1 if is_later else 0)
    if total == 0:  # torch stays where it starts
        return Factors(lambda rate: constant(tidy(start * rate)), lambda _: start)
    return Factors(
        lambda rate: linear(tidy(start * rate), tidy(end * rate), total),
        lambda t: start + (end - start) * min(t, total) / total,
    )


def exponential_lr(scheduler: Any, *, is_later: bool = False) -> Factors:
    gamma = _gamma(scheduler)
    return Factors(
        lambda rate: exponential_decay(rate, 1, gamma),
        lambda t: gamma**t,
        stepped_twice=lambda rate: rate * gamma,
        memoryless=True,
    )


def polynomial_lr(scheduler: Any, *, is_later: bool = False) -> Factors:
    total = whole(scheduler, "total_iters", scheduler.total_iters, 1 if is_later else 0)
    power = number(scheduler, "power", scheduler.power)
    if total == 0:
        return Factors(constant, lambda _: 1.0)

    def build(rate: float) -> Schedule:
        if power == 1:
            return linear(rate, 0.0, total)
        return polynomial_decay(rate, total, power=power)

    return Factors(
        build,
        lambda t: (1 - min(t, total) / total) ** power,
        stepped_twice=lambda rate: rate * (total / (total + 1)) ** power,
    )


def cosine_annealing_lr(scheduler: Any, *, is_later: bool = False) -> Factors:
    length = steps(number(scheduler, "T_max", scheduler.T_max))
    floor = number(scheduler, "eta_min", scheduler.eta_min)

    def stepped_twice(rate: float) -> float:
        if length == 1:
            return 2 * rate - floor
        return floor + (rate - floor) * 2 / (1 + math.cos(math.pi / length))

    return Factors(
        lambda rate: half_cosine(rate, length, floor),
        lambda t: (1 + math.cos(math.pi * t / length)) / 2,
        stepped_twice,
        period=length,
        floor=floor,
    )


def waves(rate: float, length: float, half_waves: float, end: float, until: float | None) -> Schedule:
    """Cosine waves over `length` steps, which go on where they are used for longer."""
    times = 1 if until is None else max(1, math.ceil(until / length))
    if times * half_waves == 1:
        return half_cosine(rate, length, end)
    return cosine_waves(rate, steps(times * length), times * half_waves, end)


def cosine_annealing_warm_restarts(scheduler: Any, group: int) -> Schedule:
    mult = whole(scheduler, "T_mult", scheduler.T_mult)
    first = whole(scheduler, "T_0", scheduler.T_0)
    floor = number(scheduler, "eta_min", scheduler.eta_min)
    rate = base_rate(scheduler, group)
    if floor > rate:
        refuse(scheduler, "eta_min", f"at most the rate, {rate}", scheduler.eta_min)
    return cosine_restarts(rate, first, floor, mult if mult > 1 else None)


def cyclic_lr(scheduler: Any, group: int) -> Schedule:
    if scheduler._scale_fn_custom is not None:
        remedy = "multiply(cyclic(0.0, height, steps_up), scale), with scale as a function of the step"
        refuse(scheduler, "scale_fn", "None", scheduler._scale_fn_custom, remedy)
    total = number(scheduler, "total_size", scheduler.total_size)
    up = steps(scheduler.step_ratio * total)
    down = steps(total - up)
    match scheduler.mode:
        case "triangular":
            scales = {}
        case "triangular2":
            scales = {"cycle_scale": 0.5}
        case "exp_range":
            scales = {"step_scale": _gamma(scheduler)}
        case mode:
            refuse(scheduler, "mode", "'triangular', 'triangular2' or 'exp_range'", mode)
    peak = number(scheduler, "max_lr", scheduler.max_lrs[group])
    return cyclic(base_rate(scheduler, group), peak, up, None if down == up else down, **scales)


def one_cycle_lr(scheduler: Any, group: int) -> Schedule:
    settings = scheduler.optimizer.param_groups[group]
    low, peak, last = (
        number(scheduler, name, settings[name]) for name in ("initial_lr", "max_lr", "min_lr")
    )
    # The ends of the phases are steps after which torch goes to the next; the last is at N - 1.
    ends = [steps(number(scheduler, "pct_start", it["end_step"])) for it in scheduler._schedule_phases]
    shape: Any = {"cos": "cosine", "linear": "linear"}.get(scheduler._anneal_func_type)
    if shape is None:
        refuse(scheduler, "anneal_strategy", "'cos' or 'linear'", scheduler._anneal_func_type)
    knots = list(
        zip([0, *ends], [low, peak, last] if len(ends) == 2 else [low, peak, low, last], strict=True)
    )
    total = ends[-1]
    if total == 0:
        return constant(last)
    # torch never comes to a phase that begins at its end or later.
    knots = [knot for i, knot in enumerate(knots) if i < 2 or knots[i - 1][0] < total]
    whole_plan = len(knots) == len(ends) + 1 and (len(ends) == 2 or 2 * ends[0] < total)
    if whole_plan and ends[0] > 0 and min(low, last) > 0:
        div, final = tidy(peak / low), tidy(low / last)
        return one_cycle(peak, total, ends[0] / total, div, final, len(ends) == 3, shape)
    # Where the rise ends before step 0, the rate begins within the fall.
    while len(knots) > 2 and knots[1][0] < 0:
        knots = knots[1:]
    ahead = -knots[0][0]
    values, times = [value for _, value in knots], [steps(time + ahead) for time, _ in knots[1:]]
    made = piecewise_interpolate(values, times, shape)
    return shift(made, ahead) if ahead else made


def reduce_lr_on_plateau(scheduler: Any, group: int) -> Any:
    settings = scheduler.optimizer.param_groups[group]
    factor = number(scheduler, "factor", scheduler.factor)
    floor = number(scheduler, "min_lr", scheduler.min_lrs[group])
    least = number(scheduler, "eps", scheduler.eps)
    first = rate = number(scheduler, "lr", settings["lr"])
    if scheduler.last_epoch > 0:
        # It keeps no record of the rate that it began with: the optimizer's own is it, if cuts lead
        # from there to the present one.
        first = number(scheduler, "lr", scheduler.optimizer.defaults["lr"])
        if rate not in _cuts(first, factor, floor, least):
            remedy = "port it before its first step"
            refuse(scheduler, "optimizer", "at its first rate or at a cut of it", rate, remedy)
    return closed_loop(scheduler, first, first, floor)


def closed_loop(scheduler: Any, schedule: Any, first: float, floor: float, **more: Any) -> Any:
    """The settings of torch's plateau on a schedule whose rate, when it starts to watch, is `first`."""
    factor, least = (
        number(scheduler, "factor", scheduler.factor),
        number(scheduler, "eps", scheduler.eps),
    )
    if least > 0 and floor < first:  # torch makes no cut by less: the last that it makes is the floor
        floor = tidy(_cuts(first, factor, floor, least)[-1])
    return plateau(
        schedule,
        factor,
        whole(scheduler, "patience", scheduler.patience, 0),
        number(scheduler, "threshold", scheduler.threshold),
        scheduler.threshold_mode,
        scheduler.mode,
        whole(scheduler, "cooldown", scheduler.cooldown, 0),
        min_value=floor,
        **more,
    )


def _cuts(rate: float, factor: float, floor: float, least: float) -> list[float]:
    """The rates that torch's plateau goes through."""
    rates = [rate]
    while len(rates) < 1_000_000:
        lower = max(rates[-1] * factor, floor)
        if not rates[-1] - lower > least or not 0 < factor < 1:
            break
        rates.append(lower)
    return rates


def base_rate(scheduler: Any, group: int) -> float:
    """The rate that the scheduler's formula starts from."""
    return number(scheduler, "base_lrs", scheduler.base_lrs[group])


def _gamma(scheduler: Any) -> float:
    gamma = number(scheduler, "gamma", scheduler.gamma)
    if not 0 < gamma <= 1:
        refuse(scheduler, "gamma", "a factor in (0, 1]", gamma)
    return gamma


FACTORS: dict[str, Callable[..., Factors]] = {
    "StepLR": step_lr,
    "MultiStepLR": multi_step_lr,
    "ConstantLR": constant_lr,
    "LinearLR": linear_lr,
    "ExponentialLR": exponential_lr,
    "PolynomialLR": polynomial_lr,
    "CosineAnnealingLR": cosine_annealing_lr,
}
RATES: dict[str, Callable[[Any, int], Any]] = {
    "CosineAnnealingWarmRestarts": cosine_annealing_warm_restarts,
    "CyclicLR": cyclic_lr,
    "OneCycleLR": one_cycle_lr,
}
