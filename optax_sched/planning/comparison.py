"""Several schedules for one run, side by side: what `python -m optax_sched compare` shows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from optax_sched._core.errors import in_a_word
from optax_sched.planning.bound import convex_bound
from optax_sched.planning.kinds import KINDS
from optax_sched.planning.loss_law import LossLaw
from optax_sched.planning.transfer import transfer_factor

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
    schedules: Mapping[str, Any], num_steps: int, tuned: Any = None, law: LossLaw | None = None
) -> list[Compared]:
    """A row for each schedule, by its name, the best first."""
    bounds = {}
    for name, schedule in schedules.items():
        try:
            bounds[name] = convex_bound(schedule, num_steps)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    best = min(float(bound.best_value) for bound in bounds.values())
    rows = []
    for name, schedule in schedules.items():
        relative = float(bounds[name].best_value) / best
        factor = None if tuned is None else float(transfer_factor(tuned, num_steps, schedule))
        loss = None if law is None else float(law(schedule, num_steps - 1))
        scale = float(bounds[name].best_scale)
        rows.append(Compared(name, relative, relative < NO_DIFFERENCE, scale, factor, loss))
    return sorted(rows, key=lambda row: row.relative_bound)


def read_law(name: str) -> LossLaw:
    """The loss law in a JSON file: {"law": "MultiPowerLaw", "L0": ..., ...}, its parameters by name.

    Raises ValueError or TypeError, with one line.
    """
    try:
        data = json.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"must be a file, got {in_a_word(name)}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"must be JSON, {name} is not: {' '.join(str(error).split())}") from None
    law = KINDS.get(str(data.get("law"))) if isinstance(data, dict) else None
    if law is None:
        known = " or ".join(f'"{known}"' for known in KINDS)
        raise ValueError(f'{name}: must be an object with "law": {known}, got {in_a_word(data)}')
    numbers = {key: value for key, value in data.items() if key != "law"}
    if set(numbers) != set(law.names):
        rule = f"{law.name} has the parameters {', '.join(law.names)}"
        raise ValueError(f"{name}: {rule}, got {', '.join(numbers) or 'none'}")
    try:
        return law.law(**numbers)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
