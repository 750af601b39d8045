"""Shapes: functions from [0, 1] to [0, 1], read on a fraction and its complement."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._math.phases import Numeric, mix, progress, remaining
from optax_sched._math.powers import Weights


def half_wave(x: Numeric, y: Numeric) -> Weights:
    """`sin^2(pi x / 2)` and its complement `sin^2(pi y / 2)`, for x in [0, 1] and y = 1 - x.

    It sums the series of (1 - cos(pi x)) / 2 at the smaller of the two. That has half the error of a
    squared float32 sine, since pi is never rounded, and takes half the time.
    """
    # Not jnp.minimum: where x = y it gives each half of the gradient, and the halves cancel.
    small = jnp.where(x <= y, x, y) ** 2
    series = 0.0
    for k in range(7 if small.dtype == jnp.float32 else 12, 0, -1):
        series = (-1) ** (k + 1) * np.pi ** (2 * k) / (2 * math.factorial(2 * k)) + series * small
    wave = small * series
    return Weights(jnp.where(x <= y, wave, 1 - wave), jnp.where(x <= y, 1 - wave, wave))


def square_root(x: Numeric) -> jax.Array:
    """`sqrt(x)` for x >= 0, with a finite gradient at 0 too."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)


ShapeFunction = Callable[[Numeric, Numeric], Weights]


def _sqrt(x: Numeric, y: Numeric) -> Weights:
    root = square_root(y)
    return Weights(x / (1 + root), root)


SHAPES: dict[str, ShapeFunction] = {
    "linear": lambda x, y: Weights(x, y),
    "cosine": half_wave,
    "sqrt": _sqrt,
    "square": lambda x, y: Weights(x * (1 + y), y**2),
}


def inside(x: Any, y: Any) -> jax.Array:
    """Whether a fraction, given with its complement, lies between the ends."""
    return (x > 0) & (y > 0)


def blend(at_zero: Numeric, at_one: Numeric, shape: Any, x: Numeric, y: Numeric) -> jax.Array:
    """From one value to another, as the shape goes from 0 to 1 at x, of which y is the complement."""
    return mix(at_zero, at_one, *shape.weights(x, y))


def rise(step: Numeric, steps: Numeric, start: Numeric, end: Numeric, shape: Any) -> jax.Array:
    """From `start` to `end` over `steps`, with the shape read on progress."""
    return blend(start, end, shape, progress(step, steps), remaining(step, steps))


def fall(step: Numeric, steps: Numeric, start: Numeric, end: Numeric, shape: Any) -> jax.Array:
    """From `start` to `end` over `steps`, with the shape read on what remains."""
    return blend(end, start, shape, remaining(step, steps), progress(step, steps))
