"""The vocabulary of annotations, each word with its domain; the door: arguments admitted by them."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

import jax
import numpy as np

from optax_sched._core.domains import Choice, Domain, KeyDomain, Number, Numbers, OneOrMany, Optional
from optax_sched._core.errors import Refusal, Unfit
from optax_sched._math.phases import Numeric

# What formulas are annotated with; `optax_sched.typing` has these too.
__all__ = ["Boundaries", "Count", "CountOrZero", "Factor", "FactorOrFactors", "Fraction", "Growth"]
__all__ += ["Key", "Negative", "Noise", "PartOfOne", "Positive", "Rate", "Rates", "Real", "Reals"]
__all__ += ["Steps", "StepsOrZero", "Switch"]

_REAL = Number("a finite number")
_RATE = Number("a finite number, 0 or more", minimum=0.0)
_FACTOR = Number("a factor in (0, 1]", maximum=1.0, above=0.0)
_STEPS = Number("a positive finite number of steps", above=0.0, as_float=False, is_length=True)
_STEPS_OR_ZERO = Number("a finite number of steps, 0 or more", 0.0, as_float=False, is_length=True)
_FRACTION = Number("a fraction in (0, 1), ends excluded", above=0.0, below=1.0)
_COUNT_OR_ZERO = Number("a whole number, 0 or more", 0, as_float=False, whole=True)
_REALS = Numbers("a sequence of finite numbers", _REAL)
_BOUNDARIES = Numbers("a strictly increasing sequence of positive steps", _STEPS, increasing=True)
_FACTOR_OR_FACTORS = OneOrMany(_FACTOR, "a sequence of such factors")
_ANY_NUMBER = Number("a finite number", as_float=False)
_ANYTHING = OneOrMany(_ANY_NUMBER, "a sequence of finite numbers", functions=True)


Scalar = Numeric
"""What may stand for one number."""
ManyScalars = Sequence[Any] | np.ndarray | jax.Array
"""What may stand for several numbers."""

Real = Annotated[Scalar, "Real", _REAL]
"""Any finite number."""
Rate = Annotated[Scalar, "Rate", _RATE]
"""A height: finite and not negative."""
Positive = Annotated[Scalar, "Positive", Number("a positive finite number", above=0.0)]
"""A positive finite number."""
Factor = Annotated[Scalar, "Factor", _FACTOR]
"""A factor in (0, 1]."""
Fraction = Annotated[Scalar, "Fraction", _FRACTION]
"""A fraction in (0, 1), ends excluded."""
Negative = Annotated[Scalar, "Negative", Number("a negative finite number", below=0.0)]
"""A negative finite number."""
Growth = Annotated[Scalar, "Growth", Number("a finite factor, 1 or more", minimum=1.0)]
"""A finite factor, 1 or more."""
PartOfOne = Annotated[Scalar, "PartOfOne", Number("a number in [0, 1)", minimum=0.0, below=1.0)]
"""A number in [0, 1)."""
Steps = Annotated[Scalar, "Steps", _STEPS]
"""A length: a positive finite number of steps, exact if it is an integer."""
StepsOrZero = Annotated[Scalar, "StepsOrZero", _STEPS_OR_ZERO]
"""A length that may also be 0."""
Count = Annotated[Scalar, "Count", Number("a whole number, 1 or more", 1, as_float=False, whole=True)]
"""A whole number, 1 or more."""
CountOrZero = Annotated[Scalar, "CountOrZero", _COUNT_OR_ZERO]
"""A whole number, 0 or more."""
Reals = Annotated[ManyScalars, "Reals", _REALS]
"""A sequence of finite numbers."""
Rates = Annotated[ManyScalars, "Rates", Numbers("a sequence of finite numbers, 0 or more", _RATE)]
"""A sequence of heights, finite and not negative."""
FactorOrFactors = Annotated[Scalar | ManyScalars, "FactorOrFactors", _FACTOR_OR_FACTORS]
"""A factor in (0, 1], or a sequence of them."""
Boundaries = Annotated[ManyScalars, "Boundaries", _BOUNDARIES]
"""Absolute steps at which something changes, positive and strictly increasing."""
Switch = Annotated[bool, "Switch", Choice((False, True))]
"""True or False, fixed when the schedule is built."""

Key = Annotated[Any, "Key", KeyDomain()]
"""A JAX random key, or a whole number of 0 or more as its seed."""
Noise = Annotated[Literal["normal", "uniform"], "Noise", Choice(("normal", "uniform"))]
"""The distribution of random factors: "normal" or "uniform"."""


# The library's names mean the same in a user's own formula, even without annotations.
BY_NAME: dict[str, Domain] = {
    **dict.fromkeys(("init_value", "peak_value", "end_value", "base_value"), _RATE),
    "value": _REAL,
    "values": _REALS,
    **dict.fromkeys(("decay_steps", "transition_steps", "total_steps", "period"), _STEPS),
    "warmup_steps": _STEPS_OR_ZERO,
    "decay_rate": _FACTOR,
    "boundaries": _BOUNDARIES,
}


def domain_of(name: str, annotation: object) -> Domain:
    """The domain that the annotation names, else the one that belongs to the parameter's name."""
    parts = typing.get_args(annotation)
    if named := [part for part in parts if isinstance(part, Domain)]:
        return named[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        others = [part for part in parts if part is not type(None)]
        if len(others) == 1:
            return Optional(domain_of(name, others[0]))
    return BY_NAME.get(name, _ANYTHING)


# --- The door: bind arguments by name, admit each by its domain, or refuse it in one line

P = ParamSpec("P")
R = TypeVar("R")


def admit(where: str, name: str, domain: Domain, value: object, several: str = "") -> Any:
    """What the domain stores for the value, or an error that says who refuses what, and why.

    `several` is the hint for many numbers where one is meant.
    """
    try:
        return domain.admit(value)
    except (TypeError, ValueError, OverflowError) as error:
        hint = f": {error}" if isinstance(error, Unfit) else several if _is_many(value, domain) else ""
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise Refusal(where, name, domain.words, value, hint).error(kind) from None


def _is_many(value: object, domain: Domain) -> bool:
    return isinstance(domain, Number) and bool(getattr(value, "ndim", isinstance(value, list | tuple)))


def bind(
    where: str, signature: inspect.Signature, args: Sequence[Any], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    """The arguments by name, or an error that says who was called and what it takes."""
    parameters = signature.parameters
    try:
        # Python names what is missing first, and so hides the misspelt name that stands for it.
        for name in kwargs:
            if name not in parameters:
                from optax_sched._core.peer_words import meant_by

                kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
                hint = meant_by(name, [it.name for it in parameters.values() if it.kind in kinds])
                raise TypeError(f"got an unexpected keyword argument {name!r}{hint}")
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{where}: {error}; it takes ({bare(signature)})") from None
    bound.apply_defaults()
    return bound


def bare(signature: inspect.Signature) -> str:
    """The parameters with their defaults, without annotations."""
    return ", ".join(str(it.replace(annotation=it.empty)) for it in signature.parameters.values())


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let the domain of each annotated argument admit it before the call; Any stands for no domain."""
    own = inspect.signature(function)
    signature = readable(own.parameters.values(), own.return_annotation)
    asked = [it for it in own.parameters.values() if it.annotation is not Any]
    domains = {it.name: domain_of(it.name, it.annotation) for it in asked}

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = bind(function.__name__, signature, args, kwargs)
        for name, domain in domains.items():
            bound.arguments[name] = admit(function.__name__, name, domain, bound.arguments[name])
        return function(*bound.args, **bound.kwargs)

    wrapper.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
    return wrapper


class Word(str):
    """An annotation as `help` shows it."""

    __repr__ = str.__str__


def readable(parameters: Iterable[inspect.Parameter], result: object) -> inspect.Signature:
    """A signature that shows the words of the vocabulary, not the types that they stand for."""
    named = [it.replace(annotation=_word(it.annotation)) for it in parameters]
    return inspect.Signature(named, return_annotation=result)


def _word(annotation: object) -> Any:
    if typing.get_origin(annotation) is Annotated:
        words = [part for part in typing.get_args(annotation) if isinstance(part, str)]
        return Word(words[0] if words else "Any")
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = map(_word, typing.get_args(annotation))
        return Word(" | ".join("None" if part is type(None) else str(part) for part in parts))
    return annotation
