"""What Python's operators between schedules, numbers and functions of the step build."""

import contextlib
import math
from collections.abc import Callable
from typing import Any, NoReturn, Self

from optax_sched._core.built import is_made_by, refuse_batch
from optax_sched._core.domains import as_scalar, is_traced
from optax_sched._core.errors import Refusal

# `add`, `multiply` and `power`: `arithmetic` puts them here, for they are made of schedules.
BUILDERS: dict[str, Callable[..., Any]] = {}


class Operators:
    """The operators, all by way of builders."""

    __module__ = "optax_sched"
    __slots__ = ()
    __array_ufunc__ = None  # so that NumPy's numbers, when they stand on the left, leave it to us

    def __add__(self, other: object) -> Self:
        return _combined("add", self, other)

    def __radd__(self, other: object) -> Self:
        if type(other) is int and other == 0:  # what `sum` begins with
            return self
        return _combined("add", other, self)

    def __sub__(self, other: object) -> Self:
        number = _number(other)
        negative = _combined("multiply", -1.0, other) if number is None else -number
        return _combined("add", self, negative)

    def __rsub__(self, other: object) -> Self:
        return _combined("add", other, -self)

    def __neg__(self) -> Self:
        return _combined("multiply", -1.0, self)

    def __pos__(self) -> Self:
        return self

    def __mul__(self, other: object) -> Self:
        return _combined("multiply", self, other)

    def __rmul__(self, other: object) -> Self:
        return _combined("multiply", other, self)

    def __truediv__(self, other: object) -> Self:
        number = _number(other)
        if number is None or (not is_traced(number) and not 0 < abs(float(number)) < math.inf):
            _refuse(_DIVISOR, self, "/", other)
        return _combined("multiply", self, 1 / number)

    def __rtruediv__(self, other: object) -> NoReturn:
        _refuse(_DIVISOR, other, "/", self)

    def __pow__(self, other: object) -> Self:
        number = _number(other)
        if number is None or (not is_traced(number) and not 0 < float(number) < math.inf):
            _refuse(_EXPONENT, self, "**", other)
        return _combined("power", self, number)

    def __rpow__(self, other: object) -> NoReturn:
        _refuse(_EXPONENT, other, "**", self)


_DIVISOR = "divide", "divisor", "a finite number other than 0"
_EXPONENT = "power", "exponent", "a positive finite number"


def _number(value: object) -> Any:
    """A number as a scalar, or None for all else."""
    with contextlib.suppress(TypeError, OverflowError):
        return as_scalar(value)
    return None


def _combined(name: str, *operands: Any) -> Any:
    """What the builder of that name makes of the operands, one of which is a schedule."""
    for operand in operands:
        refuse_batch(name, operand, "map over it, as in jax.vmap(lambda s: 2 * s)(batch)")
    builder = BUILDERS[name]
    if name == "power":
        return builder(*operands)
    # A chain of one operation is one call.
    chains = (it.schedules if is_made_by(builder, it) else [it] for it in operands)
    return builder(*(item for chain in chains for item in chain))


def _refuse(rule: tuple[str, str, str], a: object, sign: str, b: object) -> NoReturn:
    hint, number = "", _number(b)
    with contextlib.suppress(TypeError, ValueError):  # a formula takes what a sum takes
        if (callable(b) or number) and _combined("add", a, b):
            formula = f"{'a(step)' if callable(a) else 'a'} {sign} {'b(step)' if callable(b) else 'b'}"
            hint = f": write a formula, schedule(lambda step, a, b: {formula}, name='mine')(a, b)"
    raise Refusal(*rule, b, hint).error(TypeError if number is None else ValueError)
