"""Cycles: curves that come back."""

import jax.numpy as jnp

from optax_sched._hyper import Count, Growth, Positive, Rate, Steps
from optax_sched._periods import place_in_cycles
from optax_sched._schedule import schedule
from optax_sched._shapes import half_wave, mix


@schedule
def cosine_restarts(
    step,
    init_value: Rate,
    period: Steps,
    end_value: Rate = 0.0,
    period_mult: Growth = 1.0,
    peak_mult: Positive = 1.0,
    num_cycles: Count | None = None,
):
    """Half cosine waves, one after another, each from a fresh peak: SGDR.

        e + (i g^n - e) sin^2(pi u_n / 2),    g = peak_mult,  n = the cycle's index from 0,
        u_n = what remains of cycle n, which lasts P m^n steps,  P = period,  m = period_mult

    Each cycle begins at its peak to the bit, at the exact step: in integers where period and
    period_mult are whole, else at the real number (not rounded). At step 0 and before it is
    `init_value`; after `num_cycles` cycles it stays at `end_value`, to the bit.

    Args:
      init_value: the peak of the first cycle, 0 or more.
      period: the length of the first cycle in steps, positive.
      end_value: the trough that every cycle falls to, 0 or more.
      period_mult: each cycle is this many times as long as the last, 1 or more.
      peak_mult: each peak is this many times as high as the last, positive.
      num_cycles: after so many cycles the rate stays at `end_value`; None for ever on.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the period or peak_mult not positive,
        period_mult below 1, num_cycles not a whole number of 1 or more.

    Elsewhere: torch's `CosineAnnealingWarmRestarts` (T_0, T_mult), keras' `CosineDecayRestarts`
    (t_mul 2.0 by default, m_mul scales only the part above alpha), timm's `cosine` with `cycle_*`,
    transformers' `cosine_with_restarts` (equal cycles, 0 after the last). `optax.sgdr_schedule` joins
    warm-ups and cosines: `join` does the same here. Jumping to a late step, torch and timm may land
    one cycle early, since they find the index by a logarithm alone.

    References: Loshchilov and Hutter, 2017, "SGDR", https://arxiv.org/abs/1608.03983

    >>> s = cosine_restarts(1.0, 2, period_mult=2, peak_mult=0.5, num_cycles=2)
    >>> [f"{s(t):.3f}" for t in range(8)]
    ['1.000', '0.500', '0.500', '0.427', '0.250', '0.073', '0.000', '0.000']
    """
    n, z, u = place_in_cycles(step, period, period_mult)
    peak = jnp.minimum(init_value * peak_mult**n, jnp.finfo(u.dtype).max)
    value = mix(end_value, peak, *half_wave(u, z))
    return value if num_cycles is None else jnp.where(n < num_cycles, value, end_value)
