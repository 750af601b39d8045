"""States, and what is read from them and done to them from outside a transformation."""

import functools
import operator
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from optax_sched._kinds import admit, default_float
from optax_sched._operands import OneSchedule, Operand
from optax_sched._rule import PlateauState, metric, observed

State = TypeVar("State")


class ScheduleState(NamedTuple):
    """The schedule rides in the state: it is checkpointed with it and may be replaced there."""

    # `count` is a tuple's method too, but nobody counts in a state.
    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]  # shape (), int32: updates so far
    value: jax.Array  # shape (), float: the rate that the last update used, or the first will
    schedule: Any


class PlateauScheduleState(NamedTuple):
    """A schedule and the plateau that scales it, as `plateau` and `greedy` keep them."""

    schedule: ScheduleState
    min_value: jax.Array  # shape (), float32
    plateau: PlateauState

    def rate(self) -> jax.Array:
        """max(s scale, min(s, min_value)): the floor never lifts the rate above the schedule's own."""
        s = self.schedule.value
        return jnp.maximum(s * self.plateau.scale, jnp.minimum(s, self.min_value))


def strong(leaf: Any) -> jax.Array:
    """As an array of a fixed dtype, so that `init` and `update` agree on it."""
    dtype = jnp.result_type(leaf)
    if isinstance(leaf, jax.Array):
        return jax.lax.convert_element_type(leaf, dtype)
    return jnp.asarray(leaf, default_float() if jnp.issubdtype(dtype, jnp.floating) else jnp.int32)


def start(schedule: Any) -> ScheduleState:
    """The state before the first update."""
    count = jnp.zeros((), jnp.int32)
    carried = jax.tree.map(strong, schedule)
    return ScheduleState(count, strong(carried(count)), carried)


def observe(opt_state: State, value: Any) -> State:
    """Feed a metric to every plateau in an optimizer's state, outside `update`; it acts at once.

    Args:
      opt_state: the state of an optimizer that holds `reduce_on_plateau`, `plateau` or `greedy`.
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
    opt_state, found = _replace(opt_state, PlateauState, lambda state: observed(state, number))
    if not found:
        raise ValueError("observe: opt_state must hold a plateau, such as reduce_on_plateau makes")
    return opt_state


def replace_schedule(opt_state: State, schedule: Operand) -> State:
    """Put a new schedule of the same structure into a running job: no new trace.

    Args:
      opt_state: the state of an optimizer that holds `scale_by_schedule`, `scale_by_learning_rate`,
        `plateau` or `greedy`.
      schedule: the new schedule: the same builders, with other numbers. They are cast to the dtypes
        of the old ones.

    Returns:
      The state with the new schedule wherever one of its structure was.

    Raises:
      TypeError, ValueError: `schedule` is none, or `opt_state` holds none of its structure.

    >>> import jax.numpy as jnp, optax_sched
    >>> opt = optax_sched.scale_by_learning_rate(optax_sched.linear(0.1, 0.0, 10))
    >>> state = optax_sched.replace_schedule(opt.init(jnp.ones(2)), optax_sched.linear(0.2, 0.0, 10))
    >>> print(f"{opt.update(jnp.ones(2), state)[0][0]:.1f}")
    -0.2
    """
    new = jax.tree.map(strong, admit("replace_schedule", "schedule", OneSchedule(), schedule))
    met: list[Any] = []

    def put(state: ScheduleState) -> ScheduleState:
        met.append(state.schedule)
        if not _alike(state.schedule, new):
            return state
        met.append(None)
        cast = jax.tree.map(lambda a, old: a.astype(old.dtype), new, state.schedule)
        first = cast(state.count).astype(state.value.dtype)
        return ScheduleState(state.count, jnp.where(state.count == 0, first, state.value), cast)

    opt_state, found = _replace(opt_state, ScheduleState, put)
    if not found:
        raise ValueError(
            "replace_schedule: opt_state must hold a schedule, such as scale_by_learning_rate, "
            "scale_by_schedule or plateau keeps; optax's own keep none"
        )
    if None not in met:
        raise ValueError(
            f"replace_schedule: schedule must have the structure of the one it replaces, {met[0]!r}, "
            f"got {new!r}"
        )
    return opt_state


def current_value(opt_state: Any) -> Any:
    """The rate that the last update used; before the first, the one that it will use.

    It is found in the states of `scale_by_schedule` and `scale_by_learning_rate` and in the
    `learning_rate` of `optax.inject_hyperparams`, times the scales of plateaus beside them; in
    chains, MultiSteps, masked and apply_if_finite. After `observe` it has the new scale. It may be
    called under jit.

    Args:
      opt_state: the state of an optimizer.

    Returns:
      The rate, of shape (); for `optax.multi_transform` a dict of rates by label, without the labels
      that have none.

    Raises:
      ValueError: the state holds no rate: `optax.adamw(schedule)` keeps only a count.

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> opt = optax.chain(
    ...     optax.scale_by_adam(), optax_sched.scale_by_learning_rate(optax_sched.linear(0.1, 0.0, 10)),
    ...     optax_sched.reduce_on_plateau(factor=0.5, patience=0))
    >>> state = opt.init(jnp.ones(2))
    >>> for loss in (1.0, 1.0):
    ...     updates, state = opt.update(jnp.ones(2), state, value=loss)
    >>> print(f"{current_value(state):.3f}")
    0.045
    """
    rates, scale = _found(opt_state)
    if not rates:
        raise ValueError(
            "current_value: opt_state holds no rate (optax.adamw(schedule) keeps only a count): use "
            "optax.inject_hyperparams(optax.adamw)(learning_rate=schedule), or a chain that ends in "
            "optax_sched.scale_by_learning_rate(schedule)"
        )
    return _times(functools.reduce(_times, rates), scale)


_INJECTED = (optax.schedules.InjectHyperparamsState, optax.schedules.InjectStatefulHyperparamsState)
_TELLING = (
    ScheduleState,
    PlateauScheduleState,
    PlateauState,
    optax.transforms.PartitionState,
    *_INJECTED,
)


def _found(tree: Any) -> tuple[list[Any], Any]:
    """The rates in a state, each a number or a dict by label, and the scale of its plateaus."""
    rates, scale = [], 1
    for node in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, _TELLING)):
        if isinstance(node, ScheduleState):
            rates.append(node.value)
        elif isinstance(node, PlateauScheduleState):
            rates.append(node.rate())
        elif isinstance(node, PlateauState):
            scale = scale * node.scale
        elif isinstance(node, optax.transforms.PartitionState):
            labelled = {label: _found(state) for label, state in node.inner_states.items()}
            by_label = {
                label: _times(functools.reduce(_times, values), inner)
                for label, (values, inner) in labelled.items()
                if values
            }
            rates += [by_label] if by_label else []
        elif isinstance(node, _INJECTED):
            inner, inner_scale = _found(node.inner_state)
            rates += inner
            scale = scale * inner_scale
            states: Any = getattr(node, "hyperparams_states", {})
            if isinstance(states.get("learning_rate"), PlateauScheduleState):
                rates.append(states["learning_rate"].rate())  # observe may have changed it since
            elif "learning_rate" in node.hyperparams:
                rates.append(node.hyperparams["learning_rate"])
    return rates, scale


def _times(a: Any, b: Any) -> Any:
    if isinstance(a, dict):
        return {label: _times(rate, b) for label, rate in a.items()}
    return _times(b, a) if isinstance(b, dict) else operator.mul(a, b)


def _replace(tree: Any, kind: type, change: Any) -> tuple[Any, bool]:
    """The tree with every state of a kind changed, and whether there was one."""
    nodes, structure = jax.tree.flatten(tree, is_leaf=lambda node: isinstance(node, kind))
    found = any(isinstance(node, kind) for node in nodes)
    nodes = [change(node) if isinstance(node, kind) else node for node in nodes]
    return jax.tree.unflatten(structure, nodes), found


def _alike(old: Any, new: Any) -> bool:
    same = jax.tree.structure(old) == jax.tree.structure(new)
    return same and all(
        map(operator.eq, *(list(map(jnp.shape, jax.tree.leaves(s))) for s in (old, new)))
    )
