"""Source texts: what `repr` prints comes back, and all else is one line with its place."""

import functools
import sys
import warnings

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from support.amount import at_most
from tables.cases import CASES, OWN, halving
from tables.trees import few, trees
from test_config import assert_same, functions_in

import optax_sched as os
from optax_sched import from_source

COSINE = "cosine_decay(0.1, 1000)"


@pytest.mark.parametrize(("name", "label", "example"), CASES, ids=[label for _, label, _ in CASES])
def test_every_example_comes_back_exactly(name, label, example):
    if functions_in(example.schedule):
        with pytest.raises(
            ValueError, match=r"^from_source: (line 1 |.*must be the name of a builder)"
        ):
            from_source(repr(example.schedule))
        return
    back = from_source(repr(example.schedule), OWN)
    assert repr(back) == repr(example.schedule)
    assert jax.tree.structure(back) == jax.tree.structure(example.schedule)


@few(max_examples=at_most(60, 200))
@given(trees(3))
def test_compositions_come_back_exactly(tree):
    if not functions_in(tree):
        assert repr(from_source(repr(tree), OWN)) == repr(tree)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_random_keys_of_every_kind_come_back(impl):
    noisy = os.noisy(0.1, jax.random.key(7, impl=impl), 0.1)
    assert_same(noisy, from_source(repr(noisy)))
    assert repr(eval(repr(noisy), {"jax": jax, **vars(os)})) == repr(noisy)


def test_arrays_come_back_as_the_numbers_that_they_equal():
    schedule = os.piecewise_constant(jnp.array([0.1, 0.3]), jnp.array([7]))
    assert repr(from_source(repr(schedule))) == repr(schedule)


@pytest.mark.parametrize(
    "text",
    [
        COSINE,
        "  cosine_decay(0.1, decay_steps=1000)\n",
        "\n\n  cosine_decay(\n    1e-1,  # the peak\n  1_000,\n)  ",
        "optax_sched.cosine_decay(init_value=+0.1, decay_steps=0x3E8)",
        "(cosine_decay(0.1, 1000))",
    ],
)
def test_texts_by_hand(text):
    assert repr(from_source(text)) == repr(os.cosine_decay(0.1, 1000))


def test_sequences_may_be_tuples_and_operands_numbers():
    made = from_source("join((0.1, piecewise_constant((-1.0, 0.5), [10])), [5])")
    assert repr(made) == repr(os.join([0.1, os.piecewise_constant([-1.0, 0.5], [10])], [5]))
    assert repr(from_source("multiply(2.0, 0.5)")) == repr(os.multiply(2.0, 0.5))


@pytest.mark.parametrize("shape", [os.power_shape(1.5), os.k_shape(0.5)], ids=repr)
def test_shapes_come_back_alone_and_within(shape):
    assert repr(from_source(repr(shape))) == repr(shape)
    assert jax.tree.structure(from_source(repr(shape))) == jax.tree.structure(shape)
    schedule = os.wsd(0.1, 10, 20, 100, shape=shape)
    assert_same(schedule, from_source(repr(schedule)))


ARITHMETIC = [
    "0.1 * cosine_decay(1.0, 900) + 1e-5",
    "1 - inverse_time_decay(1.0, 1, 1.0)",
    "-constant(0.1) + +constant(0.3)",
    "constant(0.1) / 4 - 0.02 - linear(0.1, 0.0, 9)",
    "(constant(1) + constant(2)) + 2 * (constant(3) * 0.5)",
    "linear(1.0, 0.0, 9) ** 2 ** 0.5",
    "warmup(0.1 * constant(0.1) + 0.2, 10 - 2 * -3, shape='cosine')",
    "join([0.1 * constant(1), -1 * constant(3)], [4 * 5])",
    "multiply(constant(2) + 1, -(2 - 1) / 4)",
    "cosine_decay(1 / 3, 10**6 + 7)",
    "cosine_decay(0.1, 2**3.0, --0.01)",
]


@pytest.mark.parametrize("text", ARITHMETIC)
def test_arithmetic_builds_what_python_builds(text):
    assert repr(from_source(text)) == repr(eval(text, dict(vars(os))))


def test_users_builders():
    made = from_source("warmup(halving(0.1, period=3), 10)", {"halving": halving})
    assert repr(made) == repr(os.warmup(halving(0.1, 3), 10))
    renamed = from_source("mine(0.1, 3)", {"mine": halving})
    assert repr(renamed) == repr(halving(0.1, 3))


@pytest.mark.parametrize(
    ("builders", "says"),
    [
        ([halving], "from_source: builders must be a dict of builders by name, got "),
        ({"mine": print}, "from_source: builders['mine'] must be made by schedule or feedback, got "),
        ({"linear": halving}, "from_source: builders['linear'] has the name of a built-in: rename it"),
    ],
)
def test_wrong_builders_are_refused(builders, says):
    with pytest.raises((TypeError, ValueError)) as refused:
        from_source(COSINE, builders)
    assert str(refused.value).startswith(says)


def nested(levels: int) -> str:
    return "delay(" * levels + COSINE + ", 1)" * levels


BAD = [
    ("", "text must be a call of a builder, such as cosine_decay(0.1, 1000), got ''"),
    (" \n", "text must be a call of a builder"),
    ("0.1", "line 1 must be a call of a builder"),
    ("cosine_decay", "line 1 must be a call of a builder"),
    ("[constant(0.1)]", "line 1 must be a call of a builder"),
    ("constant(0.1), constant(0.2)", "line 1 must be a call of a builder"),
    ("lambda t: constant(0.1)", "line 1 must be a call of a builder"),
    ("constant(0.1)\n)(constant(0.2)", "line 2 is not valid Python"),
    ("import os", "line 1 is not valid Python"),
    ("constant(0.1); import os", "line 1 is not valid Python"),
    ("\n  constant(0.1", "line 2 is not valid Python: '(' was never closed"),
    (
        "cosin_decay(0.1, 10)",
        "builder must be the name of a builder, got 'cosin_decay'; did you mean cosine_decay?",
    ),
    ("warmup(\n  é(1), 2)", "schedule.builder must be the name of a builder, got 'é'; give your own"),
    ("warmup(\n  'é', T)", "line 2 must be a number, a string, a call or arithmetic, got 'T'"),
    ("warmup('é', cosin(1))", "warmup_steps.builder must be the name of a builder, got 'cosin'; cos"),
    ("__import__('os').system('touch x')", "builder must be the name of a builder"),
    ("optax_sched.schedule.__globals__(1)", "builder must be the name of a builder"),
    ("os.system('touch x')", "builder must be the name of a builder"),
    ("(lambda: 0)()", "builder must be the name of a builder"),
    ("constant(0.1)(5)", "builder must be the name of a builder"),
    ("schedule(0.1)", "builder must be the name of a builder"),
    ("2 * 3", "line 1 must be a call of a builder"),
    ("constant(1) + 'x'", "line 1 must be a number or a call, got "),
    ("constant(1) + True", "line 1 must be a number or a call, got 'True'"),
    ("[constant(1)] * 2", "line 1 must be a number or a call, got '[constant(1)]'"),
    (
        "constant(1) % 2",
        "line 1 must be a number, a string, a call or arithmetic, got 'constant(1) % ",
    ),
    ("constant(1) ** 0", "power: exponent must be a positive finite number, got 0"),
    ("2 ** constant(1)", "power: exponent must be a positive finite number, got constant("),
    ("constant(1) / 0", "divide: divisor must be a finite number other than 0, got 0"),
    ("1 / constant(1)", "divide: divisor must be a finite number other than 0, got constant("),
    ("1 / 0 * constant(1)", "line 1 must be a finite number, got '1 / 0'"),
    ("9**9**9 * constant(1)", "line 1 must be a finite number, got '9**9**9'"),
    ("(-8)**0.5 * constant(1)", "line 1 must be a finite number, got '(-8)**0.5'"),
    ("0.1 * warmup(cosine_decay(-1, 9), 10)", "schedule.init_value must be a finite number, 0 or more"),
    ("plateau(0.1) * 2", "plateau: a closed loop has no arithmetic: put it inside"),
    ("+".join(["constant(1)"] * 3000), "text must be a call of a builder"),
    (
        "cosine_decay(0.1, T)",
        "line 1 must be a number, a string, a call or arithmetic, got 'T'",
    ),
    ("cosine_decay(1j, 10)", "line 1 must be a number"),
    ("cosine_decay(b'1', 10)", "line 1 must be a number"),
    ("cosine_decay(f'{1}', 10)", "line 1 must be a number"),
    ("cosine_decay(~1, 10)", "line 1 must be a number"),
    ("cosine_decay(-True, 10)", "line 1 must be a number"),
    ("cosine_decay(..., 10)", "line 1 must be a number"),
    ("cosine_decay({}, 10)", "line 1 must be a number"),
    ("cosine_decay(x := 1, 10)", "line 1 must be a number"),
    ("multiply(*[0.1])", "line 1 must be a number"),
    ("constant(**{'value': 1})", "line 1 must be written out"),
    ("constant(value=1, value=2)", "constant: value is given twice"),
    ("table([[0.1]])", "values[0] must be a finite number, got [0.1]"),
    (
        "cosine_decay(0.1, 0)",
        "decay_steps must be a positive finite number of steps, got 0 (in cosine_decay)",
    ),
    ("cosine_decay(0.1, decay_steps=0)", "decay_steps must be a positive"),
    ("warmup(\n cosine_decay(-1, 9), 10)", "schedule.init_value must be a finite"),
    ("cosine_decay(1e999, 10)", "init_value must be a finite number, 0 or more, got inf"),
    (
        "cosine_decay('0.1', 10)",
        "init_value must be a finite number, 0 or more, got '0.1': write 0.1",
    ),
    (
        "cosine_decay('1e-1', 10)",
        "init_value must be a finite number, 0 or more, got '1e-1': write",
    ),
    (
        "cosine_decay(0.1, 0x" + "f" * 5000 + ")",
        "decay_steps must be a positive finite number of steps, got an int",
    ),
    ("cosine_decay(0.1)", "decay_steps is missing; cosine_decay takes init_value, decay_steps, "),
    (
        "cosine_decay(0.1, 1, 1, 1, 1)",
        "cosine_decay: too many positional",
    ),
    (
        "cosine_decay(0.1, decay_step=1)",
        "decay_step is unknown; did you mean decay_steps?; cosine_decay",
    ),
    ("warmup(0.1, 10, shape='cubic')", "shape must be one of 'linear', "),
    ("join([0.1, 'x'], [5])", "schedules[1] must be a schedule"),
    ("noisy(0.1, jax.random.key(0), 0.1)", "key must be a seed, or a key as "),
    (
        "noisy(0.1, jax.random.wrap_key_data(jax.numpy.array([1, 2, 3], 'uint32')), 0.1)",
        "key must be a seed, or a key as ",
    ),
    ("noisy(0.1, jax.random.wrap_key_data(evil()), 0.1)", "line 1 must be a key"),
    ("noisy(0.1, jax.random.wrap_key_data(), 0.1)", "line 1 must be a key"),
    (
        "noisy(0.1, jax.random.wrap_key_data(jax.numpy.array([1, -2], 'uint32')), 0.1)",
        "key must be a seed, or a key as ",
    ),
    (nested(30), "text must be at most 30 schedules deep and 10000 in all"),
    (
        "multiply(" + "constant(1), " * 10_000 + ")",
        "text must be at most 30 schedules deep and 10000 in all, got more from schedules[9999] on",
    ),
    ("(" * 1000, "line 1 is not valid Python: too many nested parentheses"),
    ("-" * 100_000 + "1", "text must be a call of a builder"),
    ("1" + "+1" * 100_000, "text must be a call of a builder"),
    ("a" + ".a" * 100_000, "text must be a call of a builder"),
    ("constant(" + "not " * 20_000 + "1)", "text must be a call of a builder"),
    ("constant(\0)", ""),
    ("constant('\ud800')", "text must be a call of a builder"),
]


@pytest.mark.parametrize(("text", "says"), BAD, ids=[ascii(text[:40]) for text, _ in BAD])
def test_a_bad_text_is_refused_in_one_line_with_its_place(text, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    modules = set(sys.modules)
    with pytest.raises((TypeError, ValueError)) as refused:
        from_source(text)
    assert str(refused.value).startswith(f"from_source: {says}") and "\n" not in str(refused.value)
    assert set(sys.modules) == modules and not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [None, 3, b"constant(0.1)", os.constant(0.1)])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(TypeError, match=r"^from_source: text must be a string, got "):
        from_source(text)


def test_as_deep_and_as_many_as_configs_may_be():
    deepest = functools.reduce(lambda inner, _: os.delay(inner, 1), range(29), os.constant(0.1))
    assert repr(from_source(repr(deepest))) == repr(deepest)


def test_a_text_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="shape must be"):
            from_source(r"warmup(0.1, 10, shape='\d')")
