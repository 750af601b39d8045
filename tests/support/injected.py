"""What the tests of rates in an optimizer's state share."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_sched import linear, reduce_on_plateau, scale_by_learning_rate

PARAMS = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(2, jnp.float32)}
FALL = linear(0.4, 0.0, 4)  # 0.4, 0.3, 0.2, 0.1


def inject(schedule: Any, optimizer: Any = optax.sgd, **others: Any) -> Any:
    return optax.inject_hyperparams(optimizer)(learning_rate=schedule, **others)


def cutting() -> Any:
    return reduce_on_plateau(factor=0.5, patience=0)


def rate(schedule: Any = FALL) -> Any:
    return scale_by_learning_rate(schedule)


def labelled(x: Any, y: Any) -> Any:
    return optax.multi_transform({"x": x, "y": y}, {"a": "x", "b": "y"})


def two(x: list[float], y: list[float]) -> list[dict[str, float]]:
    return [{"x": a, "y": b} for a, b in zip(x, y, strict=True)]


def close(actual: Any, wanted: Any) -> None:
    chex.assert_trees_all_equal_structs(actual, wanted)
    chex.assert_trees_all_close(actual, jax.tree.map(np.float32, wanted), rtol=1e-6, atol=0)


def with_value(opt: Any) -> Any:
    """The same, with an `update` that takes `value`, read or not."""
    return opt if isinstance(opt, optax.MultiSteps) else optax.with_extra_args_support(opt)


def once(function: Any) -> Any:
    """The function compiled; to trace it a second time is an error."""
    traces = []

    @jax.jit
    def traced(*args, **kwargs):
        traces.append(args)
        assert len(traces) == 1, "traced a second time"
        return function(*args, **kwargs)

    return traced


def layout(tree: Any) -> Any:
    """All that must stay put for `scan` and the compilation cache."""
    leaves, structure = jax.tree.flatten(tree)
    weak = [getattr(leaf, "weak_type", False) for leaf in leaves]  # a random key has no such thing
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves], weak
