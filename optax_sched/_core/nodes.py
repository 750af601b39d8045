"""A pytree of ours, kept as JAX asks for it: its children, and the structure around them."""

import functools
import operator
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NoReturn, Self

import jax

_CHILD = ...  # stands in a structure where a child goes: nothing else in one is an Ellipsis


class Node:
    """An immutable pytree of values, some of which are static: parts of its structure.

    What has no leaves, a named shape or a function say, is static too: orbax would take it for a leaf.
    A jitted step takes its state apart and puts it together again, so both do next to nothing here.
    """

    __module__ = "optax_sched"  # as `help` shows it
    # `__weakref__`: jax.jit(s) holds s by a weak reference.
    __slots__ = ("__weakref__", "_children", "_structure")
    _children: tuple[Any, ...]
    _structure: tuple[Any, tuple[Any, ...]]  # what all such nodes share, and the static values

    def __init_subclass__(cls) -> None:
        jax.tree_util.register_pytree_with_keys(
            cls,
            lambda node: (tuple(zip(node._keys(), node._children, strict=True)), node._structure),
            functools.partial(_unflatten, cls),
            operator.attrgetter("_children", "_structure"),
        )

    @classmethod
    def _of(cls, shared: Hashable, values: Sequence[Any], is_static: Iterable[bool]) -> Self:
        static = tuple(map(_as_static, values, is_static))
        children = (value for value, word in zip(values, static, strict=True) if word is _CHILD)
        return _unflatten(cls, (shared, static), children)

    @property
    def _values(self) -> tuple[Any, ...]:
        children = iter(self._children)
        return tuple(next(children) if it is _CHILD else _static_value(it) for it in self._structure[1])

    def _keys(self) -> Iterable[Any]:
        """The key of each child in the path to a leaf."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: object = None) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is immutable: use replace({name}=...)")

    __delattr__ = __setattr__


def _as_static(value: object, is_static: bool) -> Any:
    """A value as a part of a structure, or the sign that a child stands there."""
    if is_static:
        return value
    structure = jax.tree.structure(value)
    if not structure.num_leaves:
        return structure  # compared by its parts, as the value is not
    is_function = callable(value) and jax.tree_util.treedef_is_leaf(structure)
    return value if is_function else _CHILD


def _static_value(word: Any) -> Any:
    return word.unflatten(()) if isinstance(word, jax.tree_util.PyTreeDef) else word


# It checks nothing: JAX puts tracers, batches and placeholders where the leaves were.
def _unflatten(cls: type[Any], structure: object, children: Iterable[Any]) -> Any:
    node = object.__new__(cls)
    _set_children(node, tuple(children))
    _set_structure(node, structure)
    return node


_set_children, _set_structure = Node._children.__set__, Node._structure.__set__  # pyright: ignore
