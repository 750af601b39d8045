"""The plateau rule: from a metric to a cut of the scale, or a rise."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.errors import in_a_word
from optax_sched._math.phases import later


class PlateauRule(NamedTuple):
    """The rule's own numbers. They ride in the state, so that sweeps map over them."""

    factor: jax.Array  # shape (), float32
    patience: jax.Array  # shape (), int32
    relative: jax.Array  # shape (), float32: the threshold as a part of |best|, else 0
    absolute: jax.Array  # shape (), float32: the threshold as it is, else 0
    sign: jax.Array  # shape (), float32: 1 where lower is better, -1 where higher is
    cooldown: jax.Array  # shape (), int32
    min_scale: jax.Array  # shape (), float32
    max_scale: jax.Array  # shape (), float32: where improvements raise the scale up to, else 0
    window: jax.Array  # shape (), int32


class PlateauState(NamedTuple):
    """What a plateau has seen so far, float32 and int32 whatever the parameters' dtype."""

    scale: jax.Array  # shape (), float32: the factor on the rate
    best: jax.Array  # shape (), float32: the best observation, as the metric was given
    bad_count: jax.Array  # shape (), int32: observations in a row without improvement
    good_count: jax.Array  # shape (), int32: improvements in a row
    cooldown_count: jax.Array  # shape (), int32: observations that are still ignored
    window_mean: jax.Array  # shape (), float32: of the values since the last observation
    window_count: jax.Array  # shape (), int32
    rule: PlateauRule


def initial_state(rule: PlateauRule) -> PlateauState:
    """Nothing seen yet."""
    return PlateauState(
        scale=jnp.ones((), jnp.float32),
        best=rule.sign * jnp.full((), jnp.inf, jnp.float32),
        bad_count=jnp.zeros((), jnp.int32),
        good_count=jnp.zeros((), jnp.int32),
        cooldown_count=jnp.zeros((), jnp.int32),
        window_mean=jnp.zeros((), jnp.float32),
        window_count=jnp.zeros((), jnp.int32),
        rule=rule,
    )


def observed(state: PlateauState, value: jax.Array) -> PlateauState:
    """The state after one more value: an observation, if it completes a window."""
    window_count = state.window_count + 1
    # A running mean: a sum of many values would drift, or overflow.
    window_mean = state.window_mean + (value - state.window_mean) / window_count.astype(jnp.float32)
    waiting = state._replace(window_mean=window_mean, window_count=window_count)
    decided = _decided(state, window_mean)
    complete = window_count >= state.rule.window
    return jax.tree.map(lambda new, old: jnp.where(complete, new, old), decided, waiting)


def _decided(state: PlateauState, value: jax.Array) -> PlateauState:
    rule = state.rule
    # The margin is a part of |best|, not of best: a constant negative loss is no improvement.
    first = ~jnp.isfinite(state.best)
    best = jnp.where(first, 0.0, state.best)
    gain = rule.sign * (best - value)
    better = jnp.isfinite(value) & (first | (gain > rule.relative * jnp.abs(best) + rule.absolute))
    cooling = state.cooldown_count > 0
    bad_count = jnp.where(better | cooling, 0, later(state.bad_count, 1))
    good_count = jnp.where(better, later(state.good_count, 1), 0)
    cut, rise = bad_count > rule.patience, good_count > rule.patience
    lower = jnp.maximum(state.scale * rule.factor, rule.min_scale)
    higher = jnp.maximum(jnp.minimum(state.scale / rule.factor, rule.max_scale), state.scale)
    return state._replace(
        scale=jnp.where(cut, lower, jnp.where(rise, higher, state.scale)),
        best=jnp.where(better, value, state.best),
        bad_count=jnp.where(cut, 0, bad_count),
        good_count=jnp.where(rise, 0, good_count),
        cooldown_count=jnp.where(cut, rule.cooldown, state.cooldown_count - cooling.astype(jnp.int32)),
        window_mean=jnp.zeros_like(state.window_mean),
        window_count=jnp.zeros_like(state.window_count),
    )


def metric(where: str, value: Any) -> jax.Array:
    """A value to observe as float32; not finite is allowed, not a number is not."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool | np.complexfloating):
        with np.errstate(over="ignore"):  # beyond float32 is not finite
            return jnp.asarray(np.float32(min(max(value, -1e300), 1e300) if value == value else value))
    dtype = getattr(value, "dtype", None)
    if dtype is None or jnp.shape(value) != () or not jnp.issubdtype(dtype, jnp.number):
        dtype = jnp.complex64  # as good as any that is refused
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(
            f"{where}: value must be a number, the metric to watch (None where there is no "
            f"observation), got {in_a_word(value)}"
        )
    return jnp.asarray(value, jnp.float32)
