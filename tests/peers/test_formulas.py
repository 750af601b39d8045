"""The rows of libraries that no test installs, against their formulas in plain Python.

The formulas are written from the libraries' sources: deepspeed/runtime/lr_schedules.py, Megatron's
optimizer_param_scheduler.py, mmengine's param_scheduler.py, pl_bolts' lr_scheduler.py, composer's
scheduler.py, fastai's schedule.py, fairseq's lr_scheduler, Paddle's lr.py.
Each gives the rate of update t.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_equivalents import INSTALLED, LR, ours

from optax_sched._core.peer_words import SAID, peers

Formula = Callable[..., float]


def wave(progress: float, low: float, high: float) -> float:
    return low + (high - low) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


def deepspeed_warm(count: int, low: float, high: float, steps: int) -> float:
    return low + (high - low) * min(count / steps, 1.0)


def deepspeed_decay(t: int) -> float:
    count = max(t - 1, 0)  # the constructor and the first step both give the first rate
    if count < 10:
        return deepspeed_warm(count, 0.01, LR, 10)
    return 0.01 + (LR - 0.01) * max(0.0, (50 - count) / 40)


def deepspeed_cosine(t: int) -> float:
    if t == 0:
        return 0.0
    count = t - 1
    if count < 10:
        return LR * (0.1 + 0.9 * count / 10)
    return LR * wave((count - 10 + 1) / 40, 0.05, 1.0)


def triangle(t: int) -> float:
    return 0.01 + 0.09 * (t / 20 if t <= 20 else max(0.0, 1 - (t - 20) / 15))


def megatron(t: int) -> float:
    if t <= 10:
        return 0.01 + (LR - 0.01) * t / 10
    return wave((t - 10) / 40, 0.02, LR)


def lightning(t: int) -> float:
    if t < 10:
        return 0.01 + t * (LR - 0.01) / 9
    return wave((t - 10) / 40, 0.02, LR)


def warm(t: int, after: float, low: float = 0.0) -> float:
    return low + t * (LR - low) / 10 if t < 10 else after


def restarts(t: int, length: int, growth: int, low: float, cycles: int = 99) -> float:
    for _ in range(cycles):
        if t < length:
            return wave(t / length, low, LR)
        t, length = t - length, length * growth
    return low


def tri(t: int) -> float:
    if t < 10:
        return LR * (0.01 + 0.99 * t / 10)
    return LR * math.exp(math.log(0.05) * min(max(t - 15, 0) / 20, 1.0))


def one_cycle(t: int) -> float:
    p = t / 59
    if p < 0.25:
        return LR / 25 + (LR - LR / 25) * half(p / 0.25)
    return LR + (LR / 1e5 - LR) * half((p - 0.25) / 0.75)


def half(p: float) -> float:
    return (1 - math.cos(math.pi * min(p, 1.0))) / 2


def noam(t: int) -> float:
    return 0.0 if t == 0 else 2.0 * 64**-0.5 * min(t**-0.5, t * 10**-1.5)


WARMUP = {"warmup_num_steps": 10, "warmup_min_lr": 0.01, "warmup_max_lr": LR, "warmup_type": "linear"}
POLYNOMIAL = {"learning_rate": LR, "decay_steps": 50, "end_lr": 0.01, "power": 2.0}
WAVE = {"t_warmup": 10, "t_max": 50, "alpha_f": 0.1}

# The settings of a row, and the rate at update t.
FORMULAS: dict[tuple[str, str], tuple[dict[str, Any], Formula]] = {
    ("DeepSpeed", "WarmupLR"): (WARMUP, lambda t: deepspeed_warm(max(t - 1, 0), 0.01, LR, 10)),
    ("DeepSpeed", "WarmupDecayLR"): ({**WARMUP, "total_num_steps": 50}, deepspeed_decay),
    ("DeepSpeed", "WarmupCosineLR"): (
        {
            "total_num_steps": 50,
            "warmup_num_steps": 10,
            "warmup_min_ratio": 0.1,
            "cos_min_ratio": 0.05,
        },
        deepspeed_cosine,
    ),
    ("DeepSpeed", "OneCycle"): (
        {
            "cycle_min_lr": 0.01,
            "cycle_max_lr": 0.1,
            "cycle_first_step_size": 20,
            "cycle_second_step_size": 15,
        },
        triangle,
    ),
    ("DeepSpeed", "LRRangeTest"): (
        {
            "lr_range_test_min_lr": 0.001,
            "lr_range_test_step_size": 20,
            "lr_range_test_step_rate": 2.0,
            "num_steps": 60,
        },
        lambda t: 0.001 * (1 + 2.0 * t / 20),
    ),
    ("Megatron", "OptimizerParamScheduler"): (
        {
            "init_lr": 0.01,
            "max_lr": LR,
            "min_lr": 0.02,
            "lr_warmup_steps": 10,
            "lr_decay_steps": 50,
        },
        megatron,
    ),
    ("mmengine", "LinearLR"): (
        {"start_factor": 0.2, "end_factor": 0.8, "end": 40},
        lambda t: LR * (0.2 + 0.6 * min(t / 39, 1.0)),
    ),
    ("mmengine", "ConstantLR"): ({"factor": 0.5, "end": 20}, lambda t: LR * (0.5 if t < 19 else 1.0)),
    ("mmengine", "PolyLR"): (
        {"power": 2.0, "eta_min": 0.01, "end": 40},
        lambda t: 0.01 + (LR - 0.01) * (1 - min(t / 39, 1.0)) ** 2,
    ),
    ("Lightning", "LinearWarmupCosineAnnealingLR"): (
        {"warmup_epochs": 10, "max_epochs": 50, "warmup_start_lr": 0.01, "eta_min": 0.02},
        lightning,
    ),
    ("composer", "ConstantScheduler"): (
        {"alpha": 0.5, "t_max": 20},
        lambda t: LR * (0.5 if t < 20 else 1.0),
    ),
    ("composer", "LinearScheduler"): (
        {"alpha_i": 0.9, "alpha_f": 0.1, "t_max": 40},
        lambda t: LR * (0.9 - 0.8 * min(t / 40, 1.0)),
    ),
    ("composer", "LinearWithWarmupScheduler"): (
        WAVE,
        lambda t: warm(t, LR * (1 - 0.9 * min((t - 10) / 40, 1.0))),
    ),
    ("composer", "StepScheduler"): ({"step_size": 20, "gamma": 0.5}, lambda t: LR * 0.5 ** (t // 20)),
    ("composer", "MultiStepScheduler"): (
        {"milestones": [10, 30], "gamma": 0.5},
        lambda t: LR * 0.5 ** ((t >= 10) + (t >= 30)),
    ),
    ("composer", "ExponentialScheduler"): (
        {"gamma": 0.5, "decay_period": 20},
        lambda t: LR * 0.5 ** (t / 20),
    ),
    ("composer", "PolynomialScheduler"): (
        {"power": 2.0, "t_max": 59, "alpha_f": 0.1},
        lambda t: LR * (0.1 + 0.9 * (1 - t / 59) ** 2),
    ),
    ("composer", "CosineAnnealingScheduler"): (WAVE, lambda t: wave(t / 50, 0.1 * LR, LR)),
    ("composer", "CosineAnnealingWithWarmupScheduler"): (
        WAVE,
        lambda t: warm(t, wave((t - 10) / 40, 0.1 * LR, LR)),
    ),
    ("composer", "CosineAnnealingWarmRestartsScheduler"): (
        {"t_0": 10, "t_mult": 2, "alpha_f": 0.1},
        lambda t: restarts(t, 10, 2, 0.1 * LR),
    ),
    ("fairseq", "InverseSquareRootSchedule"): (
        {"warmup_updates": 10, "warmup_init_lr": 0.01},
        lambda t: warm(t, LR * math.sqrt(10) / math.sqrt(max(t, 1)), 0.01),
    ),
    ("fairseq", "PolynomialDecayLRSchedule"): (
        {"warmup_updates": 10, "total_num_update": 50, "end_learning_rate": 0.01, "power": 2.0},
        lambda t: warm(t, 0.01 + (LR - 0.01) * (1 - min((t - 10) / 40, 1.0)) ** 2),
    ),
    ("fairseq", "CosineLRSchedule"): (
        {"warmup_updates": 10, "max_update": 60, "warmup_init_lr": 0.01, "min_lr": 0.02},
        lambda t: warm(t, wave((t - 10) / 50, 0.02, LR), 0.01),
    ),
    ("fairseq", "TriStageLRSchedule"): (
        {
            "warmup_steps": 10,
            "hold_steps": 5,
            "decay_steps": 20,
            "init_lr_scale": 0.01,
            "final_lr_scale": 0.05,
        },
        tri,
    ),
    ("fastai", "fit_one_cycle"): (
        {"lr_max": LR, "num_steps": 59, "div": 25.0, "div_final": 1e5, "pct_start": 0.25},
        one_cycle,
    ),
    ("fastai", "fit_flat_cos"): (
        {"num_steps": 60, "div_final": 1e5, "pct_start": 0.75},
        lambda t: LR + (LR / 1e5 - LR) * half(max(t / 60 - 0.75, 0.0) / 0.25),
    ),
    ("fastai", "fit_sgdr"): (
        {"lr_max": LR, "n_cycles": 3, "cycle_len": 10, "cycle_mult": 2},
        lambda t: restarts(t, 10, 2, 0.0, 3),
    ),
    ("Paddle", "NoamDecay"): ({"d_model": 64, "warmup_steps": 10, "learning_rate": 2.0}, noam),
    ("Paddle", "PiecewiseDecay"): (
        {"boundaries": [10, 30], "values": [0.1, 0.05, 0.01]},
        lambda t: 0.1 if t < 10 else 0.05 if t < 30 else 0.01,
    ),
    ("Paddle", "NaturalExpDecay"): (
        {"learning_rate": LR, "gamma": 0.05},
        lambda t: LR * math.exp(-0.05 * t),
    ),
    ("Paddle", "InverseTimeDecay"): (
        {"learning_rate": LR, "gamma": 0.05},
        lambda t: LR / (1 + 0.05 * t),
    ),
    ("Paddle", "ExponentialDecay"): ({"learning_rate": LR, "gamma": 0.9}, lambda t: LR * 0.9**t),
    ("Paddle", "StepDecay"): (
        {"learning_rate": LR, "step_size": 20, "gamma": 0.5},
        lambda t: LR * 0.5 ** (t // 20),
    ),
    ("Paddle", "MultiStepDecay"): (
        {"learning_rate": LR, "milestones": [10, 30], "gamma": 0.5},
        lambda t: LR * 0.5 ** ((t >= 10) + (t >= 30)),
    ),
    ("Paddle", "PolynomialDecay"): (
        POLYNOMIAL,
        lambda t: 0.01 + (LR - 0.01) * (1 - min(t / 50, 1.0)) ** 2,
    ),
    ("Paddle", "CosineAnnealingDecay"): (
        {"learning_rate": LR, "T_max": 59, "eta_min": 0.01},
        lambda t: wave(t / 59, 0.01, LR),
    ),
    ("Paddle", "LinearWarmup"): (
        {"learning_rate": 0.08, "warmup_steps": 10, "start_lr": 0.01, "end_lr": 0.1},
        lambda t: 0.01 + 0.09 * t / 10 if t < 10 else 0.08,
    ),
}
ROWS = [
    (peer, it) for peer, rows in peers().rows.items() for it in rows if peer not in (SAID, *INSTALLED)
]


@pytest.mark.parametrize(("peer", "it"), ROWS, ids=[f"{peer}-{it.name}" for peer, it in ROWS])
def test_the_code_gives_what_the_formula_gives(peer, it):
    settings, formula = FORMULAS[peer, it.name]
    settings = {"lr": LR} | settings
    given = {part.split("=")[0].strip() for part in it.takes.split(",")} | {"lr"}
    assert settings.keys() <= given | {"alpha_i", "t_warmup", "warmup_type"}
    got = ours(it, settings)(np.arange(60))
    np.testing.assert_allclose(got, [formula(t) for t in range(60)], rtol=1e-5, atol=1e-9)


def test_every_row_has_its_formula():
    assert {(peer, it.name) for peer, it in ROWS} == FORMULAS.keys()
