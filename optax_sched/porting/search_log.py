"""Searches the families for the schedules of the fewest typed digits that agree with a log."""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from optax_sched._schedules import linear
from optax_sched.porting.families import DEFAULTS, ENDS, FAMILIES, LENGTHS, RATES, Family
from optax_sched.porting.fit_log import TIES, Array, Fit, Log, Problem, from_fitted, to_fitted
from optax_sched.porting.matching import Match, built, errors_of, matched
from optax_sched.porting.typed_numbers import (
    MORE_DIGITS,
    PAIRS,
    as_typed,
    digits_of,
    fewest_digits,
    pairs_of,
    roundest,
)

NEAR = 0.02  # of the highest value, on average: what is further off does not fit with an offset either
FAR = 0.05  # the same, after a short fit: what is further off then does not come near
MOST_SHIFTED = 10  # families that are tried with an offset
SHORT = 8  # evaluations of a fit before others are tried
CLOSE = 1.5  # the largest error of a fit that is there, or nearly
FITS = 4.0  # the largest error of a least-squares fit where an exact one may exist
ALMOST = 1.2  # of the last step: a log that ends a little before a round length
SLACK = 4.0  # digits by which the last consistent match may cost more than the first
OFFSETS = (0, 1, -1)
MOST_WORK = 2700  # evaluations of curves of 100 operations, after the first fits of all families
WORK_FOR_OTHERS = 500  # once a schedule is found that agrees
COST_OF_INTERVALS, COST_OF_A_SCHEDULE = 10, 5  # in such evaluations
PATIENCE = 100  # evaluations of a family that count as a digit
MOST_OF_A_FAMILY = 3
GO_WITH_END = ("total", "fall", "cool")  # lengths that a log does not tell if it stops before the end
SHARES = (0.1, 0.01, 0.2, 0.05, 0.001, 0.5, 0.3, 0.02, 0.25)  # of a peak, as people type an end
ENDS_ALONE = (1e-5, 1e-6, 1e-7, 1e-8)  # as people type it otherwise

Intervals = dict[str, tuple[float, float]]


class Near(NamedTuple):
    """A family with all its numbers as they fit best."""

    off: float  # the mean error of the values
    family: Family
    offset: int
    numbers: dict[str, float]


class Node(NamedTuple):
    """A family with some of its numbers typed. `bound`: what typing all of them costs at least."""

    bound: float
    order: int
    family: Family
    offset: int
    fixed: dict[str, float | None]  # the numbers typed so far
    cost: float  # of these
    free: Mapping[str, float]  # the others, as the fit sees them
    intervals: Intervals  # where these may lie; nothing before the fit
    changed: frozenset[str] = frozenset()  # optional numbers that are not at their default

    def may_stay(self, name: str) -> bool:
        """Whether a number may be at its default: intervals are local, so that they do not tell."""
        return self.family.is_optional(name) and name not in self.changed


class Search:
    """Of one log, for schedules that cost hardly more to type than `known`, where that is known.

    `near`: the fits of another reading of the log; the families are theirs, and begin there.
    """

    def __init__(self, log: Log, known: float = np.inf, near: Sequence[Near] | None = None):
        self.log, self.top, self.whole, self.least = log, log.top, log.whole, known
        self.fits = {one.family: one.numbers for one in reversed(near or ())}
        self.families = FAMILIES if near is None else sorted(self.fits, key=FAMILIES.index)
        self.points = log.points_to_fit()
        # Beside a rise a restart has no slope by its period, and behind the last cycle it has none.
        rises = np.append(np.diff(log.values) > 2 * log.half[1:], False)
        self.smooth = ~(rises | np.roll(rises, 1)) & (log.steps < log.tail)
        self.cycles = 1 + int(rises.sum())
        self.below_0 = log.values.max() <= 0
        self.order = itertools.count()
        self.work = 0.0
        # With what each costs to type, and the place of its family, which comes first among equals.
        self.found: dict[tuple[str, int], tuple[float, int, Match]] = {}
        self.seen: set[tuple[str, int]] = set()
        self.fitted: dict[tuple[Family, int], Near] = {}  # the nearest fit of each family and offset

    def run(self) -> list[tuple[float, int, Match]]:
        self._search(self._roots())
        if self.least == np.inf:
            self._search(self._second_roots())
        return list(self.found.values())

    def _search(self, roots: Iterable[Node]) -> None:
        heaps: dict[Family, list[Node]] = {}
        for root in roots:
            heapq.heappush(heaps.setdefault(root.family, []), root)
        spent, counts = dict.fromkeys(heaps, 0.0), dict.fromkeys(heaps, 0)
        most = self.work + (MOST_WORK / 2 if self.fits else MOST_WORK)
        while heaps and self.work < most:
            # A family that costs much and finds nothing lets others go first.
            family = min(heaps, key=lambda family: heaps[family][0].bound + spent[family] / PATIENCE)
            node, before = heapq.heappop(heaps[family]), self.work
            nexts: Iterable[Node] = ()
            if not node.free:
                if self._agrees(node):
                    counts[family] += 1
                    most = min(most, self.work + WORK_FOR_OTHERS)
            elif not node.intervals:
                nexts = self._fitted(node)
            else:
                nexts = self._children(node)
            for one in nexts:
                heapq.heappush(heaps[family], one)
            spent[family] += self.work - before
            left, limit = heaps[family], self.least + SLACK
            if not left or left[0].bound > limit or counts[family] == MOST_OF_A_FAMILY:
                del heaps[family]

    @property
    def nearest(self) -> list[Near]:
        """The fits, the nearest first."""
        return sorted(self.fitted.values(), key=lambda near: near.off)

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
        falls = self.log.steps[0] <= 1 and values.max() <= values[0]  # from the first step on
        if falls and "rise" in names and not family.is_optional("rise"):
            return False
        if not again and "period" in names:
            return False
        risers = {"rise", "up", "pct", "period", "value"}
        return not rises or family.build is linear or not risers.isdisjoint(names)

    def _fit(self, problem: Problem, *starts: Array, most: int) -> Fit:
        """From each start a short way, and on from where that led best, with `most` evaluations."""
        fits: list[Fit] = []
        for start in starts:
            fits.append(problem.fit(start, SHORT))
            self.work += fits[-1].taken * problem.weight
            if np.abs(fits[-1].residuals).max() < CLOSE:
                break
        best = min(fits, key=lambda fit: fit.residuals @ fit.residuals)
        far = np.mean(np.abs(best.residuals) * problem.log.half) > FAR * self.top
        if best.taken < SHORT or far:  # it is there, or leads nowhere
            return best
        further = problem.fit(best.fitted, most)
        self.work += further.taken * problem.weight
        return further

    def _roots(self) -> Iterator[Node]:
        """The fits of all numbers that are near the log: at offset 0, and of the nearest at others."""
        families = self.families if np.ptp(self.log.values) else FAMILIES[:1]  # flat: a constant
        for family in filter(self._may_be, families):
            problem = self._problem(family, 0, {})
            required = sum(not family.is_optional(name) for name in family.names)
            if len(problem.log.steps) >= max(3, required):  # fewer points do not tell them
                starts = [problem.fitted(self.fits[family])] if self.fits else ()
                yield from self._root(problem, *starts)
        for near, offset in itertools.product(self._near(), OFFSETS[1:]):
            family, problem = near.family, self._problem(near.family, offset, {})
            starts = problem.fitted(near.numbers), *problem.coarse().starts(1)
            yield from self._root(problem, *starts)

    def _near(self) -> list[Near]:
        """The nearest of the fits at offset 0; within rounding, the simplest first."""
        rounding = CLOSE * self.log.half.mean()
        near = [one for one in self.nearest if not one.offset and one.off <= NEAR * self.top]
        return sorted(near, key=lambda one: (max(one.off, rounding), len(one.numbers)))[:MOST_SHIFTED]

    def _second_roots(self) -> Iterator[Node]:
        """Fits of the near families from other starts: across kinks, and with defaults."""
        far = [near for near in self._near() if near.off > self.log.half.mean()]
        for near, offset in itertools.product(far, OFFSETS):
            problem = self._problem(near.family, offset, {})
            defaults = {
                name: DEFAULTS[name] or near.numbers[name]
                for name in near.numbers
                if near.family.is_optional(name)
            }
            starts = problem.fitted({**near.numbers, **defaults}), *problem.across_kinks(near.numbers)
            yield from self._root(problem, *starts)

    def _root(self, problem: Problem, *starts: Array) -> Iterator[Node]:
        """The node of no typed number, if the fit in coarse units is near."""
        coarse = problem.coarse()
        fit = self._fit(coarse, *(starts or coarse.starts(2)), most=48)
        numbers = {name: float(number) for name, number in problem.numbers(fit.fitted).items()}
        off = float(np.mean(np.abs(fit.residuals) * coarse.log.half))
        place = problem.family, problem.offset
        if place not in self.fitted or off < self.fitted[place].off:
            self.fitted[place] = Near(off, *place, numbers)
        root = Node(0.0, 0, problem.family, problem.offset, {}, 0.5 * abs(problem.offset), {}, {})
        if np.abs(fit.residuals).max() <= FITS:
            yield from self._opened(root, problem, self._fit(problem, fit.fitted, most=150))

    def _fitted(self, node: Node) -> Iterator[Node]:
        problem = self._problem(node.family, node.offset, node.fixed)
        start = np.array([node.free[name] for name in problem.free])
        yield from self._opened(node, problem, self._fit(problem, start, most=8))

    def _opened(self, node: Node, problem: Problem, fit: Fit) -> Iterator[Node]:
        """The node with what its numbers may be; nothing where it is far from the log."""
        if np.abs(fit.residuals).max() > FITS:
            return
        self.work += COST_OF_INTERVALS
        if intervals := problem.intervals(fit):
            free = dict(zip(problem.free, fit.fitted.tolist(), strict=True))
            yield self._bounded(node._replace(free=free, intervals=intervals))

    def _bounded(self, node: Node) -> Node:
        """The node with its bound, which puts it in its place in the queue."""
        bound = node.cost + sum(
            1 + self._fewest(node, name) for name in node.intervals if not node.may_stay(name)
        )
        if "end" in node.intervals and self._is_wide(node, "end"):
            # The end will tell these lengths, which then have more digits.
            bound += sum(name in node.intervals for name in GO_WITH_END)
        return node._replace(bound=bound, order=next(self.order))

    def _fewest(self, node: Node, name: str) -> int:
        """The digits of the roundest number, or of the roundest share of the peak."""
        if name in PAIRS:
            return 3  # a digit each, and 1 for the second setting
        _, low, high = self._range(node, name)
        whole = self.whole and name in LENGTHS
        low = max(low, 1e-9 if whole else 1e-9 * high)
        fewest = fewest_digits(low, high, whole)
        if name in ENDS:
            lowest = highest = abs(node.fixed.get("peak") or self.top)
            if "peak" in node.intervals:
                _, lowest, highest = self._range(node, "peak")
            if lowest > 0:
                fewest = min(fewest, fewest_digits(low / highest, high / lowest, False))
        return max(fewest, 1)

    def _children(self, node: Node) -> Iterator[Node]:
        """A number that may stay at its default does or does not; else the one told best is typed."""
        intervals = node.intervals
        for name, (low, high) in intervals.items():
            if node.may_stay(name):
                yield self._with(node, name, DEFAULTS[name], 0, node.bound)
                is_told = low > 0 or high > 1e-4 * self.top  # that an end is not 0
                if is_told if name in ENDS else name in (*LENGTHS, "final") or high < 30 * low:
                    yield self._bounded(node._replace(changed=node.changed | {name}))
                return
        name = min(intervals, key=lambda name: self._turn(name, node))
        yield from self._typed(node, name)
        if name == "end" and self._is_wide(node, name):  # or a round length tells it, a little later
            for length in intervals.keys() & {"total", "fall"}:  # a family has one of them
                yield from self._typed(node, length, 0, ALMOST * self.log.steps[-1])

    def _range(self, node: Node, name: str) -> tuple[float, float, float]:
        """The sign of a number, and between which numbers above 0 it lies."""
        low, high = node.intervals[name]
        if name in RATES and (high < 0 or self.below_0):
            return -1.0, max(-high, 0.0), -low
        return 1.0, max(low, 0.0), high

    def _is_wide(self, node: Node, name: str) -> bool:
        _, low, high = self._range(node, name)
        return high > 2 * low

    def _typed(
        self, node: Node, name: str, more_digits: int = MORE_DIGITS, most: float = np.inf
    ) -> Iterator[Node]:
        """With a number typed, of as few digits as it may have or some more."""
        sign, low, high = self._range(node, name)
        high = min(high, most)
        far = 1000 * self.log.steps[-1] if name in LENGTHS else np.inf
        if low > far or (name in ("power", "mult", *PAIRS) and high > 30 * low):
            return  # the log does not tell it
        whole = self.whole and name in LENGTHS
        fewest, peak = self._fewest(node, name), abs(node.fixed.get("peak") or self.top)
        near = sign * float(from_fitted(name, np.array(node.free[name]), self.top))
        found: dict[Any, int] = {}  # numbers and their digits
        if name in PAIRS:
            pairs = pairs_of(name, low, high, whole)
            found = {pair: 1 + digits_of(pair[0]) + digits_of(pair[1]) for pair in pairs}
        if name == "final" and high > 30 * low:  # the log does not tell it
            found = {10.0**power: 1 for power in range(1, 7) if low <= 10.0**power <= high}
        for digits in () if found else range(fewest, min(fewest + more_digits, 12) + 1):
            numbers = []
            if name in ENDS:
                is_wide = high > 2 * low  # then it is one that people type
                shares = SHARES if is_wide else roundest(low / peak, high / peak, digits, False, 3)
                ends = [share * peak for share in shares if digits_of(share) == digits]
                ends += ENDS_ALONE if is_wide and digits == 1 else ()
                numbers = [as_typed(end, 12) for end in ends if is_wide or low <= end <= high]
            numbers = numbers or roundest(low, high, digits, whole, near=near)
            found |= {sign * number: digits for number in numbers} | found
        if name in RATES and node.intervals[name][0] <= 0 <= node.intervals[name][1]:
            found = {0.0: 0, **found}
        if name in ("total", "fall"):
            # People log until the end.
            last = float(self.log.steps[-1]) - (node.fixed.get("rise") or 0) * (name == "fall")
            found |= {at: digits_of(at) for at in (last - 1, last, last + 1) if low <= at <= high}
        if len(node.intervals) == 1 and found:  # all are typed: look at once which of them agree
            problem = self._problem(node.family, node.offset, node.fixed)
            numbers = list(found)
            if name in PAIRS:
                numbers = [length / PAIRS[name].length(second) for length, second in found]
            typed = to_fitted(name, np.array(numbers), self.top)[:, None]
            errors = np.abs(problem.residuals(typed)).max(axis=1)
            found = {n: d for (n, d), e in zip(found.items(), errors, strict=True) if e <= 1.01 * TIES}
        for number, digits in found.items():
            if number != DEFAULTS.get(name) and (name, number) != ("power", 1.0):
                yield self._with(node, name, number, 1 + digits, node.bound + digits - fewest)

    def _with(self, node: Node, name: str, number: float | None, cost: int, bound: float) -> Node:
        """With one more number typed."""
        return node._replace(
            bound=bound,
            order=next(self.order),
            fixed={**node.fixed, name: number},
            cost=node.cost + cost,
            free={other: at for other, at in node.free.items() if other != name},
            intervals={},
        )

    def _agrees(self, node: Node) -> bool:
        """Whether the schedule itself agrees with the log, at all points."""
        schedule, cost = built(node.family, node.fixed, self.whole), node.cost
        source, few = repr(schedule), self.log.at(self.points)
        if schedule is None or (source, node.offset) in self.seen:
            return False
        self.seen.add((source, node.offset))
        self.work += COST_OF_A_SCHEDULE
        if errors_of(schedule, few, node.offset).max() > TIES:
            if "period" not in node.family.names:
                return False
            schedule, cost = schedule.replace(num_cycles=self.cycles), cost + 1 + digits_of(self.cycles)
            source = repr(schedule)
            if errors_of(schedule, few, node.offset).max() > TIES:
                return False
        match = matched(schedule, self.log, node.offset)
        if match.is_consistent:
            if node.offset and (plain := matched(schedule, self.log, 0)).is_consistent:
                match, cost = plain, cost - 0.5  # the log does not tell the offset
            self.found[source, match.offset] = cost, FAMILIES.index(node.family), match
            self.least = min(self.least, cost)
        return match.is_consistent

    def _turn(self, name: str, node: Node) -> float:
        """What is typed next: what the log tells best, an end when the peak is known, a pair last."""
        if name in ENDS:
            return 1e12 if "peak" in node.intervals else 0.0
        _, low, high = self._range(node, name)
        return np.inf if name in PAIRS else high / low if low > 0 else 1e9
