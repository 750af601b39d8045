"""Where a step lies in cycles whose length grows by a ratio: exact on every boundary."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_sched._math.phases import LAST_STEP, is_int, progress, reached, remaining, with_gradient_of
from optax_sched._math.two_floats import Double, as_double, choose, exactly, minus, plus, single, times

_EXACT_BITS = 12  # of an index: 4095 cycles, and any number of equal ones


class Place(NamedTuple):
    """Where a step lies in its cycle."""

    number: jax.Array  # the cycle's, from 0
    clock: jax.Array  # steps since it began, slowed down to the length of the first: a float
    progress: jax.Array
    remaining: jax.Array


def place_in_cycles(step: Any, period: Any, period_mult: Any) -> Place:
    """The cycle that holds `step`, where cycle i lasts `period * period_mult**i`."""
    index, exact = jax.lax.stop_gradient(_cycle(step, period, period_mult))
    # Twice the digits carry no gradient: they take that of the same sums in floats.
    total, power = _real_sum(index, period_mult)
    clock, length = jnp.maximum(step - total * period, 0.0), power * period
    floats = (clock / power, progress(clock, length), remaining(clock, length))
    return Place(index, *(with_gradient_of(a, b) for a, b in zip(exact, floats, strict=True)))


def whole_periods(step: Any, period: Any) -> jax.Array:
    """`floor(step / period)`, exact on every boundary."""
    period = jnp.where(period > 0, period, 1)
    if is_int(step) and is_int(period):
        return _quotient(step, period)
    guess = jnp.floor(step / period)
    if is_int(step):
        # A float loses steps beyond 2**24, and half steps long before.
        now, length = as_double(step), as_double(jax.lax.stop_gradient(period))
        guess += _passed(now, times(exactly(guess + 1), length))
        return guess - ~_passed(now, times(exactly(guess), length))
    guess += reached(step, (guess + 1) * period)
    return guess - ~reached(step, guess * period)


def _quotient(a: Any, b: Any) -> jax.Array:
    """`a // b` for integers a >= 0, b > 0: vectorised, as the integer division of a CPU is not."""
    inverse = 1.0 / b
    guess = jnp.minimum(a * inverse, 2.0**31 - 128).astype(jnp.int32)  # some hundreds off at most
    rest = a - guess * b
    correction = jnp.floor(rest * inverse).astype(jnp.int32)  # one off at most
    rest -= correction * b
    return guess + correction + (rest >= b) - (rest < 0)


def _cycle(step: Any, period: Any, period_mult: Any) -> tuple[Any, tuple[Any, Any, Any]]:
    """The index of the cycle that holds `step`, and the step's place in it."""
    period = jnp.where(period > 0, period, 1)
    now, first, mult = as_double(step), as_double(period), as_double(period_mult)
    # Log and floor may be off by one: begin a cycle early, then step over the boundaries passed.
    index = jnp.maximum(_guess(now, first, period_mult) - 1, 0)
    total, power = _sum_of_powers(index, mult, period_mult)
    start, length = times(total, first), times(power, first)
    for _ in range(2):
        end = plus(start, length)
        passed = _passed(now, end) & (index < LAST_STEP)
        start, power = choose(passed, end, start), choose(passed, times(power, mult), power)
        length = times(power, first)
        index += passed
    clock, left = single(minus(now, start)), single(minus(plus(start, length), now))
    clock = jnp.where(clock <= _tolerance(start), 0.0, clock)
    whole = single(length)
    return index, (clock / single(power), clock / whole, jnp.where(clock > 0, left / whole, 1.0))


def _guess(now: Double, first: Double, period_mult: Any) -> jax.Array:
    """About how many cycles have passed: exactly so where all are equal."""
    periods, growth = single(now) / single(first), period_mult - 1
    grows = growth > 0
    log = jnp.log1p(periods * growth) / jnp.log1p(jnp.where(grows, growth, 1.0))
    log = jnp.minimum(log, LAST_STEP / 2).astype(jnp.int32)
    most = jnp.minimum(jnp.floor(periods), 2.0**31 - 128)  # the largest float32 that an int32 holds
    rest = jnp.floor(single(minus(now, times(exactly(most), first))) / single(first))
    equal = most.astype(jnp.int32) + jnp.clip(rest, -(2.0**20), 127).astype(jnp.int32)
    return jnp.where(grows, log, equal)


def _sum_of_powers(n: Any, mult: Double, m: Any) -> tuple[Double, Double]:
    """`1 + m + ... + m^(n-1)` and `m^n`, by doubling."""
    one = as_double(jnp.ones_like(n))

    def append_bit(place: Any, sums: tuple[Double, Double]) -> tuple[Double, Double]:
        total, power = sums
        total, power = times(total, plus(one, power)), times(power, power)
        odd = (n >> (_EXACT_BITS - 1 - place)) & 1 == 1
        return (
            choose(odd, plus(times(total, mult), one), total),
            choose(odd, times(power, mult), power),
        )

    total, power = _real_sum(n >> _EXACT_BITS, m)  # 0 and 1, or equal cycles: as exact as the rest
    return jax.lax.fori_loop(0, _EXACT_BITS, append_bit, (exactly(total), exactly(power)))


def _real_sum(n: Any, m: Any) -> tuple[jax.Array, jax.Array]:
    """The same in floats, for m >= 1, with the right gradient at 1 too."""
    n, growth = n * 1.0, m - 1
    near_one = n * growth < 1e-3
    series = n * (1 + (n - 1) / 2 * growth * (1 + (n - 2) / 3 * growth))
    growing = jnp.where(near_one, 1.0, growth)
    total = jnp.where(near_one, series, jnp.expm1(n * jnp.log1p(growing)) / growing)
    return total, 1 + growth * total


def _passed(now: Double, boundary: Double) -> jax.Array:
    return single(minus(now, boundary)) >= -_tolerance(boundary)


def _tolerance(boundary: Double) -> jax.Array:
    """What a boundary may be early or late by its own rounding: a part of a millionth of a step."""
    return boundary.high * (jnp.finfo(boundary.high.dtype).eps ** 2 * 2**3)
