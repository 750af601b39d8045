"""The plateau rule once more, in plain Python: exact fractions, hand-written tables, and no JAX.

All of it was written from the words of the contract, not from our code. Only the scale is rounded, to
float32 after every cut, because a scale is a float32 number.
"""

import dataclasses
import itertools
import math
import random
import struct
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

nan, inf = math.nan, math.inf


def single(number: float) -> float:
    """The float32 number nearest to `number`."""
    return struct.unpack("f", struct.pack("f", number))[0]


@dataclasses.dataclass
class Plateau:
    """The rule's settings, and what it has seen."""

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    mode: str = "min"
    cooldown: int = 0
    min_scale: float = 0.0
    window: int = 1
    start: int = 0

    scale: float = 1.0
    best: Fraction | None = None  # None until something finite was observed
    without_improvement: int = 0
    to_ignore: int = 0
    ignored: int = 0
    collected: list[float] = dataclasses.field(default_factory=list)

    def observe(self, value: float | None) -> None:
        """One value from training; None says that there is none."""
        if value is None:
            return
        self.collected.append(value)
        if len(self.collected) == self.window:
            finite = all(map(math.isfinite, self.collected))
            mean = sum(map(Fraction, self.collected), Fraction()) / self.window if finite else None
            self.collected = []
            if self.ignored < self.start:
                self.ignored += 1
            else:
                self.decide(mean)

    def decide(self, observation: Fraction | None) -> None:
        """One observation; None stands for one that is not finite."""
        if observation is not None and self.is_improvement(observation):
            self.best = observation
            self.without_improvement = 0
        else:
            self.without_improvement += 1
        if self.to_ignore > 0:
            self.to_ignore -= 1
            self.without_improvement = 0
        if self.without_improvement > self.patience:
            cut = single(self.scale * single(self.factor))
            self.scale = max(cut, single(self.min_scale))
            self.to_ignore = self.cooldown
            self.without_improvement = 0

    def is_improvement(self, observation: Fraction) -> bool:
        """Whether a finite observation is better than the best by more than the threshold."""
        if self.best is None:
            return True
        gain = self.best - observation if self.mode == "min" else observation - self.best
        unit = abs(self.best) if self.threshold_mode == "rel" else 1
        return gain > Fraction(self.threshold) * unit

    def scales(self, values: Iterable[float | None]) -> list[float]:
        """The scale after each of some values."""
        scales = []
        for value in values:
            self.observe(value)
            scales.append(self.scale)
        return scales


# What it is about: settings, losses, the scale after each of them. Where nothing else is said, factor
# is 1/2 and threshold 1/8.
HALF: dict[str, Any] = {"factor": 0.5, "threshold": 0.125}
# fmt: off
TABLES: dict[str, tuple[dict[str, Any], list[Any], list[float]]] = {
    "patience 0 cuts at every observation without improvement": (dict(patience=0),
        [1, 1,   1,    1,     1     ],
        [1, 0.5, 0.25, 0.125, 0.0625]),
    "patience 0 never cuts while the metric improves": (dict(patience=0),
        [32, 16, 8, 4, 2, 1],
        [1,  1,  1, 1, 1, 1]),
    "patience 1 ignores one and cuts on the second": (dict(patience=1),
        [1, 1, 1,   1,   1,    1,    1    ],
        [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    "patience 2 ignores the first two and cuts on the third": (dict(patience=2),
        [1, 1, 1, 1,   1,   1,   1,    1,    1,    1    ],
        [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]),
    "an improvement starts the count again": (dict(patience=2),
        [8, 8, 8, 4, 4, 4, 2, 2, 2, 2  ],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5]),
    "a cut starts the count again, and the best stays": (dict(patience=1),
        [4, 5, 5,   5,   3,   4,   4,    4,    4    ],
        [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]),
    "after a spike, a steady fall counts as bad until it passes the old best": (dict(patience=2),
        [4, 64, 32, 16,  8,   4,   2,   1  ],
        [1, 1,  1,  0.5, 0.5, 0.5, 0.5, 0.5]),
    "cooldown 0, patience 1": (dict(patience=1, cooldown=0),
        [1, 1, 1,   1,   1   ],
        [1, 1, 0.5, 0.5, 0.25]),
    "cooldown 1 ignores the one observation after a cut": (dict(patience=0, cooldown=1),
        [1, 1,   1,   1,    1,    1    ],
        [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    "cooldown 2 ignores the two observations after a cut": (dict(patience=0, cooldown=2),
        [1, 1,   1,   1,   1,    1,    1,    1    ],
        [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]),
    "cooldown and patience add up": (dict(patience=1, cooldown=2),
        [1, 1, 1,   1,   1,   1,   1,    1,    1,    1,    1    ],
        [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125]),
    "the best is kept up during a cooldown": (dict(patience=0, cooldown=2),
        [4, 4,   2,   3,   3   ],
        [1, 0.5, 0.5, 0.5, 0.25]),
    "an improvement does not end a cooldown": (dict(patience=0, cooldown=2),
        [4, 4,   2,   2,   2   ],
        [1, 0.5, 0.5, 0.5, 0.25]),
    "the scale stops at min_scale": (dict(patience=0, min_scale=0.3),
        [1, 1,   1,   1  ],
        [1, 0.5, 0.3, 0.3]),
    "min_scale 1 switches the rule off": (dict(patience=0, min_scale=1),
        [1, 1, 1],
        [1, 1, 1]),
    "rel: a gain must pass the threshold": (dict(patience=0),
        [8, 7,   6.5, 6   ],
        [1, 0.5, 0.5, 0.25]),
    "abs: a gain must pass the threshold": (dict(patience=0, threshold_mode="abs", threshold=1),
        [8, 7,   6.5, 5.5,  5   ],
        [1, 0.5, 0.5, 0.25, 0.25]),
    "abs: the best may be any size": (dict(patience=0, threshold_mode="abs", threshold=1),
        [1024, 1022, 1020, 1018],
        [1,    1,    1,    1   ]),
    "threshold 0: any fall is an improvement, an equal value is not": (dict(patience=0, threshold=0),
        [1, 0.984375, 0.984375, 0.96875],
        [1, 1,        0.5,      0.5    ]),
    "small gains add up until they pass the threshold": (dict(patience=2),
        [8, 7.5, 7, 6.5, 6.5],
        [1, 1,   1, 1,   1  ]),
    "mode max: higher is better": (dict(patience=0, mode="max", threshold=0),
        [1, 2, 2,   1,    3   ],
        [1, 1, 0.5, 0.25, 0.25]),
    "mode max with a relative threshold": (dict(patience=0, mode="max"),
        [8, 9,   9.5, 10  ],
        [1, 0.5, 0.5, 0.25]),
    "mode max, abs": (dict(patience=0, mode="max", threshold_mode="abs", threshold=1),
        [8, 9,   9.5, 10,   11  ],
        [1, 0.5, 0.5, 0.25, 0.25]),
    "mode max of negative values, rising": (dict(patience=0, mode="max"),
        [-8, -7,  -6,  -6  ],
        [1,  0.5, 0.5, 0.25]),
    "mode max of negative values, falling": (dict(patience=0, mode="max"),
        [-8, -8.5, -9  ],
        [1,  0.5,  0.25]),
    "a constant negative loss is no improvement": (dict(patience=1),
        [-1, -1, -1,  -1,  -1  ],
        [1,  1,  0.5, 0.5, 0.25]),
    "a rising negative loss is no improvement": (dict(patience=1),
        [-8, -7.75, -7.5, -7.25, -7  ],
        [1,  1,     0.5,  0.5,   0.25]),
    "a falling negative loss is an improvement": (dict(patience=0),
        [-8, -10, -12, -14],
        [1,  1,   1,   1  ]),
    "through zero: nothing is too small a gain from a best of 0": (dict(patience=0),
        [1, 0, 0,   -0.015625],
        [1, 1, 0.5, 0.5      ]),
    "window 3: the mean of three is one observation": (dict(patience=0, window=3),
        [1, 1, 7, 9, 0, 0,   0,   0,   6,   1,   1,   7   ],
        [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]),
    "window 3, patience 2: decisions at 3, 6, 9 and 12": (dict(patience=2, window=3),
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,   1  ],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5]),
    "window 3: the cooldown counts observations, not values": (dict(patience=0, window=3, cooldown=1),
        [1, 1, 1, 1, 1, 1,   1,   1,   1,   1,   1,   1   ],
        [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]),
    "window 3 of 8 values: the last two wait": (dict(patience=0, window=3),
        [1, 1, 1, 1, 1, 1,   1,   1  ],
        [1, 1, 1, 1, 1, 0.5, 0.5, 0.5]),
    "NaN for ever is no improvement": (dict(patience=2),
        [nan, nan, nan, nan, nan, nan,  nan,  nan ],
        [1,   1,   0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
    "NaN first: the first finite observation is the best": (dict(patience=2),
        [nan, nan, 5, 5, 5, 5  ],
        [1,   1,   1, 1, 1, 0.5]),
    "NaN in between counts as no improvement and leaves the best": (dict(patience=0),
        [8, nan, 6,   nan,  6    ],
        [1, 0.5, 0.5, 0.25, 0.125]),
    "inf first: the first finite observation is the best": (dict(patience=1),
        [inf, 1000, 1000, 1000],
        [1,   1,    1,    0.5 ]),
    "-inf first: the first finite observation is the best": (dict(patience=1),
        [-inf, 1000, 500, 500, 500],
        [1,    1,    1,   1,   0.5]),
    "-inf never becomes the best": (dict(patience=0),
        [1, -inf, 0.5, 0.5 ],
        [1, 0.5,  0.5, 0.25]),
    "mode max: inf never becomes the best": (dict(patience=0, mode="max"),
        [1, inf, 2,   2   ],
        [1, 0.5, 0.5, 0.25]),
    "mode max: NaN, inf and -inf first": (dict(patience=2, mode="max"),
        [nan, inf, -1000, -1000, -inf, nan],
        [1,   1,   1,     1,     1,    0.5]),
    "an observation that is not finite uses up the cooldown": (dict(patience=0, cooldown=1),
        [1, 1,   nan, 1   ],
        [1, 0.5, 0.5, 0.25]),
    "NaN inside a window spoils that window alone": (dict(patience=0, window=2),
        [1, nan, 2,   2,   1,   1,   1,   1   ],
        [1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]),
    "inf and -inf inside a window are no improvement": (dict(patience=0, window=2),
        [4, 4, inf, -inf, -inf, 0,    2,    2   ],
        [1, 1, 1,   0.5,  0.5,  0.25, 0.25, 0.25]),
    "one NaN in every window, otherwise improving": (dict(patience=0, window=2),
        [8, nan, nan, 4,    2,    nan  ],
        [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    "start 3: the first three are ignored altogether": (dict(patience=0, start=3),
        [1, 2, nan, 8, 8,   4,   4   ],
        [1, 1, 1,   1, 0.5, 0.5, 0.25]),
    "start 2 of windows of 2: the first four values are ignored": (dict(patience=0, start=2, window=2),
        [1, 1, 1, 1, 8, 8, 8, 8,   4,   4  ],
        [1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5]),
    # What torch did on a constant metric of 1, measured: reference/peers.md, section 3.
    "torch: patience 2, cooldown 1": (dict(patience=2, cooldown=1, threshold=0.0001),
        [1, 1, 1, 1,   1,   1,   1,   1,    1,    1,    1,    1    ],
        [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125]),
    "torch: patience 2, cooldown 0": (dict(patience=2, threshold=0.0001),
        [1, 1, 1, 1,   1,   1,   1,    1,    1,    1    ],
        [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]),
    "torch: patience 0": (dict(patience=0, threshold=0.0001),
        [1, 1,   1,    1,     1     ],
        [1, 0.5, 0.25, 0.125, 0.0625]),
    "torch: patience 1, floor 0.2": (dict(patience=1, min_scale=0.2, threshold=0.0001),
        [1, 1, 1,   1,   1,    1,    1  ],
        [1, 1, 0.5, 0.5, 0.25, 0.25, 0.2]),
}
# fmt: on

# Random losses are multiples of 60/64, so that the mean of up to 6 of them, every gain and every
# threshold below are exact in float32: no comparison depends on rounding.
UNIT = 60 / 64
LENGTH = 48


def falling(rng: random.Random) -> list[float]:
    start = rng.randint(50, 2000)
    return [max(start - step * rng.randint(0, 60), -2000) for step in range(LENGTH)]


def rising_negative(rng: random.Random) -> list[float]:
    return [-2000 + step * rng.randint(0, 20) for step in range(LENGTH)]


def flat(rng: random.Random) -> list[float]:
    return [rng.randint(-5, 5)] * LENGTH


def noisy(rng: random.Random) -> list[float]:
    return [rng.randint(1, 9) for _ in range(LENGTH)]


def negative(rng: random.Random) -> list[float]:
    return [-rng.randint(1, 200) for _ in range(LENGTH)]


def walking(rng: random.Random) -> list[float]:
    return list(itertools.accumulate(rng.randint(-4, 4) for _ in range(LENGTH)))


def spiked(rng: random.Random) -> list[float]:
    return [value + 1900 * (rng.random() < 0.1) for value in noisy(rng)]


def sometimes_not_finite(rng: random.Random) -> list[float]:
    share = rng.choice([0.05, 0.3, 0.9])
    losses = rng.choice([falling, walking])(rng)
    return [rng.choice([nan, inf, -inf]) if rng.random() < share else loss for loss in losses]


KINDS = [falling, rising_negative, flat, noisy, negative, walking, spiked, *[sometimes_not_finite] * 3]


def random_cases(count: int, mode: str, threshold_mode: str) -> list[tuple[Plateau, list[float]]]:
    """Settings with losses, of all kinds in turn."""
    rng = random.Random(f"{mode} {threshold_mode}")
    thresholds = {"rel": [0, 1 / 1024, 1 / 8, 1 / 2], "abs": [0, 1 / 64, UNIT, 4 * UNIT]}
    cases = []
    for number in range(count):
        plateau = Plateau(
            mode=mode,
            threshold_mode=threshold_mode,
            threshold=rng.choice(thresholds[threshold_mode]),
            factor=rng.choice([0.5, 0.25, 0.3, 0.7, 0.9, 0.999]),
            patience=rng.choice([0, 0, 1, 2, 3, 7]),
            cooldown=rng.choice([0, 0, 1, 2, 5]),
            min_scale=rng.choice([0, 0, 0.01, 0.3, 1]),
            window=rng.choice([1, 1, 1, 2, 3, 4, 5, 6]),
            start=rng.choice([0, 0, 0, 1, 2, 5]),
        )
        losses = KINDS[number % len(KINDS)](rng)
        cases.append((plateau, [UNIT * loss for loss in losses]))
    return cases
