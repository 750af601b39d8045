"""States, and what is read from them and done to them from outside a transformation."""

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_sched._core.arguments import admit
from optax_sched._core.domains import default_float, is_traced
from optax_sched._core.operands import OneSchedule, Operand
from optax_sched._optax.plateau_rule import PlateauState, metric, observed

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


def owned(leaf: Any) -> jax.Array:
    """A strong array of the state's own: a state may be donated, and then its arrays are deleted."""
    return jnp.copy(strong(leaf))


def start(schedule: Any) -> ScheduleState:
    """The state before the first update."""
    count = jnp.zeros((), jnp.int32)
    carried = jax.tree.map(owned, schedule)
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
    if not _states(opt_state, PlateauState):
        raise ValueError("observe: opt_state must hold a plateau, such as reduce_on_plateau makes")
    return _changed(opt_state, PlateauState, lambda state: observed(state, number))


def replace_schedule(opt_state: State, schedule: Operand) -> State:
    """Put a new schedule of the same structure into a running job: no new trace.

    Args:
      opt_state: the state of an optimizer that holds `scale_by_schedule`, `scale_by_learning_rate`,
        `plateau` or `greedy`.
      schedule: the new schedule: the same builders, with other numbers. They are cast to the dtypes
        of the old ones. It goes on from the same count.

    Returns:
      The state with the new schedule wherever one of its structure was.

    Raises:
      TypeError, ValueError: `schedule` is none, `opt_state` holds none of its structure, or a number
        would be cut to a whole one.

    `opt_state` surgery with `_replace` does the same, if the new leaves are arrays of the old dtypes.

    >>> import jax.numpy as jnp, optax_sched
    >>> opt = optax_sched.scale_by_learning_rate(optax_sched.linear(0.1, 0.0, 10))
    >>> state = optax_sched.replace_schedule(opt.init(jnp.ones(2)), optax_sched.linear(0.2, 0.0, 10))
    >>> print(f"{opt.update(jnp.ones(2), state)[0][0]:.1f}")
    -0.2
    """
    new = jax.tree.map(owned, admit("replace_schedule", "schedule", OneSchedule(), schedule))
    olds = [state.schedule for state in _states(opt_state, ScheduleState)]
    if not olds:
        raise ValueError(
            "replace_schedule: opt_state must hold a schedule, such as scale_by_learning_rate, "
            "scale_by_schedule or plateau keeps; optax's own keep none"
        )
    alike = [old for old in olds if _alike(old, new)]
    if not alike or any(_cuts(new, old) for old in alike):
        rule = "have whole numbers where the old one has" if alike else "be of the old one's structure"
        raise ValueError(f"replace_schedule: schedule must {rule}, {(alike or olds)[0]!r}, got {new!r}")

    def put(state: ScheduleState) -> ScheduleState:
        if not _alike(state.schedule, new):
            return state
        cast = jax.tree.map(_as_dtype_of, new, state.schedule)
        first = strong(cast(state.count)).astype(state.value.dtype)
        return ScheduleState(state.count, jnp.where(state.count == 0, first, state.value), cast)

    return _changed(opt_state, ScheduleState, put)


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
      that have none. What stands outside it counts for every label.

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
    rate = _rate(_factor(opt_state))
    if rate is None:
        raise ValueError(
            "current_value: opt_state holds no rate (optax.adamw(schedule) keeps only a count): use "
            "optax.inject_hyperparams(optax.adamw)(learning_rate=schedule), or a chain that ends in "
            "optax_sched.scale_by_learning_rate(schedule)"
        )
    return rate


_INJECTED = (optax.schedules.InjectHyperparamsState, optax.schedules.InjectStatefulHyperparamsState)
_TELLING = (
    ScheduleState,
    PlateauScheduleState,
    PlateauState,
    optax.transforms.PartitionState,
    *_INJECTED,
)


class _Factor(NamedTuple):
    """What a state multiplies the updates by, and whether a rate is in it or only a plateau's scale."""

    value: Any
    is_rate: bool


def _factor(tree: Any) -> Any:
    """The product of all factors in a state: None, one, or a dict of them by label."""
    product = None
    for node in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, _TELLING)):
        if isinstance(node, ScheduleState):
            product = _times(product, _Factor(jnp.asarray(node.value), True))
        elif isinstance(node, PlateauScheduleState):
            product = _times(product, _Factor(node.rate(), True))
        elif isinstance(node, PlateauState):
            product = _times(product, _Factor(jnp.asarray(node.scale), False))
        elif isinstance(node, optax.transforms.PartitionState):
            by_label = {label: _factor(state) for label, state in node.inner_states.items()}
            product = _times(product, by_label if any(by_label.values()) else None)
        elif isinstance(node, _INJECTED):
            product = _times(product, _factor(node.inner_state))
            state = getattr(node, "hyperparams_states", {}).get("learning_rate")
            if isinstance(state, PlateauScheduleState):
                product = _times(product, _factor(state))  # observe may have changed it since
            elif "learning_rate" in node.hyperparams:
                rate = jnp.asarray(node.hyperparams["learning_rate"])
                product = _times(product, _Factor(rate, True))
    return product


def _times(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, dict):
        same = isinstance(b, dict) and a.keys() == b.keys()
        return {label: _times(factor, b[label] if same else b) for label, factor in a.items()}
    if isinstance(b, dict):
        return _times(b, a)
    return _Factor(a.value * b.value, a.is_rate or b.is_rate)


def _rate(factor: Any) -> Any:
    """The rate that a factor is, if it is one; by label, of those that have one."""
    if isinstance(factor, dict):
        rates = {label: _rate(of_label) for label, of_label in factor.items()}
        return {label: rate for label, rate in rates.items() if rate is not None} or None
    return factor.value if factor and factor.is_rate else None


def _nodes(tree: Any, kind: type) -> tuple[list[Any], Any]:
    return jax.tree.flatten(tree, is_leaf=lambda node: isinstance(node, kind))


def _states(tree: Any, kind: type) -> list[Any]:
    """All states, or other nodes, of a kind."""
    return [node for node in _nodes(tree, kind)[0] if isinstance(node, kind)]


def _changed(tree: Any, kind: type, change: Any) -> Any:
    """The tree with every node of a kind changed."""
    nodes, structure = _nodes(tree, kind)
    nodes = [change(node) if isinstance(node, kind) else node for node in nodes]
    return jax.tree.unflatten(structure, nodes)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _alike(old: Any, new: Any) -> bool:
    """Whether one schedule fits where the other is: a number for a number, a key for such a key."""
    return jax.tree.structure(old) == jax.tree.structure(new) and all(
        jnp.shape(a) == jnp.shape(b) and (a.dtype == b.dtype or not (_is_key(a) or _is_key(b)))
        for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)
    )


def _cuts(new: Any, old: Any) -> bool:
    """Whether a number that is known and not whole comes where whole ones are."""
    pairs = zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
    into_whole = [a for a, b in pairs if jnp.issubdtype(b.dtype, jnp.integer) and not is_traced(a)]
    return any(np.any((a != np.round(a)) | (np.abs(a) > 2.0**31)) for a in map(np.asarray, into_whole))


def _as_dtype_of(new: jax.Array, old: Any) -> jax.Array:
    return new if new.dtype == old.dtype else new.astype(old.dtype)
