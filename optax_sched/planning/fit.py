"""Fits of loss laws to logged runs, with what they leave open."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from optax_sched._core.domains import is_traced
from optax_sched._core.errors import Refusal
from optax_sched.planning.gains import GAINS, log_losses
from optax_sched.planning.inputs import known_rates, whole_steps
from optax_sched.planning.loss_law import MultiPowerLaw, parameter_names

_HUBER = 1e-3  # on the log of the loss: larger residuals pull no more
_BLOCKS = 4  # of a run: neighbouring residuals hang together, so that a block counts as one
_OPEN = 0.5  # in the log of a parameter: runs that leave more open are warned of
_ALPHAS = (0.25, 0.5, 1.0)  # to start from
_POLISHED = 3  # of the starts


class LoggedRun(NamedTuple):
    """A training run for `fit_loss_law`: what it used and what it logged.

    >>> import optax_sched
    >>> run = LoggedRun(optax_sched.warmup(3e-4, 100), steps=[200, 400], losses=[4.1, 3.9])
    >>> run.steps
    [200, 400]
    """

    schedule: Any
    """A schedule, a function of the step, or the rates that were used, one for each update from 0."""
    steps: Any
    """The updates, from 0, at which the loss was logged; not before the first rate above 0."""
    losses: Any
    """The loss logged at each of them, positive."""


class LossFit(NamedTuple):
    """What `fit_loss_law` found."""

    law: Any
    """The law, with the parameters that fit best."""
    covariance: np.ndarray
    """Of the law's parameters in their order, float64."""
    residuals: np.ndarray
    """log(logged loss) - log(law's loss), run after run in the order given, float64."""

    def predict(self, schedule: Any, steps: Any) -> tuple[np.ndarray, np.ndarray]:
        """The loss at `steps`, and the standard deviation of one loss logged there.

        The deviation has two parts: what the runs leave open of the parameters, and the scatter of the
        logged losses about the law (residuals of more than five times their usual size count as five
        times). It knows nothing of what the law itself has wrong: of the losses of the public runs
        that were not fitted, two in three to five in six lie within two deviations.

        Args:
          schedule: as in the law, not traced.
          steps: as in the law.

        Returns:
          Two float64 arrays of the shape of `steps`. Before any rate is spent both are inf.
        """
        where = "LossFit.predict"
        at = whole_steps(where, steps)
        rates = known_rates(where, schedule, int(at.max(initial=0)) + 1, must_move=False)
        losses = np.asarray(self.law(rates, at), np.float64)
        moved = np.cumsum(rates)[at] > 0
        deviations = np.full(at.shape, np.inf)
        if moved.any():
            gain = GAINS[type(self.law)]
            unit = float(rates.max())
            values = _values(self.law)
            logs = gain.to_logs(values, unit)
            _, by_logs = log_losses(gain, logs, gain.see(rates / unit, at[moved]))
            # The covariance of the logs, in which the law is nearly straight.
            back = np.linalg.pinv(gain.by_logs(values, unit))
            open_by = by_logs @ back
            variance = np.einsum("ij,jk,ik->i", open_by, self.covariance, open_by)
            total = np.maximum(variance, 0.0) + _scatter(self.residuals, 5.0) ** 2
            deviations[moved] = losses[moved] * np.sqrt(total)
        return losses, deviations


def fit_loss_law(runs: Sequence[LoggedRun], law: Any = MultiPowerLaw) -> LossFit:
    """Fit a loss law to a few logged runs.

    It assumes what the law assumes: runs of one model on one kind of data with one batch size and one
    optimizer, which differ in their schedules alone, and losses of the same kind (training losses
    smoothed over few steps, or validation losses). It was checked on two public models, with three of
    their nine runs: the mean error over the six others was 0.004 to 0.005 in the loss. A fit does not
    hold beyond about three times its longest run, nor for rates above those of its runs. Give it runs
    of different shapes: one at a constant rate, one that decays all the way, one with a sudden drop.

    The fit is that of least Huber loss (delta = 1e-3) on the residuals of log(loss), by SciPy's
    `least_squares` on the logs of the parameters, from several starts, in float64. For `MultiPowerLaw`
    there is a weak prior, since three runs leave its shape open: normal, independent, in

        log(C P^(1 - gamma))  about log 0.121, sd 1
        log beta              about log 0.59,  sd 0.5
        log gamma             about log 0.648, sd 0.1

    with P the highest rate of the runs. (The published fits lie within 8 % of these at P = 3e-4; the
    unit of the rates does not matter.) It counts as much as residuals of the usual size would, with
    each quarter of a run as one residual: the logs of one run hang together. So does the covariance.
    `AnnealingLaw` has no prior.

    Args:
      runs: a sequence of `LoggedRun`. None of it is traced.
      law: `MultiPowerLaw` or `AnnealingLaw`.

    Returns:
      A `LossFit`: the law, the covariance of its parameters, the residuals; `predict` gives the loss of
      another schedule with its standard deviation.

    Raises:
      TypeError, ValueError: there is no run, a run has no or not as many steps as losses, a loss is not
        positive and finite, a step comes before any rate is spent, a rate is negative or not finite,
        or there are not more losses than parameters.

    Warns:
      UserWarning: where the runs alone (no prior, all residuals counted, at half their usual size or
        half of delta) leave the log of a parameter open by a standard deviation of more than 1/2, as
        runs of one shape and one length do.

    References: Luo et al., 2025, https://arxiv.org/abs/2503.12811 (the Huber loss on log residuals)

    >>> import numpy as np, optax_sched
    >>> truth = MultiPowerLaw(2.0, 0.5, 0.5, 400.0, 2.0, 0.6, 0.65)
    >>> steps = np.arange(200, 4000, 50)
    >>> shapes = [3e-4, optax_sched.linear(3e-4, 0.0, 4000),
    ...           optax_sched.piecewise_constant([3e-4, 1e-4], [2000])]
    >>> runs = [LoggedRun(s, steps, truth(s, steps)) for s in shapes]
    >>> fit = fit_loss_law(runs)
    >>> loss, deviation = fit.predict(optax_sched.cosine_decay(3e-4, 8000), 7999)
    >>> print(f"{loss:.2f} {truth(optax_sched.cosine_decay(3e-4, 8000), 7999):.2f} {deviation < 0.01}")
    2.35 2.35 True
    """
    where = "fit_loss_law"
    if law not in GAINS:
        raise Refusal(where, "law", "MultiPowerLaw or AnnealingLaw", law).error(TypeError)
    if isinstance(runs, LoggedRun) or not isinstance(runs, Sequence) or not runs:
        rule = "a sequence of one or more LoggedRun(schedule, steps, losses)"
        raise Refusal(where, "runs", rule, runs).error(ValueError if runs == [] else TypeError)
    gain = GAINS[law]
    read = [_read(where, run, f"runs[{number}].") for number, run in enumerate(runs)]
    counts = [len(steps) for _, steps, _ in read]
    names = parameter_names(law)
    if sum(counts) <= len(names):
        rule = f"at least {len(names) + 1}, more than {law.__name__} has parameters"
        raise Refusal(where, "the number of losses", rule, sum(counts)).error()
    unit = max(rates.max() for rates, _, _ in read)
    seen = [gain.see(rates / unit, steps) for rates, steps, _ in read]
    wanted = np.log(np.concatenate([losses for _, _, losses in read]))
    problem = _Problem(gain, seen, wanted, sum(min(count, _BLOCKS) for count in counts))
    logs = problem.solve()
    residuals, slope = problem.residuals(logs), problem.slope(logs)
    _warn_of_open(names, slope, residuals)
    values = gain.to_law(logs, unit)
    by_logs = gain.by_logs(values, unit)
    covariance = by_logs @ problem.covariance(residuals, slope) @ by_logs.T
    return LossFit(law(*map(float, values)), covariance, residuals)


def _read(where: str, run: Any, of: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A run's rates, steps and losses, checked."""
    if not isinstance(run, tuple) or len(run) != 3:
        raise Refusal(where, of[:-1], "a LoggedRun(schedule, steps, losses)", run).error(TypeError)
    schedule, steps, losses = run
    steps = whole_steps(where, steps, of)
    rule = "positive finite numbers that are not traced"
    if is_traced(losses):
        raise Refusal(where, f"{of}losses", rule, losses).error(TypeError)
    try:
        losses = np.asarray(losses, np.float64)
    except (TypeError, ValueError):
        raise Refusal(where, f"{of}losses", rule, losses).error(TypeError) from None
    if steps.ndim != 1 or losses.shape != steps.shape or not steps.size:
        rule = f"one for each of the steps, of shape {steps.shape} with one axis"
        raise Refusal(where, f"{of}losses", rule, losses).error()
    bad = ~((losses > 0) & (losses < np.inf))
    if bad.any():
        hint = f" at step {steps[bad][0]}: leave out what came after a divergence"
        raise Refusal(where, f"{of}losses", rule, losses[bad][0], hint).error()
    rates = known_rates(where, schedule, int(steps.max()) + 1, f"{of}schedule", must_move=False)
    unmoved = np.cumsum(rates)[steps] <= 0
    if unmoved.any():
        rule = (
            f"from {int(np.argmax(rates > 0))} on, the first with a rate above 0"
            if rates.any()
            else ("steps of a schedule with a rate above 0")
        )
        raise Refusal(where, f"{of}steps", rule, steps[unmoved][0]).error()
    return rates, steps, losses


class _Problem(NamedTuple):
    """The least-squares problem in the logs of the parameters, rates in units of the highest."""

    gain: Any
    seen: list[Any]
    wanted: np.ndarray
    blocks: int

    def residuals(self, logs: np.ndarray) -> np.ndarray:
        return self.wanted - np.concatenate([log_losses(self.gain, logs, one)[0] for one in self.seen])

    def slope(self, logs: np.ndarray) -> np.ndarray:
        """The gradient of the log losses, a column a parameter."""
        return np.concatenate([log_losses(self.gain, logs, one)[1] for one in self.seen])

    def solve(self) -> np.ndarray:
        """The logs that fit best."""
        # A prior that weighs as a residual of delta, to begin with; and then as residuals weigh here.
        starts = self._starts()[:_POLISHED]
        best = min((self._polished(start, _HUBER) for start in starts), key=lambda it: it.cost)
        size = np.sqrt(np.mean(_huber(self.residuals(best.x))))
        alike = np.sqrt(len(self.wanted) / self.blocks)
        return self._polished(best.x, max(size * alike, 1e-9)).x

    def covariance(self, residuals: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Of the logs: what the blocks of the runs and the prior say together."""
        parameters = slope.shape[1]
        free = max(self.blocks - parameters, 1)
        variance = max(_scatter(residuals, 5.0), 1e-9) ** 2 * len(residuals) / free
        known = slope.T @ slope / variance
        shape = parameters - len(self.gain.prior_sd)
        known[range(shape, parameters), range(shape, parameters)] += self.gain.prior_sd**-2.0
        return np.linalg.pinv(known, hermitian=True)

    def _starts(self) -> list[np.ndarray]:
        """The best first: L0, A and the size by non-negative least squares, for shapes on a grid."""
        import scipy.optimize

        found = []
        losses = np.exp(self.wanted)
        typical = np.median(losses)
        for shape in self.gain.starts:
            gained = np.concatenate([self.gain.gain(shape, one)[0] for one in self.seen])
            for alpha in _ALPHAS:
                power = np.concatenate([one.spent**-alpha for one in self.seen])
                columns = np.stack([np.ones_like(power), power, -gained], axis=1) / losses[:, None]
                sizes, _ = scipy.optimize.nnls(columns, np.ones_like(power))
                cost = _huber(columns @ sizes - 1).sum()
                least = typical * np.array([1e-2, 1e-2, 1e-4])  # none of them is lost for good
                L0, A, size = np.log(np.maximum(sizes, least))
                found.append((cost, len(found), np.array([L0, A, np.log(alpha), size, *shape])))
        return [start for *_, start in sorted(found)]

    def _polished(self, start: np.ndarray, weight: float) -> Any:
        """From a start to the nearest best fit; a residual of the prior counts `weight` a deviation."""
        import scipy.optimize

        gain, count = self.gain, len(self.wanted)
        typical = np.log(np.median(np.exp(self.wanted)))
        low = np.r_[typical - 14, typical - 14, np.log(0.01), typical - 20, gain.low]
        high = np.r_[typical + 3, typical + 14, np.log(5.0), typical + 14, gain.high]
        first = len(start) - len(gain.prior_mean)
        prior = np.zeros((len(gain.prior_mean), len(start)))
        prior[:, first:] = np.diag(weight / gain.prior_sd)

        def values(logs: np.ndarray) -> np.ndarray:
            off = weight * (logs[first:] - gain.prior_mean) / gain.prior_sd
            return np.append(self.residuals(logs), off)

        def slopes(logs: np.ndarray) -> np.ndarray:
            return np.concatenate([-self.slope(logs), prior])

        def loss(squares: np.ndarray) -> np.ndarray:
            """Huber's for the losses, the plain square for the prior, with two derivatives."""
            far = np.flatnonzero(squares[:count] > 1)
            root = np.sqrt(squares[far])
            found = np.stack([squares, np.ones_like(squares), np.zeros_like(squares)])
            found[:, far] = 2 * root - 1, 1 / root, -0.5 / root**3
            return found

        return scipy.optimize.least_squares(
            values,
            np.clip(start, low + 1e-6, high - 1e-6),
            slopes,  # pyright: ignore[reportArgumentType]  # SciPy's stub knows only the names
            bounds=(low, high),
            loss=loss,  # pyright: ignore[reportArgumentType]
            f_scale=_HUBER,
            xtol=1e-9,
            ftol=1e-10,
            gtol=1e-12,
            max_nfev=200,
        )


def _huber(residuals: np.ndarray) -> np.ndarray:
    """Twice Huber's loss."""
    sizes = np.abs(residuals)
    return np.where(sizes > _HUBER, _HUBER * (2 * sizes - _HUBER), sizes**2)


def _scatter(residuals: np.ndarray, most: float) -> float:
    """Their root mean square, where more than `most` times the usual size counts as so much."""
    usual = 1.4826 * np.median(np.abs(residuals))
    return float(np.sqrt(np.mean(np.minimum(np.abs(residuals), most * usual) ** 2)))


def _values(law: Any) -> np.ndarray:
    return np.array([float(getattr(law, name)) for name in parameter_names(law)])


def _warn_of_open(names: list[str], slope: np.ndarray, residuals: np.ndarray) -> None:
    usual = 1.4826 * float(np.median(np.abs(residuals)))
    values, vectors = np.linalg.eigh(slope.T @ slope)
    floor = np.finfo(float).eps * values[-1]  # what it cannot tell from 0 is 0
    deviations = max(_HUBER, usual) / 2 * np.sqrt((vectors**2 / np.maximum(values, floor)).sum(axis=1))
    open_ones = [name for name, deviation in zip(names, deviations, strict=True) if deviation > _OPEN]
    if open_ones:
        warnings.warn(
            f"fit_loss_law: the runs do not tell {', '.join(open_ones)} of the law: add runs of "
            "another shape (a constant rate, a decay over the whole run, a sudden drop), of another "
            "length, or with more logged losses",
            stacklevel=3,
        )
