"""The drops of a run as a fit sees them: in groups that matter alike, in float64."""

from typing import NamedTuple

import numpy as np

from optax_sched.planning.pieces import Pieces

_GROWTH = 1.1  # a group ends where the rates spent since have grown by so much
_LEAST = 1e-3  # of one step at the highest rate: nothing is told apart below it
_JUMP = 0.05  # in the log of the rate: a drop that large has a group of its own
_SPREAD = 100  # further cuts, over the pieces
_MOST = 4_000_000  # groups of their own for all logged steps of a run: the largest drops get them
_ROWS = 1024  # logged steps at a time, to bound the memory


class DropGroups(NamedTuple):
    """For each logged step the drops before it, in groups: three numbers and the step of each."""

    row: np.ndarray
    """To which of the logged steps a group belongs."""
    drop: np.ndarray
    """The drops of a group, added up."""
    log_since: np.ndarray
    """The log of the rates spent since, a mean over the group weighted by the size of its drops."""
    log_rate: np.ndarray
    """The log of the rate after a drop, the same mean."""


def masses(pieces: Pieces, steps: np.ndarray) -> np.ndarray:
    """The rates spent up to each of the steps, added up."""
    before = _before(pieces)
    index = np.searchsorted(pieces.starts, steps, side="right") - 1
    return before[index] + pieces.rates[index] * (steps + 1 - pieces.starts[index])


def drop_groups(pieces: Pieces, steps: np.ndarray) -> DropGroups:
    """The groups for each of the steps; rates are in units of the highest.

    What a drop gains is a smooth function of the log of the rates spent since, so that drops whose logs
    differ by less than a tenth count as one: some 200 groups a step in place of all drops before it,
    and the sum is right to 1e-5 of itself.
    """
    before = _before(pieces)
    spent = masses(pieces, steps)
    weights = np.abs(pieces.drops)
    log_rates = np.log(np.where(pieces.rates > 0, pieces.rates, 1e-300))
    sums = [
        np.append(0.0, np.cumsum(x))
        for x in (pieces.drops, weights, weights * before, weights * log_rates)
    ]
    count = len(before)
    jumps = np.abs(np.diff(log_rates, prepend=log_rates[0]))
    far = np.argsort(-jumps, kind="stable")[: max(_MOST // max(len(steps), 1), _SPREAD)]
    far = far[jumps[far] > _JUMP]
    fixed = np.unique(np.r_[np.linspace(1, count, _SPREAD).astype(int), far, far + 1])
    levels = np.exp(np.arange(np.log(_LEAST), np.log(max(spent.max(), 1.0)) + 1, np.log(_GROWTH)))
    parts = []
    for first in range(0, len(steps), _ROWS):
        some = slice(first, first + _ROWS)
        last = np.searchsorted(pieces.starts, steps[some], side="right")[:, None]
        by_level = np.searchsorted(before, spent[some, None] - levels, side="right")
        cuts = np.concatenate([by_level, np.broadcast_to(fixed, (len(last), len(fixed))), last], axis=1)
        cuts = np.sort(np.clip(cuts, 1, last), axis=1)
        begin, end = cuts[:, :-1], cuts[:, 1:]
        weight = sums[1][end] - sums[1][begin]
        row, group = np.nonzero((end > begin) & (weight > 0))
        begin, end, weight = begin[row, group], end[row, group], weight[row, group]
        row += first
        drop, _, mean_before, log_rate = (x[end] - x[begin] for x in sums)
        # Prefix sums round: a mean lies between the first and the last of what it is the mean of.
        mean_before = np.clip(mean_before / weight, before[begin], before[end - 1])
        since = spent[row] - mean_before
        counts = since > 0  # else nothing has been spent since, and the term is 0
        parts.append(
            DropGroups(row[counts], drop[counts], np.log(since[counts]), (log_rate / weight)[counts])
        )
    return DropGroups(*map(np.concatenate, zip(*parts, strict=True)))


def _before(pieces: Pieces) -> np.ndarray:
    """The rates spent before each piece."""
    return np.append(0.0, np.cumsum(pieces.rates * pieces.lengths))[:-1]
