"""Exact fractions of a phase, and blends that meet their ends."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Numeric = int | float | np.number | np.ndarray | jax.Array
"""What stands for one number or several."""

LAST_STEP = 2**31 - 1  # optax counts updates in int32 and stops there


def is_int(x: Numeric) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.integer)


def since(step: Numeric, start: Numeric) -> jax.Array:
    """Steps since `start`, 0 before it: exact in integers, else as exact as floats can be."""
    if is_int(step) and not is_int(start):
        # float(step) loses steps beyond 2**24: subtract the whole part in integers first.
        whole = jax.lax.stop_gradient(jnp.floor(jnp.clip(start, 0, 2.0**30)))
        step, start = step - whole.astype(jnp.int32), start - whole
    return jnp.maximum(step - start, 0)


ULPS = 3  # of the step: how far a sum of real lengths may be from where float32 holds it


def clock_since(step: Numeric, start: Numeric) -> jax.Array:
    """`since`, nudged so that rounding cannot delay an end past `start` + length."""
    clock = since(step, start)
    if is_int(clock):
        return clock
    exact = (start == jnp.floor(start)) if is_int(step) else is_held(step)
    return as_summed(clock, step, exact & (is_int(step) | is_held(start)))


def as_summed(clock: jax.Array, step: Numeric, exact: Any) -> jax.Array:
    """A real clock, 3 ulp of the step later unless it is exact, so that it reaches sums of lengths.

    0.9 + 0.7 rounds to a float32 from which 0.9 leaves less than 0.7: what lasts 0.7 from 0.9 on would
    not have ended at their sum.
    """
    slack = ULPS * jnp.finfo(clock.dtype).eps * (step * 1.0)
    moved = clock + jnp.where(exact | (clock <= 0), 0.0, slack)
    return jax.lax.stop_gradient(moved) + (clock - jax.lax.stop_gradient(clock))


def is_held(number: Any) -> jax.Array:
    """Whether a float is a whole number or one of 64ths, so that sums of such numbers are exact."""
    whole, parts = number == jnp.round(number), number * 64 == jnp.round(number * 64)
    return (whole & (number < 2.0**24)) | (parts & (number < 1024))


def later(step: Any, steps: Numeric) -> jax.Array:
    """`step + steps`; a sum of integers stops at LAST_STEP."""
    if is_int(step) and is_int(steps):
        return jnp.minimum(step, LAST_STEP - steps) + steps
    return step + steps


def progress(step: Numeric, steps: Numeric) -> jax.Array:
    """The fraction of a phase that is done, for use in your own formulas.

        min(max(t, 0), T) / T,    t = step,  T = steps

    It is exactly 0 up to step 0, and exactly 1 from `steps` on. Near the end `remaining` is more exact
    than `1 - progress`.

    Args:
      step: the step, an integer or a float of any shape.
      steps: the length of the phase in steps; of a length of 0 the fraction is 0 up to step -1, and 1
        from step 0 on.

    Returns:
      A float array of the shape of `step`.

    >>> [f"{progress(t, 4):.2f}" for t in (-1, 0, 1, 4, 5)]
    ['0.00', '0.00', '0.25', '1.00', '1.00']
    """
    return _fraction(jnp.clip(step, 0, steps), step, steps, outside=step >= steps)


def remaining(step: Numeric, steps: Numeric) -> jax.Array:
    """The fraction of a phase that is left, for use in your own formulas.

        (T - min(max(t, 0), T)) / T,    t = step,  T = steps

    It is exactly 1 up to step 0, and exactly 0 from `steps` on. Near the end it is more exact than
    `1 - progress`: the subtraction is one of steps, before the division.

    Args:
      step: the step, an integer or a float of any shape.
      steps: the length of the phase in steps; of a length of 0 the fraction is 1 up to step -1, and 0
        from step 0 on.

    Returns:
      A float array of the shape of `step`.

    >>> [f"{remaining(t, 4):.2f}" for t in (-1, 0, 1, 4, 5)]
    ['1.00', '1.00', '0.75', '0.00', '0.00']
    """
    return _fraction(steps - jnp.clip(step, 0, steps), step, steps, outside=step < steps)


def _fraction(part: Numeric, step: Numeric, steps: Numeric, outside: Any) -> jax.Array:
    # XLA multiplies by the rounded reciprocal of a constant (or scalar) divisor, so the quotient of
    # two equal numbers need not be 1: select the ends. The divisor must not depend on the step, so
    # that it is a constant where the schedule is one: a true division would be a kernel of its own.
    inside = (step > 0) & (step < steps)
    return jnp.where(inside, part / _not_zero(steps), outside * 1.0)


def _not_zero(steps: Numeric) -> jax.Array:
    """The length as a float, or 1.0 instead of 0."""
    return jnp.where(steps > 0, steps, 1) * 1.0  # int32 by int32 is float32 even in x64


Fractions = tuple[jax.Array, jax.Array]
"""How much of a phase is done, and how much remains."""


def phase(step: Numeric, start: Numeric, end: Numeric) -> Fractions:
    """Where a step lies between two others; each fraction is exact at both ends and near its own 0."""
    begun, ended = reached(step, start), reached(step, end)
    inside = begun & ~ended
    length = _not_zero(since(end, start))
    done = jnp.where(inside, since(step, start) / length, ended)
    return done, jnp.where(inside, since(end, step) / length, ~ended)


def shares(step: Numeric, steps: Numeric) -> Fractions:
    """How much of a phase of this length is done, and how much remains."""
    return progress(step, steps), remaining(step, steps)


def mix(at_zero: Numeric, at_one: Numeric, weight: Numeric, complement: Any = None) -> jax.Array:
    """A blend of two values that is exact at both ends, for use in your own formulas.

        a (1 - w) + b w,    a = at_zero,  b = at_one,  w = weight

    It is exactly `at_zero` at weight 0 and exactly `at_one` at weight 1, and rounding never takes it
    beyond the two.

    Args:
      at_zero: the value at weight 0.
      at_one: the value at weight 1.
      weight: from 0 to 1.
      complement: `1 - weight`, where you know it more exactly than by that subtraction; for
        `weight = progress(step, steps)` it is `remaining(step, steps)`.

    Returns:
      A float array.

    >>> print(f"{mix(0.1, 0.5, 0.25):.2f} {mix(0.1, 0.5, 1.0):.2f}")
    0.20 0.50
    """
    if complement is None:
        complement = 1 - weight
    blend = at_zero * complement + at_one * weight
    # Rounding may take the blend an ulp beyond the two values. Hide the correction from the gradient:
    # the gradient of a clip is wrong where both values are equal.
    low, high = jnp.minimum(at_zero, at_one), jnp.maximum(at_zero, at_one)
    blend += jax.lax.stop_gradient(jnp.clip(blend, low, high) - blend)
    return jnp.where(complement == 0, at_one, jnp.where(weight == 0, at_zero, blend))


def reached(step: Any, boundary: Any) -> jax.Array:
    """`step >= boundary`, exact for integer steps beyond 2**24 too."""
    if is_int(step) and not is_int(boundary):
        inside = boundary < 2.0**31
        whole = jnp.ceil(jnp.where(inside, boundary, 0)).astype(jnp.int32)
        return inside & (step >= whole)
    return step >= boundary


def last_reached(step: Numeric, boundaries: Any) -> jax.Array:
    """The last boundary at or before the step, or 0."""
    # Before the first boundary the index is -1, for which `pick` gives 0. Not jnp.max(..., initial=0):
    # a boundary at 0 would share the gradient with the initial 0.
    return pick(boundaries, jnp.sum(reached(step, boundaries)) - 1)


def next_reached(step: Numeric, boundaries: Any) -> jax.Array:
    """The first boundary after the step, or LAST_STEP."""
    return jnp.min(jnp.where(reached(step, boundaries), LAST_STEP, boundaries), initial=LAST_STEP)


def piece_at(step: Numeric, boundaries: Any) -> tuple[jax.Array, Fractions]:
    """The number of the piece between boundaries that holds a step, and where in it the step lies."""
    within = phase(step, last_reached(step, boundaries), next_reached(step, boundaries))
    return jnp.sum(reached(step, boundaries)), within


def ratio(step: Any, steps: Numeric) -> jax.Array:
    """`step / steps`, not clipped, for curves that have no end."""
    return step * 1.0 / jnp.where(steps > 0, steps, 1)


def whole_step(step: Any) -> jax.Array:
    """The step as an integer: a float is rounded down."""
    if is_int(step):
        return step
    # 2**31 - 128 is the largest float32 that int32 can hold.
    return jnp.floor(jnp.minimum(step, 2.0**31 - 128)).astype(jnp.int32)


def pick(values: Any, index: Numeric) -> jax.Array:
    """The entry at `index`, or zeros where the index is out of range.

    A sum over a mask, not a gather, which fails where the index `is_spread`.
    """
    chosen = jnp.arange(values.shape[0]) == index
    if not jnp.issubdtype(values.dtype, jnp.number):
        return values[jnp.argmax(chosen)]  # a random key
    chosen = jnp.reshape(chosen, (-1,) + (1,) * (values.ndim - 1))
    return jnp.sum(jnp.where(chosen, values, 0), axis=0, dtype=values.dtype)


def is_spread(index: Numeric) -> bool:
    """Whether an index is on explicit axes of a mesh: JAX cannot gather by one that is."""
    mesh = jax.typeof(index).sharding.mesh
    return jax.sharding.AxisType.Explicit in (mesh.axis_types or ())
