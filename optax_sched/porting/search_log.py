"""Searches the families for the schedules of the fewest typed digits that agree with a log."""

import heapq
import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from optax_sched._core.schedule import Schedule
from optax_sched._schedules import linear
from optax_sched.porting.families import DEFAULTS, ENDS, FAMILIES, LENGTHS, PAIRS, Family
from optax_sched.porting.fit_log import TIES, Array, Fit, Log, Problem, from_fitted, to_fitted
from optax_sched.porting.in_numpy import values_of
from optax_sched.porting.typed_numbers import as_typed, digits_of, fewest_digits, roundest

NEAR = 0.02  # of the highest value, on average: what is further off does not fit with an offset either
FITS = 4.0  # the largest error of a least-squares fit where an exact one may exist
SLACK = 4.0  # digits by which the last consistent match may cost more than the first
OFFSETS = (0, 1, -1)
MOST_WORK = 4000  # evaluations of fits
WORK_FOR_OTHERS = 800  # once a schedule is found that agrees
MOST_OF_A_FAMILY = 3
MOST_POINTS = 400
SHARES = (0.1, 0.01, 0.2, 0.05, 0.001, 0.5, 0.3, 0.02, 0.25)  # of a peak, as people type an end
MORE_DIGITS = 2  # than the roundest number that may be

Intervals = dict[str, tuple[float, float]]


class Match(NamedTuple):
    """A schedule that may have made a log, whose value at s is `schedule(s + offset - skipped so far)`.

    Attributes:
      schedule: the schedule; its `repr` is what a person would have typed.
      offset: what to add to a logged step, -1, 0 or 1.
      skipped: the updates that were skipped, as pairs (step, how many so far), each with the first
        logged step that shows it; empty where none were.
      largest_error: the largest distance from a logged value, in halves of its last digit.
      is_consistent: whether that is at most 1.001, so that rounding explains every logged value.
    """

    schedule: Schedule
    offset: int
    skipped: list[tuple[float, int]]
    largest_error: float
    is_consistent: bool


class Near(NamedTuple):
    """A family with all its numbers as they fit best."""

    error: float
    family: Family
    offset: int
    numbers: dict[str, float]


class Node(NamedTuple):
    """A family with some of its numbers typed. `bound`: what typing all of them costs at least."""

    bound: float
    order: int
    family: Family
    offset: int
    typed: dict[str, tuple[float | None, int]]  # a number, and what it costs
    free: Mapping[str, float]  # the others, as the fit sees them
    intervals: Intervals | None = None  # where these may lie; None before the fit
    changed: frozenset[str] = frozenset()  # optional numbers that are not at their default
    digits: int = 0  # that the next number has at least
    pair: str = ""  # the first of two numbers that no curve tells apart, as long as it is any number

    @property
    def fixed(self) -> dict[str, float | None]:
        return {name: number for name, (number, _) in self.typed.items()}

    def may_stay(self, name: str) -> bool:
        """Whether a number may be at its default: intervals are local, so that they do not tell."""
        is_paired = self.pair and name == PAIRS[self.pair].second
        return self.family.is_optional(name) and name not in self.changed and not is_paired


def built(family: Family, numbers: Mapping[str, float | None], whole: bool) -> Schedule | None:
    """The schedule of these numbers, or None where its builder refuses them."""
    typed = {
        name: int(number) if whole and name in LENGTHS and number is not None else number
        for name, number in numbers.items()
    }
    try:
        return family.build(*(typed[name] for name in family.names))
    except (TypeError, ValueError):
        return None


def errors_of(schedule: Schedule, log: Log, offset: int, lags: Array | float = 0) -> Array:
    """How far the schedule itself is from each logged value, in halves of its last digit."""
    steps = np.maximum(log.steps + offset - lags, 0)
    if log.whole and steps[-1] < 2**31:
        steps = steps.astype(np.int32)
    return np.abs(values_of(schedule, steps) - log.values) / log.half


def matched(schedule: Schedule, log: Log, offset: int, lags: Array | None = None) -> Match:
    """A schedule beside a log. `lags`: how many updates were skipped before each step."""
    changes = [] if lags is None else np.flatnonzero(np.diff(lags, prepend=0))
    skipped = [] if lags is None else [(float(log.steps[at]), int(lags[at])) for at in changes]
    error = float(errors_of(schedule, log, offset, 0 if lags is None else lags).max())
    return Match(schedule, offset, skipped, error, error <= TIES)


class Search:
    """Of one log, for schedules that cost hardly more to type than `known`, where that is known."""

    def __init__(self, log: Log, known: float = np.inf):
        self.log, self.top, self.whole, self.least = log, log.top, log.whole, known
        self.points = log.points_to_fit()
        self.smooth = log.away_from_rises()
        self.order = itertools.count()
        self.work = 0
        self.found: list[tuple[float, Match]] = []  # with what each costs to type
        self.nearest: list[Near] = []

    def run(self) -> list[tuple[float, Match]]:
        families = FAMILIES if np.ptp(self.log.values) else FAMILIES[:1]  # a flat log is a constant
        heap = [root for family in families if self._may_be(family) for root in self._roots(family)]
        heapq.heapify(heap)
        counts = dict.fromkeys(FAMILIES, 0)
        most = MOST_WORK
        while heap and self.work < most:
            node = heapq.heappop(heap)
            if node.bound > self.least + SLACK:
                break
            if counts[node.family] >= MOST_OF_A_FAMILY:
                continue
            if not node.free:
                if self._agrees(node):
                    counts[node.family] += 1
                    most = min(most, self.work + WORK_FOR_OTHERS)
                continue
            nexts = (
                self._fitted(node) if node.intervals is None else self._children(node, node.intervals)
            )
            for one in nexts:
                heapq.heappush(heap, one)
        return self.found

    def _problem(self, family: Family, offset: int, fixed: Mapping[str, float | None]) -> Problem:
        restarts = "period" in family.names
        points = self.points[self.smooth[self.points]] if restarts else self.points
        return Problem(family, self.log.at(points), self.top, offset, fixed)

    def _may_be(self, family: Family) -> bool:
        """Whether the curve rises, and rises again, where the family does."""
        values, names = self.log.values, family.names
        clear = 2 * self.log.half.max()
        rises = values.max() > values[0] + clear
        again = np.any(values - np.minimum.accumulate(values) > clear)
        if not rises and self.log.steps[0] <= 1 and "rise" in names and not family.is_optional("rise"):
            return False
        if not again and "period" in names:
            return False
        risers = {"rise", "up", "pct", "period", "value"}
        return not rises or family.build is linear or not risers.isdisjoint(names)

    def _fit(self, problem: Problem, *starts: Array) -> Fit:
        fits: list[Fit] = []
        for start in starts:
            fits.append(problem.fit(start, 20 if problem.fixed else 60))
            self.work += fits[-1].taken
            if np.abs(fits[-1].residuals).max() < 1.5:
                break
        return min(fits, key=lambda fit: fit.residuals @ fit.residuals)

    def _roots(self, family: Family) -> Iterator[Node]:
        """At each offset the fit of all numbers, where it is near the log."""
        pair = next((name for name in family.names if name in PAIRS), "")
        first = {pair: PAIRS[pair].firsts[0]} if pair else {}
        typed: dict[str, tuple[float | None, int]] = {pair: (first[pair], 0)} if pair else {}
        root = Node(0.0, 0, family, 0, typed, {}, pair=pair)
        fit = None
        for offset in OFFSETS:
            root = root._replace(offset=offset)
            problem = self._problem(family, offset, root.fixed)
            if len(problem.log.steps) < 3:
                return
            fit = self._fit(problem, *(self._again(problem, fit.fitted) if fit else problem.starts(3)))
            errors = np.abs(fit.residuals)
            numbers = {name: float(number) for name, number in problem.numbers(fit.fitted).items()}
            self.nearest.append(Near(errors.max(), family, offset, {**first, **numbers}))
            yield from self._opened(root, problem, fit)
            if np.mean(errors * problem.log.half) > NEAR * self.top:
                return

    def _again(self, problem: Problem, fitted: Array) -> list[Array]:
        """Starts with another offset: the numbers as they were, and optional ones at their defaults."""
        reset = fitted.copy()
        for at, name in enumerate(problem.free):
            if problem.family.is_optional(name) and (default := DEFAULTS[name]):
                reset[at] = to_fitted(name, default, self.top)
        return [fitted, reset]

    def _fitted(self, node: Node) -> Iterator[Node]:
        problem = self._problem(node.family, node.offset, node.fixed)
        start = np.array([node.free[name] for name in problem.free])
        # With another end the others may lie far away.
        others = problem.starts(2) if next(reversed(node.typed)) == "end" else ()
        yield from self._opened(node, problem, self._fit(problem, start, *others))

    def _opened(self, node: Node, problem: Problem, fit: Fit) -> Iterator[Node]:
        """The node with what its numbers may be; nothing where it is far from the log."""
        if np.abs(fit.residuals).max() <= FITS and (intervals := problem.intervals(fit)):
            endless = (both for name, both in intervals.items() if name in ("power", "mult"))
            if any(high > 30 * low for low, high in endless):
                return  # the log does not tell it
            free = dict(zip(problem.free, fit.fitted.tolist(), strict=True))
            yield self._bounded(node._replace(free=free, intervals=intervals))

    def _paired(self, node: Node, intervals: Intervals) -> Iterator[Node]:
        """One number of two is typed: the other follows."""
        firsts, second, seconds, follow, ratio = PAIRS[node.pair]
        low, high = intervals[second]
        number = float(from_fitted(second, np.array(node.free[second]), self.top))
        for first in firsts:
            times = ratio(firsts[0], first)
            yield self._bounded(
                node._replace(
                    pair="",
                    typed={**node.typed, node.pair: (first, 1 + digits_of(first))},
                    free={**node.free, second: float(to_fitted(second, number * times, self.top))},
                    intervals={**intervals, second: (low * times, high * times)},
                )
            )
        for typed in seconds:
            first = to_fitted(node.pair, follow(firsts[0], typed / number), self.top)
            if np.isfinite(first):
                cost = 0 if DEFAULTS.get(second) == typed else 1 + digits_of(typed)
                others = {name: both for name, both in node.typed.items() if name != node.pair}
                both = node._replace(pair="", typed=others, free={**node.free, node.pair: float(first)})
                yield self._with(both, second, typed, cost, node.bound + cost)

    def _bounded(self, node: Node) -> Node:
        """The node with its bound, which puts it in its place in the queue."""
        assert node.intervals is not None
        bound = sum(cost for _, cost in node.typed.values()) + 0.5 * abs(node.offset)
        bound += sum(1 + self._fewest(node, name) for name in node.intervals if not node.may_stay(name))
        return node._replace(bound=bound, order=next(self.order))

    def _fewest(self, node: Node, name: str) -> int:
        """The digits of the roundest number, or of the roundest share of the peak."""
        assert node.intervals is not None
        low, high = node.intervals[name]
        whole = self.whole and name in LENGTHS
        low = max(low, 1e-9 if whole else 1e-9 * high)
        fewest = fewest_digits(low, high, whole)
        if name in ENDS:
            known = node.fixed.get("peak") or self.top
            lowest, highest = node.intervals.get("peak") or (known, known)
            fewest = min(fewest, fewest_digits(low / highest, high / lowest, False))
        return max(fewest, 1)

    def _children(self, node: Node, intervals: Intervals) -> Iterator[Node]:
        """A number that may stay at its default does or does not; else the one told best is typed."""
        for name, (low, high) in intervals.items():
            if node.may_stay(name):
                yield self._with(node, name, DEFAULTS[name], 0, node.bound)
                is_end = name in ENDS
                if high > 1e-4 * self.top if is_end else name in LENGTHS or high < 30 * low:
                    yield self._bounded(node._replace(changed=node.changed | {name}))
                return
        if node.pair:
            yield from self._paired(node, intervals)
            return
        name = min(intervals, key=lambda name: self._turn(name, intervals))
        low, high = max(intervals[name][0], 0.0), intervals[name][1]
        whole = self.whole and name in LENGTHS
        fewest = self._fewest(node, name)
        digits = node.digits or fewest
        least = node.bound - (digits - fewest)
        near = float(from_fitted(name, np.array(node.free[name]), self.top))
        found: dict[float, int] = {}
        if name in ENDS:
            peak = node.fixed.get("peak") or self.top
            is_wide = high > 2 * low  # then it is a share that people type
            for share in SHARES if is_wide else roundest(low / peak, high / peak, digits, False, 3):
                if digits_of(share) == digits and low <= share * peak <= high:
                    found[as_typed(share * peak, 12)] = digits
        if not found:
            found |= dict.fromkeys(roundest(low, high, digits, whole, near=near), digits)
        if name in ("total", "fall") and not node.digits:
            # People log until the end.
            last = float(self.log.steps[-1]) - (node.fixed.get("rise") or 0) * (name == "fall")
            ends = {at: digits_of(at) for at in (last - 1, last, last + 1) if low <= at <= high}
            found |= {at: count for at, count in ends.items() if count > fewest + MORE_DIGITS} | found
        if len(intervals) == 1 and found:  # all are typed: look at once which of them agree
            problem = self._problem(node.family, node.offset, node.fixed)
            typed = to_fitted(name, np.array(list(found)), self.top)[:, None]
            errors = np.abs(problem.residuals(typed)).max(axis=1)
            found = {n: d for (n, d), e in zip(found.items(), errors, strict=True) if e <= 1.01 * TIES}
        for number, its_digits in found.items():
            if number != DEFAULTS.get(name) and (name, number) != ("power", 1.0):
                yield self._with(node, name, number, 1 + its_digits, least + its_digits - fewest)
        if digits < min(fewest + MORE_DIGITS, 12) and not (whole and high - low < 1):
            yield node._replace(bound=node.bound + 1, order=next(self.order), digits=digits + 1)

    def _with(self, node: Node, name: str, number: float | None, cost: int, bound: float) -> Node:
        """With one more number typed."""
        return node._replace(
            bound=bound,
            order=next(self.order),
            typed={**node.typed, name: (number, cost)},
            free={other: at for other, at in node.free.items() if other != name},
            intervals=None,
            digits=0,
        )

    def _agrees(self, node: Node) -> bool:
        """Whether the schedule itself agrees with the log, at all points."""
        schedule = built(node.family, node.fixed, self.whole)
        if schedule is None or errors_of(schedule, self.log.at(self.points), node.offset).max() > TIES:
            return False
        match = matched(schedule, self.log, node.offset)
        if match.is_consistent:
            cost = sum(cost for _, cost in node.typed.values()) + 0.5 * abs(node.offset)
            self.found.append((cost, match))
            self.least = min(self.least, cost)
            return True
        if len(self.points) < MOST_POINTS:
            # From now on look at the points that say no, too.
            errors = errors_of(schedule, self.log, node.offset)
            worst = np.argsort(-errors)[:6]
            self.points = np.union1d(self.points, worst[errors[worst] > TIES])
        return False

    def _turn(self, name: str, intervals: Intervals) -> float:
        """What is typed next: an end as a share of a known peak, then what the log tells best."""
        if name in ENDS:
            return np.inf if "peak" in intervals else 0.0
        low, high = intervals[name]
        return high / low if low > 0 else 1e9
