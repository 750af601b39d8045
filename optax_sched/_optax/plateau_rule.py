"""What a plateau remembers, and the words of its settings."""

import math
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np

from optax_sched._core.domains import Choice, Number, is_traced
from optax_sched._core.hyperparameters import Scalar


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
    axes = 0

    def __init__(self, **numbers: float):
        super().__init__(tuple(numbers))
        self.numbers = numbers

    def admit(self, value: object) -> Any:
        return value if is_traced(value) else self.numbers[super().admit(value)]

    def public(self, stored: object) -> Any:
        if not isinstance(stored, float | np.ndarray | jax.Array) or is_traced(stored):
            return stored
        words = {number: word for word, number in self.numbers.items()}
        return [words[x] for x in np.asarray(stored)] if np.ndim(stored) else words[float(stored)]

    def word(self, stored: object) -> None:
        return None


Cut = Annotated[Scalar, "Cut", Number("a factor above 0 and below 1", above=0.0, below=1.0)]
"""A factor above 0 and below 1."""
Scale = Annotated[Scalar, "Scale", Number("a number from 0 to 1", 0.0, 1.0)]
"""A number from 0 to 1."""
Mode = Annotated[Literal["min", "max"], "Mode", WordDomain(min=1.0, max=-1.0)]
"""Whether the metric should be low, "min", or high, "max"."""
ThresholdMode = Annotated[Literal["rel", "abs"], "ThresholdMode", WordDomain(rel=1.0, abs=0.0)]
"""Whether a threshold is a part of the best value, "rel", or a difference from it, "abs"."""
