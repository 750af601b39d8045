"""Numbers held as a sum of two floats, which together have twice the digits of one.

XLA may fuse a product with a sum, and then does not round it. So only products that are exact are taken
apart here: those of halves of numbers.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._math.phases import Numeric, pick

_EXPM1_WHOLE = np.expm1(np.arange(88.0))  # e^88 exceeds a float32
_EXPM1_PARTS = np.expm1(np.arange(65) / 64)
_DECIMALS = 10.0 ** np.arange(6)


class Two(NamedTuple):
    """The number high + low, where low is at most a few units in the last place of high."""

    high: Any
    low: Any


def two(high: Numeric, low: Numeric) -> Two:
    """The sum of two floats, the first of which is the larger."""
    total = high + low
    return Two(total, low - (total - high))


def add(a: Two, b: Two) -> Two:
    total = a.high + b.high
    moved = total - a.high
    return two(total, ((a.high - (total - moved)) + (b.high - moved)) + (a.low + b.low))


def times(a: Two, b: Two) -> Two:
    a_half, b_half = _half(a.high), _half(b.high)
    a_rest, b_rest = a.high - a_half, b.high - b_half
    first = two(a_half * b_half, a_half * b_rest)
    both = two(first.high, a_rest * b_half)
    rest = a_rest * b_rest + (a.high * b.low + a.low * b.high)
    return Two(both.high, (first.low + both.low) + rest)


def _half(number: Any) -> jax.Array:
    """The first half of the digits."""
    info = jnp.finfo(number.dtype)
    return jax.lax.reduce_precision(number, int(info.nexp), (int(info.nmant) + 1) // 2 - 1)


def divided(a: Two, b: Two) -> Two:
    ratio = a.high / b.high
    there = times(Two(ratio, 0.0), b)
    return Two(ratio, ((a.high - there.high) + (a.low - there.low)) / b.high)


def expm1(x: Two) -> Two:
    """e^x - 1 for 0 <= x < 87.5; its relative error is below 2^-40."""
    whole = jnp.floor(x.high)
    part = jnp.round((x.high - whole) * 64)
    r = two((x.high - whole) - part / 64, x.low)
    # r + r^2/2 + ...; only the first two terms need more than a float.
    square, y = times(r, r), r.high
    more = y * y * y * (1 / 6 + y * (1 / 24 + y / 120))
    first = two(y, square.high / 2)
    small = two(first.high, first.low + (r.low + (square.low / 2 + more)))
    return _together(_entry(_EXPM1_WHOLE, whole), _together(_entry(_EXPM1_PARTS, part), small))


def _together(a: Two, b: Two) -> Two:
    """e^(x + y) - 1, of e^x - 1 and e^y - 1."""
    return add(add(a, b), times(a, b))


def _entry(table: np.ndarray, index: jax.Array) -> Two:
    high = table.astype(index.dtype)
    return Two(pick(high, index), pick((table - high).astype(index.dtype), index))


def log1p(x: Two) -> Two:
    """log(1 + x) for x >= 0: one step of Newton's from that of a float."""
    guess = jnp.log1p(x.high)
    there = expm1(Two(guess, 0.0))
    return Two(guess, ((x.high - there.high) + (x.low - there.low)) / (1 + x.high))


def as_written(number: Any) -> Two:
    """The number of at most five decimal places that a float was written as, if there is one.

    float32(1.1) is 2e-8 above 1.1, which in a sum of powers grows to whole steps.
    """
    decimals = _DECIMALS.astype(number.dtype)
    scale = jnp.max(jnp.where(number * decimals < 2.0**24, decimals, 1.0))
    units = jnp.round(number * scale)
    decimal = divided(Two(units, 0.0), Two(scale, 0.0))
    is_near = jnp.abs((decimal.high - number) + decimal.low) <= jnp.finfo(number.dtype).eps * number
    return Two(jnp.where(is_near, decimal.high, number), jnp.where(is_near, decimal.low, 0.0))
