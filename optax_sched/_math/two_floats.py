"""Numbers held in two floats: twice the digits of one, for sums that decide on a boundary."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_sched._math.phases import is_int

_DECIMALS = 6  # 1.1 and 428.571 are read as decimals, 0.1234567 as the float that it is


class Double(NamedTuple):
    """The sum of two floats, of which the second is at most half a unit of the first."""

    high: jax.Array
    low: jax.Array


def as_double(number: Any) -> Double:
    """An integer, exactly; a float as the shortest decimal that rounds to it, if that is short."""
    if is_int(number):
        low_bits = number & 0xFFFF
        return Double(*_two_sum((number - low_bits) * 1.0, low_bits * 1.0))
    # float32(1.1) is 2e-8 above 1.1: in decimals 100 (1 + 1.1) is 210, and so are the users' sums.
    scales = 10.0 ** jnp.arange(_DECIMALS, dtype=number.dtype)
    scaled = times(exactly(number), exactly(scales))
    whole = Double(*_two_sum(jnp.round(scaled.high), jnp.round(scaled.low)))
    error = single(minus(whole, scaled)) / scales
    short = jnp.abs(error) <= number * (jnp.finfo(number.dtype).eps / 2)
    return Double(number, jnp.where(jnp.any(short), error[jnp.argmax(short)], 0.0))


def exactly(number: Any) -> Double:
    """A float as it is."""
    return Double(number, jnp.zeros_like(number))


def single(a: Double) -> jax.Array:
    """The nearest float."""
    return a.high + a.low


def plus(a: Double, b: Double) -> Double:
    """`a + b`."""
    high, low = _two_sum(a.high, b.high)
    return Double(*_two_sum(high, low + (a.low + b.low)))


def minus(a: Double, b: Double) -> Double:
    """`a - b`."""
    return plus(a, Double(-b.high, -b.low))


def times(a: Double, b: Double) -> Double:
    """`a * b`; stops at a quarter of the largest float."""
    # Products of half the digits are exact, so that a compiler may fuse them with the sums.
    (ah, al), (bh, bl) = _halves(a.high), _halves(b.high)
    middle, rest = _two_sum(ah * bl, al * bh)
    high, low = _two_sum(ah * bh, middle)
    low += rest + (al * bl + (a.high * b.low + a.low * b.high))
    most = jnp.finfo(high.dtype).max / 4
    fits = jnp.abs(high) < most
    return Double(*_two_sum(jnp.where(fits, high, most), jnp.where(fits, low, 0.0)))


def choose(condition: Any, a: Double, b: Double) -> Double:
    """`a` where the condition holds, else `b`."""
    return Double(jnp.where(condition, a.high, b.high), jnp.where(condition, a.low, b.low))


def _two_sum(a: Any, b: Any) -> tuple[jax.Array, jax.Array]:
    """The rounded sum and what rounding took from it."""
    total = a + b
    b_in_it = total - a
    return total, (a - (total - b_in_it)) + (b - b_in_it)


def _halves(a: Any) -> tuple[jax.Array, jax.Array]:
    """The first and the last half of a float's digits."""
    info = jnp.finfo(a.dtype)
    first = jax.lax.reduce_precision(a, info.nexp, (info.nmant - 1) // 2)
    return first, a - first
