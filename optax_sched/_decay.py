"""Decays with a horizon: from `init_value` at step 0 to `end_value` at the last step, and then flat."""

import jax.numpy as jnp

from optax_sched._hyper import Positive, Rate, Real, Steps
from optax_sched._schedule import schedule
from optax_sched._shapes import half_wave, mix, progress, raised, remaining


@schedule
def constant(step, value: Real):
    """The same value at every step.

        value

    Args:
      value: any finite number; a rate, or a momentum, a weight decay, a sign.

    Raises:
      TypeError, ValueError: `value` is not a finite number.

    Elsewhere: `optax.constant_schedule`, transformers' `constant`. torch's `ConstantLR` is another
    thing: a factor that is dropped after some steps, here
    `piecewise_constant([factor * rate, rate], [steps])`.

    >>> print(f"{constant(0.1)(1000):.2f}")
    0.10
    """
    del step
    return value


@schedule
def linear(step, init_value: Real, end_value: Real, transition_steps: Steps):
    """A straight line, up or down, and then flat.

        i u + e z,    z = min(t, T) / T,  u = 1 - z,  T = transition_steps

    At step 0 and before it is `init_value`, from `transition_steps` on `end_value`, both to the bit.

    Args:
      init_value: the value at step 0; any finite number.
      end_value: the value from `transition_steps` on; any finite number.
      transition_steps: the length of the line in steps, positive.

    Raises:
      TypeError, ValueError: a value is not a finite number, or the length is not positive.

    Elsewhere: `optax.linear_schedule`, whose jitted end may be negative; torch's `LinearLR` with
    factors of the base rate; keras' and transformers' polynomial decay of power 1. MMEngine's
    `LinearLR` is one step shorter. Linear decay to 0 over the whole budget is also sold as
    "budgeted training" and "D2Z".

    References: Li et al., 2020, "Budgeted Training", https://arxiv.org/abs/1905.04753

    >>> warm = linear(0.0, 0.3, 3)
    >>> [f"{warm(t):.1f}" for t in (-1, 0, 1, 2, 3, 4)]
    ['0.0', '0.0', '0.1', '0.2', '0.3', '0.3']
    """
    z, u = progress(step, transition_steps), remaining(step, transition_steps)
    return mix(init_value, end_value, z, u)


@schedule
def polynomial_decay(
    step, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0, power: Positive = 1.0
):
    """A power of what remains: fast at first where `power` is above 1, late where it is below.

        e + (i - e) u^power,    u = 1 - min(t, T) / T,  T = decay_steps

    At step 0 and before it is `init_value`, from `decay_steps` on `end_value`, both to the bit.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive.
      end_value: the rate from `decay_steps` on, 0 or more.
      power: the exponent, positive; 1 is a straight line.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, a length or the power not positive.

    Elsewhere: `optax.polynomial_schedule` (which turns NaN or negative at its end under jit for half
    of all lengths), torch's `PolynomialLR`, keras' `PolynomialDecay` (end_value 1e-4 by default),
    transformers' `polynomial` (1e-7). fastai's `SchedPoly` and praxis' default put the power on
    progress instead, which starts slowly: it is `mix(i, e, z**power)`.

    References: Chen et al., 2017, "DeepLab" (power 0.9), https://arxiv.org/abs/1606.00915

    >>> [f"{polynomial_decay(1.0, 4, power=2.0)(t):.4f}" for t in range(6)]
    ['1.0000', '0.5625', '0.2500', '0.0625', '0.0000', '0.0000']
    """
    z, u = progress(step, decay_steps), remaining(step, decay_steps)
    return mix(end_value, init_value, *raised(u, z, power))


@schedule
def cosine_decay(
    step, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0, exponent: Positive = 1.0
):
    """Half a cosine wave, from its crest down to its trough, and then flat.

        e + (i - e) ((1 + cos(pi z)) / 2)^exponent
        = e + (i - e) (sin^2(pi u / 2))^exponent,    z = min(t, T) / T,  u = 1 - z,  T = decay_steps

    The second form is the one computed: (1 + cos) / 2 is 0 long before the end in float32. At step 0
    and before it is `init_value`, from `decay_steps` on `end_value`, both to the bit.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive. A warm-up before it is not counted.
      end_value: the rate from `decay_steps` on, 0 or more; a rate, not a fraction of `init_value`.
      exponent: the power of the wave, positive.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, a length or the exponent not positive.

    Elsewhere: `optax.cosine_decay_schedule` and keras' `CosineDecay` (alpha = end_value /
    init_value); torch's `CosineAnnealingLR` and transformers' `cosine` rise again after the end.
    Not to be confused with `cosine_restarts`.

    References: Loshchilov and Hutter, 2017, "SGDR", https://arxiv.org/abs/1608.03983

    >>> [f"{cosine_decay(1.0, 4, end_value=0.1)(t):.3f}" for t in range(6)]
    ['1.000', '0.868', '0.550', '0.232', '0.100', '0.100']
    """
    z, u = progress(step, decay_steps), remaining(step, decay_steps)
    return mix(end_value, init_value, *raised(*half_wave(u, z), exponent))


@schedule
def log_decay(step, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0):
    """A logarithm upside down: most of the way in the first steps, then ever slower to the end.

        e + (i - e) (1 - ln(1 + t) / ln(1 + T)),    T = decay_steps

    At step 0 and before it is `init_value`, from `decay_steps` on `end_value`, both to the bit.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive.
      end_value: the rate from `decay_steps` on, 0 or more.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, or the length is not positive.

    Elsewhere: no library has it under a fixed name; the name stands for several curves in use.
    Not to be confused with `exponential`, a straight line in log space.

    >>> [f"{log_decay(1.0, 7)(t):.3f}" for t in (0, 1, 3, 7, 8)]
    ['1.000', '0.667', '0.333', '0.000', '0.000']
    """
    t = jnp.clip(step, 0, decay_steps)
    whole = jnp.log1p(decay_steps * 1.0)
    # ln(1 + T) - ln(1 + t), without the subtraction of two near numbers.
    left = jnp.log1p((decay_steps - t) / (1.0 + t))
    return mix(end_value, init_value, left / whole, jnp.log1p(t * 1.0) / whole)
