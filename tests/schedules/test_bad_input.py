"""Bad settings raise when a schedule is built: builder, parameter, rule and value, in one line."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import EVERYTHING
from tables.bad_calls import BAD, COS, GOOD, REFUSED
from tables.cases import BUILDERS, OWN, ROWS, halving

import optax_sched as os
from optax_sched.typing import Operands

NAMES = pytest.mark.parametrize("name", [name for name in GOOD if name != "plain"])


def name_of(builder: Callable[..., Any]) -> str:
    return builder.__name__


def builder_of(name: str) -> Callable[..., Any]:
    return halving if name == "halving" else getattr(os, name)


def call(builder: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """The builder's call with arguments by name; `*schedules` cannot go by name."""
    named, positional = dict(arguments), ()
    for name, hyper in inspect.signature(builder).parameters.items():
        if hyper.kind is hyper.VAR_POSITIONAL:
            positional = named.pop(name)
    return builder(*positional, **named)


def label(bad):
    builder, arguments, *_ = bad
    parameter, *_ = arguments
    return f"{name_of(builder)}-{parameter}-{str(arguments[parameter])[:20]}"


@pytest.mark.parametrize("bad", BAD, ids=label)
def test_bad_value_names_builder_parameter_rule_and_value(bad):
    builder, arguments, rule, value = bad
    parameter, *_ = arguments
    with pytest.raises((ValueError, TypeError)) as caught:
        call(builder, {**GOOD[name_of(builder)], **arguments})
    text = str(caught.value)
    assert text.startswith(f"{name_of(builder)}: {parameter} must be ")
    said, _, shown = text.partition(", got ")
    assert rule in said
    assert value in shown
    assert "\n" not in text
    assert len(text) < 300


def good(name: str) -> dict[str, Any]:
    """Arguments that the builder takes."""
    schedule = ROWS[name].examples[0].schedule
    return {hyper: getattr(schedule, hyper) for hyper in inspect.signature(BUILDERS[name]).parameters}


BUILT_IN = pytest.mark.parametrize("name", sorted(BUILDERS.keys() - OWN.keys()))


@BUILT_IN
def test_each_parameter_refuses_what_its_word_refuses(name):
    builder = BUILDERS[name]
    for parameter, hyper in inspect.signature(builder).parameters.items():
        word, _, none = str(hyper.annotation).partition(" | ")
        rule, bad = REFUSED[word]
        for value in bad:
            if value is None and none:
                continue
            with pytest.raises((ValueError, TypeError)) as caught:
                call(builder, {**good(name), parameter: value})
            text = str(caught.value)
            assert text.startswith(
                f"{name}: {parameter} must be {rule}{', or None' * bool(none)}, got "
            )
            assert "\n" not in text and len(text) < 300
            if type(value) in (int, float, str, bool, type(None)):
                assert repr(value) in text.partition(", got ")[2]


@BUILT_IN
def test_each_relation_between_parameters_has_a_bad_call(name):
    rows = [words for builder, _, words, _ in BAD if name_of(builder) == name]
    if vars(BUILDERS[name])["formula"].checks:
        assert rows, "give what its check refuses a row in bad_calls.py"


@NAMES
def test_what_the_bad_ones_are_changed_from_is_good(name):
    good = call(builder_of(name), GOOD[name])
    assert jax.eval_shape(good, 3).shape == ()
    if EVERYTHING:
        assert jnp.isfinite(good(3))


@BUILT_IN
def test_missing_and_unknown_arguments_show_the_signature(name):
    builder = BUILDERS[name]
    # Some take any number of schedules, and say that none is too few.
    if name not in ("add", "multiply", "minimum", "maximum"):
        with pytest.raises(
            TypeError, match=rf"^{name}: missing a required argument.*; it takes \("
        ) as caught:
            builder()
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match=rf"^{name}: got an unexpected keyword argument 'nonsense'"):
        call(builder, {**good(name), "nonsense": 1})


def test_nothing_is_checked_under_tracing_but_shape_and_type():
    assert jnp.isfinite(jax.jit(lambda v: os.cosine_decay(v, 10)(3))(-1.0))
    with pytest.raises(TypeError, match=r"^cosine_decay: init_value must be .*a traced float32\[2\]"):
        jax.jit(lambda v: os.cosine_decay(v, 10)(3))(jnp.ones(2))
    with pytest.raises(TypeError, match="a traced complex64"):
        jax.jit(lambda v: os.cosine_decay(v, 10)(3))(1j)


def test_no_relation_is_checked_between_traced_settings():
    @jax.jit
    def value(n):
        values = (
            os.warmup_cosine_decay(0.1, n, 10)(3),
            os.wsd(0.1, n, n, 10)(3),
            os.clip(COS, n, 0.5)(3),
            os.select(n, [COS, 0.1])(3),
        )
        return jnp.stack(values)

    assert jnp.all(jnp.isfinite(value(20)))
    assert float(value(20)[3]) == float(jnp.float32(0.1))  # a traced index is clamped
    with pytest.raises(ValueError, match=r"^clip: min_value must be at most max_value = 0\.5, got 20$"):
        os.clip(COS, 20, 0.5)


@pytest.mark.parametrize("name", ["init", "update", "replace", "step", "_hidden"])
def test_the_decorator_refuses_names_that_optax_or_we_need(name):
    formula = eval(f"lambda t, {name}: 1.0")
    with pytest.raises(TypeError, match=f"^mine: a hyperparameter may not be named '{name}'"):
        os.schedule(formula, name="mine")


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (lambda: 1.0, "takes the step first"),
        (lambda init_value, rate: init_value * rate, "takes the step first"),
        (lambda step, **rest: 1.0, "rest"),
        (3, "function"),
    ],
)
def test_the_decorator_refuses_what_is_no_formula(formula, words):
    with pytest.raises(TypeError, match=words):
        os.schedule(formula, name="mine")


@pytest.mark.parametrize(
    "formula",
    [
        lambda step, a: a if step > 3 else 0.0,
        lambda step, a: a * math.cos(step),
        lambda step, a: a * np.sqrt(step),
        lambda step, a: a * int(step),
        lambda step, a: a * [1.0, 2.0][step],
    ],
    ids=["if", "math", "numpy", "int", "index"],
)
def test_a_formula_that_jax_cannot_trace_is_told_what_to_write(formula):
    with pytest.raises(TypeError) as raised:
        os.schedule(formula, name="mine")(1.0)(0)
    notes = [note for note in raised.value.__notes__ if note.startswith("mine: ")]  # JAX adds one too
    assert len(notes) == 1 and "write it with jax.numpy: jnp.where for if" in notes[0]


def test_a_formula_without_return_is_named():
    def forgot(step, a):
        step * a  # pyright: ignore[reportUnusedExpression]

    with pytest.raises(ValueError, match=r"^forgot: the formula must return a scalar .*, got None\b"):
        os.schedule(forgot)(1.0)(0)


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


def test_a_random_key_is_no_number():
    with pytest.raises(TypeError, match=r"^constant: value must be a finite number, got an array"):
        os.constant(jax.random.key(0))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda number: os.constant(number),
            "constant: value must be a finite number, got an integer of about 5000 digits",
        ),
        (
            lambda number: os.multistep_decay(0.1, [1, -number], 0.1),
            "multistep_decay: boundaries must be a strictly increasing sequence of positive steps, "
            "got [1, an integer of about 5000 digits]",
        ),
    ],
)
def test_a_number_that_python_itself_refuses_to_print_is_told_by_its_digits(call, line):
    with pytest.raises(ValueError) as caught:
        call(10**5000)
    assert str(caught.value) == line


def blend(step, weight, *schedules: Operands, scale=1.0):
    first, second = schedules
    return scale * (weight * first(step) + (1 - weight) * second(step))


def raised(step, base, /, exponent):
    return base**exponent


@pytest.mark.parametrize(
    ("build", "source", "value"),
    [
        (
            lambda blend, raised: blend(0.25, os.linear(1.0, 0.0, 4), 0.5, scale=2.0),
            "blend(0.25, linear(init_value=1.0, end_value=0.0, transition_steps=4), "
            "constant(value=0.5), scale=2.0)",
            2.0 * (0.25 * 0.75 + 0.75 * 0.5),
        ),
        (lambda blend, raised: raised(0.5, exponent=3.0), "raised(0.5, exponent=3.0)", 0.125),
    ],
)
def test_a_formula_may_have_any_signature_that_names_its_hyperparameters(build, source, value):
    builders = {"blend": os.schedule(blend), "raised": os.schedule(raised)}
    s = build(**builders)
    assert float(s(1)) == value
    assert repr(s) == source
    assert float(eval(source, {**vars(os), **builders})(1)) == value
    assert float(os.from_config(os.to_config(s), builders=builders)(1)) == value


@pytest.mark.parametrize("result", [True, False])
def test_a_check_that_answers_yes_or_no_is_told(result):
    """A bool does not say which hyperparameter is wrong: neither answer may pass unseen."""
    build = os.schedule(lambda step, a: a, name="own", check=lambda a: result)
    rule = "a function that returns None, or a hyperparameter and the rule that it breaks"
    with pytest.raises(TypeError, match=rf"^own: check must be {rule}, got {result}$"):
        build(0.1)
