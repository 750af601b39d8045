"""Learning-rate schedules for JAX: pure functions of the step that are also data."""

from optax_sched._clock import delay, every, repeat, shift, stretch
from optax_sched._combine import clip, cooldown, join, multiply, noisy, select, warmup
from optax_sched._config import from_config, to_config
from optax_sched._cyclic import cosine_restarts, cyclic, one_cycle, slanted_triangular
from optax_sched._decay import (
    constant,
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
from optax_sched._geometric import exponential, exponential_decay, multistep_decay, step_decay
from optax_sched._hyper import (
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
from optax_sched._kinds import is_traced
from optax_sched._operands import Operand, Operands
from optax_sched._piecewise import piecewise_constant, piecewise_interpolate, table
from optax_sched._plateau import greedy, plateau, reduce_on_plateau
from optax_sched._plot import plot
from optax_sched._power import inverse_sqrt_decay, inverse_time_decay, power_law_decay
from optax_sched._range_test import RangeTest, lr_range_test
from optax_sched._recipes import (
    noam,
    warmup_cosine_decay,
    warmup_inverse_sqrt_decay,
    warmup_linear_decay,
)
from optax_sched._rule import PlateauRule, PlateauState
from optax_sched._schedule import Schedule, schedule
from optax_sched._shapes import mix, progress, remaining
from optax_sched._stable import infinite, knee, tri_stage, wsd, wsd_cycles
from optax_sched._state import (
    PlateauScheduleState,
    ScheduleState,
    current_value,
    observe,
    replace_schedule,
)
from optax_sched._sweep import grid, stack, sweep, unstack
from optax_sched._theory import chebyshev, silver
from optax_sched._transform import scale_by_learning_rate, scale_by_schedule

__version__ = "0.1.0"

__all__ = [
    "Boundaries",
    "Count",
    "CountOrZero",
    "Factor",
    "FactorOrFactors",
    "Fraction",
    "Growth",
    "Key",
    "Negative",
    "Noise",
    "Operand",
    "Operands",
    "PartOfOne",
    "PlateauRule",
    "PlateauScheduleState",
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
    "from_config",
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
    "replace_schedule",
    "rex_decay",
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
