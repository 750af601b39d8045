"""The families that `identify` knows, a row each, and from where the fit of their numbers starts."""

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

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

RATES = ("value", "peak", "start", "end", "scale")  # a curve is nearly linear in these
LENGTHS = ("rise", "fall", "total", "cool", "tau", "period", "up", "down", "width")
FACTORS = (0.5, 0.1, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 0.94, 0.85, 0.8, 0.7, 0.75, 0.6, 0.3, 0.2)
ROUND = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
SHAPES: tuple[Any, ...] = ("cosine", "linear", "sqrt", "square")
SPEEDS = (1.0, 0.5, 0.1, 2.0)


class Family(NamedTuple):
    """A builder and its numbers: their names say what they are, and those with a default may stay."""

    build: Callable[..., Schedule]
    choices: Mapping[str, tuple[float, ...]] = {}  # of numbers that no curve tells apart

    def names(self) -> list[str]:
        return list(inspect.signature(self.build).parameters)

    def defaults(self) -> dict[str, float]:
        """The numbers that may stay at their default, where that is a number."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if type(p.default) in (int, float)}

    def variants(self) -> Iterator[tuple[str, ...]]:
        """The names of the numbers that are fitted; first all, then those without one default, ..."""
        parameters = [
            p
            for p in inspect.signature(self.build).parameters.values()
            if not isinstance(p.default, str | bool)
        ]
        optional = [p.name for p in parameters if p.default is not p.empty]
        for count in range(len(optional) + 1):
            for kept in itertools.combinations(optional, count):
                yield tuple(p.name for p in parameters if p.name not in (*kept, *self.choices))


FAMILIES = [
    Family(lambda value: constant(value)),
    Family(lambda start, fall, end=0.0: linear(start, end, fall)),
    Family(lambda peak, fall, end=0.0: cosine_decay(peak, fall, end)),
    Family(lambda peak, fall, end=0.0: quarter_cosine_decay(peak, fall, end)),
    Family(lambda peak, fall, power, end=0.0: polynomial_decay(peak, fall, end, power)),
    *(
        Family(lambda peak, fall, factor, end=0.0: exponential_decay(peak, fall, factor, end), choices)
        for choices in ({"factor": FACTORS}, {"fall": ROUND})
    ),
    Family(lambda peak, tau, end=0.0: inverse_sqrt_decay(peak, tau, end)),
    *(
        Family(lambda peak, fall, speed, end=0.0: inverse_time_decay(peak, fall, speed, end), choices)
        for choices in ({"speed": SPEEDS}, {"fall": ROUND})
    ),
    Family(
        lambda peak, rise, total, start=0.0, end=0.0: warmup_linear_decay(peak, rise, total, start, end)
    ),
    Family(
        lambda peak, rise, total, start=0.0, end=0.0: warmup_cosine_decay(peak, rise, total, start, end)
    ),
    Family(
        lambda peak, rise, fall, start=0.0, end=0.0: warmup(
            quarter_cosine_decay(peak, fall, end), rise, start
        )
    ),
    Family(
        lambda peak, rise, fall, power, start=0.0, end=0.0: warmup(
            polynomial_decay(peak, fall, end, power), rise, start
        )
    ),
    *(
        Family(
            lambda peak, rise, fall, factor, start=0.0, end=0.0: warmup(
                exponential_decay(peak, fall, factor, end), rise, start
            ),
            choices,
        )
        for choices in ({"factor": FACTORS}, {"fall": ROUND})
    ),
    *(
        Family(
            lambda peak, rise, fall, speed, start=0.0, end=0.0: warmup(
                inverse_time_decay(peak, fall, speed, end), rise, start
            ),
            choices,
        )
        for choices in ({"speed": SPEEDS}, {"fall": ROUND})
    ),
    Family(lambda peak, rise, start=0.0, tau=None: warmup_inverse_sqrt_decay(peak, rise, start, tau)),
    Family(lambda width, rise: noam(width, rise)),
    Family(lambda width, rise, scale: noam(width, rise, scale), {"width": (512, 1024, 768, 256, 2048)}),
    *(
        Family(
            lambda peak, cool, total, rise=0, start=0.0, end=0.0, shape=shape: wsd(
                peak, rise, cool, total, start, end, shape
            )
        )
        for shape in SHAPES
    ),
    *(
        Family(
            lambda peak, total, pct=0.3, div=25.0, final=1e4, shape=shape, three=three: one_cycle(
                peak, total, pct, div, final, three, shape
            )
        )
        for shape in SHAPES[:2]
        for three in (False, True)
    ),
    Family(
        lambda start, peak, up, down=None, growth=1.0, gamma=1.0: cyclic(
            start, peak, up, down, growth, gamma
        )
    ),
    Family(lambda peak, period, end=0.0: cosine_restarts(peak, period, end)),
    Family(
        lambda peak, period, mult, end=0.0, shrink=1.0: cosine_restarts(peak, period, end, mult, shrink)
    ),
]
