"""Cycles: curves that rise and fall, once or again and again."""

import jax.numpy as jnp

from optax_sched._core.formula import decay_falls
from optax_sched._core.schedule import schedule
from optax_sched._core.shapes import ShapeName
from optax_sched._core.words import Count, Factor, Fraction, Growth, Positive, Rate, Steps, Switch
from optax_sched._math.cycles import as_float, place_in_cycles, whole_periods
from optax_sched._math.phases import later, mix, phase, shares, since, whole_step
from optax_sched._math.shapes import blend, half_wave


@schedule(check=decay_falls)
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

        e + (i g^n - e) sin^2(pi u / 2)

    with i = init_value, e = end_value, g = peak_mult, n the index (from 0) of the cycle that holds the
    step, and u the fraction of that cycle that remains. Cycle n lasts P m^n steps, with P = period and
    m = period_mult. If P and m are whole, cycles begin at exact steps. Otherwise their starts are real
    numbers, not rounded; beyond 10^5 steps a fractional m may put one a step early or late. Negative
    steps count as step 0. After `num_cycles` cycles the value stays at exactly `end_value`.

    Args:
      init_value: the peak of the first cycle, 0 or more.
      period: the length of the first cycle in steps, positive.
      end_value: the trough that every cycle falls to, 0 to init_value.
      period_mult: each cycle is this many times as long as the one before, 1 or more. None makes all
        cycles equal, by a much shorter formula than 1.0.
      peak_mult: each peak is this many times as high as the one before, positive.
      num_cycles: the number of cycles, after which the rate stays at `end_value`; None never stops.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, the period
        or peak_mult not positive, period_mult below 1, num_cycles not a whole number of 1 or more.

    Elsewhere: torch's `CosineAnnealingWarmRestarts` (T_0, T_mult), keras' `CosineDecayRestarts`
    (t_mul 2.0 by default, m_mul scales only the part above alpha), timm's `cosine` with `cycle_*`,
    transformers' `cosine_with_restarts` (equal cycles, 0 after the last). `optax.sgdr_schedule` joins
    warm-ups and cosines: `join` does the same here. Where torch and timm jump to a late step, they may
    land one cycle early, since they find the index by a logarithm alone. Not to be confused with
    `cosine_waves`, which rises along the wave.

    References: Loshchilov and Hutter, 2017, "SGDR", https://arxiv.org/abs/1608.03983

    >>> s = cosine_restarts(1.0, 2, period_mult=2, peak_mult=0.5, num_cycles=2)
    >>> [f"{s(t):.3f}" for t in range(8)]
    ['1.000', '0.500', '0.500', '0.427', '0.250', '0.073', '0.000', '0.000']
    """
    n, _, z, u = place_in_cycles(step, period, period_mult)
    peak = jnp.minimum(init_value * peak_mult ** as_float(n), jnp.finfo(u.dtype).max)
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

        b + (p - b) w(t) c^n s^t,    n = floor(t / (U + D))

    with t = step, b = base_value, p = peak_value, U = steps_up, D = steps_down, c = cycle_scale, s =
    step_scale, and w a triangle wave: in each cycle it rises from 0 to 1 in U steps and falls back to 0
    in D steps. Negative steps count as step 0, where the value is exactly `base_value`. The wave has no
    end.

    Args:
      base_value: the rate between cycles, 0 or more.
      peak_value: the rate at the top of the first cycle, 0 or more.
      steps_up: the length of the rise in steps, positive.
      steps_down: the length of the fall in steps, positive; None means as long as the rise.
      cycle_scale: the factor on the height of the wave from one cycle to the next, in (0, 1].
      step_scale: the factor on the height of the wave from one step to the next, in (0, 1].

    Raises:
      TypeError, ValueError: a rate is negative or not finite, a length not positive, a scale not in
        (0, 1].

    Elsewhere: torch's and Paddle's `CyclicLR`: mode "triangular" is this, "triangular2" has
    cycle_scale 0.5, "exp_range" step_scale gamma. ignite's `LinearCyclicalScheduler` starts at the
    top. fairseq's `triangular` shrinks the peak, not the height of the wave. Not to be confused with
    `one_cycle`, a single rise and fall.

    References: Smith, 2017, "Cyclical Learning Rates", https://arxiv.org/abs/1506.01186

    >>> s = cyclic(0.0, 1.0, 2, cycle_scale=0.5)
    >>> [f"{s(t):.2f}" for t in range(9)]
    ['0.00', '0.50', '1.00', '0.50', '0.00', '0.25', '0.50', '0.25', '0.00']
    """
    steps_down = steps_up if steps_down is None else steps_down
    length = later(steps_up, steps_down)
    n = whole_periods(step, length)
    clock = step - n * length
    scale = cycle_scale ** as_float(n) * step_scale ** as_float(step)
    # The rise is over, and stays at 1, when the fall begins.
    risen, to_rise = shares(clock, steps_up)
    fallen, to_fall = shares(since(clock, steps_up), steps_down)
    wave, rest = risen * to_fall, to_rise + fallen
    # 1 - wave * scale = (1 - wave) + wave (1 - scale), a sum of two positive terms.
    return mix(base_value, peak_value, wave * scale, rest + wave * (1 - scale))


def _early_enough(pct_start, three_phase):
    if three_phase and pct_start >= 0.5:
        return "pct_start", "below 0.5 where there are three phases"


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

    with p = peak_value, T = total_steps, q = pct_start, d = div_factor and f = final_div_factor, each
    phase in the given shape: a rise reads it on progress, a fall on what remains. q T is a real number,
    not truncated. Negative steps count as step 0, where the value is p/d; from T on it is p/(d f).

    Args:
      peak_value: the highest rate, 0 or more.
      total_steps: the length of the whole in steps, positive; the last value is at total_steps.
      pct_start: the part of the whole in which it rises, in (0, 1); below 0.5 with three phases.
      div_factor: the peak divided by the first rate, positive.
      final_div_factor: the first rate divided by the last, positive.
      three_phase: whether the rate first falls back to where it started, as fast as it rose.
      shape: how each phase goes: "linear", "cosine" (other libraries have these two), "sqrt", "square"
        or a function from [0, 1] to [0, 1].

    Raises:
      TypeError, ValueError: a rate is negative or not finite, a length or factor not positive,
        pct_start out of range, or the shape unknown.

    Elsewhere: torch's `OneCycleLR` reaches its peak at q T - 1 and its end at T - 1:
    `one_cycle(p, T - 1, (q T - 1) / (T - 1))`. `optax.cosine_onecycle_schedule` truncates q T;
    `optax.linear_onecycle_schedule` has three phases. fastai ends at p / f. Not to be confused with
    `slanted_triangular`, which ends at its first rate.

    References: Smith and Topin, 2018, "Super-Convergence", https://arxiv.org/abs/1708.07120

    >>> [f"{one_cycle(1.0, 10)(t):.3f}" for t in range(0, 12, 2)]
    ['0.040', '0.760', '0.950', '0.611', '0.188', '0.000']
    """
    low, top = peak_value / div_factor, pct_start * total_steps
    # Each phase begins at the value that the one before holds from its end on.
    value = blend(low, peak_value, shape, *phase(step, 0, top))
    if three_phase:
        value = blend(low, value, shape, *phase(step, top, 2 * top)[::-1])
        top = 2 * top
    return blend(low / final_div_factor, value, shape, *phase(step, top, total_steps)[::-1])


@schedule
def slanted_triangular(
    step, peak_value: Rate, total_steps: Steps, cut_frac: Fraction = 0.1, ratio: Growth = 32.0
):
    """A short straight rise and a long straight fall, for fine-tuning: ULMFiT.

        p (1 + x (r - 1)) / r,    x = t / c                  before c = max(1, floor(q T)),
                                  x = 1 - (t - c) / (T - c)  from c on

    with t = step, p = peak_value, T = total_steps, q = cut_frac and r = ratio. Negative steps count as
    step 0. The value is p/r at step 0, exactly p at step c, and p/r from `total_steps` on.

    Args:
      peak_value: the highest rate, 0 or more.
      total_steps: the length of the whole in steps, positive.
      cut_frac: the part of the whole in which it rises, in (0, 1).
      ratio: the highest rate divided by the lowest, 1 or more.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the length not positive, cut_frac not
        in (0, 1), ratio below 1.

    Elsewhere: AllenNLP's 'slanted_triangular'. Not to be confused with `one_cycle`, which ends far
    below its start.

    References: Howard and Ruder, 2018, "ULMFiT", https://arxiv.org/abs/1801.06146

    >>> [f"{slanted_triangular(1.0, 20, ratio=10.0)(t):.2f}" for t in (0, 1, 2, 11, 20, 21)]
    ['0.10', '0.55', '1.00', '0.55', '0.10', '0.10']
    """
    # With low = p/r, p (1 + x (r - 1)) / r is low + (p - low) x.
    cut = jnp.maximum(whole_step(cut_frac * total_steps), 1)
    (risen, to_rise), (fallen, to_fall) = phase(step, 0, cut), phase(step, cut, total_steps)
    # The rise is over, and stays at 1, when the fall begins.
    return mix(peak_value / ratio, peak_value, risen * to_fall, to_rise + fallen)
