"""The monotone cubic through given points: its slopes, and its weight within a piece."""

from typing import Any

import jax
import jax.numpy as jnp

from optax_sched._math.phases import Numeric
from optax_sched._math.shapes import Weights


def end_slopes(values: Numeric, lengths: Any) -> tuple[jax.Array, jax.Array]:
    """The slopes at the start and at the end of each piece, as multiples of the piece's mean slope.

    They are those of Fritsch and Butland: a weighted harmonic mean between two pieces that go the same
    way, 0 between two that do not, and a one-sided three-point formula at both ends. All lie in
    [0, 3], so that no piece leaves its two values.
    """
    # The multiples do not depend on the units of the values and lengths. In units of the largest
    # nothing is too large or too small for a float.
    rises, h = _in_largest(jnp.diff(values)), _in_largest(lengths * 1.0)
    mean = rises / h
    if len(lengths) < 2:  # a straight line
        return jnp.ones_like(mean), jnp.ones_like(mean)
    before, after = mean[:-1], mean[1:]
    same_way = jnp.sign(before) * jnp.sign(after) > 0
    by_before, by_after = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    total = jnp.where(same_way, by_before * after + by_after * before, 1.0)
    slope = jnp.where(same_way, (by_before + by_after) / total, 0.0)
    first = _one_sided(h[0], h[1], mean[0], mean[1])
    last = _one_sided(h[-1], h[-2], mean[-1], mean[-2])
    return jnp.append(first, slope * before), jnp.append(slope * after, last)


def _in_largest(numbers: Any) -> jax.Array:
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(numbers)))
    return numbers / jnp.where(largest > 0, largest, 1.0)


def _one_sided(h: Numeric, next_h: Numeric, mean: Numeric, next_mean: Numeric) -> jax.Array:
    steep = jnp.where(mean != 0, next_mean / jnp.where(mean != 0, mean, 1.0), 0.0)
    slope = ((2 * h + next_h) - h * steep) / (h + next_h)
    return jnp.where(mean == 0, 0.0, jnp.where(slope < 0, 0.0, jnp.where(slope > 3, 3.0, slope)))


def cubic(x: Numeric, y: Numeric, start: Numeric, end: Numeric) -> Weights:
    """The cubic from 0 to 1 with the given slopes at both ends, for x in [0, 1] and y = 1 - x.

    It is written in Bernstein's form: a sum of terms of one sign, which does not cancel.
    """
    return Weights(
        x * x * (x + (3 - end) * y) + start * x * y * y, y * y * (y + (3 - start) * x) + end * y * x * x
    )
