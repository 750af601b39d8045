"""Pure maths under every formula: exact fractions of a phase, blends that meet their ends, shapes."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

LAST_STEP = 2**31 - 1  # optax counts updates in int32 and stops there


class Weights(NamedTuple):
    """A shape's value and its complement, each exact near its own 0."""

    weight: Any
    complement: Any


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


def raised(x: Any, y: Any, exponent: Any) -> Weights:
    """`x**exponent` and its complement for x in [0, 1] and y = 1 - x; gradients are finite at 0."""
    positive = jnp.where(x > 0, x, 1.0)
    weight = jnp.where(x > 0, power(positive, exponent), 0.0)
    return Weights(weight, jnp.where(x > 0, _complement_of_power(positive, y, exponent), 1.0))


@jax.custom_jvp
def _complement_of_power(x: Any, y: Any, exponent: Any) -> jax.Array:
    """`1 - x**exponent` for x in (0, 1] and y = 1 - x: no cancellation where that is near 0."""
    log = jnp.where(y < 0.5, exponent * _log(x, y), np.log(2) * sum(_log2_of_power(x, exponent)))
    return jnp.where(exponent == 1, y, -jnp.expm1(log))


@_complement_of_power.defjvp
def _complement_of_power_jvp(primals: Any, tangents: Any) -> Any:
    (x, y, exponent), (_, dy, dexponent) = primals, tangents
    weight = power(x, exponent)
    tangent = exponent * weight / x * dy - weight * _log(x, y) * dexponent
    return _complement_of_power(x, y, exponent), tangent


def _log(x: Any, y: Any) -> jax.Array:
    """`log(x)` for x in (0, 1] and y = 1 - x."""
    return jnp.where(y < 0.5, jnp.log1p(-jnp.where(y < 0.5, y, 0.0)), jnp.log(x))


@jax.custom_jvp
def power(x: Any, exponent: Any) -> jax.Array:
    """`x**exponent` for x in (0, 1] and an exponent of 0 or more, exact for powers of 2 and at 1.

    The same as `**` to an ulp for exponents of a few, and twice as fast: XLA's own is not
    vectorised on a CPU.
    """
    info = jnp.finfo(x.dtype)
    whole, rest = _log2_of_power(x, exponent)
    held = jnp.maximum(whole, info.minexp).astype(_integer_like(x))
    scale = jax.lax.bitcast_convert_type((held - info.minexp + 1) << info.nmant, x.dtype)
    raised = jnp.where(whole < info.minexp, 0.0, jnp.exp2(jnp.clip(rest, -1, 1)) * scale)
    return jnp.where(exponent == 1, x, raised)


def _log2_of_power(x: Any, exponent: Any) -> tuple[jax.Array, jax.Array]:
    """`exponent * log2(x)` as a whole number and the rest: with x = m 2^k, exponent * (k + log2 m)."""
    info = jnp.finfo(x.dtype)
    exponent = jnp.minimum(exponent * 1.0, 2.0**31).astype(x.dtype)  # beyond, all but 1 becomes 0
    # The bits of a float are its exponent, then its mantissa: m is to lie around 1.
    root_half = int(np.sqrt(info.dtype.type(0.5)).view(f"int{info.bits}"))
    bits = jax.lax.bitcast_convert_type(x, _integer_like(x)) - root_half
    k = (bits >> info.nmant).astype(x.dtype)
    m = jax.lax.bitcast_convert_type((bits & ((1 << info.nmant) - 1)) + root_half, x.dtype)
    log = jnp.log2(m)
    # The first digits of the exponent times k are exact, and so is what remains of them.
    first = jax.lax.reduce_precision(exponent, info.nexp, info.nmant - info.nexp)
    whole = jnp.round(first * k + exponent * log)
    return whole, (first * k - whole) + ((exponent - first) * k + exponent * log)


def _integer_like(x: Any) -> Any:
    return jnp.int32 if x.dtype == jnp.float32 else jnp.int64


@power.defjvp
def _power_jvp(primals: Any, tangents: Any) -> Any:
    (x, exponent), (dx, dexponent) = primals, tangents
    value = power(x, exponent)
    tangent = value / x * exponent * dx
    if dexponent.dtype != jax.dtypes.float0:  # of a whole exponent
        tangent += value * jnp.log(x) * dexponent
    return value, tangent


def with_gradient_of(value: Any, other: Any) -> jax.Array:
    """`value`, exact, to be differentiated as `other`."""
    return jax.lax.stop_gradient(value) + (other - jax.lax.stop_gradient(other))


def half_wave(x: Any, y: Any) -> Weights:
    """`sin^2(pi x / 2)` and its complement `sin^2(pi y / 2)`, for x in [0, 1] and y = 1 - x.

    By the series of (1 - cos(pi x)) / 2 on the smaller of the two: half the error of a float32 sine
    squared, since pi is never rounded, and half its time.
    """
    # Not jnp.minimum: where both are equal it gives each half of the gradient, and those cancel.
    small = jnp.where(x <= y, x, y) ** 2
    series = 0.0
    for k in range(8 if small.dtype == jnp.float32 else 13, 0, -1):
        series = (-1) ** (k + 1) * np.pi ** (2 * k) / (2 * math.factorial(2 * k)) + series * small
    wave = small * series
    return Weights(jnp.where(x <= y, wave, 1 - wave), jnp.where(x <= y, 1 - wave, wave))


def square_root(x: Any) -> jax.Array:
    """`sqrt(x)` for x >= 0, with a finite gradient at 0 too."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)


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
    """`values[index]`, by a sum: JAX cannot gather from a batch that is spread over devices."""
    chosen = jnp.arange(values.shape[0]) == index
    return jnp.sum(jnp.where(chosen, values, 0), dtype=values.dtype)


ShapeFunction = Callable[[Any, Any], Weights]


def _linear(x: Any, y: Any) -> Weights:
    return Weights(x, y)


def _sqrt(x: Any, y: Any) -> Weights:
    root = square_root(y)
    return Weights(x / (1 + root), root)


def _square(x: Any, y: Any) -> Weights:
    return Weights(x * (1 + y), y**2)


SHAPES: dict[str, ShapeFunction] = {
    "linear": _linear,
    "cosine": half_wave,
    "sqrt": _sqrt,
    "square": _square,
}


class Shape:
    """A shape by name or by function, read on a fraction x and its exact complement y = 1 - x."""

    def __init__(self, shape: str | Callable[..., Any]):
        self.shape = shape

    def __call__(self, x: Any, y: Any) -> Weights:
        if isinstance(self.shape, str):
            return SHAPES[self.shape](x, y)
        # A user's function need not be exact, or differentiable, at 0 and 1: it is not asked there.
        inside = (x > 0) & (y > 0)
        value = jnp.where(inside, self.shape(jnp.where(inside, x, 0.5)), x)
        return Weights(value, 1 - value)


def rise(step: Any, steps: Any, init_value: Any, end_value: Any, shape: Any) -> jax.Array:
    """From `init_value` up to `end_value` over `steps`: the shape is read on progress."""
    return mix(init_value, end_value, *shape(progress(step, steps), remaining(step, steps)))


def fall(step: Any, steps: Any, init_value: Any, end_value: Any, shape: Any) -> jax.Array:
    """From `init_value` down to `end_value` over `steps`: the shape is read on what remains."""
    return mix(end_value, init_value, *shape(remaining(step, steps), progress(step, steps)))
