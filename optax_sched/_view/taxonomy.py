"""The two axes of the taxonomy, read off a sampled curve: how often the value changes, and how."""

from collections.abc import Sequence

import numpy as np

# In words, and in the order of a picture.
OFTEN: dict[str, str] = {
    "constant": "constant",
    "intervals": "at intervals",
    "plateau": "on plateau",
    "step": "at every step",
}
HOW: dict[str, str] = {
    "hand": "by hand",
    "factor": "by a factor",
    "cyclic": "in cycles",
    "function": "as a function",
    "feedback": "by feedback",
}


def how_often(values: np.ndarray) -> str:
    """Whether it changes never, now and then, or at every step."""
    changes = np.flatnonzero(np.diff(values))
    if not len(changes):
        return "constant"
    # Between the first change and the last: does it change at every step, or now and then?
    span = changes[-1] - changes[0] + 1
    return "step" if len(changes) >= 0.5 * span and len(changes) > 3 else "intervals"


def how(values: np.ndarray, vectors: Sequence[np.ndarray]) -> str:
    """Whether by hand, by a factor, in cycles, or as another function of the step.

    `vectors` are the sequences of numbers that the schedule was given: by hand is what takes its values
    from one of them.
    """
    stairs = values[np.flatnonzero(np.diff(values, append=np.inf))]
    if len(stairs) == 1:
        return "hand"
    if any(len(v) > 1 and np.isin(np.float32(v), np.float32(values)).all() for v in vectors):
        return "hand"
    ratios = stairs[1:] / np.where(stairs[:-1] == 0, np.nan, stairs[:-1])
    if np.allclose(ratios[:-1], ratios[0], rtol=1e-4) and len(ratios) > 1:
        return "factor"
    if any(np.array_equal(values[p:], values[:-p]) for p in range(2, min(300, len(values) // 2))):
        return "cyclic"
    tops = stairs[1:-1][(stairs[1:-1] > stairs[:-2]) & (stairs[1:-1] >= stairs[2:])]
    tops = np.append(stairs[0], tops) if stairs[0] > stairs[1] else tops
    # Tops that are alike, or shrink by one factor.
    if len(tops) > 1 and np.allclose(tops[1:] / tops[:-1], tops[1] / tops[0], rtol=1e-3):
        return "cyclic"
    return "function"
