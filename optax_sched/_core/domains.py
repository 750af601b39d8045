"""Domains of hyperparameters: each says in words what it admits, stores that, and refuses the rest."""

import contextvars
import dataclasses
import inspect
import itertools
import math
import numbers
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.errors import Misplaced, Refusal, Unfit, in_a_word, uncalled
from optax_sched._core.lengths import Lengths, refuse_ratio_among
from optax_sched._core.nodes import Node
from optax_sched._math.phases import LAST_STEP


def default_float() -> np.dtype:
    """float32, or float64 under `jax_enable_x64`."""
    return jnp.dtype(jnp.result_type(float))


def is_traced(value: object) -> bool:
    """Whether any leaf of a value is unknown because JAX traces it."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


def is_key(value: Any) -> bool:
    """Whether a value is a JAX random key, or an array of them."""
    return hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a value is a list, a tuple or the like, and no text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def some(where: str, name: str, rule: str, values: Any) -> Sequence[Any]:
    """The values, if they are a sequence of one or more, or an error."""
    if not is_sequence(values) or not values:
        raise Refusal(where, name, rule, values).error(ValueError if is_sequence(values) else TypeError)
    return values


# Whether a recipe composes, so that a length of 0 is a phase that it leaves out.
PHASES_MAY_BE_EMPTY = contextvars.ContextVar("PHASES_MAY_BE_EMPTY", default=False)


class Domain:
    """What one hyperparameter may be: `admit` refuses by a bare error, a tracer by shape and type."""

    words: str = "anything"  # what it admits, for errors
    static: bool = False  # whether it is part of the structure, not a leaf
    axes: int | None = None  # of what is stored for one schedule, where a batch may have one more
    item: Any = None  # the domain of each item, if it admits a sequence

    def __repr__(self) -> str:
        return self.words

    def admit(self, value: object) -> Any:
        """What is stored for what the user wrote."""
        return value

    def public(self, stored: Any) -> Any:
        """What the user sees as an attribute of the schedule."""
        return stored

    def has_batch_axis(self, stored: Any) -> bool:
        """Whether what is stored has more axes than that of one schedule."""
        return self.axes is not None and getattr(stored, "ndim", 0) > self.axes

    def is_float_clock(self, stored: Any) -> bool:
        """Whether this is a float length, or a schedule with one, so that steps may exceed an int32."""
        return self.item is not None and self.item.is_float_clock(stored)

    def lengths(self, stored: Any) -> Lengths:
        """The lengths on the clock of the call, each with its path from the parameter on."""
        return self.item.lengths(stored) if self.item else ()

    def constants(self, stored: Any) -> Any:
        """The height, or the heights, of an operand that was a plain number, or of several."""
        return ()

    def word(self, stored: Any) -> str | None:
        """What the path to a leaf says of it beside the builder's name, so that formulas stay apart."""
        return None

    def packed(self, stored: Any) -> Any:
        """What a pickle holds, without classes of private files."""
        return stored

    def unpacked(self, packed: Any, /) -> Any:
        """What was stored, from the pickle."""
        return packed


@dataclasses.dataclass(repr=False, eq=False)
class Number(Domain):
    """A finite scalar. The number that JAX rounds it to must obey the bounds too."""

    axes = 0
    words: str
    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    as_float: bool = True
    whole: bool = False
    is_length: bool = False  # whether it is counted in steps
    counts_units: bool = False  # whether it counts tokens or the like, of which no int32 holds enough

    def admit(self, value: object) -> Any:
        scalar = as_scalar(value)
        if isinstance(scalar, Tracer):
            return self._cast(scalar)
        number = scalar if isinstance(scalar, int | float) else scalar.item()
        if self.is_length and number == 0 and PHASES_MAY_BE_EMPTY.get():
            return self._cast(scalar)
        if self.whole and isinstance(number, float) and number.is_integer():
            number = int(number)
        if isinstance(number, int) and not self.as_float and number > LAST_STEP:
            if self.whole:
                raise Unfit(f"an integer is at most {LAST_STEP}")
            # A count of tokens or samples: hold as a float what int32 cannot.
            scalar = number = float(number) if number < 2**1023 else math.inf
        with np.errstate(over="ignore"):
            rounded = float(default_float().type(number))
        # XLA takes a subnormal number for 0, so the smallest positive number is a normal one.
        seen = rounded if abs(rounded) >= jnp.finfo(default_float()).tiny else 0.0
        if not self.holds(rounded) or not self.holds(seen):
            if self.holds(number):
                raise Unfit(f"in {default_float()} JAX takes {in_a_word(number)} for {seen}")
            raise ValueError
        if self.whole and not isinstance(number, int):
            raise ValueError
        return self._cast(number if isinstance(scalar, int | float) else scalar)

    def is_float_clock(self, stored: object) -> bool:
        is_float = self.is_length and jnp.issubdtype(jnp.result_type(stored), jnp.floating)
        return self.counts_units or is_float

    def lengths(self, stored: object) -> Lengths:
        return [("", stored)] if self.is_length else ()

    def holds(self, number: float) -> bool:
        """Whether a number is finite and obeys the bounds."""
        return self.above < number < self.below and self.minimum <= number <= self.maximum

    def _cast(self, scalar: Any) -> Any:
        if isinstance(scalar, int | float):
            return float(scalar) if self.as_float else scalar
        if self.as_float and not jnp.issubdtype(scalar.dtype, jnp.floating):
            return scalar.astype(default_float())
        if self.whole and not jnp.issubdtype(scalar.dtype, jnp.integer):
            return scalar.astype(jnp.int32)
        return scalar


class Known(Number):
    """A number that Python counts with: not traced, and of any size up to its maximum."""

    def admit(self, value: object) -> Any:
        number = np.asarray(as_scalar(value)).item()  # which raises a TypeError if it is traced
        if not self.holds(number) or (self.whole and number != int(number)):
            raise ValueError
        return int(number) if self.whole else self._cast(number)


SIZE = Known("a whole number, 1 or more, that is not traced", 1, LAST_STEP, whole=True)


class Numbers(Domain):
    """A sequence of numbers of one domain, kept as one array."""

    axes = 1

    def __init__(self, words: str, item: Number, increasing: bool = False):
        self.words, self.item, self.increasing = words, item, increasing

    def admit(self, value: object) -> Any:
        if isinstance(value, jax.Array | np.ndarray) and value.ndim != 1:
            raise TypeError
        if isinstance(value, Tracer):
            return value
        items = value.tolist() if isinstance(value, jax.Array | np.ndarray) else value
        if not is_sequence(items):
            raise TypeError
        scalars = [self.item.admit(item) for item in items]
        if self.item.is_length:
            refuse_ratio_among(scalars)
        array = self.item._cast(value) if isinstance(value, jax.Array) else stacked(scalars)
        # Check the rounded ones: rounding may make two equal.
        numbers = array.tolist() if isinstance(array, np.ndarray) else scalars
        known = [number for number in numbers if not isinstance(number, Tracer)]
        if self.increasing and any(b <= a for a, b in itertools.pairwise(known)):
            raise ValueError
        return array


class Choice(Domain):
    """One of a few words, or True or False."""

    static = True

    def __init__(self, options: tuple[Hashable, ...]):
        self.options = options
        self.words = "one of " + ", ".join(map(repr, options))

    def admit(self, value: object) -> Any:
        if not isinstance(value, type(self.options[0])):  # 1 is no True
            raise TypeError
        return self.options[self.options.index(value)]  # which raises ValueError

    def word(self, stored: object) -> str | None:
        return str(stored) if self.static and stored is not False else None


class Optional(Domain):
    """Another domain, or None."""

    def __init__(self, of: Domain):
        self.of = of
        self.words = f"{of.words}, or None"
        self.static = of.static


def _of_what_is_there(name: str, of_none: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Optional, value: object) -> Any:
        return of_none(self, value) if value is None else getattr(self.of, name)(value)

    return method


for _name, _method in vars(Domain).items():
    if inspect.isfunction(_method) and not _name.startswith("_"):
        setattr(Optional, _name, _of_what_is_there(_name, _method))


class KeyDomain(Domain):
    """A random key, or an integer as its seed."""

    axes = 0
    words = "a JAX random key, or a whole number of 0 or more as its seed"

    def admit(self, value: Any) -> Any:
        if is_key(value) and not value.ndim:
            return value
        if isinstance(value, jax.Array | np.ndarray) and value.dtype == np.uint32 and value.ndim == 1:
            return jax.random.wrap_key_data(jnp.asarray(value))
        return Number("", 0, as_float=False, whole=True).admit(value)


class OneOrMany(Domain):
    """A number, a sequence of numbers or, if `functions` is true, a callable."""

    axes = 1  # one may be a batch of numbers or one sequence of them: only two are surely a batch

    def __init__(self, of: Number, many: str, functions: bool = False):
        self.item = of
        self.many = Numbers(many, of)
        self.functions = functions
        self.words = f"{of.words}, or {many}" + (", or a schedule" if functions else "")

    def admit(self, value: object) -> Any:
        if self.functions and callable(value):
            refuse_no_schedule(value)
            return value
        many = isinstance(value, Sequence) or getattr(value, "ndim", 0)
        return (self.many if many else self.item).admit(value)


def refuse_no_schedule(value: object) -> None:
    """Raise if the value is a builder, where what it makes is meant, or a closed loop."""
    if hint := uncalled(value):
        raise Unfit(hint.removeprefix(": "))
    if isinstance(value, Node) and hasattr(type(value), "init"):
        raise Misplaced("closed loops go around a schedule, as in plateau(s): give a schedule alone")


def as_array(items: object) -> np.ndarray:
    """One Python number, or several, as an array of the dtype that JAX computes with."""
    whole = all(isinstance(item, int) for item in (items if isinstance(items, Sequence) else [items]))
    return read_only(np.asarray(items, np.int32 if whole else default_float()))


def read_only(array: np.ndarray) -> np.ndarray:
    """The same array, made immutable as the schedule that holds it."""
    array.setflags(write=False)
    return array


def stacked(leaves: Sequence[Any]) -> Any:
    """Leaves of one shape on a new leading axis, in NumPy unless one of them is on a device."""
    if all(isinstance(leaf, int | float) for leaf in leaves):
        return as_array(leaves)
    if all(isinstance(leaf, np.ndarray) for leaf in leaves):
        return read_only(np.stack(leaves))
    with jax.numpy_dtype_promotion("standard"):  # whole and fractional lengths are one batch
        return jnp.stack([jnp.asarray(leaf) for leaf in leaves])


def as_scalar(value: Any) -> Any:
    """A Python int or float, or a JAX array (perhaps traced) of shape ()."""
    if isinstance(value, np.generic | np.ndarray) and not value.ndim:
        value = value.item()
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    is_number = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.number)
    if not is_number or value.ndim or jnp.iscomplexobj(value):
        raise TypeError
    return value
