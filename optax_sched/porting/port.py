"""`port`: from the scheduler object of another library to the schedule that does the same."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from optax_sched._core.built import Built
from optax_sched._core.errors import in_a_word, refusal_of
from optax_sched._core.peer_words import told_of
from optax_sched.porting import keras_schedules, optax_schedules, timm_schedulers, torch_compositions
from optax_sched.porting.reading import OWN, Settings, called

_TORCH = [*torch_compositions.SINGLE, *torch_compositions.WHOLE]


def _keras(schedule: object) -> Any:
    return keras_schedules.SCHEDULES[type(schedule).__qualname__](keras_schedules.Keras(schedule))


def _multiplicative(scheduler: Any) -> Any:
    rule = "one whose rate depends on the step alone"
    remedy = f"for one factor exponential_decay(lr, 1, factor), else {OWN}, or a table of the products"
    Settings(scheduler).refuse("lr_lambda", rule, remedy, got=scheduler.lr_lambdas[0])


def _greedy(scheduler: object) -> Any:
    rule = "one that greedy does exactly, which has no warmup, reset_start and smooth"
    remedy = "greedy(lr, factor, patience, min_scale=..., max_scale=...) is the nearest"
    Settings(scheduler).refuse("step", rule, remedy, got="GreedyLR")


# By the exact module and name of the class, or of the function: a subclass may do anything.
PORTERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    **dict.fromkeys(optax_schedules.CLOSURES, optax_schedules.ported),
    **{(torch_compositions.MODULE, name): torch_compositions.ported for name in _TORCH},
    **{(keras_schedules.MODULE, name): _keras for name in keras_schedules.SCHEDULES},
    **{(module, name): timm_schedulers.ported for name, module in timm_schedulers.MODULES.items()},
    (torch_compositions.MODULE, "MultiplicativeLR"): _multiplicative,
    ("transformers.optimization", "GreedyLR"): _greedy,
}


def port(scheduler: object) -> Any:
    """The schedule that gives what another library's scheduler gives, from its start on.

    At update t = 0, 1, 2, ... it has the rate that the object would have set for its t-th use, up to
    the object's planned end, to 1e-6 of it in double precision. It prints nothing:
    `print(port(s))` is the source to paste. After the end ours holds its last value, where
    torch's and transformers' cosines rise again and torch's `OneCycleLR` runs beyond its end and
    raises.

    Known are, by their exact classes:

    * optax: what each function of `optax.schedules` makes, joined ones too, after their end as well.
    * torch: `StepLR`, `MultiStepLR`, `ConstantLR`, `LinearLR`, `ExponentialLR`, `PolynomialLR`,
      `CosineAnnealingLR`, `CosineAnnealingWarmRestarts`, `CyclicLR`, `OneCycleLR`, `SequentialLR` and
      `ChainedScheduler` of these (not of one another), and `ReduceLROnPlateau`, which becomes the
      closed loop `plateau(lr, ...)`: `scale_by_feedback` makes a transformation of it.
    * transformers: the `LambdaLR` that its `get_..._schedule` functions return.
    * keras: its six `LearningRateSchedule`s.
    * timm: its schedulers. Their step is an epoch, or an update with `t_in_epochs=False`: for
      epochs put `every(schedule, updates_per_epoch)` around it. The first rate is the one that
      the constructor sets.

    Only the rate is ported: torch's momentum cycles are schedules of their own.

    Args:
      scheduler: the object, stepped or not.

    Returns:
      A schedule, or a closed loop for a plateau; for an optimizer with several parameter groups whose
      rates differ, a list of them in the order of the groups.

    Raises:
      TypeError: it is no object of a class that `port` knows (a subclass is none), but what wraps
        one, or its `state_dict`. The error says what to give instead.
      ValueError: a setting has no equal here, such as a function of your own, or the optimizer's rate
        was edited, so that it contradicts the scheduler. The error names the setting; nothing is
        guessed.

    >>> import optax
    >>> port(optax.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 1000))
    warmup_cosine_decay(peak_value=0.001, warmup_steps=100, total_steps=1000, ...)
    >>> port([optax.constant_schedule(0.1)])
    Traceback (most recent call last):
    TypeError: port: scheduler must be one object of optax's, torch's, ..., got a list: port each...
    """
    kind = scheduler if inspect.isfunction(scheduler) else type(scheduler)
    porter = PORTERS.get(_key(kind))
    if porter is None:
        whose = "optax's, torch's, transformers', keras' or timm's schedulers"
        raise TypeError(f"port: scheduler must be one object of {whose}, got {_instead(scheduler)}")
    try:
        ported = porter(scheduler)
    except (AttributeError, IndexError, KeyError) as error:
        rule = "as the library's newest version makes it"
        raise ValueError(
            f"port: {called(scheduler)} must be {rule}, got one without {in_a_word(error)}"
        ) from error
    except (TypeError, ValueError) as error:
        refusal = refusal_of(error)
        if refusal is None or refusal.where == "port":
            raise
        raise ValueError(f"port: {called(scheduler)} is beyond {error}: {OWN}") from None
    if not isinstance(ported, list):
        return ported
    return ported[0] if len(set(map(repr, ported))) == 1 else ported


def _instead(thing: object) -> str:
    """What is no scheduler that is known here, and what to do about it."""
    kind = thing if isinstance(thing, type) or inspect.isfunction(thing) else type(thing)
    name = f"{kind.__module__}.{kind.__qualname__}"
    row = told_of(kind.__module__.partition(".")[0], kind.__qualname__)
    known = [it for it in kind.__mro__[1:] if _key(it) in PORTERS] if isinstance(kind, type) else []
    if isinstance(thing, type):
        return f"the class {name}: make an object of it{row}"
    if isinstance(thing, Built):
        return f"{name}, which is one of ours"
    if hasattr(thing, "param_groups") or (hasattr(thing, "init") and hasattr(thing, "update")):
        return f"{name}, an optimizer, which is no scheduler: give the one that sets its rate"
    if isinstance(thing, list | tuple):
        return f"a {kind.__name__}: port each, [port(it) for it in schedulers]"
    if isinstance(thing, Mapping):
        if "last_epoch" in thing or "_step_count" in thing:
            return "a state_dict, which does not hold all settings: give the scheduler itself"
        inner = [key for key in ("scheduler", "lr_scheduler") if key in thing]
        return f"a {kind.__name__}: give its {inner[0]!r}" if inner else f"a {kind.__name__}"
    wrapped = [it for it in ("scheduler", "lr_scheduler", "schedule_fn") if hasattr(thing, it)]
    if wrapped:
        return f"{name}, which wraps one: give its .{wrapped[0]}"
    if known:
        return f"{name}, a subclass of {known[0].__qualname__}, which may do anything: {OWN}"
    return f"{name}{row or f': {OWN}'}"


def _key(kind: Any) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__
