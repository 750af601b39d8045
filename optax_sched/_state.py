"""States, and what is done to them from outside a transformation."""

from typing import Any, NamedTuple, TypeVar

import jax

from optax_sched._rule import PlateauState, metric, observed

State = TypeVar("State")


class ScheduleState(NamedTuple):
    """The schedule rides in the state: it is checkpointed with it and may be replaced there."""

    # `count` is a tuple's method too, but nobody counts in a state.
    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]  # shape (), int32: updates so far
    value: jax.Array  # shape (), float: the rate that the last update used, or the first will
    schedule: Any


def observe(opt_state: State, value: Any) -> State:
    """Feed a metric to every plateau in an optimizer's state, outside `update`; it acts at once.

    Args:
      opt_state: the state of an optimizer that holds `reduce_on_plateau` somewhere.
      value: the metric, a number of shape ().

    Returns:
      The state after the observation, with the same structure and dtypes.

    Raises:
      TypeError: `value` is not a number.
      ValueError: there is no plateau in `opt_state`.

    >>> import optax, optax_sched
    >>> opt = optax_sched.reduce_on_plateau(factor=0.5, patience=0)
    >>> state = opt.init({"w": 1.0})
    >>> for validation_loss in (1.0, 1.0):
    ...     state = optax_sched.observe(state, validation_loss)
    >>> print(f"{state.scale:.1f}")
    0.5
    """
    number = metric("observe", value)
    nodes, structure = jax.tree.flatten(opt_state, is_leaf=_is_plateau)
    if not any(map(_is_plateau, nodes)):
        raise ValueError("observe: opt_state must hold a plateau, such as reduce_on_plateau makes")
    nodes = [observed(node, number) if _is_plateau(node) else node for node in nodes]
    return jax.tree.unflatten(structure, nodes)


def _is_plateau(node: Any) -> bool:
    return isinstance(node, PlateauState)
