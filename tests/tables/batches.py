"""Schedules to make batches of: alike, and of mixed families."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optax_sched as o

STEPS = np.arange(12)
LEGS = [o.linear(0.2, 0.0, 6), o.linear(0.1, 0.1, 3), o.linear(0.0, 0.3, 9)]


def closure(step: Any) -> Any:
    return 0.1 / (jnp.float32(step) + 1)


MIXED: list[Any] = [
    o.cosine_decay(0.1, 8),
    o.warmup(o.linear(0.2, 0.0, 6), 3),
    o.join([0.1, o.linear(0.1, 0.0, 3)], [5]),
    o.cosine_decay(0.3, 5),
    o.piecewise_constant([0.3, 0.2, 0.1], [2, 4]),
    o.piecewise_constant([0.3, 0.1], [7]),
    closure,
    o.noisy(0.1, 3, 0.1),
    o.select(1, LEGS),
    0.25,
]


def rates(schedule: Any) -> jax.Array:
    return schedule(STEPS)


def one_by_one(schedules: list[Any]) -> list[np.ndarray]:
    return [np.asarray(s(STEPS) if callable(s) else np.full(STEPS.shape, s)) for s in schedules]
