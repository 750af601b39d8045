"""What the tests of planning share."""

from typing import Any

import numpy as np

from optax_sched import Schedule


def rates(s: Any, steps: int) -> np.ndarray:
    """Those of updates 0 to steps - 1, as the functions see them, then in float64."""
    if isinstance(s, Schedule):
        return np.asarray(s(np.arange(steps)), np.float64)
    return np.array([s(t) if callable(s) else s for t in range(steps)], np.float64)
