"""transformers' schedules, which are functions for torch's LambdaLR, told by their names."""

import functools
from collections.abc import Callable
from typing import Any

import optax_sched._schedules as ours
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import Settings, steps, tidy
from optax_sched.porting.simplify import SHAPES, powered, warmed
from optax_sched.porting.torch_schedulers import Part, waves

MODULE = "transformers.optimization"


class Bound(Settings):
    """The settings that transformers bound to one of its functions."""

    def __init__(self, it: Part, function: object):
        super().__init__(it.source, dict(getattr(function, "keywords", {})))
        self.rate = it.rate
        self.until = it.until

    @property
    def warm(self) -> float:
        steps_up = self.steps("num_warmup_steps")
        if steps_up < 0:
            self.refuse("num_warmup_steps", "0 or more")
        return steps_up

    @property
    def length(self) -> float:
        """Of what follows the warm-up; transformers counts no less than one step."""
        return max(1, self.steps("num_training_steps") - self.warm)

    @property
    def half_waves(self) -> float:
        return steps(2 * self["num_cycles"])

    def part(self, name: str) -> float:
        """A height that is given as a part of the rate."""
        return tidy(self.rate * self.number(name, self.given(name) or 0.0))

    def shape(self, name: str) -> Any:
        if self.raw(name) not in SHAPES:
            self.refuse(name, f"one of {', '.join(SHAPES)}")
        return SHAPES[self.raw(name)]


def lambda_lr(it: Part) -> Schedule:
    """What a LambdaLR with one of transformers' functions gives to a parameter group."""
    function = it.raw("lr_lambdas")[it.index]
    bound = isinstance(function, functools.partial)
    plain = function.func if bound else function
    name = getattr(plain, "__qualname__", "")
    known = getattr(plain, "__module__", None) == MODULE and name in FUNCTIONS
    if not known or (bound and function.args):
        rule = "one of transformers' get_..._schedule functions"
        remedy = "schedule(lambda step, init_value: init_value * f(step)) makes a builder of your own f"
        it.refuse(f"lr_lambdas[{it.index}]", rule, remedy, got=function)
    return FUNCTIONS[name](Bound(it, function))


def warm_constant(it: Bound) -> Schedule:
    return warmed(ours.constant(it.rate), it.warm)


def warm_linear(it: Bound) -> Schedule:
    warm, total = it.warm, it.steps("num_training_steps")
    if total > warm:
        return warmed(ours.linear(it.rate, 0.0, total - warm), warm)
    return ours.join([ours.linear(0.0, it.rate, warm), 0.0], [warm]) if warm > 0 else ours.constant(0.0)


def cosine(it: Bound) -> Schedule:
    """With and without a floor: transformers has two functions of this name."""
    if it.half_waves == 0:
        return warm_constant(it)
    return warmed(_waves(it, it.part("min_lr_rate"), it.until - it.warm), it.warm)


def hard_restarts(it: Bound) -> Schedule:
    cycles = it.steps("num_cycles")
    if cycles <= 0:
        it.refuse("num_cycles", "more than 0")
    period = steps(it.length / cycles)
    if cycles == 1:
        made = ours.cosine_decay(it.rate, it.length)
    elif cycles == int(cycles):
        made = ours.cosine_restarts(it.rate, period, num_cycles=cycles)
    else:
        made = ours.join([ours.cosine_restarts(it.rate, period), 0.0], [it.length])
    return warmed(made, it.warm)


def polynomial(it: Bound) -> Schedule:
    warm, total = it.warm, it.steps("num_training_steps")
    if total <= warm:
        it.refuse("num_training_steps", f"more than num_warmup_steps = {warm}")
    low = tidy(it.rate * it["lr_end"] / it["lr_init"])
    return warmed(powered(it.rate, total - warm, low, it["power"]), warm)


def inverse_sqrt(it: Bound) -> Schedule:
    timescale = it.steps("timescale")
    if it.warm == 0:
        return ours.inverse_sqrt_decay(it.rate, timescale)
    scale = None if timescale == it.warm else timescale
    return ours.warmup_inverse_sqrt_decay(it.rate, it.warm, timescale=scale)


def cosine_from_1(it: Bound) -> Schedule:
    """transformers counts from 1 here: it ends a step early, and never has a rate of 0."""
    warm = it.warm
    if it.half_waves == 0:
        it.refuse("num_cycles", "more than 0")
    curve = _waves(it, it.part("min_lr_rate"), it.until + 1 - warm)
    if it.given("warmup_lr_rate") is None or warm < 1:
        return ours.shift(warmed(curve, warm), 1)
    start = it.part("warmup_lr_rate")
    if warm == 1:
        return ours.join([start, ours.shift(curve, 1)], [1])
    return warmed(curve, warm - 1, start)


def warmup_stable_decay(it: Bound) -> Schedule:
    warm, stable, decay = it.warm, it.steps("num_stable_steps"), it.steps("num_decay_steps")
    low, start = it.part("min_lr_ratio"), warm + stable
    if stable < 0:
        it.refuse("num_stable_steps", "0 or more")
    rise, fall = it.shape("warmup_type"), it.shape("decay_type")
    risen = ours.warmup(it.rate, warm, low, rise) if warm > 0 else ours.constant(it.rate)
    if decay == 0:
        return ours.join([risen, low], [start]) if start > 0 else ours.constant(low)
    if fall == "cosine" and it.half_waves != 1:
        if it.half_waves == 0:
            return ours.join([risen, low], [start + decay])
        fallen = ours.cosine_waves(it.rate, decay, it.half_waves, low)
        if start == 0:
            return ours.join([fallen, low], [decay])
        return ours.join([risen, fallen, low], [start, start + decay])
    if (rise == "linear" or warm == 0) and low <= it.rate:
        return ours.wsd(it.rate, warm, decay, start + decay, low if warm > 0 else 0.0, low, fall)
    return ours.cooldown(risen, start, decay, low, fall)


def _waves(it: Bound, low: float, until: float) -> Schedule:
    return waves(it.rate, it.length, it.half_waves, low, until)


FUNCTIONS: dict[str, Callable[[Bound], Schedule]] = {
    "_get_constant_lambda": lambda it: ours.constant(it.rate),
    "_get_constant_schedule_with_warmup_lr_lambda": warm_constant,
    "_get_linear_schedule_with_warmup_lr_lambda": warm_linear,
    "_get_cosine_schedule_with_warmup_lr_lambda": cosine,
    "_get_cosine_with_hard_restarts_schedule_with_warmup_lr_lambda": hard_restarts,
    "_get_polynomial_decay_schedule_with_warmup_lr_lambda": polynomial,
    "_get_inverse_sqrt_schedule_lr_lambda": inverse_sqrt,
    "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda": cosine_from_1,
    "_get_wsd_scheduler_lambda": warmup_stable_decay,
}
