"""The one door for optimizer states: optax's own, those in nnx Variables, those restored as dicts."""

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import optax

from optax_sched._core.built import assembled
from optax_sched._core.nodes import Node
from optax_sched._optax.plateau import OUR_RULES, PlateauState
from optax_sched._optax.state import KEPT, FeedbackState, as_dicts, flat

INJECTED = optax.schedules.InjectStatefulHyperparamsState
PARTITION = optax.transforms.PartitionState
TELLING = (*KEPT, INJECTED, PARTITION)  # that say something of the rate
_BY_FIELDS: dict[frozenset[str], Any] = {frozenset(kind._fields): kind for kind in TELLING}
# The fields that hold states by name.
_FIELDS_BY_NAME = [jax.tree_util.GetAttrKey(field) for field in ("inner_states", "hyperparams_states")]


class Place:
    """Where a schedule or a closed loop stands in an optimizer's state; another `state` may be set.

    `names`: the labels and names of hyperparameters on the way there.
    """

    def __init__(self, state: Any, path: Sequence[Any]):
        self.state = state
        steps = [
            (key.name, at.key)
            for key, at in itertools.pairwise(path)
            if key in _FIELDS_BY_NAME and hasattr(at, "key")
        ]
        self.names = [name for _, name in steps]
        self.is_rate = all(is_rate(name) for field, name in steps if field == "hyperparams_states")


def opened(where: str, opt_state: object) -> tuple[Any, Callable[[Any], Any]]:
    """The state in NamedTuples of plain arrays, and the way back to the form in which it came."""
    if isinstance(opt_state, optax.GradientTransformation):
        rule = "an optimizer's state, as optimizer.init(params) gives it"
        raise TypeError(f"{where}: opt_state must be {rule}, got the optimizer itself")
    plain, wrapped = _without_variables(opt_state)
    if not any(map(_is_dict, jax.tree.leaves(plain, is_leaf=_is_dict))):
        return plain, wrapped
    return _typed(plain), lambda new: wrapped(_as_before(plain, new))


def places(where: str, opt_state: object, kind: Any) -> tuple[list[Place], Callable[[], Any]]:
    """The places of schedules, or of closed loops, and the state with what they hold by then.

    `kind` is the class of their states. Schedules have places in closed loops too.
    """
    typed, closed = opened(where, opt_state)
    nodes, structure = jax.tree_util.tree_flatten_with_path(typed, lambda it: isinstance(it, kind))
    nodes = [Place(node, path) if isinstance(node, kind) else node for path, node in nodes]
    found = [node for node in nodes if isinstance(node, Place)]
    return found, lambda: closed(
        structure.unflatten(it.state if isinstance(it, Place) else it for it in nodes)
    )


def is_rate(hyperparameter: str) -> bool:
    """Whether a hyperparameter of that name is a rate, as `adam_learning_rate` is."""
    return hyperparameter == "learning_rate" or hyperparameter.endswith("_learning_rate")


# --- NamedTuples that a checkpoint gave back as dicts of their fields


def _is_dict(node: object) -> bool:
    """Whether a node is the dict of the fields of such a NamedTuple."""
    return isinstance(node, Mapping) and frozenset(node) in _BY_FIELDS


def _typed(tree: object) -> Any:
    def one(node: Any) -> Any:
        if not _is_dict(node):
            return node
        kind = _BY_FIELDS[frozenset(node)]
        if kind is FeedbackState:
            return _loop(node)
        return kind(**{name: _typed(node[name]) for name in kind._fields})

    return jax.tree.map(one, tree, is_leaf=_is_dict)


def _loop(node: Any) -> FeedbackState:
    """The state of a closed loop; no dict holds the rule of a user's own, so there it is no more."""
    schedule, memory = _typed(node["schedule"]), node["memory"]
    numbers = {path.rpartition(".")[2]: number for path, number in flat(node["rule"]).items()}
    label = next(iter(node["rule"])).rpartition(".")[0]  # plateau, or plateau(True) if observe_only
    name, _, words = label.partition("(")
    ours = OUR_RULES.get(name)
    if isinstance(memory, Mapping):
        memory = (PlateauState if ours else SimpleNamespace)(**memory)
    if not ours:
        return FeedbackState(schedule, memory, SimpleNamespace(name=name, **numbers))
    rule = assembled(ours, **numbers, schedule=None, observe_only=bool(words))
    return FeedbackState(schedule, memory, rule)


def _as_before(old: Any, new: Any) -> Any:
    """The new state, with dicts where the old one has them."""
    if _is_dict(old):
        return {name: _as_before(it, getattr(new, name)) for name, it in old.items()}
    if isinstance(new, SimpleNamespace):
        return old
    if isinstance(new, Node | PlateauState):
        olds, news = flat(old), flat(new)
        if olds.keys() == news.keys():
            return jax.tree.unflatten(jax.tree.structure(old), [news[path] for path in olds])
        return as_dicts(new)
    return jax.tree.map(
        lambda old, new: _as_before(old, new) if _is_dict(old) else new, old, new, is_leaf=_is_dict
    )


# --- nnx


def _without_variables(opt_state: object) -> tuple[Any, Callable[[Any], Any]]:
    """A state of plain arrays, and the way back to nnx Variables where Variables were."""
    nnx: Any = sys.modules.get("flax.nnx")
    if nnx is None:
        return opt_state, lambda state: state

    def is_variable(node: object) -> bool:
        return isinstance(node, nnx.Variable)

    leaves, structure = jax.tree.flatten(opt_state, is_leaf=is_variable)
    if not any(map(is_variable, leaves)):
        return opt_state, lambda state: state
    # Before flax 0.12 a Variable has no get_value, and passes unknown names on to its array.
    value_of = getattr(nnx.Variable, "get_value", lambda variable: variable.value)
    plain = jax.tree.unflatten(structure, [value_of(x) if is_variable(x) else x for x in leaves])
    # nnx.Optimizer holds every array in a Variable; optax over an nnx.State only those of the
    # parameters. What a new structure adds is a Variable in the first case alone.
    wrap: Any = type(leaves[0]) if all(map(is_variable, leaves)) else lambda leaf: leaf
    wraps = [it.replace if is_variable(it) else lambda leaf: leaf for it in leaves]
    wrap_at = dict(zip(flat(plain), wraps, strict=True))

    def back(state: object) -> Any:
        new = [wrap_at.get(path, wrap)(leaf) for path, leaf in flat(state).items()]
        return jax.tree.unflatten(jax.tree.structure(state), new)

    return plain, back
