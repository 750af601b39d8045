"""How exact a value must be, and what a gradient is, by the oracle."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from mpmath import mpf
from support.amount import EVERYTHING
from support.op_by_op import op_by_op
from tables.rows import Example, Row, expected, is_float

from optax_sched import Schedule

TINY = float(np.finfo(np.float32).tiny)


@functools.cache
def oracle_values(example: Example) -> np.ndarray:
    """The formula at the example's steps."""
    return at_each_once(example, lambda step: float(expected(example.schedule, step)))


def at_each_once(example: Example, at: Callable[[int], float]) -> np.ndarray:
    """At the example's steps, the last of which are repeated."""
    steps, back = np.unique(example.steps(), return_inverse=True)
    return np.array([at(int(step)) for step in steps])[back]


@functools.cache
def tolerance(row: Row, example: Example) -> np.ndarray:
    """5e-7, and where the row or the example is sensitive 4 ulp times the oracle's own sensitivity."""
    if not row.sensitive and not example.sensitive:
        return np.full(len(example.steps()), 5e-7)
    return 5e-7 + 4 * 2.0**-23 * sensitivity(example)


def sensitivity(example: Example) -> np.ndarray:
    """How many times over a small relative change of a float or of the step shows in the value."""
    h = mpf(10) ** -12
    leaves, structure = jax.tree.flatten(example.schedule)
    moved = [
        jax.tree.unflatten(structure, [*leaves[:i], leaf * (1 - float(h)), *leaves[i + 1 :]])
        for i, leaf in enumerate(leaves)
        if is_float(leaf)
    ]

    def at(step: int) -> float:
        value = expected(example.schedule, step, rounded=False)
        if abs(value) < TINY:
            return 0.0
        # A little later, not earlier, which would be before the drop of a staircase.
        others = [expected(example.schedule, step * (1 + h), rounded=False)]
        others += [expected(schedule, step, rounded=False) for schedule in moved]
        return min(float(sum(abs(other / value - 1) for other in others) / h), 1e4)

    return at_each_once(example, at)


def relative_error(row: Row, got: Any, want: np.ndarray) -> np.ndarray:
    """0 where both are nothing to float32, so that 0 is never right where a rate should be."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    nothing = max(5e-7 * np.max(np.abs(want)), TINY) if row.inner_zeros else TINY
    both_are = (np.abs(want) < TINY) & (np.abs(got) < TINY)
    return np.where(both_are, 0.0, np.abs(got - want) / np.maximum(np.abs(want), nothing))


# No test compares the last bits of a gradient, so the default run compiles it with less optimization.
QUICK = {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}


def gradient(schedule, steps):
    """Gradients with respect to every leaf and to the step; those of integers are void."""
    by_reverse_mode = jax.grad(lambda s, t: s(t), argnums=(0, 1), allow_int=True)
    return jax.vmap(by_reverse_mode, in_axes=(None, 0))(schedule, steps)


compiled_gradient = jax.jit(gradient, compiler_options=None if EVERYTHING else QUICK)


def slopes(
    schedule: Schedule, hypers: dict[str, float], steps: np.ndarray, is_compiled: bool
) -> dict[str, jax.Array]:
    """With respect to some hyperparameters by forward mode: compiled, or op by op one by one."""
    if is_compiled:
        return jax.jit(jax.jacfwd(lambda hypers: schedule.replace(**hypers)(steps)))(hypers)

    def slope(name: str, value: float) -> jax.Array:
        tangent = jax.jvp(lambda x: schedule.replace(**{name: x})(steps), (value,), (1.0,))
        return tangent[1]

    return {name: op_by_op(functools.partial(slope, name), value) for name, value in hypers.items()}


def derivative(schedule: Schedule, name: str, at: float, step: int) -> float:
    """The formula's slope with respect to a hyperparameter; NaN where it jumps or may not move."""
    ends = []
    for d in (1e-9, -1e-9):
        try:
            ends.append(at + d * max(abs(at), 1.0))
            schedule.replace(**{name: ends[-1]})
        except ValueError:  # at the edge of what is allowed: from one side
            ends[-1] = at
    high, low = (expected(schedule.replace(**{name: end}), step, rounded=False) for end in ends)
    if ends[0] == ends[1] or abs(high - low) > 1e-4 * abs(high):
        return float("nan")
    return float((high - low) / (mpf(ends[0]) - mpf(ends[1])))
