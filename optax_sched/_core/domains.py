"""Kinds of hyperparameter: each says in words what it admits, stores it as a leaf, refuses the rest.

Values under a trace cannot be checked; their shape and type still are.
"""

import dataclasses
import inspect
import itertools
import math
import numbers
import reprlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._math.phases import LAST_STEP
from optax_sched._math.shapes import SHAPES, Shape, ShapeFunction


def default_float() -> np.dtype:
    """float32, or float64 under `jax_enable_x64`."""
    return jnp.dtype(jnp.result_type(float))


def is_traced(value: Any) -> bool:
    """Whether any leaf is a tracer, so that its value cannot be read."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


@jax.tree_util.register_pytree_with_keys_class
class Vector:
    """A sequence of numbers as one leaf; `weak` remembers that Python numbers made it."""

    __slots__ = ("array", "weak")

    def __init__(self, array: Any, weak: bool):
        self.array = array
        self.weak = weak

    def __len__(self) -> int:
        return self.array.shape[-1]

    def weak_flags(self) -> list[bool]:
        """For each leaf, whether Python numbers made it."""
        return [self.weak]

    def tree_flatten_with_keys(self):
        return ((jax.tree_util.GetAttrKey("array"), self.array),), self.weak

    def tree_flatten(self):
        return (self.array,), self.weak

    @classmethod
    def tree_unflatten(cls, weak, children):
        (array,) = children
        return cls(array, weak)


def weak_flags(tree: Any) -> list[bool]:
    """For each leaf, whether it is a Python number, or was one before it became part of an array."""
    flags = []
    for node in jax.tree.leaves(tree, is_leaf=lambda node: hasattr(node, "weak_flags")):
        flags += (
            node.weak_flags() if hasattr(node, "weak_flags") else [getattr(node, "weak_type", False)]
        )
    return flags


def admit(where: str, name: str, kind: "Kind", value: Any) -> Any:
    """What `kind` stores for `value`, or an error that says who refused what, and why."""
    try:
        return kind.admit(value)
    except (TypeError, ValueError, OverflowError) as error:
        fault = TypeError if isinstance(error, TypeError) else ValueError
        hint = f": {error}" if isinstance(error, Unfit) else ""
        raise fault(complaint(where, name, kind.rule, value) + hint) from None


def bind(
    where: str, signature: inspect.Signature, args: Sequence[Any], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    """The arguments by name, or an error that says whose they are and what it takes."""
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        hypers = (hyper.replace(annotation=hyper.empty) for hyper in signature.parameters.values())
        raise TypeError(f"{where}: {error}; it takes ({', '.join(map(str, hypers))})") from None
    bound.apply_defaults()
    return bound


def complaint(where: str, name: str, rule: str, value: Any) -> str:
    """The one line of every error."""
    return f"{where}: {name} must be {rule}, got {in_a_word(value)}"


def in_a_word(value: Any) -> str:
    """A value for an error message: short, and on one line."""
    if isinstance(value, Tracer):
        return f"a traced {value.dtype}{list(value.shape)}"
    if isinstance(value, jax.Array | np.ndarray):
        return f"an array of shape {value.shape}" if value.ndim else repr(value.item())
    if isinstance(value, np.generic):
        return repr(value.item())
    return " ".join(_Shortened().repr(value).split())


class _Shortened(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # Python prints no number of more than 4300 digits
            return f"an integer of about {round(x.bit_length() * math.log10(2))} digits"


class Unfit(ValueError):
    """A number that obeys the rule as it is written, but not as JAX holds it: says why."""


class Kind:
    """One kind of hyperparameter. `admit` raises a bare TypeError or ValueError to refuse."""

    rule: str
    static: bool = False  # part of the structure, not a leaf
    rank: int | None = None  # of the leaf, where it has one

    def admit(self, value: Any) -> Any:
        """What is stored for what the user wrote."""
        raise NotImplementedError

    def read(self, stored: Any) -> Any:
        """What the formula sees."""
        return stored

    def public(self, stored: Any) -> Any:
        """What the user sees as an attribute of the schedule."""
        return stored


@dataclasses.dataclass(frozen=True)
class Number(Kind):
    """A finite scalar. Whatever JAX will round it to must obey the bounds as well."""

    rule: str
    minimum: float = -math.inf
    maximum: float = math.inf
    above_minimum: bool = False
    below_maximum: bool = False
    as_float: bool = True
    whole: bool = False
    rank = 0

    def admit(self, value: Any) -> Any:
        scalar = _scalar(value)
        if isinstance(scalar, Tracer):
            return self._cast(scalar)
        number = scalar if isinstance(scalar, int | float) else scalar.item()
        if self.whole and isinstance(number, float) and number.is_integer():
            number = int(number)
        if isinstance(number, int) and not self.as_float:
            if number > LAST_STEP:
                larger = "" if self.whole else ", a float may be larger"
                raise Unfit(f"an integer is at most {LAST_STEP}{larger}")
            rounded = number
        else:
            with np.errstate(over="ignore"):
                rounded = float(default_float().type(number))
        # A subnormal number is 0 to XLA, so "positive" starts at the smallest normal one.
        seen = rounded if abs(rounded) >= jnp.finfo(default_float()).tiny else 0.0
        if not self._holds(rounded) or not self._holds(seen):
            if self._holds(number):
                raise Unfit(f"in {default_float()} JAX takes {in_a_word(number)} for {seen}")
            raise ValueError
        if self.whole and not isinstance(number, int):
            raise ValueError
        return self._cast(number if isinstance(scalar, int | float) else scalar)

    def _holds(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and self.minimum <= number <= self.maximum
            and not (self.above_minimum and number == self.minimum)
            and not (self.below_maximum and number == self.maximum)
        )

    def _cast(self, scalar: Any) -> Any:
        if isinstance(scalar, int | float):
            return float(scalar) if self.as_float else scalar
        if self.as_float and not jnp.issubdtype(scalar.dtype, jnp.floating):
            return scalar.astype(default_float())
        if self.whole and not jnp.issubdtype(scalar.dtype, jnp.integer):
            return scalar.astype(jnp.int32)
        return scalar


@dataclasses.dataclass(frozen=True)
class Vectorial(Kind):
    """A sequence of numbers of one kind, kept as one array."""

    rule: str
    of: Number
    increasing: bool = False
    rank = 1

    def admit(self, value: Any) -> Vector:
        if isinstance(value, Vector):
            return value
        if isinstance(value, jax.Array):
            return self._admit_array(value)
        if isinstance(value, np.ndarray) and value.ndim == 1:
            value = value.tolist()
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise TypeError
        scalars = [self.of.admit(item) for item in value]
        if not all(isinstance(item, int | float) for item in scalars):
            weak = all(isinstance(item, int | float) or item.weak_type for item in scalars)
            self._check_order([item for item in scalars if not isinstance(item, Tracer)])
            return Vector(jnp.stack(jnp.broadcast_arrays(*map(jnp.asarray, scalars))), weak)
        array = as_array(scalars)
        self._check_order(array.tolist())  # as they are stored: rounding may make two equal
        return Vector(array, weak=True)

    def _admit_array(self, array: jax.Array) -> Vector:
        if array.ndim != 1:
            raise TypeError
        if isinstance(array, Tracer):
            return Vector(array, weak=False)
        items = array.tolist()
        self._check_order([self.of.admit(item) for item in items])
        floats = self.of.as_float and not jnp.issubdtype(array.dtype, jnp.floating)
        return Vector(array.astype(default_float()) if floats else array, weak=False)

    def _check_order(self, items: list[Any]) -> None:
        if self.increasing and any(b <= a for a, b in itertools.pairwise(items)):
            raise ValueError

    def read(self, stored: Vector) -> Any:
        return stored.array

    def public(self, stored: Vector) -> Any:
        return stored.array


@dataclasses.dataclass(frozen=True)
class ShapeKind(Kind):
    """How a phase goes from its start to its end: one of four names or a function of [0, 1]."""

    rule = "one of " + ", ".join(map(repr, SHAPES)) + ", or a function from [0, 1] to [0, 1]"
    static = True

    def admit(self, value: Any) -> str | Callable[..., Any]:
        if isinstance(value, Shape):  # one that a formula read, on its way to another
            return value.shape
        if isinstance(value, str):
            if value not in SHAPES:
                raise ValueError
        elif not callable(value):
            raise TypeError
        return value

    def read(self, stored: str | Callable[..., Any]) -> ShapeFunction:
        return Shape(stored)


@dataclasses.dataclass(frozen=True)
class Choice(Kind):
    """One of a few words, or yes and no."""

    options: tuple[Hashable, ...]
    static = True

    @property
    def rule(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # read only
        return "one of " + ", ".join(map(repr, self.options))

    def admit(self, value: Any) -> Any:
        if type(value) not in set(map(type, self.options)):
            raise TypeError
        if value not in self.options:
            raise ValueError
        return value


@dataclasses.dataclass(frozen=True)
class Optional(Kind):
    """Another kind, or None."""

    of: Kind

    @property
    def rule(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # read only
        return f"{self.of.rule}, or None"

    @property
    def static(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  # read only
        return self.of.static

    @property
    def rank(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.of.rank

    def admit(self, value: Any) -> Any:
        return None if value is None else self.of.admit(value)

    def read(self, stored: Any) -> Any:
        return None if stored is None else self.of.read(stored)

    def public(self, stored: Any) -> Any:
        return None if stored is None else self.of.public(stored)


class KeyKind(Kind):
    """A random key, or an integer as its seed."""

    rule = "a JAX random key, or a whole number of 0 or more as its seed"

    def admit(self, value: Any) -> Any:
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            if value.shape:
                raise TypeError
            return value
        if isinstance(value, jax.Array | np.ndarray) and value.dtype == np.uint32 and value.ndim == 1:
            return jax.random.wrap_key_data(jnp.asarray(value))
        return Number("", 0, as_float=False, whole=True).admit(value)


def as_key(key: Any) -> Any:
    """The key that a stored key or seed stands for."""
    return jax.random.key(key) if jnp.issubdtype(key.dtype, jnp.integer) else key


def as_array(numbers: Any) -> np.ndarray:
    """A Python number, or several, as an array of the type in which they are computed."""
    items = numbers if isinstance(numbers, Sequence) else [numbers]
    whole = all(isinstance(item, int) for item in items)
    return read_only(np.asarray(numbers, np.int32 if whole else default_float()))


def read_only(array: np.ndarray) -> np.ndarray:
    """The array, which is part of a schedule and does not change either."""
    array.setflags(write=False)
    return array


class OneOrMany(Kind):
    """A number or a sequence of numbers; where `functions`, also a callable."""

    def __init__(self, of: Number, many: str, functions: bool = False):
        self.scalar = of
        self.vector = Vectorial(many, of)
        self.functions = functions
        self.rule = f"{of.rule}, or {many}" + (", or a schedule" if functions else "")

    def admit(self, value: Any) -> Any:
        if self.functions and callable(value):
            return as_pytree(value)
        if isinstance(value, Vector | Sequence) or getattr(value, "ndim", 0):
            return self.vector.admit(value)
        return self.scalar.admit(value)

    def read(self, stored: Any) -> Any:
        return stored.array if isinstance(stored, Vector) else stored

    public = read


def as_pytree(function: Callable[..., Any]) -> Any:
    """The callable itself where it is a pytree, else wrapped as one without leaves."""
    if jax.tree_util.all_leaves([function]):
        return jax.tree_util.Partial(function)
    return function


def _scalar(value: Any) -> Any:
    """A Python int or float, or a JAX array (perhaps traced) of shape ()."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, jax.Array):
        if value.ndim or not jnp.issubdtype(value.dtype, jnp.number):
            raise TypeError
        if jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise TypeError
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        try:
            return float(value)
        except OverflowError:
            raise ValueError from None
    raise TypeError
