"""Sums, products and powers of schedules: what their operators build."""

import math

import jax.numpy as jnp

from optax_sched._core.operands import Operand, Operands
from optax_sched._core.operators import BUILDERS
from optax_sched._core.schedule import schedule as decorate
from optax_sched._core.words import Positive


@decorate
def add(step, *schedules: Operands):
    """The sum of schedules, all on the same clock; `a + b`, `a - b` and `1 - a` build it.

        s_1(t) + s_2(t) + ...

    with t = step and s_1, s_2, ... the schedules. Negative steps count as step 0. Each term keeps its
    own start and end. `a - b` is `add(a, multiply(-1.0, b))`.

    Args:
      *schedules: one or more schedules, functions of the step, or numbers.

    Raises:
      TypeError, ValueError: there is no schedule, or one of them is something else.

    Elsewhere: timm's `lr_min` under its WSD, keras' `alpha` under restarts that shrink. Not to be
    confused with `join`, one schedule after another.

    >>> import optax_sched
    >>> s = 0.5 + optax_sched.linear(0.4, 0.0, 4)
    >>> s
    add(constant(value=0.5), linear(init_value=0.4, end_value=0.0, transition_steps=4))
    >>> [f"{s(t):.1f}" for t in range(5)]
    ['0.9', '0.8', '0.7', '0.6', '0.5']
    """
    first, *others = (s(step) for s in schedules)
    return sum(others, first)


@decorate
def multiply(step, *schedules: Operands):
    """The product of schedules, all on the same clock; `a * b`, `-a` and `a / 4` build it.

        s_1(t) s_2(t) ...

    with t = step and s_1, s_2, ... the schedules. Negative steps count as step 0. Each factor keeps
    its own start and end.

    Args:
      *schedules: one or more schedules, functions of the step, or numbers.

    Raises:
      TypeError, ValueError: there is no schedule, or one of them is something else.

    Elsewhere: torch's `ChainedScheduler` of factors, init2winit's compound "a * b". Not to be confused
    with `join`, one schedule after another.

    >>> import optax_sched
    >>> s = multiply(optax_sched.linear(1.0, 0.0, 4), 0.5)
    >>> [f"{s(t):.3f}" for t in range(5)]
    ['0.500', '0.375', '0.250', '0.125', '0.000']
    """
    return math.prod(s(step) for s in schedules)


@decorate
def power(step, schedule: Operand, exponent: Positive):
    """A power of a schedule whose values are not negative; `a ** 2` builds it.

        max(s(t), 0)^p

    with t = step, s = schedule and p = exponent. Negative steps count as step 0. It is exactly 0 where
    the schedule is 0 or less, and exactly 1 where it is 1.

    Args:
      schedule: a schedule, a function of the step, or a number.
      exponent: the power, positive.

    Raises:
      TypeError, ValueError: the exponent is not positive and finite.

    Elsewhere: the square root of a batch ramp that a rate follows, `power(batch_size, 0.5)`. Not to be
    confused with `polynomial_decay`, which raises what remains, not the rate.

    >>> import optax_sched
    >>> s = optax_sched.linear(1.0, 0.0, 4) ** 2
    >>> [f"{s(t):.4f}" for t in range(5)]
    ['1.0000', '0.5625', '0.2500', '0.0625', '0.0000']
    """
    value = schedule(step)
    positive = value > 0  # the slope of a power below 1 is infinite at 0: keep it out of gradients
    return jnp.where(positive, jnp.where(positive, value, 1.0) ** exponent, 0.0)


BUILDERS.update(add=add, multiply=multiply, power=power)
