"""Learning-rate schedules for JAX: pure functions of the step that are also data."""

from optax_sched._core.domains import is_traced
from optax_sched._core.hyperparameters import (
    Boundaries,
    Count,
    CountOrZero,
    Factor,
    FactorOrFactors,
    Fraction,
    Growth,
    Key,
    Negative,
    Noise,
    PartOfOne,
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
from optax_sched._core.operands import Operand, Operands, constant
from optax_sched._core.schedule import Schedule, schedule
from optax_sched._files.config import from_config, to_config
from optax_sched._files.source import from_source
from optax_sched._math.phases import mix, progress, remaining
from optax_sched._optax.feedback import ClosedLoop, LiveSchedule, feedback
from optax_sched._optax.observing import observe, replace_plateau
from optax_sched._optax.plateau import greedy, plateau, reduce_on_plateau
from optax_sched._optax.plateau_rule import PlateauState
from optax_sched._optax.reading import current_value
from optax_sched._optax.replacing import replace_schedule
from optax_sched._optax.state import FeedbackState, ScheduleState
from optax_sched._optax.transform import (
    live,
    scale_by_feedback,
    scale_by_learning_rate,
    scale_by_schedule,
)
from optax_sched._runs.range_test import RangeTest, lr_range_test
from optax_sched._runs.sweep import sweep
from optax_sched._schedules.batches import grid, stack, unstack
from optax_sched._schedules.by_factors import (
    exponential,
    exponential_decay,
    multistep_decay,
    step_decay,
)
from optax_sched._schedules.combine import clip, cooldown, join, multiply, noisy, select, warmup
from optax_sched._schedules.cyclic import cosine_restarts, cyclic, one_cycle, slanted_triangular
from optax_sched._schedules.decays import (
    cosine_decay,
    cosine_waves,
    k_decay,
    linear,
    log_decay,
    polynomial_decay,
    quarter_cosine_decay,
    rex_decay,
    tanh_decay,
)
from optax_sched._schedules.gradient_descent import chebyshev, silver
from optax_sched._schedules.piecewise import piecewise_constant, piecewise_interpolate, table
from optax_sched._schedules.power_laws import inverse_sqrt_decay, inverse_time_decay, power_law_decay
from optax_sched._schedules.retime import delay, every, repeat, shift, stretch
from optax_sched._schedules.stable_recipes import infinite, knee, tri_stage, wsd, wsd_cycles
from optax_sched._schedules.warmup_recipes import (
    noam,
    warmup_cosine_decay,
    warmup_inverse_sqrt_decay,
    warmup_linear_decay,
)
from optax_sched._view.plot import plot

__version__ = "0.1.0"

__all__ = [
    "Boundaries",
    "ClosedLoop",
    "Count",
    "CountOrZero",
    "Factor",
    "FactorOrFactors",
    "FeedbackState",
    "Fraction",
    "Growth",
    "Key",
    "LiveSchedule",
    "Negative",
    "Noise",
    "Operand",
    "Operands",
    "PartOfOne",
    "PlateauState",
    "Positive",
    "RangeTest",
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
    "chebyshev",
    "clip",
    "constant",
    "cooldown",
    "cosine_decay",
    "cosine_restarts",
    "cosine_waves",
    "current_value",
    "cyclic",
    "delay",
    "every",
    "exponential",
    "exponential_decay",
    "feedback",
    "from_config",
    "from_source",
    "greedy",
    "grid",
    "infinite",
    "inverse_sqrt_decay",
    "inverse_time_decay",
    "is_traced",
    "join",
    "k_decay",
    "knee",
    "linear",
    "live",
    "log_decay",
    "lr_range_test",
    "mix",
    "multiply",
    "multistep_decay",
    "noam",
    "noisy",
    "observe",
    "one_cycle",
    "piecewise_constant",
    "piecewise_interpolate",
    "plateau",
    "plot",
    "polynomial_decay",
    "power_law_decay",
    "progress",
    "quarter_cosine_decay",
    "reduce_on_plateau",
    "remaining",
    "repeat",
    "replace_plateau",
    "replace_schedule",
    "rex_decay",
    "scale_by_feedback",
    "scale_by_learning_rate",
    "scale_by_schedule",
    "schedule",
    "select",
    "shift",
    "silver",
    "slanted_triangular",
    "stack",
    "step_decay",
    "stretch",
    "sweep",
    "table",
    "tanh_decay",
    "to_config",
    "tri_stage",
    "unstack",
    "warmup",
    "warmup_cosine_decay",
    "warmup_inverse_sqrt_decay",
    "warmup_linear_decay",
    "wsd",
    "wsd_cycles",
]

for _name in __all__:  # pickles, help and the reference name no private file
    if getattr(globals()[_name], "__module__", "").startswith("optax_sched._"):
        globals()[_name].__module__ = __name__
