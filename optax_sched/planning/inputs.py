"""What planning functions take: sizes known before tracing, arrays checked at once, rates of steps."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.built import is_batch
from optax_sched._core.domains import SIZE, Domain, default_float, is_sequence, is_traced, some
from optax_sched._core.errors import Misplaced, Refusal
from optax_sched._core.operands import Function, OneSchedule, as_schedule
from optax_sched._core.words import Count, ManyScalars, Positive, Rate, Scalar, admit, domain_of

Array = np.ndarray | jax.Array


class SizesDomain(Domain):
    """One such number, or a sequence of them."""

    words = f"{SIZE.words}, or a sequence of such numbers"

    def admit(self, value: Any) -> int | tuple[int, ...]:
        items = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value
        if not is_sequence(items):
            return SIZE.admit(value)
        if not items:
            raise ValueError
        return tuple(map(SIZE.admit, items))


class ArrayDomain(Domain):
    """Numbers in an array, all checked at once: a log may hold millions of them.

    Each obeys the domain `of`. One number will do too, unless `many` says in words what a sequence is.
    """

    def __init__(self, of: Any, many: str = ""):
        self.of, self.or_one = of, not many
        self.words = f"a sequence of {many}" if many else f"{of.words}, or a sequence of them"

    def admit(self, value: Any) -> Array:
        array = _in_float(value)
        if array.ndim > 1 or (not array.ndim and not self.or_one):
            raise TypeError
        if not array.size:
            raise ValueError
        if not isinstance(array, Tracer):
            rounded = np.asarray(array, default_float())
            if not (self.of.holds(rounded.min()) and self.of.holds(rounded.max())):
                raise ValueError
        return array


class KnownNumbers(Domain):
    """Numbers of any shape that are not traced, in NumPy as they are."""

    def __init__(self, words: str):
        self.words = f"{words} that are not traced"

    def admit(self, value: Any) -> np.ndarray:
        if is_traced(value):
            raise Misplaced("make them with NumPy")
        return np.asarray(_numbers(value))


class RunDomain(OneSchedule):
    """A schedule, or an array of the rates that a run used; `rates_of` checks their values."""

    words = "a schedule, a function of the step, a finite number, or a sequence of the rates used"

    def admit(self, value: Any) -> Any:
        if callable(value) or not (isinstance(value, Sequence) or getattr(value, "ndim", 0)):
            return super().admit(value)
        rates = _in_float(value)
        if rates.ndim != 1 or not rates.size:
            raise TypeError
        return rates


class BatchSizeDomain(OneSchedule):
    """A number of examples, or a schedule of them."""

    words = "a whole number, 1 or more, or a schedule of such numbers"

    def admit(self, value: Any) -> Any:
        return super().admit(value) if callable(value) else domain_of("", Count).admit(value)


def _numbers(value: Any) -> Array:
    """Real numbers as an array, in NumPy unless some are traced."""
    array = jnp.asarray(value) if is_traced(value) else np.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.number) or jnp.iscomplexobj(array):
        raise TypeError
    return array


def _in_float(value: Any) -> Array:
    """Real numbers as an array, in the default float or a wider one unless it is traced."""
    array = _numbers(value)
    return array if isinstance(array, Tracer) else array.astype(np.result_type(array, default_float()))


Given = Function | Scalar | ManyScalars
"""A schedule, a function of the step, a number, or the rates that were used."""
Run = Annotated[Given, "Run", RunDomain()]
BatchSize = Annotated[Function | float, "BatchSize", BatchSizeDomain()]
Size = Annotated[int, "Size", SIZE]
Sizes = Annotated[int | np.integer | Sequence[int] | np.ndarray, "Sizes", SizesDomain()]
_POSITIVE, _RATE = domain_of("", Positive), domain_of("", Rate)
PositiveOrMany = Annotated[Scalar | ManyScalars, "PositiveOrMany", ArrayDomain(_POSITIVE)]
RateOrMany = Annotated[Scalar | ManyScalars, "RateOrMany", ArrayDomain(_RATE)]
ManyPositive = Annotated[ManyScalars, "ManyPositive", ArrayDomain(_POSITIVE, "positive finite numbers")]
ManyRates = Annotated[ManyScalars, "ManyRates", ArrayDomain(_RATE, "finite numbers, 0 or more")]

_BLOCK = 4096  # steps: schedules of one structure share a program, whatever the length of the run


def rates_of(
    where: str, schedule: Given, num_steps: int, name: str = "schedule", must_move: bool = True
) -> Array:
    """The rates of updates 0 to num_steps - 1. Where they are concrete, bad ones are refused."""
    rates = admit(where, name, RunDomain(), schedule)
    if is_batch(rates):
        rule = "one schedule, not a batch (map over it: jax.vmap)"
        raise Refusal(where, name, rule, schedule).error()
    if callable(rates):
        rates = as_schedule(rates)(jnp.arange(num_steps, dtype=jnp.int32))
    if len(rates) < num_steps:
        raise Refusal(where, name, f"at least {num_steps} rates, one an update", rates).error()
    if not is_traced(rates):
        known = np.asarray(rates)
        bad = ~((known >= 0) & (known < np.inf))
        if bad.any():
            rule = f"a schedule of finite rates, 0 or more, up to step {num_steps - 1}"
            at = f" at step {int(np.argmax(bad))}"
            raise Refusal(where, name, rule, known[bad][0], at).error()
        if must_move and not known[:num_steps].max() > 0:
            rule = f"a schedule with a rate above 0 before step {num_steps}"
            raise Refusal(where, name, rule, known[-1], " at the last").error()
    return rates[:num_steps]


def known_rates(
    where: str, schedule: Given, num_steps: int, name: str = "schedule", must_move: bool = True
) -> np.ndarray:
    """The same in float64, of a schedule that is not traced."""
    run = admit(where, name, RunDomain(), schedule)
    if callable(run) and not is_batch(run):
        read = as_schedule(run)
        blocks = [read(np.arange(t, t + _BLOCK, dtype=np.int32)) for t in range(0, num_steps, _BLOCK)]
        run = blocks if is_traced(blocks) else np.concatenate(blocks)[:num_steps]
    if is_traced(run):
        raise Refusal(where, name, "a schedule that is not traced", schedule).error(TypeError)
    return np.asarray(rates_of(where, run, num_steps, name, must_move), np.float64)


def whole_steps(where: str, steps: Any, of: str = "") -> np.ndarray:
    """The steps as int64, of any shape. `of` is what they belong to, for errors: `runs[0].`, say."""
    words = KnownNumbers("whole numbers, 0 or more,")
    array = admit(where, f"{of}steps", words, steps)
    bad = ~((array >= 0) & (array < 2**31) & (array == np.floor(array)))
    if bad.any():
        raise Refusal(where, f"{of}steps", words.words, array[bad].flat[0]).error()
    return array.astype(np.int64)


def one_each(where: str, name: str, values: Any, count: int, of: str) -> None:
    """Refuse an array that does not have one entry for each of `count` things."""
    if jnp.shape(values) not in ((), (count,)):
        raise Refusal(where, name, f"one number, or one for each of the {count} {of}", values).error()


def each_of(where: str, runs: Any, kind: Any) -> Iterator[tuple[str, Any]]:
    """Each run of a sequence of them, a NamedTuple of this kind, with its name for errors."""
    required = [name for name in kind._fields if name not in kind._field_defaults]
    words = f"{kind.__name__}({', '.join(required)})"
    rule = f"a sequence of one or more {words}"
    if isinstance(runs, kind):
        raise Refusal(where, "runs", rule, runs).error(TypeError)
    for number, run in enumerate(some(where, "runs", rule, runs)):
        if not isinstance(run, tuple) or len(run) != len(kind._fields):
            raise Refusal(where, f"runs[{number}]", f"a {words}", run).error(TypeError)
        yield f"runs[{number}].", kind(*run)
