"""Bad settings raise when a schedule is built: builder, parameter, rule and value, in one line."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import halving

import optax_sched as os

NAN, INF = float("nan"), float("inf")
COS = os.cosine_decay(0.1, 10)

# builder, arguments, the offending parameter, words of the rule, the value as it is shown
BAD = [
    (os.constant, {"value": NAN}, "finite number", "nan"),
    (os.constant, {"value": INF}, "finite number", "inf"),
    (os.constant, {"value": "abc"}, "finite number", "'abc'"),
    (os.constant, {"value": None}, "finite number", "None"),
    (os.constant, {"value": 1j}, "finite number", "1j"),
    (os.constant, {"value": True}, "finite number", "True"),
    (os.constant, {"value": [0.1]}, "finite number", "[0.1]"),
    (os.constant, {"value": np.ones(3)}, "finite number", "an array of shape (3,)"),
    (os.constant, {"value": jnp.ones((2, 3))}, "finite number", "an array of shape (2, 3)"),
    (os.constant, {"value": 1e39}, "finite number", "1e+39"),
    (os.constant, {"value": 10**400}, "finite number", "1000"),
    (os.linear, {"transition_steps": 0}, "positive", "0"),
    (os.linear, {"transition_steps": -10}, "positive", "-10"),
    (os.linear, {"transition_steps": NAN}, "positive", "nan"),
    (os.linear, {"transition_steps": 2**31}, "2147483647", "2147483648"),
    (os.linear, {"transition_steps": "10"}, "positive", "'10'"),
    (os.linear, {"transition_steps": np.array([1, 2])}, "positive", "an array of shape (2,)"),
    (os.linear, {"init_value": NAN}, "finite", "nan"),
    (os.linear, {"end_value": None}, "finite", "None"),
    (os.polynomial_decay, {"power": 0}, "positive", "0"),
    (os.polynomial_decay, {"power": -1.0}, "positive", "-1.0"),
    (os.polynomial_decay, {"power": 1e-50}, "positive", "1e-50"),
    (os.polynomial_decay, {"init_value": -0.1}, "0 or more", "-0.1"),
    (os.polynomial_decay, {"end_value": -1e-9}, "0 or more", "-1e-09"),
    (os.polynomial_decay, {"decay_steps": INF}, "positive finite", "inf"),
    (os.cosine_decay, {"decay_steps": 0}, "positive", "0"),
    (os.cosine_decay, {"decay_steps": -1}, "positive", "-1"),
    (os.cosine_decay, {"decay_steps": 0.0}, "positive", "0.0"),
    (os.cosine_decay, {"decay_steps": None}, "positive", "None"),
    (os.cosine_decay, {"exponent": -1}, "positive", "-1"),
    (os.cosine_decay, {"exponent": NAN}, "positive", "nan"),
    (os.cosine_decay, {"init_value": -1}, "0 or more", "-1"),
    (os.cosine_decay, {"end_value": -INF}, "0 or more", "-inf"),
    (os.cosine_decay, {"init_value": jnp.float32(-1)}, "0 or more", "-1.0"),
    (os.cosine_decay, {"init_value": np.float64(-1)}, "0 or more", "-1.0"),
    (os.log_decay, {"decay_steps": 0}, "positive", "0"),
    (os.log_decay, {"init_value": "0.1"}, "0 or more", "'0.1'"),
    (os.exponential_decay, {"decay_rate": 0}, "(0, 1]", "0"),
    (os.exponential_decay, {"decay_rate": -0.5}, "(0, 1]", "-0.5"),
    (os.exponential_decay, {"decay_rate": 1.5}, "(0, 1]", "1.5"),
    (os.exponential_decay, {"decay_rate": NAN}, "(0, 1]", "nan"),
    (os.exponential_decay, {"decay_steps": -3}, "positive", "-3"),
    (os.step_decay, {"decay_rate": 0.0}, "(0, 1]", "0.0"),
    (os.step_decay, {"decay_rate": 2}, "(0, 1]", "2"),
    (os.step_decay, {"decay_steps": 0}, "positive", "0"),
    (os.step_decay, {"end_value": "x"}, "0 or more", "'x'"),
    (os.multistep_decay, {"boundaries": [4, 2]}, "increasing", "[4, 2]"),
    (os.multistep_decay, {"boundaries": [2, 2]}, "increasing", "[2, 2]"),
    (os.multistep_decay, {"boundaries": [-1, 2]}, "increasing", "[-1, 2]"),
    (os.multistep_decay, {"boundaries": [0, 2]}, "increasing", "[0, 2]"),
    (os.multistep_decay, {"boundaries": [1, NAN]}, "increasing", "[1, nan]"),
    (os.multistep_decay, {"boundaries": 3}, "sequence", "3"),
    (os.multistep_decay, {"boundaries": "12"}, "sequence", "'12'"),
    (os.multistep_decay, {"boundaries": [[1, 2]]}, "sequence", "[[1, 2]]"),
    (os.multistep_decay, {"boundaries": np.array([5, 3])}, "increasing", "an array of shape (2,)"),
    (os.multistep_decay, {"boundaries": jnp.array([5, 3])}, "increasing", "an array of shape (2,)"),
    (os.multistep_decay, {"boundaries": np.ones((2, 2))}, "increasing", "an array of shape (2, 2)"),
    (os.multistep_decay, {"decay_rate": 0}, "(0, 1]", "0"),
    (os.multistep_decay, {"decay_rate": [0.1, 2.0]}, "(0, 1]", "[0.1, 2.0]"),
    (
        os.multistep_decay,
        {"decay_rate": [0.1, 0.1, 0.1]},
        "each of the 2 boundaries",
        "[0.1, 0.1, 0.1]",
    ),
    (os.cosine_restarts, {"period": 0}, "positive", "0"),
    (os.cosine_restarts, {"period_mult": 0.5}, "1 or more", "0.5"),
    (os.cosine_restarts, {"period_mult": -2}, "1 or more", "-2"),
    (os.cosine_restarts, {"peak_mult": 0}, "positive", "0"),
    (os.cosine_restarts, {"num_cycles": 0}, "1 or more", "0"),
    (os.cosine_restarts, {"num_cycles": 2.5}, "whole number", "2.5"),
    (os.cosine_restarts, {"num_cycles": "3"}, "whole number", "'3'"),
    (os.join, {"schedules": []}, "one or more", "[]"),
    (os.join, {"schedules": COS}, "sequence", "cosine_decay("),
    (os.join, {"schedules": [COS, "cosine"]}, "sequence of one or more schedules", "'cosine'"),
    (os.join, {"schedules": [COS, None]}, "sequence of one or more schedules", "None"),
    (os.join, {"boundaries": []}, "one fewer than the 2 schedules", "[]"),
    (os.join, {"boundaries": [1, 2, 3]}, "one fewer than the 2 schedules", "[1, 2, 3]"),
    (os.join, {"boundaries": [-5]}, "increasing", "[-5]"),
    (os.warmup, {"schedule": "cosine"}, "schedule", "'cosine'"),
    (os.warmup, {"schedule": None}, "schedule", "None"),
    (os.warmup, {"schedule": NAN}, "finite", "nan"),
    (os.warmup, {"warmup_steps": -1}, "0 or more", "-1"),
    (os.warmup, {"warmup_steps": NAN}, "0 or more", "nan"),
    (os.warmup, {"warmup_steps": "many"}, "0 or more", "'many'"),
    (os.warmup, {"init_value": -0.1}, "0 or more", "-0.1"),
    (os.warmup, {"shape": "cubic"}, "'linear', 'cosine', 'sqrt', 'square'", "'cubic'"),
    (os.warmup, {"shape": 3}, "'linear'", "3"),
    (os.warmup, {"shape": None}, "'linear'", "None"),
    (halving, {"init_value": NAN}, "0 or more", "nan"),
    (halving, {"init_value": "0.1"}, "0 or more", "'0.1'"),
    (halving, {"period": 0}, "positive", "0"),
    (halving, {"period": None}, "positive", "None"),
    (os.schedule(lambda step, a: a, name="plain"), {"a": NAN}, "finite", "nan"),
    (os.schedule(lambda step, a: a, name="plain"), {"a": "x"}, "finite", "'x'"),
    (os.schedule(lambda step, a: a, name="plain"), {"a": None}, "finite", "None"),
]
GOOD = {
    "constant": {"value": 1.0},
    "linear": {"init_value": 1.0, "end_value": 0.0, "transition_steps": 10},
    "polynomial_decay": {"init_value": 1.0, "decay_steps": 10},
    "cosine_decay": {"init_value": 1.0, "decay_steps": 10},
    "log_decay": {"init_value": 1.0, "decay_steps": 10},
    "exponential_decay": {"init_value": 1.0, "decay_steps": 10, "decay_rate": 0.5},
    "step_decay": {"init_value": 1.0, "decay_steps": 10, "decay_rate": 0.5},
    "multistep_decay": {"init_value": 1.0, "boundaries": [2, 4], "decay_rate": 0.5},
    "cosine_restarts": {"init_value": 1.0, "period": 10},
    "join": {"schedules": [COS, 0.1], "boundaries": [5]},
    "warmup": {"schedule": COS, "warmup_steps": 3},
    "halving": {"init_value": 0.1, "period": 10},
    "plain": {"a": 1},
}


def name_of(builder):
    return builder.__name__


def label(bad):
    builder, arguments, *_ = bad
    ((parameter, value),) = arguments.items()
    return f"{name_of(builder)}-{parameter}-{str(value)[:20]}"


@pytest.mark.parametrize("bad", BAD, ids=label)
def test_bad_value_names_builder_parameter_rule_and_value(bad):
    builder, arguments, rule, value = bad
    (parameter,) = arguments
    with pytest.raises((ValueError, TypeError)) as caught:
        builder(**{**GOOD[name_of(builder)], **arguments})
    text = str(caught.value)
    assert text.startswith(f"{name_of(builder)}: {parameter} must be ")
    assert rule in text
    assert value in text
    assert "\n" not in text
    assert len(text) < 300


@pytest.mark.parametrize("name", [name for name in GOOD if name != "plain"])
def test_what_the_bad_ones_are_changed_from_is_good(name):
    builder = halving if name == "halving" else getattr(os, name)
    assert jnp.isfinite(builder(**GOOD[name])(3))


@pytest.mark.parametrize("name", [name for name in GOOD if name != "plain"])
def test_missing_and_unknown_arguments_show_the_signature(name):
    builder: Any = halving if name == "halving" else getattr(os, name)
    with pytest.raises(
        TypeError, match=rf"^{name}: missing a required argument.*; it takes \("
    ) as caught:
        builder()
    assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match=rf"^{name}: got an unexpected keyword argument 'nonsense'"):
        builder(**GOOD[name], nonsense=1)


def test_nothing_is_checked_under_tracing_but_shape_and_type():
    assert jnp.isfinite(jax.jit(lambda v: os.cosine_decay(v, 10)(3))(-1.0))
    with pytest.raises(TypeError, match=r"^cosine_decay: init_value must be .*a traced float32\[2\]"):
        jax.jit(lambda v: os.cosine_decay(v, 10)(3))(jnp.ones(2))
    with pytest.raises(TypeError, match="a traced complex64"):
        jax.jit(lambda v: os.cosine_decay(v, 10)(3))(1j)


@pytest.mark.parametrize("name", ["init", "update", "replace", "step", "_hidden"])
def test_the_decorator_refuses_names_that_optax_or_we_need(name):
    formula = eval(f"lambda t, {name}: 1.0")
    with pytest.raises(TypeError, match=f"^mine: a hyperparameter may not be named '{name}'"):
        os.schedule(formula, name="mine")


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (lambda: 1.0, "takes the step first"),
        (lambda step, **rest: 1.0, "rest"),
        (3, "function"),
    ],
)
def test_the_decorator_refuses_what_is_no_formula(formula, words):
    with pytest.raises(TypeError, match=words):
        os.schedule(formula, name="mine")


def test_a_formula_that_returns_no_scalar_is_named():
    wide = os.schedule(lambda step, a: jnp.ones(3) * a, name="wide")
    with pytest.raises(ValueError, match=r"wide: the formula must return a scalar.*\(3,\)"):
        wide(1.0)(0)


def test_a_check_of_the_users_own_is_asked_and_quoted():
    def order(low, high):
        return ("low", f"at most high = {high}") if low > high else None

    band = os.schedule(lambda step, low, high: low, name="band", check=order)
    assert float(band(1.0, 2.0)(0)) == 1.0
    with pytest.raises(ValueError, match=r"^band: low must be at most high = 1\.0, got 3\.0$"):
        band(3.0, 1.0)
    with pytest.raises(TypeError, match="band: the check asks for middle"):
        os.schedule(lambda step, low: low, name="band", check=lambda middle: None)


def test_schedule_is_not_made_by_hand():
    with pytest.raises(TypeError, match="made by builders"):
        os.Schedule()
