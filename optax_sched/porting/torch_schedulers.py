"""torch's schedulers that stand alone."""

import math
from collections.abc import Callable
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.schedule import Schedule
from optax_sched._optax.plateau import plateau
from optax_sched.porting.reading import Settings, steps, tidy
from optax_sched.porting.simplify import cosine, powered, stairs


class Part(Settings):
    """A scheduler of torch as one parameter group sees it, alone or in a sequence.

    `rate` is what its formula starts from, `until` the step at which the part after it takes over, and
    `is_later` says that it has a part before it.
    """

    until = math.inf
    is_later = False

    def __init__(self, scheduler: Any, group: int, rate: float | None = None):
        super().__init__(scheduler)
        self.index = group
        self.group = Settings(scheduler, scheduler.optimizer.param_groups[group])
        self.rate = self.of_group("base_lrs") if rate is None else rate

    def of_group(self, name: str) -> float:
        return self.number(name, self.raw(name)[self.index])

    @property
    def gamma(self) -> float:
        gamma = self["gamma"]
        if not 0 < gamma <= 1:
            self.refuse("gamma", "a factor in (0, 1]")
        return gamma


def multi_step_lr(it: Part) -> Schedule:
    gamma, milestones = it.gamma, it.raw("milestones").elements()
    return stairs(it.rate, gamma, [it.whole("milestones", 0, milestone) for milestone in milestones])


def constant_lr(it: Part) -> Schedule:
    factor, total = it["factor"], it.whole("total_iters", 0)
    if factor == 0:
        it.refuse("factor", "more than 0", "torch divides by it at total_iters")
    if factor == 1:
        return ours.constant(it.rate)
    if total == 0:  # torch never comes to drop the factor, or has never had it
        return ours.constant(it.rate if it.is_later else tidy(factor * it.rate))
    return ours.piecewise_constant([tidy(factor * it.rate), it.rate], [total])


def linear_lr(it: Part) -> Schedule:
    start, end = tidy(it["start_factor"] * it.rate), tidy(it["end_factor"] * it.rate)
    total = it.whole("total_iters", int(it.is_later))
    # Over no steps torch stays where it starts.
    return ours.linear(start, end, total) if total else ours.constant(start)


def polynomial_lr(it: Part) -> Schedule:
    total = it.whole("total_iters", int(it.is_later))
    return powered(it.rate, total, 0.0, it["power"]) if total else ours.constant(it.rate)


def waves(rate: float, length: float, half_waves: float, end: float, until: float) -> Schedule:
    """Cosine waves over `length` steps, which go on where they are used for longer."""
    times = math.ceil(until / length) if 0 < length < until < math.inf else 1
    if times * half_waves == 1:
        return cosine(rate, length, end)
    return ours.cosine_waves(rate, steps(times * length), times * half_waves, end)


def cosine_annealing_warm_restarts(it: Part) -> Schedule:
    mult = it.whole("T_mult")
    return ours.cosine_restarts(it.rate, it.whole("T_0"), it["eta_min"], mult if mult > 1 else None)


def cyclic_lr(it: Part) -> Schedule:
    if it.raw("_scale_fn_custom") is not None:
        remedy = "multiply(cyclic(0.0, height, steps_up), scale), with scale as a function of the step"
        it.refuse("scale_fn", "None", remedy, got=it.raw("_scale_fn_custom"))
    total = it["total_size"]
    up = steps(it["step_ratio"] * total)
    down = steps(total - up)
    mode = it.raw("mode")
    if mode not in ("triangular", "triangular2", "exp_range"):
        it.refuse("mode", "'triangular', 'triangular2' or 'exp_range'")
    scales = 0.5 if mode == "triangular2" else 1.0, it.gamma if mode == "exp_range" else 1.0
    return ours.cyclic(it.rate, it.of_group("max_lrs"), up, None if down == up else down, *scales)


def one_cycle_lr(it: Part) -> Schedule:
    if math.inf > it.until > it["total_steps"]:
        it.refuse("total_steps", f"{it.until} or more, as it is used")
    low, peak, last = (it.group[name] for name in ("initial_lr", "max_lr", "min_lr"))
    # The ends of the phases are steps after which torch goes to the next; the last is at N - 1.
    ends = [steps(it.number("pct_start", phase["end_step"])) for phase in it.raw("_schedule_phases")]
    shape: Any = {"cos": "cosine", "linear": "linear"}.get(it.raw("_anneal_func_type"))
    if shape is None:
        it.refuse("anneal_strategy", "'cos' or 'linear'", got=it.raw("_anneal_func_type"))
    heights = [low, peak, last] if len(ends) == 2 else [low, peak, low, last]
    knots = list(zip([0, *ends], heights, strict=True))
    total = ends[-1]
    if total == 0:
        return ours.constant(last)
    # torch never comes to a phase that begins at its end or later.
    knots = [knot for i, knot in enumerate(knots) if i < 2 or knots[i - 1][0] < total]
    whole_plan = len(knots) == len(ends) + 1 and (len(ends) == 2 or 2 * ends[0] < total)
    if whole_plan and ends[0] > 0 and min(low, last) > 0:
        div, final = tidy(peak / low), tidy(low / last)
        return ours.one_cycle(peak, total, ends[0] / total, div, final, len(ends) == 3, shape)
    # Where the rise ends before step 0, the rate begins within the fall.
    while len(knots) > 2 and knots[1][0] < 0:
        knots = knots[1:]
    ahead = -knots[0][0]
    values, times = [value for _, value in knots], [steps(time + ahead) for time, _ in knots[1:]]
    made = ours.piecewise_interpolate(values, times, shape)
    return ours.shift(made, ahead) if ahead else made


def on_plateau(scheduler: object, group: int) -> Any:
    it = Part(scheduler, group, rate=0.0)  # it keeps none
    floor = it.of_group("min_lrs")
    first = rate = it.group["lr"]
    if it["last_epoch"] > 0:
        # It keeps no record of the rate that it began with: the optimizer's own is it, if cuts lead
        # from there to the present one.
        first = it.number("lr", it.raw("optimizer").defaults["lr"])
        if rate not in _cuts(first, it["factor"], floor, it["eps"]):
            remedy = "port it before its first step"
            it.refuse("optimizer", "at its first rate or at a cut of it", remedy, got=rate)
    return closed_loop(it, first, first, floor)


def closed_loop(it: Settings, schedule: object, first: float, floor: float, **more: object) -> Any:
    """The settings of torch's plateau on a schedule whose rate, when it starts to watch, is `first`."""
    factor, least = it["factor"], it["eps"]
    if least > 0 and floor < first:  # torch makes no cut by less: the last that it makes is the floor
        floor = tidy(_cuts(first, factor, floor, least)[-1])
    settings: dict[str, Any] = {name: it.whole(name, 0) for name in ("patience", "cooldown")}
    settings |= {name: it.raw(name) for name in ("threshold_mode", "mode")}
    return plateau(schedule, factor, threshold=it["threshold"], min_value=floor, **settings, **more)


def _cuts(rate: float, factor: float, floor: float, least: float) -> list[float]:
    """The rates that torch's plateau goes through."""
    rates = [rate]
    while len(rates) < 1_000_000:
        lower = max(rates[-1] * factor, floor)
        if not rates[-1] - lower > least or not 0 < factor < 1:
            break
        rates.append(lower)
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
# What sets it anew at every step.
RATES: dict[str, Callable[[Part], Any]] = {
    "CosineAnnealingWarmRestarts": cosine_annealing_warm_restarts,
    "CyclicLR": cyclic_lr,
    "OneCycleLR": one_cycle_lr,
}
