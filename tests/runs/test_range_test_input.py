"""What the range test refuses, in one line each."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.range_tests import SUGGESTIONS, given

from optax_sched import RangeTest, lr_range_test

WHOLE = "a whole number, 2 or more, that is not traced"
POSITIVE = "a positive finite number"
AXES = "a pytree of arrays whose leading axis is num_steps = 100, one entry per step"
NUMBER = "an array or a number"
STACK = ": stack them, jax.tree.map(lambda *x: jnp.stack(x), *list_of_batches)"
PARTITION = ": eqx.partition(model, eqx.is_array) takes a model apart, eqx.combine puts it together"
ABOVE = "above min_value = 0.1"
BAD = [
    ({"step_fn": 3}, "step_fn", "a function (carry, batch, rate) -> (carry, loss)", "3"),
    (
        {"batches": {"a": np.ones(100), "b": np.ones(4)}},
        "batches",
        AXES,
        f"[(100,), (4,)]{STACK}",
    ),
    ({"batches": [np.ones(100), 1.0]}, "batches", AXES, f"[(100,), ()]{STACK}"),
    ({"batches": np.ones((0, 2))}, "batches", AXES, f"[(0, 2)]{STACK}"),
    # One batch, a list of batches, and an object that yields them.
    ({"batches": (np.ones((32, 2)), np.ones(32))}, "batches", AXES, f"[(32, 2), (32,)]{STACK}"),
    ({"batches": [np.ones((8, 2))] * 2}, "batches", AXES, f"[(8, 2), (8, 2)]{STACK}"),
    ({"batches": range(9)}, "batches", "an array or a number", f"range(0, 9){STACK}"),
    (
        {"carry": {"f": math.cos}},
        "carry['f']",
        "an array or a number",
        f"<built-in function cos>{PARTITION}",
    ),
    ({"carry": "weights"}, "carry", "an array or a number", f"'weights'{PARTITION}"),
    ({"min_value": 0.0}, "min_value", POSITIVE, "0.0"),
    ({"min_value": -1e-3}, "min_value", POSITIVE, "-0.001"),
    ({"min_value": math.nan}, "min_value", POSITIVE, "nan"),
    ({"min_value": "low"}, "min_value", POSITIVE, "'low'"),
    ({"min_value": None}, "min_value", POSITIVE, "None"),
    ({"max_value": math.inf}, "max_value", POSITIVE, "inf"),
    ({"max_value": [1.0]}, "max_value", POSITIVE, "[1.0]"),
    ({"min_value": 0.1, "max_value": 0.1}, "max_value", ABOVE, "0.1"),
    ({"min_value": 0.1, "max_value": 0.01}, "max_value", ABOVE, "0.01"),
    ({"min_value": 0.1, "max_value": 0.1 + 1e-10}, "max_value", ABOVE, "0.1000000001"),
    ({"num_steps": 1}, "num_steps", WHOLE, "1"),
    ({"num_steps": 0}, "num_steps", WHOLE, "0"),
    ({"num_steps": 10.5}, "num_steps", WHOLE, "10.5"),
    ({"num_steps": "many"}, "num_steps", WHOLE, "'many'"),
    ({"num_steps": True}, "num_steps", WHOLE, "True"),
    ({"smoothing": 1.0}, "smoothing", "a number in [0, 1)", "1.0"),
    ({"smoothing": -0.1}, "smoothing", "a number in [0, 1)", "-0.1"),
    ({"diverge_factor": 0.9}, "diverge_factor", "a finite factor, 1 or more", "0.9"),
    ({"diverge_factor": math.inf}, "diverge_factor", "a finite factor, 1 or more", "inf"),
]


@pytest.mark.parametrize(("changes", "name", "rule", "got"), BAD)
def test_a_bad_call_raises_in_one_line(changes, name, rule, got):
    arguments = {"step_fn": given, "carry": (), "batches": np.ones(100), **changes}
    with pytest.raises((TypeError, ValueError)) as error:
        lr_range_test(**arguments)
    assert str(error.value) == f"lr_range_test: {name} must be {rule}, got {got}"


LOSS = "a loss that is a real number of shape ()"
CARRY = "a carry of the structure, shapes and dtypes that it got"
BAD_STEPS = [
    (lambda x, batch, rate: x["w"].sum(), "(carry, loss)", "a traced float32[]"),
    (lambda x, batch, rate: (x, 1.0, 2.0), "(carry, loss)", "({'w': "),
    (lambda x, batch, rate: (x, x["w"]), LOSS, "a traced float32[3]"),
    (lambda x, batch, rate: (x, x["w"][0] > 0), LOSS, "a traced bool[]"),
    (lambda x, batch, rate: (x, None), LOSS, "None"),
    (lambda x, batch, rate: ({"w": x["w"].astype(jnp.float16)}, 1), CARRY, "{\"['w']\": 'float16[3]'}"),
    (lambda x, batch, rate: ({"w": x["w"][:2]}, 1), CARRY, "{\"['w']\": 'float32[2]'}"),
    (lambda x, batch, rate: ({**x, "v": 1}, 1), CARRY, "{\"['v']\": 'int32[]'}"),
    (lambda x, batch, rate: ({}, 1), CARRY, "PyTreeDef({})"),
    (lambda x, batch, rate: (None, 1), CARRY, "PyTreeDef(None)"),
]


@pytest.mark.parametrize(("step", "rule", "got"), BAD_STEPS)
def test_a_step_that_returns_something_else_raises_in_one_line(step, rule, got):
    with pytest.raises(TypeError) as error:
        lr_range_test(step, {"w": np.ones(3, np.float32)}, None)
    line = f"lr_range_test: step_fn must be a function that returns {rule}, got {got}"
    assert str(error.value).startswith(line) and "\n" not in str(error.value)


def test_num_steps_may_not_be_traced_and_names_are_checked():
    with pytest.raises(TypeError, match=r"^lr_range_test: num_steps must be .* got a traced int32\[\]"):
        jax.jit(lambda n: lr_range_test(given, (), None, num_steps=n))(10)
    with pytest.raises(
        TypeError, match=r"^lr_range_test: .*'steps'.*; it takes \(step_fn, carry, batches"
    ):
        lr_range_test(given, (), None, steps=10)  # pyright: ignore[reportCallIssue]


def test_the_signature_is_that_of_the_contract():
    parameters = inspect.signature(lr_range_test).parameters.values()
    assert [
        (hyper.name, hyper.default) for hyper in parameters if hyper.default is not hyper.empty
    ] == [
        ("min_value", 1e-7),
        ("max_value", 10.0),
        ("num_steps", 100),
        ("smoothing", 0.98),
        ("diverge_factor", 4.0),
    ]
    assert RangeTest._fields == ("rates", "losses", "smoothed_losses", "mask", *SUGGESTIONS)
