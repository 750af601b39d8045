"""timm's schedulers, in their own unit: epochs, or updates where they say so."""

import math
from collections.abc import Callable
from typing import Any

from optax_sched._core.arithmetic import multiply
from optax_sched._core.operands import constant
from optax_sched._core.schedule import Schedule
from optax_sched._schedules.by_factors import multistep_decay, step_decay
from optax_sched._schedules.combine import cooldown, join, warmup
from optax_sched._schedules.cyclic import cosine_restarts
from optax_sched._schedules.decays import k_decay, linear, tanh_decay
from optax_sched._schedules.power_laws import inverse_sqrt_decay, power_law_decay
from optax_sched._schedules.retime import repeat, shift
from optax_sched._schedules.shapes import k_shape, power_shape
from optax_sched._schedules.stable_recipes import wsd
from optax_sched.porting.curves import half_cosine, power_of_rest
from optax_sched.porting.reading import increasing, number, refuse, steps, tidy, whole
from optax_sched.porting.torch_schedulers import closed_loop

Curve = Callable[[float, Any], Schedule]  # from a peak and a length


class Group:
    """A scheduler as one parameter group sees it: its `lr_scale` multiplies all heights."""

    def __init__(self, scheduler: Any, group: int):
        if getattr(scheduler, "noise_range_t", None) is not None:
            refuse(
                scheduler,
                "noise_range_t",
                "None",
                scheduler.noise_range_t,
                "noisy(schedule, seed, scale)",
            )
        if scheduler.param_group_field != "lr":
            refuse(scheduler, "param_group_field", "'lr'", scheduler.param_group_field)
        self.scheduler, self.index = scheduler, group
        self.scale = self["lr_scale", scheduler.optimizer.param_groups[group].get("lr_scale", 1.0)]
        self.peak = tidy(self.scale * self["base_values", scheduler.base_values[group]])
        self.warm = steps(self["warmup_t"])
        self.start = tidy(self.scale * self["warmup_lr_init"])

    def __getitem__(self, name: Any) -> Any:
        name, value = name if isinstance(name, tuple) else (name, getattr(self.scheduler, name))
        return number(self.scheduler, name, value)

    @property
    def low(self) -> float:
        return tidy(self.scale * self["lr_min"])

    def low_below(self, peak: float) -> float:
        if self.low > peak:
            refuse(self.scheduler, "lr_min", f"at most {peak}, from where it falls", self["lr_min"])
        return self.low

    def warmed(self, curve: Schedule, at_once: float | None = None) -> Schedule:
        """The curve with timm's warm-up, which rises to the base rate, not to the curve.

        With a prefix the curve begins after it, otherwise it has been running meanwhile. `at_once` is
        the curve's first value where it is not the base rate.
        """
        if not self.warm:
            return curve
        if not self.scheduler.warmup_prefix:
            return self._rise_then(shift(curve, self.warm))
        if at_once is not None:
            return self._rise_then(curve)
        return warmup(curve, self.warm, self.start)

    def _rise_then(self, curve: Schedule) -> Schedule:
        return join([linear(self.start, self.peak, self.warm), curve], [self.warm])

    def cycles(self, curve: Curve) -> Schedule:
        """The curve repeated, in cycles that may grow longer and lower."""
        length, growth = steps(self["t_initial"]), steps(self["cycle_mul"])
        fall, number_of = self["cycle_decay"], whole(self.scheduler, "cycle_limit", self["cycle_limit"])
        if number_of == 1:
            return curve(self.peak, length)
        if growth >= 1 and fall > 0 and (fall == 1 or self.low == 0):
            longer = None if growth == 1 else growth
            return repeat(curve(self.peak, length), length, longer, fall, number_of)
        # timm's floor does not fall with the peaks: each cycle is a part of its own.
        lengths = [length * growth**i for i in range(number_of)]
        starts = [steps(sum(lengths[:i])) for i in range(1, number_of)]
        parts = [curve(tidy(self.peak * fall**i), steps(it)) for i, it in enumerate(lengths)]
        return join(parts, starts)


def cosine(it: Group) -> Schedule:
    k, limit, growth = it["k_decay"], it["cycle_limit"], steps(it["cycle_mul"])
    if k == 1 and limit > 1 and growth >= 1 and it["cycle_decay"] > 0:
        count = whole(it.scheduler, "cycle_limit", limit)
        longer, length = None if growth == 1 else growth, steps(it["t_initial"])
        curve = cosine_restarts(
            it.peak, length, it.low_below(it.peak), longer, it["cycle_decay"], count
        )
        return it.warmed(curve)

    def curve_of(peak: float, length: Any) -> Schedule:
        if k == 1:
            return half_cosine(peak, length, it.low)
        return k_decay(peak, length, k, it.low_below(peak))

    return it.warmed(it.cycles(curve_of))


def polynomial(it: Group) -> Schedule:
    k, power = it["k_decay"], it["power"]
    shape: Any = "linear" if power == 1 else power_shape(power)

    def curve_of(peak: float, length: Any) -> Schedule:
        if k != 1:
            return k_decay(peak, length, k, it.low_below(peak), shape)
        return power_of_rest(peak, length, it.low, power)

    return it.warmed(it.cycles(curve_of))


def tanh(it: Group) -> Schedule:
    """timm's curve begins below its peak, except at the first step of all, where it is not asked."""
    lower, upper = it["lb"], it["ub"]
    # What the curve lacks of its peak; with the usual bounds it is less than counts.
    begins_below = (1 + math.tanh(lower)) / 2 > 1e-6
    cycles = whole(it.scheduler, "cycle_limit", it["cycle_limit"])
    if begins_below and cycles > 1:
        refuse(it.scheduler, "lb", "-7 or less where there are several cycles", lower)

    def curve_of(peak: float, length: Any) -> Schedule:
        if not begins_below or not (it.warm and it.scheduler.warmup_prefix):
            return tanh_decay(peak, length, it.low_below(peak), lower, upper)
        # The same curve, begun a step earlier and read from there on.
        earlier = lower - (upper - lower) / length
        return shift(tanh_decay(peak, length + 1, it.low_below(peak), earlier, upper), 1)

    curve = it.cycles(curve_of)
    if it.warm and not it.scheduler.warmup_prefix:  # here timm rises to where the curve is then
        return warmup(shift(curve, it.warm), it.warm, it.start)
    return it.warmed(curve, it.peak / 2 if begins_below else None)


def step(it: Group) -> Schedule:
    rate = it["decay_rate"]
    if rate == 1:
        return warmup(it.peak, it.warm, it.start) if it.warm else constant(it.peak)
    return it.warmed(step_decay(it.peak, steps(it["decay_t"]), rate))


def multistep(it: Group) -> Schedule:
    """timm's milestone m is at m - 1, and the first rate of all is the optimizer's."""
    rate = it["decay_rate"]
    milestones = increasing(it.scheduler, "decay_t", it.scheduler.decay_t)
    first = 0 if it.warm else 1
    at_once = sum(milestone - 1 <= 0 for milestone in milestones) if it.warm else 0
    boundaries = [max(milestone - 1, first) for milestone in milestones][at_once:]
    # With a warm-up that the curve does not wait for, all that counts is behind it.
    once = sorted(set(boundaries))
    factors = [tidy(rate ** boundaries.count(boundary)) for boundary in once]
    height = tidy(it.peak * rate**at_once)
    if not once:
        return it.warmed(constant(height), height if at_once else None)
    same = len(once) == len(boundaries)
    curve = multistep_decay(height, once, rate if same else factors)
    return it.warmed(curve, height if at_once else None)


SHAPES: dict[str, Any] = {"linear": "linear", "1-sqrt": "sqrt", "cosine": "cosine"}


def warmup_stable_decay(it: Group) -> Schedule:
    scheduler, length, decay = it.scheduler, steps(it["t_initial"]), steps(it["decay_t"])
    shape: Any = SHAPES.get(scheduler.decay_fn) if isinstance(scheduler.decay_fn, str) else None
    if scheduler.decay_fn == "power":
        power = it["decay_power"]
        named: dict[float, Any] = {0.5: "sqrt", 1.0: "linear", 2.0: "square"}
        shape = named.get(power) or k_shape(power)
    if shape is None:
        rule = "'linear', '1-sqrt', 'cosine' or 'power'"
        remedy = "wsd and cooldown take any function as their shape"
        refuse(scheduler, "decay_fn", rule, scheduler.decay_fn, remedy)
    if it.low > it.peak:
        refuse(scheduler, "lr_min", f"at most the base rate {it.peak}", it.low)
    if scheduler.stable_fn == "constant":
        if it.start <= it.peak:
            total = it.warm + length
            return wsd(it.peak, it.warm, decay, total, it.start if it.warm else 0.0, it.low, shape)
        risen = warmup(it.peak, it.warm, it.start)
        return cooldown(risen, it.warm + length - decay, decay, it.low, shape)
    if it.low != 0:
        refuse(scheduler, "lr_min", f"0.0 where stable_fn is {scheduler.stable_fn!r}", it.low)
    scale = steps(it["stable_timescale"])
    if scheduler.stable_fn == "rsqrt":
        stable = inverse_sqrt_decay(it.peak, scale)
    elif scheduler.stable_fn == "power":
        power = it["stable_power"]
        stable = shift(power_law_decay(it.peak, tidy(it.peak * scale**power), -power), scale)
    else:
        refuse(scheduler, "stable_fn", "'constant', 'rsqrt' or 'power'", scheduler.stable_fn)
    falls = cooldown(1.0, length - decay, decay, shape=shape)
    curve = multiply(stable, falls)
    return warmup(curve, it.warm, it.start) if it.warm else curve


def on_plateau(it: Group) -> Any:
    """torch's plateau, which watches from the end of the warm-up on."""
    torchs = it.scheduler.lr_scheduler
    floor = number(torchs, "min_lr", torchs.min_lrs[it.index])
    if not it.warm:
        return closed_loop(torchs, it.peak, it.peak, floor)
    watched = whole(it.scheduler, "warmup_t", it.warm)
    risen = warmup(it.peak, it.warm, it.start)
    return closed_loop(torchs, risen, it.peak, floor, start=watched)


CURVES: dict[str, Callable[[Group], Any]] = {
    "CosineLRScheduler": cosine,
    "MultiStepLRScheduler": multistep,
    "PlateauLRScheduler": on_plateau,
    "PolyLRScheduler": polynomial,
    "StepLRScheduler": step,
    "TanhLRScheduler": tanh,
    "WSDLRScheduler": warmup_stable_decay,
}
MODULES = {
    "CosineLRScheduler": "timm.scheduler.cosine_lr",
    "MultiStepLRScheduler": "timm.scheduler.multistep_lr",
    "PlateauLRScheduler": "timm.scheduler.plateau_lr",
    "PolyLRScheduler": "timm.scheduler.poly_lr",
    "StepLRScheduler": "timm.scheduler.step_lr",
    "TanhLRScheduler": "timm.scheduler.tanh_lr",
    "WSDLRScheduler": "timm.scheduler.wsd_lr",
}


def ported(scheduler: Any) -> list[Any]:
    """What a scheduler of timm does to the rate of each parameter group."""
    curve = CURVES[type(scheduler).__qualname__]
    groups = range(len(scheduler.base_values))
    return [curve(Group(scheduler, group)) for group in groups]
