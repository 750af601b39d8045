"""How public functions are called, as `help` and the reference must show it."""

SIGNATURES = {
    "constant": "(value: Real) -> Schedule",
    "cosine_decay": "(init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0, "
    "exponent: Positive = 1.0) -> Schedule",
    "cosine_restarts": "(init_value: Rate, period: Steps, end_value: Rate = 0.0, "
    "period_mult: Growth | None = None, peak_mult: Positive = 1.0, num_cycles: Count | None = None) "
    "-> Schedule",
    "multistep_decay": "(init_value: Rate, boundaries: Boundaries, decay_rate: FactorOrFactors) "
    "-> Schedule",
    "join": "(schedules: Operands, boundaries: Boundaries) -> Schedule",
    "multiply": "(*schedules: Operands) -> Schedule",
    "warmup": "(schedule: Operand, warmup_steps: StepsOrZero, init_value: Rate = 0.0, "
    "shape: ShapeName = 'linear') -> Schedule",
    "noisy": "(schedule: Operand, key: Key, scale: Rate, start: StepsOrZero = 0, "
    "end: Steps | None = None, kind: Noise = 'normal') -> Schedule",
    "plateau": "(schedule: Operand, factor: Cut = 0.1, patience: CountOrZero = 10, "
    "threshold: Rate = 0.0001, threshold_mode: ThresholdMode = 'rel', mode: Mode = 'min', "
    "cooldown: CountOrZero = 0, window: Count = 1, start: CountOrZero = 0, *, min_value: Rate = 0.0, "
    "observe_only: Switch = False) -> ClosedLoop",
}
