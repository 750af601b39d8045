"""The schedules of optax and keras by their names there, and what they are here.

The code is in their parameters' names, with `lr` for the optimizer's rate; bound to these, and to the
names of `optax_sched`, it evaluates as it stands.
"""

from optax_sched.porting.equivalent import Equivalent

OWN_FORMULA = (
    'schedule(lambda step, init_value: init_value * 0.5 ** (step // 1000), name="halving")(lr)'
)

OPTAX = (
    Equivalent("constant_schedule", "value", "constant(value)"),
    Equivalent(
        "linear_schedule",
        "init_value, end_value, transition_steps, transition_begin=0",
        "delay(linear(init_value, end_value, transition_steps), transition_begin)",
        "delay is for a transition_begin above 0",
    ),
    Equivalent(
        "polynomial_schedule",
        "init_value, end_value, power, transition_steps, transition_begin=0",
        "delay(polynomial_decay(init_value, transition_steps, end_value, power), transition_begin)",
        "delay is for a transition_begin above 0",
    ),
    Equivalent(
        "exponential_decay",
        "init_value, transition_steps, decay_rate, end_value",
        "exponential_decay(init_value, transition_steps, decay_rate, end_value)",
        "staircase=True is step_decay; transition_begin is delay",
    ),
    Equivalent(
        "cosine_decay_schedule",
        "init_value, decay_steps, alpha=0.0, exponent=1.0",
        "cosine_decay(init_value, decay_steps, alpha * init_value, exponent)",
        "alpha is a part of init_value, end_value a rate; with an exponent above 1 alpha is outside it",
    ),
    Equivalent(
        "piecewise_constant_schedule",
        "init_value, boundaries_and_scales",
        "multistep_decay(init_value, sorted(boundaries_and_scales), "
        "[scale for _, scale in sorted(boundaries_and_scales.items())])",
        "scales above 1 need piecewise_constant, which takes the values themselves",
    ),
    Equivalent(
        "piecewise_interpolate_schedule",
        "interpolate_type, init_value, boundaries_and_scales",
        "piecewise_interpolate([multistep_decay(init_value, list(boundaries_and_scales), "
        "list(boundaries_and_scales.values()))(step) for step in [0, *boundaries_and_scales]], "
        "list(boundaries_and_scales), interpolate_type)",
        "ours takes the values at 0 and at the boundaries, theirs the ratios between them",
    ),
    Equivalent(
        "linear_onecycle_schedule",
        "transition_steps, peak_value, pct_start=0.3, pct_final=0.85, div_factor=25.0, "
        "final_div_factor=1e4",
        "piecewise_interpolate([peak_value / div_factor, peak_value, peak_value / div_factor, "
        "peak_value / (div_factor * final_div_factor)], [int(pct_start * transition_steps), "
        "int(pct_final * transition_steps), transition_steps])",
        "one_cycle(peak_value, total_steps, three_phase=True, shape='linear') turns at twice pct_start",
    ),
    Equivalent(
        "cosine_onecycle_schedule",
        "transition_steps, peak_value, pct_start=0.3, div_factor=25.0, final_div_factor=1e4",
        "one_cycle(peak_value, transition_steps, int(pct_start * transition_steps) / transition_steps, "
        "div_factor, final_div_factor)",
        "theirs truncates the peak to a whole step, one_cycle(peak_value, total_steps) does not",
    ),
    Equivalent(
        "warmup_constant_schedule",
        "init_value, peak_value, warmup_steps",
        "warmup(peak_value, warmup_steps, init_value)",
        "with warmup_steps=0 ours is the peak, theirs stays at init_value",
    ),
    Equivalent(
        "warmup_cosine_decay_schedule",
        "init_value, peak_value, warmup_steps, decay_steps, end_value=0.0",
        "warmup_cosine_decay(peak_value, warmup_steps, decay_steps, init_value, end_value)",
        "their decay_steps counts the warm-up too: it is our total_steps",
    ),
    Equivalent(
        "warmup_exponential_decay_schedule",
        "init_value, peak_value, warmup_steps, transition_steps, decay_rate, transition_begin=0, "
        "end_value=0.0",
        "warmup(delay(exponential_decay(peak_value, transition_steps, decay_rate, end_value), "
        "transition_begin), warmup_steps, init_value)",
        "staircase=True is step_decay",
    ),
    Equivalent(
        "join_schedules",
        "schedules, boundaries",
        "join(schedules, boundaries)",
        "ours checks that there is one boundary less than there are schedules",
    ),
    Equivalent(
        "sgdr_schedule",
        "cosine_kwargs",
        "join([warmup_cosine_decay(it['peak_value'], it['warmup_steps'], it['decay_steps'], "
        "it['init_value'], it.get('end_value', 0.0)) for it in cosine_kwargs], "
        "[sum(it['decay_steps'] for it in cosine_kwargs[:i]) for i in range(1, len(cosine_kwargs))])",
        "equal cycles: repeat(warmup_cosine_decay(...), period)",
    ),
)

_KERAS = "initial_learning_rate, decay_steps"
KERAS = (
    Equivalent(
        "ExponentialDecay",
        f"{_KERAS}, decay_rate",
        "exponential_decay(initial_learning_rate, decay_steps, decay_rate)",
        "staircase=True is step_decay(initial_learning_rate, decay_steps, decay_rate)",
    ),
    Equivalent(
        "PiecewiseConstantDecay",
        "boundaries, values",
        "piecewise_constant(values, [boundary + 1 for boundary in boundaries])",
        "their boundary belongs to the old piece",
    ),
    Equivalent(
        "PolynomialDecay",
        f"{_KERAS}, end_learning_rate=0.0001, power=1.0",
        "polynomial_decay(initial_learning_rate, decay_steps, end_learning_rate, power)",
        "their end is 1e-4 by default, ours 0; cycle=True is a composition, below",
    ),
    Equivalent(
        "InverseTimeDecay",
        f"{_KERAS}, decay_rate",
        "inverse_time_decay(initial_learning_rate, decay_steps, decay_rate)",
        "staircase=True is every(inverse_time_decay(initial_learning_rate, 1, decay_rate), "
        "decay_steps)",
    ),
    Equivalent(
        "CosineDecay",
        f"{_KERAS}, alpha=0.0",
        "cosine_decay(initial_learning_rate, decay_steps, alpha * initial_learning_rate)",
        "with warmup_target: warmup_cosine_decay(warmup_target, warmup_steps, warmup_steps + "
        "decay_steps, initial_learning_rate, alpha * warmup_target)",
    ),
    Equivalent(
        "CosineDecayRestarts",
        "initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0",
        "cosine_restarts(initial_learning_rate, first_decay_steps, alpha * initial_learning_rate, "
        "t_mul, m_mul)",
        "their cycles grow by default, and m_mul leaves the floor alone: where both are used, a sum",
    ),
    Equivalent(
        "LearningRateSchedule", "", OWN_FORMULA, "a formula of your own, on a function or a lambda"
    ),
    Equivalent(
        "LearningRateScheduler",
        "schedule, steps_per_epoch",
        "every(schedule, steps_per_epoch)",
        "a callback there: a function of the epoch",
    ),
    Equivalent("serialize", "learning_rate_schedule", "to_config(learning_rate_schedule)"),
    Equivalent("deserialize", "config", "from_config(config)", "the keys are ours"),
)
KERAS_CALLBACK = Equivalent(
    "ReduceLROnPlateau",
    "factor, patience, mode, min_delta, cooldown, min_lr",
    "plateau(lr, factor, max(patience - 1, 0), min_delta, 'abs', mode, max(cooldown - 1, 0), "
    "min_value=min_lr)",
    "a callback there: its patience and cooldown count one more, its threshold is absolute",
)
