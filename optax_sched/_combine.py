"""Combinators: schedules in, schedule out."""

import jax.numpy as jnp

from optax_sched._hyper import Boundaries, Rate, ShapeName, StepsOrZero
from optax_sched._kinds import Vector
from optax_sched._operands import Operand, Operands, Parts
from optax_sched._schedule import schedule
from optax_sched._shapes import last_reached, reached, rise, since


def _one_boundary_less(schedules: Parts, boundaries: Vector):
    if len(boundaries) != len(schedules) - 1:
        return "boundaries", f"one fewer than the {len(schedules)} schedules"
    return None


@schedule(check=_one_boundary_less)
def join(step, schedules: Operands, boundaries: Boundaries):
    """One schedule after another, each on its own clock from its boundary on.

        s_k(t - b_k),    k = the number of boundaries <= t,  b_0 = 0

    A boundary belongs to the new part. Steps before 0 count as 0; the last part goes on for ever.
    Parts that are not active are asked only for their own step 0, so nothing of theirs leaks into
    the value or the gradient. Parts of equal structure cost one formula, however many they are.

    Args:
      schedules: one or more schedules, functions of the step, or numbers (constants).
      boundaries: the steps at which the next part begins, positive and strictly increasing; one
        fewer than `schedules`.

    Raises:
      TypeError, ValueError: there is no schedule, the boundaries are not positive and increasing, or
        not one fewer than the schedules.

    Elsewhere: `optax.join_schedules` (which evaluates every part, and drops parts where boundaries
    are too few), torch's `SequentialLR`, ignite's `ConcatScheduler`, init2winit's `concatenate`.

    >>> import optax_sched
    >>> s = join([optax_sched.linear(0.0, 1.0, 2), 0.5, optax_sched.linear(0.5, 0.0, 2)], [2, 4])
    >>> [f"{s(t):.2f}" for t in range(7)]
    ['0.00', '0.50', '0.50', '0.50', '0.50', '0.25', '0.00']
    """
    clock = since(step, last_reached(step, boundaries))
    return schedules.value_at(
        jnp.sum(reached(step, boundaries)), lambda active: jnp.where(active, clock, 0)
    )


@schedule
def warmup(
    step,
    schedule: Operand,
    warmup_steps: StepsOrZero,
    init_value: Rate = 0.0,
    shape: ShapeName = "linear",
):
    """A rise to where a schedule starts, and then that schedule on its own clock.

        i + (s(0) - i) f(min(t, W) / W)  before W,    s(t - W)  from W on,    W = warmup_steps

    At step 0 and before it is `init_value`, at `warmup_steps` exactly `schedule(0)`.

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
    they start at 1/W, here `shift(warmup(...), 1)`.

    References: Goyal et al., 2017, "Accurate, Large Minibatch SGD", https://arxiv.org/abs/1706.02677

    >>> import optax_sched
    >>> s = warmup(optax_sched.linear(1.0, 0.0, 4), 2)
    >>> [f"{s(t):.2f}" for t in range(8)]
    ['0.00', '0.50', '1.00', '0.75', '0.50', '0.25', '0.00', '0.00']
    """
    # On its own clock the schedule is still at its step 0 while the rate rises: one evaluation.
    return rise(step, warmup_steps, init_value, schedule(since(step, warmup_steps)), shape)
