"""Decays with a horizon: from `init_value` at step 0 to `end_value` at `decay_steps`, and then flat.

The code reads as the formulas do: `mix(e, i, w, 1 - w)` is `e + (i - e) w`. Where the weight w is a
shape or a power, the function for it returns the pair (w, 1 - w), each exact near its own 0.
"""

import jax
import jax.numpy as jnp

from optax_sched._core.formula import at_most, decay_falls
from optax_sched._core.schedule import schedule
from optax_sched._core.shapes import ShapeName
from optax_sched._core.words import PartOfOne, Positive, Rate, Real, Steps
from optax_sched._math.phases import mix, shares
from optax_sched._math.shapes import blend, half_wave, raised


@schedule
def linear(step, init_value: Real, end_value: Real, transition_steps: Steps):
    """A straight line, up or down, and then flat.

        i u + e z

    with t = step, i = init_value, e = end_value, T = transition_steps, z = min(t, T) / T and u = 1 - z.
    Negative steps count as step 0. The value is exactly `init_value` at step 0, and exactly `end_value`
    from `transition_steps` on.

    Args:
      init_value: the value at step 0; any finite number.
      end_value: the value from `transition_steps` on; any finite number.
      transition_steps: the length of the line in steps, positive.

    Raises:
      TypeError, ValueError: a value is not a finite number, or the length is not positive.

    Elsewhere: `optax.linear_schedule`, whose jitted end may be negative; torch's `LinearLR`, which
    takes factors of the base rate; keras' and transformers' polynomial decay of power 1. MMEngine's
    `LinearLR` is one step shorter. Papers call a linear decay to 0 over the whole budget "budgeted
    training" and "D2Z". Not to be confused with `exponential`, a straight line in log space.

    References: Li et al., 2020, "Budgeted Training", https://arxiv.org/abs/1905.04753

    >>> warm = linear(0.0, 0.3, 3)
    >>> [f"{warm(t):.1f}" for t in (-1, 0, 1, 2, 3, 4)]
    ['0.0', '0.0', '0.1', '0.2', '0.3', '0.3']
    """
    z, u = shares(step, transition_steps)
    return mix(init_value, end_value, z, u)


@schedule
def exponential(step, init_value: Positive, end_value: Positive, transition_steps: Steps):
    """A straight line in log space between two positive values, up or down, and then flat.

        i (e / i)^z

    with t = step, i = init_value, e = end_value, T = transition_steps and z = min(t, T) / T. Negative
    steps count as step 0. The value is exactly `init_value` at step 0, and exactly `end_value` from
    `transition_steps` on.

    Args:
      init_value: the value at step 0, positive.
      end_value: the value from `transition_steps` on, positive.
      transition_steps: the length of the line in steps, positive.

    Raises:
      TypeError, ValueError: a value or the length is not positive and finite.

    Elsewhere: fastai's `SchedExp`, praxis' `Exponential`, flair's `ExpAnnealLR`. A learning-rate range
    test (`lr_range_test`) follows the rising one. Not to be confused with `exponential_decay`, which
    takes a factor and has no end.

    >>> [f"{exponential(1.0, 0.01, 4)(t):.3f}" for t in range(6)]
    ['1.000', '0.316', '0.100', '0.032', '0.010', '0.010']
    """
    z, u = shares(step, transition_steps)
    # Start at the nearer end: i (e / i)^z or e (i / e)^u, which are equal. Multiply by the square root
    # of the factor twice, since e / i itself may exceed what a float holds.
    down, up = jnp.sqrt(end_value) / jnp.sqrt(init_value), jnp.sqrt(init_value) / jnp.sqrt(end_value)
    # Not jnp.minimum(z, 0.5): where z is 0.5 it gives each of the two half of the gradient.
    from_start, from_end = down ** jnp.where(z <= u, z, 0.0), up ** jnp.where(z <= u, 0.0, u)
    return jnp.where(z <= u, init_value * from_start * from_start, end_value * from_end * from_end)


@schedule(check=decay_falls)
def polynomial_decay(
    step, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0, power: Positive = 1.0
):
    """A power of what remains: the fall is steep at first if `power` is above 1, and late if below.

        e + (i - e) u^power

    with t = step, i = init_value, e = end_value, T = decay_steps and u = 1 - min(t, T) / T.
    Negative steps count as step 0. The value is exactly `init_value` at step 0, and exactly `end_value`
    from `decay_steps` on.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive.
      end_value: the rate from `decay_steps` on, 0 to init_value.
      power: the exponent, positive; 1 is a straight line.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, a length or
        the power not positive.

    Elsewhere: `optax.polynomial_schedule` (which turns NaN or negative at its end under jit for half
    of all lengths), torch's `PolynomialLR`, keras' `PolynomialDecay` (end_value 1e-4 by default),
    transformers' `polynomial` (1e-7). Not to be confused with fastai's `SchedPoly` and praxis' default,
    which raise progress instead and so start slowly: i + (e - i) (1 - u)^power.

    References: Chen et al., 2017, "DeepLab" (power 0.9), https://arxiv.org/abs/1606.00915

    >>> [f"{polynomial_decay(1.0, 4, power=2.0)(t):.4f}" for t in range(6)]
    ['1.0000', '0.5625', '0.2500', '0.0625', '0.0000', '0.0000']
    """
    z, u = shares(step, decay_steps)
    return mix(end_value, init_value, *raised(u, z, power))


@schedule(check=decay_falls)
def cosine_decay(
    step, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0, exponent: Positive = 1.0
):
    """Half a cosine wave, from its crest down to its trough, and then flat.

          e + (i - e) ((1 + cos(pi z)) / 2)^exponent
        = e + (i - e) (sin^2(pi u / 2))^exponent

    with t = step, i = init_value, e = end_value, T = decay_steps, z = min(t, T) / T and u = 1 - z. The
    code computes the second form: in float32 the (1 + cos(pi z)) / 2 of the first is 0 long before the
    end. Negative steps count as step 0. The value is exactly `init_value` at step 0, and exactly
    `end_value` from `decay_steps` on.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive. It does not count a warm-up before it.
      end_value: the rate from `decay_steps` on, 0 to init_value. It is a rate, not a fraction of
        `init_value`.
      exponent: the power of the wave, positive.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, a length or
        the exponent not positive.

    Elsewhere: `optax.cosine_decay_schedule` and keras' `CosineDecay` (alpha = end_value /
    init_value). torch's `CosineAnnealingLR` and transformers' `cosine` rise again after the end.
    Not to be confused with `cosine_restarts`, which jumps back to its peak, or with
    `quarter_cosine_decay`.

    References: Loshchilov and Hutter, 2017, "SGDR", https://arxiv.org/abs/1608.03983

    >>> [f"{cosine_decay(1.0, 4, end_value=0.1)(t):.3f}" for t in range(6)]
    ['1.000', '0.868', '0.550', '0.232', '0.100', '0.100']
    """
    z, u = shares(step, decay_steps)
    return mix(end_value, init_value, *raised(*half_wave(u, z), exponent))


@schedule
def cosine_waves(
    step, init_value: Rate, decay_steps: Steps, half_waves: Positive, end_value: Rate = 0.0
):
    """Any number of half cosine waves, down and up again, and then flat where the last one stops.

        e + (i - e) (1 + cos(pi h z)) / 2

    with t = step, i = init_value, e = end_value, T = decay_steps, h = half_waves and z = min(t, T) / T.
    Negative steps count as step 0, where the value is exactly `init_value`. From `decay_steps` on it
    stays at the formula's value at z = 1: `end_value` if half_waves is odd, `init_value` if it is even.

    Args:
      init_value: the rate at the crests, 0 or more.
      decay_steps: the length of all waves together in steps, positive.
      half_waves: the number of half waves, positive; it need not be whole.
      end_value: the rate at the troughs, 0 or more.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, a length or the waves not positive.

    Elsewhere: transformers' `cosine` with num_cycles = half_waves / 2, which goes on after the end.
    Not to be confused with `cosine_restarts`, which jumps back to its peak after each half wave.

    >>> [f"{cosine_waves(1.0, 6, 3)(t):.2f}" for t in range(8)]
    ['1.00', '0.50', '0.00', '0.50', '1.00', '0.50', '0.00', '0.00']
    """
    z, u = shares(step, decay_steps)
    # (1 + cos(pi h z)) / 2 is `half_wave` of the distance from h z to the nearest odd number, a trough.
    # Near a trough the wave is almost 0, and rounding in a large h z would be all that is left of it.
    # So count h z from the nearer end of the run, take off the nearest whole number, crest or trough,
    # and give `half_wave` the distances to trough and crest, the shorter of which is exact.
    last = jnp.round(half_waves)
    phase = jnp.where(z < u, half_waves * z, half_waves - last - half_waves * u)
    extreme = jnp.round(phase)
    is_crest = (extreme + jnp.where(z < u, 0, last)) % 2 == 0
    near, far = jnp.abs(phase - extreme), 1 - jnp.abs(phase - extreme)
    x, y = jnp.where(is_crest, far, near), jnp.where(is_crest, near, far)
    return mix(end_value, init_value, *half_wave(x, y))


@schedule(check=decay_falls)
def quarter_cosine_decay(step, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0):
    """The first quarter of a cosine wave: flat at first, then ever steeper until the end.

        e + (i - e) cos(pi z / 2) = e + (i - e) sin(pi u / 2)

    with t = step, i = init_value, e = end_value, T = decay_steps, z = min(t, T) / T and u = 1 - z.
    Negative steps count as step 0. The value is exactly `init_value` at step 0, and exactly `end_value`
    from `decay_steps` on.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive.
      end_value: the rate from `decay_steps` on, 0 to init_value.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, or the
        length is not positive.

    Elsewhere: OLMo-core's `HalfCosWithWarmup` is related: the second half of a half wave, here
    `shift(cosine_decay(..., 2 T), T)`. Not to be confused with `cosine_decay`, which is half a wave.

    >>> [f"{quarter_cosine_decay(1.0, 3)(t):.3f}" for t in range(5)]
    ['1.000', '0.866', '0.500', '0.000', '0.000']
    """
    z, u = shares(step, decay_steps)
    # 1 - cos(pi z / 2) is 2 sin^2(pi z / 4), which does not cancel near the start.
    wave, rest = jnp.sin(jnp.pi / 2 * u), 2 * jnp.sin(jnp.pi / 4 * z) ** 2
    return mix(end_value, init_value, wave, rest)


@schedule(check=[decay_falls, at_most("lower", "upper", ", or it rises")])
def tanh_decay(
    step,
    init_value: Rate,
    decay_steps: Steps,
    end_value: Rate = 0.0,
    lower: Real = -7.0,
    upper: Real = 3.0,
):
    """A hyperbolic tangent: flat, then one smooth fall, then nearly flat.

        e + (i - e) (1 - tanh(a)) / 2,    a = lower u + upper z

    with t = step, i = init_value, e = end_value, T = decay_steps, z = min(t, T) / T and u = 1 - z. The
    code computes (1 - tanh(a)) / 2 as sigmoid(-2 a), the same number. Negative steps count as step 0.
    The value is exactly `init_value` at step 0, and exactly `end_value` from `decay_steps` on: with the
    default bounds it jumps there from 0.25 % of `init_value - end_value`.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive.
      end_value: the rate from `decay_steps` on, 0 to init_value.
      lower: the argument of the tangent at the start, any finite number up to `upper`.
      upper: its argument at the end, any finite number.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, the length
        not positive, a bound not finite, or the two out of order.

    Elsewhere: timm's `tanh`, which is not exactly init_value at step 0. Not to be confused with the
    hyperbola of `inverse_time_decay`.

    References: Hsueh et al., 2019, "Stochastic Gradient Descent with Hyperbolic-Tangent Decay",
    https://arxiv.org/abs/1806.01593

    >>> [f"{tanh_decay(1.0, 10)(t):.3f}" for t in (0, 5, 7, 9, 10)]
    ['1.000', '0.982', '0.500', '0.018', '0.000']
    """
    z, u = shares(step, decay_steps)
    a = lower * u + upper * z
    # At the ends the tangent has not arrived: a weight of 0 makes `mix` select the exact value.
    weight, complement = jax.nn.sigmoid(-2 * a) * (u > 0), jax.nn.sigmoid(2 * a) * (z > 0)
    return mix(end_value, init_value, weight, complement)


@schedule(check=decay_falls)
def rex_decay(step, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0, beta: PartOfOne = 0.5):
    """Reflected exponential: stays high for long, then falls ever faster to the end.

        e + (i - e) u / ((1 - beta) + beta u)

    with t = step, i = init_value, e = end_value, T = decay_steps and u = 1 - min(t, T) / T.
    Negative steps count as step 0. The value is exactly `init_value` at step 0, and exactly `end_value`
    from `decay_steps` on.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive.
      end_value: the rate from `decay_steps` on, 0 to init_value.
      beta: how long it stays high, from 0 (a straight line) to below 1.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, the length
        not positive, beta not in [0, 1).

    Elsewhere: pytorch_optimizer's `REXScheduler`; init2winit's `rex` has beta 0.9 by default. Not to be
    confused with `exponential_decay`: nothing in this formula is exponential.

    References: Chen et al., 2021, "REX: Revisiting Budgeted Training", https://arxiv.org/abs/2107.04197

    >>> [f"{rex_decay(1.0, 4)(t):.3f}" for t in range(6)]
    ['1.000', '0.857', '0.667', '0.400', '0.000', '0.000']
    """
    z, u = shares(step, decay_steps)
    below = (1 - beta) + beta * u
    weight, complement = u / below, (1 - beta) * z / below
    return mix(end_value, init_value, weight, complement)


@schedule(check=decay_falls)
def k_decay(
    step,
    init_value: Rate,
    decay_steps: Steps,
    k: Positive,
    end_value: Rate = 0.0,
    shape: ShapeName = "cosine",
):
    """Any decay with its progress raised to a power: it falls later if k is above 1, earlier if below.

        e + (i - e) f(1 - z^k)

    with t = step, i = init_value, e = end_value, T = decay_steps, f = shape and z = min(t, T) / T.
    Negative steps count as step 0. The value is exactly `init_value` at step 0, and exactly `end_value`
    from `decay_steps` on.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive.
      k: the power of progress, positive; 1 is the decay of that shape itself.
      end_value: the rate from `decay_steps` on, 0 to init_value.
      shape: the decay: "cosine", "linear", "sqrt", "square" or a function from [0, 1] to [0, 1]. It
        is read on what remains.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, a length or
        k not positive, the shape unknown.

    Elsewhere: timm's `cosine` and `poly` with k_decay. Not to be confused with the `exponent` of
    `cosine_decay`, a power of the wave.

    References: Zhang and Li, 2020, "k-decay", https://arxiv.org/abs/2004.05909

    >>> [f"{k_decay(1.0, 4, 2.0)(t):.3f}" for t in range(6)]
    ['1.000', '0.990', '0.854', '0.402', '0.000', '0.000']
    """
    z, u = shares(step, decay_steps)
    done, left = raised(z, u, k)  # z^k and 1 - z^k
    return blend(end_value, init_value, shape, left, done)


@schedule(check=decay_falls)
def log_decay(step, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0):
    """A logarithm upside down: most of the way in the first steps, then ever slower to the end.

        e + (i - e) (1 - ln(1 + t) / ln(1 + T))

    with t = min(step, T), i = init_value, e = end_value and T = decay_steps.
    Negative steps count as step 0. The value is exactly `init_value` at step 0, and exactly `end_value`
    from `decay_steps` on.

    Args:
      init_value: the rate at step 0, 0 or more.
      decay_steps: the length of the decay in steps, positive.
      end_value: the rate from `decay_steps` on, 0 to init_value.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, or the
        length is not positive.

    Elsewhere: no library has it under a settled name, and several other curves go by this one.
    Not to be confused with `exponential`, a straight line in log space.

    >>> [f"{log_decay(1.0, 7)(t):.3f}" for t in (0, 1, 3, 7, 8)]
    ['1.000', '0.667', '0.333', '0.000', '0.000']
    """
    t = jnp.clip(step, 0, decay_steps)
    whole = jnp.log1p(decay_steps * 1.0)
    done = jnp.log1p(t * 1.0)
    # ln(1 + T) - ln(1 + t), without subtracting two near numbers.
    left = jnp.log1p((decay_steps - t) / (1.0 + t))
    return mix(end_value, init_value, left / whole, done / whole)
