"""transformers' schedules, which are functions for torch's LambdaLR, told by their names."""

import copy
import functools
import math
from collections.abc import Callable

import optax_sched._schedules as ours
from optax_sched._core.schedule import Schedule
from optax_sched.porting.reading import Part, steps, tidy
from optax_sched.porting.simplify import SHAPES, powered, warmed, waves

MODULE = "transformers.optimization"


def lambda_lr(it: Part) -> Schedule:
    """What a LambdaLR with one of transformers' functions gives to a parameter group."""
    function = it.values["lr_lambdas"][it.index]
    plain = function.func if isinstance(function, functools.partial) else function
    name = getattr(plain, "__qualname__", "")
    is_known = getattr(plain, "__module__", None) == MODULE and name in FUNCTIONS
    if not is_known or getattr(function, "args", ()):
        rule = "one of transformers' get_..._schedule functions"
        remedy = "schedule(lambda step, init_value: init_value * f(step)) makes a builder of your own f"
        it.refuse(f"lr_lambdas[{it.index}]", rule, remedy, got=function)
    settings = copy.copy(it)
    settings.values = dict(getattr(function, "keywords", {}))
    return FUNCTIONS[name](settings)


def _warm(it: Part) -> float:
    warm = it.steps("num_warmup_steps")
    if warm < 0:
        it.refuse("num_warmup_steps", "0 or more")
    return warm


def _length(it: Part) -> float:
    """Of what follows the warm-up; transformers counts no less than one step."""
    return max(1, it.steps("num_training_steps") - _warm(it))


def _part(it: Part, name: str) -> float:
    """A height that is given as a part of the rate."""
    return tidy(it.rate * it.number(name, it.values.get(name) or 0.0))


def _waves(it: Part, until: float) -> Schedule:
    """The waves after a warm-up, which go on until a step that counts from its end."""
    return waves(it.rate, _length(it), steps(2 * it["num_cycles"]), _part(it, "min_lr_rate"), until)


def constant(it: Part) -> Schedule:
    return warmed(ours.constant(it.rate), _warm(it))


def linear(it: Part) -> Schedule:
    warm, total = _warm(it), it.steps("num_training_steps")
    if total > warm:
        return warmed(ours.linear(it.rate, 0.0, total - warm), warm)
    return ours.join([ours.linear(0.0, it.rate, warm), 0.0], [warm]) if warm > 0 else ours.constant(0.0)


def cosine(it: Part) -> Schedule:
    """With and without a floor: transformers has two functions of this name."""
    return warmed(_waves(it, it.until - _warm(it)), _warm(it))


def hard_restarts(it: Part) -> Schedule:
    cycles, length = it.steps("num_cycles"), _length(it)
    if cycles <= 0:
        it.refuse("num_cycles", "more than 0")
    period = steps(length / cycles)
    if cycles == 1:
        made = ours.cosine_decay(it.rate, length)
    elif cycles == int(cycles):
        made = ours.cosine_restarts(it.rate, period, num_cycles=cycles)
    else:
        made = ours.join([ours.cosine_restarts(it.rate, period), 0.0], [length])
    return warmed(made, _warm(it))


def polynomial(it: Part) -> Schedule:
    warm, total = _warm(it), it.steps("num_training_steps")
    if total <= warm:
        it.refuse("num_training_steps", f"more than num_warmup_steps = {warm}")
    low = tidy(it.rate * it["lr_end"] / it["lr_init"])
    return warmed(powered(it.rate, total - warm, low, it["power"]), warm)


def inverse_sqrt(it: Part) -> Schedule:
    warm, timescale = _warm(it), it.steps("timescale")
    if warm == 0:
        return ours.inverse_sqrt_decay(it.rate, timescale)
    scale = None if timescale == warm else timescale
    return ours.warmup_inverse_sqrt_decay(it.rate, warm, timescale=scale)


def cosine_from_1(it: Part) -> Schedule:
    """transformers counts from 1 here: it ends a step early, and never has a rate of 0."""
    warm = _warm(it)
    curve = _waves(it, it.until + 1 - warm)
    if it.values.get("warmup_lr_rate") is None or warm < 1:
        return ours.shift(warmed(curve, warm), 1)
    start = _part(it, "warmup_lr_rate")
    if warm == 1:
        return ours.join([start, ours.shift(curve, 1)], [1])
    return warmed(curve, warm - 1, start)


def warmup_stable_decay(it: Part) -> Schedule:
    warm, stable, decay = _warm(it), it.steps("num_stable_steps"), it.steps("num_decay_steps")
    low, start, half_waves = _part(it, "min_lr_ratio"), warm + stable, steps(2 * it["num_cycles"])
    if stable < 0:
        it.refuse("num_stable_steps", "0 or more")
    rise, fall = SHAPES[it.values["warmup_type"]], SHAPES[it.values["decay_type"]]
    risen = ours.warmup(it.rate, warm, low, rise) if warm > 0 else ours.constant(it.rate)
    if decay == 0:
        return ours.join([risen, low], [start]) if start > 0 else ours.constant(low)
    if fall == "cosine" and half_waves != 1:
        fallen = waves(it.rate, decay, half_waves, low, math.inf)
        if start == 0:
            return ours.join([fallen, low], [decay])
        return ours.join([risen, fallen, low], [start, start + decay])
    if (rise == "linear" or warm == 0) and low <= it.rate:
        return ours.wsd(it.rate, warm, decay, start + decay, low if warm > 0 else 0.0, low, fall)
    return ours.cooldown(risen, start, decay, low, fall)


FUNCTIONS: dict[str, Callable[[Part], Schedule]] = {
    "_get_constant_lambda": lambda it: ours.constant(it.rate),
    "_get_constant_schedule_with_warmup_lr_lambda": constant,
    "_get_linear_schedule_with_warmup_lr_lambda": linear,
    "_get_cosine_schedule_with_warmup_lr_lambda": cosine,
    "_get_cosine_with_hard_restarts_schedule_with_warmup_lr_lambda": hard_restarts,
    "_get_polynomial_decay_schedule_with_warmup_lr_lambda": polynomial,
    "_get_inverse_sqrt_schedule_lr_lambda": inverse_sqrt,
    "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda": cosine_from_1,
    "_get_wsd_scheduler_lambda": warmup_stable_decay,
}
