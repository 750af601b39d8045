"""Combinators that read a schedule on another clock: later, earlier, slower, or again and again."""

from typing import Any

import jax
import jax.numpy as jnp

from optax_sched._core.operands import Operand, OperandOnOwnClock
from optax_sched._core.schedule import schedule as decorate
from optax_sched._core.words import Count, Growth, Positive, Steps, StepsOrZero
from optax_sched._math.cycles import as_float, place_in_cycles, whole_periods
from optax_sched._math.phases import as_summed, clock_since, is_held, is_int, later, whole_step


@decorate
def retime(step, schedule: OperandOnOwnClock, clock: Operand):
    """A schedule read on another clock, which is itself a schedule: examples so far, seconds, epochs.

        s(max(c(t), 0))

    with t = step, s = schedule and c = clock. Negative steps count as step 0. The schedule gets float
    steps; staircases round them down. A clock within 4 ulp of a whole number counts as that number, so
    that staircases drop in time; the gradient passes as if it did not. The schedule's lengths are in
    the clock's unit.

    Args:
      schedule: a schedule in units of the clock, a function of them, or a number.
      clock: what the clock shows at a step; a schedule, a function of the step, or a number.

    Raises:
      TypeError, ValueError: one of the two is something else.

    Elsewhere: Composer's schedules in tokens, samples or epochs. `delay`, `shift`, `stretch` and
    `every` are special cases with names, exact at whole steps of any size. A step that stops at d
    is the clock `linear(0.0, d, d)`. `examples_seen` is the clock of a batch that grows.

    >>> import optax_sched
    >>> seconds = optax_sched.table([0.0, 1.0, 3.0, 6.0])  # when each update began
    >>> s = retime(optax_sched.linear(1.0, 0.0, 4), seconds)
    >>> [f"{s(t):.2f}" for t in range(4)]
    ['1.00', '0.75', '0.25', '0.00']
    """
    shown: Any = clock(step) * 1.0
    shown = jnp.where(shown < 0, 0.0, shown)
    exact = jax.lax.stop_gradient(shown)
    whole, ulp = jnp.round(exact), jnp.nextafter(exact, jnp.inf) - exact
    # Zero, but for the gradient, which passes by the rounding.
    slope = shown - exact
    return schedule(jnp.where(jnp.abs(whole - exact) <= 4 * ulp, whole, exact) + slope)


@decorate
def delay(step, schedule: Operand, steps: StepsOrZero):
    """A schedule that begins later: its first value is held for `steps` steps.

        s(max(t - d, 0))

    with t = step, s = schedule and d = steps. Negative steps count as step 0.

    Args:
      schedule: a schedule, a function of the step, or a number.
      steps: for how many steps it holds the first value, 0 or more.

    Raises:
      TypeError, ValueError: `steps` is negative or not finite.

    Elsewhere: optax's `transition_begin`, praxis' `DelayedCosine`, torch's `SequentialLR` of a
    `ConstantLR` and another. Not to be confused with `shift`, which goes the other way.

    >>> import optax_sched
    >>> [f"{delay(optax_sched.linear(1.0, 0.0, 2), 2)(t):.1f}" for t in range(5)]
    ['1.0', '1.0', '1.0', '0.5', '0.0']
    """
    return schedule(clock_since(step, steps))


@decorate
def shift(step, schedule: Operand, steps: StepsOrZero):
    """A schedule read some steps ahead, as if those steps had already passed.

        s(t + d)

    with t = step, s = schedule and d = steps. Negative steps count as step 0, so the first value is
    s(d). It ends d steps earlier than the schedule.

    Args:
      schedule: a schedule, a function of the step, or a number.
      steps: how many steps ahead, 0 or more.

    Raises:
      TypeError, ValueError: `steps` is negative or not finite.

    Elsewhere: torch's `last_epoch`. A peer that counts updates from 1 is `shift(..., 1)`. Not to be
    confused with `delay`, which goes the other way.

    >>> import optax_sched
    >>> [f"{shift(optax_sched.linear(1.0, 0.0, 4), 1)(t):.2f}" for t in range(4)]
    ['0.75', '0.50', '0.25', '0.00']
    """
    ahead = later(step, steps)
    if not is_int(ahead):
        exact = (step <= 0) | (is_held(step * 1.0) & is_held(steps * 1.0))
        ahead = as_summed(ahead, ahead, exact)
    return schedule(ahead)


@decorate
def stretch(step, schedule: OperandOnOwnClock, factor: Positive):
    """A schedule read more slowly: it lasts `factor` times as long.

        s(t / f)

    with t = step, s = schedule and f = factor. Negative steps count as step 0. The schedule gets float
    steps; staircases round them down.

    Args:
      schedule: a schedule, a function of the step, or a number.
      factor: how many times as long it lasts, positive; below 1 the clock is faster.

    Raises:
      TypeError, ValueError: the factor is not positive and finite.

    Elsewhere: composer's `scale_schedule_ratio`, init2winit's `stretch_factor` (which rounds down). Not
    to be confused with `every`, whose schedule gets whole ticks only.

    >>> import optax_sched
    >>> [f"{stretch(optax_sched.linear(1.0, 0.0, 2), 2.0)(t):.2f}" for t in range(5)]
    ['1.00', '0.75', '0.50', '0.25', '0.00']
    """
    clock = step / factor
    return schedule(as_summed(clock, clock, is_held(clock) & (clock * factor == step)))


@decorate
def every(step, schedule: OperandOnOwnClock, interval: Steps):
    """A schedule whose clock ticks once every `interval` steps, for schedules written in epochs.

        s(floor(t / k))

    with t = step, s = schedule and k = interval. Negative steps count as step 0.

    Args:
      schedule: a schedule in ticks (epochs), a function of them, or a number.
      interval: the steps from one tick to the next, positive: for epochs, the updates in one epoch.
        Beyond 100,000 steps a tick of a fractional interval may come one step early or late.

    Raises:
      TypeError, ValueError: the interval is not positive and finite.

    Elsewhere: torch schedulers whose `step()` is called once per epoch; timm's `t_in_epochs`. Not to be
    confused with `stretch`, which changes the value at every step.

    >>> import optax_sched
    >>> [f"{every(optax_sched.linear(1.0, 0.0, 2), 2)(t):.1f}" for t in range(5)]
    ['1.0', '1.0', '0.5', '0.5', '0.0']
    """
    ticks = whole_periods(step, interval)
    return schedule(whole_step(ticks) if is_int(step) else ticks)


@decorate
def repeat(
    step,
    schedule: Operand,
    period: Steps,
    period_mult: Growth | None = None,
    value_mult: Positive = 1.0,
    num_cycles: Count | None = None,
):
    """Any schedule again and again; cycles may grow longer, and higher or lower.

        s((t - t_n) / m^n) v^n,    t_n = P (1 + m + ... + m^(n-1))

    with t = step, s = schedule, P = period, m = period_mult, v = value_mult and n the index (from 0) of
    the cycle that holds t. Negative steps count as step 0. After N = `num_cycles` cycles it holds
    s(P) v^(N-1). The schedule gets whole steps if all cycles are equal, and float steps if they grow.

    Args:
      schedule: a schedule, a function of the step, or a number.
      period: the length of the first cycle in steps, positive.
      period_mult: each cycle is this many times as long as the one before, 1 or more; None makes all
        cycles equal.
      value_mult: each cycle is this many times as high as the one before, positive.
      num_cycles: the number of cycles; None never stops.

    Raises:
      TypeError, ValueError: the period or value_mult is not positive, period_mult below 1,
        num_cycles not a whole number of 1 or more.

    Elsewhere: praxis' `CycleSchedule` (which hands the absolute step on), levanter's cycles. Not
    keras' polynomial `cycle`, whose n-th cycle is 1/n as high. `cosine_restarts` is
    `repeat(cosine_decay(i, P, e), P, m)`. Not to be confused with `every`, which slows the clock.

    >>> import optax_sched
    >>> s = repeat(optax_sched.linear(1.0, 0.0, 2), 2, value_mult=0.5, num_cycles=2)
    >>> [f"{s(t):.2f}" for t in range(6)]
    ['1.00', '0.50', '0.50', '0.25', '0.00', '0.00']
    """
    n, clock, *_ = place_in_cycles(step, period, period_mult)
    if period_mult is None and not is_int(clock):
        clock = as_summed(clock, step, is_held(step * 1.0) & is_held(period))
    if num_cycles is not None:
        over: Any = n >= num_cycles
        clock, n = jnp.where(over, period, clock), jnp.where(over, num_cycles - 1, n)
    value = schedule(clock) * value_mult ** as_float(n)
    largest = jnp.finfo(value.dtype).max  # growing values stop here, not at infinity
    return jnp.clip(value, -largest, largest)
