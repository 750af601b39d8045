"""Where a step lies in cycles whose length grows by a ratio: the index exact on every boundary."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_sched._shapes import LAST_STEP, is_int, progress, ratio, reached, remaining, since

_BITS = 20  # of a cycle's index, where the ratio is a real number
_WHOLE_BITS = 5  # where it is 2 or more, so that cycles fill 2**31 steps within 31 doublings


class Place(NamedTuple):
    """The index of a cycle, and the fractions of it that are done and that remain."""

    cycle: jax.Array
    progress: jax.Array
    remaining: jax.Array


def place_in_cycles(step: Any, period: Any, period_mult: Any) -> Place:
    """The cycle that holds `step`, where cycle i lasts `period * period_mult**i`."""
    index = _index(step, period * 1.0, period_mult, _BITS)
    if not (is_int(step) and is_int(period)):
        return _place(step, index, *_start_and_length(index, period, period_mult, _BITS))
    # A whole ratio makes whole boundaries: there floats would lose steps beyond 2**24.
    is_whole = period_mult == jnp.round(period_mult)
    whole = jnp.round(jax.lax.stop_gradient(period_mult)).astype(jnp.int32)
    exact_index = _index(step, period, whole, _WHOLE_BITS)
    index = jnp.where(is_whole, exact_index, index)
    real = _place(step, index, *_start_and_length(index, period * 1.0, period_mult, _BITS))
    exact = _place(step, index, *_start_and_length(exact_index, period, whole, _WHOLE_BITS))
    # The integers carry no gradient with respect to period_mult: the floats' is added to them.
    return Place(
        index,
        *(
            jnp.where(is_whole, fraction + (slope - jax.lax.stop_gradient(slope)), slope)
            for fraction, slope in zip(exact[1:], real[1:], strict=True)
        ),
    )


def _place(step: Any, index: Any, start: Any, length: Any) -> Place:
    clock = since(step, start)
    return Place(index, progress(clock, length), remaining(clock, length))


def _index(step: Any, period: Any, period_mult: Any, bits: int) -> jax.Array:
    step, period, period_mult = jax.lax.stop_gradient((step, period, period_mult))
    growth = period_mult - 1
    grows = growth != 0
    guess = jnp.log1p(ratio(step, period) * growth) / jnp.log1p(jnp.where(grows, growth, 1) * 1.0)
    # Log and floor may be off by one: begin a cycle early, then step over the boundaries passed.
    guess = jnp.where(grows, guess, ratio(step, period))
    index = jnp.maximum(jnp.minimum(guess, LAST_STEP / 2).astype(jnp.int32) - 1, 0)
    if is_int(period):
        index = jnp.where(grows, index, step // jnp.maximum(period, 1))
    start, length = _start_and_length(index, period, period_mult, bits)
    for _ in range(2):
        passed = _passed(step, start, length)
        start, length = (
            jnp.where(passed, start + length, start),
            jnp.where(passed, _product(length, period_mult), length),
        )
        index += passed
    return index


def _passed(step: Any, start: Any, length: Any) -> jax.Array:
    if is_int(start):
        return step - start >= length  # start + length may be beyond the last step
    # 100 * (1 + 1.1) must count as 210, as it does in decimals, though it may round above.
    end = start + length
    return reached(step, end - jnp.minimum(end * 2.0**-22, 0.01))


def _start_and_length(index: Any, period: Any, period_mult: Any, bits: int) -> Any:
    """`period * (1 + m + ... + m^(i-1))` and `period * m^i`, by doubling: exact in integers."""
    total, power = jnp.zeros_like(period_mult), jnp.ones_like(period_mult)
    for bit in reversed(range(bits)):
        total, power = _product(total, 1 + power), _product(power, power)
        odd = (index >> bit) & 1 == 1
        total = jnp.where(odd, _product(total, period_mult) + 1, total)
        power = jnp.where(odd, _product(power, period_mult), power)
    total = jnp.where((period_mult == 1) & (index >= 2**bits), index, total)
    return _product(total, period), _product(power, period)


def _product(a: Any, b: Any) -> jax.Array:
    """`a * b`; whole numbers of 0 or more stop at the last step."""
    if not is_int(a):
        return a * b
    return jnp.where(a > LAST_STEP // jnp.maximum(b, 1), LAST_STEP, a * b)
