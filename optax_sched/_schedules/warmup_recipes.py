"""Recipes with a warm-up and a decay: each composes other schedules, with nothing new inside."""

import jax.numpy as jnp

from optax_sched._core.formula import at_most, peak_falls, start_below_peak
from optax_sched._core.recipe import recipe
from optax_sched._core.schedule import schedule
from optax_sched._core.words import Positive, Rate, Steps, StepsOrZero
from optax_sched._schedules.combine import join, warmup
from optax_sched._schedules.decays import cosine_decay, linear
from optax_sched._schedules.power_laws import inverse_sqrt_decay
from optax_sched._schedules.retime import shift

_warmup_fits = at_most("warmup_steps", "total_steps")


@recipe(check=[_warmup_fits, start_below_peak, peak_falls])
def warmup_cosine_decay(
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    total_steps: Steps,
    init_value: Rate = 0.0,
    end_value: Rate = 0.0,
):
    """A straight rise to a peak, and half a cosine wave down.

        join([linear(i, p, W), cosine_decay(p, T - W, e)], [W])

    with i = init_value, p = peak_value, W = warmup_steps, T = total_steps and e = end_value. Negative
    steps count as step 0. The value is exactly `init_value` at step 0, exactly `peak_value` at W, and
    exactly `end_value` from T on.

    Args:
      peak_value: the highest rate, 0 or more.
      warmup_steps: the length of the rise in steps, 0 to total_steps.
      total_steps: the length of the whole in steps, the warm-up included; positive.
      init_value: the rate at step 0, 0 or more.
      end_value: the rate from `total_steps` on, 0 to peak_value.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, or a length
        is out of range.

    Elsewhere: `optax.warmup_cosine_decay_schedule` (whose decay_steps is total_steps here), keras'
    `CosineDecay` with a warm-up (whose decay_steps is T - W), transformers' `cosine`. Not to be
    confused with `warmup(cosine_decay(p, T), W)`, which is W steps longer.

    References: Loshchilov and Hutter, 2017, "SGDR", https://arxiv.org/abs/1608.03983; Goyal et al.,
    2017, "Accurate, Large Minibatch SGD", https://arxiv.org/abs/1706.02677

    >>> [f"{warmup_cosine_decay(1.0, 2, 6)(t):.3f}" for t in range(8)]
    ['0.000', '0.500', '1.000', '0.854', '0.500', '0.146', '0.000', '0.000']
    """
    decay = cosine_decay(peak_value, total_steps - warmup_steps, end_value)
    return join([linear(init_value, peak_value, warmup_steps), decay], [warmup_steps])


@recipe(check=[_warmup_fits, start_below_peak, peak_falls])
def warmup_linear_decay(
    peak_value: Rate,
    warmup_steps: StepsOrZero,
    total_steps: Steps,
    init_value: Rate = 0.0,
    end_value: Rate = 0.0,
):
    """A straight rise to a peak, and a straight fall; with `end_value=0` it is "decay to zero", D2Z.

        join([linear(i, p, W), linear(p, e, T - W)], [W])

    with i = init_value, p = peak_value, W = warmup_steps, T = total_steps and e = end_value. Negative
    steps count as step 0. The value is exactly `init_value` at step 0, exactly `peak_value` at W, and
    exactly `end_value` from T on.

    Args:
      peak_value: the highest rate, 0 or more.
      warmup_steps: the length of the rise in steps, 0 to total_steps.
      total_steps: the length of the whole in steps, the warm-up included; positive.
      init_value: the rate at step 0, 0 or more.
      end_value: the rate from `total_steps` on, 0 to peak_value.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, the end above the start, or a length
        is out of range.

    Elsewhere: transformers' 'linear', fairseq's 'polynomial_decay' of power 1, BERT's schedule. Not to
    be confused with `slanted_triangular`, which does not fall to 0.

    References: Bergsma et al., 2025, "Straight to Zero", https://arxiv.org/abs/2502.15938

    >>> [f"{warmup_linear_decay(1.0, 2, 6)(t):.2f}" for t in range(8)]
    ['0.00', '0.50', '1.00', '0.75', '0.50', '0.25', '0.00', '0.00']
    """
    decay = linear(peak_value, end_value, total_steps - warmup_steps)
    return join([linear(init_value, peak_value, warmup_steps), decay], [warmup_steps])


def _timescale_known(warmup_steps, timescale):
    if timescale is None and warmup_steps == 0:
        return "warmup_steps", "positive where timescale is None"


@recipe(check=[_timescale_known, start_below_peak])
def warmup_inverse_sqrt_decay(
    peak_value: Rate, warmup_steps: StepsOrZero, init_value: Rate = 0.0, timescale: Steps | None = None
):
    """A straight rise to a peak, and then one over the square root of time.

        warmup(inverse_sqrt_decay(p, tau), W, i)

    with p = peak_value, tau = timescale, W = warmup_steps and i = init_value. Negative steps count as
    step 0. The value is exactly `init_value` at step 0, and exactly `peak_value` at W. The decay has no
    end.

    Args:
      peak_value: the highest rate, 0 or more.
      warmup_steps: the length of the rise in steps, 0 or more.
      init_value: the rate at step 0, 0 or more.
      timescale: the steps after the peak in which the rate falls to 1 / sqrt(2) of it. None takes
        warmup_steps, which must then be positive.

    Raises:
      TypeError, ValueError: a rate is negative or not finite, or a length is out of range.

    Elsewhere: transformers' and fairseq's `inverse_sqrt`, OLMo-core's `inv_sqrt_with_warmup`. Not to be
    confused with `noam`, whose peak follows from the width of the model.

    References: Vaswani et al., 2017, "Attention Is All You Need", https://arxiv.org/abs/1706.03762

    >>> [f"{warmup_inverse_sqrt_decay(1.0, 2)(t):.3f}" for t in range(0, 9, 2)]
    ['0.000', '1.000', '0.707', '0.577', '0.500']
    """
    decay = inverse_sqrt_decay(peak_value, warmup_steps if timescale is None else timescale)
    return warmup(decay, warmup_steps, init_value)


@schedule
def noam(step, d_model: Positive, warmup_steps: StepsOrZero, scale: Rate = 1.0):
    """The Transformer's schedule: a straight rise, then one over the square root of time.

        c d^(-1/2) min((t + 1)^(-1/2), (t + 1) W^(-3/2))

    with t = step, c = scale, d = d_model and W = warmup_steps. The first update has number 1, as in the
    paper, so the rate is never 0 (unless `scale` is). Negative steps count as step 0. The decay has no
    end.

    Args:
      d_model: the width of the model, positive.
      warmup_steps: the length of the rise in steps, 0 or more.
      scale: a factor on the whole, 0 or more.

    Raises:
      TypeError, ValueError: the width is not positive, or the steps or the scale are negative or not
        finite.

    Elsewhere: Paddle's `NoamDecay`, AllenNLP's 'noam', praxis' `Transformer`. Not to be confused with
    `warmup_inverse_sqrt_decay`, where you give the peak itself.

    References: Vaswani et al., 2017, "Attention Is All You Need", https://arxiv.org/abs/1706.03762

    >>> [f"{noam(4, 4)(t):.4f}" for t in (0, 1, 3, 15)]
    ['0.0625', '0.1250', '0.2500', '0.1250']
    """
    # At t + 1 = W both terms of the minimum are the peak p = c (d W)^(-1/2). Before, the minimum is the
    # line p (t + 1) / W; after, it is p sqrt(W / (t + 1)). So on the clock t + 1 this is a warm-up of W
    # steps and an inverse square root of timescale W. W = 1 gives the curve of W = 0.
    timescale = jnp.maximum(warmup_steps, 1)
    peak_value = scale / jnp.sqrt(d_model * (timescale * 1.0))
    return shift(warmup_inverse_sqrt_decay(peak_value, timescale), 1)(step)
