"""An unknown argument is named, even where another is missing, with the word that it stands for."""

from typing import Any

import pytest

import optax_sched

os: Any = optax_sched  # no type checker may look at these calls

# A call in the words of another library, the word that is unknown here, and ours.
CALLS = [
    (
        lambda: os.warmup_cosine_decay(3e-3, warmup_steps=11, decay_steps=220),
        "decay_steps",
        "total_steps",
    ),
    (lambda: os.warmup_cosine_decay(num_warmup_steps=11), "num_warmup_steps", "warmup_steps"),
    (lambda: os.warmup_linear_decay(1.0, num_training_steps=9), "num_training_steps", "total_steps"),
    (lambda: os.wsd(1.0, warmup_ratio=0.1), "warmup_ratio", "warmup_steps"),
    (lambda: os.cosine_decay(0.1, T_max=3), "T_max", "decay_steps"),
    (lambda: os.cosine_decay(0.1, 3, eta_min=0.1), "eta_min", "end_value"),
    (lambda: os.cosine_decay(lr=0.1), "lr", "init_value"),
    (lambda: os.cosine_decay(0.1, 3, alpha=0.1), "alpha", "end_value"),
    (lambda: os.step_decay(0.1, step_size=3), "step_size", "decay_steps"),
    (lambda: os.exponential_decay(0.1, 3, gamma=0.9), "gamma", "decay_rate"),
    (lambda: os.multistep_decay(0.1, milestones=[3]), "milestones", "boundaries"),
    (lambda: os.cosine_restarts(0.1, T_0=3), "T_0", "period"),
    (lambda: os.cosine_restarts(0.1, 3, T_mult=2), "T_mult", "period_mult"),
    (lambda: os.one_cycle(max_lr=0.1), "max_lr", "peak_value"),
    (lambda: os.cyclic(base_lr=0.1), "base_lr", "base_value"),
    (lambda: os.clip(0.1, min_lr=0.1), "min_lr", "min_value"),
    (lambda: os.polynomial_decay(0.1, 3, exponent=2), "exponent", "power"),
    (lambda: os.cosine_decay(0.1, decay_stps=3), "decay_stps", "decay_steps"),
    (lambda: os.linear(0.1, 0.0, 3).replace(lr=0.2), "lr", "init_value"),
    (lambda: os.warmup(lr=0.1), "lr", "schedule"),
    (lambda: os.cosine_decay(peak_value=0.1), "peak_value", "init_value"),
    (lambda: os.lr_range_test(lambda *_: None, 0, None, min_lr=3), "min_lr", "min_value"),
    (lambda: os.from_config({"builder": "cosine_decay", "T_max": 3}), "T_max", "decay_steps"),
    (lambda: os.from_source("cosine_decay(0.1, T_max=3)"), "T_max", "decay_steps"),
]


@pytest.mark.parametrize(("call", "theirs", "ours"), CALLS, ids=[f"{row[1]}-{row[2]}" for row in CALLS])
def test_the_peers_word_or_the_nearest_is_translated(call, theirs, ours):
    with pytest.raises(TypeError, match=rf"\b{theirs}\b[^;]*; did you mean {ours}\?; ") as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("peak_value", "schedule.init_value"),
        ("lr", "schedule.init_value"),
        ("end_value", "schedule.end_value"),
        ("total_steps", "schedule.decay_steps"),
        ("num_warmup_steps", None),  # its own
    ],
)
def test_what_belongs_to_an_operand_is_found_there(word, path):
    rate = os.warmup(os.cosine_decay(0.1, 90), 10)
    ours = rf"replace\(\*\*{{'{path}': \.\.\.}}\)" if path else "warmup_steps"
    with pytest.raises(
        TypeError, match=rf"^warmup has no hyperparameter {word}; did you mean {ours}\?; "
    ):
        rate.replace(**{word: 5})
    whole = os.join([0.1, rate], [5])
    with pytest.raises(TypeError, match=r"did you mean replace\(\*\*{'schedules\[1\]\.warmup_steps'"):
        whole.replace(warmup_steps=5)


def test_a_word_that_is_near_to_nothing_gets_no_hint():
    with pytest.raises(TypeError, match=r"^linear: got an unexpected .*'zzz'; it takes \(init_value, "):
        os.linear(zzz=3)
