"""What schedules and closed loops keep in an optimizer's state: arrays that belong to it alone."""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from optax_sched._core.built import Built, formula_behind, stored
from optax_sched._core.domains import Number, default_float, is_key, is_traced
from optax_sched._core.nodes import Node
from optax_sched._math.phases import later


class ScheduleState(NamedTuple):
    """The schedule rides in the state: it is checkpointed with it and may be replaced there."""

    # `count` is a tuple's method too, but nobody counts in a state.
    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]  # shape (), int32: updates so far
    value: jax.Array  # shape (), float: the schedule at the last update, or at the first before it
    schedule: Any


class FeedbackState(NamedTuple):
    """What a closed loop keeps: its schedule, what its rule remembers, and the rule's own numbers.

    The fields of the memory can be read here too, as in `state.scale` and `state.best`.
    """

    schedule: ScheduleState | None  # None where it is 1.0 and the loop is no rate, only a scale
    memory: Any  # the scale, or a NamedTuple with a field `scale`; float32 and int32
    rule: Any  # the closed loop without its schedule

    def __getattr__(self, name: str) -> Any:
        if name == "scale":
            plain = getattr(self.memory, "scale", self.memory)
            return plain if self.schedule is not None else rate_of(self)
        if name in getattr(self.memory, "_fields", ()):
            return getattr(self.memory, name)
        raise AttributeError(f"FeedbackState has no field {name!r}")


KEPT = (ScheduleState, FeedbackState)


def strong(leaf: object) -> jax.Array:
    """As an array of a fixed dtype, so that `init` and `update` agree on it."""
    dtype = jnp.result_type(leaf)
    if isinstance(leaf, jax.Array):
        return jax.lax.convert_element_type(leaf, dtype)
    return jnp.asarray(leaf, default_float() if jnp.issubdtype(dtype, jnp.floating) else jnp.int32)


def owned(leaf: ArrayLike) -> jax.Array:
    """A strong array of the state's own: a state may be donated, and then its arrays are deleted."""
    return jnp.copy(strong(leaf))


def single(leaf: ArrayLike) -> jax.Array:
    """The same in float32 or int32, the types that a rule computes with."""
    dtype = jnp.result_type(leaf)
    if jnp.issubdtype(dtype, jnp.floating):
        return owned(jnp.asarray(leaf, jnp.float32))
    return owned(jnp.asarray(leaf, jnp.int32) if jnp.issubdtype(dtype, jnp.integer) else leaf)


def laid(leaves: Sequence[Any], olds: Sequence[Any], cast: bool = True) -> list[Any]:
    """New arrays in the dtypes of the old ones, and where these lie, so that nothing compiles again."""
    if cast:
        leaves = list(map(_cast, leaves, olds))
    if is_traced((leaves, olds)):
        return list(map(jnp.copy, leaves))
    placed: dict[int, jax.Array] = {}
    places = [old.sharding if getattr(old, "committed", False) else None for old in olds]
    for place in set(places):
        here = [n for n, it in enumerate(places) if it == place]
        placed |= zip(here, _copies(place)([leaves[n] for n in here]), strict=True)
    return [placed[n] for n in range(len(leaves))]


def _cast(leaf: Any, old: Any) -> Any:
    array = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    return leaf if is_key(leaf) else array.astype(old.dtype)


@functools.lru_cache(maxsize=64)
def _copies(place: jax.sharding.Sharding | None) -> Callable[[list[Any]], list[jax.Array]]:
    # One program moves them all: device_put takes as long for each array.
    options: dict[str, Any] = {} if place is None else {"out_shardings": place}
    return jax.jit(lambda leaves: list(map(jnp.copy, leaves)), **options)


def same(a: object, b: object) -> bool:
    """Whether two trees are equal, as far as one can know: traced numbers count as different."""
    leaves, structure = jax.tree.flatten(a)
    others, other = jax.tree.flatten(b)
    return structure == other and all(map(_equal, leaves, others))


def _equal(a: Any, b: Any) -> bool:
    if a is b or is_traced((a, b)):
        return a is b
    if is_key(a) or is_key(b):
        return a.dtype == b.dtype and _equal(jax.random.key_data(a), jax.random.key_data(b))
    return np.array_equal(np.asarray(a), np.asarray(b))


def refuse_many(where: str, count: ArrayLike) -> None:
    """Raise if a number that one state has once is there many times."""
    if jnp.ndim(count):
        raise ValueError(
            f"{where}: opt_state must be one optimizer's state, got a batch of "
            f"{jnp.shape(count)[0]}: map over it, jax.vmap({where})(opt_state, ...)"
        )


def refuse_zeros(where: str, tree: object) -> None:
    """Raise if a number is 0 that its builder never lets be 0: then the state was mapped as a whole."""
    if isinstance(tree, Built):
        for name, domain, value in stored(tree):
            number = getattr(domain, "of", domain.item or domain)
            refused = isinstance(number, Number) and not number.holds(0) and value is not None
            # Never wait for a step that still runs.
            is_known = not is_traced(value) and getattr(value, "is_ready", lambda: True)()
            if refused and is_known and not np.all(np.asarray(value)):
                raise ValueError(
                    f"{where}: opt_state must hold numbers that builders take, got "
                    f"{formula_behind(tree).name}.{name}=0, as after jax.tree.map(jnp.zeros_like, "
                    "opt_state): make it anew with optimizer.init(params), or replace all of its "
                    "schedules with replace_schedule(opt_state, schedule)"
                )
    if isinstance(tree, Node | tuple):
        for part in tree if isinstance(tree, tuple) else tree._children:
            refuse_zeros(where, part)


def flat(tree: object) -> dict[str, Any]:
    """The leaves by their paths: the same for a tree and for the dicts or lists it comes back as."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def as_dicts(tree: object) -> dict[str, Any]:
    """The tree in nested dicts, as flax's `to_state_dict` and orbax write it."""
    dicts: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        *folders, last = (jax.tree_util.keystr((key,), simple=True) for key in path)
        inner = dicts
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[last] = leaf
    return dicts


def start(schedule: Callable[[jax.Array], jax.Array]) -> ScheduleState:
    """The state before the first update."""
    register_with_flax()
    carried = jax.tree.map(owned, schedule)
    count = jnp.zeros((), jnp.int32)
    return ScheduleState(count, owned(carried(count)), carried)


def evaluated(state: ScheduleState) -> ScheduleState:
    """The state with the schedule's value at the update that is being made."""
    return state._replace(value=strong(state.schedule(state.count)))


def advanced(state: Any) -> Any:
    """The state after that update."""
    if isinstance(state, ScheduleState):
        return state._replace(count=later(state.count, 1))
    return state if state.schedule is None else state._replace(schedule=advanced(state.schedule))


def rate_of(state: ScheduleState | FeedbackState) -> jax.Array:
    """s, and in a closed loop max(s scale, min(s, min_value)): the floor lifts no rate above s."""
    if isinstance(state, ScheduleState):
        return state.value
    s = 1.0 if state.schedule is None else state.schedule.value
    with jax.numpy_dtype_promotion("standard"):
        rate = s * getattr(state.memory, "scale", state.memory)
        # A negative schedule is below every floor.
        return jnp.where(s > 0, jnp.maximum(rate, jnp.minimum(s, state.rule.min_value)), rate)


def register_with_flax() -> None:
    """Let flax.serialization take what builders make, if the user has imported it."""
    serialization: Any = sys.modules.get("flax.serialization")
    if serialization is None:
        return
    kinds: list[type] = [Node]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if not serialization.is_serializable(kind):
            serialization.register_serialization_state(kind, _to_state_dict, _from_state_dict)


def _to_state_dict(built: Node) -> dict[str, Any]:
    # msgpack knows no random keys.
    return as_dicts(jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, built))


def _from_state_dict(target: object, state: object) -> Any:
    wanted, found = flat(target), flat(state)
    if wanted.keys() != found.keys():
        raise ValueError(f"the state to restore has {', '.join(found)} where {target!r} is")
    for path, leaf in wanted.items():
        if is_key(leaf):  # perhaps of a shape alone, of which JAX does not tell the kind
            impl = jax.random.key_impl(jnp.empty((), leaf.dtype))
            found[path] = jax.random.wrap_key_data(jnp.asarray(found[path]), impl=impl)
    return jax.tree.unflatten(jax.tree.structure(target), [found[path] for path in wanted])
