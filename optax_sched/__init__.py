"""Learning-rate schedules for JAX: pure functions of the step that are also data."""

from optax_sched._combine import join, warmup
from optax_sched._cyclic import cosine_restarts
from optax_sched._decay import constant, cosine_decay, linear, log_decay, polynomial_decay
from optax_sched._geometric import exponential_decay, multistep_decay, step_decay
from optax_sched._hyper import (
    Boundaries,
    Count,
    CountOrZero,
    Factor,
    FactorOrFactors,
    Growth,
    Positive,
    Rate,
    Rates,
    Real,
    Reals,
    ShapeName,
    Steps,
    StepsOrZero,
    Switch,
)
from optax_sched._kinds import is_traced
from optax_sched._operands import Operand, Operands
from optax_sched._plateau import reduce_on_plateau
from optax_sched._rule import PlateauRule, PlateauState
from optax_sched._schedule import Schedule, schedule
from optax_sched._shapes import mix, progress, remaining
from optax_sched._state import ScheduleState, observe
from optax_sched._transform import scale_by_learning_rate, scale_by_schedule

__version__ = "0.1.0"

__all__ = [
    "Boundaries",
    "Count",
    "CountOrZero",
    "Factor",
    "FactorOrFactors",
    "Growth",
    "Operand",
    "Operands",
    "PlateauRule",
    "PlateauState",
    "Positive",
    "Rate",
    "Rates",
    "Real",
    "Reals",
    "Schedule",
    "ScheduleState",
    "ShapeName",
    "Steps",
    "StepsOrZero",
    "Switch",
    "constant",
    "cosine_decay",
    "cosine_restarts",
    "exponential_decay",
    "is_traced",
    "join",
    "linear",
    "log_decay",
    "mix",
    "multistep_decay",
    "observe",
    "polynomial_decay",
    "progress",
    "reduce_on_plateau",
    "remaining",
    "scale_by_learning_rate",
    "scale_by_schedule",
    "schedule",
    "step_decay",
    "warmup",
]
