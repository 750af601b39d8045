"""The one idea: a schedule is a pure function `step -> value` that is also data."""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Self, overload

import jax

from optax_sched._core.built import Built
from optax_sched._core.curve import as_html
from optax_sched._core.errors import in_a_word
from optax_sched._core.evaluate import Ready, call
from optax_sched._core.formula import Check, Formula

P = ParamSpec("P")


class Schedule(Built):
    """A pure function `step -> value` that is also an immutable pytree of its hyperparameters.

    Builders make it (`cosine_decay(0.1, 1000)`); `schedule` makes builders. Call it with a step, or
    an array of steps, to get the value there; read a hyperparameter as an attribute; change one with
    `replace`. `repr` gives the source that builds it. It may cross `jax.jit`, `vmap`, `grad` and
    `scan` as an argument, and its leaves may be tracers.

    >>> import optax_sched
    >>> s = optax_sched.linear(0.1, 0.0, 10)
    >>> s
    linear(init_value=0.1, end_value=0.0, transition_steps=10)
    >>> print(f"{s(5):.2f}", s.replace(init_value=1.0).init_value)
    0.05 1.0
    """

    __slots__ = ("_ready",)
    _ready: Ready | None  # what `call` keeps from the first eager call on

    def __init__(self, *_: Any, **__: Any):
        raise TypeError("Schedule is made by builders, such as cosine_decay(0.1, 1000)")

    @classmethod
    def _make(cls, formula: Formula, values: tuple[Any, ...]) -> Self:
        made = super()._make(formula, values)
        object.__setattr__(made, "_ready", None)
        return made

    def __call__(self, step: Any) -> jax.Array:
        """The value at `step`, an integer or a float of any shape."""
        return call(self, step)

    def _repr_html_(self) -> str:
        """What a notebook shows: the source and the curve."""
        return as_html(self)


@overload
def schedule(
    function: Callable[Concatenate[Any, P], Any],
    *,
    name: str | None = None,
    check: Check | None = None,
) -> Callable[P, Schedule]: ...


@overload
def schedule(
    function: None = None,
    *,
    name: str | None = None,
    check: Check | None = None,
) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Schedule]]: ...


def schedule(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    check: Check | None = None,
) -> Any:
    """Turn a formula `(step, *hyperparameters) -> value` into a builder of schedules.

    The builder has the formula's signature without `step`. JAX traces the formula with a scalar
    `step`, an int32 or a float that is never negative, and with its hyperparameters as JAX scalars,
    vectors or callables; the formula returns a scalar. It need do nothing else for all that
    `Schedule` promises.

    Args:
      function: the formula, a function or a lambda. Its annotations say what each hyperparameter may
        be (`Rate`, `Steps`, ...). Without an annotation a name of this library (`init_value`,
        `decay_steps`, `boundaries`, ...) means what it means here; any other may be a finite number,
        a sequence of such numbers, or a schedule.
      name: the builder's name, for `repr` and errors; by default the function's own.
      check: a relation between hyperparameters. The builder calls it with those that it names, and it
        returns None, or the offender's name and the rule that it breaks. `optax_sched.is_traced`
        tells whether their values can be compared.

    Returns:
      The builder.

    Raises:
      TypeError: a hyperparameter is called `init`, `update`, `replace`, `step` or `_...`.

    >>> import optax_sched
    >>> halving = optax_sched.schedule(
    ...     lambda step, init_value, period: init_value * 0.5 ** (step // period), name="halving")
    >>> s = halving(init_value=0.1, period=1000)
    >>> s
    halving(init_value=0.1, period=1000)
    >>> print(f"{s(999):.3f} {s(1000):.3f}")
    0.100 0.050
    """
    if function is None:
        return functools.partial(schedule, name=name, check=check)
    if not callable(function):
        raise TypeError(f"schedule: function must be a function or a lambda, got {in_a_word(function)}")
    return Formula(function, name or function.__name__, check, Schedule, skip=["the step"]).builder
