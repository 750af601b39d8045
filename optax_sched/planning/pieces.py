"""What a loss law sees of a run: pieces of constant rate, at some of its steps."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_LOG_0 = -1e8  # stands for the log of a rate of 0: what a drop to it gains has its limit


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


class Run(NamedTuple):
    """A run at some of its steps."""

    pieces: Pieces
    spent: Any
    """The sum of the rates up to each of the steps."""
    steps: Any
    index: Any
    """In which piece each of the steps lies."""
    count: Any
    """How many steps of that piece are done then."""

    def gained(self, gain: Callable[[Any, Any], jax.Array]) -> jax.Array:
        """The sum of `drop * gain(log of the rates since, log of the rate after it)` over all drops.

        It is taken for one of the steps after the other, so that the memory does not grow with them.
        """
        pieces = self.pieces
        log_rates = log_or(pieces.rates, _LOG_0)

        @jax.checkpoint  # else the gradient holds a row of every piece for each of the steps
        def at(step: jax.Array) -> jax.Array:
            # Added up from the end, masked: the difference of two long sums would be mostly rounding.
            rates = pieces.rates * jnp.clip(step + 1 - pieces.starts, 0, pieces.lengths)
            since = jax.lax.cumsum(rates, reverse=True)
            terms = pieces.drops * gain(log_or(since, 0.0), log_rates)
            return _sum(jnp.where(since > 0, terms, 0.0))

        return jax.lax.map(at, self.steps)

    def area(self, decay: Any) -> jax.Array:
        """The sum of drop_k decay^(i-k) over all k <= i <= step."""

        def stretch(drops: jax.Array, count: jax.Array) -> Any:
            """`count` steps at one rate, reached by a drop at the first of them."""
            left, sum_left = powers(decay, count - 1)
            return *powers(decay, count), drops * left, drops * (1.0 + sum_left)

        # What is whole before each piece, and then the part of the piece up to the step.
        pieces = self.pieces
        whole = _prefixes(stretch(pieces.drops, jnp.maximum(pieces.lengths, 1)))
        before = [jnp.where(self.index > 0, item[self.index - 1], 0.0) for item in whole]
        return _joined(before, stretch(pieces.drops[self.index], self.count))[-1]


def powers(decay: Any, count: Any) -> tuple[jax.Array, jax.Array]:
    """decay^count, and decay + ... + decay^count."""
    forgotten = 1.0 - jnp.asarray(decay)  # exact, and so are the logs of it
    log = jnp.log1p(-jnp.minimum(forgotten, 1.0 - 1e-7))
    return jnp.exp(count * log), -jnp.expm1(count * log) * (1.0 - forgotten) / forgotten


def run_at(pieces: Pieces, steps: np.ndarray) -> Run:
    """The run at these steps: in NumPy, and so in float64, unless the rates are traced."""
    index = np.searchsorted(pieces.starts, steps, side="right") - 1
    count = steps + 1 - pieces.starts[index]
    spent = pieces.rates * pieces.lengths
    sums = np.cumsum(spent) if isinstance(spent, np.ndarray) else jax.lax.cumsum(spent)
    before = (np if isinstance(spent, np.ndarray) else jnp).where(index > 0, sums[index - 1], 0.0)
    return Run(pieces, before + pieces.rates[index] * count, steps, index, count)


def _joined(first: Any, then: Any) -> Any:
    """One stretch of steps and then another, each by four numbers.

    A stretch multiplies the memory of earlier drops by `fade`, adds `echo` times it to the area, and
    adds a memory and an area of its own.
    """
    fade, echo, memory, area = first
    fade2, echo2, memory2, area2 = then
    return (
        fade * fade2,
        echo + fade * echo2,
        memory2 + fade2 * memory,
        area + area2 + echo2 * memory,
    )


_NOTHING = (1.0, 0.0, 0.0, 0.0)


def _prefixes(stretches: Any) -> Any:
    """The numbers of the first stretch, of the first two, ...: in rows, and then the rows.

    One long float32 recurrence would stop short of its limit. There are as many rows as columns.
    """
    count = len(stretches[0])
    width = math.isqrt(count - 1) + 1
    padded = [
        jnp.pad(item, (0, -count % width), constant_values=nothing).reshape(-1, width).T
        for item, nothing in zip(stretches, _NOTHING, strict=True)
    ]

    def step(before: Any, then: Any) -> Any:
        return _joined(before, then), before

    none = [jnp.full_like(item[0], nothing) for item, nothing in zip(padded, _NOTHING, strict=True)]
    rows, in_rows = jax.lax.scan(step, tuple(none), padded)
    _, before = jax.lax.scan(step, tuple(item[0] for item in none), rows)
    through = _joined(_joined([item[None] for item in before], in_rows), padded)
    return [item.T.reshape(-1)[:count] for item in through]


def log_or(values: Any, instead: float) -> jax.Array:
    """Their logs, and `instead` where they are 0."""
    positive = values > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, values, 1.0)), instead)


def _sum(values: jax.Array) -> jax.Array:
    """The sum, in rows first: one long float32 sum would round too often."""
    width = 2 ** (max(len(values) - 1, 1).bit_length() // 2)
    return jnp.pad(values, (0, -len(values) % width)).reshape(-1, width).sum(axis=1).sum()


def every_step(rates: jax.Array) -> Pieces:
    """A piece for each step, for rates under a trace."""
    drops = jnp.concatenate([jnp.zeros_like(rates[:1]), rates[:-1] - rates[1:]])
    starts = np.arange(len(rates), dtype=np.int32)
    return Pieces(rates, drops, starts, np.ones_like(starts))


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
    end = int(pieces.starts[-1] + pieces.lengths[-1])
    fill = Pieces(0.0, 0.0, end, 0)
    more = (0, -count % unit)
    return Pieces(*(np.pad(x, more, constant_values=y) for x, y in zip(pieces, fill, strict=True)))
