"""Loss laws: what loss a training logs under a schedule, as pytrees of a few numbers; their fits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from optax_sched._core.built import Built
from optax_sched._core.domains import is_traced
from optax_sched._core.formula import Formula
from optax_sched._core.words import PartOfOne, Positive, Rate
from optax_sched.planning.inputs import Given, rates_of, whole_steps
from optax_sched.planning.pieces import GroupedRun, Run, constant_pieces, padded, run_at


class LossLaw(Built):
    """A function of a schedule and of steps that is also an immutable pytree of its parameters.

    `MultiPowerLaw` and `AnnealingLaw` make it. It reads, changes, prints and pickles as a `Schedule`
    does; its parameters may be traced, mapped over and differentiated.

    >>> law = AnnealingLaw(2.6, 0.5, 0.5, 0.4, 0.999)
    >>> law.replace(L0=2.5)
    AnnealingLaw(L0=2.5, A=0.5, alpha=0.5, C=0.4, decay=0.999)
    """

    __slots__ = ()

    def __call__(self, schedule: Given, steps: ArrayLike) -> jax.Array:
        """The loss logged at `steps`, an array of their shape. The builder describes both arguments."""
        where = self._formula.name
        at = whole_steps(where, steps)
        rates = rates_of(where, schedule, int(at.max(initial=0)) + 1, must_move=False)
        with jax.numpy_dtype_promotion("standard"):  # counts times rates
            run = run_at(constant_pieces(rates), at.reshape(-1))
            if not is_traced(rates):
                run = run._replace(pieces=padded(run.pieces))
            return losses_in(self, run).reshape(at.shape)

    def losses(self, run: Run | GroupedRun) -> jax.Array:
        """The formula."""
        return self._formula.function(run, *self._values)


def loss_law(function: Callable[..., Any]) -> Callable[..., LossLaw]:
    """Turn a formula `(run, *parameters) -> losses` into a builder of loss laws."""
    return Formula(function, function.__name__, (), LossLaw, skip=["the run"]).builder


@jax.jit
def losses_in(law: LossLaw, run: Run | GroupedRun) -> jax.Array:
    """The losses at the steps of a run, inf before any rate is spent."""
    has_moved = run.spent > 0
    losses = law.losses(run._replace(spent=jnp.where(has_moved, run.spent, 1.0)))
    return jnp.where(has_moved, losses, jnp.inf)


@loss_law
def MultiPowerLaw(
    run: Any, L0: Rate, A: Rate, alpha: Positive, B: Rate, C: Positive, beta: Positive, gamma: Positive
) -> Any:
    """The multi-power law: a power law in the rates spent, less what each drop of the rate gained.

    It assumes that the loss depends on the schedule alone: model, data, batch and optimizer stay as
    they were in the runs that it was fitted to. It was checked against public runs of Llama-like models
    (25M, 100M and 124M parameters, AdamW): fitted to three of nine runs by `fit_loss_law`, it met the
    six others within 0.0040 and 0.0039 in the mean, and up to eight times the length of the runs the
    last loss was off by at most 0.016. At one peak it orders shapes well (Spearman 0.95 from 25,000 to
    50,000 steps). It is known to be wrong at other peaks than those of the fit, lower ones too, where
    a run becomes unstable, and where data are seen again.

        L(t) = L0 + A S_0(t)^-alpha - B sum_(k = 1 ... t) (r_(k-1) - r_k) G_k(t)
        G_k(t) = 1 - (1 + C r_k^-gamma S_k(t))^-beta

    with r_k = the rate of update k and S_k(t) = r_k + ... + r_t. The warm-up counts: in S_0, and in the
    sum, where its rises have the other sign. A term with S_k = 0 is 0, one with r_k = 0 < S_k has its
    limit G_k = 1. Before any rate is spent the loss is inf.

    `law(schedule, steps)` is the loss logged at update `steps`:

    - schedule: a schedule, a function of the step that JAX can trace, a number (a constant), or a
      sequence of the rates that were used, one for each update from 0 on. It may be traced, mapped over
      and differentiated. Concrete rates must be finite and 0 or more.
    - steps: whole numbers of any shape, 0 or more, not traced, within the rates given.

    The cost is that of the drops up to each of the steps, one after another: where the rate is constant
    (and known) nothing is summed. The relative error is at most 3e-6 in float32 at 100,000 steps.

    Args:
      L0: the loss that is left in the end, 0 or more.
      A: the size of the power law, 0 or more.
      alpha: its exponent, positive.
      B: what a drop of the rate by 1 gains in the end, 0 or more.
      C: how fast it is gained, positive.
      beta: the exponent by which that slows down, positive.
      gamma: how much faster it is gained at a low rate, positive.

    Raises:
      TypeError, ValueError: a parameter, a rate or a step breaks its rule above.

    Elsewhere: github.com/thu-yao-01-luo/MultiPowerLaw, whose test figures count the warm-up's rises as
    here, and whose optimised losses leave them out.

    References: Luo et al., 2025, "A Multi-Power Law for Loss Curve Prediction Across Learning Rate
    Schedules", ICLR, https://arxiv.org/abs/2503.12811

    >>> import optax_sched
    >>> law = MultiPowerLaw(2.65, 0.6, 0.45, 440.0, 2.1, 0.6, 0.66)
    >>> flat = optax_sched.warmup(3e-4, 2000)
    >>> cooled = optax_sched.cooldown(flat, 20_000, 4000)
    >>> [f"{law(s, 23_999):.3f}" for s in (flat, cooled)]
    ['3.033', '2.925']
    """

    def gain(log_since: jax.Array, log_rate: jax.Array) -> jax.Array:
        """G_k, in logs: no power of a small rate overflows."""
        log_x = jnp.log(C) - gamma * log_rate + log_since
        # log(1 + x) as jax.nn.softplus has it, without the cost of its care for NaN.
        grown = jnp.maximum(log_x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(log_x)))
        return -jnp.expm1(-beta * grown)

    return L0 + A * run.spent**-alpha - B * run.gained(gain)


@loss_law
def AnnealingLaw(run: Any, L0: Rate, A: Rate, alpha: Positive, C: Rate, decay: PartOfOne) -> Any:
    """The law with an annealing area: a power law in the rates spent, less a decaying memory of drops.

    It assumes what `MultiPowerLaw` assumes, and that a drop of the rate is felt for 1 / (1 - decay)
    updates whatever the rate is. On the same public runs it met the others within 0.0047 and 0.0038 in
    the mean: neither law is better everywhere. It is known to be wrong where the rate falls slowly to
    almost 0, since what a drop gains does not depend on the rate there.

        L(t) = L0 + A S(t)^-alpha - C sum_(i = 1 ... t) sum_(k = 1 ... i) (r_(k-1) - r_k) decay^(i-k)

    with r_k = the rate of update k and S(t) = r_0 + ... + r_t; the warm-up counts in both. Before any
    rate is spent the loss is inf. `law(schedule, steps)` is the loss logged at update `steps`: both are
    as in `MultiPowerLaw`. The cost is that of the steps alone; the relative error is at most 3e-6
    in float32 at 100,000 steps.

    Args:
      L0: the loss that is left in the end, 0 or more.
      A: the size of the power law, 0 or more.
      alpha: its exponent, positive.
      C: what a drop by 1 gains in each update while it is remembered, 0 or more.
      decay: how much of the memory is left after an update, in [0, 1); 0.99 to 0.999 is usual.

    Raises:
      TypeError, ValueError: a parameter, a rate or a step breaks its rule above.

    Elsewhere: the paper's S1 and S2 are S(t) and the double sum; its lambda is `decay`.

    References: Tissue et al., 2024, "Scaling Law with Learning Rate Annealing",
    https://arxiv.org/abs/2408.11029

    >>> import optax_sched
    >>> law = AnnealingLaw(2.6, 0.5, 0.5, 0.4, 0.999)
    >>> flat = optax_sched.warmup(3e-4, 2000)
    >>> cooled = optax_sched.cooldown(flat, 20_000, 4000)
    >>> [f"{law(s, 23_999):.3f}" for s in (flat, cooled)]
    ['2.910', '2.829']
    """
    return L0 + A * run.spent**-alpha - C * run.area(decay)


# --- What a fit knows of each law


ToLaw = Callable[[jax.Array, float], LossLaw]


class Kind(NamedTuple):
    """A law, and how it is fitted: L0, A, alpha and a size come first, then what shapes its drops."""

    law: Callable[..., LossLaw]
    to_law: ToLaw
    """The law from the logs that are fitted, with rates in a unit, the highest of the runs."""
    starts: np.ndarray
    """Logs of the shape to start from, a row for each."""
    low: np.ndarray
    high: np.ndarray
    prior_mean: np.ndarray
    prior_sd: np.ndarray
    """Of all logs; infinite where there is no prior."""


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
        prior_mean=np.r_[np.zeros(4), _PUBLISHED],
        prior_sd=np.r_[np.full(4, np.inf), 1.0, 0.5, 0.1],
    ),
    "AnnealingLaw": Kind(
        AnnealingLaw,
        _annealing,
        starts=np.log([[one_less] for one_less in (0.1, 0.03, 0.01, 0.003, 0.001, 3e-4)]),
        low=np.log([1e-6]),
        high=np.log([1.0]),
        prior_mean=np.zeros(5),
        prior_sd=np.full(5, np.inf),
    ),
}
