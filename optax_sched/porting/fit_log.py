"""Fits a family's free numbers to a log, and says in which interval each number may lie."""

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from optax_sched.porting.families import RATES, Family
from optax_sched.porting.in_numpy import Array, Curve, traced
from optax_sched.porting.typed_numbers import PAIRS

TIES = 1.001  # typed settings put values exactly between two printed ones
AHEAD = (1.0, 1.02, 1.15, 1.4, 1.8, 2.5, 4.0, 8.0)  # where a decay may end, in lengths of the log
NUMBERS = {
    "power": (0.5, 2.0, 4.0),
    "div": (25.0, 8.0),
    "final": (1e4, 30.0),
    "mult": (2.0, 1.5),
    "shrink": (0.99, 0.5),
    "growth": (1.0, 0.5),
    "gamma": (1.0, 1e-4),  # what is left of a height at the last step
}
FIRST_POINTS = 120
COARSE = 1e-4  # of the highest value: the least unit of a first fit
BELOW_0 = 1e3  # the error of a rate that lies below 0 by the highest value


class Log(NamedTuple):
    """A logged curve: the half of the last digit is the unit of all errors."""

    steps: Array
    values: Array
    half: Array

    @property
    def top(self) -> float:
        return float(np.abs(self.values).max()) or 1.0

    @property
    def whole(self) -> bool:
        return bool(np.all(self.steps == np.rint(self.steps)))

    @property
    def tail(self) -> float:
        """The step from which on the values are the last one."""
        moving = np.flatnonzero(np.abs(self.values - self.values[-1]) > 2 * self.half)
        return float(self.steps[moving[-1] + 1] if len(moving) else self.steps[-1])

    def at(self, which: Array | slice) -> "Log":
        return Log(*(array[which] for array in self))

    def points_to_fit(self) -> Array:
        """Where to look first: near the ends, the peak and the kinks, and evenly between."""
        last, peak = len(self.steps) - 1, int(np.argmax(self.values))
        near = np.geomspace(1, last + 1, FIRST_POINTS // 8).astype(int) - 1
        even = np.linspace(0, last, FIRST_POINTS // 2).astype(int)
        slopes = np.diff(self.values) / np.diff(self.steps)
        kinks = 1 + np.argsort(-np.abs(np.diff(slopes)))[: FIRST_POINTS // 8]
        at = np.concatenate([even, near, last - near, peak - near, peak + near, kinks])
        return np.unique(at[(at >= 0) & (at <= last)])


@functools.lru_cache(maxsize=256)
def _curve_of(family: Family, absent: tuple[str, ...]) -> Curve:
    """The values of many settings, where the numbers in `absent` are None."""
    example = [None if name in absent else np.zeros(()) for name in family.names]
    return traced(lambda numbers: family.build(*numbers), example)


def to_fitted(name: str, number: Array | float, top: float) -> Array:
    """A number as the fit sees it: rates in units of the highest value, most others as logarithms."""
    if name in RATES:
        return np.asarray(number) / top
    if name == "final":  # a divisor of a rate
        return 1 / np.asarray(number)
    return np.log(np.maximum(number, 1e-9))


def from_fitted(name: str, fitted: Array, top: float) -> Array:
    if name == "final":
        return 1 / np.maximum(fitted, 1e-16)
    return fitted * top if name in RATES else np.exp(np.clip(fitted, -46.0, 46.0))


class Fit(NamedTuple):
    fitted: Array  # the free numbers
    residuals: Array  # in units of half of the last digit
    taken: int  # evaluations


class Problem:
    """The free numbers of a family beside a log, where the others are fixed."""

    def __init__(
        self, family: Family, log: Log, top: float, offset: int, fixed: Mapping[str, float | None]
    ):
        # `top` is that of the whole log, of which `log` may be a part.
        self.family, self.log, self.top, self.offset, self.fixed = family, log, top, offset, fixed
        self.free = [name for name in family.names if name not in fixed]
        self.curve = _curve_of(family, tuple(name for name in fixed if fixed[name] is None))
        self.weight = len(self.curve.tape) / 100  # of an evaluation
        self.steps = np.maximum(log.steps + offset, 0.0)

    def coarse(self) -> "Problem":
        """The same in coarser units: in a log's own digits its smallest values outweigh all others."""
        log = self.log._replace(half=np.maximum(self.log.half, COARSE * self.top))
        return Problem(self.family, log, self.top, self.offset, self.fixed)

    def numbers(self, fitted: Array) -> dict[str, Array]:
        columns = zip(self.free, np.moveaxis(fitted, -1, 0), strict=True)
        return {name: from_fitted(name, column, self.top) for name, column in columns}

    def fitted(self, numbers: Mapping[str, float]) -> Array:
        return np.array([to_fitted(name, numbers[name], self.top) for name in self.free])

    def residuals(self, fitted: Array) -> Array:
        """Of k settings at once: [k, free] -> [k, points]."""
        return self.residuals_of(self.numbers(fitted), self.log.values)

    def residuals_of(self, numbers: Mapping[str, Array], subtracted: Array | float) -> Array:
        """Of k values of each free number: how far the curves lie above `subtracted`."""
        known = {**self.fixed, **{name: number[:, None] for name, number in numbers.items()}}
        values = self.curve(
            [known[name] for name in self.family.names if known[name] is not None], self.steps
        )
        return np.nan_to_num((values - subtracted) / self.log.half, nan=1e12, posinf=1e12, neginf=-1e12)

    def starts(self, count: int) -> Array:
        """The best of many settings that the log's shape suggests."""
        numbers = {name: np.array(column) for name, column in self._guesses().items()}
        rates = [name for name in self.free if name in RATES]
        tries = [numbers]
        if rates:
            # The curve is linear in the rates, or nearly: solve for them.
            without = numbers | {name: np.zeros_like(numbers[name]) for name in rates}
            unit = np.full(len(numbers[rates[0]]), self.top)
            design = np.stack(
                [self.residuals_of(without | {name: unit}, 0.0) for name in rates], -1
            ).clip(-1e9, 1e9)
            solved = np.linalg.pinv(design) @ (self.log.values / self.log.half)
            heights = solved.clip(0.0 if self.log.values.min() >= 0 else -1e3, 1e3).T * self.top
            # Under a floor, an end is no part of a sum.
            alone = numbers | {name: without[name] for name in rates[1:]}
            tries = [alone, numbers | dict(zip(rates, heights, strict=True)), numbers]
        numbers = {name: np.concatenate([one[name] for one in tries]) for name in numbers}
        columns = [to_fitted(name, number, self.top) for name, number in numbers.items()]
        starts = np.unique(np.stack(columns, -1), axis=0)
        errors = np.sum(self.residuals(starts).clip(-1e9, 1e9) ** 2, axis=1)
        return starts[np.argsort(errors)][:count]

    def across_kinks(self, numbers: Mapping[str, float]) -> Iterator[Array]:
        """Starts with a kink moved over the logged step before it, or after it: no fit leads there."""
        rise, total = numbers.get("rise", 0.0), numbers.get("total", 0.0)
        for name, origin, way in (
            ("rise", 0.0, 1),
            ("cool", total, -1),
            ("fall", rise, 1),
            ("total", 0.0, 1),
        ):
            if name in numbers:
                kink = min(origin + way * numbers[name], self.log.tail)
                at = int(np.searchsorted(self.steps, kink).clip(1, len(self.steps) - 1))
                before, behind = self.steps[at - 1 : at + 1]
                margin = (behind - before) / 20
                for place in (before - margin, behind + margin):
                    yield self.fitted({**numbers, name: way * (place - origin)})

    def _guesses(self) -> dict[str, list[float]]:
        steps, values, top = self.steps, self.log.values, self.top
        gap = max(steps[1] - steps[0], 1e-9)
        peak = int(np.argmax(values))
        high = np.flatnonzero(values >= values[peak] - 2 * self.log.half[peak] - 1e-3 * top)
        tail = self.log.tail
        change = np.diff(values)
        falls = np.flatnonzero(change < 0)
        first_top = steps[falls[0]] if len(falls) else steps[-1]
        rises = np.flatnonzero((change > 0) & (steps[1:] > first_top))
        again = steps[rises[0] + 1] if len(rises) else tail
        turns = np.flatnonzero(change)
        lows = turns[1:][np.diff(np.sign(change[turns])) > 0]

        def first_cycle(growth: float) -> float:
            """Its length, which many cycles tell better than it does."""
            if not len(lows):
                return tail
            ends = np.cumsum(growth ** np.arange(len(lows)))
            return float((steps[lows] / ends).max() + (steps[lows + 1] / ends).min()) / 2

        cycles = {growth: first_cycle(growth) for growth in (1.0, *NUMBERS["mult"])}
        named = [name for name in self.free if name in NUMBERS]
        guesses: dict[str, list[float]] = {name: [] for name in self.free}
        rises_at = [max(steps[peak] - gap / 2, gap / 4), steps[peak] + gap / 2]
        for ahead, rise, chosen in itertools.product(
            AHEAD, rises_at, itertools.product(*(NUMBERS[name] for name in named))
        ):
            total = max(tail * ahead, gap)
            after = rise if "rise" in self.family.names else 0.0
            up = 0.5 if ahead == 1 else min(first_top / max(again, gap) * ahead, 0.95)
            numbers = dict(zip(named, chosen, strict=True))
            period = again / ahead if ahead < 1.2 else steps[-1] * ahead
            if ahead == 1:
                period = cycles[numbers.get("mult", 1.0)]
            guess = {
                **dict.fromkeys(("value", "peak", "scale"), top),
                **{"start": values[0], "end": values[-1], "rise": rise},
                "width": 1 / (top**2 * rise),
                "total": max(total, rise + gap),
                "fall": max(total - after, gap),
                **dict.fromkeys(PAIRS, max(total - after, gap) * 20 / ahead**4),
                "cool": max(total - steps[high[-1]], gap),
                "tau": max(ahead**3 * rise / 8, gap),
                "period": period,
                "up": max(first_top, gap) if ahead > 2 else cycles[1.0] * up,
                "down": max(again - first_top, gap) if ahead > 2 else cycles[1.0] * (1 - up),
                "pct": min(max(steps[peak] / total, 0.01), 0.9),
                **numbers,
                "gamma": numbers.get("gamma", 1.0) ** (1 / max(steps[-1], 1.0)),
            }
            for name in self.free:
                guesses[name].append(guess[name])
        return guesses

    def fit(self, start: Array, most: int) -> Fit:
        """The least squares by Levenberg and Marquardt, with a weak pull to the start and above 0."""
        import scipy.optimize

        weak = 3e-3 * np.eye(len(start))
        rates = {*RATES, "final"} if self.log.values.min() >= 0 else {}
        above = BELOW_0 * np.diag([name in rates for name in self.free])

        def errors(at: Array) -> Array:
            return np.concatenate(
                [self.residuals(at[None])[0], weak @ (at - start), above @ at.clip(max=0)]
            )

        found = scipy.optimize.least_squares(
            errors,
            start,
            jac=lambda at: np.concatenate([self._jacobian(at), weak, above * (at < 0)]),  # pyright: ignore[reportArgumentType]
            method="lm",
            x_scale="jac",
            ftol=1e-8,
            xtol=1e-11,
            max_nfev=most,
        )
        return Fit(found.x, found.fun[: -2 * len(start)], found.nfev)

    def _jacobian(self, at: Array, move: float = 1e-7) -> Array:
        here, *ahead = self.residuals(np.concatenate([at[None], at + move * np.eye(len(at))]))
        return (np.array(ahead) - here).T / move

    def intervals(self, fit: Fit) -> dict[str, tuple[float, float]] | None:
        """From where to where each number may go while the others follow and no error is above 1."""
        import scipy.optimize
        import scipy.sparse

        ahead, behind = self._jacobian(fit.fitted), self._jacobian(fit.fitted, -1e-7)
        scale = np.abs(ahead).max(axis=0) + 1e-12
        # A point at a kink has no slope. The last point may be one: the curve may end there, or not.
        kinks = np.any(np.abs(ahead - behind) > 1e-3 * scale, axis=1)
        kinks[-1] = True
        slopes, residuals = ((ahead + behind) / 2 / scale)[~kinks], fit.residuals[~kinks]
        count = len(scale)
        # A linear program for each end of each interval: as one, HiGHS starts once.
        block = scipy.sparse.coo_array(np.concatenate([slopes, -slopes]))
        blocks = scipy.sparse.block_diag([block] * (2 * count), "csc")
        limits = np.tile(np.concatenate([TIES - residuals, TIES + residuals]), 2 * count)
        bounds = np.tile(np.stack([-4 * scale, 4 * scale], -1), (2 * count, 1))
        goals = np.concatenate([np.eye(count), -np.eye(count)])
        found = scipy.optimize.linprog(goals.ravel(), blocks, limits, bounds=bounds).x
        if found is None:
            return None
        moves = np.diagonal(found.reshape(2, count, count), axis1=1, axis2=2) / scale
        intervals = {}
        for name, ends in zip(self.free, (fit.fitted + moves).T, strict=True):
            low, high = np.sort(from_fitted(name, ends, self.top))
            # A little more, for the points at a kink, which have no slope.
            intervals[name] = float(low - 2e-7 * abs(low)), float(high + 2e-7 * abs(high))
        return intervals
