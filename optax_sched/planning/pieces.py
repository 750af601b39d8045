"""What a loss law sees of a run: the pieces of constant rate that it is made of."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.domains import default_float


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
