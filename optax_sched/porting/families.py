"""The families that `identify` knows, a row each."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import optax_sched._schedules as builders
from optax_sched._core.schedule import Schedule
from optax_sched.porting.typed_numbers import PAIRS

RATES = ("value", "start", "peak", "end", "scale")  # a curve is nearly linear in these
ENDS = ("start", "end")  # people type them as a share of the peak
LENGTHS = ("rise", "fall", "total", "cool", "tau", "period", "up", "down", "width", *PAIRS)
# What a number in parentheses is where nothing was typed for it.
DEFAULTS: Mapping[str, float | None] = {
    **{"start": 0.0, "end": 0.0, "rise": 0, "tau": None, "down": None},
    **{"pct": 0.3, "div": 25.0, "final": 1e4, "growth": 1.0, "gamma": 1.0, "shrink": 1.0},
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
        return builders.warmup(decay.build(*numbers), rise, start)

    return Family(build, f"rise (start) {decay.numbers}")


def _by_half(decay: Callable[..., Schedule], second: float) -> Callable[..., Schedule]:
    """A decay by its half-life: a number, or a pair of a length and what people type after it."""

    def build(peak: float, half: float | tuple[float, float], *end: float) -> Schedule:
        return decay(peak, *(half if isinstance(half, tuple) else (half, second)), *end)

    return build


def _equal_cycles(peak: float, period: float, end: float, shrink: float) -> Schedule:
    return builders.cosine_restarts(peak, period, end, 1.0, shrink)


_DECAYS = [
    Family(builders.quarter_cosine_decay, "peak fall (end)"),
    Family(builders.polynomial_decay, "peak fall (end) power"),
    Family(_by_half(builders.exponential_decay, 0.5), "peak half_life (end)"),
    Family(_by_half(builders.inverse_time_decay, 1.0), "peak half_time (end)"),
]
FAMILIES = [
    Family(builders.constant, "value"),
    Family(builders.linear, "peak (end) fall"),
    Family(lambda peak, rise: builders.linear(0.0, peak, rise), "peak rise"),
    Family(builders.cosine_decay, "peak fall (end)"),
    *_DECAYS,
    Family(builders.inverse_sqrt_decay, "peak tau (end)"),
    Family(builders.warmup_linear_decay, "peak rise total (start) (end)"),
    Family(builders.warmup_cosine_decay, "peak rise total (start) (end)"),
    *map(_after_warmup, _DECAYS),
    Family(builders.warmup_inverse_sqrt_decay, "peak rise (start) (tau)"),
    Family(builders.noam, "width rise"),
    Family(lambda scale, rise: builders.noam(512, rise, scale), "scale rise"),
    *(
        Family(functools.partial(builders.wsd, shape=shape), "peak (rise) cool total (start) (end)")
        for shape in ("cosine", "linear", "sqrt", "square")
    ),
    *(
        Family(
            functools.partial(builders.one_cycle, three_phase=three, shape=shape),
            "peak total (pct) (div) (final)",
        )
        for shape in ("cosine", "linear")
        for three in (False, True)
    ),
    Family(builders.cyclic, "start peak up (down) (growth) (gamma)"),
    Family(builders.cosine_restarts, "peak period (end)"),
    Family(_equal_cycles, "peak period (end) shrink"),
    Family(builders.cosine_restarts, "peak period (end) mult (shrink)"),
]
