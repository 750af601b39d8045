"""The one idea: a schedule is a pure function `step -> value` that is also data."""

import collections
import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, Concatenate, NoReturn, ParamSpec, overload

import jax

from optax_sched._core.domains import Kind, admit, bind, complaint, in_a_word
from optax_sched._core.evaluate import Ready, call, stored_values
from optax_sched._core.hyperparameters import kind_of, readable
from optax_sched._core.printing import source

P = ParamSpec("P")

_RESERVED = {"init", "update", "replace", "step"}


class Schedule:
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

    # jax.jit(s) refers weakly
    __slots__ = ("__weakref__", "_formula", "_leaves", "_ready", "_structure")
    _formula: "_Formula"
    _leaves: tuple[Any, ...]
    _structure: tuple[Any, ...]
    _ready: Ready | None

    def __init__(self, *_: Any, **__: Any):
        raise TypeError("Schedule is made by builders, such as cosine_decay(0.1, 1000)")

    def __call__(self, step: Any) -> jax.Array:
        """The value at `step`, an integer or a float of any shape."""
        return call(self, step)

    def replace(self, **changes: Any) -> "Schedule":
        """The same schedule with some hyperparameters changed, checked again."""
        unknown = changes.keys() - self._formula.kinds.keys()
        if unknown:
            raise TypeError(
                f"{self._formula.name} has no hyperparameter {', '.join(sorted(unknown))}; "
                f"it has {', '.join(self._formula.kinds)}"
            )
        return self._formula.build({**stored_values(self), **changes})

    def __getattr__(self, name: str) -> Any:
        formula: _Formula = object.__getattribute__(self, "_formula")
        if name in formula.kinds:
            return formula.kinds[name].public(stored_values(self)[name])
        raise AttributeError(
            f"{formula.name} has no hyperparameter {name!r}; it has {', '.join(formula.kinds)}"
        )

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a Schedule is immutable: use replace({name}=...)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Schedule is immutable: use replace({name}=...)")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._formula.kinds]

    def __repr__(self) -> str:
        return self._formula.source(stored_values(self))

    def __reduce__(self):
        return _unpickle, (self._formula.builder, stored_values(self))


def _make(formula: "_Formula", leaves: Any, structure: tuple[Any, ...]) -> Schedule:
    schedule = object.__new__(Schedule)
    object.__setattr__(schedule, "_formula", formula)
    object.__setattr__(schedule, "_leaves", leaves)
    object.__setattr__(schedule, "_structure", structure)
    object.__setattr__(schedule, "_ready", None)
    return schedule


def is_made_by(builder: Callable[..., Schedule], schedule: Any) -> bool:
    """Whether the builder made it."""
    return isinstance(schedule, Schedule) and schedule._formula is vars(builder)["formula"]


def _label(schedule: Schedule) -> str:
    """The builder and its words, as `warmup(linear)`."""
    static = [value for value in schedule._structure[1:] if value is not None]
    words = ", ".join(getattr(value, "__name__", str(value)) for value in static)
    return schedule._formula.name + (f"({words})" if words else "")


# Unflattening does not check: JAX puts tracers, batches and placeholders where the leaves were. The
# path to a leaf names its formula, so that a checkpoint of another one, with the same names and shapes,
# is not taken for this.
jax.tree_util.register_pytree_with_keys(
    Schedule,
    lambda s: (((jax.tree_util.GetAttrKey(_label(s)), s._leaves),), s._structure),
    lambda structure, children: _make(structure[0], next(iter(children)), structure),
    lambda s: ((s._leaves,), s._structure),
)


def _unpickle(builder: Callable[..., Schedule], values: dict[str, Any]) -> Schedule:
    return vars(builder)["formula"].assemble(values)


@dataclasses.dataclass(eq=False)
class _Formula:
    """What the decorator knows of a formula: all that a Schedule shares with its siblings."""

    function: Callable[..., Any]
    name: str
    check: Callable[..., tuple[str, str] | None] | None

    def __post_init__(self):
        parameters = list(inspect.signature(self.function).parameters.values())
        if not parameters:
            raise TypeError(f"{self.name}: a formula takes the step first, then its hyperparameters")
        _step, *hypers = parameters
        hints = _hints(self.function)
        self.hints = {hyper.name: hints[hyper.name] for hyper in hypers if hyper.name in hints}
        self.signature = readable(hypers, self.hints, Schedule)
        self.kinds: dict[str, Kind] = {}
        for hyper in hypers:
            if hyper.name in _RESERVED or hyper.name.startswith("_"):
                raise TypeError(f"{self.name}: a hyperparameter may not be named {hyper.name!r}")
            if hyper.kind is hyper.VAR_KEYWORD:
                raise TypeError(
                    f"{self.name}: a formula names its hyperparameters, **{hyper.name} hides them"
                )
            self.kinds[hyper.name] = kind_of(hyper.name, hints.get(hyper.name))
        self.check_names = tuple(inspect.signature(self.check).parameters) if self.check else ()
        unknown = set(self.check_names) - self.kinds.keys()
        if unknown:
            raise TypeError(
                f"{self.name}: the check asks for {', '.join(sorted(unknown))}, not in the formula"
            )
        self.builder = self._make_builder()

    @functools.cached_property
    def leaves(self) -> Any:
        """A named tuple of the leaves, so that the path to a leaf ends with its name."""
        names = [name for name, kind in self.kinds.items() if not kind.static]
        return collections.namedtuple("Hyperparameters", names)

    def _make_builder(self) -> Callable[..., Schedule]:
        @functools.wraps(self.function)
        def builder(*args: Any, **kwargs: Any) -> Schedule:
            bound = bind(self.name, self.signature, args, kwargs)
            return self.build(bound.arguments)

        builder.__name__ = self.name
        if self.function.__name__ == "<lambda>":
            # A lambda bound to a module-level name of this name pickles by it.
            builder.__qualname__ = self.name
        builder.__signature__ = self.signature  # pyright: ignore[reportAttributeAccessIssue]
        vars(builder)["formula"] = self  # for what is unpickled
        builder.__annotations__ = {**self.hints, "return": Schedule}
        return builder

    def build(self, values: dict[str, Any]) -> Schedule:
        """A schedule from what the user wrote, checked."""
        admitted = {
            name: admit(self.name, name, kind, values[name]) for name, kind in self.kinds.items()
        }
        if self.check is not None:
            violated = self.check(*(admitted[name] for name in self.check_names))
            if violated:
                name, rule = violated
                raise ValueError(complaint(self.name, name, rule, values[name]))
        return self.assemble(admitted)

    def assemble(self, stored: dict[str, Any]) -> Schedule:
        """A schedule from values that are already as they are stored."""
        leaves = self.leaves(*(stored[name] for name in self.leaves._fields))
        static = tuple(stored[name] for name, kind in self.kinds.items() if kind.static)
        return _make(self, leaves, (self, *static))

    def source(self, values: dict[str, Any]) -> str:
        """The call that builds a schedule of these values."""
        hypers = self.signature.parameters.values()
        # What stands before a *sequence cannot go by name either.
        kinds = {hyper.kind for hyper in hypers}
        by_name = [inspect.Parameter.KEYWORD_ONLY]
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            by_name.append(inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parts = []
        for hyper in hypers:
            value = self.kinds[hyper.name].public(values[hyper.name])
            if hyper.kind is hyper.VAR_POSITIONAL:
                parts += map(source, value)
            else:
                name = f"{hyper.name}=" if hyper.kind in by_name else ""
                parts.append(name + source(value))
        return f"{self.name}({', '.join(parts)})"


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Its annotations; those that are strings are evaluated, unless only a type checker can."""
    hints = inspect.get_annotations(function)
    if not any(isinstance(hint, str) for hint in hints.values()):
        return hints
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError:
        return {}


@overload
def schedule(
    function: Callable[Concatenate[Any, P], Any],
    *,
    name: str | None = None,
    check: Callable[..., tuple[str, str] | None] | None = None,
) -> Callable[P, Schedule]: ...


@overload
def schedule(
    function: None = None,
    *,
    name: str | None = None,
    check: Callable[..., tuple[str, str] | None] | None = None,
) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Schedule]]: ...


def schedule(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    check: Callable[..., tuple[str, str] | None] | None = None,
) -> Any:
    """Turn a formula `(step, *hyperparameters) -> value` into a builder of schedules.

    The builder has the formula's signature without `step`. The formula is traced with a scalar
    `step`, an int32 or a float that is never negative, and with its hyperparameters as JAX scalars,
    vectors or callables; it returns a scalar. All else that `Schedule` promises needs nothing from it.

    Args:
      function: the formula, a function or a lambda. Its annotations say what each hyperparameter may
        be (`Rate`, `Steps`, ...). One that has none means what its name means in this library
        (`init_value`, `decay_steps`, `boundaries`, ...); under any other name it may be a finite
        number, a sequence of such numbers, or a schedule.
      name: the builder's name, for `repr` and errors; by default the function's own.
      check: a relation between hyperparameters. It is called with those that it names when a
        schedule is built, and returns None, or the offender's name and the rule that it breaks.
        `optax_sched.is_traced` tells whether their values can be compared.

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
    return _Formula(function, name or function.__name__, check).builder
