"""The one door for arguments: bind them by name, admit each by its domain, or refuse it in one line."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ParamSpec, TypeVar

from optax_sched._core.domains import Domain, Number
from optax_sched._core.errors import Refusal, Unfit
from optax_sched._core.peer_words import meant_by
from optax_sched._core.words import domain_of

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

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


def some(where: str, name: str, rule: str, values: object) -> Sequence[Any]:
    """The values, if they are a sequence of one or more, or an error."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise Refusal(where, name, rule, values).error(TypeError)
    if not values:
        raise Refusal(where, name, rule, values).error()
    return values


def _is_many(value: object, domain: Domain) -> bool:
    return isinstance(domain, Number) and bool(getattr(value, "ndim", isinstance(value, list | tuple)))


def bind(
    where: str, signature: inspect.Signature, args: Sequence[Any], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    """The arguments by name, or an error that says who was called and what it takes."""
    parameters = signature.parameters
    by_name = [it.name for it in parameters.values() if it.kind in _BY_NAME]
    try:
        # Python names what is missing first, and so hides the misspelt name that stands for it.
        unknown = next((it for it in kwargs if it not in parameters), None)
        if unknown is not None:
            hint = meant_by(unknown, by_name)
            raise TypeError(f"got an unexpected keyword argument {unknown!r}{hint}")
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
    hints = typing.get_type_hints(function, include_extras=True)
    result = hints.pop("return")
    signature = readable(list(inspect.signature(function).parameters.values()), hints, result)
    domains = {name: domain_of(name, hint) for name, hint in hints.items() if hint is not Any}

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


def readable(
    parameters: Sequence[inspect.Parameter], hints: dict[str, Any], result: object
) -> inspect.Signature:
    """A signature that shows the words of the vocabulary, not the types that they stand for."""
    named = [it.replace(annotation=_word(hints.get(it.name, it.empty))) for it in parameters]
    return inspect.Signature(named, return_annotation=result)


def _word(annotation: object) -> Any:
    if typing.get_origin(annotation) is Annotated:
        words = [part for part in typing.get_args(annotation) if isinstance(part, str)]
        return Word(words[0] if words else "Any")
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = map(_word, typing.get_args(annotation))
        return Word(" | ".join("None" if part is type(None) else str(part) for part in parts))
    return annotation
