"""What planning functions take: sizes known before tracing, arrays checked at once, rates of steps."""

from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.built import is_batch
from optax_sched._core.domains import Domain, default_float, is_traced
from optax_sched._core.errors import Refusal
from optax_sched._core.hyperparameters import Count, domain_of
from optax_sched._core.operands import as_schedule


class SizeDomain(Domain):
    """A whole number, 1 or more, that fixes the shape of a program."""

    words = "a whole number, 1 or more, that is not traced"

    def admit(self, value: Any) -> int:
        if is_traced(value):
            raise TypeError
        return int(domain_of("", Count).admit(value))


class SizesDomain(Domain):
    """One such number, or a sequence of them."""

    words = f"{SizeDomain.words}, or a sequence of such numbers"

    def admit(self, value: Any) -> int | tuple[int, ...]:
        items = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value
        if not isinstance(items, Sequence) or isinstance(items, str | bytes):
            return SizeDomain().admit(value)
        if not items:
            raise ValueError
        return tuple(map(SizeDomain().admit, items))


class ArrayDomain(Domain):
    """Numbers in an array, all checked at once: a log may hold millions of them."""

    def __init__(self, words: str, positive: bool, or_one: bool):
        self.words = words
        self.positive = positive
        self.or_one = or_one

    def admit(self, value: Any) -> Any:
        array = self._array(value)
        if array.ndim > 1 or (not array.ndim and not self.or_one):
            raise TypeError
        if not array.size:
            raise ValueError
        if isinstance(array, Tracer):
            return array
        rounded = np.asarray(array, default_float())
        low, high = rounded.min(), rounded.max()
        if not (low > 0 if self.positive else low >= 0) or not np.isfinite(high):
            raise ValueError
        return array

    def _array(self, value: Any) -> Any:
        if isinstance(value, str | bytes) or value is None:
            raise TypeError
        if isinstance(value, Tracer):
            array = value
        elif is_traced(value):  # a list that holds tracers
            array = jnp.stack([jnp.asarray(item) for item in value])
        else:
            array = np.asarray(value)
        if array.dtype == bool or not jnp.issubdtype(array.dtype, jnp.number):
            raise TypeError
        if jnp.issubdtype(array.dtype, jnp.complexfloating):
            raise TypeError
        wide = jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize > 4
        return array if isinstance(array, Tracer) or wide else array.astype(default_float())


Size = Annotated[Any, "Size", SizeDomain()]
Sizes = Annotated[Any, "Sizes", SizesDomain()]
PositiveOrMany = Annotated[
    Any,
    "PositiveOrMany",
    ArrayDomain("a positive finite number, or a sequence of them", positive=True, or_one=True),
]
RateOrMany = Annotated[
    Any,
    "RateOrMany",
    ArrayDomain("a finite number, 0 or more, or a sequence of them", positive=False, or_one=True),
]
ManyRates = Annotated[
    Any,
    "ManyRates",
    ArrayDomain("a sequence of finite numbers, 0 or more", positive=False, or_one=False),
]
ManyPositive = Annotated[
    Any,
    "ManyPositive",
    ArrayDomain("a sequence of positive finite numbers", positive=True, or_one=False),
]


def rates_of(
    where: str, schedule: Any, num_steps: int, name: str = "schedule", must_move: bool = True
) -> jax.Array:
    """The rates of updates 0 to num_steps - 1. Where they are concrete, bad ones are refused."""
    if is_batch(schedule):
        rule = "one schedule, not a batch (map over it: jax.vmap)"
        raise Refusal(where, name, rule, schedule).error()
    rates = as_schedule(schedule)(jnp.arange(num_steps, dtype=jnp.int32))
    if not is_traced(rates):
        seen = np.asarray(rates)
        if not seen.min() >= 0 or not np.isfinite(seen.max()):
            rule = f"a schedule of finite rates, 0 or more, up to step {num_steps - 1}"
            bad = seen[~((seen >= 0) & (seen < np.inf))]
            raise Refusal(where, name, rule, bad[0]).error()
        if must_move and not seen.max() > 0:
            rule = f"a schedule with a rate above 0 before step {num_steps}"
            raise Refusal(where, name, rule, schedule).error()
    return rates


def one_each(where: str, name: str, values: Any, count: int, of: str) -> None:
    """Refuse an array that does not have one entry for each of `count` things."""
    if jnp.ndim(values) and len(values) != count:
        raise Refusal(where, name, f"one number, or one for each of the {count} {of}", values).error()
