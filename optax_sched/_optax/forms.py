"""The one door for optimizer states: optax's own, those in nnx Variables, those restored as dicts."""

import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax
import optax

from optax_sched._core.built import assembled
from optax_sched._core.nodes import Node
from optax_sched._optax.plateau import OUR_RULES, PlateauState
from optax_sched._optax.state import KEPT, FeedbackState, ScheduleState, as_dicts, flat

INJECTED = optax.schedules.InjectStatefulHyperparamsState
PARTITION = optax.transforms.PartitionState
TELLING = (*KEPT, INJECTED, PARTITION)  # that say something of the rate
_BY_FIELDS: dict[frozenset[str], Any] = {frozenset(kind._fields): kind for kind in TELLING}
_NAMED = {PARTITION: "inner_states", INJECTED: "hyperparams_states"}  # the fields with states by name


class Place:
    """Where a schedule or a closed loop stands in an optimizer's state; another may be put there.

    `names`: the labels and names of hyperparameters on the way there.
    """

    def __init__(self, state: Any, names: tuple[Any, ...], is_rate: bool):
        self.state: Any = state
        self.names, self.is_rate = names, is_rate

    @property
    def schedule(self) -> Any:
        """The state of the schedule, which may be a closed loop's, or None."""
        return self.state.schedule if isinstance(self.state, FeedbackState) else self.state

    def put(self, schedule: ScheduleState) -> None:
        """Let another schedule stand there."""
        is_loop = isinstance(self.state, FeedbackState)
        self.state = self.state._replace(schedule=schedule) if is_loop else schedule


def opened(where: str, opt_state: object) -> tuple[Any, Callable[[Any], Any]]:
    """The state in NamedTuples of plain arrays, and the way back to the form in which it came."""
    if isinstance(opt_state, optax.GradientTransformation):
        rule = "an optimizer's state, as optimizer.init(params) gives it"
        raise TypeError(f"{where}: opt_state must be {rule}, got the optimizer itself")
    plain, wrapped = _without_variables(opt_state)
    if not any(map(_kind, jax.tree.leaves(plain, is_leaf=_is_dict))):
        return plain, wrapped
    return _typed(plain), lambda new: wrapped(_as_before(plain, new))


def places(where: str, opt_state: object) -> tuple[list[Place], Callable[[], Any]]:
    """All places in a state, and the state with what they hold by then."""
    found: list[Place] = []
    typed, closed = opened(where, opt_state)
    tree = _with_places(typed, (), True, found)
    return found, lambda: closed(
        jax.tree.map(lambda node: node.state if isinstance(node, Place) else node, tree)
    )


def is_rate(hyperparameter: str) -> bool:
    """Whether a hyperparameter of that name is a rate, as `adam_learning_rate` is."""
    return hyperparameter == "learning_rate" or hyperparameter.endswith("_learning_rate")


def _with_places(tree: object, names: tuple[Any, ...], rate: bool, found: list[Place]) -> Any:
    def visited(node: Any) -> Any:
        if isinstance(node, KEPT):
            found.append(Place(node, names, rate))
            return found[-1]
        if field := _NAMED.get(type(node)):
            states = dict(getattr(node, field))
            for name, inner in states.items():
                may_be_rate = type(node) is PARTITION or is_rate(name)
                states[name] = _with_places(inner, (*names, name), may_be_rate, found)
            node = node._replace(**{field: states})
        if isinstance(node, INJECTED):
            node = node._replace(inner_state=_with_places(node.inner_state, names, True, found))
        return node

    return jax.tree.map(visited, tree, is_leaf=lambda node: isinstance(node, TELLING))


# --- NamedTuples that a checkpoint gave back as dicts of their fields


def _kind(node: object) -> Any:
    """The NamedTuple of which a node is the dict of its fields, or None."""
    return _BY_FIELDS.get(frozenset(node)) if isinstance(node, Mapping) else None


def _is_dict(node: object) -> bool:
    return _kind(node) is not None


def _typed(tree: object) -> Any:
    def one(node: Any) -> Any:
        kind = _kind(node)
        if kind is None:
            return node
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
    kind = _kind(old)
    if kind is not None:
        return {name: _as_before(old[name], getattr(new, name)) for name in kind._fields}
    if isinstance(new, SimpleNamespace):
        return old
    if isinstance(new, Node | PlateauState):
        olds, news = flat(old), flat(new)
        if olds.keys() == news.keys():
            return jax.tree.unflatten(jax.tree.structure(old), [news[path] for path in olds])
        return as_dicts(new)
    nodes, structure = jax.tree.flatten(old, is_leaf=_is_dict)
    pairs = zip(nodes, structure.flatten_up_to(new), strict=True)
    back = [_as_before(old, new) if _is_dict(old) else new for old, new in pairs]
    return jax.tree.unflatten(structure, back)


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
