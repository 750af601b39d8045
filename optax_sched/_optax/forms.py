"""Optimizer states in all forms: as optax makes them, in nnx Variables, in dicts from a checkpoint."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from optax_sched._optax.paths import flat
from optax_sched._optax.state import FeedbackState, ScheduleState

INJECTED = (optax.schedules.InjectStatefulHyperparamsState, optax.schedules.InjectHyperparamsState)
PARTITION = optax.transforms.PartitionState
LABELLED = (PARTITION, optax.schedules.InjectStatefulHyperparamsState)  # they hold states by name
TELLING = (ScheduleState, FeedbackState, *INJECTED, PARTITION)  # that say something of the rate


def is_a(kind: Any, node: Any) -> bool:
    """Whether a node is such a NamedTuple, or the dict of its fields that a checkpoint gives back."""
    if isinstance(kind, tuple):
        return any(is_a(one, node) for one in kind)
    return isinstance(node, kind) or (isinstance(node, Mapping) and node.keys() == set(kind._fields))


def field(node: Any, name: str) -> Any:
    """A field of a NamedTuple in either form."""
    return node[name] if isinstance(node, Mapping) else getattr(node, name)


def with_fields(node: Any, **changes: Any) -> Any:
    """The NamedTuple, in its own form, with some fields changed."""
    return {**node, **changes} if isinstance(node, Mapping) else node._replace(**changes)


def found(tree: Any, kind: Any) -> list[Any]:
    """All nodes of a kind that do not lie in another of it."""
    return [node for node in _flattened(tree, kind)[0] if is_a(kind, node)]


def changed(tree: Any, kind: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with every node of a kind changed."""
    nodes, structure = _flattened(tree, kind)
    nodes = [change(node) if is_a(kind, node) else node for node in nodes]
    return jax.tree.unflatten(structure, nodes)


def _flattened(tree: Any, kind: Any) -> Any:
    return jax.tree.flatten(tree, is_leaf=lambda node: is_a(kind, node))


def without_variables(where: str, opt_state: Any) -> tuple[Any, Callable[[Any], Any]]:
    """A state of plain arrays, and the way back to nnx Variables where Variables were."""
    if isinstance(opt_state, optax.GradientTransformation):
        rule = "an optimizer's state, as optimizer.init(params) gives it"
        raise TypeError(f"{where}: opt_state must be {rule}, got the optimizer itself")
    nnx: Any = sys.modules.get("flax.nnx")
    if nnx is None:
        return opt_state, lambda state: state

    def is_variable(node: Any) -> bool:
        return isinstance(node, nnx.Variable)

    leaves, structure = jax.tree.flatten(opt_state, is_leaf=is_variable)
    if not any(map(is_variable, leaves)):
        return opt_state, lambda state: state
    # Before flax 0.12 a Variable has no get_value, and passes unknown names on to its array.
    value_of = getattr(nnx.Variable, "get_value", lambda variable: variable.value)
    plain = jax.tree.unflatten(structure, [value_of(x) if is_variable(x) else x for x in leaves])
    before = dict(zip(flat(plain), leaves, strict=True))
    # nnx.Optimizer holds every array in a Variable; optax over an nnx.State only those of the
    # parameters. What a new structure adds is a Variable in the first case alone.
    wrap: Any = type(leaves[0]) if all(map(is_variable, leaves)) else lambda leaf: leaf

    def back(state: Any) -> Any:
        new = []
        for path, leaf in flat(state).items():
            if path not in before:
                new.append(wrap(leaf))
            else:
                new.append(before[path].replace(leaf) if is_variable(before[path]) else leaf)
        return jax.tree.unflatten(jax.tree.structure(state), new)

    return plain, back
