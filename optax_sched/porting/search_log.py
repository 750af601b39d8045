"""Searches the families for the schedules of the fewest typed digits that agree with a log."""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from optax_sched._core.schedule import Schedule
from optax_sched.porting.families import FAMILIES, LENGTHS, Family
from optax_sched.porting.fit_log import TIES, Array, Fit, Log, Model, Problem, from_fitted, to_fitted
from optax_sched.porting.in_numpy import values_of
from optax_sched.porting.typed_numbers import as_typed, digits_of, fewest_digits, roundest

NEAR = 0.02  # of the highest value: what fits worse than this does not fit with an offset either
LSQ = 4.0  # the largest error of a least-squares fit where an exact one may exist
SLACK = 4.0  # digits by which the last consistent match may cost more than the first
OFFSETS = (0, 1, -1)
MOST_WORK = 2500  # steps of fits
MOST_OF_A_FAMILY = 2
MOST_POINTS = 400
WITNESSES = 6
MORE_DIGITS = 2  # than the roundest number that may be


class Found(NamedTuple):
    cost: float
    schedule: Schedule
    offset: int
    error: float
    family: Family | None


class Node(NamedTuple):
    """Some numbers of a model are typed. `bound`: what typing the others costs at least."""

    bound: float
    order: int
    model: Model
    typed: dict[str, tuple[float, int]]  # a number, and the digits that were typed for it
    starts: list[Array]
    opened: tuple[Fit, dict[str, tuple[float, float]]] | None = None
    digits: int = 0

    @property
    def fixed(self) -> dict[str, float]:
        return {name: number for name, (number, _) in self.typed.items()}


def built(model: Model, numbers: Mapping[str, float], whole: bool) -> Schedule | None:
    """The schedule of these numbers, or None where its builder refuses them."""
    typed = {
        name: int(number) if whole and name in LENGTHS else number for name, number in numbers.items()
    }
    try:
        return model.family.build(**typed)
    except (TypeError, ValueError):
        return None


def errors_of(schedule: Schedule, log: Log, offset: int, lags: Array | float = 0) -> Array:
    """How far the schedule itself is from each logged value, in halves of its last digit."""
    steps = np.maximum(log.steps + offset - lags, 0)
    if log.whole and steps[-1] < 2**31:
        steps = steps.astype(np.int32)
    return np.abs(values_of(schedule, steps) - log.values) / log.half


class Search:
    def __init__(self, log: Log):
        self.log, self.whole = log, log.whole
        self.points = log.points_to_fit()
        self.thin = log.at(self.points)
        self.order = itertools.count()
        self.work = 0
        self.found: list[Found] = []
        self.fitted: dict[tuple[int, int], Fit | None] = {}
        self.failed: list[tuple[Family, int, set[str]]] = []
        self.nearest: list[tuple[float, Model, dict[str, float]]] = []

    def run(self) -> list[Found]:
        heap = [root for number, family in enumerate(FAMILIES) for root in self._roots(number, family)]
        heapq.heapify(heap)
        while heap and self.work < MOST_WORK:
            node = heapq.heappop(heap)
            if self.found and node.bound > min(one.cost for one in self.found) + SLACK:
                break
            if sum(one.family is node.model.family for one in self.found) >= MOST_OF_A_FAMILY:
                continue
            problem = Problem(node.model, self.thin, node.fixed)
            if not problem.free:
                self._verify(node)
            elif node.opened is None:
                for opened in self._opened(node, problem):
                    heapq.heappush(heap, opened)
            else:
                for child in self._children(node, problem):
                    heapq.heappush(heap, child)
        return sorted(self.found, key=lambda one: (one.cost, one.error))

    def _roots(self, number: int, family: Family) -> Iterator[Node]:
        for names, offset in itertools.product(family.variants(), OFFSETS):
            for chosen in itertools.product(*family.choices.values()):
                typed = {n: (c, digits_of(c)) for n, c in zip(family.choices, chosen, strict=True)}
                bound = 2 * len(names) + sum(1 + d for _, d in typed.values()) + 0.5 * abs(offset)
                model = Model(family, (*names, *family.choices), offset)
                yield Node(bound, next(self.order), model, typed, [])

    def _all_free(self, family: Family, offset: int) -> Fit | None:
        """The fit with all numbers free, or None where even that is far from the log."""
        key = id(family), offset
        if key not in self.fitted:
            names = next(family.variants())
            chosen = {name: values[0] for name, values in family.choices.items()}
            problem = Problem(Model(family, (*names, *chosen), offset), self.thin, chosen)
            other = self._all_free(family, 0) if offset else None
            if offset:
                fit = other and self._best(problem, iter([other.fitted]))
            else:
                fit = self._best(problem, problem.starts(3)) if self._may_be(family) else None
            self.fitted[key] = fit
            if fit is not None:
                typed = zip(
                    problem.free, from_fitted(problem.free, fit.fitted, self.log.top), strict=True
                )
                self.nearest.append(
                    (np.abs(fit.residuals).max(), problem.model, {**dict(typed), **chosen})
                )
                off = np.abs(fit.residuals * self.thin.half).max() / self.log.top
                if np.abs(fit.residuals).max() > LSQ and off > (0.0 if offset else NEAR):
                    self.fitted[key] = None
        return self.fitted[key]

    def _may_be(self, family: Family) -> bool:
        """Whether the curve rises, and rises again, where the family does."""
        values, names = self.log.values, family.names()
        clear = 2 * self.log.half.max()
        rises = values.max() > values[0] + clear
        again = np.any(values - np.minimum.accumulate(values) > clear)
        if not rises and self.log.steps[0] <= 1 and names[1:2] == ["rise"]:
            return False
        if not again and "period" in names:
            return False
        return not rises or bool({"rise", "up", "pct", "start", "period", "value"} & set(names))

    def _best(self, problem: Problem, starts: Iterable[Array]) -> Fit:
        fits = []
        for start in starts:
            fits.append(problem.fit(start))
            self.work += fits[-1].taken
            if np.abs(fits[-1].residuals).max() < 1.5:
                break
        return min(fits, key=lambda fit: fit.residuals @ fit.residuals)

    def _opened(self, node: Node, problem: Problem) -> Iterator[Node]:
        """The node again, with what its numbers may be; nothing where it is far from the log."""
        family, offset = node.model.family, node.model.offset
        starts: Iterable[Array] = node.starts
        free = set(problem.free)
        if not node.starts:
            fit = self._all_free(family, offset)
            if fit is None or any(
                free <= names for one, at, names in self.failed if one is family and at == offset
            ):
                return
            names = [name for name in next(family.variants()) if name not in node.fixed]
            known = dict(zip(names, fit.fitted, strict=True))
            self._move_partner(family, node.fixed, known)
            start = np.array([known[name] for name in problem.free])
            starts = (one for many in ([start], problem.starts(1)) for one in many)
        fit = self._best(problem, starts)
        if np.abs(fit.residuals).max() > LSQ:
            if not node.starts:
                self.failed.append((family, offset, free))
            return
        intervals = {}
        for name in problem.free:
            interval = problem.interval(fit, name)
            if interval is None:
                yield from self._snapped(node, problem, fit)
                return
            if self._is_open(family, name, *interval):
                return
            intervals[name] = interval
        bound = sum(1 + digits for _, digits in node.typed.values()) + 0.5 * abs(offset)
        for name, (low, high) in intervals.items():
            peak = intervals.get("peak") or [node.fixed.get("peak", self.log.top)] * 2
            bound += 1 + self._fewest(name, low, high, peak[0], peak[1])
        yield node._replace(bound=bound, order=next(self.order), opened=(fit, intervals))

    def _move_partner(self, family: Family, fixed: dict[str, float], known: dict[str, float]) -> None:
        """A fit with the first choice of a number as a start with another: the same curve."""
        for name, choices in family.choices.items():
            both = np.array([[choices[0]], [fixed[name]]])
            first, other = to_fitted([name], both, self.log.top)[:, 0]
            partners = {"factor", "speed", "fall"} - {name}
            known |= {one: known[one] + other - first for one in partners & set(known)}

    def _snapped(self, node: Node, problem: Problem, fit: Fit) -> Iterator[Node]:
        """At a jump a curve has no derivative: the nearest whole lengths."""
        numbers = from_fitted(problem.free, fit.fitted, self.log.top)
        lengths = [name for name in problem.free if name in LENGTHS]
        if not self.whole or not lengths:
            return
        whole = {name: float(np.rint(numbers[problem.free.index(name)])) for name in lengths}
        typed = node.typed | {name: (number, digits_of(number)) for name, number in whole.items()}
        rest = [at for at, name in enumerate(problem.free) if name not in lengths]
        bound = sum(1 + digits for _, digits in typed.values()) + 2 * len(rest)
        model = node.model
        yield Node(bound + 0.5 * abs(model.offset), next(self.order), model, typed, [fit.fitted[rest]])

    def _is_open(self, family: Family, name: str, low: float, high: float) -> bool:
        """Whether the log does not tell a number that could stay at its default."""
        if name in ("start", "end"):
            return high < (1e-4 if low <= 0 else 1e-6) * self.log.top
        return name in (*family.defaults(), "mult") and high > 30 * low

    def _fewest(self, name: str, low: float, high: float, *peak: float) -> int:
        """The digits of the roundest number, or of the roundest share of the peak."""
        whole = self.whole and name in LENGTHS
        low = max(low, 1e-9 if whole else 1e-9 * high)
        fewest = fewest_digits(low, high, whole)
        if name in ("start", "end"):
            fewest = min(fewest, fewest_digits(low / max(peak), high / min(peak), False))
        return max(fewest, 1)

    def _children(self, node: Node, problem: Problem) -> Iterator[Node]:
        """The numbers of so many digits for the one that the log tells best."""
        fit, intervals = node.opened or (None, {})
        assert fit is not None
        name = min(intervals, key=lambda name: _width(*intervals[name]))
        low, high = intervals[name]
        low = max(low, 0.0)
        whole = self.whole and name in LENGTHS
        peak = node.fixed.get("peak", self.log.top)
        fewest = self._fewest(name, low, high, peak)
        first = node.digits or fewest
        found = {number: first for number in roundest(low, high, first, whole)}
        if name in ("start", "end"):
            for share in roundest(low / peak, high / peak, first, False, 3):
                found.setdefault(as_typed(share * peak, 12), first)
        if name in ("total", "fall") and not node.digits:
            # People log until the end.
            last = float(self.log.steps[-1]) - node.fixed.get("rise", 0) * (name == "fall")
            found |= {at: digits_of(at) for at in (last - 1, last, last + 1) if low <= at <= high}
        at = problem.free.index(name)
        if len(problem.free) == 1 and found:  # all are typed: look at once which of them agree
            fitted = to_fitted([name], np.array(list(found))[:, None], self.log.top)
            agree = np.abs(problem.residuals(fitted)).max(axis=1) <= TIES
            found = {
                number: digits for (number, digits), ok in zip(found.items(), agree, strict=True) if ok
            }
        for number, digits in found.items():
            typed = {**node.typed, name: (number, digits)}
            start = np.delete(fit.fitted, at)
            yield Node(node.bound + digits - first, next(self.order), node.model, typed, [start])
        if first < min(fewest + MORE_DIGITS, 12) and not (whole and high - low < 1):
            yield node._replace(bound=node.bound + 1, order=next(self.order), digits=first + 1)

    def _verify(self, node: Node) -> None:
        schedule = built(node.model, node.fixed, self.whole)
        if schedule is not None:
            errors = errors_of(schedule, self.log, node.model.offset)
            if (error := float(errors.max())) <= TIES:
                found = Found(node.bound, schedule, node.model.offset, error, node.model.family)
                if all(repr(one[1:3]) != repr(found[1:3]) for one in self.found):
                    self.found.append(found)
            elif len(self.points) < MOST_POINTS:
                # From now on look at the points that say no, too.
                parts = np.array_split(np.arange(len(errors)), WITNESSES)
                worst = [part[np.argmax(errors[part])] for part in parts if len(part)]
                self.points = np.union1d(self.points, [at for at in worst if errors[at] > TIES])
                self.thin = self.log.at(self.points)


def _width(low: float, high: float) -> float:
    return (high - low) / max(abs(high), 1e-300)
