"""The table of bad calls: what each builder must refuse, and the words in which it does."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tables.cases import halving

import optax_sched as os

NAN, INF = float("nan"), float("inf")
COS = os.cosine_decay(0.1, 10)

# What each word of the vocabulary refuses, wherever a builder has it; and in which words.
_LENGTH = [-1, -0.5, NAN, INF, "10", None, True, 1j, [10], np.ones(2)]
_HEIGHT = [NAN, INF, -INF, 1e39, "0.1", None, True, 1j, [0.1], jnp.ones((2, 3))]
_FACTOR = [0, -0.5, NAN, "half", None]
_SEQUENCE = [[1, NAN], [1, "x"], [1, None], [[1, 2]], "12", 0.1, None, np.ones((2, 2))]
REFUSED: dict[str, tuple[str, list[Any]]] = {
    "Real": ("a finite number", _HEIGHT),
    "Rate": ("a finite number, 0 or more", [-1, -1e-9, jnp.float32(-1), np.float64(-1), *_HEIGHT]),
    "Positive": ("a positive finite number", [0, 0.0, -1, 1e-50, *_HEIGHT]),
    "Negative": ("a negative finite number", [0, -0.0, 0.5, -1e-50, *_HEIGHT]),
    "Growth": ("a finite factor, 1 or more", [0.99, 0, -2, *_HEIGHT]),
    "Factor": ("a factor in (0, 1]", [1.5, INF, [0.5], *_FACTOR]),
    "FactorOrFactors": (
        "a factor in (0, 1], or a sequence of such factors",
        [1.5, [0.1, 2.0], *_FACTOR],
    ),
    "Fraction": ("a fraction in (0, 1), ends excluded", [1, 1 - 1e-9, [0.5], *_FACTOR]),
    "PartOfOne": ("a number in [0, 1)", [1, 1 - 1e-9, -0.1, NAN, "0", None]),
    "Steps": ("a positive finite number of steps", [0, 0.0, *_LENGTH]),
    "StepsOrZero": ("a finite number of steps, 0 or more", _LENGTH),
    "Count": ("a whole number, 1 or more", [0, 2.5, *_LENGTH]),
    "CountOrZero": ("a whole number, 0 or more", [0.5, *_LENGTH]),
    "Reals": ("a sequence of finite numbers", [[1, INF], *_SEQUENCE]),
    "Rates": ("a sequence of finite numbers, 0 or more", [[1, -1], *_SEQUENCE]),
    "Boundaries": (
        "a strictly increasing sequence of positive steps",
        [[4, 2], [2, 2], [-1, 2], [0, 2], jnp.array([4, 2]), *_SEQUENCE],
    ),
    "ShapeName": (
        "one of 'linear', 'cosine', 'sqrt', 'square', or a function from [0, 1] to [0, 1]",
        ["cubic", "Cosine", "", 3, None, True],
    ),
    "Switch": ("one of False, True", [0, 1, None, "yes"]),
    "Noise": ("one of 'normal', 'uniform'", ["gauss", 0, None]),
    "Key": (
        "a JAX random key, or a whole number of 0 or more as its seed",
        [-1, 0.5, "seed", None, jax.random.split(jax.random.key(0))],
    ),
    "Operand": (
        "a schedule, a function of the step, or a finite number",
        ["cosine", None, NAN, 1j, [COS], {}],
    ),
    "Operands": (
        "a sequence of one or more schedules, functions of the step, or finite numbers",
        [[], [COS, "half"], [COS, None], [COS, NAN], [[COS]]],
    ),
}

# What a word alone cannot say: relations, and how values of all kinds are shown. Builder; its
# arguments, the offender first, where they differ from the good ones below; words of the rule; the
# value as it is shown.
BAD: list[tuple[Callable[..., os.Schedule], dict[str, Any], str, str]] = [
    (os.constant, {"value": NAN}, "finite number", "nan"),
    (os.constant, {"value": INF}, "finite number", "inf"),
    (os.constant, {"value": "abc"}, "finite number", "'abc'"),
    (os.constant, {"value": None}, "finite number", "None"),
    (os.constant, {"value": 1j}, "finite number", "1j"),
    (os.constant, {"value": True}, "finite number", "True"),
    (os.constant, {"value": [0.1]}, "finite number", "[0.1]"),
    (os.constant, {"value": np.ones(3)}, "finite number", "an array of shape (3,)"),
    (os.constant, {"value": jnp.ones((2, 3))}, "finite number", "an array of shape (2, 3)"),
    (os.constant, {"value": 1e39}, "finite number", "1e+39: in float32 JAX takes 1e+39 for inf"),
    (os.constant, {"value": 10**400}, "finite number", "1000"),
    (os.polynomial_decay, {"power": 1e-50}, "positive", "1e-50: in float32 JAX takes 1e-50 for 0.0"),
    (os.multistep_decay, {"boundaries": [[1, 2]]}, "sequence", "[[1, 2]]"),
    (os.multistep_decay, {"boundaries": np.array([5, 3])}, "increasing", "an array of shape (2,)"),
    (os.multistep_decay, {"boundaries": jnp.array([5, 3])}, "increasing", "an array of shape (2,)"),
    (os.multistep_decay, {"boundaries": np.ones((2, 2))}, "increasing", "an array of shape (2, 2)"),
    (
        os.multistep_decay,
        {"decay_rate": [0.1, 0.1, 0.1]},
        "each of the 2 boundaries",
        "[0.1, 0.1, 0.1]",
    ),
    (os.join, {"schedules": []}, "one or more", "[]"),
    (os.join, {"schedules": COS}, "sequence", "cosine_decay("),
    (os.join, {"schedules": [COS, "cosine"]}, "sequence of one or more schedules", "'cosine'"),
    (os.join, {"schedules": [COS, None]}, "sequence of one or more schedules", "None"),
    (os.join, {"boundaries": []}, "one fewer than the 2 schedules", "[]"),
    (os.join, {"boundaries": [1, 2, 3]}, "one fewer than the 2 schedules", "[1, 2, 3]"),
    (halving, {"init_value": NAN}, "0 or more", "nan"),
    (halving, {"init_value": "0.1"}, "0 or more", "'0.1'"),
    (halving, {"period": 0}, "positive", "0"),
    (halving, {"period": None}, "positive", "None"),
    (os.schedule(lambda step, a: a, name="plain"), {"a": NAN}, "finite", "nan"),
    (os.schedule(lambda step, a: a, name="plain"), {"a": "x"}, "finite", "'x'"),
    (os.schedule(lambda step, a: a, name="plain"), {"a": None}, "finite", "None"),
    (os.chebyshev, {"min_curvature": 2.0}, "at most max_curvature = 1.0", "2.0"),
    (os.chebyshev, {"num_steps": 12}, "a power of two", "12"),
    (os.chebyshev, {"num_steps": jnp.int32(6)}, "a power of two", "6"),
    (os.piecewise_constant, {"values": [1.0, 0.5]}, "one more than the 2 boundaries", "[1.0, 0.5]"),
    (os.piecewise_constant, {"values": [1, 2, 3, 4]}, "one more than the 2 boundaries", "[1, 2, 3, 4]"),
    (os.piecewise_constant, {"values": []}, "one more than the 2 boundaries", "[]"),
    (os.piecewise_interpolate, {"values": [1.0, 0.5]}, "one more than the 2 boundaries", "[1.0, 0.5]"),
    (os.piecewise_cubic, {"values": [1.0, 0.5]}, "one more than the 2 boundaries", "[1.0, 0.5]"),
    (os.table, {"values": []}, "a sequence of one or more numbers", "[]"),
    (os.table, {"values": np.zeros(0)}, "a sequence of one or more numbers", "an array of shape (0,)"),
    (os.one_cycle, {"pct_start": 0.5, "three_phase": True}, "below 0.5 where there are three", "0.5"),
    (os.one_cycle, {"pct_start": 0.9, "three_phase": True}, "below 0.5 where there are three", "0.9"),
    (os.clip, {"min_value": 2.0}, "at most max_value = 1.0", "2.0"),
    (os.clip, {"min_value": jnp.float32(1.5)}, "at most max_value = 1.0", "1.5"),
    (os.noisy, {"end": 3, "start": 3}, "above start = 3", "3"),
    (os.noisy, {"end": 2.5, "start": 3}, "above start = 3", "2.5"),
    (os.select, {"index": 2}, "below the number of schedules, 2", "2"),
    (os.select, {"index": jnp.int32(7)}, "below the number of schedules, 2", "7"),
    (os.warmup_cosine_decay, {"warmup_steps": 11}, "at most total_steps = 10", "11"),
    (os.warmup_cosine_decay, {"warmup_steps": 10.5}, "at most total_steps = 10", "10.5"),
    (os.warmup_linear_decay, {"warmup_steps": 11}, "at most total_steps = 10", "11"),
    (os.warmup_linear_decay, {"warmup_steps": jnp.int32(11)}, "at most total_steps = 10", "11"),
    (os.warmup_inverse_sqrt_decay, {"warmup_steps": 0}, "positive where timescale is None", "0"),
    (os.wsd, {"total_steps": 5}, "at least warmup_steps + decay_steps = 6", "5"),
    (os.wsd, {"total_steps": 3, "warmup_steps": 0}, "at least warmup_steps + decay_steps = 4", "3"),
    (os.wsd_cycles, {"budgets": []}, "a sequence of one or more steps", "[]"),
    (os.wsd_cycles, {"budgets": [10, 11]}, "so far apart", "[10, 11]"),
    (os.wsd_cycles, {"budgets": [3]}, "so far apart", "[3]"),
    (os.infinite, {"anneal_start": 5}, "at least warmup_steps + cooldown_steps = 6", "5"),
    (os.infinite, {"anneal_start": 0.0}, "at least warmup_steps + cooldown_steps = 6", "0.0"),
    (os.exponential_decay, {"end_value": 100}, "at most init_value = 1.0, from where it falls", "100"),
    (os.step_decay, {"end_value": 1.5}, "at most init_value = 1.0", "1.5"),
    (os.inverse_time_decay, {"end_value": jnp.float32(2)}, "at most init_value = 1.0", "2.0"),
    (os.inverse_sqrt_decay, {"end_value": 2}, "at most init_value = 1.0", "2"),
    (os.warmup_cosine_decay, {"init_value": 2}, "at most peak_value = 1.0, to which it rises", "2"),
    (os.warmup_linear_decay, {"init_value": 1.5}, "at most peak_value = 1.0", "1.5"),
    (os.warmup_inverse_sqrt_decay, {"init_value": 1.5}, "at most peak_value = 1.0", "1.5"),
    (os.wsd, {"init_value": jnp.float32(2)}, "at most peak_value = 1.0", "2.0"),
    # Ratios taken for lengths.
    (
        os.warmup_cosine_decay,
        {"warmup_steps": 0.1},
        "in steps as total_steps = 10 is",
        "0.1: write 0.1 *",
    ),
    (os.warmup_linear_decay, {"warmup_steps": np.float32(0.1)}, "in steps as total_steps = 10", "0.1"),
    (
        os.wsd,
        {"decay_steps": 0.2},
        "in steps as total_steps = 10 is",
        "0.2: write 0.2 * total_steps, or",
    ),
    (os.wsd, {"warmup_steps": jnp.float32(0.1)}, "in steps as total_steps = 10 is", "0.1: write 0.1 *"),
    (os.knee, {"explore_steps": 0.5}, "in steps as total_steps = 10 is", "0.5"),
    (os.infinite, {"anneal_start": 0.5}, "in steps as cooldown_steps = 4 is", "0.5: write 0.5 * total"),
    (
        os.join,
        {"boundaries": [0.5]},
        "in steps as schedules[0].decay_steps = 10 is",
        "0.5: write 0.5 *",
    ),
    (
        os.shift,
        {"steps": 0.5},
        "in steps as schedule.decay_steps = 10 is",
        "0.5: write 0.5 * total_steps",
    ),
    (
        os.noisy,
        {"start": 0.5},
        "in steps as schedule.decay_steps = 10 is",
        "0.5: write 0.5 * total_steps",
    ),
    (os.knee, {"total_steps": 3}, "at least warmup_steps + explore_steps = 4", "3"),
    (os.knee, {"total_steps": jnp.int32(1)}, "at least warmup_steps + explore_steps = 4", "1"),
]

# What the bad ones are changed from.
GOOD: dict[str, dict[str, Any]] = {
    "constant": {"value": 1.0},
    "linear": {"init_value": 1.0, "end_value": 0.0, "transition_steps": 10},
    "polynomial_decay": {"init_value": 1.0, "decay_steps": 10},
    "multistep_decay": {"init_value": 1.0, "boundaries": [2, 4], "decay_rate": 0.5},
    "join": {"schedules": [COS, 0.1], "boundaries": [5]},
    "chebyshev": {"min_curvature": 0.1, "max_curvature": 1.0, "num_steps": 8},
    "piecewise_constant": {"values": [1.0, 0.5, 0.1], "boundaries": [2, 4]},
    "piecewise_interpolate": {"values": [1.0, 0.5, 0.1], "boundaries": [2, 4]},
    "piecewise_cubic": {"values": [1.0, 0.5, 0.1], "boundaries": [2, 4]},
    "table": {"values": [1.0, 0.5]},
    "one_cycle": {"peak_value": 1.0, "total_steps": 10},
    "exponential_decay": {"init_value": 1.0, "decay_steps": 10, "decay_rate": 0.5},
    "step_decay": {"init_value": 1.0, "decay_steps": 10, "decay_rate": 0.5},
    "inverse_time_decay": {"init_value": 1.0, "decay_steps": 10, "decay_rate": 0.5},
    "inverse_sqrt_decay": {"init_value": 1.0, "timescale": 10},
    "shift": {"schedule": COS, "steps": 3},
    "clip": {"schedule": COS, "min_value": 0.1, "max_value": 1.0},
    "noisy": {"schedule": COS, "key": 0, "scale": 0.1},
    "select": {"index": 0, "schedules": [COS, 0.1]},
    "warmup_cosine_decay": {"peak_value": 1.0, "warmup_steps": 2, "total_steps": 10},
    "warmup_linear_decay": {"peak_value": 1.0, "warmup_steps": 2, "total_steps": 10},
    "warmup_inverse_sqrt_decay": {"peak_value": 1.0, "warmup_steps": 2},
    "wsd": {"peak_value": 1.0, "warmup_steps": 2, "decay_steps": 4, "total_steps": 10},
    "wsd_cycles": {"peak_value": 1.0, "warmup_steps": 2, "budgets": [10, 20], "decay_fraction": 0.4},
    "infinite": {
        "peak_value": 1.0,
        "warmup_steps": 2,
        "cooldown_steps": 4,
        "stable_value": 0.5,
        "anneal_start": 10,
        "anneal_steps": 4,
    },
    "knee": {"peak_value": 1.0, "warmup_steps": 2, "explore_steps": 2, "total_steps": 10},
    "halving": {"init_value": 0.1, "period": 10},
    "plain": {"a": 1},
}
