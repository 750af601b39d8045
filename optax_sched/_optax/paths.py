"""Trees by the paths to their leaves, as checkpoints write them: in dicts, without our types."""

from typing import Any

import jax


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
