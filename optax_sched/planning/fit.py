"""Fits of loss laws to logged runs, with what they leave open."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike

from optax_sched._core.built import is_made_by
from optax_sched._core.errors import Refusal
from optax_sched._core.words import CountOrZero, Rate, admit, domain_of
from optax_sched.planning.inputs import Given, KnownNumbers, each_of, known_rates, whole_steps
from optax_sched.planning.loss_law import KINDS, AnnealingLaw, LossLaw, MultiPowerLaw
from optax_sched.planning.solve import Problem, losses_of, scatter_of, slope_of, thinned

_OFF_PEAK = 1.1  # a law holds at the peak of its runs, within this factor
_OPEN = 0.5  # in the log of a parameter: warn above this uncertainty
_ONE_SHAPE = 0.05  # mean difference of rates over the highest: warn below it
_MISFIT = 0.01  # root mean square residual: warn above it
_PARTS = 200  # of a run, where shapes are compared
_MOST_SLOPES = 1000  # steps: between them the deviation is interpolated


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

    law: LossLaw
    """The law, with the parameters that fit best."""
    covariance: np.ndarray
    """Of the law's parameters in their order, float64."""
    residuals: np.ndarray
    """log(logged loss) - log(law's loss), run after run in the order given, float64."""
    peak_values: tuple[float, float]
    """The lowest and the highest peak of the runs. The law holds between them."""
    model_error: float
    """The error of the law itself, as a part of the loss."""

    def predict(
        self, schedule: Given, steps: ArrayLike | Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The loss at `steps`, and the standard deviation of one loss logged there.

        The deviation has three parts: what the runs leave open of the parameters, the scatter of the
        logged losses about the law (residuals of more than five times their usual size count as five
        times), and `model_error`. It does not tell good fits from bad ones. With the model error of
        0.004, 85 to 100 % of the losses of public runs lie within two deviations.

        Args:
          schedule: as in the law, not traced.
          steps: as in the law.

        Returns:
          Two float64 arrays of the shape of `steps`. A loss is never negative: where the law's would
          be, it is 0, with the deviation of the law's. Before any rate is spent both are inf. Of more
          than 500 steps the losses are those of the law to about 1e-5 (1e-4 where rates restart often).

        Warns:
          UserWarning: the highest rate differs by more than 10 % from the peaks of the runs.
        """
        where = "LossFit.predict"
        at = whole_steps(where, steps)
        rates = self._rates(where, schedule, at)
        losses = losses_of(self.law, rates, at)
        deviations = np.full(at.shape, np.inf)
        moved = np.isfinite(losses)
        if moved.any():
            known = np.unique(at[moved])
            known = known[np.linspace(0, len(known) - 1, min(len(known), _MOST_SLOPES)).astype(int)]
            slope = slope_of(self.law, rates, known)
            open_by = np.interp(at, known, np.einsum("ij,jk,ik->i", slope, self.covariance, slope))
            relative = scatter_of(self.residuals) ** 2 + self.model_error**2
            deviations[moved] = np.sqrt(np.maximum(open_by[moved], 0.0) + losses[moved] ** 2 * relative)
        return np.maximum(losses, 0.0), deviations

    def difference(self, schedule: Given, other: Given, step: int) -> tuple[float, float]:
        """The predicted loss of `schedule` less that of `other` at one step, and its deviation.

        The errors of two predictions are alike: of 70 fits to real runs, differences were off by 0.008
        where the losses were by 0.014. So the deviation counts what the runs leave open of the
        parameters, half of `model_error` (under an `AnnealingLaw` all of it), and no scatter.

        Args:
          schedule, other: as in the law, not traced.
          step: a whole number, 0 or more, at which both have spent a rate.

        Warns:
          UserWarning: the highest rate of one differs by more than 10 % from the peaks of the runs.
        """
        where = "LossFit.difference"
        at = np.full(1, admit(where, "step", domain_of("", CountOrZero), step))
        both = self._rates(where, schedule, at), self._rates(where, other, at, "other")
        (loss,), (other_loss,) = (losses_of(self.law, rates, at) for rates in both)
        if not np.isfinite(loss + other_loss):
            raise Refusal(where, "step", "one at which both have spent a rate", step).error()
        (one,), (two,) = (slope_of(self.law, rates, at) for rates in both)
        share = 1.0 if is_made_by(AnnealingLaw, self.law) else 0.5
        error = share * self.model_error * (abs(loss) + abs(other_loss)) / 2
        variance = max(float((one - two) @ self.covariance @ (one - two)), 0.0) + error**2
        return float(loss - other_loss), float(variance**0.5)

    def _rates(self, where: str, schedule: Given, at: np.ndarray, name: str = "schedule") -> np.ndarray:
        rates = known_rates(where, schedule, int(at.max(initial=0)) + 1, name, must_move=False)
        warn_off_peak(where, float(rates.max()), self.peak_values)
        return rates


def warn_off_peak(where: str, peak: float, peak_values: tuple[float, float]) -> None:
    """Warn if the highest rate is not one at which the law was fitted."""
    low, high = peak_values
    if peak and not low / _OFF_PEAK <= peak <= high * _OFF_PEAK:
        at = f"{low:.3g}" if high <= low * 1.001 else f"{low:.3g} to {high:.3g}"
        warnings.warn(
            f"{where}: the highest rate is {peak:.3g}, and the law was fitted at {at}: it is wrong at "
            "other peaks (by 0.02 to 0.26 in real runs). To choose a peak use fit_peaks",
            stacklevel=4,  # two calls below the user's
        )


def fit_loss_law(
    runs: Sequence[LoggedRun], law: Callable[..., LossLaw] = MultiPowerLaw, model_error: float = 0.004
) -> LossFit:
    """Fit a loss law to a few logged runs.

    It assumes what the law assumes: runs of one model on one kind of data, seen once, with one batch
    size, one optimizer and one peak, which differ in their schedules alone; and losses of one kind
    (validation losses, or training losses smoothed over few steps). It was checked on two public
    models, with three of their nine runs: the mean error over the six others was 0.004 to 0.005 in the
    loss. On a third one, 25,000 steps predicted the last losses at 50,000, 100,000 and 200,000 with
    errors of 0.012, 0.011 and 0.014, and ordered ten shapes almost as they came out (Spearman 0.95,
    `MultiPowerLaw`). Known to be wrong is the beginning of a run, and any other peak, lower ones too:
    there the last losses are off by 0.02 to 0.26. Give it runs of different shapes: one at a constant
    rate, one that decays all the way, one with a sudden drop.

    The fit is that of least Huber loss (delta = 1e-3) on the residuals of log(loss), by SciPy's
    `least_squares` on the logs of the parameters, from several starts, in float64. For `MultiPowerLaw`
    there is a weak prior, since three runs leave its shape open: normal, independent, in

        log(C P^(1 - gamma))  about log 0.121, sd 1
        log beta              about log 0.59,  sd 0.5
        log gamma             about log 0.648, sd 0.1

    with P the highest rate of the runs. (The published fits lie within 8 % of these at P = 3e-4; the
    unit of the rates does not matter.) It counts as much as residuals of the usual size would, with
    each quarter of a run as one residual, since neighbouring residuals are correlated. So does the
    covariance. `AnnealingLaw` has no prior. Of a run with more than 300 points the mean of neighbours
    is fitted: more points tell nothing more. Of the public runs 20 points each give a mean
    error of 0.0044 where all 170 give 0.0040.

    Args:
      runs: a sequence of `LoggedRun`. None of it is traced.
      law: `MultiPowerLaw` or `AnnealingLaw`.
      model_error: the error of the law itself as a part of the loss, 0 or more. It is in every
        predicted deviation.

    Returns:
      A `LossFit`: the law, the covariance of its parameters, the residuals, the peaks of the runs.
      `predict` gives the loss of another schedule with its standard deviation, `difference` that of
      two schedules.

    Raises:
      TypeError, ValueError: there is no run, a run has no or not as many steps as losses, a loss is not
        positive and finite, a step comes before any rate is spent, a rate is negative or not finite,
        or there are not more losses than parameters.

    Warns:
      UserWarning: the highest rates of the runs differ by more than 10 %; all runs have one shape
        (after the warm-up, rates over the highest differ by less than 0.05 on average at equal parts of
        the runs); or the root mean square residual is above 0.01, as where the beginning was kept too
        long; or the runs alone (no prior, all residuals counted, at half their usual size or
        half of delta) leave the log of a parameter open by a standard deviation of more than 1/2.

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
    kind = next((kind for kind in KINDS.values() if kind.law is law), None)
    if kind is None:
        raise Refusal(where, "law", " or ".join(KINDS), law).error(TypeError)
    error = float(admit(where, "model_error", domain_of("", Rate), model_error))
    read = [_read(where, name, run) for name, run in each_of(where, runs, LoggedRun)]
    count = sum(len(steps) for _, steps, _ in read)
    names = list(inspect.signature(law).parameters)
    if count <= len(names):
        rule = f"at least {len(names) + 1}, more than {law.__name__} has parameters"
        raise Refusal(where, "the number of losses", rule, count).error()
    peaks = [float(rates.max()) for rates, _, _ in read]
    found, covariance, left_open = Problem(kind, [thinned(*run) for run in read], max(peaks)).solve()
    residuals = np.concatenate([np.log(losses / losses_of(found, *run)) for *run, losses in read])
    deviations = zip(names, left_open, strict=True)
    open_ones = [name for name, deviation in deviations if deviation > _OPEN]
    for caution in _cautions([rates for rates, _, _ in read], peaks, open_ones, residuals):
        warnings.warn(f"{where}: {caution}", stacklevel=2)
    return LossFit(found, covariance, residuals, (min(peaks), max(peaks)), error)


def _read(where: str, of: str, run: LoggedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A run's rates, steps and losses, checked."""
    steps = whole_steps(where, run.steps, of)
    domain = KnownNumbers("positive finite numbers")
    losses = admit(where, f"{of}losses", domain, run.losses).astype(np.float64)
    if steps.ndim != 1 or losses.shape != steps.shape or not steps.size:
        rule = f"one for each of the steps, of shape {steps.shape} with one axis"
        raise Refusal(where, f"{of}losses", rule, losses).error()
    bad = ~((losses > 0) & (losses < np.inf))
    if bad.any():
        hint = f" at step {steps[bad][0]}: leave out what came after a divergence"
        raise Refusal(where, f"{of}losses", domain.words, losses[bad][0], hint).error()
    rates = known_rates(where, run.schedule, int(steps.max()) + 1, f"{of}schedule")
    unmoved = np.cumsum(rates)[steps] <= 0
    if unmoved.any():
        rule = f"from {int(np.argmax(rates > 0))} on, the first with a rate above 0"
        raise Refusal(where, f"{of}steps", rule, steps[unmoved][0]).error()
    return rates, steps, losses


def _cautions(
    runs: list[np.ndarray], peaks: list[float], open_ones: list[str], residuals: np.ndarray
) -> Iterator[str]:
    """What makes a fit unsure: several peaks, one shape, parameters that stay open, a misfit."""
    if max(peaks) > _OFF_PEAK * min(peaks):
        yield (
            f"the peaks of the runs differ, {min(peaks):.3g} to {max(peaks):.3g}, and no law holds at "
            "two peaks: fit the runs of one peak. To choose a peak use fit_peaks"
        )
    parts = np.linspace(0.0, 1.0, _PARTS)
    shapes = []
    for rates, peak in zip(runs, peaks, strict=True):
        falling = rates[int(np.argmax(rates)) :] / peak
        shapes.append(np.interp(parts * (len(falling) - 1), np.arange(len(falling)), falling))
    if all(np.mean(np.abs(shape - shapes[0])) < _ONE_SHAPE for shape in shapes):
        yield (
            "all runs have one shape: the law will be wrong for others. Add a run at a constant rate, "
            "one that decays over the whole run, or one with a sudden drop"
        )
    if open_ones:
        yield (
            f"the runs do not tell {', '.join(open_ones)} of the law: add runs of another shape (a "
            "constant rate, a decay over the whole run, a sudden drop), of another length, or with "
            "more logged losses"
        )
    size = float(np.sqrt(np.mean(residuals**2)))
    if size > _MISFIT:
        yield (
            f"the law misses the losses by {size:.3f} of the loss (root mean square): leave out up to "
            "the first third of each run, or smooth raw training losses"
        )
