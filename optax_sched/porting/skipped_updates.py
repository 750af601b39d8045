"""Logs of trainers that skipped updates, whose schedules stood still meanwhile, as under fp16."""

import itertools
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

import numpy as np

from optax_sched._core.schedule import Schedule
from optax_sched.porting.families import LENGTHS
from optax_sched.porting.fit_log import TIES, Array, Log, Problem
from optax_sched.porting.matching import Match, built, errors_of, matched
from optax_sched.porting.search_log import ENDS_ALONE, Near, Search
from optax_sched.porting.typed_numbers import as_typed, digits_of, round_ones

# What fp16 trainers use: their schedulers skip what their optimizers skip.
LAGGING = {"peak", "rise", "fall", "total", "power", "start", "end"}
MOST_LAGGING = 4  # families
FAR = 0.05  # of the highest value, on average: no skipped updates explain it
MOST_SKIPPED = 100
FIRST_LOOK, CHUNK = 4, 500  # points of a log
MOST_TRIES = 1000  # settings of a family at a time
MOST_BEGINNINGS, MOST_JUDGED = 3, 40
MOST_FITTED = 24  # evaluations of a fit
RISING = {"peak", "rise", "start"}


def with_skips(search: Search) -> list[Match]:
    """A fall to an end, after a warm-up or not, whose clock stood still at skipped updates."""
    log = search.log
    if not log.whole or log.values.min() < 0:
        return []
    lagging = [
        near
        for near in search.nearest
        if not near.offset
        and near.off <= FAR * log.top
        and LAGGING.issuperset(near.family.names)
        and near.numbers["peak"] > 0
    ]
    # Of the nearest the simplest first.
    for near in sorted(lagging[:MOST_LAGGING], key=lambda near: len(near.numbers)):
        beginnings = _beginnings(near, log)
        ends = _with_ends(near, search) if beginnings else ()
        tried = itertools.chain.from_iterable(_settings(one, log, beginnings) for one in ends)
        found: list[tuple[int, Match]] = []
        for numbers in itertools.islice(tried, MOST_JUDGED):
            schedule = built(near.family, numbers, True)
            if schedule is not None and (lags := _lags(schedule, log)) is not None:
                match = matched(schedule, log, 0, lags)
                found.append((_cost(numbers.values()) + len(match.skipped), match))
        if found:
            return [min(found, key=itemgetter(0))[1]]
    return []


def _with_ends(near: Near, search: Search) -> Iterator[Near]:
    """The fits with an end that may have been typed: if the log stops before it, a length follows."""
    if "end" not in near.numbers:
        yield near
        return
    peak = as_typed(near.numbers["peak"], 2)
    share = as_typed(as_typed(near.numbers["end"] / peak, 1) * peak, 12)
    for end in {0.0: None, share: None, **dict.fromkeys(ENDS_ALONE)}:
        problem = Problem(near.family, search.log.at(search.points), search.top, 0, {"end": end})
        fit = problem.fit(problem.fitted(near.numbers), MOST_FITTED)
        numbers = {name: float(number) for name, number in problem.numbers(fit.fitted).items()}
        yield near._replace(numbers={name: {**numbers, "end": end}[name] for name in near.numbers})


def _beginnings(near: Near, log: Log) -> list[dict[str, float]]:
    """The settings of a warm-up: what is logged before the peak does not depend on what follows."""
    if "rise" not in near.numbers:
        return [{}]
    top = int(np.argmax(log.values))
    points = log.at(np.linspace(0, max(top - 1, 0), FIRST_LOOK).astype(int))
    found = _agreeing(near, points, _typed(near, RISING))[:MOST_BEGINNINGS] if top > 1 else []
    return [{name: numbers[name] for name in numbers if name in RISING} for numbers in found]


def _settings(near: Near, log: Log, beginnings: list[dict[str, float]]) -> Iterator[dict[str, float]]:
    """What may have been typed: what agrees with some points of the log, each at some lag."""
    points = log.at(np.linspace(0, len(log.steps) - 1, FIRST_LOOK).astype(int))
    for beginning in beginnings:
        known = {name: [number] for name, number in beginning.items()}
        yield from _agreeing(near, points, {**_typed(near, near.numbers), **known})


def _typed(near: Near, names: Container[str]) -> dict[str, list[float]]:
    """What numbers may be that are the fit's where it knows of no lag; the others as they are."""
    choices, peak = {}, near.numbers["peak"]
    for name, number in near.numbers.items():
        if name == "end" or name not in names:
            choices[name] = [number]
        elif name == "start":
            choices[name] = [0.0, as_typed(as_typed(number / peak, 1) * as_typed(peak, 2), 12)]
        elif name in LENGTHS:  # the lengths that fit are longer than those that were typed
            low = int(max(0.9 * number, number - MOST_SKIPPED))
            high = int(min(1.02 * number + 2, number + MOST_SKIPPED))
            choices[name] = [float(length) for length in range(low, high + 1)]
        else:
            near_by = round_ones(0.99 * number, 1.01 * number, False)
            choices[name] = [typed for typed in near_by if (name, typed) != ("power", 1.0)][:3]
    return choices


def _cost(numbers: Iterable[float]) -> int:
    return sum(map(digits_of, numbers))


def _agreeing(near: Near, log: Log, choices: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """The settings that agree with each point of a log at some lag, those of fewer digits first."""
    settings = sorted(itertools.product(*choices.values()), key=_cost)[:MOST_TRIES]
    lags = np.arange(MOST_SKIPPED + 1)
    behind = Log((log.steps[:, None] - lags).ravel(), *(it.repeat(len(lags)) for it in log[1:]))
    columns = dict(zip(choices, np.reshape(settings, (-1, len(choices))).T, strict=True))
    problem = Problem(near.family, behind, log.top, 0, {})
    errors = np.abs(problem.residuals_of(columns, behind.values)).reshape(-1, len(log.steps), len(lags))
    agree = np.all(np.any(errors <= 1.01 * TIES, axis=2), axis=1)
    return [dict(zip(choices, settings[at], strict=True)) for at in np.flatnonzero(agree)]


def _lags(schedule: Schedule, log: Log) -> Array | None:
    """How many updates were skipped before each logged step: the fewest that explain it."""
    lags = np.zeros(len(log.steps), int)
    at = lag = 0
    while at < len(lags):
        some = slice(at, at + CHUNK)
        agrees = (errors_of(schedule, log.at(some), 0, lag) <= TIES) & (lag <= log.steps[some])
        lags[some] = lag
        at += int(np.argmin(np.append(agrees, False)))  # to the first that does not agree
        if not agrees.all():
            lag += 1
        if lag > MOST_SKIPPED:
            return None
    return lags
