"""The main idea: a schedule is a pure function `step -> value` that is also data."""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, overload

import jax

from optax_sched._core.built import Built
from optax_sched._core.errors import in_a_word
from optax_sched._core.evaluate import call
from optax_sched._core.formula import Checks, Formula
from optax_sched._core.operators import Operators

P = ParamSpec("P")


class Schedule(Operators, Built):
    """A pure function `step -> value` that is also an immutable pytree of its hyperparameters.

    Builders make it (`cosine_decay(0.1, 1000)`), and `schedule` makes builders. Call it with a step, or
    an array of steps, to get the value there. Read a hyperparameter as an attribute; change one with
    `replace`. `repr` gives the source that builds it. You can pass it to functions under `jax.jit`,
    `vmap`, `grad` and `scan`, and its leaves may be tracers. With `+ - * /` and `**` it forms sums,
    products and powers with numbers, other schedules and functions of the step.

    Step 0 is the first update. Negative steps count as step 0. The result has the shape of the step, in
    the default float type, weakly typed: a bfloat16 update times the result stays bfloat16.

    >>> import optax_sched
    >>> s = optax_sched.linear(0.1, 0.0, 10)
    >>> s
    linear(init_value=0.1, end_value=0.0, transition_steps=10)
    >>> print(f"{s(5):.2f}", s.replace(init_value=1.0).init_value)
    0.05 1.0
    """

    __slots__ = ("_ready",)  # what `call` keeps from the first eager call on
    _such_as = ", such as cosine_decay(0.1, 1000)"

    def __call__(self, step: Any) -> jax.Array:
        """The value at `step`, an integer or a float, or an array of them of any shape."""
        return call(self, step)

    def _repr_html_(self) -> str:
        """What a notebook shows: the source and the curve."""
        from optax_sched._core.curve import as_html

        return as_html(self)


@overload
def schedule(
    function: Callable[Concatenate[Any, P], Any], *, name: str | None = None, check: Checks = ()
) -> Callable[P, Schedule]: ...


@overload
def schedule(
    function: None = None, *, name: str | None = None, check: Checks = ()
) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Schedule]]: ...


def schedule(
    function: Callable[..., Any] | None = None, *, name: str | None = None, check: Checks = ()
) -> Any:
    """Turn a formula `(step, *hyperparameters) -> value` into a builder of schedules.

    The builder has the formula's signature without `step`. JAX traces the formula with a scalar
    `step`, an int32 or a float that is never negative, and with its hyperparameters as JAX scalars,
    vectors or callables. The formula returns a scalar. That is all it must do: everything that
    `Schedule` promises follows.

    Args:
      function: the formula, a function or a lambda. Its annotations say what each hyperparameter may
        be (`Rate`, `Steps`, ...). Without an annotation, a name of this library (`init_value`,
        `decay_steps`, `boundaries`, ...) means what it means here, and any other name may be a finite
        number, a sequence of such numbers, or a schedule.
      name: the builder's name, for `repr` and errors; by default the name of the function.
      check: a relation between hyperparameters, as a function. Its parameters have the names of the
        hyperparameters that it needs. It returns None, or the name of the hyperparameter that is
        wrong and the rule that it breaks. Several relations are a sequence of functions. A relation
        that needs the number of a traced hyperparameter is not checked.

    Returns:
      The builder.

    Raises:
      TypeError: `function` is not callable or takes no step (or its first argument has the name of a
        hyperparameter of this library, such as `init_value`); a hyperparameter is called `init`,
        `update`, `replace`, `step` or `_...`, or hides behind `**`; or `check` asks for a
        hyperparameter that the formula does not have.

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
