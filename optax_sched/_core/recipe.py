"""A named composition: a function that returns a schedule, made into a builder of schedules."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, overload

from optax_sched._core.built import bound_values, formula_behind
from optax_sched._core.domains import PHASES_MAY_BE_EMPTY
from optax_sched._core.errors import in_a_word, refusal_of
from optax_sched._core.formula import Checks, Formula
from optax_sched._core.operands import OneSchedule, as_schedule
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import admit

P = ParamSpec("P")


class Recipe(Formula):
    """A function of the hyperparameters that returns a schedule."""

    def composed(self, bound: inspect.BoundArguments) -> Schedule:
        """The schedule that the function returns."""
        token = PHASES_MAY_BE_EMPTY.set(True)
        try:
            returned = self.function(*bound.args, **bound.kwargs)
            return as_schedule(admit(self.name, "what it returns", OneSchedule(), returned))
        finally:
            PHASES_MAY_BE_EMPTY.reset(token)

    def value(self, step: object, bound: inspect.BoundArguments) -> Any:
        return self.composed(bound)(step)

    def build(self, values: dict[str, Any]) -> Any:
        made = super().build(values)
        try:
            composition(made)
        except (TypeError, ValueError) as error:
            refusal = refusal_of(error)
            if refusal is None or refusal.where == self.name:
                raise
            inside = refusal._replace(where=f"{self.name}: {refusal.where}")
            raise inside.error(type(error)) from None
        return made


def composition(schedule: Schedule) -> Schedule:
    """What a recipe composes for a schedule of its own; any other schedule as it is."""
    formula = formula_behind(schedule)
    return formula.composed(bound_values(schedule)) if isinstance(formula, Recipe) else schedule


@overload
def recipe(
    function: Callable[P, Any], *, name: str | None = None, check: Checks = ()
) -> Callable[P, Schedule]: ...


@overload
def recipe(
    function: None = None, *, name: str | None = None, check: Checks = ()
) -> Callable[[Callable[P, Any]], Callable[P, Schedule]]: ...


def recipe(
    function: Callable[..., Any] | None = None, *, name: str | None = None, check: Checks = ()
) -> Any:
    """Turn a function that composes a schedule into a builder: a recipe.

    The builder has the function's signature, and what it makes is a schedule by its own name: its
    hyperparameters are the recipe's own, and everything that holds for `schedule` holds for it. The
    function is called once when a schedule is built, as a check, and then at every evaluation, with JAX
    scalars. A length inside may be 0: that phase is left out.

    Args:
      function: takes the hyperparameters and returns a schedule, a function of the step, or a number.
        Its annotations say what each hyperparameter may be, as in `schedule`. Where it computes, it
        does so with operators or `jax.numpy`.
      name: the builder's name, for `repr` and errors; by default the name of the function.
      check: a relation between hyperparameters, or several, as in `schedule`.

    Returns:
      The builder.

    Raises:
      TypeError: `function` is not callable, or a hyperparameter or `check` is refused as in `schedule`.
        The builder raises what the schedules inside refuse, with the name of the recipe.

    >>> import optax_sched
    >>> from optax_sched.typing import Rate, Steps
    >>> @recipe
    ... def short_cosine(peak_value: Rate, warmup_steps: Steps, total_steps: Steps):
    ...     decay = optax_sched.cosine_decay(peak_value, total_steps - warmup_steps)
    ...     return optax_sched.warmup(decay, warmup_steps)
    >>> s = short_cosine(0.1, 10, 100)
    >>> s
    short_cosine(peak_value=0.1, warmup_steps=10, total_steps=100)
    >>> print(f"{s(5):.2f} {s(55):.2f} {s(100):.2f}")
    0.05 0.05 0.00
    """
    if function is None:
        return functools.partial(recipe, name=name, check=check)
    if not callable(function):
        raise TypeError(f"recipe: function must be a function or a lambda, got {in_a_word(function)}")
    return Recipe(function, name or function.__name__, check, Schedule, skip=[]).builder
