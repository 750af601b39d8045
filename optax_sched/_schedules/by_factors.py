"""Curves that change by factors: continuously, at equal intervals, or at given boundaries."""

import jax.numpy as jnp
import numpy as np

from optax_sched._core.formula import decay_falls
from optax_sched._core.schedule import schedule
from optax_sched._core.words import Boundaries, Factor, FactorOrFactors, Rate, Steps
from optax_sched._math.cycles import as_float, whole_periods
from optax_sched._math.phases import ratio, reached


@schedule(check=decay_falls)
def exponential_decay(
    step, init_value: Rate, decay_steps: Steps, decay_rate: Factor, end_value: Rate = 0.0
):
    """Every step takes away the same fraction of what is left, down to a floor.

        max(i r^(t/T), e)

    with t = step, i = init_value, e = end_value, r = decay_rate and T = decay_steps. Negative steps
    count as step 0. The decay has no end, and never falls below `end_value`.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the steps after which the rate has been multiplied by `decay_rate` once, positive.
      decay_rate: the factor, in (0, 1].
      end_value: the floor, 0 to init_value.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, the length
        not positive, the factor not in (0, 1].

    Elsewhere: `optax.exponential_decay` and keras' `ExponentialDecay` with staircase=False; torch's
    `ExponentialLR(gamma)` is `decay_steps=1, decay_rate=gamma`; Paddle's `NaturalExpDecay(gamma)` is
    `decay_rate=exp(-gamma)`. Not to be confused with `exponential`, which reaches a given end.

    >>> [f"{exponential_decay(1.0, 2, 0.25, end_value=0.1)(t):.3f}" for t in range(5)]
    ['1.000', '0.500', '0.250', '0.125', '0.100']
    """
    return jnp.maximum(init_value * decay_rate ** ratio(step, decay_steps), end_value)


@schedule(check=decay_falls)
def step_decay(step, init_value: Rate, decay_steps: Steps, decay_rate: Factor, end_value: Rate = 0.0):
    """A staircase: every `decay_steps` steps multiply the rate by `decay_rate`, down to a floor.

        max(i r^floor(t/T), e)

    with t = step, i = init_value, e = end_value, r = decay_rate and T = decay_steps. The drops are
    exactly at t = T, 2T, ..., for all steps below 2^31. Textbooks count epochs n from 1, and write this
    as i r^(ceil(n/T) - 1). Negative steps count as step 0. The staircase has no end, and never falls
    below `end_value`.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of a stair in steps, positive.
      decay_rate: the factor between stairs, in (0, 1].
      end_value: the floor, 0 to init_value.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, the length
        not positive, the factor not in (0, 1].

    Elsewhere: `optax.exponential_decay(staircase=True)`, whose jitted drops come a step early from
    about step 10^7 on; torch's `StepLR`, keras' `ExponentialDecay(staircase=True)`, timm's `step`.
    MXNet's `FactorScheduler` counts from 1, so it drops one update later. Not to be confused with
    `exponential_decay`, which falls at every step.

    >>> [f"{step_decay(1.0, 2, 0.5, end_value=0.2)(t):.2f}" for t in range(7)]
    ['1.00', '1.00', '0.50', '0.50', '0.25', '0.25', '0.20']
    """
    return jnp.maximum(init_value * decay_rate ** as_float(whole_periods(step, decay_steps)), end_value)


def _one_rate_a_boundary(boundaries, decay_rate):
    if np.ndim(decay_rate) and len(decay_rate) != len(boundaries):
        return "decay_rate", f"one factor, or one for each of the {len(boundaries)} boundaries"


@schedule(check=_one_rate_a_boundary)
def multistep_decay(step, init_value: Rate, boundaries: Boundaries, decay_rate: FactorOrFactors):
    """A staircase with stairs of any length: each boundary multiplies the rate by a factor.

        i r^n,    n = the number of boundaries <= t

    with t = step, i = init_value and r = decay_rate. If `decay_rate` is a sequence, the first n of its
    factors are multiplied instead. A boundary belongs to the new stair. Negative steps count as step 0.
    After the last boundary the rate stays.

    Args:
      init_value: the rate at step 0, 0 or more.
      boundaries: the steps at which the rate drops, positive and strictly increasing; shape [n].
      decay_rate: the factor, in (0, 1]; or a sequence with one factor for each boundary, shape [n].

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the boundaries are not positive and
        increasing, a factor is not in (0, 1], or the numbers of factors and boundaries differ.

    Elsewhere: torch's `MultiStepLR`, `optax.piecewise_constant_schedule` (which takes a dict). keras
    and init2winit drop one step later (t > boundary), timm one epoch earlier. Not to
    be confused with `piecewise_constant`, which takes the rates themselves.

    References: He et al., 2015, "Deep Residual Learning", https://arxiv.org/abs/1512.03385

    >>> [f"{multistep_decay(1.0, [2, 4], 0.1)(t):.2f}" for t in range(6)]
    ['1.00', '1.00', '0.10', '0.10', '0.01', '0.01']
    """
    drops = reached(step, boundaries)
    rate = jnp.asarray(decay_rate)
    if rate.ndim:
        return init_value * jnp.prod(jnp.where(drops, rate, 1.0))
    return init_value * rate ** as_float(jnp.sum(drops))
