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

    What a drop gains is a smooth function of the log of the rates spent since and of the log of the
    rate, so that drops with nearly the same logs count as one: some 200 groups a step in place of all
    drops before it. Drops and rises have groups of their own: those of a jittering rate do not cancel.
    """
    before = _before(pieces)
    spent = masses(pieces, steps)
    log_rates = np.log(np.where(pieces.rates > 0, pieces.rates, 1e-300))
    cuts = _fixed_cuts(log_rates, len(steps))
    levels = np.exp(np.arange(np.log(_LEAST), np.log(max(spent.max(), 1.0)) + 1, np.log(_GROWTH)))
    sizes = [(sign, np.maximum(sign * pieces.drops, 0.0)) for sign in (1.0, -1.0)]
    sums = [(sign, _sums(size), _sums(size * before), _sums(size * log_rates)) for sign, size in sizes]
    parts = []
    for first in range(0, len(steps), _ROWS):
        some = slice(first, first + _ROWS)
        last = np.searchsorted(pieces.starts, steps[some], side="right")[:, None]
        by_level = np.searchsorted(before, spent[some, None] - levels, side="right")
        fixed = np.broadcast_to(cuts, (len(last), len(cuts)))
        edges = np.sort(np.clip(np.concatenate([by_level, fixed, last], axis=1), 1, last), axis=1)
        for sign, size, by_before, by_log_rate in sums:
            weight = np.diff(size[edges], axis=1)
            row, group = np.nonzero((np.diff(edges, axis=1) > 0) & (weight > 0))
            begin, end, weight = edges[row, group], edges[row, group + 1], weight[row, group]
            # Prefix sums round: a mean lies between the ends of what it is the mean of.
            mean_before = (by_before[end] - by_before[begin]) / weight
            since = spent[first + row] - np.clip(mean_before, before[begin], before[end - 1])
            log_rate = (by_log_rate[end] - by_log_rate[begin]) / weight
            counts = since > 0  # else nothing has been spent since, and the term is 0
            found = first + row, sign * weight, np.log(np.where(counts, since, 1.0)), log_rate
            parts.append([column[counts] for column in found])
    return DropGroups(*map(np.concatenate, zip(*parts, strict=True)))


def _fixed_cuts(log_rates: np.ndarray, rows: int) -> np.ndarray:
    """Where groups end for all steps: over all pieces, and about large drops."""
    jumps = np.abs(np.diff(log_rates, prepend=log_rates[0]))
    far = np.argsort(-jumps, kind="stable")[: max(_MOST // rows, _SPREAD)]
    far = far[jumps[far] > _JUMP]
    return np.unique(np.r_[np.linspace(1, len(log_rates), _SPREAD).astype(int), far, far + 1])


def _sums(values: np.ndarray) -> np.ndarray:
    """The sums of the first 0, 1, 2, ... values."""
    return np.append(0.0, np.cumsum(values))


def _before(pieces: Pieces) -> np.ndarray:
    """The rates spent before each piece."""
    return _sums(pieces.rates * pieces.lengths)[:-1]
