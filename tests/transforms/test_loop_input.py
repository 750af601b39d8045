# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""What closed loops refuse, in one line: settings, metrics, places without a state, rules."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.injected import inject
from tables import loops
from tables.loops import LOOPS
from tables.plateau_oracle import nan

import optax_sched as o
from optax_sched import constant, feedback, observe

# Called wrongly on purpose, and to optax's types a state is any tree.
spike_guard: Any = loops.spike_guard
kl_adaptive: Any = o.kl_adaptive
plateau: Any = o.plateau
greedy: Any = o.greedy
reduce_on_plateau: Any = o.reduce_on_plateau
scale_by_feedback: Any = o.scale_by_feedback
ONE = np.float32(1.0)
EACH = pytest.mark.parametrize("name", LOOPS)


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


TWO, TINY, BIG = np.array([0.5, 0.5], np.float32), 1e-40, 1e39  # to float32, 0 and inf
COUNT = "a whole number, 0 or more"
# What an error adds where a number obeys the rule, but not as it is stored.
HINTS = {
    "1e+39": ": in float32 JAX takes 1e+39 for inf",
    "1e-40": ": in float32 JAX takes 1e-40 for 0.0",
    "0.99999999": ": in float32 JAX takes 0.99999999 for 1.0",
    "2147483648": ": an integer is at most 2147483647",
    **dict.fromkeys(
        ("an array of shape (2,)", "[0.5]"),
        ": for several values, grid or stack makes a batch of schedules",
    ),
}
PARAMETERS = {
    plateau: "schedule factor patience threshold threshold_mode mode cooldown window start min_value "
    "observe_only",
    greedy: "schedule factor max_scale min_scale min_value",
    reduce_on_plateau: "factor patience threshold threshold_mode mode cooldown min_scale window start "
    "observe_only",
    spike_guard: "schedule limit min_value observe_only",
    kl_adaptive: "schedule target",
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
        ["a", None, True, 0.5j, TWO, [0.5]],
    ),
    "patience": (COUNT, [-1, 2.5, nan, math.inf, 2**31, jnp.float32(2.5)], [None, "3", False, TWO]),
    "threshold": ("a finite number, 0 or more", [-1e-4, nan, math.inf, BIG], [None, "1e-4", True]),
    "threshold_mode": ("one of 'rel', 'abs'", ["x", "REL"], [None, 3, 1.0]),
    "mode": ("one of 'min', 'max'", ["x", "auto"], [None, min, -1]),
    "cooldown": (COUNT, [-1, 1.5, np.int64(-1)], [None, True]),
    "window": ("a whole number, 1 or more", [0, -1, 1.5, nan], [None, True]),
    "start": (COUNT, [-1, 0.5], [None, "a"]),
    "min_value": ("a finite number, 0 or more", [-0.1, nan, math.inf, BIG], [None, "0", True, TWO]),
    "min_scale": ("a number from 0 to 1", [-1, 2, nan, -TINY, 1.001], ["0", None, True]),
    "max_scale": ("a finite factor, 1 or more", [0.5, 0, -1, nan, math.inf], ["10", None, True, TWO]),
    "observe_only": ("one of False, True", [], [None, 1, "yes"]),
    **dict.fromkeys(
        ("target", "limit"),
        ("a positive finite number", [0, -1, nan, math.inf], ["a", None, True, TWO]),
    ),
}
BAD = [
    pytest.param(builder, name, value, error, id=f"{builder.__name__}-{name}-{value}".replace(" ", ""))
    for builder, names in PARAMETERS.items()
    for name in names.split()
    for error, values in zip((ValueError, TypeError), REFUSED[name][1:], strict=True)
    for value in values
]


@pytest.mark.parametrize(("builder", "name", "value", "error"), BAD)
def test_a_bad_setting_raises_one_line_with_function_parameter_rule_and_value(
    builder: Any, name: str, value: Any, error: type[Exception]
):
    base = {
        reduce_on_plateau: {},
        kl_adaptive: {"schedule": 0.1, "target": 1},
        spike_guard: {"schedule": 0.1, "limit": 1},
    }
    with pytest.raises(error) as raised:
        builder(**{**base.get(builder, {"schedule": 0.1}), name: value})
    shown = (
        "an array of shape (2,)"
        if np.shape(value) == (2,)
        else repr(getattr(value, "item", lambda: value)())
    )
    rule, *_ = REFUSED[name]
    hint = "" if name == "schedule" else HINTS.get(shown, "")
    if builder is reduce_on_plateau and "grid" in hint:  # no batch of schedules makes a transformation
        hint = ""
    assert str(raised.value) == f"{builder.__name__}: {name} must be {rule}, got {shown}{hint}"


def test_what_kl_adaptive_refuses():
    with pytest.raises(ValueError, match=r"^kl_adaptive: factor must be .* other than 1, got 1$"):
        kl_adaptive(0.1, 1.0, factor=1)
    with pytest.raises(ValueError, match=r"^kl_adaptive: tolerance must be .* above 1, got 0\.5$"):
        kl_adaptive(0.1, 1.0, tolerance=0.5)
    with pytest.raises(
        ValueError, match=r"^kl_adaptive: min_scale must be at most max_scale = 2\.0, got 3$"
    ):
        kl_adaptive(0.1, 1.0, min_scale=3, max_scale=2)
    with pytest.raises(ValueError, match=r"^kl_adaptive: max_scale must be a positive finite number"):
        kl_adaptive(0.1, 1.0, max_scale=0)


def test_what_is_missing_and_what_is_unknown_is_named():
    for builder in (plateau, greedy, spike_guard):
        with pytest.raises(
            TypeError, match=rf"^{builder.__name__}: .*'schedule'; it takes \(schedule,"
        ):
            builder()
        with pytest.raises(TypeError, match=rf"^{builder.__name__}: .*patients"):
            builder(0.1, patients=3)
    with pytest.raises(TypeError, match=r"^reduce_on_plateau: .*patients"):
        reduce_on_plateau(patients=3)
    with pytest.raises(TypeError, match=r"^plateau: .*positional"):
        plateau(0.1, 0.5, 1, 0.0, "rel", "min", 0, 1, 0, 0.01)


def test_traced_settings_of_a_wrong_shape_raise():
    for builder in (plateau, greedy):
        with pytest.raises(TypeError, match=rf"^{builder.__name__}: factor must be .*, got a traced"):
            jax.eval_shape(lambda x, make=builder: make(0.1, x).init(), np.zeros(2, np.float32))
    with pytest.raises(TypeError, match=r"^reduce_on_plateau: patience must be .*, got a traced"):
        jax.eval_shape(lambda x: reduce_on_plateau(patience=x).init(ONE), np.zeros(2, np.int32))


def hosts(name: str) -> list[tuple[str, Any]]:
    """What an error calls a loop, and the loop inside optax."""
    loop = LOOPS[name].make(0.1)
    own = repr(loop).partition("(")[0]
    return [(own, inject(loop)), ("scale_by_feedback", o.scale_by_feedback(loop))]


@EACH
def test_value_left_out_raises_one_line_that_names_observe(name: str):
    named = hosts(name)
    if name == "plateau":
        named.append(("reduce_on_plateau", reduce_on_plateau()))
    for where, opt in named:
        line = rf"^{where}: [^\n]*value=[^\n]*observe[^\n]*$"
        for wrapped in (opt, optax.chain(optax.clip(1.0), opt)):
            with pytest.raises(TypeError, match=line):
                wrapped.update(ONE, wrapped.init(ONE), ONE)
        multi = optax.MultiSteps(opt, 2)
        with pytest.raises(TypeError, match=rf"^{where}: .*value=.*observe"):
            jax.eval_shape(multi.update, ONE, multi.init(ONE), ONE)


class Wordy:
    def __repr__(self) -> str:
        return "two\nlines"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        (np.zeros(3, np.float32), r"an array of shape \(3,\)"),
        (jnp.zeros((1,), jnp.float32), r"an array of shape \(1,\)"),
        (object(), "<object"),
        ([1.0], r"\[1.0\]"),
        ({"loss": 1.0}, r"\{'loss': 1.0\}"),
        (True, "True"),
        (np.bool_(True), "True"),
        (1j, "1j"),
        (jnp.complex64(1), r"\(1\+0j\)"),
        (Wordy(), "two lines"),
    ],
)
def test_a_value_that_is_no_number_raises_one_line_at_update_and_at_observe(value: Any, shown: str):
    for name in ("plateau", "spike_guard"):
        for where, opt in hosts(name):
            state = opt.init(ONE)
            line = f"^{where}: value must be a number.*None where.*, got {shown}[^\n]*$"
            with pytest.raises(TypeError, match=line):
                opt.update(ONE, state, ONE, value=value)
            with pytest.raises(TypeError, match=f"^observe: value must be a number.*, got {shown}"):
                observe(state, value)


def test_a_traced_array_as_value_and_nothing_to_observe_raise():
    opt = reduce_on_plateau()
    with pytest.raises(TypeError, match=r"^reduce_on_plateau: value must be a number.*, got a traced"):
        jax.eval_shape(lambda loss: opt.update(ONE, opt.init(ONE), value=loss), np.zeros(3, np.float32))
    with pytest.raises(TypeError, match=r"^observe: value must be a number.*, got None$"):
        observe(opt.init(ONE), None)
    for other in (
        optax.sgd(0.1),
        optax.adam(0.1),
        optax.contrib.reduce_on_plateau(),
        inject(o.live(1)),
    ):
        with pytest.raises(ValueError, match=r"^observe: opt_state must hold a closed loop[^\n]*$"):
            observe(other.init(ONE), 1.0)


@EACH
def test_where_it_gets_no_state_it_says_where_to_put_it(name: str):
    loop = LOOPS[name].make(constant(0.1))
    own = repr(loop).partition("(")[0]
    opt = optax.adamw(loop)
    with pytest.raises(TypeError, match=rf"^{own}: .*optax\.inject_hyperparams.*{own}\("):
        opt.update(ONE, opt.init(ONE), ONE)


@EACH
def test_it_is_no_operand_of_a_schedule(name: str):
    loop = LOOPS[name].make(0.1)
    users = {
        "warmup": lambda: o.warmup(loop, 2),
        "multiply": lambda: o.multiply(loop, 2),
        "join": lambda: o.join([loop, 0.1], [2]),
        "plateau": lambda: plateau(loop),
        "live": lambda: o.live(loop),
        "scale_by_schedule": lambda: o.scale_by_schedule(loop),
        "scale_by_learning_rate": lambda: o.scale_by_learning_rate(loop),
        "replace_schedule": lambda: o.replace_schedule(inject(o.live(0.1)).init(ONE), loop),
    }
    for where, use in users.items():
        with pytest.raises(TypeError, match=rf"^{where}: schedules?.* must be [^\n]*, got [^\n]*$"):
            use()
    with pytest.raises(
        TypeError, match=r"closed loops go around a schedule, .*: give a schedule alone"
    ):
        o.warmup(loop, 2)


def test_a_rule_that_jax_cannot_trace_is_told_what_to_write():
    stalled = o.feedback(lambda scale, value: scale * 0.5 if value > 1 else scale, name="stalled")
    loop = stalled(0.1)
    with pytest.raises(jax.errors.TracerBoolConversionError) as raised:
        loop.update(loop.init(), value=2.0)
    assert raised.value.__notes__[0].startswith("stalled: JAX traces this function")


@pytest.mark.promotes
@pytest.mark.parametrize("rate", [plateau(0.1), o.live(0.1)])
def test_in_an_optimizer_alone_it_says_where_it_belongs(rate: Any):
    opt = optax.adam(rate)
    with pytest.raises(
        TypeError,
        match=r"write optax\.inject_hyperparams.*, which keeps .* it was called with 0",
    ):
        opt.update(ONE, opt.init(ONE))


@pytest.mark.parametrize("value", [0.1, constant(0.1), plateau, None, optax.sgd(0.1)])
def test_scale_by_feedback_takes_a_closed_loop_alone(value: Any):
    with pytest.raises(
        TypeError, match=r"^scale_by_feedback: closed_loop must be a closed loop, [^\n]*$"
    ):
        scale_by_feedback(value)


def test_loops_of_two_kinds_make_no_batch_and_a_batch_is_no_loop():
    for pair in ([plateau(0.1), greedy(0.1)], [plateau(0.1), 0.1], [o.linear(1, 0, 9), plateau(0.1)]):
        with pytest.raises(
            TypeError, match=r"^stack: schedules must be schedules alone, or closed loops"
        ):
            o.stack(pair)
    with pytest.raises(ValueError, match=r"^stack: observe_only in schedules must be the same in all"):
        o.stack([plateau(0.1), plateau(0.1, observe_only=True)])
    batch = o.stack([plateau(0.1), plateau(0.2)])
    for use in (batch.init, lambda: o.scale_by_feedback(batch).init(ONE)):
        with pytest.raises(
            ValueError, match=r"^plateau: schedule has a leading axis, so this is a batch"
        ):
            use()


# --- Rules of one's own --------------------------------------------------------------------------


class Memory(NamedTuple):
    scale: Any = 1.0
    seen: Any = 0


class NoScale(NamedTuple):
    seen: Any = 0


@pytest.mark.parametrize(
    "name",
    ["init", "update", "replace", "step", "reset", "schedule", "min_value", "observe_only", "_mine"],
)
def test_names_that_a_hyperparameter_may_not_have(name: str):
    space: dict[str, Any] = {}
    exec(f"def rule(memory, value, {name}): return memory", space)
    with pytest.raises(TypeError, match=f"^rule: a hyperparameter may not be named '{name}'$"):
        feedback(space["rule"])


def test_what_is_no_rule_raises_when_it_is_decorated():
    for wrong in (3, "rule", plateau(0.1)(plateau(0.1).init())):
        with pytest.raises(TypeError, match=r"^feedback: rule must be a function or a lambda, got"):
            feedback(wrong)  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(TypeError, match="memory and value first"):
        feedback(lambda scale: scale, name="one")  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(TypeError, match=r"^hiding: .*\*\*more hides them"):
        feedback(lambda memory, value, **more: memory, name="hiding")
    with pytest.raises(TypeError, match=r"^mine: init must be a NamedTuple with a field scale"):
        feedback(lambda memory, value: memory, name="mine", init=NoScale())
    with pytest.raises(TypeError, match=r"^mine: init must be a NamedTuple with a field scale"):
        feedback(lambda memory, value: memory, name="mine", init=2.0)
    with pytest.raises(
        TypeError, match=r"^mine: init must be a NamedTuple, got its class: write Memory\(\)$"
    ):
        feedback(lambda memory, value: memory, name="mine", init=Memory)
    with pytest.raises(TypeError, match=r"^mine: init asks for other, which is no hyperparameter"):
        feedback(lambda memory, value, one: memory, name="mine", init=lambda other: Memory())
    made = feedback(lambda memory, value, one: memory, name="mine", init=lambda one: (one,))
    with pytest.raises(TypeError, match=r"^mine: init must be a NamedTuple with a field scale"):
        made(0.1, 1.0).init()


WRONG_RULES = {
    "a scalar for a NamedTuple": (lambda memory, value: value, Memory()),
    "a NamedTuple for a scalar": (lambda memory, value: Memory(), None),
    "a tuple": (lambda memory, value: tuple(memory), Memory()),
    "another shape": (lambda memory, value: memory._replace(scale=jnp.ones(2)), Memory()),
    "nothing": (lambda memory, value: None, None),
}


def test_the_shape_that_a_rule_got_wrong_is_shown():
    rule, init = WRONG_RULES["another shape"]
    loop = feedback(rule, name="mine", init=init)(0.1)
    shown = r"of the shapes Memory\(scale=\(\), seen=\(\)\), got Memory\(scale=\(2,\), seen=\(\)\)"
    with pytest.raises(TypeError, match=shown):
        loop.update(loop.init(), value=1.0)


def test_a_class_whose_fields_are_hyperparameters_makes_the_memory():
    made = feedback(lambda memory, value, scale, seen: memory, name="mine", init=Memory)
    assert float(made(0.1, scale=0.5, seen=2).init().scale) == 0.5


@pytest.mark.parametrize("case", WRONG_RULES)
def test_a_rule_that_returns_something_else_is_named(case: str):
    rule, init = WRONG_RULES[case]
    loop = feedback(rule, name="mine", init=init)(0.1)
    with pytest.raises(TypeError, match=r"^mine: the rule must return what it was given, [^\n]*, got "):
        loop.update(loop.init(), value=1.0)


def test_a_check_is_asked_for_rules_too():
    def ordered(low, high):
        return None if low < high else ("low", "below high")

    between = feedback(
        lambda scale, value, low, high: jnp.clip(value, low, high), name="between", check=ordered
    )
    assert between(0.1, 1.0, 2.0).high == 2.0
    with pytest.raises(ValueError, match=r"^between: low must be below high, got 3$"):
        between(0.1, 3, 2)
