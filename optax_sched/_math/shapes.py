"""Shapes: functions from [0, 1] to [0, 1], powers too, read on a fraction and its complement."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._math.phases import Numeric, mix


class Weights(NamedTuple):
    """A value in [0, 1] and its complement to 1, each exact near its own 0."""

    weight: Numeric
    complement: Numeric


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


@jax.custom_jvp
def raised(x: Numeric, y: Numeric, exponent: Numeric) -> Weights:
    """`x**exponent` and its complement, for x in [0, 1] and y = 1 - x; gradients are finite at 0."""
    weight, complement = _raised(x, y, exponent)
    # As they are for the exponent that nearly all schedules have: where it is known, XLA leaves out the
    # rest. The gradient needs both, also with respect to the exponent.
    return Weights(jnp.where(exponent == 1, x, weight), jnp.where(exponent == 1, y, complement))


@raised.defjvp
def _raised_jvp(primals: Any, tangents: Any) -> tuple[Weights, Weights]:
    return raised(*primals), jax.jvp(_raised, primals, tangents)[1]


def _raised(x: Numeric, y: Numeric, exponent: Numeric) -> Weights:
    # Not `**`, which XLA does not vectorise on a CPU. Near 1, log x = -2 atanh(y / (1 + x)).
    near = jnp.where(y < 0.5, y / (1 + x), 0.0)
    series = 0.0
    for k in range(13 if near.dtype == jnp.float32 else 31, 1, -2):
        series = (2 / k + series) * near**2
    near_1 = -(2 * near + series * near)
    log = exponent * jnp.where(y < 0.5, near_1, jnp.log(jnp.where(x > 0, x, 1.0)))
    weight = jnp.where(x > 0, jnp.exp(log), 0.0)
    # Near 1, -expm1(exponent log x) gives 1 - x^exponent without subtracting two near numbers. Further
    # away the subtraction is harmless, while the gradient of expm1 would subtract near numbers.
    return Weights(weight, jnp.where(weight > 0.5, -jnp.expm1(log), 1 - weight))


def _sqrt(x: Numeric, y: Numeric) -> Weights:
    root = jnp.where(y > 0, jnp.sqrt(jnp.where(y > 0, y, 1.0)), 0.0)  # with a finite gradient at 0
    return Weights(x / (1 + root), root)


SHAPES: dict[str, Callable[[Numeric, Numeric], Weights]] = {
    "linear": lambda x, y: Weights(x, y),
    "cosine": half_wave,
    "sqrt": _sqrt,
    "square": lambda x, y: Weights(x * (1 + y), y**2),
}


def blend(at_zero: Numeric, at_one: Numeric, shape: Any, x: Numeric, y: Numeric) -> jax.Array:
    """From one value to another, as the shape goes from 0 to 1 at x, of which y is the complement."""
    return mix(at_zero, at_one, *shape.weights(x, y))


# --- The monotone cubic through given points


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
    weight = x * x * (x + (3 - end) * y) + start * x * y * y
    return Weights(weight, y * y * (y + (3 - start) * x) + end * y * x * x)
