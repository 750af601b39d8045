"""Errors: one line each, with a record of what was refused for code that rewords it."""

import importlib
import inspect
import math
import reprlib
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jax.errors import ConcretizationTypeError, TracerArrayConversionError, TracerIntegerConversionError

# What JAX raises where Python asks a traced value for its number.
NEEDS_NUMBERS = ConcretizationTypeError, TracerArrayConversionError, TracerIntegerConversionError


class Refusal(NamedTuple):
    """The parts of an error: `where: name must be rule, got value`, then a hint."""

    where: str
    name: str
    rule: str
    value: Any
    hint: str = ""

    def error(self, kind: type[Exception] = ValueError) -> Exception:
        """An exception that carries this record as its attribute `refusal`."""
        where, name, rule, value, hint = self
        error = kind(f"{where}: {name} must be {rule}, got {in_a_word(value)}{hint or uncalled(value)}")
        error.refusal = self  # pyright: ignore[reportAttributeAccessIssue]
        return error


class Unfit(ValueError):
    """A value that looks as if it obeyed the rule; the message says why it does not."""


class Misplaced(Unfit, TypeError):
    """A value of another kind than is meant; the message says where it belongs."""


def refusal_of(error: Exception) -> Refusal | None:
    """The record that an error carries, or None if it is not one of ours."""
    return getattr(error, "refusal", None)


def uncalled(value: Any) -> str:
    """A hint for a builder that stands where what it makes is meant, or nothing."""
    is_builder = inspect.isfunction(value) and hasattr(vars(value).get("formula"), "builder")
    return f": it is a builder: call it, as in {value.__name__}(...)" if is_builder else ""


def in_a_word(value: object) -> str:
    """A value for an error message: short, and on one line."""
    if isinstance(value, Tracer):
        return f"a traced {value.dtype}{list(value.shape)}"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        is_number = not value.ndim and isinstance(value.dtype, np.dtype)  # that of a random key is none
        return repr(value.item()) if is_number else f"an array of shape {value.shape}"
    return " ".join(_Shortened().repr(value).split())


class _Shortened(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > 2000:  # Python may refuse to print more than 640 digits
            return f"an integer of about {round(x.bit_length() * math.log10(2))} digits"
        return super().repr_int(x, level)


def imported(where: str, module: str) -> Any:
    """A module of the extra `plot`, or an error that says how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        command = 'python -m pip install "optax_sched[plot]"'
        raise ImportError(f"{where}: {module.partition('.')[0]} is not installed: {command}") from None
