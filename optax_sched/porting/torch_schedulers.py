"""torch's schedulers: alone, one after another, and several at once."""

import math
from collections.abc import Callable
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.schedule import Schedule
from optax_sched._optax.plateau import plateau
from optax_sched.porting.reading import Part, Settings, steps, tidy
from optax_sched.porting.simplify import interpolated, joined, powered, seen, stairs, waves
from optax_sched.porting.transformers_schedules import lambda_lr

MODULE = "torch.optim.lr_scheduler"
_APART = "port its parts, and join or multiply them as you mean it"


def multi_step_lr(it: Part) -> Schedule:
    milestones = it.values["milestones"].elements()
    return stairs(it.rate, [(it.whole("milestones", 0, at), it["gamma"]) for at in milestones])


def constant_lr(it: Part) -> Schedule:
    if it["factor"] == 1:
        return ours.constant(it.rate)
    return ours.piecewise_constant([tidy(it["factor"] * it.rate), it.rate], [it.whole("total_iters")])


def linear_lr(it: Part) -> Schedule:
    start, end = tidy(it["start_factor"] * it.rate), tidy(it["end_factor"] * it.rate)
    total = it.whole("total_iters", 0)
    # Over no steps torch stays where it starts.
    return ours.linear(start, end, total) if total else ours.constant(start)


def polynomial_lr(it: Part) -> Schedule:
    total = it.whole("total_iters", 0)
    return powered(it.rate, total, 0.0, it["power"]) if total else ours.constant(it.rate)


def cosine_annealing_warm_restarts(it: Part) -> Schedule:
    mult = it.whole("T_mult")
    return ours.cosine_restarts(it.rate, it.whole("T_0"), it["eta_min"], mult if mult > 1 else None)


def cyclic_lr(it: Part) -> Schedule:
    if it.values["_scale_fn_custom"] is not None:
        remedy = "multiply(cyclic(0.0, height, steps_up), scale), with scale as a function of the step"
        it.refuse("scale_fn", "None", remedy, got=it.values["_scale_fn_custom"])
    total = it["total_size"]
    up = steps(it["step_ratio"] * total)
    down = steps(total - up)
    scales = {"triangular": (), "triangular2": (0.5,), "exp_range": (1.0, it["gamma"])}
    height, mode = it.of_group("max_lrs"), it.values["mode"]
    return ours.cyclic(it.rate, height, up, None if down == up else down, *scales[mode])


def one_cycle_lr(it: Part) -> Schedule:
    if math.inf > it.until > it["total_steps"]:
        it.refuse("total_steps", f"{it.until} or more, as it is used")
    low, peak, last = (it.group[name] for name in ("initial_lr", "max_lr", "min_lr"))
    shape = {"cos": "cosine", "linear": "linear"}[it.values["_anneal_func_type"]]
    # The ends of the phases are steps after which torch goes to the next; the last is at N - 1.
    ends = [steps(it.number("pct_start", phase["end_step"])) for phase in it.values["_schedule_phases"]]
    heights = [low, peak, last] if len(ends) == 2 else [low, peak, low, last]
    knots = list(zip([0, *ends], heights, strict=True))
    if ends[-1] == 0:
        return ours.constant(last)
    # torch never comes to a phase that begins at its end or later.
    knots = [knot for i, knot in enumerate(knots) if i < 2 or knots[i - 1][0] < ends[-1]]
    # Where the rise ends before step 0, the rate begins within the fall.
    while len(knots) > 2 and knots[1][0] < 0:
        knots = knots[1:]
    ahead = -knots[0][0]
    values, times = [value for _, value in knots], [steps(time + ahead) for time, _ in knots[1:]]
    made = interpolated(values, times, shape)
    return ours.shift(made, ahead) if ahead else made


def on_plateau(scheduler: object, group: int) -> Any:
    it = Part(scheduler, group, rate=0.0)  # it keeps none
    first = rate = it.group["lr"]
    if it["last_epoch"] > 0:
        # It keeps no record of the rate that it began with: the optimizer's own is it, if cuts lead
        # from there to the present one.
        first = it.number("lr", it.values["optimizer"].defaults["lr"])
        if rate not in _cuts(it, first):
            remedy = "port it before its first step"
            it.refuse("optimizer", "at its first rate or at a cut of it", remedy, got=rate)
    return closed_loop(it, first, first)


def closed_loop(it: Part, schedule: object, first: float, **more: object) -> Any:
    """The settings of torch's plateau on a schedule whose rate, when it starts to watch, is `first`."""
    floor = it.of_group("min_lrs")
    if it["eps"] > 0 and floor < first:
        floor = tidy(_cuts(it, first)[-1])
    names = "factor", "patience", "threshold", "cooldown"
    settings: dict[str, Any] = {name: it[name] for name in names}
    settings |= {name: it.values[name] for name in ("threshold_mode", "mode")}
    return plateau(schedule, min_value=floor, **settings, **more)


def _cuts(it: Part, rate: float) -> list[float]:
    """The rates that torch's plateau goes through, which makes no cut by `eps` or less."""
    factor, floor, least, rates = it["factor"], it.of_group("min_lrs"), it["eps"], [rate]
    while rates[-1] - max(rates[-1] * factor, floor) > least and len(rates) < 1_000_000:
        rates.append(max(rates[-1] * factor, floor))
    return rates


# What multiplies the rate as it stands, from step to step.
FACTORS: dict[str, Callable[[Part], Schedule]] = {
    "StepLR": lambda it: ours.step_decay(it.rate, it.whole("step_size"), it.gamma),
    "MultiStepLR": multi_step_lr,
    "ConstantLR": constant_lr,
    "LinearLR": linear_lr,
    "ExponentialLR": lambda it: ours.exponential_decay(it.rate, 1, it.gamma),
    "PolynomialLR": polynomial_lr,
    "CosineAnnealingLR": lambda it: waves(it.rate, it.steps("T_max"), 1, it["eta_min"], it.until),
}
# What is made of no others: these, and what sets the rate anew at every step.
SINGLE: dict[str, Callable[[Part], Schedule]] = {
    **FACTORS,
    "CosineAnnealingWarmRestarts": cosine_annealing_warm_restarts,
    "CyclicLR": cyclic_lr,
    "OneCycleLR": one_cycle_lr,
    "LambdaLR": lambda_lr,
}


def _alone(scheduler: object, group: int) -> Schedule:
    it, name = Part(scheduler, group), type(scheduler).__qualname__
    made, step, rate = SINGLE[name](it), it["last_epoch"], it.group["lr"]
    # A factor goes on from the rate as it is, which must be where ours comes, until ours holds its end.
    goes_on = name in FACTORS and 0 < step <= getattr(scheduler, "T_max", step)
    if goes_on and abs(float(made(step)) - rate) > 1e-4 * rate + 1e-6 * it.rate:
        remedy = "something else changed it: port a new scheduler, made with the rate you mean"
        it.refuse("optimizer", "at the rate that this scheduler alone gives it", remedy, got=rate)
    return made


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
        it.until = stop - start
        made.append((start, SINGLE[name](it)))
    return joined(made)


def _chain(scheduler: Any, group: int) -> Schedule:
    """The product of the factors."""
    made: list[Schedule] = []
    for part in scheduler._schedulers:
        name = _single(part)
        it = Part(part, group, rate=1.0 if made else None)
        is_factor = name in FACTORS and getattr(part, "eta_min", 0) == 0
        if len(scheduler._schedulers) > 1 and not is_factor:
            rule = "a scheduler that multiplies the rate, a cosine with an eta_min of 0"
            it.refuse("step", rule, _APART, got=name)
        made.append(SINGLE[name](it))
    return ours.multiply(*made) if len(made) > 1 else made[0]


def _single(scheduler: object) -> str:
    """The name of a class of torch's that is made of no others; else it is refused."""
    kind, name = type(scheduler), type(scheduler).__qualname__
    if kind.__module__ != MODULE or name not in SINGLE:
        rule = f"of a class in {MODULE} that is made of no others, and no plateau"
        Settings(scheduler).refuse("step", rule, _APART, got=f"{kind.__module__}.{name}")
    return name


# The schedule of one parameter group, by the name of the class.
PORTERS: dict[str, Callable[[Any, int], Any]] = {
    **dict.fromkeys(SINGLE, _alone),
    "SequentialLR": _sequence,
    "ChainedScheduler": _chain,
    "ReduceLROnPlateau": on_plateau,
}
