"""What a fit knows of each loss law, and the law of a run in float64 with its gradient."""

import dataclasses
import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.evaluate import float64
from optax_sched.planning.groups import GroupedRun, grouped
from optax_sched.planning.loss_law import AnnealingLaw, LossLaw, MultiPowerLaw
from optax_sched.planning.pieces import constant_pieces

_MOST_EXACT = 500  # steps: each costs a sum over all drops before it


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """A law, and how it is fitted: L0, A, alpha and a size come first, then what shapes its drops."""

    law: Callable[..., LossLaw]
    to_law: Callable[[jax.Array, float], LossLaw]
    """The law from the logs that are fitted, with rates in a unit, the highest of the runs."""
    starts: np.ndarray
    """Logs of the shape to start from, a row for each."""
    low: np.ndarray
    high: np.ndarray
    prior_mean: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    prior_sd: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))

    @property
    def names(self) -> list[str]:
        return list(inspect.signature(self.law).parameters)


def losses_of(law: LossLaw, rates: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The law in float64.

    Of many steps it is exact for some; their distance from the law of the grouped drops, about 1e-5 of
    the loss, is interpolated between them.
    """
    with float64():
        exact_at = np.unique(steps)
        if len(exact_at) <= _MOST_EXACT:
            return np.asarray(law(rates, steps))
        exact_at = some_of(exact_at, _MOST_EXACT)
        pieces = constant_pieces(rates)
        some, all_ = (np.asarray(law.losses(grouped(pieces, at))) for at in (exact_at, steps))
        exact = np.asarray(law(rates, exact_at))
        moved = np.isfinite(exact)
        return all_ * np.interp(steps, exact_at[moved], exact[moved] / some[moved])


def some_of(steps: np.ndarray, most: int) -> np.ndarray:
    """The steps, or as many of them as that, spread evenly."""
    return steps[np.linspace(0, len(steps) - 1, min(len(steps), most)).astype(int)]


def slope_of(law: LossLaw, rates: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The gradient of the losses by the parameters of the law, a column per parameter."""
    fill = -len(steps) % 64  # runs of nearly as many steps share a program
    with float64():
        seen = grouped(constant_pieces(rates), np.pad(steps, (0, fill), mode="edge"))
        slopes = jax.tree.leaves(_by_law(jax.tree.map(np.float64, law), seen))
        return np.stack(slopes, axis=1)[: len(steps)]


@jax.jit
def _by_law(law: LossLaw, seen: GroupedRun) -> LossLaw:
    with jax.numpy_dtype_promotion("standard"):
        return jax.jacfwd(lambda law: law.losses(seen))(law)


def _multi_power(logs: jax.Array, unit: float) -> LossLaw:
    L0, A, alpha, B, C, beta, gamma = jnp.exp(logs)
    A, B, C = A * unit**alpha, B / unit, C * unit ** (gamma - 1)
    return MultiPowerLaw(L0, A, alpha, B, C, beta, gamma)


def _annealing(logs: jax.Array, unit: float) -> LossLaw:
    L0, A, alpha, C, forgotten = jnp.exp(logs)
    return AnnealingLaw(L0, A * unit**alpha, alpha, C / unit, 1 - forgotten)


# The published fits to models of 25M and 100M at a highest rate of 3e-4 lie within 8 % of these.
_PUBLISHED = np.log([0.121, 0.59, 0.648])

KINDS = {
    "MultiPowerLaw": Kind(
        MultiPowerLaw,
        _multi_power,
        starts=_PUBLISHED + [(c, b, 0.0) for c in (-1.5, 0.0, 1.5) for b in (-0.5, 0.5)],
        low=np.log([1e-5, 0.02, 0.01]),
        high=np.log([1e4, 20.0, 10.0]),
        prior_mean=_PUBLISHED,
        prior_sd=np.array([1.0, 0.5, 0.1]),
    ),
    "AnnealingLaw": Kind(
        AnnealingLaw,
        _annealing,
        starts=np.log([[one_less] for one_less in (0.1, 0.03, 0.01, 0.003, 0.001, 3e-4)]),
        low=np.log([1e-6]),
        high=np.log([1.0]),
    ),
}
