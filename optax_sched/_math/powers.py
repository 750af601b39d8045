"""Powers of a fraction, and what a power leaves of 1."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Weights(NamedTuple):
    """A shape's value and its complement, each exact near its own 0."""

    weight: Any
    complement: Any


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
