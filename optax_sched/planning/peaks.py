"""The peak for a long run, from a sweep of the peak on short ones."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from optax_sched._core.domains import SIZE, Domain, Known, as_scalar
from optax_sched._core.errors import Refusal
from optax_sched._core.words import Scalar, admit
from optax_sched.planning.bound import best_scale_of
from optax_sched.planning.inputs import Given, each_of, known_rates

_LINKED = 0.02  # the largest mean difference between the shapes of runs of one group
_NEAR = math.log(4) + 1e-6  # further away from the best peak the loss is no parabola
_MODEL_ERROR = 0.12  # of the log of a group's best peak
_SEED = 3e-4  # of the loss: runs differ by as much from seed to seed


class SweptRun(NamedTuple):
    """A whole run of a sweep, for `fit_peaks`: trained to the end of its schedule.

    >>> import optax_sched
    >>> SweptRun(optax_sched.linear(3e-4, 0.0, 1000), num_steps=1000, loss=3.21).loss
    3.21
    """

    schedule: Any
    """The schedule at the rates that were used, a function of the step, or an array of the rates."""
    num_steps: int
    """The number of updates."""
    loss: Any
    """The last loss: a validation loss, or a mean of training losses. NaN or inf if it diverged."""
    batch_size: Scalar | None = None
    """In any unit (examples, tokens); for all runs of a fit or for none."""


class BestPeak(NamedTuple):
    """The peak that `PeakFit.best` recommends."""

    peak_value: float
    """The highest rate that the run should use."""
    factor: float
    """What to multiply the schedule by, so that this is its highest rate."""
    deviation: float
    """The standard deviation of log(peak_value), with the model's error."""
    cost: float
    """What that deviation costs in loss, on average."""


class _Run(NamedTuple):
    """A run as it was read."""

    shape: np.ndarray  # the rates over their highest
    peak: float
    num_steps: int
    batch_size: float | None
    loss: float

    def is_like(self, other: "_Run") -> bool:
        """Whether both belong to one group."""
        as_large = (self.num_steps, self.batch_size) == (other.num_steps, other.batch_size)
        return as_large and bool(np.mean(np.abs(self.shape - other.shape)) <= _LINKED)

    def features(self) -> np.ndarray:
        """The logs of the best peak by the bound (horizon exponent 0), of the length, of the batch."""
        scale = best_scale_of(self.shape) * self.num_steps**0.5
        return np.log([scale, self.num_steps, self.batch_size or 1.0])


class Group(NamedTuple):
    """Runs of one shape, one length and one batch size."""

    best: _Run
    log_peaks: np.ndarray
    losses: np.ndarray

    def num_peaks(self) -> int:
        return len(np.unique(np.round(self.log_peaks, 3)))


class PeakFit:
    """What `fit_peaks` found. It prints its numbers with their standard deviations."""

    kappa: float
    """The cost of a wrong peak: the loss rises by kappa ln(peak / best peak)^2."""
    horizon_exponent: float
    """b in "the best peak is as num_steps^-b", at a fixed batch size."""
    batch_exponent: float
    """c in "the best peak is as batch_size^c", at a fixed number of steps."""
    scatter: float
    """The standard deviation of one loss about the fit."""

    def __init__(self, groups: list[Group], exponents: np.ndarray):
        self._groups, self._exponents = groups, exponents
        self._log_peaks = np.concatenate([group.log_peaks for group in groups])
        self._losses = np.concatenate([group.losses for group in groups])
        # The group of each run.
        self._number = np.repeat(np.arange(len(groups)), [len(group.losses) for group in groups])
        offsets, slopes = zip(*(self._log_best(group.best) for group in groups), strict=True)
        self._offsets, self._slopes = np.array(offsets), np.array(slopes)
        self.scatter = _SEED * float(np.median(np.abs(self._losses)))
        first = self._solved(self._start())
        off = self.scatter * first.fun[: len(self._losses)]
        free = max(len(off) - 2 * len(groups) - 1, 1)
        self.scatter = max(float(np.sqrt(off @ off / free)), self.scatter)
        found = self._solved(first.x)
        self._values = found.x[len(groups) :]  # from ln kappa on
        self._covariance = np.linalg.inv(found.jac.T @ found.jac)[len(groups) :, len(groups) :]
        self.kappa = float(np.exp(self._values[0]))
        means, deviations = exponents.T
        self.horizon_exponent, self.batch_exponent = map(float, means + deviations * self._values[2:4])

    def _log_best(self, run: _Run) -> tuple[float, np.ndarray]:
        """A run's m: its value where all parameters are 0, its slope by those from ln kappa on.

        The e of a group that was not fitted is unknown: it is left out.
        """
        by_scale, longer, larger = run.features() - self._groups[0].best.features()
        means, deviations = self._exponents.T
        powers = np.array([-longer, larger])
        slope = np.concatenate([[0.0, 1.0], deviations * powers, np.zeros(len(self._groups))])
        alike = [number for number, group in enumerate(self._groups, 4) if run.is_like(group.best)]
        slope[alike[:1]] = _MODEL_ERROR
        return by_scale + means @ powers, slope

    def _residuals(self, x: np.ndarray) -> np.ndarray:
        """Of the losses and of the priors, in their deviations.

        `x` is each group's L, then ln kappa, a, and in units of their deviations b, c, e.
        """
        levels, rest = np.split(x, [len(self._groups)])
        off = self._log_peaks - (self._offsets + self._slopes @ rest)[self._number]
        losses = levels[self._number] + np.exp(rest[0]) * off**2
        return np.append((losses - self._losses) / self.scatter, rest[2:])

    def _start(self) -> np.ndarray:
        """The parabolas of one width that fit best, which have to bend upwards."""
        own = np.eye(len(self._groups))[self._number]
        middle = own.T @ self._log_peaks / own.sum(axis=0)
        off = self._log_peaks - middle[self._number]
        columns = np.hstack([off[:, None] ** 2, own * off[:, None], own])
        kappa, *lines = np.linalg.lstsq(columns, self._losses, rcond=None)[0]
        if kappa * np.max(off**2) <= 1e-9 * np.max(np.abs(self._losses)):
            rule = "of losses that are higher on both sides of a best peak"
            hint = ": add higher and lower peaks"
            raise Refusal("fit_peaks", "runs", rule, self._losses, hint).error()
        bests = middle - np.array(lines[: len(self._groups)]) / (2 * kappa) - self._offsets
        is_swept = [group.num_peaks() > 2 for group in self._groups]
        levels = [group.best.loss for group in self._groups]
        shared = np.log(kappa), np.median(bests[is_swept])
        return np.concatenate([levels, shared, np.zeros(len(bests) + 2)])

    def _solved(self, start: np.ndarray) -> Any:
        """The most probable parameters."""
        import scipy.optimize

        return scipy.optimize.least_squares(self._residuals, start, method="lm", xtol=1e-12, ftol=1e-12)

    def __repr__(self) -> str:
        log_kappa, _, *exponents = np.sqrt(np.diag(self._covariance)[:4])
        off = [self.kappa * log_kappa, *(self._exponents[:, 1] * exponents)]
        names = ["kappa", "horizon_exponent", "batch_exponent"]
        if self._groups[0].best.batch_size is None:
            names.pop()
        pairs = zip(names, off, strict=False)
        parts = (f"{name}={getattr(self, name):.3g} ± {sd:.2g}" for name, sd in pairs)
        return f"PeakFit({', '.join(parts)})"

    def best(self, schedule: Given, num_steps: int, batch_size: Scalar | None = None) -> BestPeak:
        """The best peak for a schedule of any shape, length and batch size.

        Args:
          schedule: at any rates, of which only the shape counts; as in `SweptRun`.
          num_steps: the number of updates.
          batch_size: in the unit of the runs; required if they have one.

        Returns:
          A `BestPeak`. If runs of this shape, length and batch size were fitted, it is theirs.

        Raises:
          TypeError, ValueError: an argument is not as described, or the runs had a batch size and there
            is none, or the reverse.
        """
        where, groups = "PeakFit.best", self._groups
        run = _read(where, "", SweptRun(schedule, num_steps, math.nan, batch_size))
        if (run.batch_size is None) != (groups[0].best.batch_size is None):
            rule = "a positive number, as in the runs" if batch_size is None else "None, as in the runs"
            raise Refusal(where, "batch_size", rule, batch_size).error()
        offset, slope = self._log_best(run)
        error = 0.0 if slope[4:].any() else _MODEL_ERROR
        peak = float(np.exp(offset + slope @ self._values))
        variance = float(slope @ self._covariance @ slope) + error**2
        return BestPeak(peak, peak / run.peak, variance**0.5, self.kappa * variance)


def fit_peaks(
    runs: Sequence[SweptRun],
    *,
    horizon_exponent: float | tuple[float, float] = (0.1, 0.15),
    batch_exponent: float | tuple[float, float] = (0.2, 0.2),
) -> PeakFit:
    """Which peak a long run needs, from short whole runs: three peaks of one shape are enough.

    It assumes that near the best peak the last loss is a parabola in log(peak), as wide for all runs,
    and that the best peak goes with the shape as `transfer_factor` says, with the length as a power and
    with the batch size as a power. It was checked on public runs. Of a language model of 124M, three
    peaks of one shape over 15,000 steps gave the peaks of ten shapes over 50,000 steps: the loss there
    was 0.0008 above the best of each shape on average, at most 0.006 (a cosine that ends at a tenth of
    its peak). To keep the old peak costs 0.003. For 5 to 25 times the tokens (Step Law, 1,911 runs of
    several sizes) it was 0.004, and 0.007 to 0.009 with the old peak. It is known to be wrong for other
    model sizes, and it cannot use runs that were stopped early: at 40 % of 50,000 steps the peak with
    the lowest loss so far was the best one in none of ten sweeps, and costs 0.017.

        loss_i = L_g + kappa (ln p_i - m_g)^2
        m_g = a + ln F_g - b ln T_g + c ln B_g + e_g

    with p_i the highest rate of run i in group g, T_g and B_g the length and the batch size, F_g the
    `transfer_factor` from the shape of the first group, b = horizon_exponent, c = batch_exponent, and
    the model's error e_g, normal with deviation 0.12. A group has one length and one batch size, and
    its runs are linked where their rates over the highest differ by at most 0.02 on average; its shape
    is that of its best run. The fit is the most probable one, in float64 and outside of JAX. The losses
    scatter by the root of the squared residuals over max(n - 2 G - 1, 1), for n runs in G groups, and
    by 3e-4 of the loss at least, as from seed to seed.

    Left out are runs that diverged, and those more than a factor of 4 from the best peak of their
    group: there the loss is no parabola.

    Args:
      runs: a sequence of `SweptRun`, whole runs with nothing traced. At least one group needs three
        different peaks. In groups with fewer the runs refine the exponents.
      horizon_exponent: what is known of b before, a pair (mean, deviation), or a number to fix it.
      batch_exponent: the same for c, at a fixed number of steps. At fixed tokens the best peak is as
        batch_size^(b + c).

    Returns:
      A `PeakFit`, which prints kappa, b and c. `fit.best(schedule, num_steps)` is the best peak.

    Raises:
      TypeError, ValueError: an argument is not as described, no group has three different peaks, or the
        losses do not bend upwards.

    Warns:
      UserWarning: the best run of a group of three or more peaks has the highest or the lowest of them.
        The warning says which peak to add.

    References: github.com/fabian-sp/lr-scheduling (the 124M runs); Li et al., 2025, "Predictable Scale:
    Step Law", https://arxiv.org/abs/2503.04715

    >>> from optax_sched import cosine_decay, linear
    >>> runs = [SweptRun(cosine_decay(peak, 1000), 1000, loss)
    ...         for peak, loss in [(1e-3, 3.05), (2e-3, 3.02), (4e-3, 3.04)]]
    >>> fit = fit_peaks(runs)
    >>> fit
    PeakFit(kappa=0.052 ± 0.0023, horizon_exponent=0.1 ± 0.15)
    >>> best = fit.best(linear(1.0, 0.0, 10_000), 10_000)
    >>> print(f"{best.peak_value:.5f}, deviation {best.deviation:.2f}, costs {best.cost:.4f}")
    0.00176, deviation 0.38, costs 0.0077
    """
    where = "fit_peaks"
    named = ("horizon_exponent", horizon_exponent), ("batch_exponent", batch_exponent)
    exponents = np.array([admit(where, name, _Prior(), value) for name, value in named])
    groups = _groups(where, [_read(where, name, run) for name, run in each_of(where, runs, SweptRun)])
    found = max((group.num_peaks() for group in groups), default=0)
    if found < 3:
        rule = "of three different peaks in one shape and length, within a factor of 4 of the best"
        raise Refusal(where, "runs", rule, found).error()
    return PeakFit(groups, exponents)


class _Prior(Domain):
    """The mean and the deviation of what is known of an exponent."""

    words = "a finite number, or a pair (mean, deviation) with a deviation of 0 or more"

    def admit(self, value: Any) -> tuple[float, float]:
        is_pair = isinstance(value, Sequence) and not isinstance(value, str)
        mean, deviation = value if is_pair else (value, 0.0)
        return Known("").admit(mean), Known("", 0.0).admit(deviation)


_BATCH_SIZE = Known("a positive finite number that is not traced", above=0.0)


def _read(where: str, of: str, run: SweptRun) -> _Run:
    """A run, checked."""
    num_steps = admit(where, f"{of}num_steps", SIZE, run.num_steps)
    try:
        loss = float(as_scalar(run.loss))
    except (TypeError, ValueError):
        rule = "a number that is not traced"
        raise Refusal(where, f"{of}loss", rule, run.loss).error(TypeError) from None
    batch_size = run.batch_size
    if batch_size is not None:
        batch_size = admit(where, f"{of}batch_size", _BATCH_SIZE, batch_size)
    rates = known_rates(where, run.schedule, num_steps, f"{of}schedule")
    peak = float(rates.max())
    return _Run(rates / peak, peak, num_steps, batch_size, loss)


def _groups(where: str, runs: list[_Run]) -> list[Group]:
    """The runs in groups, without those that do not show where the best peak lies."""
    sizes = [run.batch_size for run in runs]
    if None in sizes and any(sizes):
        raise Refusal(where, "batch_size", "given for all runs, or for none", sizes).error()
    groups = []
    while runs:
        linked, runs = runs[:1], runs[1:]
        for one in linked:  # which grows meanwhile
            linked += [run for run in runs if run.is_like(one)]
            runs = [run for run in runs if not run.is_like(one)]
        converged = [run for run in linked if math.isfinite(run.loss)]
        if converged:
            best = min(converged, key=lambda run: run.loss)
            near = [run for run in converged if abs(math.log(run.peak / best.peak)) <= _NEAR]
            log_peaks, losses = np.array([(math.log(run.peak), run.loss) for run in near]).T
            groups.append(Group(best, log_peaks, losses))
            _warn_of_edge(best, sorted({run.peak for run in linked}))
    return groups


def _warn_of_edge(best: _Run, peaks: list[float]) -> None:
    if len(peaks) > 2 and best.peak in (peaks[0], peaks[-1]):
        edge, word = (peaks[:2], "lowest") if best.peak == peaks[0] else (peaks[:-3:-1], "highest")
        warnings.warn(
            f"fit_peaks: over {best.num_steps} steps the {word} peak, {edge[0]:.3g}, is the best of "
            f"{len(peaks)}: add a run with the peak {edge[0] ** 2 / edge[1]:.2g}",
            stacklevel=4,
        )
