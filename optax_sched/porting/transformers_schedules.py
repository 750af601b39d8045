"""transformers' schedules, which are functions for torch's LambdaLR, told by their names."""

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from optax_sched._core.operands import constant
from optax_sched._core.schedule import Schedule
from optax_sched._schedules.combine import cooldown, join, warmup
from optax_sched._schedules.cyclic import cosine_restarts
from optax_sched._schedules.decays import cosine_decay, cosine_waves, linear
from optax_sched._schedules.power_laws import inverse_sqrt_decay
from optax_sched._schedules.retime import shift
from optax_sched._schedules.stable_recipes import wsd
from optax_sched._schedules.warmup_recipes import (
    warmup_cosine_decay,
    warmup_inverse_sqrt_decay,
    warmup_linear_decay,
)
from optax_sched.porting.curves import power_of_rest
from optax_sched.porting.reading import number, refuse, steps, tidy
from optax_sched.porting.torch_schedulers import base_rate, waves

MODULE = "transformers.optimization"
SHAPES: dict[str, Any] = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt"}


class Settings:
    """The settings that transformers bound to one of its functions."""

    def __init__(self, scheduler: Any, function: Any, rate: float, until: int | None):
        self.scheduler = scheduler
        self.keywords = dict(getattr(function, "keywords", {}))
        self.rate = rate
        self.until = until

    def __getitem__(self, name: str) -> Any:
        return steps(number(self.scheduler, name, self.keywords[name]))

    @property
    def warm(self) -> Any:
        steps_up = self["num_warmup_steps"]
        if steps_up < 0:
            self.refuse("num_warmup_steps", "0 or more")
        return steps_up

    @property
    def length(self) -> Any:
        """Of what follows the warm-up; transformers counts no less than one step."""
        return max(1, self["num_training_steps"] - self.warm)

    def part(self, name: str) -> float:
        """A height that is given as a part of the rate."""
        return tidy(self.rate * number(self.scheduler, name, self.keywords.get(name) or 0.0))

    def shape(self, name: str) -> Any:
        if self.keywords[name] not in SHAPES:
            self.refuse(name, f"one of {', '.join(SHAPES)}")
        return SHAPES[self.keywords[name]]

    def refuse(self, name: str, rule: str) -> NoReturn:
        refuse(self.scheduler, name, rule, self.keywords[name])


def lambda_lr(scheduler: Any, group: int, until: int | None = None) -> Schedule:
    """What a LambdaLR with one of transformers' functions gives to a parameter group."""
    function = scheduler.lr_lambdas[group]
    bound = isinstance(function, functools.partial)
    plain = function.func if bound else function
    name = getattr(plain, "__qualname__", "")
    known = getattr(plain, "__module__", None) == MODULE and name in FUNCTIONS
    if not known or (bound and function.args):
        rule = "one of transformers' get_..._schedule functions"
        remedy = "schedule(lambda step, init_value: init_value * f(step)) makes a builder of your own f"
        refuse(scheduler, f"lr_lambdas[{group}]", rule, function, remedy)
    return FUNCTIONS[name](Settings(scheduler, function, base_rate(scheduler, group), until))


def plain_constant(it: Settings) -> Schedule:
    return constant(it.rate)


def warm_constant(it: Settings) -> Schedule:
    return warmup(it.rate, it.warm) if it.warm > 0 else constant(it.rate)


def warm_linear(it: Settings) -> Schedule:
    warm, total = it.warm, it["num_training_steps"]
    if total > warm:
        return warmup_linear_decay(it.rate, warm, total) if warm > 0 else linear(it.rate, 0.0, total)
    return join([linear(0.0, it.rate, warm), 0.0], [warm]) if warm > 0 else constant(0.0)


def cosine(it: Settings) -> Schedule:
    """With and without a floor: transformers has two functions of this name."""
    half_waves = _half_waves(it)
    low = it.part("min_lr_rate")
    until = None if it.until is None else it.until - it.warm
    if half_waves == 0:
        return warm_constant(it)
    return _warmed(it, half_waves, low, it.warm, 0.0, until)


def _warmed(
    it: Settings, half_waves: float, low: float, warm: Any, start: float, until: float | None
) -> Schedule:
    """Waves after a warm-up from `start`."""
    if half_waves == 1 and (until is None or until <= it.length) and low <= it.rate and warm > 0:
        return warmup_cosine_decay(it.rate, warm, warm + it.length, start, low)
    made = waves(it.rate, it.length, half_waves, low, until)
    return warmup(made, warm, start) if warm > 0 else made


def hard_restarts(it: Settings) -> Schedule:
    cycles = it["num_cycles"]
    if cycles <= 0:
        it.refuse("num_cycles", "more than 0")
    period = steps(it.length / cycles)
    if cycles == 1:
        made = cosine_decay(it.rate, it.length)
    elif cycles == int(cycles):
        made = cosine_restarts(it.rate, period, num_cycles=cycles)
    else:
        made = join([cosine_restarts(it.rate, period), 0.0], [it.length])
    if cycles == 1 and it.warm > 0:
        return warmup_cosine_decay(it.rate, it.warm, it.warm + it.length)
    return warmup(made, it.warm) if it.warm > 0 else made


def polynomial(it: Settings) -> Schedule:
    warm, total, power = it.warm, it["num_training_steps"], it["power"]
    if total <= warm:
        it.refuse("num_training_steps", f"more than num_warmup_steps = {warm}")
    first = number(it.scheduler, "lr_init", it.keywords["lr_init"])
    low = tidy(it.rate * number(it.scheduler, "lr_end", it.keywords["lr_end"]) / first)
    if power == 1 and warm > 0 and low <= it.rate:
        return warmup_linear_decay(it.rate, warm, total, end_value=low)
    made = power_of_rest(it.rate, total - warm, low, power)
    return warmup(made, warm) if warm > 0 else made


def inverse_sqrt(it: Settings) -> Schedule:
    timescale = it["timescale"]
    if it.warm == 0:
        return inverse_sqrt_decay(it.rate, timescale)
    return warmup_inverse_sqrt_decay(
        it.rate, it.warm, timescale=None if timescale == it.warm else timescale
    )


def cosine_from_1(it: Settings) -> Schedule:
    """transformers counts from 1 here: it ends a step early, and never has a rate of 0."""
    warm, half_waves, low = it.warm, _half_waves(it), it.part("min_lr_rate")
    if half_waves == 0:
        it.refuse("num_cycles", "more than 0")
    until = None if it.until is None else it.until + 1 - warm
    if it.keywords.get("warmup_lr_rate") is None or warm < 1:
        return shift(_warmed(it, half_waves, low, warm, 0.0, until), 1)
    start = it.part("warmup_lr_rate")
    if warm == 1:
        return join([start, shift(_warmed(it, half_waves, low, 0, 0.0, until), 1)], [1])
    if start > it.rate:
        return warmup(waves(it.rate, it.length, half_waves, low, until), warm - 1, start)
    return _warmed(it, half_waves, low, warm - 1, start, until)


def warmup_stable_decay(it: Settings) -> Schedule:
    warm, stable, decay = it.warm, it["num_stable_steps"], it["num_decay_steps"]
    half_waves, low, start = _half_waves(it), it.part("min_lr_ratio"), warm + stable
    if stable < 0:
        it.refuse("num_stable_steps", "0 or more")
    rise, fall = it.shape("warmup_type"), it.shape("decay_type")
    risen = warmup(it.rate, warm, low, rise) if warm > 0 else constant(it.rate)
    if decay == 0:
        return join([risen, low], [start]) if start > 0 else constant(low)
    if fall == "cosine" and half_waves != 1:
        if half_waves == 0:
            return join([risen, low], [start + decay])
        fallen = cosine_waves(it.rate, decay, half_waves, low)
        if start == 0:
            return join([fallen, low], [decay])
        return join([risen, fallen, low], [start, start + decay])
    if (rise == "linear" or warm == 0) and low <= it.rate:
        return wsd(it.rate, warm, decay, start + decay, low if warm > 0 else 0.0, low, fall)
    return cooldown(risen, start, decay, low, fall)


def _half_waves(it: Settings) -> Any:
    return steps(2 * number(it.scheduler, "num_cycles", it.keywords["num_cycles"]))


FUNCTIONS: dict[str, Callable[[Settings], Schedule]] = {
    "_get_constant_lambda": plain_constant,
    "_get_constant_schedule_with_warmup_lr_lambda": warm_constant,
    "_get_linear_schedule_with_warmup_lr_lambda": warm_linear,
    "_get_cosine_schedule_with_warmup_lr_lambda": cosine,
    "_get_cosine_with_hard_restarts_schedule_with_warmup_lr_lambda": hard_restarts,
    "_get_polynomial_decay_schedule_with_warmup_lr_lambda": polynomial,
    "_get_inverse_sqrt_schedule_lr_lambda": inverse_sqrt,
    "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda": cosine_from_1,
    "_get_wsd_scheduler_lambda": warmup_stable_decay,
}
