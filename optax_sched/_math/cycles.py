"""Which cycle a step lies in, where all cycles are equal or each is longer than the last by a ratio."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._math.phases import LAST_STEP, ULPS, Numeric, is_held, is_int, pick, shares, whole_step

_MOST = 1e19  # first cycles in a sum of cycles: far beyond the last step, and no infinity yet


class Two(NamedTuple):
    """The number high + low, where low is at most a few units in the last place of high."""

    high: Any
    low: Any


class Place(NamedTuple):
    """Where a step lies in its cycle."""

    number: jax.Array  # the index of the cycle, from 0
    clock: jax.Array  # steps since the cycle began, slowed down to the length of the first cycle
    progress: jax.Array  # the fraction of the cycle that is done
    remaining: jax.Array  # the fraction that is left


def place_in_cycles(step: Numeric, period: Numeric, period_mult: Any | None) -> Place:
    """Where `step` lies, if cycle i lasts `period * period_mult**i` steps; None makes all equal."""
    if period_mult is None:
        number = whole_periods(step, period)
        clock = rest_of_periods(step, period, number)
        return Place(number, clock, *shares(clock, period))
    number, clock, left = _growing_cycle(*map(jax.lax.stop_gradient, (step, period, period_mult)))
    length = clock + left
    # The exact boundaries carry no gradient: take the gradient of the same sums in floats.
    total, power = _sum_of_powers(number, period_mult)
    slow = jnp.maximum(step - total * period, 0.0) / power
    done = slow / period
    exact = clock / power, clock / length, jnp.where(clock > 0, left / length, 1.0)
    return Place(number, *map(_with_gradient_of, exact, (slow, done, -done)))


def _with_gradient_of(value: Any, other: Any) -> jax.Array:
    """`value`, with the gradient of `other`."""
    return jax.lax.stop_gradient(value) + (other - jax.lax.stop_gradient(other))


def whole_periods(step: Any, period: Numeric) -> jax.Array:
    """`floor(step / period)`, exact on every boundary."""
    period = jnp.where(period > 0, period, 1)
    if is_int(step) and is_int(period):
        return _quotient(step, period)
    # If float32 rounds the period, it rounds its multiples; yet 10 * 31.7 must be 317.
    rounding = ULPS * jnp.finfo(jnp.result_type(step * 1.0, period)).eps * step
    if not is_int(step):
        held = (period == jnp.round(period)) | is_held(period)
        later = step + jnp.where(held, 0.0, jnp.minimum(rounding, period / 4))
        guess = jnp.floor(step / period)
        guess += later >= (guess + 1) * period
        return guess - (later < guess * period)
    # Divide twice: a float32 holds 24 of a step's 31 bits. Then correct what is still one off.
    period = jax.lax.stop_gradient(period)
    number = whole_step(step / period)
    missed = whole_step(rest_of_periods(step, period, number) / period)
    number += jnp.minimum(missed, LAST_STEP - 1 - number)
    rest = rest_of_periods(step, period, number)
    rest += jnp.minimum(rounding, 1 / 128)  # so little that no period in 64ths ends earlier
    return number + (rest >= period) - (rest < 0)


def as_float(count: Numeric) -> Any:
    """A count as an exponent: under strict promotion JAX has no gradient of a float to an integer."""
    return count * 1.0


def rest_of_periods(step: Any, period: Any, number: Any) -> jax.Array:
    """`step - number * period`, exact where the numbers are whole."""
    if is_int(step) and not is_int(period):
        # Subtract the period's whole part in integers, so that only its fraction rounds.
        whole = jax.lax.stop_gradient(jnp.floor(jnp.minimum(period, 2.0**31 - 128)))
        return (step - number * whole.astype(jnp.int32)) - number * (period - whole)
    return step - number * period


def _quotient(a: Any, b: Any) -> jax.Array:
    """`a // b` for integers a >= 0, b > 0, in floats: a CPU vectorises those, not integer division."""
    inverse = (1 - 2.0**-21) / b  # so little too small that no guess is too high
    guess = (a * inverse).astype(jnp.int32)  # off by some hundreds at most
    guess += ((a - guess * b) * inverse).astype(jnp.int32)  # off by one at most
    return guess + (a - guess * b >= b)


def _growing_cycle(step: Numeric, period: Numeric, period_mult: Numeric) -> tuple[Any, Any, Any]:
    """The index of the cycle that holds `step`, the steps since it began, and the steps left in it."""
    period = jnp.where(period > 0, period, 1)
    number, is_equal = whole_periods(step, period), period_mult == 1
    clock = rest_of_periods(step, period, number)
    equal = whole_step(number), clock * 1.0, (period - clock) * 1.0
    longer = _longer_cycle(step, period, jnp.where(is_equal, 2, period_mult))
    return jax.tree.map(lambda a, b: jnp.where(is_equal, a, b), equal, longer)


def _longer_cycle(step: Any, period: Numeric, period_mult: Numeric) -> tuple[Any, Any, Any]:
    """The same, where each cycle is longer than the last: in twice the digits of a float."""
    mult = jnp.minimum(period_mult, 2.0**40)
    if is_int(period):
        whole = jnp.minimum(period * 1.0, 2.0**31 - 128)
        length, mult = Two(whole, (period - whole.astype(jnp.int32)) * 1.0), as_written(mult)
    else:
        length, mult = map(Two, *jax.vmap(as_written)(jnp.stack([period, mult])))
    growth = two(mult.high - 1, mult.low)
    log = log1p(growth)
    guess = jnp.floor(jnp.log1p(step * growth.high / length.high) / log.high)
    # The logarithm may be one off: compute the boundaries around the guess, and count those passed.
    first = jnp.clip(guess - 1, 0, 2.0**31 - 128)
    exponent = times(Two(first + jnp.arange(4.0), 0.0), log)
    sums = divided(jax.vmap(expm1)(Two(jnp.minimum(exponent.high, 87.0), exponent.low)), growth)
    boundaries = _near_whole(times(Two(jnp.minimum(sums.high, _MOST), sums.low), length))
    to_go = _until(boundaries, step)
    slack = 0.0 if is_int(step) else ULPS * jnp.finfo(step.dtype).eps * step
    passed = jnp.sum(to_go[1:3] <= slack)
    clock, left = -pick(to_go, passed), pick(to_go, passed + 1)
    return first.astype(jnp.int32) + passed, jnp.maximum(clock, 0.0), jnp.maximum(left, 0.0)


def _near_whole(boundary: Two) -> Two:
    """The boundary, moved to the nearest whole step where only rounding separates them."""
    whole = jnp.round(boundary.high)
    whole_low = (whole - boundary.high) + jnp.round((boundary.high - whole) + boundary.low)
    is_near = jnp.abs(boundary.low - whole_low) <= boundary.high * 2.0**-38
    return Two(boundary.high, jnp.where(is_near, whole_low, boundary.low))


def _until(boundary: Two, step: Numeric) -> jax.Array:
    """The steps from `step` to a boundary, negative after it."""
    if not is_int(step):
        return (boundary.high - step) + boundary.low
    # A float does not hold the step: subtract it in integers, as far as these go.
    whole = jnp.floor(jnp.minimum(boundary.high, 2.0**31 - 128))
    return (whole.astype(jnp.int32) - step) + ((boundary.high - whole) + boundary.low)


def _sum_of_powers(n: Numeric, m: Numeric) -> tuple[jax.Array, jax.Array]:
    """`1 + m + ... + m^(n-1)` and `m^n` in floats, for m >= 1; their gradients are right at 1 too."""
    n, growth, power = n * 1.0, m - 1, m ** (n * 1.0)
    near_one = n * growth < 1e-3
    series = n * (1 + (n - 1) / 2 * growth * (1 + (n - 2) / 3 * growth))
    growing = jnp.where(near_one, 1.0, growth)
    total = jnp.where(near_one, series, jnp.expm1(n * jnp.log1p(growing)) / growing)
    largest = jnp.finfo(total.dtype).max / 4
    return jnp.minimum(total, largest), jnp.minimum(power, largest)


# --- Numbers held as a sum of two floats, which together have twice the digits of one
#
# XLA may fuse a product with a sum, and then does not round it. So only products that are exact are
# taken apart here: those of halves of numbers.

_EXPM1_WHOLE = np.expm1(np.arange(88.0))  # e^88 exceeds a float32
_EXPM1_PARTS = np.expm1(np.arange(65) / 64)
_DECIMALS = 10.0 ** np.arange(6)


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
