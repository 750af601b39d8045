"""Fits a family's free numbers to a log, and says in which interval each number may lie."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from optax_sched._core.schedule import Schedule
from optax_sched.porting.families import RATES, Family
from optax_sched.porting.in_numpy import Array, Curve, traced

TIES = 1.001  # typed settings put values exactly between two printed ones
AHEAD = (1.0, 1.02, 1.15, 1.4, 1.8, 2.5, 4.0, 8.0)  # where a decay may end, in lengths of the log
NUMBERS = {
    "power": (0.5, 2.0, 4.0),
    "factor": (0.9, 0.5, 0.1, 0.01),
    "speed": (0.3, 3.0, 30.0),
    "div": (25.0, 8.0),
    "final": (1e4, 30.0),
    "mult": (1.01, 2.0),
    "shrink": (0.99, 0.5),
    "growth": (0.99, 0.5),
    "gamma": (0.9999, 0.99),
    "width": (512.0,),
}
MOST_POINTS = 120


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

    def at(self, which: Array) -> "Log":
        return Log(*(array[which] for array in self))

    def points_to_fit(self) -> Array:
        """Where to look first: near the ends and the peak, and evenly between."""
        last, peak = len(self.steps) - 1, int(np.argmax(self.values))
        near = np.geomspace(1, last + 1, MOST_POINTS // 8).astype(int) - 1
        even = np.linspace(0, last, MOST_POINTS // 2).astype(int)
        at = np.concatenate([even, near, last - near, peak - near, peak + near])
        return np.unique(at[(at >= 0) & (at <= last)])


class Model(NamedTuple):
    """A family with some of its numbers free, and the others as they are by default."""

    family: Family
    names: tuple[str, ...]
    offset: int = 0


@functools.lru_cache(maxsize=256)
def _curve_of(build: Callable[..., Schedule], names: tuple[str, ...]) -> Curve:
    example = [np.zeros(()) for _ in names]
    return traced(lambda numbers: build(**dict(zip(names, numbers, strict=True))), example)


def to_fitted(names: Sequence[str], numbers: Array, top: float) -> Array:
    """Numbers as the fit sees them: rates in units of the highest value, the others as logarithms."""
    columns = []
    for name, column in zip(names, np.moveaxis(np.asarray(numbers, float), -1, 0), strict=True):
        if name in RATES:
            columns.append(column / top)
        else:
            columns.append(np.log(-np.log(column) if name == "factor" else column))
    return np.stack(columns, -1)


def from_fitted(names: Sequence[str], fitted: Array, top: float) -> Array:
    columns = []
    for name, column in zip(names, np.moveaxis(fitted, -1, 0), strict=True):
        if name in RATES:
            columns.append(column * top)
        else:
            number = np.exp(np.clip(column, -46.0, 46.0))
            columns.append(np.exp(-number) if name == "factor" else number)
    return np.stack(columns, -1)


class Fit(NamedTuple):
    fitted: Array  # the free numbers
    residuals: Array  # in units of half of the last digit
    jacobian: Array
    taken: int  # steps of the fit


class Problem:
    """The free numbers of a model beside a log, where the others are fixed."""

    def __init__(self, model: Model, log: Log, fixed: Mapping[str, float]):
        self.model, self.log, self.fixed = model, log, fixed
        self.free = [name for name in model.names if name not in fixed]
        defaults = {
            name: one for name, one in model.family.defaults().items() if name not in model.names
        }
        self.known = {**defaults, **fixed}
        self.names = (*model.names, *defaults)
        self.curve = _curve_of(model.family.build, self.names)
        self.steps = np.maximum(log.steps + model.offset, 0.0)

    def residuals(self, fitted: Array) -> Array:
        """Of k settings at once: [k, free] -> [k, points]."""
        return self._residuals(from_fitted(self.free, fitted, self.log.top))

    def _values(self, numbers: Array) -> Array:
        columns = dict(zip(self.free, np.moveaxis(numbers, -1, 0)[..., None], strict=True))
        values = self.curve([{**columns, **self.known}[name] for name in self.names], self.steps)
        return np.nan_to_num(values, nan=1e9 * self.log.top)

    def _residuals(self, numbers: Array) -> Array:
        return (self._values(numbers) - self.log.values) / self.log.half

    def starts(self, count: int) -> Iterator[Array]:
        """The best of many settings that the log's shape suggests."""
        numbers = np.array(list(self._guesses()))
        rates = [index for index, name in enumerate(self.free) if name in RATES]
        if rates:
            # The curve is linear in the rates, or nearly: solve for them.
            columns = []
            for one in rates:
                unit = numbers.copy()
                unit[:, rates] = 0.0
                unit[:, one] = self.log.top
                columns.append(self._values(unit) / self.log.half)
            design = np.stack(columns, -1)
            target = np.broadcast_to(self.log.values / self.log.half, design.shape[:2])
            gram = np.einsum("kni,knj->kij", design, design)
            gram += (
                1e-12 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(len(rates)) + 1e-300
            )
            solved = np.linalg.solve(gram, np.einsum("kni,kn->ki", design, target)[..., None])[..., 0]
            better, alone = numbers.copy(), numbers.copy()
            better[:, rates] = np.clip(solved, 0.0, 1e3) * self.log.top
            alone[:, rates[1:]] = 0.0  # under a floor, an end is no part of a sum
            numbers = np.concatenate([better, numbers, alone])
        errors = np.sum(np.minimum(np.abs(self._residuals(numbers)), 1e12) ** 2, axis=1)
        best = numbers[np.argsort(errors)[:count]]
        yield from to_fitted(self.free, best, self.log.top)

    def _guesses(self) -> Iterator[list[float]]:
        steps, values = self.steps, self.log.values
        peak = int(np.argmax(values))
        reached = values >= values[peak] - 2 * self.log.half[peak] - 1e-3 * self.log.top
        plateau = steps[np.flatnonzero(reached)[-1]]
        moving = np.flatnonzero(np.abs(values - values[-1]) > 2 * self.log.half)
        tail = steps[min(moving[-1] + 1, len(steps) - 1)] if len(moving) else steps[-1]
        falls = np.flatnonzero(np.diff(values) < 0)
        top = steps[peak]
        first_top = steps[falls[0]] if len(falls) else steps[-1]
        rises = np.flatnonzero((np.diff(values) > 0) & (steps[1:] > first_top))
        again = steps[rises[0] + 1] if len(rises) else tail
        gap = max(steps[1] - steps[0], 1e-9)
        turns = np.flatnonzero(np.diff(values))
        lows = turns[1:][np.diff(np.sign(np.diff(values)[turns])) > 0]
        # Many cycles tell their length better than the first does.
        cycle = jump = tail
        if count := len(lows):
            cycle, counts = steps[lows[-1]] / count, np.arange(1, count + 1)
            jump = ((steps[lows] / counts).max() + (steps[lows + 1] / counts).min()) / 2
        pace = self.known.get("fall", steps[-1]) / max(steps[-1], gap)
        scaled = {"factor": lambda number: number**pace, "speed": lambda number: number * pace}
        extra = [
            [scaled.get(name, float)(number) for number in NUMBERS[name]]
            for name in self.free
            if name in NUMBERS
        ]
        named = [name for name in self.free if name in NUMBERS]
        tops = [max(top, gap / 2), top + gap / 2] if "rise" in self.model.names else [top]
        for ahead, rise, chosen in itertools.product(AHEAD, tops, itertools.product(*extra)):
            total = max(tail * ahead, gap)
            after = rise if "rise" in self.model.names else 0.0
            up = 0.5 if ahead == 1 else min(first_top / max(again, gap) * ahead, 0.95)
            guess = {
                **dict.fromkeys(("value", "peak", "scale"), self.log.top),
                "start": values[0],
                "end": values[-1],
                "rise": rise,
                "total": max(total, rise + gap),
                "fall": max(total - after, gap),
                "cool": max(total - plateau, gap),
                "tau": max(ahead**3 * rise / 8, gap),
                "period": jump if ahead == 1 else again / ahead if ahead < 1.2 else steps[-1] * ahead,
                "up": max(first_top, gap) if ahead > 2 else cycle * up,
                "down": max(again - first_top, gap) if ahead > 2 else cycle * (1 - up),
                "pct": min(max(top / total, 0.01), 0.9),
                **dict(zip(named, chosen, strict=True)),
            }
            yield [guess[name] for name in self.free]

    def fit(self, start: Array, most: int = 25) -> Fit:
        """Levenberg and Marquardt's least squares."""
        at, damping = start, 1e-3
        residuals, jacobian = self._linearised(at)
        count = 0
        for _ in range(most):
            count += 1
            lengths = np.linalg.norm(jacobian, axis=0) + 1e-12
            system = np.concatenate([jacobian, np.sqrt(damping) * np.diag(lengths)])
            target = np.concatenate([-residuals, np.zeros(len(at))])
            step = np.linalg.lstsq(system / lengths, target, rcond=None)[0] / lengths
            if not np.all(np.isfinite(step)):
                break
            step = np.clip(step, -1.5, 1.5)
            (tried,) = self.residuals((at + step)[None])
            old, new = residuals @ residuals, tried @ tried
            if new < old:
                at, damping = at + step, damping * 0.1
                residuals, jacobian = self._linearised(at)
                if old - new < 1e-5 * old or new < 1e-4 * len(residuals):
                    break
            elif damping > 1e3:
                break
            else:
                damping *= 10
        return Fit(at, residuals, jacobian, count)

    def _linearised(self, at: Array) -> tuple[Array, Array]:
        here, *ahead = self.residuals(np.concatenate([at[None], at + 1e-7 * np.eye(len(at))]))
        return here, (np.array(ahead) - here).T / 1e-7

    def interval(self, fit: Fit, name: str) -> tuple[float, float] | None:
        """From where to where a number may go while the others follow and every error is at most 1."""
        import scipy.optimize

        which = self.free.index(name)
        scale = np.abs(fit.jacobian).max(axis=0) + 1e-12
        matrix = np.concatenate([fit.jacobian, -fit.jacobian]) / scale
        limits = np.concatenate([TIES - fit.residuals, TIES + fit.residuals])
        ends = []
        for sign in (1.0, -1.0):
            goal = np.zeros(len(scale))
            goal[which] = sign
            found = scipy.optimize.linprog(
                goal, matrix, limits, bounds=[(-4 * size, 4 * size) for size in scale], method="highs"
            )
            if found.x is None:
                return None
            ends.append(fit.fitted[which] + found.x[which] / scale[which])
        both = from_fitted([name], np.array(ends)[:, None], self.log.top)[:, 0]
        margin = 2e-7 * np.abs(both).max()  # for the points at a kink, which have no derivative
        return float(both.min() - margin), float(both.max() + margin)
