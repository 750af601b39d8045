"""A law in float64, and the least-squares problem of its fit, in the logs of the parameters."""

import functools
import itertools
from typing import Any

import jax
import numpy as np

from optax_sched._core.evaluate import float64
from optax_sched.planning.loss_law import Kind, LossLaw, ToLaw, losses_in
from optax_sched.planning.pieces import GroupedRun, constant_pieces, grouped

_HUBER = 1e-3  # on the log of the loss: larger residuals pull no more
_BLOCKS = 4  # of a run: neighbouring residuals are correlated, a block counts as one
_MOST = 300  # points of a run: more of them repeat what their neighbours tell
_ALPHAS = (0.25, 0.5, 1.0)  # to start from
_POLISHED = 3  # of the starts
_MOST_EXACT = 500  # steps: each costs a sum over all drops before it


def losses_of(law: LossLaw, rates: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The law in float64; of many steps by the drops in groups, to about 1e-5 of the loss."""
    with float64():
        if steps.size <= _MOST_EXACT:
            return np.asarray(law(rates, steps))
        losses = losses_in(law, grouped(constant_pieces(rates), steps.ravel()))
        return np.asarray(losses).reshape(steps.shape)


def slope_of(law: LossLaw, rates: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The gradient of the losses by the parameters of the law, a column per parameter."""
    fill = -len(steps) % 64  # runs of nearly as many steps share a program
    with float64():
        seen = grouped(constant_pieces(rates), np.pad(steps, (0, fill), mode="edge"))
        _, slopes = _losses(jax.tree.map(np.float64, law), seen)
        return np.stack(jax.tree.leaves(slopes), axis=1)[: len(steps)]


@jax.jit
def _losses(law: LossLaw, seen: GroupedRun) -> tuple[jax.Array, LossLaw]:
    """The losses, and the gradients of each by the parameters."""
    with jax.numpy_dtype_promotion("standard"):
        return law.losses(seen), jax.jacfwd(lambda law: law.losses(seen))(law)


@functools.partial(jax.jit, static_argnums=0)
def _law(to_law: ToLaw, logs: jax.Array, unit: float) -> tuple[LossLaw, LossLaw]:
    """The law, and the gradients of its parameters by the logs."""
    return to_law(logs, unit), jax.jacfwd(to_law)(logs, unit)


def thinned(
    rates: np.ndarray, steps: np.ndarray, losses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rates, and a few of the steps with the mean of the log losses logged around each."""
    order = np.argsort(steps, kind="stable")
    steps, logs = steps[order], np.log(losses[order])
    each = -(-len(steps) // _MOST)
    starts = np.arange(0, len(steps), each)
    counts = np.diff(starts, append=len(steps))
    return rates, steps[starts + counts // 2], np.add.reduceat(logs, starts) / counts


class Problem:
    """Rates are in units of the highest, so that the unit of the rates does not matter."""

    def __init__(self, kind: Kind, runs: list[tuple[np.ndarray, np.ndarray, np.ndarray]], unit: float):
        self.kind, self.unit = kind, unit
        seen = [grouped(constant_pieces(rates / unit), steps) for rates, steps, _ in runs]
        self.seen = jax.tree.map(_rows_of_all, *seen)
        self.wanted = np.concatenate([logs for *_, logs in runs])
        self.blocks = sum(min(len(steps), _BLOCKS) for _, steps, _ in runs)
        self.at = functools.lru_cache(maxsize=1)(self._at)

    def losses(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """At each of the steps, and their gradient by the logs, a column per parameter."""
        with float64():
            law, by_logs = _law(self.kind.to_law, logs, 1.0)
            losses, by_law = _losses(law, self.seen)
        slope = np.stack(jax.tree.leaves(by_law), axis=1) @ np.stack(jax.tree.leaves(by_logs))
        return np.asarray(losses), slope

    def _at(self, logs: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The residuals of the log losses, and the gradient of the log losses."""
        losses, slope = self.losses(np.array(logs))
        # A trial step of the fit may take off more than there is: a floor keeps the log finite.
        losses = np.maximum(losses, 1e-3 * np.exp(self.wanted.min()))
        return self.wanted - np.log(losses), slope / losses[:, None]

    def solve(self) -> tuple[LossLaw, np.ndarray, np.ndarray]:
        """The law that fits best, its covariance, and how open the runs alone leave each log."""
        from scipy.special import huber

        # Weigh the prior first by delta, then by the residuals found.
        starts = self._starts()[:_POLISHED]
        best = min((self._polished(start, _HUBER) for start in starts), key=lambda it: it.cost)
        residuals, _ = self.at(tuple(best.x))
        size = np.sqrt(np.mean(2 * huber(_HUBER, residuals)) * len(residuals) / self.blocks)
        logs = self._polished(best.x, max(size, 1e-9)).x
        residuals, slope = self.at(tuple(logs))
        with float64():
            law, by_logs = _law(self.kind.to_law, logs, self.unit)
        by_logs = np.stack(jax.tree.leaves(by_logs))
        # What the blocks of the runs and the prior say together.
        free = max(self.blocks - len(logs), 1)
        variance = max(scatter_of(residuals), 1e-9) ** 2 * len(residuals) / free
        known = slope.T @ slope / variance + np.diag(self.kind.prior_sd**-2.0)
        covariance = by_logs @ np.linalg.pinv(known, hermitian=True) @ by_logs.T
        return jax.tree.map(float, law), covariance, _left_open(residuals, slope)

    def _starts(self) -> list[np.ndarray]:
        """The best first: L0, A and the size by non-negative least squares, for shapes on a grid."""
        import scipy.optimize

        found = []
        losses = np.exp(self.wanted)
        least = np.median(losses) * np.array([1e-2, 1e-2, 1e-4])  # none of them is lost for good
        for shape, alpha in itertools.product(self.kind.starts, np.log(_ALPHAS)):
            # Where these logs are 0 the gradient by them is what each takes part with.
            _, slope = self.losses(np.array([0.0, 0.0, alpha, 0.0, *shape]))
            columns = slope[:, [0, 1, 3]] / losses[:, None]
            sizes, _ = scipy.optimize.nnls(columns, np.ones_like(losses))
            L0, A, size = np.log(np.maximum(sizes, least))
            start = np.array([L0, A, alpha, size, *shape])
            found.append((np.abs(columns @ sizes - 1).sum(), start))
        return [start for _, start in sorted(found, key=lambda it: it[0])]

    def _polished(self, start: np.ndarray, weight: float) -> Any:
        """From a start to the nearest best fit; a residual of the prior counts `weight` a deviation."""
        import scipy.optimize

        kind, count = self.kind, len(self.wanted)
        typical = np.median(self.wanted)
        low = np.r_[typical - 14, typical - 14, np.log(0.01), typical - 20, kind.low]
        high = np.r_[typical + 3, typical + 14, np.log(5.0), typical + 14, kind.high]

        def values(logs: np.ndarray) -> np.ndarray:
            off = weight * (logs - kind.prior_mean) / kind.prior_sd
            return np.append(self.at(tuple(logs))[0], off)

        def slopes(logs: np.ndarray) -> np.ndarray:
            return np.concatenate([-self.at(tuple(logs))[1], np.diag(weight / kind.prior_sd)])

        def loss(squares: np.ndarray) -> np.ndarray:
            """Huber's for the losses, the plain square for the prior, with two derivatives."""
            far = np.flatnonzero(squares[:count] > 1)
            root = np.sqrt(squares[far])
            found = np.stack([squares, np.ones_like(squares), np.zeros_like(squares)])
            found[:, far] = 2 * root - 1, 1 / root, -0.5 / root**3
            return found

        how: Any = {"jac": slopes, "bounds": (low, high), "loss": loss, "f_scale": _HUBER}
        until: Any = {"xtol": 1e-9, "ftol": 1e-10, "gtol": 1e-12, "max_nfev": 200}
        start = np.clip(start, low + 1e-6, high - 1e-6)
        return scipy.optimize.least_squares(values, start, **how, **until)


def _left_open(residuals: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The deviations of the logs where no prior is, and all residuals count."""
    usual = max(_HUBER, _usual(residuals)) / 2
    values, vectors = np.linalg.eigh(slope.T @ slope)
    floor = np.finfo(float).eps * values[-1]  # what it cannot tell from 0 is 0
    return usual * np.sqrt((vectors**2 / np.maximum(values, floor)).sum(axis=1))


def _rows_of_all(*leaves: np.ndarray) -> np.ndarray:
    """One after the other, the shorter rows filled with zeros."""
    width = max(leaf.shape[-1] for leaf in leaves)
    pads = [[(0, 0), (0, width - leaf.shape[-1])][: leaf.ndim] for leaf in leaves]
    return np.concatenate([np.pad(leaf, pad) for leaf, pad in zip(leaves, pads, strict=True)])


def _usual(residuals: np.ndarray) -> float:
    return 1.4826 * float(np.median(np.abs(residuals)))


def scatter_of(residuals: np.ndarray) -> float:
    """Their root mean square, where more than five times the usual size counts as five times."""
    sizes = np.minimum(np.abs(residuals), 5 * _usual(residuals))
    return float(np.sqrt(np.mean(sizes**2)))
