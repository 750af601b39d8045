"""Cycles: curves that come back."""

from typing import Any

import jax.numpy as jnp

from optax_sched._core.domains import is_traced
from optax_sched._core.hyperparameters import (
    Count,
    Factor,
    Fraction,
    Growth,
    Positive,
    Rate,
    ShapeName,
    Steps,
    Switch,
)
from optax_sched._core.schedule import schedule
from optax_sched._math.cycles import place_in_cycles, whole_periods
from optax_sched._math.phases import later, mix, phase, progress, reached, remaining, since, whole_step
from optax_sched._math.shapes import half_wave


@schedule
def cosine_restarts(
    step,
    init_value: Rate,
    period: Steps,
    end_value: Rate = 0.0,
    period_mult: Growth | None = None,
    peak_mult: Positive = 1.0,
    num_cycles: Count | None = None,
):
    """Half cosine waves, one after another, each from a fresh peak: SGDR.

        e + (i g^n - e) sin^2(pi u_n / 2),    g = peak_mult,  n = the cycle's index from 0,
        u_n = what remains of cycle n, which lasts P m^n steps,  P = period,  m = period_mult

    with i = init_value and e = end_value. Each cycle begins at its peak to the bit: with whole numbers
    at the exact step, with a fractional period or period_mult at the first step at or after a real
    number, which is not rounded (beyond 10^5 steps it may be one step off). Negative steps count as
    step 0; after `num_cycles` cycles it stays at `end_value`, to the bit.

    Args:
      init_value: the peak of the first cycle, 0 or more.
      period: the length of the first cycle in steps, positive.
      end_value: the trough that every cycle falls to, 0 or more.
      period_mult: each cycle is this many times as long as the last, 1 or more. With None all are
        equal, by a formula without growth.
      peak_mult: each peak is this many times as high as the last, positive.
      num_cycles: after this many cycles the rate stays at `end_value`; with None it never stops.

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
    place = place_in_cycles(step, period, period_mult)
    n, z, u = place.number, place.progress, place.remaining
    peak = jnp.minimum(init_value * peak_mult**n, jnp.finfo(u.dtype).max)
    value = mix(end_value, peak, *half_wave(u, z))
    return value if num_cycles is None else jnp.where(n < num_cycles, value, end_value)


@schedule
def cyclic(
    step,
    base_value: Rate,
    peak_value: Rate,
    steps_up: Steps,
    steps_down: Steps | None = None,
    cycle_scale: Factor = 1.0,
    step_scale: Factor = 1.0,
):
    """A triangle wave between a base and a peak, which may shrink with the cycles or the steps.

        b + (p - b) w(t) c^n s^t,    n = floor(t / (U + D)),  c = cycle_scale,  s = step_scale

    where w rises from 0 to 1 in U = steps_up steps and falls back in D = steps_down. At step 0 and
    before it is `base_value`, to the bit; it has no end.

    Args:
      base_value: the rate between cycles, 0 or more.
      peak_value: the rate at the top of the first cycle, 0 or more.
      steps_up: the length of the rise in steps, positive.
      steps_down: the length of the fall in steps, positive; None for that of the rise.
      cycle_scale: what the height is multiplied by from one cycle to the next, in (0, 1].
      step_scale: what it is multiplied by at each step, in (0, 1].

    Raises:
      TypeError, ValueError: a rate is negative or not finite, a length not positive, a scale not in
        (0, 1].

    Elsewhere: torch's and Paddle's `CyclicLR`: mode "triangular" is this, "triangular2" has
    cycle_scale 0.5, "exp_range" step_scale gamma. ignite's `LinearCyclicalScheduler` starts at the
    top. fairseq's `triangular` shrinks the peak, not the height.

    References: Smith, 2017, "Cyclical Learning Rates", https://arxiv.org/abs/1506.01186

    >>> s = cyclic(0.0, 1.0, 2, cycle_scale=0.5)
    >>> [f"{s(t):.2f}" for t in range(9)]
    ['0.00', '0.50', '1.00', '0.50', '0.00', '0.25', '0.50', '0.25', '0.00']
    """
    steps_down = steps_up if steps_down is None else steps_down
    length = later(steps_up, steps_down)
    n = whole_periods(step, length)
    clock = step - n * length
    scale = cycle_scale**n * step_scale**step
    up = clock < steps_up
    fallen = since(clock, steps_up)
    wave = jnp.where(up, progress(clock, steps_up), remaining(fallen, steps_down))
    rest = jnp.where(up, remaining(clock, steps_up), progress(fallen, steps_down))
    # The complement is 1 - wave * scale, of two terms that do not cancel.
    return mix(base_value, peak_value, wave * scale, rest + wave * (1 - scale))


def _early_enough(pct_start, three_phase):
    if three_phase and not is_traced(pct_start) and pct_start >= 0.5:
        return "pct_start", "below 0.5 where there are three phases"
    return None


@schedule(check=_early_enough)
def one_cycle(
    step,
    peak_value: Rate,
    total_steps: Steps,
    pct_start: Fraction = 0.3,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
    three_phase: Switch = False,
    shape: ShapeName = "cosine",
):
    """One rise to a peak and one fall far below the start: super-convergence.

        p/d -> p         from 0 to q T
        p -> p/(d f)     from q T to T          (three_phase: p -> p/d from q T to 2 q T,
                                                 p/d -> p/(d f) from 2 q T to T)

    with p = peak_value, T = total_steps, q = pct_start, d = div_factor, f = final_div_factor, each
    phase in the given shape. q T is a real number, not truncated. Before step 0 it is as at step 0,
    from `total_steps` on p/(d f).

    Args:
      peak_value: the highest rate, 0 or more.
      total_steps: the length of the whole in steps, positive; the last value is at total_steps.
      pct_start: the part of the whole in which it rises, in (0, 1); below 0.5 with three phases.
      div_factor: the peak over the first rate, positive.
      final_div_factor: the first rate over the last, positive.
      three_phase: whether it falls back to the first rate symmetrically before the last fall.
      shape: how each phase goes; "linear" and "cosine" are those of the peers.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, a length or factor not positive,
        pct_start out of range, or the shape unknown.

    Elsewhere: torch's `OneCycleLR` reaches its peak at q T - 1 and its end at T - 1:
    `one_cycle(p, T - 1, (q T - 1) / (T - 1))`. `optax.cosine_onecycle_schedule` truncates q T;
    `optax.linear_onecycle_schedule` has three phases. fastai ends at p / f.

    References: Smith and Topin, 2018, "Super-Convergence", https://arxiv.org/abs/1708.07120

    >>> [f"{one_cycle(1.0, 10)(t):.3f}" for t in range(0, 12, 2)]
    ['0.040', '0.760', '0.950', '0.611', '0.188', '0.000']
    """
    weights: Any = shape
    low = peak_value / div_factor
    last = low / final_div_factor
    top = pct_start * total_steps
    rise = phase(step, 0, top)
    rising = mix(low, peak_value, *weights(*rise))
    if not three_phase:
        fall = phase(step, top, total_steps)
        return jnp.where(reached(step, top), mix(last, peak_value, *weights(*fall[::-1])), rising)
    fall, tail = phase(step, top, 2 * top), phase(step, 2 * top, total_steps)
    falling = mix(low, peak_value, *weights(*fall[::-1]))
    ending = mix(last, low, *weights(*tail[::-1]))
    return jnp.where(reached(step, 2 * top), ending, jnp.where(reached(step, top), falling, rising))


@schedule
def slanted_triangular(
    step, peak_value: Rate, total_steps: Steps, cut_frac: Fraction = 0.1, ratio: Growth = 32.0
):
    """A short straight rise and a long straight fall, for fine-tuning: ULMFiT.

        p (1 + x (r - 1)) / r,    x = t / c  before c = max(1, floor(q T)),
                                  x = 1 - (t - c) / (T - c)  from c on

    with p = peak_value, T = total_steps, q = cut_frac, r = ratio. At step 0 and before it is p/r,
    at the cut p, from `total_steps` on p/r.

    Args:
      peak_value: the highest rate, 0 or more.
      total_steps: the length of the whole in steps, positive.
      cut_frac: the part of the whole in which it rises, in (0, 1).
      ratio: the highest rate over the lowest, 1 or more.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the length not positive, cut_frac not
        in (0, 1), ratio below 1.

    Elsewhere: AllenNLP's `slanted_triangular`. Not to be confused with `one_cycle`, which ends far
    below its start.

    References: Howard and Ruder, 2018, "ULMFiT", https://arxiv.org/abs/1801.06146

    >>> [f"{slanted_triangular(1.0, 20, ratio=10.0)(t):.2f}" for t in (0, 1, 2, 11, 20, 21)]
    ['0.10', '0.55', '1.00', '0.55', '0.10', '0.10']
    """
    cut = jnp.maximum(whole_step(cut_frac * total_steps), 1)
    rise, fall = phase(step, 0, cut), phase(step, cut, total_steps)
    low, falling = peak_value / ratio, reached(step, cut)
    x = jnp.where(falling, fall.remaining, rise.progress)
    return mix(low, peak_value, x, jnp.where(falling, fall.progress, rise.remaining))
