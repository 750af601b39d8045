"""The table of closed loops: ours and some that users would write, each with its scales."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import pytest

from optax_sched import ClosedLoop, feedback, greedy, kl_adaptive, plateau
from optax_sched.typing import Growth, Positive


@feedback
def spike_guard(scale, value, limit: Positive, factor: Growth = 2.0):
    """Slower while a norm is above a limit; back to the schedule in ten steps afterwards."""
    return jnp.where(value > limit, scale / factor, jnp.minimum(scale * factor**0.1, 1.0))


inverse = feedback(lambda scale, value, power: value**-power, name="inverse")


class Trend(NamedTuple):
    """The smoothed metric, as a scale too."""

    mean: Any
    seen: Any
    scale: Any = 1.0


def no_trend(first: Any) -> Trend:
    return Trend(mean=first, seen=0)


@feedback(init=no_trend)
def trend(memory, value, first: Positive, share: Positive = 0.5):
    """The scale is the exponential mean of the metric, which begins at `first`."""
    mean = memory.mean + share * (value - memory.mean)
    return Trend(mean, memory.seen + 1, mean)


def spike_scales(values: list[float], limit: float, factor: float) -> list[float]:
    scale, scales = 1.0, []
    for value in values:
        scale = scale / factor if value > limit else min(scale * factor**0.1, 1.0)
        scales.append(scale)
    return scales


def kl_rates(
    values: list[float],
    rate: float,
    target: float,
    factor: float = 1.5,
    tolerance: float = 2.0,
    lowest: float = 1e-5,
    highest: float = 1e-2,
) -> list[float]:
    """The rates of brax's and rsl_rl's PPO after each KL divergence; the bounds are rates."""
    rates = []
    for value in values:
        if not math.isfinite(value) or value > target * tolerance:
            rate /= factor
        elif 0.0 < value < target / tolerance:
            rate *= factor
        rate = min(max(rate, lowest), highest)
        rates.append(rate)
    return rates


def trend_scales(values: list[float], first: float, share: float) -> list[float]:
    mean, scales = first, []
    for value in values:
        mean = (1 - share) * mean + share * value
        scales.append(mean)
    return scales


class Loop(NamedTuple):
    """A closed loop, and the scale after each of some metrics."""

    make: Callable[..., ClosedLoop]  # from a schedule
    metrics: list[float]
    scales: list[float]
    setting: tuple[str, float, float]  # one of its settings: what it is here, and another value


# Four metrics that make a scale move, and the scales by hand.
LOOPS: dict[str, Loop] = {
    "plateau": Loop(
        lambda schedule, **more: plateau(schedule, 0.5, 0, **more),
        [1, 1, 1, 1],
        [1, 0.5, 0.25, 0.125],
        ("factor", 0.5, 0.25),
    ),
    "plateau, all set": Loop(
        lambda schedule, **more: plateau(schedule, 0.5, 0, 0.5, "abs", "max", 1, 1, 1, **more),
        [9, 4, 4.5, 4.5],
        [1, 1, 0.5, 0.5],
        ("cooldown", 1, 3),
    ),
    "greedy": Loop(
        lambda schedule, **more: greedy(schedule, 0.5, 0, **more),
        [4, 4, 2, 1],
        [2, 1, 2, 4],
        ("max_scale", 10.0, 4.0),
    ),
    "spike_guard": Loop(
        lambda schedule, **more: spike_guard(schedule, limit=5.0, factor=2.0, **more),
        [6, 7, 5, 4],
        [0.5, 0.25, 0.25 * 2**0.1, 0.25 * 2**0.2],
        ("limit", 5.0, 6.5),
    ),
    "kl_adaptive, all set": Loop(
        lambda schedule, **more: kl_adaptive(schedule, 1.0, 0.5, 1.5, 0.5, 3.0, **more),
        [2, math.nan, 0, 0.5],
        [2, 3, 3, 1.5],
        ("tolerance", 1.5, 4.0),
    ),
    "kl_adaptive": Loop(
        lambda schedule, **more: kl_adaptive(schedule, target=0.01, factor=2.0, **more),
        [0.05, 0.04, 0.01, 0.001],
        [0.5, 0.25, 0.25, 0.5],
        ("target", 0.01, 0.5),
    ),
    "a lambda": Loop(
        lambda schedule, **more: inverse(schedule, power=2, **more),
        [1, 2, 4, 0.5],
        [1, 0.25, 0.0625, 4],
        ("power", 2, 3),
    ),
    "a NamedTuple": Loop(
        lambda schedule, **more: trend(schedule, first=1.0, **more),
        [3, 0, 3, 0],
        [2, 1, 2, 1],
        ("share", 0.5, 0.25),
    ),
}

# What is asked of the state and not of a rule: these answer, and the others where everything is asked.
FOR_ALL = ("plateau, all set", "a NamedTuple")
SOME_LOOPS = [pytest.param(name, marks=() if name in FOR_ALL else pytest.mark.wide) for name in LOOPS]
