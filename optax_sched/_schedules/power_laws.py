"""Decays by a power of time, which need no horizon and have no end."""

from typing import Annotated

import jax.numpy as jnp

from optax_sched._core.domains import Number
from optax_sched._core.formula import decay_falls
from optax_sched._core.schedule import schedule
from optax_sched._core.words import Negative, Positive, Rate, Scalar, Steps
from optax_sched._math.phases import ratio

Units = Annotated[Scalar, "Positive", Number("a positive finite number", above=0.0, counts_units=True)]


@schedule(check=decay_falls)
def inverse_time_decay(
    step, init_value: Rate, decay_steps: Steps, decay_rate: Rate, end_value: Rate = 0.0
):
    """A hyperbola: half the first value after decay_steps / decay_rate steps, a third after twice.

        max(i / (1 + r t / T), e)

    with t = step, i = init_value, e = end_value, r = decay_rate and T = decay_steps. Negative steps
    count as step 0. The decay has no end, and never falls below `end_value`.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the unit of time in steps, positive.
      decay_rate: how fast it falls, any finite number, 0 or more. Here it is not a factor in (0, 1].
      end_value: the floor, 0 to init_value.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, or the
        length is not positive.

    Elsewhere: keras' `InverseTimeDecay` (its staircase is `every(inverse_time_decay(i, 1, r), T)`),
    Paddle's `InverseTimeDecay` (decay_steps 1), levanter's `inv`. Not to be confused with
    `inverse_sqrt_decay`, which is slower.

    References: Robbins and Monro, 1951, "A Stochastic Approximation Method",
    https://doi.org/10.1214/aoms/1177729586

    >>> [f"{inverse_time_decay(1.0, 2, 0.5, end_value=0.6)(t):.3f}" for t in range(4)]
    ['1.000', '0.800', '0.667', '0.600']
    """
    return jnp.maximum(init_value / (1 + decay_rate * ratio(step, decay_steps)), end_value)


@schedule(check=decay_falls)
def inverse_sqrt_decay(step, init_value: Rate, timescale: Steps, end_value: Rate = 0.0):
    """One over the square root of time, from a given value: slow, and without an end.

        max(i sqrt(tau / (t + tau)), e) = max(i / sqrt(1 + t / tau), e)

    with t = step, i = init_value, e = end_value and tau = timescale. Negative steps count as step 0.
    The decay has no end, and never falls below `end_value`.

    Args:
      init_value: the rate at step 0, 0 or more.
      timescale: the steps after which it has fallen to 1 / sqrt(2) of its first value, positive.
      end_value: the floor, 0 to init_value.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, or the
        timescale is not positive.

    Elsewhere: transformers' and fairseq's `inverse_sqrt` after their warm-up of W = timescale steps
    (`warmup_inverse_sqrt_decay` here), big_vision's and init2winit's `rsqrt`. levanter's does not
    decay at all before step tau - W. Not to be confused with `noam`, which includes the warm-up.

    References: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762; Zhai et al., 2022, "Scaling
    Vision Transformers", https://arxiv.org/abs/2106.04560

    >>> [f"{inverse_sqrt_decay(1.0, 100)(t):.3f}" for t in (0, 100, 300, 9900)]
    ['1.000', '0.707', '0.500', '0.100']
    """
    return jnp.maximum(init_value / jnp.sqrt(1 + ratio(step, timescale)), end_value)


@schedule
def power_law_decay(
    step, init_value: Rate, scale: Positive, exponent: Negative, units_per_step: Units = 1.0
):
    """A negative power of time, or of tokens, under a ceiling.

        min(i, a n^b),    n = t units_per_step

    with t = step, i = init_value, a = scale and b = exponent. The value is exactly `init_value` until
    the power law falls below it. Negative steps count as step 0. The decay has no end.

    Args:
      init_value: the ceiling, 0 or more.
      scale: the power law's value at n = 1, positive.
      exponent: its exponent, negative.
      units_per_step: the units of the law's clock in one step, for example the tokens in a batch;
        positive.

    Raises:
      TypeError, ValueError: the ceiling is negative or not finite, the scale or units not positive,
        the exponent not negative.

    Elsewhere: levanter's 'power' (scale = batch * a, units_per_step = batch * sequence); the Power
    scheduler of IBM's Granite, where a = 4 and b = -0.51. Not to be confused with
    `polynomial_decay`, a power of what remains of a horizon.

    References: Shen et al., 2024, "Power Scheduler", https://arxiv.org/abs/2408.13359

    >>> s = power_law_decay(0.02, scale=4.0, exponent=-0.5, units_per_step=1000.0)
    >>> [f"{s(t):.4f}" for t in (0, 10, 40, 160)]
    ['0.0200', '0.0200', '0.0200', '0.0100']
    """
    n = step * units_per_step
    # Where the ceiling applies, n^b (and its gradient) can be infinite: evaluate it only below.
    below = (n > 0) & (exponent * jnp.log(jnp.where(n > 0, n, 1.0)) < jnp.log(init_value / scale))
    law = scale * jnp.where(below, n, 1.0) ** exponent
    return jnp.where(below, jnp.minimum(law, init_value), init_value)
