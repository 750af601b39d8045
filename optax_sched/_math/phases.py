"""Exact fractions of a phase, and blends that meet their ends."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

LAST_STEP = 2**31 - 1  # optax counts updates in int32 and stops there


def is_int(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.integer)


def since(step: Any, start: Any) -> jax.Array:
    """Steps from `start` on, 0 before it. Exact in integers, and as exact as floats can be else."""
    if is_int(step) and not is_int(start):
        # float(step) would lose steps beyond 2**24: take the whole part off in integers first.
        whole = jax.lax.stop_gradient(jnp.floor(jnp.clip(start, 0, 2.0**30)))
        step, start = step - whole.astype(jnp.int32), start - whole
    return jnp.maximum(step - start, 0)


def later(step: Any, steps: Any) -> jax.Array:
    """`step + steps`, saturating where both are integers."""
    if is_int(step) and is_int(steps):
        return jnp.minimum(step, LAST_STEP - steps) + steps
    return step + steps


def progress(step: Any, steps: Any) -> jax.Array:
    """The fraction of a phase that is done: exactly 0 up to step 0, exactly 1 from `steps` on."""
    return _fraction(jnp.clip(step, 0, steps), step, steps, outside=step >= steps)


def remaining(step: Any, steps: Any) -> jax.Array:
    """The fraction of a phase that is left: exactly 1 up to step 0, exactly 0 from `steps` on."""
    return _fraction(steps - jnp.clip(step, 0, steps), step, steps, outside=step < steps)


def _fraction(part: Any, step: Any, steps: Any, outside: Any) -> jax.Array:
    # XLA multiplies by the rounded reciprocal of a constant (or scalar) divisor, so the quotient of
    # two equal numbers need not be 1: the ends are selected. The divisor does not depend on the step,
    # so that it is a constant where the schedule is: a true division would be a kernel of its own.
    inside = (step > 0) & (step < steps)
    return jnp.where(inside, part / _not_zero(steps), outside * 1.0)


def _not_zero(steps: Any) -> jax.Array:
    """The length, or 1.0 for none."""
    return jnp.where(steps > 0, steps, 1) * 1.0  # int32 by int32 is float32 even in x64


class Fractions(NamedTuple):
    """How much of a phase is done, and how much remains."""

    progress: jax.Array
    remaining: jax.Array


def phase(step: Any, start: Any, end: Any) -> Fractions:
    """Where a step lies between two others, each fraction exact at both ends and near its own 0."""
    begun, ended = reached(step, start), reached(step, end)
    inside = begun & ~ended
    length = _not_zero(since(end, start))
    done = jnp.where(inside, since(step, start) / length, ended)
    left = jnp.where(inside, since(end, step) / length, ~ended)
    return Fractions(done, left)


def mix(at_zero: Any, at_one: Any, weight: Any, complement: Any = None) -> jax.Array:
    """From `at_zero` at weight 0 to `at_one` at weight 1, both to the bit, and never beyond them.

    `complement` is `1 - weight`, where the caller knows it more exactly than that subtraction.
    """
    if complement is None:
        complement = 1 - weight
    blend = at_zero * complement + at_one * weight
    # Rounding may step an ulp outside the two heights. The correction is exact, and a constant to
    # the gradient: that of a clip is wrong where both heights are equal.
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


def last_reached(step: Any, boundaries: Any) -> jax.Array:
    """The last boundary at or before the step, or 0."""
    # Not jnp.max(..., initial=0): a boundary at 0 would be equal, and get half of the gradient.
    return pick(boundaries, jnp.sum(reached(step, boundaries)) - 1)


def next_reached(step: Any, boundaries: Any) -> jax.Array:
    """The first boundary after the step, or the last step of all."""
    return jnp.min(jnp.where(reached(step, boundaries), LAST_STEP, boundaries), initial=LAST_STEP)


def ratio(step: Any, steps: Any) -> jax.Array:
    """`step / steps`, not clipped: for curves that have no end."""
    return step * 1.0 / jnp.where(steps > 0, steps, 1)


def whole_step(step: Any) -> jax.Array:
    """The step as an integer: a float is rounded down."""
    if is_int(step):
        return step
    # The largest float32 below 2**31 caps what the cast can hold.
    return jnp.floor(jnp.minimum(step, 2.0**31 - 128)).astype(jnp.int32)


def pick(values: Any, index: Any) -> jax.Array:
    """The entry at `index`; zeros where the index is outside.

    By a sum: JAX cannot gather by an index that is spread over the devices of an explicit mesh.
    """
    chosen = jnp.arange(values.shape[0]) == index
    if not jnp.issubdtype(values.dtype, jnp.number):
        return values[jnp.argmax(chosen)]  # a random key
    chosen = jnp.reshape(chosen, (-1,) + (1,) * (values.ndim - 1))
    return jnp.sum(jnp.where(chosen, values, 0), axis=0, dtype=values.dtype)
