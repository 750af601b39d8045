"""Which cycle a step lies in, where all cycles are equal or each is longer than the last by a ratio."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._math.phases import (
    LAST_STEP,
    ULPS,
    is_held,
    is_int,
    pick,
    progress,
    reached,
    remaining,
    since,
    whole_step,
)

_SATURATED = np.uint32(2**32 - 1)


class Place(NamedTuple):
    """Where a step lies in its cycle."""

    number: jax.Array  # the index of the cycle, from 0
    clock: jax.Array  # steps since the cycle began, slowed down to the length of the first cycle
    progress: jax.Array  # the fraction of the cycle that is done
    remaining: jax.Array  # the fraction that is left


def place_in_cycles(step: Any, period: Any, period_mult: Any | None) -> Place:
    """Where `step` lies, if cycle i lasts `period * period_mult**i` steps; None makes all equal."""
    if period_mult is None:
        number = whole_periods(step, period)
        clock = rest_of_periods(step, period, number)
        return Place(number, clock, progress(clock, period), remaining(clock, period))
    number, clock, left = jax.lax.stop_gradient(_growing_cycle(step, period, period_mult))
    total, power = _sum_of_powers(number, period_mult)
    length = power * period
    done, rest = clock / length, jnp.where(clock > 0, left / length, 1.0)
    # The exact boundaries carry no gradient: take the gradient of the same sums in floats.
    clock_as_sum = jnp.maximum(step - total * period, 0.0)
    as_sums = clock_as_sum / power, progress(clock_as_sum, length), remaining(clock_as_sum, length)
    return Place(number, *map(_with_gradient_of, (clock / power, done, rest), as_sums))


def _with_gradient_of(value: Any, other: Any) -> jax.Array:
    """`value`, with the gradient of `other`."""
    return jax.lax.stop_gradient(value) + (other - jax.lax.stop_gradient(other))


def whole_periods(step: Any, period: Any) -> jax.Array:
    """`floor(step / period)`, exact on every boundary."""
    period = jnp.where(period > 0, period, 1)
    if is_int(step) and is_int(period):
        return _quotient(step, period)
    # Where float32 does not hold the period, neither does it hold its multiples: 10 times 31.7 is 317.
    rounding = ULPS * jnp.finfo(jnp.result_type(step * 1.0, period)).eps * step
    if not is_int(step):
        held = (period == jnp.round(period)) | is_held(period)
        later = step + jnp.where(held, 0.0, jnp.minimum(rounding, period / 4))
        guess = jnp.floor(step / period)
        guess += later >= (guess + 1) * period
        return guess - (later < guess * period)
    # Divide twice: a float32 holds 24 of a step's 31 bits. Then correct what is still one off.
    period = jax.lax.stop_gradient(period)
    number = _whole(step / period)
    missed = _whole(jnp.floor(rest_of_periods(step, period, number) / period))
    number += jnp.minimum(missed, LAST_STEP - 1 - number)
    rest = rest_of_periods(step, period, number)
    rest += jnp.minimum(rounding, 1 / 128)  # so little that no period in 64ths ends earlier
    return number + (rest >= period) - (rest < 0)


def rest_of_periods(step: Any, period: Any, number: Any) -> jax.Array:
    """`step - number * period`, exact where the numbers are whole."""
    if is_int(step) and not is_int(period):
        # Subtract the period's whole part in integers, so that only its fraction rounds.
        whole = jax.lax.stop_gradient(jnp.floor(jnp.minimum(period, 2.0**31 - 128)))
        return (step - number * whole.astype(jnp.int32)) - number * (period - whole)
    return step - number * period


def _whole(number: Any) -> jax.Array:
    """A float as an int32, at most the largest float32 below 2**31."""
    return jnp.minimum(number, 2.0**31 - 128).astype(jnp.int32)


def _quotient(a: Any, b: Any) -> jax.Array:
    """`a // b` for integers a >= 0, b > 0, in floats: a CPU vectorises those, not integer division."""
    inverse = 1.0 / b
    guess = _whole(a * inverse)  # off by some hundreds at most
    rest = a - guess * b
    correction = jnp.floor(rest * inverse).astype(jnp.int32)  # off by one at most
    rest -= correction * b
    return guess + correction + (rest >= b) - (rest < 0)


def _growing_cycle(step: Any, period: Any, period_mult: Any) -> tuple[Any, Any, Any]:
    """The index of the cycle that holds `step`, the steps since it began, and the steps left in it."""
    period = jnp.where(period > 0, period, 1)
    number, start, end = _real_cycle(step, period, period_mult)
    clock, left = since(step, start), since(end, step)
    if is_int(step) and is_int(period):
        is_whole = (period_mult >= 2) & (period_mult == jnp.round(period_mult))
        starts = _whole_starts(period, jnp.where(is_whole, period_mult, 2))
        now = step.astype(jnp.uint32)
        index = jnp.sum(now >= starts) - 1
        # If uint32 cannot hold the next start, `end` is so far off that `end - step` cancels nothing.
        held = pick(starts, index + 1)
        rest = jnp.where(held < _SATURATED, (held - now) * 1.0, end - step)
        number = jnp.where(is_whole, index, number)
        clock = jnp.where(is_whole, (now - pick(starts, index)) * 1.0, clock)
        left = jnp.where(is_whole, rest, left)
    is_equal, equal = period_mult == 1, whole_periods(step, period)
    clock_of_equal = rest_of_periods(step, period, equal)
    return (
        jnp.where(is_equal, whole_step(equal), number),
        jnp.where(is_equal, clock_of_equal, clock) * 1.0,
        jnp.where(is_equal, period - clock_of_equal, left) * 1.0,
    )


def _real_cycle(step: Any, period: Any, period_mult: Any) -> tuple[Any, Any, Any]:
    """The index, the start and the end of the cycle that holds `step`, in floats."""
    growth = jnp.maximum(period_mult - 1, jnp.finfo(period_mult.dtype).eps)
    guess = jnp.floor(jnp.log1p(step * growth / period) / jnp.log1p(growth))
    # The logarithm may be one off: compute the boundaries around the guess, and count those passed.
    first = jnp.clip(guess - 1, 0, 2.0**31 - 128)
    boundaries = _near_whole(period * _sum_of_powers(first + jnp.arange(4), period_mult)[0])
    if not is_int(step):
        step = step * (1 + ULPS * jnp.finfo(step.dtype).eps)
    passed = jnp.sum(reached(step, boundaries[1:3]))
    return first.astype(jnp.int32) + passed, pick(boundaries, passed), pick(boundaries, passed + 1)


def _near_whole(boundary: Any) -> jax.Array:
    """The boundary, moved to the nearest whole step where only rounding separates them."""
    whole = jnp.round(boundary)
    tolerance = boundary * (1 * jnp.finfo(boundary.dtype).eps)
    return jnp.where(jnp.abs(boundary - whole) <= jnp.minimum(tolerance, 0.1), whole, boundary)


def _sum_of_powers(n: Any, m: Any) -> tuple[jax.Array, jax.Array]:
    """`1 + m + ... + m^(n-1)` and `m^n` in floats, for m >= 1; their gradients are right at 1 too."""
    n, growth = n * 1.0, m - 1
    # float32(1.1) - 1 is 2e-7 above 0.1, relatively. Where the growth is a number of at most five
    # decimal places but for rounding, add what the rounding took away.
    decimal = jax.lax.stop_gradient(jnp.round(growth * 1e5) / 1e5 - growth)
    missing = jnp.where(jnp.abs(decimal) <= jnp.finfo(growth.dtype).eps, decimal, 0.0)
    growth += missing
    power = m**n * (1 + n * missing / m)
    near_one = n * growth < 1e-3
    series = n * (1 + (n - 1) / 2 * growth * (1 + (n - 2) / 3 * growth))
    growing = jnp.where(near_one, 1.0, growth)
    few = jnp.expm1(jnp.where(n * growth < 1, n * jnp.log1p(growing), 1.0))
    total = jnp.where(n * growth < 1, few, power - 1) / growing
    largest = jnp.finfo(total.dtype).max / 4
    return jnp.minimum(jnp.where(near_one, series, total), largest), jnp.minimum(power, largest)


def _whole_starts(period: Any, period_mult: Any) -> jax.Array:
    """The first steps of 64 cycles whose lengths grow by a whole ratio, saturating in uint32."""
    period, mult = period.astype(jnp.uint32), period_mult.astype(jnp.uint32)
    zero, one, cycle = np.uint32(0), np.uint32(1), np.arange(64)
    total, power = jnp.zeros_like(cycle, jnp.uint32), jnp.ones_like(cycle, jnp.uint32)
    # With S(n) = 1 + ... + m^(n-1), read n bit by bit: S(2n) = S(n) + m^n S(n), S(n+1) = 1 + m S(n).
    for bit in (5, 4, 3, 2, 1, 0):
        total, power = _saturating(total, power, total), _saturating(zero, power, power)
        is_odd = (cycle >> bit) % 2 == 1
        total = jnp.where(is_odd, _saturating(one, mult, total), total)
        power = jnp.where(is_odd, _saturating(zero, mult, power), power)
    return _saturating(zero, period, total)


def _saturating(a: Any, b: Any, c: Any) -> jax.Array:
    """`a + b c` in uint32, or the largest uint32 where it does not fit."""
    fits = a * 1.0 + (b * 1.0) * c < 2.0**32
    return jnp.where(fits, a + b * c, _SATURATED)
