"""What each loss law says a drop of the rate gains, in float64 and with its gradient, for fits."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from optax_sched.planning.drop_groups import DropGroups, drop_groups, masses
from optax_sched.planning.loss_law import AnnealingLaw, MultiPowerLaw
from optax_sched.planning.pieces import constant_pieces

# Every law here is L0 + A spent^-alpha - size gain, gain a function of a few shape parameters. A fit
# works on the logs of all of them, and with rates in units of the highest, `unit`.


class Seen(NamedTuple):
    """What a law needs of a run at its logged steps."""

    spent: np.ndarray
    drops: Any


class MultiPowerGain:
    """The sum of (r_(k-1) - r_k) G_k; the shape is log C unit^(1 - gamma), log beta, log gamma."""

    law = MultiPowerLaw
    # The published fits to models of 25M and 100M at a highest rate of 3e-4 lie within 8 % of these.
    prior_mean = np.log([0.121, 0.59, 0.648])
    prior_sd = np.array([1.0, 0.5, 0.1])
    low, high = np.log([1e-5, 0.02, 0.01]), np.log([1e4, 20.0, 10.0])
    starts: ClassVar = list(prior_mean + [(c, b, 0.0) for c in (-1.5, 0.0, 1.5) for b in (-0.5, 0.5)])

    @staticmethod
    def see(rates: np.ndarray, steps: np.ndarray) -> Seen:
        pieces = constant_pieces(rates)
        return Seen(masses(pieces, steps), drop_groups(pieces, steps))

    @staticmethod
    def gain(shape: np.ndarray, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """For each logged step, and its gradient by the shape, a row a parameter."""
        groups: DropGroups = seen.drops
        log_c, beta, gamma = shape[0], *np.exp(shape[1:])
        log_x = np.minimum(log_c - gamma * groups.log_rate + groups.log_since, 700.0)
        grown = np.logaddexp(0.0, log_x)
        left = np.exp(-beta * grown)
        by_log_x = beta * np.exp(log_x - grown) * left
        terms = 1 - left, by_log_x, beta * grown * left, -gamma * groups.log_rate * by_log_x
        count = len(seen.spent)
        gain, *rows = (np.bincount(groups.row, groups.drop * term, count) for term in terms)
        return gain, np.stack(rows)

    @staticmethod
    def to_law(logs: np.ndarray, unit: float) -> np.ndarray:
        """The law's parameters in their order."""
        L0, A, alpha, B, C, beta, gamma = np.exp(logs)
        return np.array([L0, A * unit**alpha, alpha, B / unit, C * unit ** (gamma - 1), beta, gamma])

    @staticmethod
    def to_logs(law: np.ndarray, unit: float) -> np.ndarray:
        """What `to_law` undoes."""
        L0, A, alpha, B, C, beta, gamma = law
        with np.errstate(divide="ignore"):
            return np.log([L0, A * unit**-alpha, alpha, B * unit, C * unit ** (1 - gamma), beta, gamma])

    @staticmethod
    def by_logs(law: np.ndarray, unit: float) -> np.ndarray:
        """The derivatives of `to_law` by the logs, a row a parameter of the law."""
        slope = np.diag(law)
        slope[1, 2] = law[1] * law[2] * np.log(unit)
        slope[4, 6] = law[4] * law[6] * np.log(unit)
        return slope


class AnnealingGain:
    """The double sum of (r_(k-1) - r_k) decay^(i-k); the shape is log(1 - decay)."""

    law = AnnealingLaw
    prior_mean, prior_sd = np.zeros(0), np.zeros(0)
    low, high = np.log([1e-6]), np.log([1.0])
    starts: ClassVar = [np.log([one_less]) for one_less in (0.1, 0.03, 0.01, 0.003, 0.001, 3e-4)]

    @staticmethod
    def see(rates: np.ndarray, steps: np.ndarray) -> Seen:
        return Seen(np.cumsum(rates)[steps], (-np.diff(rates, prepend=rates[0]), steps))

    @staticmethod
    def gain(shape: np.ndarray, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        import scipy.signal

        drops, steps = seen.drops
        forgotten = np.exp(shape[0])
        decay = 1 - forgotten
        memory = scipy.signal.lfilter([1.0], [1.0, -decay], drops)
        by_decay = scipy.signal.lfilter([0.0, 1.0], [1.0, -decay], memory)
        # In units in which a drop of 1 gains 1 in the end.
        gain, slope = (np.cumsum(x)[steps] for x in (memory, by_decay))
        return gain, -forgotten * slope[None]

    @staticmethod
    def to_law(logs: np.ndarray, unit: float) -> np.ndarray:
        L0, A, alpha, C, forgotten = np.exp(logs)
        return np.array([L0, A * unit**alpha, alpha, C / unit, 1 - forgotten])

    @staticmethod
    def to_logs(law: np.ndarray, unit: float) -> np.ndarray:
        L0, A, alpha, C, decay = law
        with np.errstate(divide="ignore"):
            return np.log([L0, A * unit**-alpha, alpha, C * unit, 1 - decay])

    @staticmethod
    def by_logs(law: np.ndarray, unit: float) -> np.ndarray:
        slope = np.diag([*law[:4], law[4] - 1])
        slope[1, 2] = law[1] * law[2] * np.log(unit)
        return slope


GAINS: dict[Any, Any] = {gain.law: gain for gain in (MultiPowerGain, AnnealingGain)}


def log_losses(gain: Any, logs: np.ndarray, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """The log of the loss at each logged step, and its gradient by the logs, a column a parameter."""
    L0, A, alpha, size = np.exp(logs[:4])
    power = seen.spent**-alpha
    gained, by_shape = gain.gain(logs[4:], seen)
    losses = L0 + A * power - size * gained
    rows = [
        np.full_like(power, L0),
        A * power,
        -A * power * alpha * np.log(seen.spent),
        -size * gained,
        *(-size * by_shape),
    ]
    # A trial step of the fit may take off more than there is: a floor keeps the log finite.
    losses = np.maximum(losses, 1e-6 * (L0 + A * power))
    return np.log(losses), np.stack(rows, axis=1) / losses[:, None]
