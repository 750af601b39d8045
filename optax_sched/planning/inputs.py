"""What planning functions take: sizes known before tracing, arrays checked at once, rates of steps."""

from collections.abc import Sequence
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.arguments import admit
from optax_sched._core.built import is_batch
from optax_sched._core.domains import Domain, default_float, is_traced
from optax_sched._core.errors import Refusal
from optax_sched._core.hyperparameters import SIZE, Count, domain_of
from optax_sched._core.operands import OneSchedule, as_schedule


class SizesDomain(Domain):
    """One such number, or a sequence of them."""

    words = f"{SIZE.words}, or a sequence of such numbers"

    def admit(self, value: Any) -> int | tuple[int, ...]:
        items = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value
        if not isinstance(items, Sequence) or isinstance(items, str | bytes):
            return SIZE.admit(value)
        if not items:
            raise ValueError
        return tuple(map(SIZE.admit, items))


class ArrayDomain(Domain):
    """Numbers in an array, all checked at once: a log may hold millions of them."""

    def __init__(self, words: str, positive: bool, or_one: bool):
        self.words = words
        self.positive = positive
        self.or_one = or_one

    def admit(self, value: Any) -> Any:
        array = _as_numbers(value)
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


class RunDomain(OneSchedule):
    """A schedule, or an array of the rates that a run used; `rates_of` checks their values."""

    words = "a schedule, a function of the step, a finite number, or a sequence of the rates used"

    def admit(self, value: Any) -> Any:
        if callable(value) or not (isinstance(value, Sequence) or getattr(value, "ndim", 0)):
            return super().admit(value)
        rates = _as_numbers(value)
        if rates.ndim != 1 or not rates.size:
            raise TypeError
        return rates


class BatchSizeDomain(OneSchedule):
    """A number of examples, or a schedule of them."""

    words = "a whole number, 1 or more, or a schedule of such numbers"

    def admit(self, value: Any) -> Any:
        return super().admit(value) if callable(value) else domain_of("", Count).admit(value)


def _as_numbers(value: Any) -> Any:
    """Real numbers as an array, in the default float unless it is traced or wider."""
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


Size = Annotated[Any, "Size", SIZE]
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
BatchSize = Annotated[Any, "BatchSize", BatchSizeDomain()]
Run = Annotated[Any, "Run", RunDomain()]
"""A schedule, a function of the step, a number, or the rates that were used."""
ManyPositive = Annotated[
    Any,
    "ManyPositive",
    ArrayDomain("a sequence of positive finite numbers", positive=True, or_one=False),
]


_BLOCK = 4096  # steps: schedules of one structure share a program, whatever the length of the run


def rates_of(
    where: str, schedule: Any, num_steps: int, name: str = "schedule", must_move: bool = True
) -> Any:
    """The rates of updates 0 to num_steps - 1. Where they are concrete, bad ones are refused."""
    schedule = admit(where, name, RunDomain(), schedule)
    if is_batch(schedule):
        rule = "one schedule, not a batch (map over it: jax.vmap)"
        raise Refusal(where, name, rule, schedule).error()
    if callable(schedule):
        rates = as_schedule(schedule)(jnp.arange(num_steps, dtype=jnp.int32))
    elif len(schedule) < num_steps:
        raise Refusal(where, name, f"at least {num_steps} rates, one an update", schedule).error()
    else:
        rates = schedule
    if not is_traced(rates):
        _check(where, name, np.asarray(rates), num_steps, must_move)
    return rates[:num_steps]


def known_rates(
    where: str, schedule: Any, num_steps: int, name: str = "schedule", must_move: bool = True
) -> np.ndarray:
    """The same in float64, of a schedule that is not traced."""
    operand = admit(where, name, RunDomain(), schedule)
    if callable(operand) and not is_traced(operand) and not is_batch(operand):
        read = as_schedule(operand)
        starts = np.arange(0, num_steps, _BLOCK, dtype=np.int32)
        blocks = [read(start + np.arange(_BLOCK, dtype=np.int32)) for start in starts]
        operand = blocks if is_traced(blocks) else np.concatenate(blocks)
    if is_traced(operand):
        raise Refusal(where, name, "a schedule that is not traced", schedule).error(TypeError)
    return np.asarray(rates_of(where, operand, num_steps, name, must_move), np.float64)


def _check(where: str, name: str, rates: np.ndarray, num_steps: int, must_move: bool) -> None:
    bad = ~((rates >= 0) & (rates < np.inf))
    if bad.any():
        at = f" at step {int(np.argmax(bad))}"
        rule = f"a schedule of finite rates, 0 or more, up to step {num_steps - 1}"
        raise Refusal(where, name, rule, rates[bad][0], at).error()
    if must_move and not rates[:num_steps].max() > 0:
        rule = f"a schedule with a rate above 0 before step {num_steps}"
        raise Refusal(where, name, rule, rates[-1], " at the last").error()


def whole_steps(where: str, steps: Any, of: str = "") -> np.ndarray:
    """The steps as int64, of any shape. `of` is what they belong to, for errors: `runs[0].`, say."""
    name = f"{of}steps"
    rule = "whole numbers, 0 or more, that are not traced"
    if is_traced(steps):
        raise Refusal(where, name, rule, steps, ": make them with NumPy").error(TypeError)
    try:
        array = np.asarray(steps)
    except ValueError:  # a ragged list
        raise Refusal(where, name, rule, steps).error(TypeError) from None
    if array.dtype.kind not in "iuf":
        raise Refusal(where, name, rule, steps).error(TypeError)
    bad = ~((array >= 0) & (array < 2**31) & (array == np.floor(array)))
    if bad.any():
        raise Refusal(where, name, rule, array[bad].flat[0]).error()
    return array.astype(np.int64)


def one_each(where: str, name: str, values: Any, count: int, of: str) -> None:
    """Refuse an array that does not have one entry for each of `count` things."""
    if jnp.ndim(values) and len(values) != count:
        raise Refusal(where, name, f"one number, or one for each of the {count} {of}", values).error()
