"""The schedules of torch, transformers and timm by their names there, and what they are here.

The code is in their parameters' names, with `lr` for the optimizer's rate; bound to these, and to the
names of `optax_sched`, it evaluates as it stands.
"""

from optax_sched.porting.equivalent import Equivalent
from optax_sched.porting.names_in_jax import OWN_FORMULA

_WARMUP = "num_warmup_steps"
_TOTAL = "num_training_steps"
_PLATEAU = "mode, factor, patience, threshold, threshold_mode, cooldown, min_lr"
_PLATEAU_CODE = (
    "plateau(lr, factor, patience, threshold, threshold_mode, mode, cooldown, min_value=min_lr)"
)
_PREFIX = "with warmup_prefix=True; without it the curve has been running, and the rate jumps after it"
_RISES = "after the end theirs rises again, ours holds"

TORCH = (
    Equivalent(
        "StepLR",
        "step_size, gamma=0.1",
        "step_decay(lr, step_size, gamma)",
    ),
    Equivalent(
        "MultiStepLR",
        "milestones, gamma=0.1",
        "multistep_decay(lr, milestones, gamma)",
        "a milestone given twice is one with gamma squared, in a list of factors",
    ),
    Equivalent(
        "ConstantLR",
        "factor=1/3, total_iters=5",
        "piecewise_constant([lr * factor, lr], [total_iters])",
        "not our constant: the factor is dropped at total_iters",
    ),
    Equivalent(
        "LinearLR",
        "start_factor=1/3, end_factor=1.0, total_iters=5",
        "linear(lr * start_factor, lr * end_factor, total_iters)",
        "their ends are factors of the rate, ours are rates",
    ),
    Equivalent("ExponentialLR", "gamma", "exponential_decay(lr, 1, gamma)"),
    Equivalent(
        "PolynomialLR",
        "total_iters=5, power=1.0",
        "polynomial_decay(lr, total_iters, power=power)",
    ),
    Equivalent("CosineAnnealingLR", "T_max, eta_min=0.0", "cosine_decay(lr, T_max, eta_min)", _RISES),
    Equivalent(
        "CosineAnnealingWarmRestarts",
        "T_0, T_mult=1, eta_min=0.0",
        "cosine_restarts(lr, T_0, eta_min, T_mult)",
        "for T_mult=1 leave it out: the formula is smaller",
    ),
    Equivalent(
        "CyclicLR",
        "base_lr, max_lr, step_size_up=2000, step_size_down=None",
        "cyclic(base_lr, max_lr, step_size_up, step_size_down)",
        "mode='triangular2' is cycle_scale=0.5, 'exp_range' is step_scale=gamma; the momentum is a "
        "second schedule, cyclic(max_momentum, base_momentum, ...)",
    ),
    Equivalent(
        "OneCycleLR",
        "max_lr, total_steps, pct_start=0.3, div_factor=25.0, final_div_factor=1e4, three_phase=False",
        "one_cycle(max_lr, total_steps - 1, (pct_start * total_steps - 1) / (total_steps - 1), "
        "div_factor, final_div_factor, three_phase)",
        "theirs has its peak at pct_start * total_steps - 1 and its end at total_steps - 1; "
        "anneal_strategy='linear' is shape='linear'",
    ),
    Equivalent(
        "SequentialLR",
        "schedulers, milestones",
        "join(schedulers, milestones)",
        "a milestone belongs to the new part in both; a line and a cosine are warmup_cosine_decay",
    ),
    Equivalent(
        "ChainedScheduler",
        "schedulers",
        "multiply(lr, *schedulers)",
        "of factors, each a schedule that begins near 1.0",
    ),
    Equivalent(
        "LambdaLR",
        "lr_lambda",
        "schedule(lambda step, init_value: init_value * lr_lambda(step), name='mine')(lr)",
        "write it with jax.numpy, without if; then it sweeps and differentiates",
    ),
    Equivalent(
        "MultiplicativeLR",
        "lr_lambda",
        "exponential_decay(lr, 1, lr_lambda(1))",
        "for one and the same factor; products of many are a table(values)",
    ),
    Equivalent(
        "ReduceLROnPlateau",
        _PLATEAU,
        _PLATEAU_CODE,
        "patience is the same; a relative threshold is a part of |best| here, which matters below 0",
    ),
    Equivalent(
        "SWALR",
        "swa_lr, anneal_epochs=10",
        "cosine_decay(lr, anneal_epochs, swa_lr)",
        "anneal_strategy='linear' is linear(lr, swa_lr, anneal_epochs)",
    ),
    Equivalent("LRScheduler", "", OWN_FORMULA, "a formula of your own, on a function or a lambda"),
)

TRANSFORMERS = (
    Equivalent("get_constant_schedule", "", "constant(lr)"),
    Equivalent("get_constant_schedule_with_warmup", _WARMUP, "warmup(lr, num_warmup_steps)"),
    Equivalent(
        "get_linear_schedule_with_warmup",
        f"{_WARMUP}, {_TOTAL}",
        "warmup_linear_decay(lr, num_warmup_steps, num_training_steps)",
    ),
    Equivalent(
        "get_cosine_schedule_with_warmup",
        f"{_WARMUP}, {_TOTAL}",
        "warmup_cosine_decay(lr, num_warmup_steps, num_training_steps)",
        f"{_RISES}; with num_cycles: warmup(cosine_waves(lr, num_training_steps - num_warmup_steps, "
        "2 * num_cycles), num_warmup_steps)",
    ),
    Equivalent(
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        f"{_WARMUP}, {_TOTAL}, num_cycles=1",
        "warmup(cosine_restarts(lr, (num_training_steps - num_warmup_steps) / num_cycles, "
        "num_cycles=num_cycles), num_warmup_steps)",
        "ours takes the length of a cycle",
    ),
    Equivalent(
        "get_polynomial_decay_schedule_with_warmup",
        f"{_WARMUP}, {_TOTAL}, lr_end=1e-7, power=1.0",
        "warmup(polynomial_decay(lr, num_training_steps - num_warmup_steps, lr_end, power), "
        "num_warmup_steps)",
        "our decay_steps is the decay's own length",
    ),
    Equivalent(
        "get_inverse_sqrt_schedule",
        f"{_WARMUP}, timescale=None",
        "warmup_inverse_sqrt_decay(lr, num_warmup_steps, timescale=timescale)",
        "without a warm-up and with timescale=None theirs uses 10000; ours needs a timescale",
    ),
    Equivalent(
        "get_cosine_with_min_lr_schedule_with_warmup",
        f"{_WARMUP}, {_TOTAL}, min_lr",
        "warmup_cosine_decay(lr, num_warmup_steps, num_training_steps, end_value=min_lr)",
        f"min_lr_rate is end_value=min_lr_rate * lr; {_RISES}",
    ),
    Equivalent(
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
        f"{_WARMUP}, {_TOTAL}, min_lr_rate",
        "shift(warmup_cosine_decay(lr, num_warmup_steps, num_training_steps, "
        "end_value=min_lr_rate * lr), 1)",
        "theirs counts from 1, so that its first rate is not 0",
    ),
    Equivalent(
        "get_wsd_schedule",
        f"{_WARMUP}, num_decay_steps, {_TOTAL}, min_lr_ratio=0",
        "wsd(lr, num_warmup_steps, num_decay_steps, num_training_steps, min_lr_ratio * lr, "
        "min_lr_ratio * lr, 'cosine')",
        "our shape is 'sqrt' by default, their decay_type='1-sqrt'; a warmup_type is warmup(shape=...)",
    ),
    Equivalent("get_reduce_on_plateau_schedule", _PLATEAU, _PLATEAU_CODE, "it is torch's"),
    Equivalent(
        "get_greedy_schedule",
        "mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, max_lr",
        "greedy(lr, factor, patience, threshold, threshold_mode, mode, cooldown, "
        "min_scale=min_lr / lr, max_scale=max_lr / lr)",
        "without warmup, smooth and reset_start; its bounds are rates, ours scales",
    ),
    Equivalent(
        "GreedyLR",
        "mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, max_lr",
        "greedy(lr, factor, patience, threshold, threshold_mode, mode, cooldown, "
        "min_scale=min_lr / lr, max_scale=max_lr / lr)",
        "without warmup, smooth and reset_start; its bounds are rates, ours scales",
    ),
    Equivalent(
        "get_scheduler",
        f"'linear', optimizer, {_WARMUP}, {_TOTAL}",
        "warmup_linear_decay(lr, num_warmup_steps, num_training_steps)",
        "for the name 'linear'; each other name is a function of this table",
    ),
)

_TIMM_WARMUP = "warmup_t, warmup_lr_init"
TIMM = (
    Equivalent(
        "CosineLRScheduler",
        f"t_initial, lr_min, {_TIMM_WARMUP}",
        "warmup(cosine_decay(lr, t_initial, lr_min), warmup_t, warmup_lr_init)",
        f"{_PREFIX}; cycle_mul, cycle_decay and cycle_limit: cosine_restarts(lr, t_initial, lr_min, "
        "cycle_mul, cycle_decay, cycle_limit)",
    ),
    Equivalent(
        "PolyLRScheduler",
        f"t_initial, power, lr_min, {_TIMM_WARMUP}",
        "warmup(polynomial_decay(lr, t_initial, lr_min, power), warmup_t, warmup_lr_init)",
        f"{_PREFIX}; their power is 0.5 by default; k_decay is k_decay(lr, t_initial, k_decay, "
        "lr_min, 'linear') for power 1",
    ),
    Equivalent(
        "TanhLRScheduler",
        f"t_initial, lb, ub, lr_min, {_TIMM_WARMUP}",
        "warmup(tanh_decay(lr, t_initial, lr_min, lb, ub), warmup_t, warmup_lr_init)",
        f"{_PREFIX}; theirs begins a little below lr",
    ),
    Equivalent(
        "StepLRScheduler",
        f"decay_t, decay_rate, {_TIMM_WARMUP}",
        "warmup(step_decay(lr, decay_t, decay_rate), warmup_t, warmup_lr_init)",
        "with warmup_prefix=True, here the default; decay_rate=1 is warmup(lr, warmup_t)",
    ),
    Equivalent(
        "MultiStepLRScheduler",
        f"decay_t, decay_rate, {_TIMM_WARMUP}",
        "warmup(multistep_decay(lr, [t - 1 for t in decay_t], decay_rate), warmup_t, warmup_lr_init)",
        "theirs comes one step early",
    ),
    Equivalent(
        "WSDLRScheduler",
        f"t_initial, decay_t, lr_min, {_TIMM_WARMUP}",
        "wsd(lr, warmup_t, decay_t, warmup_t + t_initial, warmup_lr_init, lr_min)",
        "their t_initial does not count the warm-up",
    ),
    Equivalent(
        "PlateauLRScheduler",
        "decay_rate, patience_t, threshold, cooldown_t, lr_min, mode",
        "plateau(lr, decay_rate, patience_t, threshold, mode=mode, cooldown=cooldown_t, "
        "min_value=lr_min)",
        "their mode is 'max' by default",
    ),
    Equivalent(
        "create_scheduler_v2",
        "sched='cosine', num_epochs, min_lr, warmup_epochs, warmup_lr, updates_per_epoch",
        "every(warmup(cosine_decay(lr, num_epochs, min_lr), warmup_epochs, warmup_lr), "
        "updates_per_epoch)",
        f"their clock is the epoch, `every` puts it on updates; {_PREFIX}",
    ),
    Equivalent(
        "create_scheduler",
        "args, updates_per_epoch",
        "every(cosine_decay(lr, args.epochs, args.min_lr), updates_per_epoch)",
        "for args.sched 'cosine' without a warm-up: see create_scheduler_v2",
    ),
)
