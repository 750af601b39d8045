"""What builders make: an immutable pytree whose leaves are its hyperparameters."""

import inspect
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

import jax

from optax_sched._core.domains import Domain
from optax_sched._core.formula import Formula, formula_of
from optax_sched._core.lengths import Lengths
from optax_sched._core.nodes import Node


class Built(Node):
    """An immutable pytree of hyperparameters. Subclasses define what a call does."""

    __module__ = "optax_sched"
    __slots__ = ()
    _such_as = ""  # one of the builders, for the error

    def __init__(self, *_: object, **__: object):
        raise TypeError(f"{type(self).__name__} is made by builders{self._such_as}")

    @classmethod
    def _make(cls, formula: Formula, values: Sequence[Any]) -> Self:
        return cls._of(formula, values, formula.is_static)  # in the order of the signature

    @classmethod
    def _unpickle(cls, builder: Callable[..., Self], packed: list[object]) -> Self:
        formula: Any = formula_of(builder)
        pairs = zip(formula.domains.values(), packed, strict=True)
        return cls._make(formula, [domain.unpacked(item) for domain, item in pairs])

    @property
    def _formula(self) -> Formula:
        return self._structure[0]  # pyright: ignore[reportReturnType]

    def _keys(self) -> Iterator[Any]:
        # The path to a leaf names its formula, so that nobody loads a checkpoint of another formula
        # with the same names and shapes by mistake.
        words = ", ".join(filter(None, (domain.word(value) for _, domain, value in stored(self))))
        label = self._formula.name + (f"({words})" if words else "")
        for name, word in zip(self._formula.domains, self._structure[1], strict=True):
            if word is ...:
                yield jax.tree_util.GetAttrKey(f"{label}.{name}")

    def __reduce__(self) -> Any:
        packed = [domain.packed(value) for _, domain, value in stored(self)]
        return self._unpickle, (self._formula.importable(), packed)

    def replace(self, **changes: object) -> Self:
        """A copy with some hyperparameters changed; its builder checks them again.

        A name may be a path to a hyperparameter of an operand:
        `s.replace(**{"schedule.init_value": 0.2, "schedules[1].decay_steps": 100})`.

        Raises:
          TypeError, ValueError: there is no hyperparameter of that name, or its builder refuses the
            new value.
        """
        # Both schedules[1].init_value and schedules.1.init_value go by "[1]".
        split = {re.sub(r"\.(\d+)", r".[\1]", it.replace("[", ".[")): it for it in changes}
        return _changed("", self, {tuple(it.split(".")): changes[path] for it, path in split.items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # no hyperparameter is
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        formula = self._formula
        if name not in formula.domains:
            words = ", ".join(formula.domains)
            raise AttributeError(f"{formula.name} has no hyperparameter {name!r}; it has {words}")
        return formula.domains[name].public(stored_values(self)[name])

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._formula.domains]

    def __repr__(self) -> str:
        return self._formula.source(hyperparameters(self))


def stored(built: object) -> Iterable[tuple[str, Domain, Any]]:
    """Name, domain and stored value of each hyperparameter in order; of anything else none."""
    if not isinstance(built, Built):
        return ()
    domains = built._formula.domains
    return zip(domains.keys(), domains.values(), built._values, strict=True)


def lengths_of(built: object) -> Lengths:
    """The lengths on the clock of what a builder made, each with its path."""
    if isinstance(built, Built):
        yield from built._formula.lengths(built._values)


def bound_values(built: Built) -> inspect.BoundArguments:
    """The hyperparameters as they are stored, for the formula."""
    # By position where possible: Python cannot pass a parameter before *schedules by name.
    return inspect.BoundArguments(built._formula.signature, OrderedDict(stored_values(built)))


def stored_values(built: Built) -> dict[str, Any]:
    """The hyperparameters by name, as they are stored."""
    return {name: value for name, _, value in stored(built)}


def assembled(builder: Callable[..., Any], **values: object) -> Any:
    """What a builder makes of values that are already as they are stored."""
    formula: Any = formula_of(builder)
    return formula.made._make(formula, tuple(values[name] for name in formula.domains))


def hyperparameters(built: object) -> dict[str, Any]:
    """The hyperparameters by name, as the user sees them."""
    return {name: domain.public(value) for name, domain, value in stored(built)}


def formula_behind(built: Built) -> Formula:
    """The formula of what a builder made."""
    return built._formula


def is_made_by(builder: Callable[..., Any], built: object) -> bool:
    """Whether this builder made it."""
    return isinstance(built, Built) and built._formula is formula_of(builder)


def is_batch(built: object) -> bool:
    """Whether any hyperparameter, at any depth, has the leading axis of a batch."""
    return batched_name(built) is not None


def batched_name(built: object) -> str | None:
    """The name of the first hyperparameter that has the leading axis of a batch, or None."""
    return next((name for name, domain, it in stored(built) if domain.has_batch_axis(it)), None)


def refuse_batch(where: str, built: object, remedy: str) -> None:
    """Raise if one schedule is meant and this is many."""
    if name := batched_name(built):
        raise ValueError(f"{where}: {name} has a leading axis, so this is a batch: {remedy}")


def _inside(value: object) -> dict[str, Any]:
    """What a path goes on to from a value: the items of a list, or hyperparameters by name."""
    if isinstance(value, list):
        return {f"[{index}]": item for index, item in enumerate(value)}
    return hyperparameters(value)


def _changed(where: str, value: Any, changes: dict[tuple[str, ...], object]) -> Any:
    """A schedule, or a list of them, with new values at their paths."""
    values, deeper = _inside(value), {}
    where = value._formula.name if isinstance(value, Built) else where
    for (name, *rest), new in changes.items():
        if name not in values:
            more = "".join(f".{it}" for it in rest)
            if isinstance(value, Built):
                from optax_sched._core.peer_words import meant_by

                inside = None if rest else _path_inside(values, name)
                hint = f"; did you mean replace(**{{{inside!r}: ...}})?" if inside else None
                more = f"{hint or meant_by(name, values)}; it has {', '.join(values)}"
            raise TypeError(f"{where} has no hyperparameter {name}{more}")
        if rest:
            deeper.setdefault(name, {})[tuple(rest)] = new
        else:
            values[name] = new
    for name, inner in deeper.items():
        values[name] = _changed(f"{where}.{name}".replace(".[", "["), values[name], inner)
    return value._formula.build(values) if isinstance(value, Built) else list(values.values())


def _path_inside(values: dict[str, object], word: str) -> str | None:
    """The path to an operand's hyperparameter of that name, or of what other libraries call so."""
    from optax_sched._core.peer_words import translated

    for name, value in values.items():
        inner = _inside(value)
        if found := word if word in inner else _path_inside(inner, word) or translated(word, inner):
            return f"{name}.{found}".replace(".[", "[")
    return None
