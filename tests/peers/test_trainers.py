"""Formulas that trainers write by hand around a curve, each beside a line of arithmetic here.

The formulas are in the words of their code bases, in plain Python floats; none of these is imported.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import optax_sched as os
from optax_sched import (
    clip,
    cosine_decay,
    cosine_restarts,
    delay,
    every,
    inverse_time_decay,
    join,
    linear,
    minimum,
    multiply,
    piecewise_constant,
    polynomial_decay,
    power_law_decay,
    repeat,
    shift,
    warmup,
    wsd,
)

W, T, D = 100, 1000, 250  # warm-up, total, last decay
BATCH = piecewise_constant([256, 512, 1024], [200, 500])
RATE = warmup(cosine_decay(0.3, T - W, 0.03), W)


def cosine(t: float, steps: int) -> float:
    return (1 + math.cos(math.pi * min(t, steps) / steps)) / 2


def rate(t: int) -> float:
    return 0.3 * t / W if t < W else 0.03 + 0.27 * cosine(t - W, T - W)


def restarts(t: int, first: int, t_mul: int, m_mul: float) -> float:
    """SGDR, with cycles that grow and peaks that shrink."""
    height = 1.0
    while t >= first:
        t, first, height = t - first, first * t_mul, height * m_mul
    return height * cosine(t, first)


def cycled(t: int, power: float) -> float:
    """keras' PolynomialDecay(cycle=True): each cycle decays over a longer time, from a lower start."""
    steps = 200 * max(1, math.ceil(t / 200))
    return 0.01 + 0.09 * (1 - t / steps) ** power


HAND_WRITTEN: dict[str, tuple[Callable[[int], float], Any]] = {
    "axlearn: Adafactor's second moment": (
        lambda t: 1 - max(t, 1) ** -0.8,
        1 - power_law_decay(1.0, 1.0, -0.8),
    ),
    "axlearn: EMA t / (1 + t), then its decay": (
        lambda t: t / (1 + t) if t < W else 0.999,
        join([1 - inverse_time_decay(1.0, 1, 1.0), 0.999], [W]),
    ),
    "tensorflow: EMA (1 + t) / (10 + t)": (
        lambda t: min(0.999, (1 + t) / (10 + t)),
        minimum(0.999, 1 - inverse_time_decay(0.9, 10, 1.0)),
    ),
    "diffusers: EMA with a power": (
        lambda t: min(max(1 - (1 + t / 3) ** (-2 / 3), 0.1), 0.9),
        clip(1 - inverse_time_decay(1.0, 3, 1.0) ** (2 / 3), 0.1, 0.9),
    ),
    "deepmd-kit: a loss weight tied to the rate": (
        lambda t: 1.0 + (1000 - 1.0) * (0.03 + 0.27 * cosine(t, T)) / 0.3,
        1.0 + (1000 - 1.0) * cosine_decay(0.3, T, 0.03) / cosine_decay(0.3, T, 0.03)(0),
    ),
    "EasyLM: PaLM's weight decay": (
        lambda t: (0.01 / math.sqrt(max(t, W))) ** 2 / 1e-4,
        power_law_decay(0.01 / W**0.5, 0.01, -0.5) ** 2 / 1e-4,
    ),
    "scenic, keras: restarts with alpha outside": (
        lambda t: 0.1 * ((1 - 0.2) * restarts(t, 90, 2, 0.7) + 0.2),
        0.1 * (0.8 * cosine_restarts(1.0, 90, period_mult=2, peak_mult=0.7) + 0.2),
    ),
    "keras: a polynomial that cycles, above 0": (
        lambda t: cycled(t, 1.0),
        0.01
        + join(
            [
                0.09,
                multiply(
                    repeat(shift(polynomial_decay(0.09, 200), 1), 200),
                    every(shift(power_law_decay(1.0, 1.0, -1.0), 1), 200),
                ),
            ],
            [1],
        ),
    ),
    "timm: WSD above lr_min": (
        lambda t: 0.01 + 0.09 * min(t / W, 1, max(T - t, 0) / D),
        0.01 + 0.09 * wsd(1.0, W, D, T, shape="linear"),
    ),
    "t5x: constant * linear_warmup * rsqrt_decay": (
        lambda t: 0.5 * min(1, t / W) / math.sqrt(max(t, W)),
        0.5 * linear(0.0, 1.0, W) * power_law_decay(W**-0.5, 1.0, -0.5),
    ),
    "big_vision: decay * warm-up * cooldown": (
        lambda t: cosine(t, T) * min(1, t / W) * min(1, max(T - t, 0) / D),
        cosine_decay(1.0, T) * linear(0.0, 1.0, W) * delay(linear(1.0, 0.0, D), T - D),
    ),
    "fairseq: a rise or a decay, whichever is less": (
        lambda t: 2.0 * min((t + 1) * W**-1.5, (t + 1) ** -0.5),
        2.0 * shift(minimum(linear(0.0, T, T) * W**-1.5, power_law_decay(1.0, 1.0, -0.5)), 1),
    ),
    "FermiNet: (1 / (1 + t / delay)) ^ decay": (
        lambda t: 0.05 * (1 / (1 + t / 10_000)) ** 1.5,
        0.05 * inverse_time_decay(1.0, 10_000, 1.0) ** 1.5,
    ),
    "OLMo-core: the rate with the root of the batch": (
        lambda t: rate(t) * math.sqrt((256 if t < 200 else 512 if t < 500 else 1024) / 256),
        RATE * (BATCH / 256) ** 0.5,
    ),
    "praxis: the step freezes at decay_end": (
        lambda t: 0.1 / math.sqrt(max(min(t, 400), W)),
        os.retime(power_law_decay(0.1 / W**0.5, 0.1, -0.5), linear(0.0, 400.0, 400)),
    ),
    "AdamC: weight decay in proportion to the rate": (lambda t: 0.1 * rate(t) / 0.3, 0.1 * RATE / 0.3),
    "two data sets whose shares add up": (lambda t: 1 - 0.8 * rate(t), 1 - 0.8 * RATE),
    "dopamine: exploration over environment steps": (
        lambda t: 1 - (1 - 0.01) * min(max(4 * t - 400, 0) / 2000, 1),
        os.stretch(delay(1 - linear(0.0, 0.99, 2000), 400), 1 / 4),
    ),
}


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_a_line_of_arithmetic_is_what_the_trainer_computes(name):
    formula, ours = HAND_WRITTEN[name]
    steps = np.arange(T - 1)  # at its last step scenic's and keras' differ in their ends
    want = np.array([formula(int(t)) for t in steps])
    assert isinstance(ours, os.Schedule)
    np.testing.assert_allclose(ours(steps), want, rtol=2e-6, atol=2e-7 * np.max(want))
    assert repr(os.from_source(repr(ours))) == repr(ours)
