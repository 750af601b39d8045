"""The drops of a run as a fit sees them: in groups that matter alike, in float64."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from optax_sched.planning.pieces import Gain, Pieces, powers, run_at

_GROWTH = 1.1  # a group ends where the rates spent since have grown by this factor
_LEAST = 1e-3  # of one step at the highest rate: nothing is told apart below it
_JUMP = 0.05  # in the log of the rate: a drop that large has a group of its own
_SPREAD = 100  # further cuts, over the pieces
_MOST = 1_000_000  # groups of their own for all steps together: the largest drops get them
_LOG_0 = -1e4  # stands for the log of 0: what a drop gains has its limit there


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
        return jnp.sum(self.drops * (1.0 + powers(decay, self.counts - 1)[1]), axis=1)


def grouped(pieces: Pieces, steps: np.ndarray) -> GroupedRun:
    """The groups for each of the steps.

    What a drop gains is a smooth function of the log of the rates spent since and of the log of the
    rate, so that drops with nearly the same logs count as one: some 200 groups a step in place of all
    drops before it. Drops and rises have groups of their own: those of a jittering rate do not cancel.
    """
    before = _sums(pieces.rates * pieces.lengths)[:-1]  # the rates spent before each piece
    _, spent, _, index, _ = run_at(pieces, steps)
    log_rates = np.log(pieces.rates, out=np.full(len(before), _LOG_0), where=pieces.rates > 0)
    unit = pieces.rates.max()
    growths = np.arange(np.log(_LEAST), np.log(max(spent.max() / unit, 1.0)) + 1, np.log(_GROWTH))
    by_level = np.searchsorted(before, spent[:, None] - unit * np.exp(growths), side="right")
    cuts = _fixed_cuts(log_rates, len(steps))
    fixed = np.broadcast_to(cuts, (len(steps), len(cuts)))
    last = index[:, None] + 1
    edges = np.sort(np.clip(np.concatenate([by_level, fixed, last], axis=1), 1, last), axis=1)
    begin, end = edges[:, :-1], edges[:, 1:]
    parts = []
    for sign in (1.0, -1.0):
        size = np.maximum(sign * pieces.drops, 0.0)
        weight, *means = (
            sums[end] - sums[begin]
            for sums in map(_sums, (size, size * before, size * log_rates, size * pieces.starts))
        )
        some = weight > 0
        mean_before, log_rate, start = (mean / np.where(some, weight, 1.0) for mean in means)
        # Prefix sums round: a mean lies between the ends of what it is the mean of.
        least, most = before[np.minimum(begin, len(before) - 1)], before[end - 1]
        since = spent[:, None] - np.clip(mean_before, least, most)
        log_since = np.log(since, out=np.full(since.shape, _LOG_0), where=since > 0)
        log_rate = np.where(since > 0, log_rate, 0.0)
        columns = sign * weight, log_since, log_rate, steps[:, None] + 1 - start
        parts.append([np.where(some, column, 0.0) for column in columns])
    columns = [np.concatenate(both, axis=1) for both in zip(*parts, strict=True)]
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
    return np.append(0.0, np.cumsum(values))
