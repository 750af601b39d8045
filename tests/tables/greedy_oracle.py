"""The rule that also rises, in plain Python: its oracle, and tables written by hand."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

from tables.plateau_oracle import Plateau, nan, single


@dataclasses.dataclass
class Greedy(Plateau):
    """The rule that also rises, from the words of its docstring."""

    max_scale: float = 10.0
    improvements: int = 0

    def decide(self, observation: Fraction | None) -> None:
        improved = observation is not None and self.is_improvement(observation)
        super().decide(observation)
        self.improvements = self.improvements + 1 if improved else 0
        if self.improvements > self.patience:
            self.scale = min(single(self.scale / single(self.factor)), single(self.max_scale))
            self.improvements = 0


# As in TABLES: settings, losses, the scale after each of them; factor 1/2 and threshold 1/8.
# fmt: off
RISING: dict[str, tuple[dict[str, Any], list[Any], list[float]]] = {
    "patience 0 rises at every improvement, the first observation is one": (dict(patience=0),
        [8, 4, 2, 1 ],
        [2, 4, 8, 10]),
    "patience 2 ignores two improvements and rises on the third": (dict(patience=2),
        [512, 256, 128, 64, 32, 16, 8],
        [1,   1,   2,   2,  2,  4,  4]),
    "an observation without improvement starts the count again": (dict(patience=1),
        [64, 64, 32, 16, 16, 8, 4],
        [1,  1,  1,  2,  2,  2, 4]),
    "a rise starts the count of improvements again": (dict(patience=1),
        [64, 32, 16, 16, 8, 4],
        [1,  2,  2,  2,  2, 4]),
    "it rises as far as max_scale": (dict(patience=0, max_scale=3),
        [8, 4, 2, 1],
        [2, 3, 3, 3]),
    "max_scale 1 never rises above the schedule": (dict(patience=0, max_scale=1),
        [8, 4, 4,   2, 2,   1],
        [1, 1, 0.5, 1, 0.5, 1]),
    "it falls as far as min_scale, and rises from there": (dict(patience=0, min_scale=0.25),
        [1, 1, 1,   1,    1,    0.5, 0.25],
        [2, 1, 0.5, 0.25, 0.25, 0.5, 1   ]),
    "what it rose it is cut from": (dict(patience=1),
        [16, 8, 8, 8, 8, 8],
        [1,  2, 2, 1, 1, 0.5]),
    "improvements during a cooldown count": (dict(patience=0, cooldown=3),
        [8, 8, 4, 2, 2, 2, 2],
        [2, 1, 2, 4, 4, 2, 2]),
    "a rise starts no cooldown": (dict(patience=0, cooldown=2),
        [8, 4, 4, 2],
        [2, 4, 2, 4]),
    "a cut after a rise needs its own patience": (dict(patience=2),
        [8, 4, 2, 2, 2, 2, 2, 2, 2],
        [1, 1, 2, 2, 2, 1, 1, 1, 0.5]),
    "gains below the threshold are none": (dict(patience=0),
        [8, 7.5, 7,   6.5, 6.5],
        [2, 1,   0.5, 1,   0.5]),
    "mode max: rising is improving": (dict(patience=1, mode="max"),
        [1, 2, 4, 8, 8, 8],
        [1, 2, 2, 4, 4, 2]),
    "a falling negative loss raises": (dict(patience=1),
        [-1, -2, -4, -8],
        [1,  2,  2,  4 ]),
    "a constant negative loss cuts": (dict(patience=1),
        [-1, -1, -1,  -1,  -1  ],
        [1,  1,  0.5, 0.5, 0.25]),
    "NaN is no improvement, and breaks a row of them": (dict(patience=1),
        [8, nan, 4, 2, nan, nan],
        [1, 1,   1, 2, 2,   1  ]),
    "infinite values are no improvement": (dict(patience=0),
        [8, -math.inf, 4, math.inf],
        [2, 1,         2, 1       ]),
    "window 2: the mean of two is one observation": (dict(patience=0, window=2),
        [8, 8, 2, 6, 1, 3, 4, 0],
        [1, 2, 2, 4, 4, 8, 8, 4]),
    "a cut to a spike, then a steady fall that is none until it passes the best": (dict(patience=1),
        [4, 64, 32,  16,  8,    2,    1  ],
        [1, 1,  0.5, 0.5, 0.25, 0.25, 0.5]),
}
# fmt: on
