"""`port`: from the scheduler object of another library to the schedule that does the same."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from optax_sched._core.built import Built
from optax_sched._core.errors import in_a_word, refusal_of
from optax_sched._core.peer_words import told_of
from optax_sched.porting import keras_schedules, optax_schedules, timm_schedulers, torch_schedulers
from optax_sched.porting.reading import OWN, called

# By the exact module and name of the class, or of the function: a subclass may do anything. What has
# an optimizer is ported for one of its parameter groups.
PORTERS: dict[tuple[str, str], Callable[..., Any]] = {
    **dict.fromkeys(optax_schedules.CLOSURES, optax_schedules.ported),
    **{(keras_schedules.MODULE, name): keras_schedules.ported for name in keras_schedules.SCHEDULES},
    **{(torch_schedulers.MODULE, name): it for name, it in torch_schedulers.PORTERS.items()},
    **{(module, name): timm_schedulers.ported for name, module in timm_schedulers.MODULES.items()},
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
    TypeError: port: scheduler must be one object of optax's, torch's, ..., got builtins.list: ...
    """
    kind = scheduler if inspect.isfunction(scheduler) else type(scheduler)
    porter = PORTERS.get(_key(kind))
    if porter is None:
        whose = "optax's, torch's, transformers', keras' or timm's schedulers"
        raise TypeError(f"port: scheduler must be one object of {whose}, got {_instead(scheduler)}")
    try:
        optimizer = getattr(scheduler, "optimizer", None)
        groups = () if optimizer is None else range(len(optimizer.param_groups))
        made = [porter(scheduler, group) for group in groups] or [porter(scheduler)]
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
    return made[0] if len(set(map(repr, made))) == 1 else made


def _instead(thing: object) -> str:
    """What is no scheduler that is known here, and what to do about it."""
    kind = thing if isinstance(thing, type) or inspect.isfunction(thing) else type(thing)
    name = f"{kind.__module__}.{kind.__qualname__}"
    row = told_of(kind.__module__.partition(".")[0], kind.__qualname__)
    has = thing.__contains__ if isinstance(thing, Mapping) else functools.partial(hasattr, thing)
    inside = next(filter(has, ("scheduler", "lr_scheduler", "schedule_fn")), None)
    known = [it for it in kind.__mro__[1:] if _key(it) in PORTERS] if isinstance(kind, type) else []
    if isinstance(thing, type):
        return f"the class {name}: make an object of it{row}"
    if isinstance(thing, Mapping) and has("last_epoch"):
        return f"{name}, a state_dict, which does not hold all settings: give the scheduler itself"
    if inside:
        return f"{name}, which holds one: give its {inside}"
    if has("param_groups") or (has("init") and has("update")):
        return f"{name}, an optimizer, which is no scheduler: give the one that sets its rate"
    if isinstance(thing, list | tuple):
        return f"{name}: port each, [port(it) for it in schedulers]"
    if isinstance(thing, Built):
        return f"{name}, which is one of ours"
    if known:
        return f"{name}, a subclass of {known[0].__qualname__}, which may do anything: {OWN}"
    return f"{name}{row}: {'else ' if row else ''}{OWN}"


def _key(kind: Any) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__
