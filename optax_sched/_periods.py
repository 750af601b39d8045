"""Where a step lies in cycles whose length grows by a ratio: exact where the ratio is whole."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_sched._shapes import (
    LAST_STEP,
    is_int,
    progress,
    ratio,
    reached,
    remaining,
    since,
    with_gradient_of,
)

_WHOLE_BITS = 5  # of an index: from a whole ratio of 2 on, 31 cycles fill all steps


class Place(NamedTuple):
    """Where a step lies in its cycle."""

    number: jax.Array  # the cycle's, from 0
    clock: jax.Array  # steps since it began, slowed down to the length of the first: a float
    progress: jax.Array
    remaining: jax.Array


def place_in_cycles(step: Any, period: Any, period_mult: Any) -> Place:
    """The cycle that holds `step`, where cycle i lasts `period * period_mult**i`."""
    index, start, length = _cycle(step, period * 1.0, period_mult)
    clock = since(step, start)
    stretched = clock / (length / period)
    real = Place(index, stretched, progress(clock, length), remaining(clock, length))
    if not (is_int(step) and is_int(period)):
        return real
    # A whole ratio makes whole boundaries: there floats would lose steps beyond 2**24.
    is_whole = period_mult == jnp.round(period_mult)
    whole = jnp.round(jax.lax.stop_gradient(period_mult)).astype(jnp.int32)
    index, start, whole_length = _cycle(step, period, whole)
    clock = since(step, start)
    # A cycle that ends beyond the last step may have a length that no int32 holds.
    held = whole_length < LAST_STEP
    done = jnp.where(held, progress(clock, whole_length), progress(clock, length))
    left = jnp.where(held, remaining(clock, whole_length), remaining(clock, length))
    exact = (clock / jnp.where(held, whole_length // period, length / period), done, left)
    # The integers carry no gradient with respect to period_mult: they take that of the floats.
    fractions = (with_gradient_of(a, b) for a, b in zip(exact, real[1:], strict=True))
    return Place(*(jnp.where(is_whole, a, b) for a, b in zip((index, *fractions), real, strict=True)))


def _cycle(step: Any, period: Any, period_mult: Any) -> tuple[Any, Any, Any]:
    """The index, start and length of the cycle that holds `step`."""
    growth = jax.lax.stop_gradient(period_mult - 1)
    grows = growth > 0
    periods = jax.lax.stop_gradient(ratio(step, period))
    guess = jnp.log1p(periods * growth) / jnp.log1p(jnp.where(grows, growth, 1) * 1.0)
    guess = jnp.minimum(jnp.where(grows, guess, periods), LAST_STEP / 2).astype(jnp.int32)
    # Log and floor may be off by one: begin a cycle early, then step over the boundaries passed.
    index = jnp.maximum(guess - 1, 0)
    if is_int(period):
        index = jnp.where(grows, index, step // jnp.maximum(period, 1))
    total, power = (_whole_sum if is_int(period) else _real_sum)(index, period_mult)
    start, length = total * period, _saturating_product(power, period)
    for _ in range(2):
        passed = _passed(step, start, length)
        start = jnp.where(passed, start + length, start)
        length = jnp.where(passed, _saturating_product(length, period_mult), length)
        index += passed
    return index, start, length


def _whole_sum(n: Any, m: Any) -> tuple[jax.Array, jax.Array]:
    """`1 + m + ... + m^(n-1)` and `m^n` in integers, by doubling."""
    total, power = jnp.zeros_like(m), jnp.ones_like(m)
    for bit in reversed(range(_WHOLE_BITS)):
        total, power = total * (1 + power), power * power
        odd = (n >> bit) & 1 == 1
        total, power = jnp.where(odd, total * m + 1, total), jnp.where(odd, power * m, power)
    return jnp.where(m == 1, n, total), power


def _real_sum(n: Any, m: Any) -> tuple[jax.Array, jax.Array]:
    """The same for a real m >= 1, with the right gradient at 1 too."""
    n, growth = n * 1.0, m - 1
    near_one = n * growth < 1e-3
    series = n * (1 + (n - 1) / 2 * growth * (1 + (n - 2) / 3 * growth))
    growing = jnp.where(near_one, 1.0, growth)
    total = jnp.where(near_one, series, jnp.expm1(n * jnp.log1p(growing)) / growing)
    return total, 1 + growth * total


def _passed(step: Any, start: Any, length: Any) -> jax.Array:
    if is_int(start):
        return step - start >= length  # start + length may be beyond the last step
    # 100 * (1 + 1.1) must count as 210, as it does in decimals, though it may round above.
    end = start + length
    return reached(step, end - jnp.minimum(end * 2.0**-20, 0.01))


def _saturating_product(a: Any, b: Any) -> jax.Array:
    """`a * b`; whole numbers of 0 or more stop at the last step."""
    if not is_int(a):
        return a * b
    return jnp.where(a > LAST_STEP // jnp.maximum(b, 1), LAST_STEP, a * b)
