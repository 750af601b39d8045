"""Recipes with a stable phase: a rise, a long time at one rate, and a fall at the end."""

import jax.numpy as jnp

from optax_sched._core.formula import falls, holds_all, peak_falls, start_below_peak
from optax_sched._core.operands import constant
from optax_sched._core.recipe import recipe
from optax_sched._core.schedule import schedule
from optax_sched._core.shapes import ShapeName
from optax_sched._core.words import Boundaries, Factor, Fraction, Positive, Rate, Steps, StepsOrZero
from optax_sched._math.phases import next_reached, phase, reached
from optax_sched._math.shapes import blend
from optax_sched._schedules.combine import cooldown, warmup
from optax_sched._schedules.decays import exponential
from optax_sched._schedules.retime import delay


@recipe(check=[start_below_peak, peak_falls, holds_all("total_steps", "warmup_steps", "decay_steps")])
def wsd(
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    decay_steps: Steps,
    total_steps: Steps,
    init_value: Rate = 0.0,
    end_value: Rate = 0.0,
    shape: ShapeName = "sqrt",
):
    """Warmup-stable-decay: a straight rise, a long stable phase, and a short fall at the end.

        cooldown(warmup(p, W, i), T - D, D, e, shape)

    with p = peak_value, W = warmup_steps, i = init_value, T = total_steps, D = decay_steps and e =
    end_value. Negative steps count as step 0. The value is exactly `init_value` at step 0, exactly
    `peak_value` from W to T - D, and exactly `end_value` from T on.

    Args:
      peak_value: the rate of the stable phase, 0 or more.
      warmup_steps: the length of the rise in steps, 0 or more.
      decay_steps: the length of the fall in steps, positive.
      total_steps: the length of the whole in steps, at least warmup_steps + decay_steps.
      init_value: the rate at step 0, 0 or more.
      end_value: the rate from `total_steps` on, 0 to peak_value.
      shape: how it falls: "sqrt" (1 - sqrt of progress), "linear", "cosine", "square" or a function
        from [0, 1] to [0, 1], read on what remains.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, a length is
        out of range, or the shape is unknown.

    By default it falls by 1 - sqrt, which is best for a short fall (up to about 40 % of the run);
    `cooldown` falls in a straight line by default, which is best for a long one.

    Elsewhere: transformers' `warmup_stable_decay` (cosine by default), Megatron's and MaxText's WSD,
    levanter's `decay`, pytorch_optimizer's WSD, the "trapezoid" schedule. With shape="linear" it is
    `knee`, counted from the end. Not to be confused with `wsd_cycles` (WSD-S), which goes on after a
    fall.

    References: Hu et al., 2024, "MiniCPM", https://arxiv.org/abs/2404.06395; Hagele et al., 2024,
    https://arxiv.org/abs/2405.18392

    >>> [f"{wsd(1.0, 2, 4, 8)(t):.3f}" for t in range(0, 10)]
    ['0.000', '0.500', '1.000', '1.000', '1.000', '0.500', '0.293', '0.134', '0.000', '0.000']
    """
    stable = warmup(constant(peak_value), warmup_steps, init_value)
    return cooldown(stable, total_steps - decay_steps, decay_steps, end_value, shape)


def _one_budget_at_least(budgets):
    return None if len(budgets) else ("budgets", "a sequence of one or more steps")


def _decays_apart(warmup_steps, budgets, decay_fraction):
    before = float(warmup_steps)
    for budget in map(float, budgets):
        if budget * (1 - float(decay_fraction)) < before * (1 - 1e-6):
            rule = "so far apart that the first decay begins after the warm-up"
            return "budgets", f"{rule}, and every later one after the previous budget"
        before = budget


@schedule(check=[peak_falls, _one_budget_at_least, _decays_apart])
def wsd_cycles(
    step,
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    budgets: Boundaries,
    decay_fraction: Fraction = 0.1,
    end_value: Rate = 0.0,
    shape: ShapeName = "linear",
):
    """WSD-S: a stable phase that falls at the end of each budget, and jumps back up after it.

        e + (warmup(p, W)(t) - e) f((b - t) / (q b))   for b - q b <= t < b,  b in budgets
        warmup(p, W)(t)                                elsewhere before the last budget
        e                                              from the last budget on

    with t = step, p = peak_value, W = warmup_steps, q = decay_fraction, e = end_value and f = shape.
    The length q b is a real number, not rounded. Negative steps count as step 0, where the value is 0
    if there is a warm-up.

    Args:
      peak_value: the rate of the stable phase, 0 or more.
      warmup_steps: the length of the rise from 0, in steps, 0 or more.
      budgets: the steps at which a fall ends, positive and increasing, shape [n].
      decay_fraction: the length of each fall as a part of its budget, in (0, 1).
      end_value: the rate at the end of each fall, 0 to peak_value.
      shape: how it falls: "linear", "cosine", "sqrt", "square" or a function from [0, 1] to [0, 1],
        read on what remains.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, the budgets
        are not increasing or too near one another, the fraction is not in (0, 1), or the shape is
        unknown.

    Elsewhere: OLMo-core's `wsds`, levanter's `cycles` with `rewarmup` 0. Not to be confused with
    `cosine_restarts`, which has no stable phase.

    References: Wen et al., 2024, "Understanding Warmup-Stable-Decay", https://arxiv.org/abs/2410.05192

    >>> [f"{wsd_cycles(1.0, 2, [10, 20], 0.2)(t):.2f}" for t in (1, 2, 8, 9, 10, 16, 18, 20)]
    ['0.50', '1.00', '1.00', '0.50', '1.00', '1.00', '0.50', '0.00']
    """
    budget = next_reached(step, boundaries := jnp.asarray(budgets))
    stable = warmup(constant(peak_value), warmup_steps)(step)
    fallen, left = phase(step, budget - decay_fraction * budget, budget)
    value = blend(end_value, stable, shape, left, fallen)
    return jnp.where(reached(step, jnp.max(boundaries)), end_value, value)


_TWO_FALLS = falls("peak_value", "stable_value"), falls("stable_value", "end_value")


@recipe(check=[*_TWO_FALLS, holds_all("anneal_start", "warmup_steps", "cooldown_steps")])
def infinite(
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    cooldown_steps: Steps,
    stable_value: Rate,
    anneal_start: StepsOrZero,
    anneal_steps: Steps,
    end_value: Rate = 0.0,
    shape: ShapeName = "cosine",
):
    """A rise, a fall to a stable phase of any length, and a last fall when you want to finish.

        cooldown(warmup(cooldown(p, 0, C, s, shape), W), A, N, e, shape)

    with p = peak_value, C = cooldown_steps, s = stable_value, W = warmup_steps, A = anneal_start, N =
    anneal_steps and e = end_value. Negative steps count as step 0, where the value is 0 if there is a
    warm-up. From W + C to A it is exactly `stable_value`, and from A + N on exactly `end_value`.

    Args:
      peak_value: the highest rate, 0 or more.
      warmup_steps: the length of the rise from 0, in steps, 0 or more.
      cooldown_steps: the length in steps of the fall to the stable phase, from the end of the rise,
        positive.
      stable_value: the rate of the stable phase, 0 to peak_value.
      anneal_start: the step at which the last fall begins, at least warmup_steps + cooldown_steps.
      anneal_steps: the length of the last fall in steps, positive.
      end_value: the rate from anneal_start + anneal_steps on, 0 to stable_value.
      shape: how both falls go: "linear", "cosine", "sqrt", "square" or a function from [0, 1] to
        [0, 1], read on what remains.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, a length is
        out of range, or the shape is unknown.

    Elsewhere: gpt-neox's infinite learning rates. Not to be confused with `wsd`, whose stable phase is
    at the peak.

    References: Ibrahim et al., 2024, "Simple and Scalable Strategies to Continually Pre-train",
    https://arxiv.org/abs/2403.08763

    >>> s = infinite(1.0, 2, 4, 0.5, anneal_start=10, anneal_steps=4, shape="linear")
    >>> [f"{s(t):.3f}" for t in (0, 1, 2, 4, 6, 10, 12, 14)]
    ['0.000', '0.500', '1.000', '0.750', '0.500', '0.500', '0.250', '0.000']
    """
    fall = cooldown(constant(peak_value), 0, cooldown_steps, stable_value, shape)
    return cooldown(warmup(fall, warmup_steps), anneal_start, anneal_steps, end_value, shape)


@recipe
def tri_stage(
    peak_value: Positive,
    warmup_steps: StepsOrZero,
    hold_steps: StepsOrZero,
    decay_steps: Steps,
    init_scale: Rate = 0.01,
    final_scale: Factor = 0.01,
):
    """A straight rise, a stable phase, and an exponential fall, as used in speech recognition.

        warmup(delay(exponential(p, p f, D), H), W, p a)

    with p = peak_value, f = final_scale, D = decay_steps, H = hold_steps, W = warmup_steps and a =
    init_scale. Negative steps count as step 0, where the value is p a. From W + H + D on it is p f.

    Args:
      peak_value: the rate of the stable phase, positive.
      warmup_steps: the length of the rise in steps, 0 or more.
      hold_steps: the length of the stable phase in steps, 0 or more.
      decay_steps: the length of the fall in steps, positive.
      init_scale: the first rate as a part of the peak, 0 or more.
      final_scale: the last rate as a part of the peak, in (0, 1].

    Raises:
      TypeError, ValueError: a value is out of range.

    Elsewhere: fairseq's 'tri_stage', praxis' `LinearRampupExponentialDecay`. Not to be confused with
    `wsd`, whose fall is not exponential.

    References: Park et al., 2019, "SpecAugment", https://arxiv.org/abs/1904.08779

    >>> s = tri_stage(1.0, 2, 2, 2)
    >>> [f"{s(t):.3f}" for t in range(8)]
    ['0.010', '0.505', '1.000', '1.000', '1.000', '0.100', '0.010', '0.010']
    """
    fall = exponential(peak_value, peak_value * final_scale, decay_steps)
    return warmup(delay(fall, hold_steps), warmup_steps, peak_value * init_scale)


@recipe(check=holds_all("total_steps", "warmup_steps", "explore_steps"))
def knee(peak_value: Rate, warmup_steps: StepsOrZero, explore_steps: StepsOrZero, total_steps: Steps):
    """Explore at a high rate to find a wide minimum, then go straight down to 0 into it.

        cooldown(warmup(p, W), W + E, T - W - E)

    with p = peak_value, W = warmup_steps, E = explore_steps and T = total_steps. Negative steps count
    as step 0, where the value is 0 if there is a warm-up. It is exactly `peak_value` from W to W + E,
    and exactly 0 from T on.

    Args:
      peak_value: the rate of the stable phase, 0 or more.
      warmup_steps: the length of the rise from 0, in steps, 0 or more.
      explore_steps: the length of the stable phase in steps, 0 or more.
      total_steps: the length of the whole in steps, at least warmup_steps + explore_steps.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, or a length is out of range.

    Elsewhere: the authors' code counts updates from 1: `shift(knee(...), 1)`. `wsd` with shape="linear"
    is the same curve, with the fall counted from the end.

    References: Iyer et al., 2020, "Wide-minima Density Hypothesis", https://arxiv.org/abs/2003.03977

    >>> [f"{knee(1.0, 2, 2, 8)(t):.2f}" for t in range(9)]
    ['0.00', '0.50', '1.00', '1.00', '1.00', '0.75', '0.50', '0.25', '0.00']
    """
    explored = warmup_steps + explore_steps
    stable = warmup(constant(peak_value), warmup_steps)
    return cooldown(stable, explored, total_steps - explored)
