"""From a schedule to an optax transformation that scales the updates by it."""

from typing import Any

import jax
import optax

from optax_sched._core.arguments import admit
from optax_sched._core.operands import OneSchedule, Operand
from optax_sched._math.phases import later
from optax_sched._optax.state import ScheduleState, start, strong


def scale_by_schedule(schedule: Operand) -> optax.GradientTransformation:
    """Multiply the updates by a schedule of the number of updates so far.

    A drop-in for `optax.scale_by_schedule(schedule)`, by position, whose state, `ScheduleState(count,
    value, schedule)`, also tells the rate that the last update used, and carries the schedule itself:
    it is checkpointed with the state, and another one of the same structure may be put there in a
    running job without a new trace (`replace_schedule`). The factor is cast to each update's dtype, to
    an integer too where updates are integers.

    Since the state's schedule counts, this cannot take a number that `optax.inject_hyperparams` passes
    anew at each update: within its factory use optax's own.

    Args:
      schedule: a schedule, any function of the step, or a number.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError, ValueError: `schedule` is none of these.

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> opt = optax.chain(optax.scale_by_adam(), scale_by_schedule(optax_sched.linear(-0.1, 0.0, 10)))
    >>> state = opt.init(jnp.ones(3))
    >>> updates, state = opt.update(jnp.ones(3), state)
    >>> print(f"{updates[0]:.2f} {state[1].value:.2f} {state[1].count}")
    -0.10 -0.10 1
    """
    return _scale_by("scale_by_schedule", schedule, sign=1)


def scale_by_learning_rate(schedule: Operand) -> optax.GradientTransformation:
    """Multiply the updates by minus a schedule: the last link of a chain that descends.

    A drop-in for `optax.scale_by_learning_rate(schedule)`, by position; where that has
    `flip_sign=False`, this is `scale_by_schedule`, which also says what the state holds.

    Args:
      schedule: a schedule, any function of the step, or a number.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError, ValueError: `schedule` is none of these.

    >>> import jax.numpy as jnp, optax_sched
    >>> opt = scale_by_learning_rate(optax_sched.linear(0.1, 0.0, 10))
    >>> updates, state = opt.update(jnp.ones(3), opt.init(jnp.ones(3)))
    >>> print(f"{updates[0]:.2f} {state.value:.2f}")
    -0.10 0.10
    """
    return _scale_by("scale_by_learning_rate", schedule, sign=-1)


def _scale_by(where: str, schedule: Any, sign: int) -> optax.GradientTransformation:
    schedule = admit(where, "schedule", OneSchedule(), schedule)

    def init(params: Any) -> ScheduleState:
        del params
        return start(schedule)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        del params
        value = strong(state.schedule(state.count))
        factor = sign * value
        updates = jax.tree.map(lambda g: factor.astype(g.dtype) * g, updates)
        return updates, ScheduleState(later(state.count, 1), value, state.schedule)

    return optax.GradientTransformation(init, update)
