"""The built-in builders, one file a family."""

from optax_sched._core.arithmetic import add, multiply, power
from optax_sched._core.operands import constant
from optax_sched._core.shapes import k_shape, power_shape
from optax_sched._schedules.by_factors import exponential_decay, multistep_decay, step_decay
from optax_sched._schedules.combine import clip, cooldown, join, maximum, minimum, noisy, select, warmup
from optax_sched._schedules.cyclic import cosine_restarts, cyclic, one_cycle, slanted_triangular
from optax_sched._schedules.decays import (
    cosine_decay,
    cosine_waves,
    exponential,
    k_decay,
    linear,
    log_decay,
    polynomial_decay,
    quarter_cosine_decay,
    rex_decay,
    tanh_decay,
)
from optax_sched._schedules.gradient_descent import chebyshev, silver
from optax_sched._schedules.piecewise import (
    piecewise_constant,
    piecewise_cubic,
    piecewise_interpolate,
    table,
)
from optax_sched._schedules.power_laws import inverse_sqrt_decay, inverse_time_decay, power_law_decay
from optax_sched._schedules.retime import delay, every, repeat, retime, shift, stretch
from optax_sched._schedules.stable_recipes import infinite, knee, tri_stage, wsd, wsd_cycles
from optax_sched._schedules.warmup_recipes import (
    noam,
    warmup_cosine_decay,
    warmup_inverse_sqrt_decay,
    warmup_linear_decay,
)
