"""From a schedule, or a closed loop, to an optax transformation that scales the updates by it."""

from typing import Any

import jax
import optax

from optax_sched._core.errors import Refusal
from optax_sched._core.operands import Operand, constant
from optax_sched._core.words import checked
from optax_sched._optax.feedback import MISSING, ClosedLoop, live
from optax_sched._optax.state import advanced, rate_of, register_with_flax, same


@checked
def scale_by_schedule(schedule: Operand) -> optax.GradientTransformation:
    """Multiply the updates by a schedule of the number of updates so far.

    A drop-in for `optax.scale_by_schedule(schedule)`, by position, whose state, `ScheduleState(count,
    value, schedule)`, also tells the rate that the last update used, and carries the schedule itself:
    it is checkpointed with the state, and another one of the same structure may be put there in a
    running job without a new trace (`replace_schedule`). The factor is cast to each update's dtype, to
    an integer too where updates are integer arrays.

    A checkpoint of the state holds the schedule. A restored state continues with that schedule, even if
    the program now says another: a longer horizon in the config changes nothing. This line fixes it:

        opt_state = replace_schedule(opt_state, schedule, retrace=True)

    The updates use the schedule in the state. So a number that `optax.inject_hyperparams` passes at
    each update has no effect here: within its factory use optax's own.

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
    return optax.GradientTransformation(*scaling("scale_by_schedule", live(schedule)))


@checked
def scale_by_learning_rate(schedule: Operand) -> optax.GradientTransformation:
    """Multiply the updates by minus a schedule: the last link of a chain that descends.

    A drop-in for `optax.scale_by_learning_rate(schedule)`, by position; where that has
    `flip_sign=False`, this is `scale_by_schedule`, which also says what the state holds, and what a
    restored state does with an edited config.

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
    return optax.GradientTransformation(*scaling("scale_by_learning_rate", live(schedule), sign=-1))


def scale_by_feedback(closed_loop: ClosedLoop) -> optax.GradientTransformationExtraArgs:
    """Multiply the updates by the rate of a closed loop.

    `update(updates, state, params, value=metric)` reads the metric; see `plateau` and `feedback`. The
    factor is cast to each update's dtype. Where the loop's schedule is the number 1.0, it is a scale
    beside the rate of an optimizer, and for `current_value` and `replace_schedule` it is no rate.

    Args:
      closed_loop: what `plateau`, `greedy` or a builder made by `feedback` gives.

    Returns:
      A `GradientTransformationExtraArgs` with a `FeedbackState`.

    Raises:
      TypeError: `closed_loop` is none; at update: `value` is left out, or is not a number of shape ().

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> loop = optax_sched.plateau(optax_sched.linear(-0.1, 0.0, 10), factor=0.5, patience=0)
    >>> opt = optax.chain(optax.scale_by_adam(), scale_by_feedback(loop))
    >>> state = opt.init(jnp.ones(3))
    >>> for loss in (1.0, 1.0):
    ...     updates, state = opt.update(jnp.ones(3), state, value=loss)
    >>> print(f"{optax_sched.current_value(state):.3f}")
    -0.045
    """
    if not isinstance(closed_loop, ClosedLoop):
        rule = "a closed loop, such as plateau(1.0) or what a builder made by feedback gives"
        raise Refusal("scale_by_feedback", "closed_loop", rule, closed_loop).error(TypeError)
    return scaling("scale_by_feedback", closed_loop)


def scaling(where: str, loop: Any, sign: int = 1) -> optax.GradientTransformationExtraArgs:
    """The transformation that multiplies by a closed loop's rate, or a live schedule's."""
    plain_scale = isinstance(loop, ClosedLoop) and same(loop.schedule, constant(1.0))

    def init(params: Any) -> Any:
        state = loop.init()
        return state._replace(schedule=None) if plain_scale else state

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        state = loop._at_this_update(state, extra.get("value", MISSING), where)
        factor = sign * rate_of(state)

        def scaled(g: Any) -> Any:
            return (factor.astype(g.dtype) if hasattr(g, "dtype") else factor) * g

        return jax.tree.map(scaled, updates), advanced(state)

    return optax.GradientTransformationExtraArgs(init, update)


register_with_flax()  # all that builders make is defined by now
