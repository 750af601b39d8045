"""What planning functions refuse, in one line: the function, the parameter, the rule and the value."""

import inspect
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optax_sched import constant, cosine_decay, linear, planning, stack
from optax_sched.planning import (
    convex_bound,
    extend,
    least_squares_risk,
    merge_weights,
    refine,
    transfer_factor,
    update_weights,
)

NAN, INF = float("nan"), float("inf")
COS = cosine_decay(0.1, 10)
BATCH = stack([COS, cosine_decay(0.2, 20)])

# Arguments that each function takes.
GOOD: dict[Callable[..., Any], dict[str, Any]] = {
    convex_bound: {"schedule": COS, "num_steps": 10, "grad_norms": 1.0, "distance": 1.0},
    transfer_factor: {
        "tuned": COS,
        "num_steps": 10,
        "other": COS,
        "other_num_steps": 20,
        "horizon_exponent": 0.3,
    },
    extend: {
        "schedule": COS,
        "spent_steps": 5,
        "total_steps": 20,
        "tuned_steps": 10,
        "horizon_exponent": 0.1,
    },
    refine: {"grad_norms": [1.0, 2.0], "num_steps": 4, "peak_value": 1.0, "smoothing": 0.1},
    least_squares_risk: {
        "schedule": COS,
        "num_steps": 10,
        "eigenvalues": [1.0, 0.1],
        "noise": 1.0,
        "start": 1.0,
        "batch_size": 1,
    },
    merge_weights: {"decay": COS, "num_checkpoints": 4},
    update_weights: {"schedule": COS, "num_steps": 10, "weight_decay": 0.1},
}

SIZE = "a whole number, 1 or more, that is not traced"
NO_SIZES = [0, -1, 2.5, NAN, INF, "10", None, True, [10.5], [0], jnp.ones(2)]
SCHEDULE = "a schedule, a function of the step, a finite number, or a sequence of the rates used"
NO_SCHEDULES = ["cosine", None, [COS], NAN, 1j, [], ["a"], [True], [1j], [[0.1], [0.2]]]
RATES = "a schedule of finite rates, 0 or more, up to step"
BAD_RATES = [
    [0.1] * 3 + [-0.1] * 30,
    constant(-0.1),
    linear(0.1, -0.1, 4),
    lambda t: jnp.log(t - 4.0),
    -0.1,
]
SHORT = "at least 10 rates, one an update"
MOVES = "a schedule with a rate above 0 before step"
POSITIVE = "a positive finite number, or a sequence of them"
NOT_POSITIVE = [0, -1.0, NAN, INF, "1", None, True, 1j, [], [1.0] * 9 + [0.0], np.ones((2, 5)), 1e-50]
RATE = "a finite number, 0 or more"

# Function, parameter, words of the rule, values that it refuses.
REFUSED: list[tuple[Callable[..., Any], str, str, list[Any]]] = [
    (convex_bound, "schedule", SCHEDULE, NO_SCHEDULES),
    (convex_bound, "schedule", RATES, BAD_RATES),
    (convex_bound, "schedule", MOVES, [0.0, constant(0.0), lambda t: jnp.maximum(t - 9, 0)]),
    (convex_bound, "schedule", "one schedule, not a batch", [BATCH]),
    (convex_bound, "schedule", SHORT, [[0.1] * 9, np.ones(1)]),
    (convex_bound, "num_steps", SIZE, [*NO_SIZES, [], [10, 0], "12", {}]),
    (convex_bound, "grad_norms", POSITIVE, NOT_POSITIVE),
    (convex_bound, "grad_norms", "one for each of the 10 steps", [[1.0], np.ones(11)]),
    (convex_bound, "distance", "a positive finite number", [0, -1, NAN, INF, "1", None, [1.0]]),
    (transfer_factor, "tuned", SCHEDULE, NO_SCHEDULES),
    (transfer_factor, "tuned", RATES, BAD_RATES),
    (transfer_factor, "tuned", MOVES, [0.0]),
    (transfer_factor, "num_steps", SIZE, [*NO_SIZES, [10]]),
    (transfer_factor, "other", RATES, BAD_RATES),
    (transfer_factor, "other", "one schedule, not a batch", [BATCH]),
    (transfer_factor, "other_num_steps", SIZE, [0, -1, 2.5, "10"]),
    (transfer_factor, "horizon_exponent", "a finite number", [NAN, "half", [0.5]]),
    (transfer_factor, "horizon_exponent", "0.32 Bjorck", [None]),
    (extend, "schedule", SCHEDULE, NO_SCHEDULES),
    (extend, "schedule", RATES, BAD_RATES),
    (extend, "schedule", "one schedule, not a batch", [BATCH]),
    (extend, "schedule", "above 0 before step 5", [0.0, lambda t: jnp.maximum(t - 6, 0)]),
    (extend, "spent_steps", SIZE, NO_SIZES),
    (extend, "total_steps", SIZE, NO_SIZES),
    (extend, "total_steps", "more than spent_steps = 5", [5, 4]),
    (extend, "tuned_steps", SIZE, NO_SIZES),
    (extend, "horizon_exponent", "a finite number", [NAN, "half", [0.5]]),
    (extend, "horizon_exponent", "0.32 Bjorck", [None]),
    (refine, "grad_norms", "a sequence of positive finite numbers", [*NOT_POSITIVE, 1.0, {}]),
    (refine, "num_steps", SIZE, [0, 2.5, "10"]),
    (refine, "peak_value", RATE, [-1, NAN, "1", None]),
    (refine, "smoothing", "a number in [0, 1)", [1, -0.1, NAN, None]),
    (least_squares_risk, "schedule", RATES, BAD_RATES),
    (least_squares_risk, "schedule", "one schedule, not a batch", [BATCH]),
    (least_squares_risk, "num_steps", SIZE, NO_SIZES),
    (
        least_squares_risk,
        "eigenvalues",
        "a sequence of finite numbers, 0 or more",
        [1.0, [], [-1.0], [NAN]],
    ),
    (least_squares_risk, "noise", RATE, [-1, NAN, "1", None]),
    (least_squares_risk, "start", "or a sequence of them", [-1, NAN, "1", None, [1.0, -1.0]]),
    (least_squares_risk, "start", "one for each of the 2 eigenvalues", [[1.0], np.ones(3)]),
    (
        least_squares_risk,
        "batch_size",
        "a whole number, 1 or more, or a schedule of such numbers",
        [0, -1, 1.5, NAN, None, linear],
    ),
    (merge_weights, "decay", SCHEDULE, NO_SCHEDULES),
    (merge_weights, "decay", RATES, BAD_RATES[2:]),
    (merge_weights, "num_checkpoints", SIZE, NO_SIZES),
    (update_weights, "schedule", RATES, BAD_RATES),
    (update_weights, "num_steps", SIZE, NO_SIZES),
    (update_weights, "weight_decay", RATE, [-1, NAN, "1", None]),
    (update_weights, "weight_decay", "at most 1 / 0.1, one over the highest rate", [10.1, 1e6]),
]


@pytest.mark.parametrize(
    ("function", "name", "rule", "values"), REFUSED, ids=lambda x: getattr(x, "__name__", None)
)
def test_bad_input_is_refused_in_one_line(function, name, rule, values):
    for value in values:
        with pytest.raises((ValueError, TypeError)) as caught:
            function(**{**GOOD[function], name: value})
        text = str(caught.value)
        assert text.startswith(f"{function.__name__}: {name} must be "), value
        said, _, shown = text.partition(", got ")
        assert rule in said and shown, value
        assert "\n" not in text and len(text) < 300, value


@pytest.mark.parametrize("function", GOOD, ids=lambda f: f.__name__)
def test_the_rest_of_the_call_is_good(function):
    function(**GOOD[function])


@pytest.mark.parametrize("function", GOOD, ids=lambda f: f.__name__)
def test_every_parameter_is_in_the_table(function):
    assert list(inspect.signature(function).parameters) == list(GOOD[function])
    assert {name for f, name, *_ in REFUSED if f is function} == set(GOOD[function])


@pytest.mark.parametrize("function", GOOD, ids=lambda f: f.__name__)
def test_sizes_cannot_be_traced(function):
    name = next(name for name in GOOD[function] if name.startswith("num_") or name == "spent_steps")
    with pytest.raises(TypeError, match=rf"^{function.__name__}: {name} must be .* not traced"):
        jax.jit(lambda size: function(**{**GOOD[function], name: size}))(3)


def test_numbers_may_be_numpys_or_jaxs():
    one = convex_bound(COS, 10, [1.0] * 10, 2.0)
    for norms in (np.ones(10, np.int64), jnp.ones(10), np.ones(10, np.float16), (1,) * 10):
        assert convex_bound(COS, np.int64(10), norms, np.float32(2.0)) == one
    assert least_squares_risk(COS, 10, np.array([1, 0])) == least_squares_risk(COS, 10, [1.0, 0.0])


def test_names_belong_to_the_subpackage():
    for name in planning.__all__:
        public = getattr(planning, name)
        assert public.__module__ == "optax_sched.planning"
        assert pickle.loads(pickle.dumps(public)) is public
    assert pickle.loads(pickle.dumps(convex_bound(COS, 10))) == convex_bound(COS, 10)


def test_all_is_sorted_and_the_docstring_lists_the_functions():
    functions = [name for name in planning.__all__ if name[0].islower()]
    assert planning.__all__ == sorted(planning.__all__)
    index = planning.__doc__ or ""
    for name in functions:
        assert f"- `{name}`: " in index
