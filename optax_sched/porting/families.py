"""The families that `identify` knows, a row each, and from where the fit of their numbers starts."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from optax_sched._core.schedule import Schedule
from optax_sched._schedules.by_factors import exponential_decay
from optax_sched._schedules.combine import warmup
from optax_sched._schedules.cyclic import cosine_restarts, cyclic, one_cycle
from optax_sched._schedules.decays import (
    cosine_decay,
    linear,
    polynomial_decay,
    quarter_cosine_decay,
)
from optax_sched._core.operands import constant
from optax_sched._schedules.power_laws import inverse_sqrt_decay, inverse_time_decay
from optax_sched._schedules.stable_recipes import wsd
from optax_sched._schedules.warmup_recipes import (
    noam,
    warmup_cosine_decay,
    warmup_inverse_sqrt_decay,
    warmup_linear_decay,
)

RATES = ("value", "peak", "start", "end", "scale")  # the curve is, or nearly, linear in these
LENGTHS = ("rise", "fall", "total", "cool", "tau", "period", "up", "down", "width")
FACTORS = (0.5, 0.1, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 0.94, 0.85, 0.8, 0.7, 0.75, 0.3, 0.2, 0.995, 0.999)
ROUND = tuple(digit * 10.0**exponent for digit in (1, 5, 2) for exponent in range(6))


class Family(NamedTuple):
    """A builder of some free numbers, whose names say what they are; those with a default may stay."""

    build: Callable[..., Schedule]
    choices: Mapping[str, tuple[float, ...]] = {}  # numbers that the curve alone does not tell

    @property
    def defaults(self) -> dict[str, float | None]:
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    def variants(self) -> Iterator[tuple[str, ...]]:
        """The numbers that are free, the most first; the others have their defaults."""
        names = list(inspect.signature(self.build).parameters)
        optional = [name for name in names if name in self.defaults]
        for count in range(len(optional), -1, -1):
            for fixed in itertools.combinations(optional, len(optional) - count):
                yield tuple(name for name in names if name not in fixed)


def _after_rise(decay: Callable[..., Schedule]) -> Callable[..., Callable[..., Schedule]]:
    del decay
    raise NotImplementedError


FAMILIES = [
    Family(lambda value: constant(value)),
    Family(lambda start, end, fall: linear(start, end, fall)),
    Family(lambda peak, fall, end=0.0: linear(peak, end, fall)),
    Family(lambda peak, fall, end=0.0: cosine_decay(peak, fall, end)),
    Family(lambda peak, fall, end=0.0: quarter_cosine_decay(peak, fall, end)),
    Family(lambda peak, fall, power, end=0.0: polynomial_decay(peak, fall, end, power)),
]
