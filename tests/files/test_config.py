"""Schedules as plain dicts: there and back exactly, and one clear line for all that is neither."""

import ast
import functools
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.amount import at_most, one_in
from tables.cases import CASES, OWN, ROWS, halving
from tables.trees import few, leaves, trees

import optax_sched as os
from optax_sched import Schedule, from_config, to_config
from optax_sched._files.reader import BUILT_IN, MAX_DEPTH
from optax_sched.typing import Operands, Rate, Switch

COSINE = os.cosine_decay(0.1, 1000)
PLAIN_TYPES = {dict, list, str, int, float, bool, type(None)}


def through_json(config: Any) -> Any:
    return json.loads(json.dumps(config, allow_nan=False))


def through_yaml(config: Any) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(yaml.safe_dump(config))


def functions_in(schedule: Any) -> bool:
    """Whether any operand is a function, which no plain data stands for: a name that is not called."""
    try:
        nodes = list(ast.walk(ast.parse(repr(schedule), mode="eval")))
    except SyntaxError:  # <locals>
        return True
    called = {node.func for node in nodes if isinstance(node, ast.Call)}
    modules = {node.value for node in nodes if isinstance(node, ast.Attribute)}  # jax.random
    return any(isinstance(node, ast.Name) and node not in called | modules for node in nodes)


def assert_plain(config: Any) -> None:
    assert type(config) in PLAIN_TYPES
    if type(config) is dict:
        assert next(iter(config)) in ("builder", "impl")
        assert all(type(key) is str for key in config)
    for item in config.values() if type(config) is dict else config if type(config) is list else ():
        assert_plain(item)


def bits(leaf: Any) -> tuple[Any, Any, bytes]:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(leaf.dtype), leaf.shape, np.asarray(jax.random.key_data(leaf)).tobytes()
    if isinstance(leaf, int | float):
        return type(leaf), (), np.asarray(leaf).tobytes()
    return str(leaf.dtype), leaf.shape, np.asarray(leaf).tobytes()


def assert_same(schedule: Schedule, back: Schedule) -> None:
    """The same structure and the same bits; so one program, and the same values from it."""
    assert repr(back) == repr(schedule)
    leaves, structure = jax.tree.flatten(schedule)
    leaves_back, structure_back = jax.tree.flatten(back)
    assert structure_back == structure
    assert list(map(bits, leaves_back)) == list(map(bits, leaves))


# ---- there and back ----


def test_every_built_in_builder_is_known_by_its_name():
    public = {name: getattr(getattr(os, name), "formula", None) for name in os.__all__}
    assert {name: it for name, it in public.items() if it is not None} == BUILT_IN


@pytest.mark.parametrize(("name", "label", "example"), CASES, ids=[label for _, label, _ in CASES])
@pytest.mark.parametrize("through", [lambda config: config, through_json, through_yaml])
def test_every_example_comes_back_exactly(name, label, example, through):
    if functions_in(example.schedule):
        with pytest.raises(TypeError, match=r"^to_config: schedules\[\d\] must be plain data"):
            to_config(example.schedule)
        return
    config = to_config(example.schedule)
    assert config["builder"] == name
    assert_plain(config)
    assert_same(example.schedule, from_config(through(config), OWN))


def test_every_builder_has_an_example_that_comes_back():
    assert [n for n, row in ROWS.items() if all(functions_in(e.schedule) for e in row.examples)] == []


@pytest.mark.parametrize("name", one_in(2, ["join", "noisy", "one_cycle", "halving", "wsd_cycles"]))
def test_values_come_back_to_the_bit(name):
    for example in ROWS[name].examples:
        if not functions_in(example.schedule):
            back = from_config(through_json(to_config(example.schedule)), OWN)
            steps = example.steps()
            np.testing.assert_array_equal(back(steps), example.schedule(steps), strict=True)


@few(max_examples=at_most(100, 300))
@given(st.one_of([trees(depth) for depth in (1, 2, 3, 4)]) | leaves)
def test_compositions_come_back_exactly(schedule):
    assume(not functions_in(schedule))
    config = to_config(schedule)
    assert_plain(config)
    for through in (through_json, through_yaml):
        assert_same(schedule, from_config(through(config)))


def test_the_form_of_the_contract():
    assert to_config(os.warmup(COSINE, 100)) == {
        "builder": "warmup",
        "schedule": {
            "builder": "cosine_decay",
            "init_value": 0.1,
            "decay_steps": 1000,
            "end_value": 0.0,
            "exponent": 1.0,
        },
        "warmup_steps": 100,
        "init_value": 0.0,
        "shape": "linear",
    }
    assert to_config(os.multiply(2, os.table([1, 0.5]))) == {
        "builder": "multiply",
        "schedules": [
            {"builder": "constant", "value": 2.0},
            {"builder": "table", "values": [1.0, 0.5]},
        ],
    }
    config = to_config(os.cyclic(0.0, 1.0, 10))
    assert config["steps_down"] is None
    assert to_config(os.one_cycle(0.1, 100))["three_phase"] is False


def test_a_config_by_hand_may_leave_out_defaults_and_write_numbers_for_constants():
    config = {"builder": "join", "schedules": [0.3, {"builder": "silver", "smoothness": 2}]}
    back = from_config({**config, "boundaries": [5]})
    assert repr(back) == "join(schedules=[constant(value=0.3), silver(smoothness=2.0)], boundaries=[5])"
    assert repr(from_config({"builder": "warmup", "schedule": 0.1, "warmup_steps": 3})) == repr(
        os.warmup(0.1, 3)
    )


FLOATS = [0.1, 1 / 3, 1e-5, 3e-38, 16777217.0, 1e22, 5e-324 * 2**1000, 0.1 + 2**-40]


@pytest.mark.parametrize("value", FLOATS)
@pytest.mark.parametrize("through", [through_json, through_yaml])
def test_numbers_come_back_to_the_bit_and_arrays_as_the_numbers_they_equal(value, through):
    back = from_config(through(to_config(os.constant(value))))
    assert back.value == value and type(back.value) is float
    for kind in (np.float32, jnp.float32, jnp.bfloat16):
        given = os.constant(kind(value))
        back = from_config(through(to_config(given)))
        assert type(back.value) is float
        assert np.float32(back.value) == np.float32(given.value)
        assert back(0) == given(0)


def test_float32_is_written_with_the_shortest_digits():
    assert to_config(os.constant(jnp.float32(0.1)))["value"] == 0.1
    assert to_config(os.table(jnp.array([0.1, 0.3], jnp.float32)))["values"] == [0.1, 0.3]
    assert to_config(os.cosine_decay(0.1, jnp.int32(7)))["decay_steps"] == 7


def test_float64_keeps_all_digits_under_x64():
    third = 1 / 3
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        for given in (os.constant(third), os.constant(jnp.float64(third)), os.table([third, 1.0])):
            back = from_config(through_json(to_config(given)))
            assert float(back(0)) == third
        narrow = os.constant(jnp.float32(third))  # here it counts as the float64 that it equals
        assert float(from_config(through_json(to_config(narrow)))(0)) == float(np.float32(third))
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_random_keys_of_every_kind_come_back(impl):
    noisy = os.noisy(COSINE, jax.random.key(7, impl=impl), 0.1)
    config = through_yaml(through_json(to_config(noisy)))
    assert config["key"]["impl"] == impl
    assert_same(noisy, from_config(config))


def test_a_changed_config_is_a_changed_schedule():
    config = through_json(to_config(os.warmup(COSINE, 100)))
    config["schedule"]["decay_steps"] = 50
    assert float(from_config(config)(150)) == 0.0


# ---- builders of one's own ----


def test_own_builders_are_found_under_the_names_they_are_given():
    config = to_config(os.warmup(halving(0.1, 9), 3))
    assert config["schedule"] == {"builder": "halving", "init_value": 0.1, "period": 9}
    assert_same(os.warmup(halving(0.1, 9), 3), from_config(config, builders={"halving": halving}))
    renamed = {**config, "schedule": {**config["schedule"], "builder": "old_name"}}
    assert_same(os.warmup(halving(0.1, 9), 3), from_config(renamed, builders={"old_name": halving}))
    message = (
        r"^from_config: schedule\.builder must be the name of a builder, got 'halving'; give your own"
    )
    with pytest.raises(ValueError, match=message):
        from_config(config)


def test_own_operands_positional_ones_and_scalars_come_back():
    @os.schedule
    def blend(step, *schedules: Operands, weight: Rate, flip: Switch = False):
        return weight * schedules[-1 if flip else 0](step)

    given = blend(COSINE, os.linear(1.0, 0.0, 3), weight=0.5, flip=True)
    back = from_config(through_json(to_config(given)), {"blend": blend})
    assert_same(given, back)
    assert back(1) == given(1)


def test_a_name_means_one_builder():
    own = os.schedule(lambda step, value: 2 * value, name="constant")
    with pytest.raises(ValueError, match=r"^to_config: schedule is of a second builder .*'constant'"):
        to_config(os.warmup(own(1.0), 3))
    with pytest.raises(ValueError, match=r"^from_config: builders\['constant'\] .* of a built-in"):
        from_config({"builder": "constant", "value": 1.0}, {"constant": own})
    same = from_config({"builder": "constant", "value": 1.0}, {"constant": os.constant})
    assert_same(os.constant(1.0), same)
    one, two = (os.schedule(lambda step, a: a, name="twin") for _ in range(2))
    with pytest.raises(ValueError, match=r"^to_config: schedules\[1\] is of a second builder .*'twin'"):
        to_config(os.join([one(1.0), two(1.0)], [3]))


def test_what_is_no_builder_is_refused():
    with pytest.raises(
        TypeError, match=r"^from_config: builders\['f'\] must be made by schedule or feedback, got"
    ):
        from_config({"builder": "f"}, {"f": lambda: os.constant(1.0)})
    with pytest.raises(
        TypeError, match=r"^from_config: builders must be a dict of builders by name, g"
    ):
        from_config({"builder": "halving"}, [halving])  # pyright: ignore[reportArgumentType]


def test_a_hyperparameter_called_builder_is_refused():
    own = os.schedule(lambda step, builder: builder, name="own")
    with pytest.raises(ValueError, match=r"^to_config: config: own has a hyperparameter called 'build"):
        to_config(own(1.0))


# ---- what cannot be written ----

UNWRITABLE: list[tuple[Callable[[], Any], str]] = [
    (lambda: 0.1, "schedule must be a Schedule, got 0.1"),
    (lambda: optax.constant_schedule(0.1), "schedule must be a Schedule, got <function"),
    (
        lambda: os.warmup(COSINE, 9, shape=lambda x: x),
        "shape must be plain data (a schedule, a number, a name), which no function is, got ",
    ),
    (lambda: os.warmup(os.delay(math.sin, 3), 9), "schedule.schedule must be plain data"),
    (lambda: os.multiply(COSINE, jnp.sin), "schedules[1] must be plain data"),
    (lambda: jax.vmap(os.constant)(jnp.ones(3)), "value has a leading axis, so this is a batch"),
    (lambda: os.stack([os.constant(1), os.linear(1, 0, 2)]), "index has a leading axis"),
    (lambda: jax.vmap(lambda v: os.delay(v, 3))(jnp.ones(3)), "schedule has a leading axis"),
    (lambda: jax.vmap(lambda v: os.table([v, v]))(jnp.ones(3)), "values has a leading axis"),
    (
        lambda: jax.vmap(lambda v: os.multiply(v, 2 * v))(jnp.ones(1)),
        "schedules has a leading axis",
    ),
    (
        lambda: jax.vmap(lambda v: os.multiply(v, 2 * v))(jnp.ones(2)),
        "schedules has a leading axis",
    ),
    (
        lambda: jax.vmap(lambda v: os.multiply(v, 2 * v))(jnp.ones(3)),
        "schedules has a leading axis",
    ),
    (lambda: jax.vmap(lambda v: os.multiply(v, COSINE))(jnp.ones(3)), "schedules has a lead"),
    (
        lambda: jax.tree.map(lambda x: np.stack([x]), os.multiply(COSINE, COSINE)),
        "schedules has a leading axis",
    ),
    (lambda: jax.tree.map(lambda x: math.nan, COSINE), "init_value must be finite, got nan"),
    (
        lambda: jax.tree.map(lambda x: x * math.inf, os.table([1.0])),
        "values must be finite, got [inf]",
    ),
    (lambda: jax.eval_shape(lambda: os.constant(1.0)), "value must be plain data"),
    (lambda: deep(31), "config must be at most 30 schedules deep and 10000 in all, got more from "),
]


def deep(levels: int) -> Schedule:
    return functools.reduce(lambda inner, _: os.delay(inner, 1), range(levels - 1), os.constant(0.1))


@pytest.mark.parametrize(("make", "words"), UNWRITABLE)
def test_what_is_not_plain_is_refused_with_its_place(make, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        to_config(make())
    text = str(caught.value)
    assert text.startswith(f"to_config: {words}")
    assert "\n" not in text and len(text) < 300


def test_traced_numbers_are_refused():
    with pytest.raises(
        TypeError, match=r"^to_config: schedule\.value must be a known number, got a tr"
    ):
        jax.jit(lambda v: to_config(os.delay(v, 3)))(1.0)


def within(frames: int, function: Callable[[], Any]) -> Any:
    """What it returns when it is called from so deep a program."""
    return function() if frames == 0 else within(frames - 1, function)


@pytest.mark.slow
def test_what_is_as_deep_as_a_config_may_be_comes_back_and_can_be_evaluated():
    # The combinators that take the most of Python's stack.
    around = (
        lambda s: os.join([os.linear(0.1, 0.0, 9), s], [9]),
        lambda s: os.repeat(s, 50),
        lambda s: os.cooldown(s, 90, 9),
        lambda s: os.multiply(s, 1.0),
    )
    s = functools.reduce(lambda s, i: around[i % 4](s), range(MAX_DEPTH - 1), COSINE)
    back = from_config(through_json(to_config(s)))
    assert_same(s, back)

    def slope(s: Schedule) -> Any:
        return jax.vmap(jax.grad(lambda t: s(t)))(jnp.arange(9.0))

    assert within(150, lambda: jax.eval_shape(slope, back)).shape == (9,)
    with pytest.raises(ValueError, match="must be at most 30 schedules deep"):
        to_config(os.delay(s, 1))


def test_the_config_is_left_as_it_was_and_the_schedule_does_not_hang_on_it():
    config = to_config(os.join([COSINE, os.table([0.3, 0.1])], [3]))
    before = pickle.dumps(config)
    back = from_config(config)
    assert pickle.dumps(config) == before
    shown = repr(back)
    config["schedules"][1]["values"][0] = 9.0
    assert repr(back) == shown
