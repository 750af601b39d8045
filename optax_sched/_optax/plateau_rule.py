"""The plateau rule: from a metric to a cut of the scale, or a rise."""

import math
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.domains import Choice, Number, is_traced
from optax_sched._core.hyperparameters import Scalar
from optax_sched._math.phases import later


class PlateauState(NamedTuple):
    """What a plateau has seen so far, float32 and int32 whatever the parameters' dtype."""

    scale: Any = 1.0  # shape (), float32: the factor on the rate
    best: Any = math.inf  # shape (), float32: the best observation, as the metric was given
    bad_count: Any = 0  # shape (), int32: observations in a row without improvement
    good_count: Any = 0  # shape (), int32: improvements in a row
    cooldown_count: Any = 0  # shape (), int32: observations that are still ignored after a cut
    start_count: Any = 0  # shape (), int32: observations that were ignored at the start
    window_mean: Any = 0.0  # shape (), float32: of the values since the last observation
    window_count: Any = 0  # shape (), int32


class WordDomain(Choice):
    """One of a few words. Each is stored as the number that the rule computes with, and is a leaf."""

    static = False

    def __init__(self, **numbers: float):
        super().__init__(tuple(numbers))
        self.numbers = numbers

    def admit(self, value: Any) -> Any:
        return value if is_traced(value) else self.numbers[super().admit(value)]

    def public(self, stored: Any) -> Any:
        if not isinstance(stored, float | np.ndarray | jax.Array) or is_traced(stored):
            return stored
        words = {number: word for word, number in self.numbers.items()}
        return [words[x] for x in np.asarray(stored)] if np.ndim(stored) else words[float(stored)]

    def word(self, stored: Any) -> None:
        return None

    def has_batch_axis(self, stored: Any) -> bool:
        return np.ndim(stored) > 0


Cut = Annotated[Scalar, "Cut", Number("a factor above 0 and below 1", above=0.0, below=1.0)]
"""A factor above 0 and below 1."""
Scale = Annotated[Scalar, "Scale", Number("a number from 0 to 1", 0.0, 1.0)]
"""A number from 0 to 1."""
Mode = Annotated[Literal["min", "max"], "Mode", WordDomain(min=1.0, max=-1.0)]
"""Whether the metric should be low, "min", or high, "max"."""
ThresholdMode = Annotated[Literal["rel", "abs"], "ThresholdMode", WordDomain(rel=1.0, abs=0.0)]
"""Whether a threshold is a part of the best value, "rel", or a difference from it, "abs"."""


def observed(
    memory: PlateauState,
    value: jax.Array,
    factor: jax.Array,
    patience: jax.Array,
    threshold: jax.Array,
    threshold_mode: jax.Array,  # 1 where the threshold is a part of |best|, 0 where it is as it is
    mode: jax.Array,  # 1 where lower is better, -1 where higher is
    cooldown: jax.Array,
    window: jax.Array,
    start: jax.Array,
    min_scale: jax.Array | float = 0.0,
    max_scale: jax.Array | float = 0.0,  # as far as improvements raise the scale
) -> PlateauState:
    """What it remembers after one more value: an observation, if it completes a window."""
    window_count = memory.window_count + 1
    # A running mean: a sum of many values would drift, or overflow.
    window_mean = memory.window_mean + (value - memory.window_mean) / window_count.astype(jnp.float32)
    waiting = memory._replace(window_mean=window_mean, window_count=window_count)
    between = memory._replace(window_mean=0.0, window_count=0)
    ignored = between._replace(start_count=memory.start_count + 1)

    # The margin is a part of |best|, not of best: a constant negative loss is no improvement.
    first = ~jnp.isfinite(memory.best)
    best = jnp.where(first, 0.0, memory.best)
    gain = mode * (best - window_mean)
    margin = threshold * jnp.where(threshold_mode > 0, jnp.abs(best), 1.0)
    better = jnp.isfinite(window_mean) & (first | (gain > margin))
    cooling = memory.cooldown_count > 0
    bad_count = jnp.where(better | cooling, 0, later(memory.bad_count, 1))
    good_count = jnp.where(better, later(memory.good_count, 1), 0)
    cut, rise = bad_count > patience, good_count > patience
    lower = jnp.maximum(memory.scale * factor, min_scale)
    higher = jnp.maximum(jnp.minimum(memory.scale / factor, max_scale), memory.scale)
    decided = between._replace(
        scale=jnp.where(cut, lower, jnp.where(rise, higher, memory.scale)),
        best=jnp.where(better, window_mean, memory.best),
        bad_count=jnp.where(cut, 0, bad_count),
        good_count=jnp.where(rise, 0, good_count),
        cooldown_count=jnp.where(cut, cooldown, memory.cooldown_count - cooling),
    )

    def chosen(if_decided: Any, if_ignored: Any, if_waiting: Any) -> jax.Array:
        acted = jnp.where(memory.start_count < start, if_ignored, if_decided)
        return jnp.where(window_count < window, if_waiting, acted)

    return jax.tree.map(chosen, decided, ignored, waiting)
