"""Recipes: named compositions of the rest, with nothing new inside."""

from typing import Any

import jax.numpy as jnp

from optax_sched._clock import delay, shift
from optax_sched._combine import cooldown, join, warmup
from optax_sched._decay import constant, cosine_decay, linear
from optax_sched._geometric import exponential
from optax_sched._hyper import Boundaries, Fraction, Positive, Rate, ShapeName, Steps, StepsOrZero
from optax_sched._kinds import Vector, is_traced
from optax_sched._power import inverse_sqrt_decay
from optax_sched._schedule import schedule
from optax_sched._shapes import mix, next_reached, reached, since


def _warmup_within_total(warmup_steps, total_steps):
    if not is_traced((warmup_steps, total_steps)) and warmup_steps > total_steps:
        return "warmup_steps", f"at most total_steps = {total_steps}"
    return None


@schedule(check=_warmup_within_total)
def warmup_cosine_decay(
    step,
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    total_steps: Steps,
    init_value: Rate = 0.0,
    end_value: Rate = 0.0,
):
    """A straight rise to a peak, and half a cosine wave down.

        join([linear(i, p, W), cosine_decay(p, T - W, e)], [W])

    with i = init_value, p = peak_value, W = warmup_steps, T = total_steps, e = end_value. Before step
    0 it is `init_value`, at W the peak, from T on `end_value`, to the bit.

    Args:
      peak_value: the highest rate, 0 or more.
      warmup_steps: the length of the rise in steps, 0 to total_steps.
      total_steps: the length of the whole in steps, the warm-up included; positive.
      init_value: the rate at step 0, 0 or more.
      end_value: the rate from `total_steps` on, 0 or more.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the lengths are out of range.

    Elsewhere: `optax.warmup_cosine_decay_schedule` (whose decay_steps is total_steps here), keras'
    `CosineDecay` with a warm-up (whose decay_steps is T - W), transformers' `cosine`.

    >>> [f"{warmup_cosine_decay(1.0, 2, 6)(t):.3f}" for t in range(8)]
    ['0.000', '0.500', '1.000', '0.854', '0.500', '0.146', '0.000', '0.000']
    """
    decay = cosine_decay(peak_value, total_steps - warmup_steps, end_value)
    return join([linear(init_value, peak_value, warmup_steps), decay], [warmup_steps])(step)


@schedule(check=_warmup_within_total)
def warmup_linear_decay(
    step,
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    total_steps: Steps,
    init_value: Rate = 0.0,
    end_value: Rate = 0.0,
):
    """A straight rise to a peak, and a straight fall; with `end_value=0` decay to zero, D2Z.

        join([linear(i, p, W), linear(p, e, T - W)], [W])

    with i = init_value, p = peak_value, W = warmup_steps, T = total_steps, e = end_value. Before step
    0 it is `init_value`, at W the peak, from T on `end_value`, to the bit.

    Args:
      peak_value: the highest rate, 0 or more.
      warmup_steps: the length of the rise in steps, 0 to total_steps.
      total_steps: the length of the whole in steps, the warm-up included; positive.
      init_value: the rate at step 0, 0 or more.
      end_value: the rate from `total_steps` on, 0 or more.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the lengths are out of range.

    Elsewhere: transformers' `linear`, fairseq's `polynomial_decay` of power 1, BERT's schedule.

    References: Bergsma et al., 2025, "Straight to Zero", https://arxiv.org/abs/2502.15938

    >>> [f"{warmup_linear_decay(1.0, 2, 6)(t):.2f}" for t in range(8)]
    ['0.00', '0.50', '1.00', '0.75', '0.50', '0.25', '0.00', '0.00']
    """
    decay = linear(peak_value, end_value, total_steps - warmup_steps)
    return join([linear(init_value, peak_value, warmup_steps), decay], [warmup_steps])(step)


def _timescale_known(warmup_steps, timescale):
    if timescale is None and not is_traced(warmup_steps) and warmup_steps == 0:
        return "warmup_steps", "positive where timescale is None"
    return None


@schedule(check=_timescale_known)
def warmup_inverse_sqrt_decay(
    step,
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    init_value: Rate = 0.0,
    timescale: Steps | None = None,
):
    """A straight rise to a peak, and then one over the square root of time.

        warmup(inverse_sqrt_decay(p, tau), W, i)

    with p = peak_value, tau = timescale, W = warmup_steps, i = init_value. Before step 0 it is
    `init_value`, at W the peak, to the bit; it has no end.

    Args:
      peak_value: the highest rate, 0 or more.
      warmup_steps: the length of the rise in steps, 0 or more.
      init_value: the rate at step 0, 0 or more.
      timescale: the steps after the peak in which the rate falls to 1 / sqrt(2); None for
        warmup_steps, which must then be positive.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, a length out of range.

    Elsewhere: transformers' and fairseq's `inverse_sqrt`, OLMo-core's `inv_sqrt_with_warmup`.

    >>> [f"{warmup_inverse_sqrt_decay(1.0, 2)(t):.3f}" for t in range(0, 9, 2)]
    ['0.000', '1.000', '0.707', '0.577', '0.500']
    """
    decay = inverse_sqrt_decay(peak_value, warmup_steps if timescale is None else timescale)
    return warmup(decay, warmup_steps, init_value)(step)


@schedule
def noam(step, d_model: Positive, warmup_steps: StepsOrZero, scale: Rate = 1.0):
    """The Transformer's schedule: a straight rise, then one over the square root of time.

        c d^(-1/2) min((t + 1)^(-1/2), (t + 1) W^(-3/2)),
        c = scale,  d = d_model,  W = warmup_steps

    The first update is number 1, as in the paper, so it is never 0. Before step 0 it is as at step 0;
    it has no end.

    Args:
      d_model: the width of the model, positive.
      warmup_steps: the length of the rise in steps, 0 or more.
      scale: a factor on the whole, 0 or more.

    Raises:
      TypeError, ValueError: the width is not positive, the steps or the scale negative or not finite.

    Elsewhere: Paddle's `NoamDecay`, AllenNLP's `noam`, praxis' `Transformer`.

    References: Vaswani et al., 2017, "Attention Is All You Need", https://arxiv.org/abs/1706.03762

    >>> [f"{noam(4, 4)(t):.4f}" for t in (0, 1, 3, 15)]
    ['0.0625', '0.1250', '0.2500', '0.1250']
    """
    timescale = jnp.maximum(warmup_steps, 1)
    peak_value = scale / jnp.sqrt(d_model * (timescale * 1.0))
    return shift(warmup_inverse_sqrt_decay(peak_value, timescale), 1)(step)


def _phases_within_total(warmup_steps, decay_steps, total_steps):
    known = not is_traced((warmup_steps, decay_steps, total_steps))
    if known and warmup_steps + decay_steps > total_steps:
        return "total_steps", f"at least warmup_steps + decay_steps = {warmup_steps + decay_steps}"
    return None


@schedule(check=_phases_within_total)
def wsd(
    step,
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    decay_steps: Steps,
    total_steps: Steps,
    init_value: Rate = 0.0,
    end_value: Rate = 0.0,
    shape: ShapeName = "sqrt",
):
    """Warmup-stable-decay: a straight rise, a long plain, and a short fall at the end.

        cooldown(warmup(p, W, i), T - D, D, e, shape)

    with p = peak_value, W = warmup_steps, i = init_value, T = total_steps, D = decay_steps, e =
    end_value. Before step 0 it is `init_value`, from T on `end_value`, to the bit.

    Args:
      peak_value: the rate of the plain, 0 or more.
      warmup_steps: the length of the rise in steps, 0 or more.
      decay_steps: the length of the fall in steps, positive.
      total_steps: the length of the whole in steps, at least warmup_steps + decay_steps.
      init_value: the rate at step 0, 0 or more.
      end_value: the rate from `total_steps` on, 0 or more.
      shape: how it falls: "sqrt" (1 - sqrt of progress), "linear", "cosine", "square" or a function.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the lengths are out of range, the shape
        unknown.

    Elsewhere: transformers' `warmup_stable_decay` (cosine by default), Megatron's and MaxText's WSD,
    levanter's `decay`, pytorch_optimizer's; the trapezoid schedule; knee with a linear fall.

    References: Hu et al., 2024, "MiniCPM", https://arxiv.org/abs/2404.06395; Hagele et al., 2024,
    https://arxiv.org/abs/2405.18392

    >>> [f"{wsd(1.0, 2, 4, 8)(t):.3f}" for t in range(0, 10)]
    ['0.000', '0.500', '1.000', '1.000', '1.000', '0.500', '0.293', '0.134', '0.000', '0.000']
    """
    stable = warmup(constant(peak_value), warmup_steps, init_value)
    return cooldown(stable, total_steps - decay_steps, decay_steps, end_value, shape)(step)


def _decays_apart(warmup_steps, budgets: Vector, decay_fraction):
    if is_traced((warmup_steps, budgets, decay_fraction)) or not len(budgets):
        return None if len(budgets) else ("budgets", "one step or more")
    before = float(warmup_steps)
    for budget in map(float, budgets.array):
        if budget * (1 - float(decay_fraction)) < before * (1 - 1e-6):
            return "budgets", "so far apart that each decay begins after what comes before it"
        before = budget
    return None


@schedule(check=_decays_apart)
def wsd_cycles(
    step,
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    budgets: Boundaries,
    decay_fraction: Fraction = 0.1,
    end_value: Rate = 0.0,
    shape: ShapeName = "linear",
):
    """WSD-S: a plain with a fall at the end of each budget, and straight back to the plain after it.

        e + (warmup(p, W)(t) - e) f((b - t) / (q b))   for b - q b <= t < b,  b in budgets
        warmup(p, W)(t)                                elsewhere before the last budget
        e                                              from the last budget on

    with p = peak_value, W = warmup_steps, q = decay_fraction, e = end_value, f = shape. q b is a real
    number, not rounded. Before step 0 it is 0.

    Args:
      peak_value: the rate of the plain, 0 or more.
      warmup_steps: the length of the rise from 0, in steps, 0 or more.
      budgets: the steps at which a fall ends, positive and increasing, shape [n].
      decay_fraction: the length of each fall as a part of its budget, in (0, 1).
      end_value: the rate at the end of each fall, 0 or more.
      shape: how it falls, read on what remains.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the budgets are not increasing or too
        near one another, the fraction not in (0, 1), the shape unknown.

    Elsewhere: OLMo-core's `wsds`, levanter's `cycles` with `rewarmup` 0.

    References: Wen et al., 2024, "Understanding Warmup-Stable-Decay", https://arxiv.org/abs/2410.05192

    >>> [f"{wsd_cycles(1.0, 2, [10, 20], 0.2)(t):.2f}" for t in (1, 2, 8, 9, 10, 16, 18, 20)]
    ['0.50', '1.00', '1.00', '0.50', '1.00', '1.00', '0.50', '0.00']
    """
    budget = next_reached(step, boundaries := jnp.asarray(budgets))
    stable = warmup(constant(peak_value), warmup_steps)(step)
    left = since(budget, step) / (decay_fraction * budget)
    falling = left < 1
    x = jnp.where(falling, left, 1.0)
    weights: Any = shape
    value = mix(end_value, stable, *weights(x, 1 - x))
    return jnp.where(reached(step, jnp.max(boundaries)), end_value, value)


def _anneal_after_cooldown(warmup_steps, cooldown_steps, anneal_start):
    known = not is_traced((warmup_steps, cooldown_steps, anneal_start))
    if known and anneal_start < warmup_steps + cooldown_steps:
        return (
            "anneal_start",
            f"at least warmup_steps + cooldown_steps = {warmup_steps + cooldown_steps}",
        )
    return None


@schedule(check=_anneal_after_cooldown)
def infinite(
    step,
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    cooldown_steps: Steps,
    stable_value: Rate,
    anneal_start: StepsOrZero,
    anneal_steps: Steps,
    end_value: Rate = 0.0,
    shape: ShapeName = "cosine",
):
    """A rise, a fall to a plain that may last for ever, and a fall to the end when it is wanted.

        cooldown(warmup(cooldown(p, 0, C, s, shape), W), A, N, e, shape)

    with p = peak_value, C = cooldown_steps, s = stable_value, W = warmup_steps, A = anneal_start, N =
    anneal_steps, e = end_value. Before step 0 it is 0, from A + N on `end_value`, to the bit.

    Args:
      peak_value: the highest rate, 0 or more.
      warmup_steps: the length of the rise from 0, in steps, 0 or more.
      cooldown_steps: the length of the fall to the plain, from the end of the rise, positive.
      stable_value: the rate of the plain, 0 or more.
      anneal_start: the step at which the last fall begins, at least warmup_steps + cooldown_steps.
      anneal_steps: its length in steps, positive.
      end_value: the rate it ends at, 0 or more.
      shape: how both fall, read on what remains.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the lengths are out of range, the shape
        unknown.

    Elsewhere: gpt-neox's infinite learning rates.

    References: Ibrahim et al., 2024, "Simple and Scalable Strategies to Continually Pre-train",
    https://arxiv.org/abs/2403.08763

    >>> s = infinite(1.0, 2, 4, 0.5, anneal_start=10, anneal_steps=4, shape="linear")
    >>> [f"{s(t):.3f}" for t in (0, 1, 2, 4, 6, 10, 12, 14)]
    ['0.000', '0.500', '1.000', '0.750', '0.500', '0.500', '0.250', '0.000']
    """
    fall = cooldown(constant(peak_value), 0, cooldown_steps, stable_value, shape)
    return cooldown(warmup(fall, warmup_steps), anneal_start, anneal_steps, end_value, shape)(step)


@schedule
def tri_stage(
    step,
    peak_value: Positive,
    warmup_steps: StepsOrZero,
    hold_steps: StepsOrZero,
    decay_steps: Steps,
    init_scale: Rate = 0.01,
    final_scale: Positive = 0.01,
):
    """A straight rise, a plain, and an exponential fall, for speech recognition.

        warmup(delay(exponential(p, p f, D), H), W, p a)

    with p = peak_value, f = final_scale, D = decay_steps, H = hold_steps, W = warmup_steps, a =
    init_scale. Before step 0 it is p a, from W + H + D on p f.

    Args:
      peak_value: the rate of the plain, positive.
      warmup_steps: the length of the rise in steps, 0 or more.
      hold_steps: the length of the plain in steps, 0 or more.
      decay_steps: the length of the fall in steps, positive.
      init_scale: the first rate as a part of the peak, 0 or more.
      final_scale: the last rate as a part of the peak, positive.

    Raises:
      TypeError, ValueError: a value is out of range.

    Elsewhere: fairseq's `tri_stage`, praxis' `LinearRampupExponentialDecay`.

    References: Park et al., 2019, "SpecAugment", https://arxiv.org/abs/1904.08779

    >>> s = tri_stage(1.0, 2, 2, 2)
    >>> [f"{s(t):.3f}" for t in range(8)]
    ['0.010', '0.505', '1.000', '1.000', '1.000', '0.100', '0.010', '0.010']
    """
    fall = exponential(peak_value, peak_value * final_scale, decay_steps)
    return warmup(delay(fall, hold_steps), warmup_steps, peak_value * init_scale)(step)


def _explored_within_total(warmup_steps, explore_steps, total_steps):
    known = not is_traced((warmup_steps, explore_steps, total_steps))
    if known and warmup_steps + explore_steps > total_steps:
        return "total_steps", f"at least warmup_steps + explore_steps = {warmup_steps + explore_steps}"
    return None


@schedule(check=_explored_within_total)
def knee(
    step, peak_value: Rate, warmup_steps: StepsOrZero, explore_steps: StepsOrZero, total_steps: Steps
):
    """Explore at a high rate to find a wide minimum, then go straight down to 0 into it.

        cooldown(warmup(p, W), W + E, T - W - E)

    with p = peak_value, W = warmup_steps, E = explore_steps, T = total_steps. Before step 0 it is 0,
    from T on 0, to the bit.

    Args:
      peak_value: the rate of the plain, 0 or more.
      warmup_steps: the length of the rise from 0, in steps, 0 or more.
      explore_steps: the length of the plain in steps, 0 or more.
      total_steps: the length of the whole in steps, at least warmup_steps + explore_steps.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the lengths are out of range.

    Elsewhere: `wsd` with shape="linear" is the same curve, counted from the end. The reference code
    counts updates from 1: `shift(knee(...), 1)`.

    References: Iyer et al., 2020, "Wide-minima Density Hypothesis", https://arxiv.org/abs/2003.03977

    >>> [f"{knee(1.0, 2, 2, 8)(t):.2f}" for t in range(9)]
    ['0.00', '0.50', '1.00', '1.00', '1.00', '0.75', '0.50', '0.25', '0.00']
    """
    explored = warmup_steps + explore_steps
    stable = warmup(constant(peak_value), warmup_steps)
    return cooldown(stable, explored, total_steps - explored)(step)
