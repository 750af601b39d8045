"""Several schedules for one run, side by side: what `python -m optax_sched compare` shows."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from optax_sched._core.errors import in_a_word
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import Positive, admit, domain_of
from optax_sched._files.spec import data_in
from optax_sched.planning.bound import convex_bound, transfer_factor
from optax_sched.planning.fit import warn_off_peak
from optax_sched.planning.inputs import known_rates
from optax_sched.planning.loss_law import KINDS, LossLaw

_SAME_LENGTH = 0.01  # of the run
_FARTHEST = 10  # times the run: a schedule that changes longer counts as endless
_FEW = 0.01  # of the steps: a schedule that changes at fewer only jumps
NO_DIFFERENCE = 1.03  # ratios of bounds below it have been in the reverse order of real losses
ASSUMPTION = (
    "The bound is that of the last step on convex, non-smooth problems with equal gradient norms, each "
    "schedule at its own best scale. It cannot order schedules that differ by less than 3 %, and it "
    "does not see where training becomes unstable."
)


class Compared(NamedTuple):
    """One schedule of a comparison."""

    schedule: str
    relative_bound: float  # to the best one's; 1 for that
    no_difference: bool  # whether the bound cannot tell it from the best one
    best_scale: float
    factor: float | None  # that makes it as well tuned as the schedule that is
    predicted_loss: float | None  # at its rates as they are


def compared(
    schedules: Mapping[str, Schedule],
    num_steps: int,
    tuned: Schedule | None = None,
    horizon_exponent: float | None = None,
    law: LossLaw | None = None,
    peak_value: float | None = None,
) -> list[Compared]:
    """A row for each schedule, by its name, the best first."""
    tuned_steps = num_steps if tuned is None else _length(tuned, num_steps)
    if tuned_steps != num_steps and horizon_exponent is None:
        raise ValueError(
            f"--horizon-exponent is required: the tuned schedule ends at step {tuned_steps}, not at "
            f"{num_steps} (at a fixed batch size 0 to 0.15 was best in real runs)"
        )
    bounds = {}
    for name, schedule in schedules.items():
        try:
            bounds[name] = convex_bound(schedule, num_steps)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    best = min(float(bound.best_value) for bound in bounds.values())
    rows = []
    for name, bound in bounds.items():
        schedule, relative = schedules[name], float(bound.best_value) / best
        loss = factor = None
        if tuned is not None:
            factor = float(transfer_factor(tuned, tuned_steps, schedule, num_steps, horizon_exponent))
        if law is not None:
            loss = max(float(law(schedule, num_steps - 1)), 0.0)
        if peak_value is not None:
            peak = float(known_rates("compare", schedule, num_steps).max())
            warn_off_peak(f"compare: {name}", peak, (peak_value, peak_value))
        scale = float(bound.best_scale)
        rows.append(Compared(name, relative, relative < NO_DIFFERENCE, scale, factor, loss))
    return sorted(rows, key=lambda row: row.relative_bound)


def _length(schedule: Schedule, num_steps: int) -> int:
    """The step from which on it is constant; the last if it is always, never, or between jumps."""
    steps = _FARTHEST * num_steps
    moves = np.flatnonzero(np.diff(known_rates("compare", schedule, steps, must_move=False)))
    if not len(moves) or moves[-1] + 2 >= steps or len(moves) < _FEW * moves[-1]:
        return num_steps
    length = int(moves[-1]) + 1
    return length if abs(length / num_steps - 1) > _SAME_LENGTH else num_steps


def read_law(name: str) -> tuple[LossLaw, float | None]:
    """The loss law in a JSON file: {"law": "MultiPowerLaw", "L0": ..., ...}, its parameters by name.

    The file may hold "peak_value" too, the peak of the runs that the law was fitted to.

    Raises ValueError or TypeError, with one line.
    """
    data = data_in(name)
    law = KINDS.get(str(data.get("law"))) if isinstance(data, dict) else None
    if law is None:
        known = " or ".join(f'"{known}"' for known in KINDS)
        raise ValueError(f'{name}: must be an object with "law": {known}, got {in_a_word(data)}')
    del data["law"]
    try:
        peak = admit("law", "peak_value", domain_of("", Positive | None), data.pop("peak_value", None))
        return law.law(**data), peak
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
