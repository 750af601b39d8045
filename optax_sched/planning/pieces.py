"""What a loss law sees of a run: the pieces of constant rate that it is made of."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.arguments import admit
from optax_sched._core.domains import default_float, is_traced
from optax_sched._core.errors import Refusal
from optax_sched._core.operands import OneSchedule, as_schedule

_RATES = "a schedule, or the rates that were used: finite numbers, 0 or more, one for each update"


class Pieces(NamedTuple):
    """The run cut where its rate changes. A traced run is cut at every step."""

    rates: Any
    """The rate of each piece."""
    drops: Any
    """By how much the rate of the piece before was higher; 0 for the first."""
    starts: Any
    """The first step of each piece."""
    lengths: Any
    """How many steps each piece has."""


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


def rates_until(where: str, schedule: Any, steps: np.ndarray, of: str = "") -> Any:
    """The rates up to the last of the steps: a schedule's, or those that were given."""
    needed = int(steps.max(initial=0)) + 1
    name = f"{of}schedule"
    rates = _given(where, name, schedule)
    if rates is None:
        operand = admit(where, name, OneSchedule(), schedule)
        rates = as_schedule(operand)(np.arange(needed, dtype=np.int32))
    if not is_traced(rates):
        seen = np.asarray(rates)
        bad = ~((seen >= 0) & (seen < np.inf))
        if bad.any():
            at = f" at step {int(np.argmax(bad))}"
            raise Refusal(where, name, _RATES, seen[bad][0], at).error()
    if needed > len(rates):
        rule = f"below {len(rates)}, the number of rates given"
        raise Refusal(where, f"{of}steps", rule, needed - 1).error()
    return rates[:needed]


def _given(where: str, name: str, schedule: Any) -> Any:
    """The array of rates that was given in place of a schedule, or None."""
    if callable(schedule) or isinstance(schedule, str) or schedule is None:
        return None
    traced = is_traced(schedule)
    try:
        if np.ndim(schedule) == 0:
            return None
        array = jnp.asarray(schedule) if traced else np.asarray(schedule)
    except (TypeError, ValueError):
        raise Refusal(where, name, _RATES, schedule).error(TypeError) from None
    if array.ndim != 1 or not array.size or not jnp.issubdtype(array.dtype, jnp.number):
        raise Refusal(where, name, _RATES, schedule).error(TypeError)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise Refusal(where, name, _RATES, schedule).error(TypeError)
    return array


def every_step(rates: jax.Array) -> Pieces:
    """A piece for each step, for rates under a trace."""
    drops = jnp.concatenate([jnp.zeros_like(rates[:1]), rates[:-1] - rates[1:]])
    starts = jnp.arange(len(rates), dtype=jnp.int32)
    return Pieces(rates, drops, starts, jnp.ones_like(starts))


def constant_pieces(rates: Any) -> Pieces:
    """Concrete rates in float64, cut only where they change."""
    rates = np.asarray(rates, np.float64)
    starts = np.flatnonzero(np.diff(rates, prepend=np.nan) != 0)
    levels = rates[starts]
    lengths = np.diff(starts, append=len(rates))
    return Pieces(levels, -np.diff(levels, prepend=levels[0]), starts, lengths)


def padded(pieces: Pieces) -> Pieces:
    """The pieces for JAX, with empty ones at the end: runs of nearly as many share a program."""
    count = len(pieces.rates)
    unit = 2 ** max(count.bit_length() - 3, 4)
    more = -count % unit
    end = int(pieces.starts[-1] + pieces.lengths[-1])
    dtype = default_float()
    return Pieces(
        np.pad(pieces.rates, (0, more)).astype(dtype),
        np.pad(pieces.drops, (0, more)).astype(dtype),
        np.pad(pieces.starts, (0, more), constant_values=end).astype(np.int32),
        np.pad(pieces.lengths, (0, more)).astype(np.int32),
    )
