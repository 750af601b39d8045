"""What a decorator learns from a formula: all that the objects of one builder share."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from optax_sched._core.domains import Domain, default_float
from optax_sched._core.errors import NEEDS_NUMBERS, Refusal, in_a_word
from optax_sched._core.lengths import Lengths, refuse_ratios, refuse_swapped
from optax_sched._core.printing import source
from optax_sched._core.words import BY_NAME, admit, bind, domain_of, readable

# The hyperparameter that is wrong, the rule that it breaks and, if there is more to say, a hint.
Violation = tuple[str, str] | tuple[str, str, str] | None
Check = Callable[..., Violation]
Checks = Check | Sequence[Check]

_SEVERAL = ": for several values, grid or stack makes a batch of schedules"


class Formula:
    """A function with the domains of its hyperparameters, and the builder that they define.

    `skip` names the first parameters of the function, which are not hyperparameters. `made` is the
    class that the builder makes.
    """

    reserved = frozenset({"init", "update", "replace", "step"})
    # Hyperparameters that the function does not see, before and after those that it sees.
    before: Sequence[inspect.Parameter] = ()
    after: Sequence[inspect.Parameter] = ()

    def __init__(
        self, function: Callable[..., Any], name: str, check: Checks, made: Any, skip: Sequence[str]
    ):
        self.function = function
        self.name = name
        self.made = made
        try:
            signature = inspect.signature(function, eval_str=True)
        except NameError:  # only a type checker knows what its annotations mean
            signature = inspect.signature(function)
        own = list(signature.parameters.values())
        # A name that the library knows is a hyperparameter's: the step was forgotten.
        if len(own) < len(skip) or (skip == ["the step"] and own[0].name in BY_NAME):
            first = " and ".join(skip)
            raise TypeError(f"{name}: a formula takes {first} first, then its hyperparameters")
        parameters = [*self.before, *own[len(skip) :], *self.after]
        self.domains: dict[str, Domain] = {}
        for parameter in parameters:
            taken = {*self.reserved, *self.domains}
            if parameter.name in taken or parameter.name.startswith("_"):
                raise TypeError(f"{name}: a hyperparameter may not be named {parameter.name!r}")
            if parameter.kind is parameter.VAR_KEYWORD:
                raise TypeError(f"{name}: hyperparameters must be named, **{parameter.name} hides them")
            self.domains[parameter.name] = domain_of(parameter.name, parameter.annotation)
        self.hints = {it.name: it.annotation for it in parameters if it.annotation is not it.empty}
        self.signature = readable(parameters, made)
        self.is_static = tuple(domain.static for domain in self.domains.values())
        checks = [check] if callable(check) else check or ()
        self.checks = [(check, tuple(inspect.signature(check).parameters)) for check in checks]
        if unknown := {it for _, asked in self.checks for it in asked} - self.domains.keys():
            words = ", ".join(sorted(unknown))
            raise TypeError(f"{name}: the check asks for {words}: no such hyperparameter")
        self.builder = self._make_builder()

    def _make_builder(self) -> Callable[..., Any]:
        @functools.wraps(self.function)
        def builder(*args: object, **kwargs: object) -> Any:
            return self.build(bind(self.name, self.signature, args, kwargs).arguments)

        builder.__name__ = self.name
        builder.__signature__ = self.signature  # pyright: ignore[reportAttributeAccessIssue]
        builder.__annotations__ = {**self.hints, "return": self.made}
        vars(builder)["formula"] = self
        return builder

    def build(self, values: dict[str, Any]) -> Any:
        """Check the values that the user wrote, and make the object."""
        where, domains = self.name, self.domains
        stored = {name: admit(where, name, it, values[name], _SEVERAL) for name, it in domains.items()}
        lengths = dict(self.lengths(stored.values()))
        heights = {
            name: value if name.endswith(("value", "values")) else domains[name].constants(value)
            for name, value in stored.items()
        }
        refuse_swapped(where, heights, lengths)
        refuse_ratios(where, lengths.items())
        for check, names in self.checks:
            try:
                violated = check(*(stored[name] for name in names))
            except NEEDS_NUMBERS:  # a traced one has none
                continue
            if not isinstance(violated, tuple | None):
                told = "a function that returns None, or a hyperparameter and the rule that it breaks"
                raise Refusal(where, "check", told, violated).error(TypeError)
            if violated:
                name, rule, *hint = violated
                raise Refusal(where, name, rule, values[name], *hint).error()
        return self.made._make(self, tuple(stored.values()))

    def lengths(self, stored: Iterable[Any]) -> Lengths:
        """The lengths on the clock of the call, each with its path."""
        for (name, domain), value in zip(self.domains.items(), stored, strict=True):
            for rest, length in domain.lengths(value):
                yield name + rest, length

    def importable(self) -> Callable[..., Any]:
        """The builder, under the name by which its module knows it, so that it can be pickled."""
        known = vars(sys.modules.get(self.builder.__module__, object))
        if known.get(self.builder.__qualname__) is not self.builder:
            names = (name for name, value in known.items() if value is self.builder)
            self.builder.__qualname__ = next(names, self.builder.__qualname__)
        return self.builder

    def value(self, step: object, bound: inspect.BoundArguments) -> Any:
        """What the function gives at a scalar step."""
        return self.function(step, *bound.args, **bound.kwargs)

    def source(
        self, values: dict[str, Any], write: Callable[[Any], str] = source, bare: bool = False
    ) -> str:
        """The source text of the call that builds an object with these hyperparameters.

        A bare one leaves out what is as by default, and the names of what stands in its place.
        """
        parameters, parts = self.signature.parameters.values(), []
        # Python cannot pass what stands before a *sequence by name.
        by_name = not bare and all(it.kind is not it.VAR_POSITIONAL for it in parameters)
        for it in parameters:
            value = values[it.name]
            if it.kind is it.VAR_POSITIONAL:
                parts += map(write, value)
            elif bare and isinstance(value, type(it.default)) and value == it.default:
                by_name = True
            else:
                is_named = it.kind is it.KEYWORD_ONLY or (by_name and it.kind is not it.POSITIONAL_ONLY)
                parts.append(f"{it.name}={write(value)}" if is_named else write(value))
        return f"{self.name}({', '.join(parts)})"


def formula_of(builder: object) -> Formula | None:
    """The formula of a builder, or None for anything else."""
    formula = getattr(builder, "formula", None) if inspect.isfunction(builder) else None
    return formula if isinstance(formula, Formula) else None


# --- Relations between hyperparameters that several builders check


def at_most(name: str, limit: str, why: str = "", hint: str = "") -> Check:
    """The check that one number is at most another where JAX holds both."""

    def check(number: object, most: object) -> Violation:
        fits = _as_held(number) <= _as_held(most)
        return None if fits else (name, f"at most {limit} = {in_a_word(most)}{why}", hint)

    return _asking(check, name, limit)


def falls(start: str, end: str) -> Check:
    """The check that a decay, or the floor under it, ends at or below its start."""
    rise = "warmup(end, steps, init_value=..., shape='cosine') or linear"
    hint = f": it is a rate, as in {end}=0.1 * {start}; a rise is {rise}"
    return at_most(end, start, ", from where it falls", hint)


def holds_all(total: str, *phases: str) -> Check:
    """The check that a total is at least the sum of its phases."""

    def check(steps: object, *lengths: object) -> Violation:
        # As Python numbers, which do not wrap.
        needed = sum(np.asarray(length).item() for length in lengths)
        fits = needed <= np.asarray(steps).item()
        return None if fits else (total, f"at least {' + '.join(phases)} = {needed}")

    return _asking(check, total, *phases)


def _asking(check: Check, *names: str) -> Check:
    """A check as a function with the names of hyperparameters as its parameters."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    vars(check)["__signature__"] = inspect.Signature([inspect.Parameter(it, kind) for it in names])
    return check


def _as_held(number: object) -> Any:
    return number if isinstance(number, int) else np.asarray(number, default_float())


decay_falls = falls("init_value", "end_value")
peak_falls = falls("peak_value", "end_value")
_MAY_FALL = ": the combinator warmup may fall, warmup(schedule, steps, init_value)"
start_below_peak = at_most("init_value", "peak_value", ", to which it rises", _MAY_FALL)
