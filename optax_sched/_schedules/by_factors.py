"""Curves that change by factors: continuously, by equal steps, or at given boundaries."""

import jax.numpy as jnp
import numpy as np

from optax_sched._core.hyperparameters import Boundaries, Factor, FactorOrFactors, Positive, Rate, Steps
from optax_sched._core.schedule import schedule
from optax_sched._math.cycles import whole_periods
from optax_sched._math.phases import progress, ratio, reached, remaining


@schedule
def exponential_decay(
    step, init_value: Rate, decay_steps: Steps, decay_rate: Factor, end_value: Rate = 0.0
):
    """A fixed fraction lost every step, smoothly, down to a floor.

        max(i r^(t/T), e),    r = decay_rate,  T = decay_steps

    At step 0 and before it is `init_value`; it has no end, and never falls below `end_value`.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the number of steps in which the rate is multiplied by `decay_rate` once.
      decay_rate: the factor, in (0, 1].
      end_value: the floor, 0 or more.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the length not positive, the factor
        not in (0, 1].

    Elsewhere: `optax.exponential_decay` and keras' `ExponentialDecay` (neither staircase); torch's
    `ExponentialLR(gamma)` is `decay_steps=1, decay_rate=gamma`; Paddle's `NaturalExpDecay(gamma)` is
    `decay_rate=exp(-gamma)`. Not to be confused with `exponential`, which reaches a given end.

    >>> [f"{exponential_decay(1.0, 2, 0.25, end_value=0.1)(t):.3f}" for t in range(5)]
    ['1.000', '0.500', '0.250', '0.125', '0.100']
    """
    return jnp.maximum(init_value * decay_rate ** ratio(step, decay_steps), end_value)


@schedule
def step_decay(step, init_value: Rate, decay_steps: Steps, decay_rate: Factor, end_value: Rate = 0.0):
    """A staircase: every `decay_steps` steps the rate is multiplied by `decay_rate`, down to a floor.

        max(i r^floor(t/T), e),    r = decay_rate,  T = decay_steps

    The drop is at t = T, 2T, ... exactly, for every step below 2^31. With epochs n counted from 1
    this is i r^(ceil(n/T) - 1), as textbooks write it. At step 0 and before it is `init_value`.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of a stair in steps, positive.
      decay_rate: the factor between stairs, in (0, 1].
      end_value: the floor, 0 or more.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the length not positive, the factor
        not in (0, 1].

    Elsewhere: `optax.exponential_decay(staircase=True)`, whose jitted drop comes a step early from
    about step 10^7 on; torch's `StepLR`, keras' `ExponentialDecay(staircase=True)`, timm's `step`.
    MXNet's `FactorScheduler` counts from 1, so it drops one update later.

    >>> [f"{step_decay(1.0, 2, 0.5, end_value=0.2)(t):.2f}" for t in range(7)]
    ['1.00', '1.00', '0.50', '0.50', '0.25', '0.25', '0.20']
    """
    return jnp.maximum(init_value * decay_rate ** whole_periods(step, decay_steps), end_value)


def _one_rate_a_boundary(boundaries, decay_rate):
    if np.ndim(decay_rate) and len(decay_rate) != len(boundaries):
        return "decay_rate", f"one factor, or one for each of the {len(boundaries)} boundaries"
    return None


@schedule(check=_one_rate_a_boundary)
def multistep_decay(
    step,
    init_value: Rate,
    boundaries: Boundaries,
    decay_rate: FactorOrFactors,
):
    """A staircase with stairs of any length: at each boundary the rate is multiplied by a factor.

        i r^n,    n = the number of boundaries <= t,  r = decay_rate

    A boundary belongs to the new stair. At step 0 and before it is `init_value`; after the last
    boundary the rate stays.

    Args:
      init_value: the rate at step 0, 0 or more.
      boundaries: the steps at which the rate drops, positive and strictly increasing; shape [n].
      decay_rate: the factor, in (0, 1]; or a sequence that gives each boundary its own, shape [n].

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the boundaries are not positive and
        increasing, a factor is not in (0, 1], or the numbers of factors and boundaries differ.

    Elsewhere: torch's `MultiStepLR`, `optax.piecewise_constant_schedule` (which takes a dict). keras
    and init2winit drop one step later (t > boundary), timm one epoch earlier. For the rates
    themselves instead of factors see `piecewise_constant`.

    >>> [f"{multistep_decay(1.0, [2, 4], 0.1)(t):.2f}" for t in range(6)]
    ['1.00', '1.00', '0.10', '0.10', '0.01', '0.01']
    """
    drops = reached(step, boundaries)
    rate = jnp.asarray(decay_rate)
    if rate.ndim:
        return init_value * jnp.prod(jnp.where(drops, rate, 1.0))
    return init_value * rate ** jnp.sum(drops)


@schedule
def exponential(step, init_value: Positive, end_value: Positive, transition_steps: Steps):
    """A straight line in log space between two positive values, up or down, and then flat.

        i (e / i)^z,    z = min(t, T) / T,  T = transition_steps

    At step 0 and before it is `init_value`, from `transition_steps` on `end_value`, both to the bit.

    Args:
      init_value: the value at step 0, positive.
      end_value: the value from `transition_steps` on, positive.
      transition_steps: the length of the line in steps, positive.

    Raises:
      TypeError, ValueError: a value or the length is not positive and finite.

    Elsewhere: fastai's `SchedExp`, praxis' `Exponential`, flair's `ExpAnnealLR`; the rising one is
    the curve of a learning-rate range test. Not to be confused with `exponential_decay`, which is
    given a factor and has no end.

    >>> [f"{exponential(1.0, 0.01, 4)(t):.3f}" for t in range(6)]
    ['1.000', '0.316', '0.100', '0.032', '0.010', '0.010']
    """
    z, u = progress(step, transition_steps), remaining(step, transition_steps)
    # (e / i)^z from the nearer end; as a square, since e / i may be beyond what a float holds.
    down, up = jnp.sqrt(end_value) / jnp.sqrt(init_value), jnp.sqrt(init_value) / jnp.sqrt(end_value)
    # Not jnp.minimum(z, 0.5): half way, where both are equal, it gives each half of the gradient.
    from_start, from_end = down ** jnp.where(z <= u, z, 0.0), up ** jnp.where(z <= u, 0.0, u)
    return jnp.where(z <= u, init_value * from_start * from_start, end_value * from_end * from_end)
