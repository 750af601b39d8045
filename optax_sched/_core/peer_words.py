"""What other libraries call a hyperparameter, for the error about an unknown name."""

import difflib
from collections.abc import Iterable

# Our words for one of theirs, the likeliest first: the hint is the first that the builder takes.
# A schedule of a schedule gets its values from there.
_HEIGHT = ("schedule", "init_value", "peak_value", "base_value", "value", "scale")
_DECAY = ("decay_steps", "transition_steps", "total_steps", "period", "cooldown_steps", "timescale")
_TOTAL = ("total_steps", "decay_steps", "transition_steps", "num_cycles")
_WARMUP = ("warmup_steps", "steps_up")
_FLOOR = ("end_value", "min_value", "base_value")
_RATE = ("decay_rate", "step_scale", "factor", "value_mult", "peak_mult")

PEER_WORDS: dict[str, tuple[str, ...]] = {
    # values
    **dict.fromkeys(("lr", "initial_lr", "learning_rate", "lr_max", "rate"), _HEIGHT),
    **dict.fromkeys(("initial_learning_rate", "start_lr"), _HEIGHT),
    **dict.fromkeys(("base_lr", "base_learning_rate"), ("base_value", *_HEIGHT)),
    **dict.fromkeys(("max_lr", "peak_lr", "lr_peak", "peak_learning_rate"), ("peak_value", *_HEIGHT)),
    "peak_value": _HEIGHT,
    **dict.fromkeys(("eta_max", "maximal_learning_rate", "warmup_target"), ("peak_value", *_HEIGHT)),
    **dict.fromkeys(
        ("warmup_init_lr", "warmup_lr_init", "warmup_init", "start_value", "start_factor"),
        ("init_value",),
    ),
    **dict.fromkeys(("eta_min", "min_lr", "lr_min", "lr_end", "final_lr", "end_lr"), _FLOOR),
    **dict.fromkeys(("end_learning_rate", "min_learning_rate", "final_value", "alpha"), _FLOOR),
    **dict.fromkeys(("alpha_f", "min_lr_ratio", "min_lr_rate", "cooldown_value", "end_factor"), _FLOOR),
    # lengths
    **dict.fromkeys(("num_warmup_steps", "warmup_ratio", "warmup_t", "warmup_epochs"), _WARMUP),
    **dict.fromkeys(("warmup", "warmup_updates", "warmup_iters", "warmup_fraction"), _WARMUP),
    **dict.fromkeys(("num_training_steps", "max_steps", "max_iters", "num_steps", "t_initial"), _TOTAL),
    **dict.fromkeys(("total_iters", "training_steps", "train_steps", "total_num_update"), _TOTAL),
    **dict.fromkeys(("T_max", "step_size", "decay_t", "decay_iters", "max_decay_steps"), _DECAY),
    **dict.fromkeys(("first_decay_steps", "T_0", "cycle_length"), ("period", *_DECAY)),
    **dict.fromkeys(("num_decay_steps", "annealing_steps", "anneal_steps"), _DECAY),
    **dict.fromkeys(
        ("num_stable_steps", "stable_steps"), ("hold_steps", "explore_steps", "total_steps")
    ),
    "decay_steps": ("total_steps", "transition_steps", "cooldown_steps", "period", "timescale"),
    "transition_steps": ("decay_steps", "total_steps", "period"),
    "total_steps": ("decay_steps", "transition_steps"),
    "transition_begin": ("steps", "start"),
    "step_size_up": ("steps_up",),
    "step_size_down": ("steps_down",),
    "steps_per_epoch": ("interval", *_TOTAL),
    # steps at which something changes
    **dict.fromkeys(("milestones", "boundaries_and_scales", "decay_milestones"), ("boundaries",)),
    # factors, powers and counts
    **dict.fromkeys(("gamma", "decay_factor", "lr_decay", "transition_rate"), _RATE),
    **dict.fromkeys(("T_mult", "t_mul", "cycle_mul"), ("period_mult",)),
    **dict.fromkeys(("m_mul", "cycle_decay"), ("peak_mult", "value_mult", "cycle_scale")),
    **dict.fromkeys(("power", "k"), ("exponent", "power", "k")),
    **dict.fromkeys(("cycles", "cycle_limit"), ("num_cycles", "half_waves")),
    "num_cycles": ("half_waves",),
    "exponent": ("power", "k"),
    "anneal_strategy": ("shape",),
    **dict.fromkeys(("decay_type", "cooldown_type", "warmup_type"), ("shape",)),
    "schedulers": ("schedules",),
    "scheduler": ("schedule",),
    "lr_lambda": ("schedule",),
}


def translated(word: str, names: Iterable[str]) -> str | None:
    """Which of the names is another library's word, or None."""
    names = set(names)
    return next((name for name in PEER_WORDS.get(word, ()) if name in names), None)


def meant_by(word: str, names: Iterable[str]) -> str:
    """A hint which of the names an unknown word stands for: "; " and a question, or nothing."""
    names = list(names)
    known = translated(word, names)
    near = [known] if known else difflib.get_close_matches(word[:100], names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
