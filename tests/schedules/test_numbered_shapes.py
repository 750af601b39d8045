"""Shapes with a number: a leaf that is traced, swept, differentiated, replaced, saved and restored."""

import copy
import functools
import json
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mpf
from support.amount import one_in
from support.compilations import counted
from tables.oracles import k_shape, power_shape
from tables.rows import expected

import optax_sched as os

PLACES: dict[str, Any] = {
    "warmup": lambda shape: os.warmup(1.0, 100, 0.1, shape),
    "cooldown": lambda shape: os.cooldown(1.0, 10, 90, 0.1, shape),
    "wsd": lambda shape: os.wsd(1.0, 10, 60, 100, shape=shape),
    "wsd_cycles": lambda shape: os.wsd_cycles(1.0, 10, [50, 100], 0.5, shape=shape),
    "infinite": lambda shape: os.infinite(1.0, 5, 30, 0.3, 40, 60, shape=shape),
    "one_cycle": lambda shape: os.one_cycle(1.0, 100, shape=shape),
    "k_decay": lambda shape: os.k_decay(1.0, 100, 1.5, shape=shape),
    "piecewise_interpolate": lambda shape: os.piecewise_interpolate([0.0, 1.0, 0.2], [30, 100], shape),
}
SINE: Any = np.sin
SOME_PLACES = ("warmup", "piecewise_interpolate")  # they answer for what holds of the shape
EVERYWHERE = pytest.mark.parametrize("place", PLACES)
WIDELY = pytest.mark.parametrize(
    "place",
    [pytest.param(name, marks=() if name in SOME_PLACES else pytest.mark.wide) for name in PLACES],
)
STEPS = np.array([1, 7, 33, 66, 97])


@jax.jit
def weights(shape, x, y):
    return shape.weights(x, y)


@pytest.mark.parametrize(("make", "oracle"), [(os.power_shape, power_shape), (os.k_shape, k_shape)])
@pytest.mark.parametrize("number", [0.1, 0.4, 0.5, 1.0, 2.0, 3.7])
def test_a_shape_and_its_complement_are_exact_near_both_ends(make, oracle, number):
    near = 10.0 ** -np.arange(1, 8)
    x = np.concatenate([[0.0], near, 1 - near, [0.3, 0.5, 1.0]])
    x, y = x.astype(np.float32), (1 - x).astype(np.float32)
    y[1 + len(near) : 1 + 2 * len(near)] = near.astype(np.float32)  # as a clock gives them
    got = weights(make(number), x, y)
    for a, b, weight, left in zip(x, y, *got, strict=True):
        from_start = mpf(float(a)) if a < 0.5 else 1 - mpf(float(b))
        want = oracle(from_start, mpf(float(np.float32(number))))
        np.testing.assert_allclose([weight, left], [float(want), float(1 - want)], rtol=2e-6)


@WIDELY
def test_the_named_shapes_are_their_relatives(place):
    build, steps = PLACES[place], np.arange(101)
    for name, k in (("sqrt", 0.5), ("square", 2), ("linear", 1)):
        got, want = build(name)(steps), build(os.k_shape(k))(steps)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


def test_a_decay_by_a_power_is_the_polynomial_decay():
    by_power, by_name = os.cooldown(1.0, 0, 100, shape=os.power_shape(0.9)), os.polynomial_decay
    np.testing.assert_array_equal(by_power(STEPS), by_name(1.0, 100, power=0.9)(STEPS))


def test_a_shape_is_called_with_a_fraction():
    shape = os.power_shape(2)
    np.testing.assert_allclose(shape(np.array([[-1.0, 0.0], [0.5, 2.0]])), [[0, 0], [0.25, 1]])
    assert float(shape(1)) == 1.0 and float(os.k_shape(0.5)(0.75)) == 0.5


@WIDELY
@pytest.mark.parametrize("make", one_in(2, [os.power_shape, os.k_shape]))
def test_its_number_is_traced_and_differentiated(place, make):
    build = PLACES[place]

    def at(number):
        return build(make(number))(STEPS)

    @jax.jit
    def all_three(number):
        return at(number), jax.jacfwd(at)(number), jax.jacrev(at)(number)

    number, h = 1.3, mpf(10) ** -9
    values, *slopes = all_three(number)
    np.testing.assert_allclose(
        values,
        [float(expected(build(make(number)), t)) for t in STEPS.tolist()],
        rtol=2e-6,
    )
    want = []
    for t in STEPS.tolist():
        ends = [expected(build(make(number + sign * 1e-9)), t, rounded=False) for sign in (1, -1)]
        want.append(float((ends[0] - ends[1]) / (2 * h)))
    for slope in slopes:
        np.testing.assert_allclose(slope, want, rtol=1e-5, atol=1e-6)


@WIDELY
def test_one_program_serves_all_numbers_and_a_batch_is_mapped(place):
    build = PLACES[place]
    numbers = (0.4, 0.5, 2.0)
    schedules = [build(os.k_shape(number)) for number in numbers]
    with counted() as compiled:
        values = [schedule(STEPS) for schedule in schedules]
    assert len(compiled) == 1
    assert len({jax.tree.structure(schedule) for schedule in schedules}) == 1
    batch = os.stack(schedules)
    assert "select" not in repr(batch)
    got = jax.vmap(lambda s: s(STEPS))(batch)
    np.testing.assert_allclose(got, values, rtol=1e-6)
    assert [repr(s) for s in os.unstack(batch)] == [repr(s) for s in schedules]
    with pytest.raises(ValueError, match="has a leading axis"):
        batch(3)


@EVERYWHERE
def test_it_prints_reads_replaces_copies_and_goes_through_files(place):
    build = PLACES[place]
    schedule = build(os.k_shape(0.4))
    assert "shape=k_shape(k=0.4)" in repr(schedule)
    assert schedule.shape.k == 0.4
    assert schedule.replace(**{"shape.k": 2}).shape.k == 2.0
    with pytest.raises(ValueError, match=r"^k_shape: k must be a positive finite number, got 0$"):
        schedule.replace(**{"shape.k": 0})
    with pytest.raises(TypeError, match=r"^k_shape has no hyperparameter gain; it has k"):
        schedule.replace(**{"shape.gain": 2})
    config = os.to_config(schedule)
    assert config["shape"] == {"builder": "k_shape", "k": 0.4}
    for again in (
        eval(repr(schedule), dict(vars(os))),
        os.from_source(repr(schedule)),
        os.from_config(json.loads(json.dumps(config))),
        pickle.loads(pickle.dumps(schedule)),
        copy.deepcopy(schedule),
    ):
        assert repr(again) == repr(schedule)
        assert jax.tree.structure(again) == jax.tree.structure(schedule)


@pytest.mark.parametrize("shape", ["cosine", SINE, os.power_shape(0.3)], ids=["cosine", "sin", "power"])
def test_a_shape_by_itself_and_all_kinds_of_it_pickle_and_read_as_given(shape):
    schedule = os.warmup(1.0, 10, shape=shape)
    assert schedule.shape is shape
    assert pickle.loads(pickle.dumps(schedule)).shape == schedule.shape or isinstance(shape, os.Shape)
    if isinstance(shape, os.Shape):
        assert repr(pickle.loads(pickle.dumps(shape))) == repr(shape)
        assert repr(os.from_config(os.to_config(shape))) == repr(shape)


def test_the_paths_to_leaves_name_the_shape():
    def paths(shape):
        leaves = jax.tree_util.tree_leaves_with_path(os.warmup(1.0, 10, shape=shape))
        return [jax.tree_util.keystr(path) for path, _ in leaves]

    assert paths(os.k_shape(0.4))[-2:] == [
        ".warmup(k_shape).init_value",
        ".warmup(k_shape).shape.k_shape.k",
    ]
    assert paths("cosine")[-1] == ".warmup(cosine).init_value"
    assert paths(jnp.sin)[-1] == ".warmup(sin).init_value"
    squared = functools.partial(
        lambda x, y: x**y, y=2.0
    )  # its text has an address, which no path may have
    assert " at 0x" not in paths(squared)[-1]


def test_a_function_that_is_a_pytree_keeps_its_leaves():
    """An equinox module, say: what it holds is traced as everything else."""

    @jax.jit
    def at(power):
        shape = jax.tree_util.Partial(lambda power, x: x**power, power)
        return os.warmup(1.0, 10, shape=shape)(5)

    assert float(at(2.0)) == 0.25 and float(at(1.0)) == 0.5
    assert float(jax.grad(at)(2.0)) == pytest.approx(0.25 * np.log(0.5), rel=1e-6)


def test_an_unannotated_parameter_called_shape_is_one():
    def rise(step, init_value, shape: Any = "cosine"):
        return init_value * shape(step / 10)

    rising: Any = os.schedule(rise, name="rising")
    assert float(rising(2.0)(5)) == pytest.approx(1.0)
    assert float(rising(2.0, os.power_shape(2.0))(5)) == 0.5
    with pytest.raises(ValueError, match=r"^rising: shape must be one of 'linear'"):
        rising(2.0, "cubic")


BAD = [
    (lambda: os.k_shape(0), "k_shape: k must be a positive finite number, got 0"),
    (lambda: os.k_shape(float("nan")), "k_shape: k must be a positive finite number, got nan"),
    (lambda: os.power_shape(-1), "power_shape: exponent must be a positive finite number, got -1"),
    (lambda: os.power_shape("2"), "power_shape: exponent must be a positive finite number, got '2'"),
    (
        lambda: os.power_shape(),
        "power_shape: missing a required argument: 'exponent'; it takes (expone",
    ),
    (
        lambda: os.power_shape(power=2),
        "power_shape: got an unexpected keyword argument 'power'; did yo",
    ),
    (
        lambda: os.warmup(os.k_shape(2), 3),
        "warmup: schedule must be a schedule, a function of the step",
    ),
    (lambda: os.Shape(), "Shape is made by builders"),
    (
        lambda: os.from_config(
            {"builder": "warmup", "schedule": {"builder": "k_shape", "k": 1}, "warmup_steps": 3}
        ),
        "from_config: schedule must be a schedule, a function of the step, or a finite number, got k",
    ),
    (
        lambda: os.from_config(
            {
                "builder": "wsd",
                "peak_value": 1,
                "warmup_steps": 3,
                "decay_steps": 3,
                "total_steps": 9,
                "shape": {"builder": "k_shape", "k": 0},
            }
        ),
        "from_config: shape.k must be a positive finite number, got 0 (in k_shape)",
    ),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words[:50] for _, words in BAD])
def test_what_is_no_shape_is_refused_in_one_line(call, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)
