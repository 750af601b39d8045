"""What Python's operators between schedules, numbers and functions of the step build."""

import math
from collections.abc import Callable
from typing import Any, NoReturn, Self

from optax_sched._core.built import is_made_by, refuse_batch
from optax_sched._core.domains import as_scalar, is_traced
from optax_sched._core.errors import Refusal

# `add`, `multiply` and `power`: `arithmetic` puts them here, for they are made of schedules.
BUILDERS: dict[str, Callable[..., Any]] = {}


class Operators:
    """The operators, all by way of `_combined`."""

    __module__ = "optax_sched"
    __slots__ = ()
    __array_ufunc__ = None  # so that NumPy's numbers, when they stand on the left, leave it to us

    def _combined(self, name: str, *operands: Any) -> Self:
        """What the builder of that name makes of the operands, one of which is `self`."""
        for operand in operands:
            refuse_batch(name, operand, "map over it, as in jax.vmap(lambda s: 2 * s)(batch)")
        builder = BUILDERS[name]
        if name == "power":
            return builder(*operands)
        # A chain of one operation is one call.
        chains = (it.schedules if is_made_by(builder, it) else [it] for it in operands)
        return builder(*(item for chain in chains for item in chain))

    def __add__(self, other: object) -> Self:
        return self._combined("add", self, other)

    def __radd__(self, other: object) -> Self:
        if type(other) is int and other == 0:  # what `sum` begins with
            return self
        return self._combined("add", other, self)

    def __sub__(self, other: object) -> Self:
        number = _number(other)
        negative = self._combined("multiply", -1.0, other) if number is None else -number
        return self._combined("add", self, negative)

    def __rsub__(self, other: object) -> Self:
        return self._combined("add", other, -self)

    def __neg__(self) -> Self:
        return self._combined("multiply", -1.0, self)

    def __pos__(self) -> Self:
        return self

    def __mul__(self, other: object) -> Self:
        return self._combined("multiply", self, other)

    def __rmul__(self, other: object) -> Self:
        return self._combined("multiply", other, self)

    def __truediv__(self, other: object) -> Self:
        number = _number(other)
        if number is None or (not is_traced(number) and not 0 < abs(float(number)) < math.inf):
            _refuse(_DIVISOR, other, "a(step) / b(step)")
        return self._combined("multiply", self, 1 / number)

    def __rtruediv__(self, other: object) -> NoReturn:
        _refuse(_DIVISOR, self, "a / b(step)")

    def __pow__(self, other: object) -> Self:
        number = _number(other)
        if number is None or (not is_traced(number) and not 0 < float(number) < math.inf):
            _refuse(_EXPONENT, other, "a(step) ** b(step)" if callable(other) else "a(step) ** b")
        return self._combined("power", self, number)

    def __rpow__(self, other: object) -> NoReturn:
        _refuse(_EXPONENT, self, "a ** b(step)")


_DIVISOR = "divide", "divisor", "a finite number other than 0"
_EXPONENT = "power", "exponent", "a positive finite number"


def _number(value: object) -> Any:
    """A number as a scalar, or None for all else."""
    try:
        return as_scalar(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _refuse(rule: tuple[str, str, str], value: object, formula: str) -> NoReturn:
    hint = f": write a formula, schedule(lambda step, a, b: {formula}, name=...)(a, b)"
    raise Refusal(*rule, value, hint).error(ValueError if _number(value) is not None else TypeError)
