"""Logs that are constant in pieces: the stairs, drops or values that a person would have typed."""

import itertools
from collections.abc import Iterator

import numpy as np

from optax_sched._core.schedule import Schedule
from optax_sched._schedules import multistep_decay, piecewise_constant, step_decay
from optax_sched.porting.fit_log import TIES, Log
from optax_sched.porting.search_log import OFFSETS, Found, errors_of
from optax_sched.porting.typed_numbers import digits_of, fewest_digits, roundest

MOST_PIECES = 40
Interval = tuple[float, float]


def in_pieces(log: Log) -> list[Found]:
    """The schedules that are constant between drops, where that holds: at each offset the first."""
    at = np.flatnonzero(np.diff(log.values) != 0)
    if not 1 <= len(at) <= min(MOST_PIECES, len(log.values) // 2):
        return []
    starts = np.append(0, at + 1)
    margins = TIES * log.half
    levels = list(
        zip(
            (log.values - margins)[starts].tolist(),
            (log.values + margins)[starts].tolist(),
            strict=True,
        )
    )
    found = []
    for offset in OFFSETS:
        gaps = [(log.steps[i] + offset, log.steps[i + 1] + offset) for i in at]
        for cost, schedule in _tried(levels, gaps, log.whole):
            error = float(errors_of(schedule, log, offset).max())
            if error <= TIES:
                found.append(Found(cost + 0.5 * abs(offset), schedule, offset, error))
                break
    return found


def _typed(low: float, high: float, whole: bool = False) -> float | None:
    """The roundest number above `low` and up to `high`."""
    fewest = fewest_digits(max(low, 1e-12 * high), high, whole)
    return next(iter(roundest(low, high, fewest, whole)), None)


def _cost(*numbers: float) -> float:
    return sum(1 + digits_of(number) for number in numbers)


def _tried(
    levels: list[Interval], gaps: list[Interval], whole: bool
) -> Iterator[tuple[float, Schedule]]:
    """Calls with their costs, from the shortest."""
    one = 1 if whole else 1e-9  # a boundary lies behind the last step before it
    tries = [
        lambda: _stairs(levels, gaps, one, whole),
        lambda: _stairs(levels[:-1], gaps[:-1], one, whole, levels[-1]),
        lambda: _drops(levels, gaps, one, whole),
        lambda: _values(levels, gaps, one, whole),
    ]
    for attempt in tries:
        try:
            yield from attempt()
        except (TypeError, ValueError):  # its builder refuses it: a rise, say
            continue


def _common(intervals: list[Interval]) -> Interval:
    return max(low for low, _ in intervals), min(high for _, high in intervals)


def _stairs(
    levels: list[Interval], gaps: list[Interval], one: float, whole: bool, last: Interval | None = None
) -> Iterator[tuple[float, Schedule]]:
    if not gaps:
        return
    middles = np.array([sum(level) / 2 for level in levels])
    steepness = np.log(middles[:-1] / middles[1:])
    counts = np.rint(np.cumsum(steepness / steepness.min())).astype(int)
    first = levels[0]
    factor = _common(
        [
            ((low / first[1]) ** (1 / count), (high / first[0]) ** (1 / count))
            for (low, high), count in zip(levels[1:], counts, strict=True)
        ]
    )
    length = _common([((low + one) / n, high / n) for (low, high), n in zip(gaps, counts, strict=True)])
    init, rate, steps = _typed(*first), _typed(*factor), _typed(*length, whole)
    end = None if last is None else _typed(*last)
    if None in (init, rate, steps) or (last is not None and end is None):
        return
    assert init is not None and rate is not None and steps is not None
    numbers = [init, int(steps) if whole else steps, rate, *([] if end is None else [end])]
    yield _cost(*numbers), step_decay(*numbers)


def _boundaries(gaps: list[Interval], one: float, whole: bool) -> list[float]:
    found = [_typed(low + one, high, whole) for low, high in gaps]
    return [int(number) if whole else number for number in found if number is not None]


def _drops(
    levels: list[Interval], gaps: list[Interval], one: float, whole: bool
) -> Iterator[tuple[float, Schedule]]:
    init, boundaries = _typed(*levels[0]), _boundaries(gaps, one, whole)
    ratios = [(low / upper[1], high / upper[0]) for upper, (low, high) in itertools.pairwise(levels)]
    rate = _typed(*_common(ratios))
    if init is not None and rate is not None:
        yield _cost(init, rate, *boundaries), multistep_decay(init, boundaries, rate)


def _values(
    levels: list[Interval], gaps: list[Interval], one: float, whole: bool
) -> Iterator[tuple[float, Schedule]]:
    values = [
        0.0 if low <= 0 <= high else _typed(low, high) or (low + high) / 2 for low, high in levels
    ]
    boundaries = _boundaries(gaps, one, whole)
    yield _cost(*values, *boundaries), piecewise_constant(values, boundaries)
