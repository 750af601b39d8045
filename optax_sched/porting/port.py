"""`port`: from the scheduler object of another library to the schedule that does the same."""

from collections.abc import Callable
from typing import Any

from optax_sched._core.errors import in_a_word, refusal_of
from optax_sched.porting import keras_schedules, timm_schedulers, torch_compositions
from optax_sched.porting.reading import OWN, Settings

_TORCH = [*torch_compositions.SINGLE, "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler"]


def _keras(schedule: Any) -> Any:
    return keras_schedules.SCHEDULES[type(schedule).__qualname__](keras_schedules.Keras(schedule))


def _multiplicative(scheduler: Any) -> Any:
    rule = "one whose rate depends on the step alone"
    remedy = f"for one factor exponential_decay(lr, 1, factor), else {OWN}, or a table of the products"
    Settings(scheduler).refuse("lr_lambda", rule, remedy, got=scheduler.lr_lambdas[0])


def _greedy(scheduler: Any) -> Any:
    rule = "one that greedy does exactly, which has no warmup, reset_start and smooth"
    remedy = "greedy(lr, factor, patience, min_scale=..., max_scale=...) is the nearest"
    Settings(scheduler).refuse("step", rule, remedy, got="GreedyLR")


# By the exact module and name of the class: a subclass may do anything.
PORTERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    **{(torch_compositions.MODULE, name): torch_compositions.ported for name in _TORCH},
    **{(keras_schedules.MODULE, name): _keras for name in keras_schedules.SCHEDULES},
    **{(module, name): timm_schedulers.ported for name, module in timm_schedulers.MODULES.items()},
    (torch_compositions.MODULE, "MultiplicativeLR"): _multiplicative,
    ("transformers.optimization", "GreedyLR"): _greedy,
}


def port(scheduler: Any) -> Any:
    """The schedule that gives what another library's scheduler object gives, from its start on.

    At update t = 0, 1, 2, ... it has the rate that the object would have set for its t-th use, up to
    the object's planned end, to 1e-6 of it in double precision. It prints nothing:
    `print(port(s))` is the source to paste. After the end ours holds its last value, where
    torch's and transformers' cosines rise again and torch's `OneCycleLR` runs beyond its end and
    raises.

    Known are, by their exact classes:

    * torch: `StepLR`, `MultiStepLR`, `ConstantLR`, `LinearLR`, `ExponentialLR`, `PolynomialLR`,
      `CosineAnnealingLR`, `CosineAnnealingWarmRestarts`, `CyclicLR`, `OneCycleLR`, `SequentialLR` and
      `ChainedScheduler` of these (not of one another), and
      `ReduceLROnPlateau`, which becomes the closed loop `plateau(lr, ...)`: `scale_by_feedback` makes
      a transformation of it.
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
      TypeError: it is no object of a class that `port` knows; a subclass is none.
      ValueError: a setting has no equal here, such as a function of your own. The error names it
        and says what to do instead; nothing is guessed.

    >>> from types import ModuleType
    >>> port(print)
    Traceback (most recent call last):
    TypeError: port: scheduler must be an object of torch's, transformers', keras' or timm's ...
    """
    kind = type(scheduler)
    porter = PORTERS.get((kind.__module__, kind.__qualname__))
    if porter is None:
        raise TypeError(_unknown(kind))
    try:
        ported = porter(scheduler)
    except (AttributeError, IndexError, KeyError) as error:
        rule = "as the library's newest version makes it"
        raise ValueError(
            f"port: {kind.__qualname__} must be {rule}, got one without {in_a_word(error)}"
        ) from error
    except (TypeError, ValueError) as error:
        refusal = refusal_of(error)
        if refusal is None or refusal.where == "port":
            raise
        raise ValueError(f"port: {kind.__qualname__} is beyond {error}: {OWN}") from None
    if not isinstance(ported, list):
        return ported
    return ported[0] if len(set(map(repr, ported))) == 1 else ported


def _unknown(kind: type[Any]) -> str:
    """The refusal of a class, with the known one that it derives from."""
    rule = "an object of torch's, transformers', keras' or timm's schedulers"
    known = [it for it in kind.__mro__[1:] if (it.__module__, it.__qualname__) in PORTERS]
    also = f", a subclass of {known[0].__qualname__}, which may do anything" if known else ""
    return f"port: scheduler must be {rule}, got {kind.__module__}.{kind.__qualname__}{also}: {OWN}"
