"""The formulas of `optax_sched.planning` in plain float64, from the docstrings and the papers."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np


def bound(rates: Any, grad_norms: Any = 1.0, distance: float = 1.0) -> tuple[float, float, float]:
    """Value, best scale, best value; one step after the other, from the last to the first."""
    norms = np.broadcast_to(np.asarray(grad_norms, np.float64), np.shape(rates))
    after, rest = 0.0, 0.0
    for rate, norm in zip(reversed(np.asarray(rates, np.float64)), reversed(norms), strict=True):
        if rate > 0:
            rest += 0.5 * norm**2 * (rate**2 / after if after > 0 else rate)
            after += rate
    first = distance**2 / (2 * after)
    return first + rest, (first / rest) ** 0.5, 2 * (first * rest) ** 0.5


def published_bound(rates: Any, grad_norms: Any, distance: float) -> float:
    """The bound as Defazio et al. wrote it (Theorem 10): the same by summation by parts.

    D^2 / (2 S) + sum r^2 G^2 / (2 S) + 1/2 sum_(k < T) r_k / S_(k + 1) (sum_(s >= k) r_s^2 G_s^2) / S_k
    """
    r = np.asarray(rates, np.float64)
    squares = r**2 * np.broadcast_to(np.asarray(grad_norms, np.float64), r.shape) ** 2
    from_here = np.cumsum(r[::-1])[::-1]
    total = (distance**2 + squares.sum()) / (2 * from_here[0])
    for k in range(len(r) - 1):
        total += 0.5 * r[k] / from_here[k + 1] * squares[k:].sum() / from_here[k]
    return total


def best_jump(spent: Any, distance: float, left: int) -> float:
    """The height of a line to 0 after the rates spent, by a search for the least bound."""
    from scipy.optimize import minimize_scalar

    spent = np.asarray(spent, np.float64)
    line = 1 - np.arange(left) / left
    unit = spent.max()

    def value(log_height: float) -> float:
        return bound(np.concatenate([spent, unit * np.exp(log_height) * line]), 1.0, distance)[0]

    found: Any = minimize_scalar(value, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9})
    return unit * float(np.exp(found.x))


def risk(
    rates: Any,
    eigenvalues: Sequence[float],
    noise: float = 1.0,
    start: Any = 1.0,
    batch_size: Any = 1.0,
) -> float:
    """The recursion of the docstring, term by term."""
    values = np.asarray(eigenvalues, np.float64)
    m = np.broadcast_to(np.asarray(start, np.float64), values.shape).copy()
    rates = np.asarray(rates, np.float64)
    for r, b in zip(rates, np.broadcast_to(batch_size, rates.shape), strict=True):
        spread = values**2 * m + values * (values @ m) + noise * values
        m = (1 - r * values) ** 2 * m + r**2 / b * spread
    return float(values @ m / 2)


def refined(grad_norms: Any, peak_value: float = 1.0) -> np.ndarray:
    """The schedule of Defazio et al., from norms that are smoothed and resampled already."""
    inverse = np.asarray(grad_norms, np.float64) ** -2
    rates = np.array([inverse[t] * inverse[t:].sum() for t in range(len(inverse))])
    return peak_value * rates / rates.max()


def shares(rates: Any, weight_decay: float) -> np.ndarray:
    """What each update is multiplied by until the end, as a product."""
    decays = np.asarray(rates, np.float64) * weight_decay
    return np.array([d * np.prod(1 - decays[t + 1 :]) for t, d in enumerate(decays)])


def seesaw(rate, num_steps, batch_size, factor=2.0, batch_exponent=0.5, max_batch_size=None):
    """Each update of the plan in turn, as its number of examples and its rate; `rate` is a function."""
    rates = [rate(step) for step in range(num_steps)]
    top = max(rates)
    after = max(step for step, value in enumerate(rates) if value == top) + 1
    lowest = [top] * after + list(itertools.accumulate(rates[after:], min))
    examples = num_steps * batch_size
    limit = max_batch_size or examples
    taken, size, updates = 0, batch_size, []
    while True:
        left = examples - taken
        if left > 0:
            for k in itertools.count(1):
                larger = min(round(batch_size * Fraction(factor) ** k), limit)
                begun = lowest[taken // batch_size] <= top * factor**-k * (1 + 1e-6)
                if not begun or larger > left:
                    break
                size = max(size, larger)
                if larger == limit:
                    break
        if 2 * left < size:
            return updates
        middle = (taken + (size - batch_size) / 2) / batch_size
        updates.append((size, rate(middle) * (size / batch_size) ** batch_exponent))
        taken += size
