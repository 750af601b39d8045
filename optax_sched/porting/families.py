"""The families that `identify` knows, a row each."""

import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import NamedTuple

from optax_sched._core.schedule import Schedule
from optax_sched._schedules import (
    constant,
    cosine_decay,
    cosine_restarts,
    cyclic,
    exponential_decay,
    inverse_sqrt_decay,
    inverse_time_decay,
    linear,
    noam,
    one_cycle,
    polynomial_decay,
    quarter_cosine_decay,
    warmup,
    warmup_cosine_decay,
    warmup_inverse_sqrt_decay,
    warmup_linear_decay,
    wsd,
)

RATES = ("value", "start", "peak", "end", "scale")  # a curve is nearly linear in these
ENDS = ("start", "end")  # people type them as a share of the peak
LENGTHS = ("rise", "fall", "total", "cool", "tau", "period", "up", "down", "width")
# What a number in parentheses is where nothing was typed for it.
DEFAULTS: Mapping[str, float | None] = {
    **{"start": 0.0, "end": 0.0, "rise": 0, "scale": 1.0, "tau": None, "down": None},
    **{"pct": 0.3, "div": 25.0, "final": 1e4, "growth": 1.0, "gamma": 1.0, "shrink": 1.0},
}


class Pair(NamedTuple):
    """Two numbers that no curve tells apart: people type one of `firsts`, or one of `seconds`."""

    firsts: tuple[float, ...]
    second: str  # the name of the other number
    seconds: tuple[float, ...]
    # From the old first number and the ratio of the new second one to the old: the new first number.
    follow: Callable[[float, float], float]
    # From the old first number and the new one: the ratio of the new second number to the old.
    ratio: Callable[[float, float], float]


_ROUND = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
_FACTORS = (0.5, 0.1, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 0.94, 0.85, 0.8, 0.7, 0.75, 0.6, 0.3, 0.2)
PAIRS = {
    "factor": Pair(_FACTORS, "fall", _ROUND, pow, lambda old, new: math.log(new) / math.log(old)),
    "speed": Pair((1.0, 0.5, 0.1, 2.0), "fall", _ROUND, operator.mul, lambda old, new: new / old),
    "width": Pair(
        (512, 1024, 768, 256, 2048),
        "scale",
        (1.0,),
        lambda old, ratio: old * ratio**2,
        lambda old, new: (new / old) ** 0.5,
    ),
}


class Family(NamedTuple):
    """A builder and its numbers in its order, those in parentheses with a default."""

    build: Callable[..., Schedule]
    numbers: str

    @property
    def names(self) -> list[str]:
        return self.numbers.replace("(", "").replace(")", "").split()

    def is_optional(self, name: str) -> bool:
        return f"({name})" in self.numbers


def _after_warmup(decay: Family) -> Family:
    def build(rise: float, start: float, *numbers: float) -> Schedule:
        return warmup(decay.build(*numbers), rise, start)

    return Family(build, f"rise (start) {decay.numbers}")


_DECAYS = [
    Family(quarter_cosine_decay, "peak fall (end)"),
    Family(polynomial_decay, "peak fall (end) power"),
    Family(exponential_decay, "peak fall factor (end)"),
    Family(inverse_time_decay, "peak fall speed (end)"),
]
FAMILIES = [
    Family(constant, "value"),
    Family(linear, "peak (end) fall"),
    Family(lambda peak, rise: linear(0.0, peak, rise), "peak rise"),
    Family(cosine_decay, "peak fall (end)"),
    *_DECAYS,
    Family(inverse_sqrt_decay, "peak tau (end)"),
    Family(warmup_linear_decay, "peak rise total (start) (end)"),
    Family(warmup_cosine_decay, "peak rise total (start) (end)"),
    *map(_after_warmup, _DECAYS),
    Family(warmup_inverse_sqrt_decay, "peak rise (start) (tau)"),
    Family(noam, "width rise (scale)"),
    *(
        Family(functools.partial(wsd, shape=shape), "peak (rise) cool total (start) (end)")
        for shape in ("cosine", "linear", "sqrt", "square")
    ),
    *(
        Family(
            functools.partial(one_cycle, three_phase=three, shape=shape),
            "peak total (pct) (div) (final)",
        )
        for shape in ("cosine", "linear")
        for three in (False, True)
    ),
    Family(cyclic, "start peak up (down) (growth) (gamma)"),
    Family(cosine_restarts, "peak period (end)"),
    Family(cosine_restarts, "peak period (end) mult (shrink)"),
]
