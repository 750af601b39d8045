"""Logs of schedules that are known: settings as people choose them, in the formats of trainers."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

import optax_sched as o
from optax_sched import Schedule
from optax_sched._core.evaluate import float64
from optax_sched.typing import ShapeName

FORMATS: dict[str, Callable[[float], str | float]] = {
    "3 digits": "{:.2e}".format,
    "4 digits": "{:.3e}".format,
    "6 digits": "{:.5e}".format,
    "6 decimals": "{:.6f}".format,
    "float32": lambda value: float(np.float32(value)),
    "full": float,
}


class TrueLog(NamedTuple):
    schedule: Schedule
    steps: list[int]
    values: list[str | float]
    offset: int
    form: str
    part: float


def in_float64(schedule: Schedule, steps: np.ndarray) -> np.ndarray:
    """The library's own values, with JAX in float64."""
    with float64():
        return np.asarray(schedule(np.maximum(steps, 0)))


def settings(rng: np.random.Generator) -> dict[str, Callable[[], Schedule]]:
    """A builder of each family with settings as people type them."""
    rate = lambda: float(f"{rng.choice([1, 2, 3, 5, 6, 8, 1.5, 2.5, 9.5])}e-{rng.integers(2, 5)}")  # noqa: E731
    peak = rate()
    total = int(rng.choice([800, 1000, 1500, 2000, 3000, 5000, 1218, 1563, 4690, 7820]))
    rise = int(rng.choice([total // 10, total // 20, 100, 200, 50, 37]))
    end = float(f"{peak * rng.choice([0.0, 0.1, 0.01, 0.2]):.6g}")
    start = float(f"{peak * rng.choice([0.0, 0.1, 0.01, 0.001]):.6g}")
    power = float(rng.choice([0.5, 0.9, 2.0, 3.0]))
    factor = float(rng.choice([0.9, 0.95, 0.96, 0.5, 0.1, 0.99]))
    fall = total - rise
    shapes = ("sqrt", "linear", "cosine", "square")
    shape: ShapeName = shapes[rng.integers(4)]
    return {
        "constant": lambda: o.constant(peak),
        "linear": lambda: o.linear(peak, end, total),
        "cosine": lambda: o.cosine_decay(peak, total, end),
        "quarter": lambda: o.quarter_cosine_decay(peak, total, end),
        "polynomial": lambda: o.polynomial_decay(peak, total, end, power),
        "exponential": lambda: o.exponential_decay(peak, total // 10, factor),
        "inverse sqrt": lambda: o.inverse_sqrt_decay(peak, rise),
        "inverse time": lambda: o.inverse_time_decay(
            peak, total // 10, float(rng.choice([0.5, 1.0, 2.0]))
        ),
        "warmup linear": lambda: o.warmup_linear_decay(peak, rise, total, start, end),
        "warmup cosine": lambda: o.warmup_cosine_decay(peak, rise, total, start, end),
        "warmup quarter": lambda: o.warmup(o.quarter_cosine_decay(peak, fall, end), rise),
        "warmup polynomial": lambda: o.warmup(o.polynomial_decay(peak, fall, end, power), rise),
        "warmup exponential": lambda: o.warmup(o.exponential_decay(peak, total // 10, factor), rise),
        "warmup inverse sqrt": lambda: o.warmup_inverse_sqrt_decay(peak, rise, start),
        "warmup inverse time": lambda: o.warmup(o.inverse_time_decay(peak, total // 10, 1.0), rise),
        "noam": lambda: o.noam(int(rng.choice([256, 512, 768])), rise),
        "wsd": lambda: o.wsd(peak, rise, total // 5, total, start, end, shape),
        "one cycle": lambda: o.one_cycle(peak, total, float(rng.choice([0.3, 0.25, 0.1])), 25.0, 1e4),
        "cyclic": lambda: o.cyclic(peak / 10, peak, total // 8, total // 8),
        "restarts": lambda: o.cosine_restarts(peak, total // 5, end),
        "growing restarts": lambda: o.cosine_restarts(peak, total // 8, 0.0, 2.0),
        "stairs": lambda: o.step_decay(peak, total // 5, factor if factor < 0.96 else 0.3),
        "drops": lambda: o.multistep_decay(peak, [total // 2, total * 3 // 4], 0.1),
    }


def true_log(
    seed: int, name: str | None = None, form: str | None = None, part: float | None = None
) -> TrueLog:
    rng = np.random.default_rng(seed)
    made = settings(rng)
    name = name or str(rng.choice(list(made)))
    schedule = made[name]()
    form = form or str(rng.choice(list(FORMATS)))
    part = part or float(rng.choice([1.0, 1.0, 0.6, 0.3]))
    every, offset = int(rng.choice([1, 10, 50])), int(rng.choice([0, 0, 1, -1]))
    length = getattr(schedule, "total_steps", None) or max(
        (int(leaf) for leaf in jax.tree.leaves(schedule) if isinstance(leaf, int)), default=1000
    )
    lasting = {"inverse sqrt", "inverse time", "noam", "warmup inverse sqrt", "warmup inverse time"}
    length *= {
        "exponential": 10,
        "warmup exponential": 10,
        "cyclic": 6,
        "restarts": 4,
        "stairs": 4,
    }.get(name, 10 if name in lasting else 8 if name == "growing restarts" else 1)
    every = min(every, max(1, int(length * part) // 30))
    # Logs that count from 1 have no step 0.
    steps = np.arange(0 if offset >= 0 else every, max(int(length * part), 40 * every) + 1, every)
    values = [FORMATS[form](value) for value in in_float64(schedule, steps + offset).tolist()]
    return TrueLog(schedule, steps.tolist(), values, offset, form, part)


def cost(schedule: Schedule, offset: int) -> float:
    """What it costs to type a schedule: 1 and the digits of each setting that is not at its default."""
    total = 0.5 * abs(offset)
    for name, parameter in inspect.signature(getattr(o, schedule._formula.name)).parameters.items():
        value = getattr(schedule, name)
        if isinstance(value, Schedule):
            total += cost(value, 0)
        elif not isinstance(value, str | None) and repr(value) != repr(parameter.default):
            for one in np.ravel(value).tolist():
                total += 1 + len(f"{one:.10e}".partition("e")[0].replace(".", "").rstrip("0"))
    return total
