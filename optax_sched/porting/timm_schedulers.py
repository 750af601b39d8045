"""timm's schedulers, in their own unit: epochs, or updates where they say so."""

import functools
import math
from collections.abc import Callable
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.schedule import Schedule
from optax_sched.porting import simplify
from optax_sched.porting.reading import Settings, steps, tidy
from optax_sched.porting.simplify import SHAPES, powered, stairs
from optax_sched.porting.torch_schedulers import closed_loop


class Group(Settings):
    """A scheduler as one parameter group sees it: its `lr_scale` multiplies all heights."""

    def __init__(self, scheduler: Any, group: int):
        super().__init__(scheduler)
        if getattr(scheduler, "noise_range_t", None) is not None:
            self.refuse("noise_range_t", "None", "noisy(schedule, seed, scale)")
        if scheduler.param_group_field != "lr":
            self.refuse("param_group_field", "'lr'")
        self.index = group
        scale = scheduler.optimizer.param_groups[group].get("lr_scale", 1.0)
        self.scale = self.number("lr_scale", scale)
        self.peak = self.height("base_values", scheduler.base_values[group])
        self.warm = self.steps("warmup_t")
        self.start = self.height("warmup_lr_init", scheduler.warmup_lr_init)

    def height(self, name: str, value: object) -> float:
        return tidy(self.scale * self.number(name, value))

    @property
    def low(self) -> float:
        return self.height("lr_min", self.source.lr_min)

    def warmed(self, curve: Schedule, from_peak: bool = True) -> Schedule:
        """The curve with timm's warm-up, which rises to the base rate, not to the curve.

        With a prefix the curve begins after it, otherwise it has been running meanwhile. `from_peak`
        says whether it begins at the base rate.
        """
        if not self.warm:
            return curve
        if self.source.warmup_prefix and from_peak:
            return ours.warmup(curve, self.warm, self.start)
        later = curve if self.source.warmup_prefix else ours.shift(curve, self.warm)
        return ours.join([ours.linear(self.start, self.peak, self.warm), later], [self.warm])

    def k_decay(self, k: float, shape: Any, plain: Callable[..., Schedule]) -> Schedule:
        """Cycles of k-decay, each of them a plain fall where k is 1."""

        def curve(peak: float, length: float) -> Schedule:
            if k == 1:
                return plain(peak, length, self.low)
            return ours.k_decay(peak, length, k, self.low, shape)

        return self.warmed(self.cycles(curve))

    def cycles(self, curve: Callable[[float, float], Schedule]) -> Schedule:
        """The curve of a peak and a length repeated, in cycles that may grow longer and lower."""
        length, growth = self.steps("t_initial"), self.steps("cycle_mul")
        fall, number_of = self["cycle_decay"], self.whole("cycle_limit")
        if number_of == 1:
            return curve(self.peak, length)
        if growth >= 1 and fall > 0 and (fall == 1 or self.low == 0):
            longer = None if growth == 1 else growth
            return ours.repeat(curve(self.peak, length), length, longer, fall, number_of)
        # timm's floor does not fall with the peaks: each cycle is a part of its own.
        lengths = [length * growth**i for i in range(number_of)]
        starts = [steps(sum(lengths[:i])) for i in range(1, number_of)]
        parts = [curve(tidy(self.peak * fall**i), steps(it)) for i, it in enumerate(lengths)]
        return ours.join(parts, starts)


def cosine(it: Group) -> Schedule:
    k, count, growth = it["k_decay"], it.whole("cycle_limit"), it.steps("cycle_mul")
    if k == 1 and count > 1 and growth >= 1 and it["cycle_decay"] > 0:
        longer, length = None if growth == 1 else growth, it.steps("t_initial")
        curve = ours.cosine_restarts(it.peak, length, it.low, longer, it["cycle_decay"], count)
        return it.warmed(curve)
    return it.k_decay(k, "cosine", simplify.cosine)


def polynomial(it: Group) -> Schedule:
    k, power = it["k_decay"], it["power"]
    shape: Any = "linear" if power == 1 else ours.power_shape(power)
    return it.k_decay(k, shape, functools.partial(powered, power=power))


def tanh(it: Group) -> Schedule:
    """timm's curve begins below its peak, except at step 0, which timm sets itself."""
    lower, upper = it["lb"], it["ub"]
    # How far below its peak it starts: negligible with the usual bounds.
    begins_below = (1 + math.tanh(lower)) / 2 > 1e-6
    if begins_below and it.whole("cycle_limit") > 1:
        it.refuse("lb", "-7 or less where there are several cycles")

    def curve_of(peak: float, length: float) -> Schedule:
        rises = it.low > peak  # no decay does: a multiple of one that falls to 0
        start, low = (1.0, 0.0) if rises else (peak, it.low)
        curve = ours.tanh_decay(start, length, low, lower, upper)
        if begins_below and it.warm and it.source.warmup_prefix:
            # The same curve, begun a step earlier and read from there on.
            earlier = lower - (upper - lower) / length
            curve = ours.shift(ours.tanh_decay(start, length + 1, low, earlier, upper), 1)
        return curve * (peak - it.low) + it.low if rises else curve

    curve = it.cycles(curve_of)
    if it.warm and not it.source.warmup_prefix:  # here timm rises to where the curve is then
        return ours.warmup(ours.shift(curve, it.warm), it.warm, it.start)
    return it.warmed(curve, from_peak=not begins_below)


def step(it: Group) -> Schedule:
    rate = it["decay_rate"]
    if rate == 1:
        return ours.warmup(it.peak, it.warm, it.start) if it.warm else ours.constant(it.peak)
    return it.warmed(ours.step_decay(it.peak, it.steps("decay_t"), rate))


def multistep(it: Group) -> Schedule:
    """timm's milestone m is at m - 1, and the first rate of all is the optimizer's."""
    rate, drops = it["decay_rate"], [milestone - 1 for milestone in it.increasing("decay_t")]
    if not it.warm:
        return stairs(it.peak, rate, [max(drop, 1) for drop in drops])
    # With a warm-up that the curve does not wait for, all that counts is behind it.
    return it.warmed(stairs(it.peak, rate, drops), from_peak=min(drops, default=1) > 0)


def warmup_stable_decay(it: Group) -> Schedule:
    length, decay, fall = it.steps("t_initial"), it.steps("decay_t"), it.raw("decay_fn")
    shape: Any = SHAPES.get(fall) if isinstance(fall, str) else None
    if fall == "power":
        power = it["decay_power"]
        named: dict[float, Any] = {0.5: "sqrt", 1.0: "linear", 2.0: "square"}
        shape = named.get(power) or ours.k_shape(power)
    if shape is None:
        remedy = "wsd and cooldown take any function as their shape"
        it.refuse("decay_fn", "'linear', '1-sqrt', 'cosine' or 'power'", remedy)
    if it.low > it.peak:
        it.refuse("lr_min", f"at most the base rate {it.peak}")
    if it.raw("stable_fn") == "constant":
        if it.start <= it.peak:
            total = it.warm + length
            return ours.wsd(it.peak, it.warm, decay, total, it.start if it.warm else 0.0, it.low, shape)
        risen = ours.warmup(it.peak, it.warm, it.start)
        return ours.cooldown(risen, it.warm + length - decay, decay, it.low, shape)
    scale = it.steps("stable_timescale")
    if it.raw("stable_fn") == "rsqrt":
        stable = ours.inverse_sqrt_decay(it.peak, scale, it.low)
    elif it.raw("stable_fn") == "power":
        power = it["stable_power"]
        stable = ours.shift(ours.power_law_decay(it.peak, tidy(it.peak * scale**power), -power), scale)
        stable = ours.maximum(stable, it.low) if it.low else stable
    else:
        it.refuse("stable_fn", "'constant', 'rsqrt' or 'power'")
    fall_to_0 = ours.cooldown(1.0, length - decay, decay, shape=shape)
    curve = (stable - it.low) * fall_to_0 + it.low if it.low else stable * fall_to_0
    return ours.warmup(curve, it.warm, it.start) if it.warm else curve


def on_plateau(it: Group) -> Any:
    """torch's plateau, which watches from the end of the warm-up on."""
    torchs = Settings(it.source.lr_scheduler)
    floor = torchs.number("min_lr", torchs.raw("min_lrs")[it.index])
    risen = ours.warmup(it.peak, it.warm, it.start) if it.warm else it.peak
    return closed_loop(torchs, risen, it.peak, floor, start=it.whole("warmup_t") if it.warm else 0)


CURVES: dict[str, Callable[[Group], Any]] = {
    "CosineLRScheduler": cosine,
    "MultiStepLRScheduler": multistep,
    "PlateauLRScheduler": on_plateau,
    "PolyLRScheduler": polynomial,
    "StepLRScheduler": step,
    "TanhLRScheduler": tanh,
    "WSDLRScheduler": warmup_stable_decay,
}
MODULES = {it: f"timm.scheduler.{it.removesuffix('LRScheduler').lower()}_lr" for it in CURVES}


def ported(scheduler: Any) -> list[Any]:
    """What a scheduler of timm does to the rate of each parameter group."""
    curve = CURVES[type(scheduler).__qualname__]
    return [curve(Group(scheduler, group)) for group in range(len(scheduler.base_values))]
