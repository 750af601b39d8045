"""Combinators: schedules in, schedule out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from optax_sched._core.domains import default_float, is_key
from optax_sched._core.formula import at_most
from optax_sched._core.operands import Operand, Operands, Parts
from optax_sched._core.schedule import schedule as decorate
from optax_sched._core.shapes import ShapeName
from optax_sched._core.words import Boundaries, CountOrZero, Key, Noise, Rate, Real, Steps, StepsOrZero
from optax_sched._math.phases import clock_since, last_reached, reached, shares, whole_step
from optax_sched._math.shapes import blend


def _one_boundary_less(schedules: Parts, boundaries):
    if len(boundaries) != len(schedules) - 1:
        return "boundaries", f"one fewer than the {len(schedules)} schedules"


@decorate(check=_one_boundary_less)
def join(step, schedules: Operands, boundaries: Boundaries):
    """One schedule after another, each on its own clock from its boundary on.

        s_k(t - b_k),    k = the number of boundaries <= t

    with t = step, s_0, s_1, ... the schedules, b_0 = 0 and b_1, b_2, ... the boundaries. A boundary
    belongs to the new part. Negative steps count as step 0. The last part goes on without end. Parts
    that are not active are evaluated at their own step 0 only, so nothing of them leaks into the value
    or the gradient. Parts of equal structure cost one formula, however many there are.

    Args:
      schedules: one or more schedules, functions of the step, or numbers (constants).
      boundaries: the steps at which the next part begins, positive and strictly increasing; one
        fewer than `schedules`.

    Raises:
      TypeError, ValueError: there is no schedule, the boundaries are not positive and increasing, or
        there is not one boundary fewer than schedules.

    Elsewhere: `optax.join_schedules` (which evaluates every part, and drops parts where boundaries
    are too few), torch's `SequentialLR`, ignite's `ConcatScheduler`, init2winit's `concatenate`. Not to
    be confused with `select`, which keeps one schedule for all steps.

    >>> import optax_sched
    >>> s = join([optax_sched.linear(0.0, 1.0, 2), 0.5, optax_sched.linear(0.5, 0.0, 2)], [2, 4])
    >>> [f"{s(t):.2f}" for t in range(7)]
    ['0.00', '0.50', '0.50', '0.50', '0.50', '0.25', '0.00']
    """
    clock, index = clock_since(step, last_reached(step, boundaries)), jnp.sum(reached(step, boundaries))
    return schedules.value_at(index, lambda active: jnp.where(active, clock, 0))


@decorate
def warmup(
    step,
    schedule: Operand,
    warmup_steps: StepsOrZero,
    init_value: Rate = 0.0,
    shape: ShapeName = "linear",
):
    """A rise to where a schedule starts, and then that schedule on its own clock.

        i + (s(0) - i) f(t / W)  before W,    s(t - W)  from W on

    with t = step, s = schedule, W = warmup_steps, i = init_value and f = shape. Negative steps count as
    step 0. The value is exactly `init_value` at step 0, and exactly `schedule(0)` at `warmup_steps`.

    Args:
      schedule: what follows; a schedule, a function of the step, or a number (a constant).
      warmup_steps: the length of the rise in steps; 0 gives the schedule itself.
      init_value: the rate at step 0, 0 or more.
      shape: how it rises: "linear" x, "cosine" sin^2(pi x/2), "sqrt" 1 - sqrt(1 - x), "square"
        1 - (1 - x)^2, or a function from [0, 1] to [0, 1].

    Raises:
      TypeError, ValueError: `warmup_steps` or `init_value` is negative or not finite, the shape is
        unknown.

    Elsewhere: the first half of optax's `warmup_*` schedules, Paddle's `LinearWarmup`, timm's
    `warmup_t` with `warmup_prefix`, transformers' `*_with_warmup`. Some peers never use the rate 0:
    they start at 1/W, here `shift(warmup(...), 1)`. `warmup_steps` comes on top of the schedule's own
    length, while `total_steps` of `warmup_cosine_decay` includes its warm-up.

    References: Goyal et al., 2017, "Accurate, Large Minibatch SGD", https://arxiv.org/abs/1706.02677

    >>> import optax_sched
    >>> s = warmup(optax_sched.linear(1.0, 0.0, 4), 2)
    >>> [f"{s(t):.2f}" for t in range(8)]
    ['0.00', '0.50', '1.00', '0.75', '0.50', '0.25', '0.00', '0.00']
    """
    # One evaluation serves both phases: during the rise the schedule's own clock still stands at 0.
    first = schedule(clock_since(step, warmup_steps))
    return blend(init_value, first, shape, *shares(step, warmup_steps))


@decorate
def cooldown(
    step,
    schedule: Operand,
    start: StepsOrZero,
    cooldown_steps: Steps,
    end_value: Rate = 0.0,
    shape: ShapeName = "linear",
):
    """A schedule until `start`, and then down from its value there.

        s(t)  before S,    e + (s(S) - e) f(1 - min(t - S, C) / C)  from S on

    with t = step, s = schedule, S = start, C = cooldown_steps, e = end_value and f = shape. Negative
    steps count as step 0. From S + C on the value is exactly `end_value`. `start` is a leaf: you can
    branch a cooldown off a running job without a new trace.

    Args:
      schedule: what comes first; a schedule, a function of the step, or a number (a constant).
      start: the step at which the cooldown begins, 0 or more.
      cooldown_steps: the length of the cooldown in steps, positive.
      end_value: the rate at the end, 0 or more.
      shape: how it falls, read on what remains: "linear", "cosine", "sqrt" (the 1-sqrt cooldown),
        "square", or a function from [0, 1] to [0, 1].

    Raises:
      TypeError, ValueError: a rate or the start is negative or not finite, the length not positive,
        the shape unknown.

    By default it falls in a straight line: best where it lasts for half of the run or more, and good
    from any schedule. `wsd`, whose fall is short, falls by 1 - sqrt by default.

    Elsewhere: the last phase of warmup-stable-decay schedules; OLMo-core's `override_decay`;
    big_vision's `cooldown_steps`, there a factor on a decay that goes on meanwhile. Not to be
    confused with the `cooldown` of `plateau`, a number of observations.

    References: Hagele et al., 2024, "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
    Durations", https://arxiv.org/abs/2405.18392

    >>> [f"{cooldown(1.0, 2, 4)(t):.2f}" for t in range(8)]
    ['1.00', '1.00', '1.00', '0.75', '0.50', '0.25', '0.00', '0.00']
    """
    begun = reached(step, start)
    value = schedule(jnp.where(begun, start, step))
    clock = clock_since(step, start)
    z, u = shares(clock, cooldown_steps)
    # With cooldown_steps = 0 (a recipe can produce that) u is 0 even before `start`.
    return jnp.where(begun, blend(end_value, value, shape, u, z), value)


@decorate
def minimum(step, *schedules: Operands):
    """The least of several schedules at each step, all on the same clock.

        min(s_1(t), s_2(t), ...)

    with t = step and s_1, s_2, ... the schedules. Negative steps count as step 0.

    Args:
      *schedules: one or more schedules, functions of the step, or numbers.

    Raises:
      TypeError, ValueError: there is no schedule, or one of them is something else.

    Elsewhere: fairseq's and tensor2tensor's schedules are minima of a rise and a decay. Not to be
    confused with `clip`, whose bounds are two numbers.

    >>> import optax_sched
    >>> s = minimum(optax_sched.linear(1.0, 0.0, 4), 0.6)
    >>> [f"{s(t):.2f}" for t in range(5)]
    ['0.60', '0.60', '0.50', '0.25', '0.00']
    """
    return functools.reduce(jnp.minimum, [s(step) for s in schedules])


@decorate
def maximum(step, *schedules: Operands):
    """The greatest of several schedules at each step, all on the same clock.

        max(s_1(t), s_2(t), ...)

    with t = step and s_1, s_2, ... the schedules. Negative steps count as step 0.

    Args:
      *schedules: one or more schedules, functions of the step, or numbers.

    Raises:
      TypeError, ValueError: there is no schedule, or one of them is something else.

    Elsewhere: the `min_lr` of many peers is `maximum(schedule, min_lr)`. Not to be confused with
    `clip`, whose bounds are two numbers.

    >>> import optax_sched
    >>> s = maximum(optax_sched.linear(1.0, 0.0, 4), 0.3)
    >>> [f"{s(t):.2f}" for t in range(5)]
    ['1.00', '0.75', '0.50', '0.30', '0.30']
    """
    return functools.reduce(jnp.maximum, [s(step) for s in schedules])


def _index_in_range(index, schedules: Parts):
    if int(index) >= len(schedules):
        return "index", f"below the number of schedules, {len(schedules)}"


@decorate(check=_index_in_range)
def select(step, index: CountOrZero, schedules: Operands):
    """One of several schedules, by number, so that different families fit one batch.

        s_k(t)

    with t = step, k = index and s_0, s_1, ... the schedules. Negative steps count as step 0.

    Args:
      index: the number of the schedule, whole, from 0; a leaf. A traced one is clamped to the range.
      schedules: one or more schedules, functions of the step, or numbers.

    Raises:
      TypeError, ValueError: the index is negative, not whole or too large, or there is no schedule.

    Elsewhere: `jax.lax.switch` over schedules. `stack` makes a `select` of schedules of different
    families. Not to be confused with `join`, which goes from one schedule to the next.

    >>> import optax_sched
    >>> s = select(1, [optax_sched.linear(1.0, 0.0, 4), optax_sched.cosine_decay(1.0, 4)])
    >>> print(f"{s(1):.3f} {s.replace(index=0)(1):.3f}")
    0.854 0.750
    """
    index = jnp.clip(index, 0, len(schedules) - 1)
    # Not jnp.where(active, step, 0): JAX cannot choose by a boolean that is spread over a mesh.
    return schedules.value_at(index, lambda active: step * active)


@decorate(check=at_most("min_value", "max_value"))
def clip(step, schedule: Operand, min_value: Real, max_value: Real):
    """A schedule between two bounds.

        min(max(s(t), lo), hi)

    with t = step, s = schedule, lo = min_value and hi = max_value. Negative steps count as step 0.

    Args:
      schedule: a schedule, a function of the step, or a number.
      min_value: the lower bound, any finite number.
      max_value: the upper bound, at least `min_value`.

    Raises:
      TypeError, ValueError: a bound is not a finite number, or the two are out of order.

    Elsewhere: the `min_lr` and `eta_min` of many peers, as a floor under any schedule. Not to be
    confused with `optax.clip`, which clips updates.

    >>> import optax_sched
    >>> s = clip(optax_sched.linear(1.0, 0.0, 4), 0.2, 0.6)
    >>> [f"{s(t):.2f}" for t in range(5)]
    ['0.60', '0.60', '0.50', '0.25', '0.20']
    """
    return jnp.minimum(jnp.maximum(schedule(step), min_value), max_value)


def _starts_before_it_ends(start, end):
    if end is not None and end <= start:
        return "end", f"above start = {start}"


@decorate(check=_starts_before_it_ends)
def noisy(
    step,
    schedule: Operand,
    key: Key,
    scale: Rate,
    start: StepsOrZero = 0,
    end: Steps | None = None,
    kind: Noise = "normal",
):
    """A schedule with a random factor at each step, always the same for the same key and step.

        s(t) max(0, 1 + scale eps(t))  for start <= t < end,    s(t)  elsewhere

    with t = step, s = schedule and eps(t) drawn from N(0, 1), or from U(-1, 1) if `kind` is "uniform".
    Negative steps count as step 0. It is a pure function of key and step: a run that you resume, or
    evaluate in another order, sees the same noise. The factor is never negative.

    Args:
      schedule: a schedule, a function of the step, or a number.
      key: a JAX random key, or a whole number of 0 or more as its seed.
      scale: the size of the noise as a part of the rate, 0 or more.
      start: the first step with noise, 0 or more.
      end: the first step without noise again, above `start`; with None the noise never stops.
      kind: "normal" or "uniform".

    Raises:
      TypeError, ValueError: the key is neither a key nor a seed, the scale is negative or not finite,
        a step is negative, `end` is not above `start`, or the kind is unknown.

    Elsewhere: timm's `noise_range_t` and `noise_pct`, which redraw a normal noise until it is below
    pct. Not to be confused with `optax.add_noise`, which adds noise to gradients.

    >>> s = noisy(1.0, key=0, scale=0.1, start=2)
    >>> print(f"{s(1):.1f} {bool(s(2) == s(2))} {bool(s(2) == s(3))}")
    1.0 True False
    """
    value = schedule(step)
    key_at_step: Any = jax.random.fold_in(key if is_key(key) else jax.random.key(key), whole_step(step))
    draw = jax.random.normal if kind == "normal" else functools.partial(jax.random.uniform, minval=-1.0)
    noise = draw(key_at_step, dtype=default_float())
    active = reached(step, start)
    if end is not None:
        active &= ~reached(step, end)
    return jnp.where(active, value * jnp.maximum(0, 1 + scale * noise), value)
