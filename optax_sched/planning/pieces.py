"""What a loss law sees of a run at some of its steps: pieces of constant rate, or groups of drops."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from optax_sched._core.domains import default_float, is_traced

_LOG_0 = -1e8  # stands for the log of 0: what a drop gains has its limit there

Gain = Callable[[Any, Any], jax.Array]
Pair = tuple[jax.Array, jax.Array]


class Pieces(NamedTuple):
    """The run cut where its rate changes. A traced run is cut at every step."""

    rates: Any
    """The rate of each piece."""
    drops: Any
    """By how much the rate of the piece before was higher; 0 for the first."""
    starts: np.ndarray
    """The first step of each piece."""
    lengths: np.ndarray
    """How many steps each piece has."""


class Run(NamedTuple):
    """A run at some of its steps."""

    pieces: Pieces
    spent: Any
    """The sum of the rates up to each of the steps."""
    steps: np.ndarray
    piece: np.ndarray
    """In which piece each of the steps lies."""
    done: np.ndarray
    """How many steps of that piece are done then."""

    def gained(self, gain: Gain) -> jax.Array:
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
            return jnp.sum(jnp.where(since > 0, terms, 0.0))

        return jax.lax.map(at, self.steps)

    def area(self, decay: ArrayLike) -> jax.Array:
        """The sum of drop_k decay^(i-k) over all k <= i <= step."""
        pieces, piece = self.pieces, self.piece
        fades, sums = powers(decay, jnp.maximum(pieces.lengths, 1))
        # What is remembered at the first step of each piece, its own drop included.
        memory = pieces.drops + _before_each(fades, fades * pieces.drops)
        areas = jnp.cumsum(memory * sums)
        before = jnp.where(piece > 0, areas[piece - 1], 0.0)
        return before + memory[piece] * powers(decay, self.done)[1]


def powers(decay: ArrayLike, count: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """decay^count, and the sum of the powers below it, 1 + decay + ... + decay^(count - 1)."""
    forgotten = 1.0 - jnp.asarray(decay)  # exact, and so are the logs of it
    log = jnp.log1p(-jnp.minimum(forgotten, 1.0 - jnp.finfo(forgotten.dtype).eps))
    return jnp.exp(count * log), -jnp.expm1(count * log) / forgotten


def run_at(pieces: Pieces, steps: np.ndarray) -> Run:
    """The run at these steps: in NumPy, and so in float64, unless the rates are traced."""
    piece = np.searchsorted(pieces.starts, steps, side="right") - 1
    done = steps + 1 - pieces.starts[piece]
    spent = pieces.rates * pieces.lengths
    xp = np if isinstance(spent, np.ndarray) else jnp
    before = xp.where(piece > 0, xp.cumsum(spent)[piece - 1], 0.0)
    return Run(pieces, before + pieces.rates[piece] * done, steps, piece, done)


def _before_each(fades: jax.Array, added: jax.Array) -> jax.Array:
    """The memory before each piece, where a piece leaves memory * fade + added: in rows, and the rows.

    One long float32 recurrence would stop short of its limit. There are as many rows as columns.
    """
    count = len(fades)
    width = math.isqrt(count - 1) + 1
    fill = (0, -count % width)
    fades, added = (jnp.pad(item, fill).reshape(-1, width).T for item in (fades, added))

    def step(before: Pair, then: Pair) -> tuple[Pair, Pair]:
        return (before[0] * then[0], before[1] * then[0] + then[1]), before

    none = jnp.ones_like(fades[0]), jnp.zeros_like(added[0])
    whole_rows, (faded, in_row) = jax.lax.scan(step, none, (fades, added))
    _, (_, before) = jax.lax.scan(step, (none[0][0], none[1][0]), whole_rows)
    return (before[None] * faded + in_row).T.reshape(-1)[:count]


def log_or(values: jax.Array, instead: float) -> jax.Array:
    """Their logs, and `instead` where they are 0."""
    positive = values > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, values, 1.0)), instead)


def constant_pieces(rates: Any) -> Pieces:
    """The rates cut only where they change, in float64; traced ones at every step."""
    if is_traced(rates):
        levels = rates.astype(jnp.promote_types(rates.dtype, default_float()))
        starts = np.arange(len(rates), dtype=np.int32)
        drops = -jnp.diff(levels, prepend=levels[:1])
    else:
        rates = np.asarray(rates, np.float64)
        starts = np.flatnonzero(np.diff(rates, prepend=np.nan))
        levels = rates[starts]
        drops = -np.diff(levels, prepend=levels[:1])
    return Pieces(levels, drops, starts, np.diff(starts, append=starts.dtype.type(len(rates))))


def padded(pieces: Pieces) -> Pieces:
    """The pieces for JAX, with empty ones at the end: runs of nearly as many share a program."""
    count = len(pieces.rates)
    more = (0, -count % 2 ** max(count.bit_length() - 3, 4))
    fill = 0.0, 0.0, pieces.starts[-1] + pieces.lengths[-1], 0
    return Pieces(*(np.pad(x, more, constant_values=y) for x, y in zip(pieces, fill, strict=True)))


# --- The drops as a fit sees them: in groups that matter alike, in float64

_GROWTH = 1.1  # a group ends where the rates spent since have grown by this factor
_LEAST = 1e-3  # of one step at the highest rate: nothing is told apart below it
_JUMP = 0.05  # in the log of the rate: a drop that large has a group of its own
_SPREAD = 150  # further cuts, over the pieces
_MOST = 1_000_000  # groups of their own for all steps together: the largest drops get them
_LEAST_LOG = -1e4  # stands for the log of a rate of 0 where logs are averaged


class GroupedRun(NamedTuple):
    """A run at some of its steps, with the drops before each of them in groups, a row for each step."""

    spent: np.ndarray
    """The sum of the rates up to each of the steps."""
    drops: np.ndarray
    """The drops of a group, added up."""
    log_since: np.ndarray
    """The log of the rates spent since, a mean over the group weighted by the size of its drops."""
    log_rates: np.ndarray
    """The log of the rate after a drop, the same mean."""
    counts: np.ndarray
    """The steps since, the same mean."""

    def gained(self, gain: Gain) -> jax.Array:
        """As `Run.gained`."""
        return jnp.sum(self.drops * gain(self.log_since, self.log_rates), axis=1)

    def area(self, decay: ArrayLike) -> jax.Array:
        """As `Run.area`."""
        return jnp.sum(self.drops * powers(decay, self.counts)[1], axis=1)


def grouped(pieces: Pieces, steps: np.ndarray) -> GroupedRun:
    """The groups for each of the steps.

    What a drop gains is a smooth function of the log of the rates spent since and of the log of the
    rate, so that drops with nearly the same logs count as one: some 200 groups a step in place of all
    drops before it. Drops and rises have groups of their own: those of a jittering rate do not cancel.
    """
    before = _sums(pieces.rates * pieces.lengths)[:-1]  # the rates spent before each piece
    _, spent, _, index, _ = run_at(pieces, steps)
    log_rates = np.log(pieces.rates, out=np.full(len(before), _LEAST_LOG), where=pieces.rates > 0)
    unit = pieces.rates.max()
    growths = np.arange(np.log(_LEAST), np.log(max(spent.max() / unit, 1.0)) + 1, np.log(_GROWTH))
    by_level = np.searchsorted(before, spent[:, None] - unit * np.exp(growths), side="right")
    fixed = np.tile(_fixed_cuts(log_rates, len(steps)), (len(steps), 1))
    last = index[:, None] + 1
    edges = np.sort(np.clip(np.concatenate([by_level, fixed, last], axis=1), 1, last), axis=1)
    signs = np.array([[1.0], [-1.0]])
    sizes = np.maximum(signs * pieces.drops, 0.0)
    sums = _sums(np.stack([sizes, sizes * before, sizes * log_rates, sizes * pieces.starts]))
    weight, *means = np.diff(sums.take(edges, axis=-1))
    mean_before, log_rate, start = means / np.where(weight > 0, weight, 1.0)
    # Prefix sums round: a mean lies between the ends of what it is the mean of.
    least, most = before[np.minimum(edges[:, :-1], len(before) - 1)], before[edges[:, 1:] - 1]
    since = spent[:, None] - np.clip(mean_before, least, most)
    log_since = np.log(since, out=np.full(since.shape, _LOG_0), where=since > 0)
    drops, counts = signs[..., None] * weight, steps[:, None] + 1 - start
    columns = [np.hstack([*column]) for column in (drops, log_since, log_rate, counts)]
    # Groups without drops last, and as few of them as a program for many runs allows.
    order = np.argsort(columns[0] == 0, axis=1, kind="stable")
    order = order[:, : -(-int((columns[0] != 0).sum(axis=1).max()) // 64) * 64]
    return GroupedRun(spent, *(np.take_along_axis(column, order, 1) for column in columns))


def _fixed_cuts(log_rates: np.ndarray, rows: int) -> np.ndarray:
    """Where groups end for all steps: over all pieces, and about large drops."""
    jumps = np.abs(np.diff(log_rates, prepend=log_rates[0]))
    far = np.argsort(-jumps, kind="stable")[: max(_MOST // rows, _SPREAD)]
    far = far[jumps[far] > _JUMP]
    return np.unique(np.r_[np.linspace(1, len(log_rates), _SPREAD).astype(int), far, far + 1])


def _sums(values: np.ndarray) -> np.ndarray:
    """The sums of the first 0, 1, 2, ... values."""
    return np.insert(np.cumsum(values, axis=-1), 0, 0.0, axis=-1)
