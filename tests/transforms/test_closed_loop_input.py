"""What `plateau` and `greedy` refuse, in one line: settings, metrics, and places without a state."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.injected import inject
from tables.plateau_oracle import nan

import optax_sched
from optax_sched import constant

# To optax's types a state is any tree, so a checker does not know the fields of this one.
plateau: Any = optax_sched.plateau
greedy: Any = optax_sched.greedy
BOTH = pytest.mark.parametrize("closed", [plateau, greedy], ids=["plateau", "greedy"])

ONE = np.float32(1.0)


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


OWN = {plateau: ("min_value",), greedy: ("min_scale", "max_scale")}  # settings of one alone
TWO, TINY, BIG = np.array([0.5, 0.5], np.float32), 1e-40, 1e39  # to float32, 0 and inf
COUNT = "a whole number, 0 or more"
# What an error adds where a number obeys the rule, but not as it is stored.
HINTS = {
    "1e+39": ": in float32 JAX takes 1e+39 for inf",
    "1e-40": ": in float32 JAX takes 1e-40 for 0.0",
    "0.99999999": ": in float32 JAX takes 0.99999999 for 1.0",
    "2147483648": ": an integer is at most 2147483647",
}
# What the rule says, what breaks it, and what is not a number, word or schedule at all.
REFUSED: dict[str, tuple[str, list[Any], list[Any]]] = {
    "schedule": (
        "a schedule, a function of the step, or a finite number",
        [nan, math.inf, BIG],
        [None, "a", True, TWO, [0.1], 1j],
    ),
    "factor": (
        "a factor above 0 and below 1",
        [0, 1, 1.5, -0.5, nan, math.inf, 0.99999999, TINY, jnp.float32(2)],
        ["a", None, True, 0.5j, TWO],
    ),
    "patience": (COUNT, [-1, 2.5, nan, math.inf, 2**31], [None, "3", False, TWO]),
    "threshold": ("a finite number, 0 or more", [-1e-4, nan, math.inf, BIG], [None, "1e-4", True]),
    "threshold_mode": ("one of 'rel', 'abs'", ["x", "REL"], [None, 3]),
    "mode": ("one of 'min', 'max'", ["x", "auto"], [None, min]),
    "cooldown": (COUNT, [-1, 1.5], [None, True]),
    "window": ("a whole number, 1 or more", [0, -1, 1.5], [None, True]),
    "min_value": ("a finite number, 0 or more", [-0.1, nan, math.inf, BIG], [None, "0", True, TWO]),
    "min_scale": ("a number from 0 to 1", [-1, 2, nan, -TINY, 1.001], ["0", None, True]),
    "max_scale": ("a finite factor, 1 or more", [0.5, 0, -1, nan, math.inf], ["10", None, True, TWO]),
}
BAD = [
    pytest.param(
        closed, parameter, value, error, id=f"{name}-{parameter}-{str(value).replace(' ', '')}"
    )
    for name, closed in (("plateau", plateau), ("greedy", greedy))
    for parameter, (_, wrong, not_one) in REFUSED.items()
    if parameter not in OWN[greedy if closed is plateau else plateau]
    for error, values in ((ValueError, wrong), (TypeError, not_one))
    for value in values
]


@pytest.mark.parametrize(("closed", "parameter", "value", "error"), BAD)
def test_a_bad_setting_raises_one_line_with_function_parameter_rule_and_value(
    closed: Any, parameter: str, value: Any, error: type[Exception]
):
    with pytest.raises(error) as raised:
        closed(**{"schedule": 0.1, parameter: value})
    shown = (
        "an array of shape (2,)"
        if np.shape(value) == (2,)
        else repr(getattr(value, "item", lambda: value)())
    )
    rule, *_ = REFUSED[parameter]
    hint = "" if parameter == "schedule" else HINTS.get(shown, "")
    assert str(raised.value) == f"{closed.__name__}: {parameter} must be {rule}, got {shown}{hint}"


@BOTH
def test_a_missing_schedule_and_an_unknown_setting_raise_with_the_signature(closed: Any):
    with pytest.raises(
        TypeError, match=rf"^{closed.__name__}: .*'schedule'; it takes \(schedule,.*\)$"
    ):
        closed()
    own, others = (OWN[c] for c in ((plateau, greedy) if closed is plateau else (greedy, plateau)))
    for name in others:
        with pytest.raises(TypeError, match=rf"^{closed.__name__}: .*'{name}'; it takes .*{own[0]}"):
            closed(0.1, **{name: 0.5})


@BOTH
def test_traced_settings_of_a_wrong_shape_raise(closed: Any):
    with pytest.raises(TypeError, match=rf"^{closed.__name__}: factor must be .*, got a traced"):
        jax.eval_shape(lambda factor: closed(0.1, factor).init(), np.zeros(2, np.float32))


@BOTH
def test_value_left_out_raises_one_line_that_names_observe(closed: Any):
    opt = inject(closed(0.1))
    line = rf"^{closed.__name__}: [^\n]*value=[^\n]*observe[^\n]*$"
    for arguments in ((ONE, opt.init(ONE)), (ONE, opt.init(ONE), ONE)):
        with pytest.raises(TypeError, match=line):
            opt.update(*arguments)
    for wrapped in (optax.chain(optax.clip(1.0), opt), optax.MultiSteps(opt, 2)):
        with pytest.raises(TypeError, match=rf"^{closed.__name__}: .*value=.*observe"):
            jax.eval_shape(wrapped.update, ONE, wrapped.init(ONE), ONE)


@BOTH
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        (np.zeros(3, np.float32), r"an array of shape \(3,\)"),
        (jnp.zeros((1,), jnp.float32), r"an array of shape \(1,\)"),
        ([1.0], r"\[1.0\]"),
        ({"loss": 1.0}, r"\{'loss': 1.0\}"),
        (True, "True"),
        (1j, "1j"),
    ],
)
def test_a_value_that_is_no_number_raises_one_line(closed: Any, value: Any, shown: str):
    opt = inject(closed(0.1))
    line = f"^{closed.__name__}: value must be a number.*None where.*, got {shown}[^\n]*$"
    with pytest.raises(TypeError, match=line):
        opt.update(ONE, opt.init(ONE), ONE, value=value)
    with pytest.raises(TypeError, match=f"^{closed.__name__}: value must be a number"):
        closed(0.1).update(closed(0.1).init(), value=value)


@BOTH
@pytest.mark.parametrize(
    "user",
    [
        lambda closed: optax.adamw(closed),
        lambda closed: optax_sched.scale_by_learning_rate(closed),
        lambda closed: optax_sched.scale_by_schedule(optax_sched.warmup(closed, 2)),
        lambda closed: inject(plateau(closed)),
    ],
    ids=["adamw", "scale_by_learning_rate", "warmup", "plateau"],
)
def test_where_it_gets_no_state_it_says_where_to_put_it(closed: Any, user: Any):
    with pytest.raises(
        TypeError, match=rf"^{closed.__name__}: .*optax\.inject_hyperparams.*{closed.__name__}\("
    ):
        opt = user(closed(constant(0.1)))
        opt.update(ONE, opt.init(ONE), ONE)
