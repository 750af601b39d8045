"""Logs that are constant in pieces: the stairs, drops or values that a person would have typed."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from optax_sched._core.schedule import Schedule
from optax_sched._schedules import multistep_decay, piecewise_constant, step_decay
from optax_sched.porting.families import FAMILIES
from optax_sched.porting.fit_log import TIES, Log
from optax_sched.porting.matching import Match, matched
from optax_sched.porting.search_log import OFFSETS
from optax_sched.porting.typed_numbers import digits_of, fewest_digits, roundest

MOST_PIECES = 40
Interval = tuple[float, float]


def in_pieces(log: Log) -> list[tuple[float, int, Match]]:
    """The schedules that are constant between drops, where that holds: at each offset the first."""
    at = np.flatnonzero(np.diff(log.values))
    if not 1 <= len(at) <= min(MOST_PIECES, len(log.values) // 2):
        return []
    starts, margins = np.append(0, at + 1), TIES * log.half
    if 2 * np.sum(np.diff(starts) == 1) > len(starts):  # most were logged once: a curve
        return []
    levels = list(zip((log.values - margins)[starts], (log.values + margins)[starts], strict=True))
    found: dict[str, tuple[float, int, Match]] = {}  # a schedule once: the offset may not be told
    for offset in OFFSETS:
        gaps = list(zip(log.steps[at] + offset, log.steps[at + 1] + offset, strict=True))
        for build, numbers in _tried(levels, gaps, log.steps[-1] + offset, log.whole):
            try:
                schedule = build(*numbers)
            except (TypeError, ValueError):  # nothing round is there, or its builder refuses it
                continue
            match = matched(schedule, log, offset)
            if match.is_consistent:
                cost = sum(1 + digits_of(number) for number in np.hstack(numbers).tolist())
                found.setdefault(repr(schedule), (cost + 0.5 * abs(offset), len(FAMILIES), match))
                break
    return list(found.values())


def _tried(
    levels: list[Interval], gaps: list[Interval], last: float, whole: bool
) -> Iterator[tuple[Callable[..., Schedule], list[float | list[float]]]]:
    """Builders and their numbers, from the shortest call."""
    one = 1 if whole else 1e-9  # a boundary lies behind the last step before it
    first = _typed(levels[0])
    for stairs, behind, end in ((levels, gaps, []), (levels[:-1], gaps[:-1], [_typed(levels[-1])])):
        if behind:
            steepness = -np.diff(np.log([sum(level) / 2 for level in stairs]))
            counts = np.rint(np.cumsum(steepness / steepness.min()))
            (lowest, highest), *below = stairs
            numbered = list(zip(counts, below, behind, strict=True))
            rates = [
                ((low / highest) ** (1 / n), (high / lowest) ** (1 / n))
                for n, (low, high), _ in numbered
            ]
            lengths = [((before + one) / n, after / n) for n, _, (before, after) in numbered]
            if not end:  # and no drop until the last step
                lengths.append(((last + one) / (counts[-1] + 1), math.inf))
            yield step_decay, [first, _typed(_common(lengths), whole), _typed(_common(rates)), *end]
    boundaries = [_typed((before + one, after), whole) for before, after in gaps]
    ratios = [(low / above[1], high / above[0]) for above, (low, high) in itertools.pairwise(levels)]
    yield multistep_decay, [first, boundaries, _typed(_common(ratios))]
    values = [0.0 if low <= 0 <= high else _typed((low, high)) for low, high in levels]
    yield piecewise_constant, [values, boundaries]


def _common(intervals: Iterable[Interval]) -> Interval:
    lows, highs = zip(*intervals, strict=True)
    return max(lows), min(highs)


def _typed(interval: Interval, whole: bool = False) -> float:
    """The roundest number in an interval, an int for whole steps; NaN where there is none."""
    low, high = interval
    low = max(low, 1e-12 * high)
    number = next(iter(roundest(low, high, fewest_digits(low, high, whole), whole)), math.nan)
    return int(number) if whole and math.isfinite(number) else number
