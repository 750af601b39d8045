"""Relations between hyperparameters that several builders check."""

from typing import Any

import numpy as np

from optax_sched._core.domains import is_traced

Violation = tuple[str, str] | None


def at_least_the_sum(name: str, total: Any, **phases: Any) -> Violation:
    """Whether a total holds all phases."""
    if not is_traced((total, phases)):
        # As Python numbers, which do not wrap.
        needed = sum(np.asarray(length).item() for length in phases.values())
        if needed > np.asarray(total).item():
            return name, f"at least {' + '.join(phases)} = {needed}"
    return None


def floor_below_start(init_value: Any, end_value: Any) -> Violation:
    """Whether a floor lies below the value that falls to it: else the schedule is the floor alone."""
    if not is_traced((init_value, end_value)) and end_value > init_value:
        return "end_value", f"at most init_value = {init_value}, from where it falls"
    return None


def start_below_peak(init_value: Any, peak_value: Any) -> Violation:
    """Whether a warm-up rises."""
    if not is_traced((init_value, peak_value)) and init_value > peak_value:
        return "init_value", f"at most peak_value = {peak_value}, to which it rises"
    return None
