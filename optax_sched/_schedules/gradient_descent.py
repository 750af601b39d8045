"""Step sizes that theory gives for gradient descent with exact gradients: they go up and down."""

import math

import jax
import jax.numpy as jnp

from optax_sched._core.formula import at_most
from optax_sched._core.schedule import schedule
from optax_sched._core.words import Count, Positive
from optax_sched._math.phases import pick, whole_step
from optax_sched._math.shapes import half_wave


def _a_power_of_two(num_steps):
    return ("num_steps", "a power of two") if int(num_steps) & (int(num_steps) - 1) else None


@schedule(check=[at_most("min_curvature", "max_curvature"), _a_power_of_two])
def chebyshev(step, min_curvature: Positive, max_curvature: Positive, num_steps: Count):
    """The reciprocal roots of a Chebyshev polynomial, in the fractal order that keeps them stable.

        1 / ((M + m) / 2 - (M - m) / 2 cos((sigma(t) + 1/2) pi / n))

    with t = step, m = min_curvature, M = max_curvature, n = num_steps and sigma(t) the entry t of the
    order sigma_n: sigma_1 = (0), sigma_2n = interlace(sigma_n, 2n - 1 - sigma_n). In bits: each bit of
    sigma(t), read from the highest down, is the sum modulo 2 of the bits of t from the lowest up to
    there. Negative steps count as step 0. After n steps the sizes repeat, without end.

    Args:
      min_curvature: the smallest eigenvalue of the Hessian, positive.
      max_curvature: the largest eigenvalue, at least min_curvature.
      num_steps: the number of step sizes, a power of two.

    Raises:
      TypeError, ValueError: a curvature is not positive, the two are out of order, or num_steps is not
        a power of two.

    Elsewhere: pytorch_optimizer's `ChebyshevScheduler`, a table. Not to be confused with `silver`,
    which needs only the largest curvature.

    References: Agarwal et al., 2021, "Acceleration via Fractal Learning Rate Schedules",
    https://arxiv.org/abs/2103.01338

    >>> [f"{chebyshev(0.1, 1.0, 4)(t):.3f}" for t in range(5)]
    ['7.449', '1.035', '2.647', '1.385', '7.449']
    """
    bits = (whole_step(step) & (num_steps - 1)).astype(jnp.uint32)
    for shift in (1, 2, 4, 8, 16):  # make each bit the sum, modulo 2, of those from the lowest up to it
        bits ^= bits << shift
    sigma = _bits_reversed(bits, num_steps)
    x, y = (sigma + 0.5) / num_steps, (num_steps - sigma - 0.5) / num_steps
    # With c the cosine, the divisor is M (1 - c) / 2 + m (1 + c) / 2, in which nothing cancels.
    high, low = half_wave(x, y)
    return 1 / (max_curvature * high + min_curvature * low)


def _bits_reversed(bits, size):
    """The low log2(size) bits in reverse order, for size a power of two."""
    for shift, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF)):
        bits = ((bits >> shift) & mask) | ((bits & mask) << shift)
    bits = (bits >> 16) | (bits << 16)
    # Two shifts, since a shift by 32 is not defined.
    more = (31 - jax.lax.population_count(size - 1)).astype(jnp.uint32)
    return ((bits >> 1) >> more).astype(jnp.int32)


@schedule
def silver(step, smoothness: Positive):
    """The silver step sizes: mostly short, now and then a long one, in the order of a ruler's marks.

        (1 + rho^(nu(t + 1) - 1)) / L,    rho = 1 + sqrt(2)

    with t = step, L = smoothness and nu(n) the exponent of 2 in n: nu(1) = 0, nu(2) = 1, nu(3) = 0,
    nu(4) = 2. Negative steps count as step 0. The sizes have no horizon and no end. The theory holds
    after 1, 3, 7, 15, ... steps, one less than a power of two.

    Args:
      smoothness: the Lipschitz constant of the gradient (the largest curvature), positive.

    Raises:
      TypeError, ValueError: the smoothness is not positive and finite.

    Elsewhere: in none of the libraries named in these docstrings. Not to be confused with `chebyshev`,
    which needs both curvatures and the number of steps.

    References: Altschuler and Parrilo, 2023, "Acceleration by Stepsize Hedging II",
    https://arxiv.org/abs/2309.16530

    >>> [f"{silver(1.0)(t):.3f}" for t in range(8)]
    ['1.414', '2.000', '1.414', '3.414', '1.414', '2.000', '1.414', '6.828']
    """
    n = whole_step(step).astype(jnp.uint32) + 1
    exponent = jax.lax.population_count((n & (~n + 1)) - 1).astype(jnp.int32)
    # A table of rho^(nu - 1): a power of the rounded rho would multiply its rounding error by nu.
    powers = jnp.asarray([(1 + math.sqrt(2)) ** (nu - 1) for nu in range(32)])
    return (1 + pick(powers, exponent)) / smoothness
