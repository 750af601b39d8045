"""Recipes: builders of named compositions, users' own and those of the library."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.compilations import counted

import optax_sched as os
from optax_sched.typing import Operand, Rate, ShapeName, Steps, StepsOrZero


@os.recipe
def short_cosine(peak_value: Rate, warmup_steps: StepsOrZero, total_steps: Steps):
    return os.warmup(os.cosine_decay(peak_value, total_steps - warmup_steps), warmup_steps)


@os.recipe(check=[lambda low, high: ("low", f"at most {high}") if low > high else None])
def between(base: Operand, low: Rate, high: Rate, shape: ShapeName | None = None):
    return os.warmup(os.clip(base, low, high), 10, shape=shape or "linear")


another_name = os.recipe(lambda value: value, name="halved")
STEPS = np.arange(0, 130, 3)


def test_it_is_a_schedule_by_its_own_name_whose_leaves_are_its_own():
    s = short_cosine(0.1, 10, 100)
    assert repr(s) == "short_cosine(peak_value=0.1, warmup_steps=10, total_steps=100)"
    assert jax.tree.leaves(s) == [0.1, 10, 100]
    np.testing.assert_array_equal(s(STEPS), os.warmup(os.cosine_decay(0.1, 90), 10)(STEPS))
    assert s.replace(total_steps=200)(200) == 0
    assert repr(pickle.loads(pickle.dumps(s))) == repr(s)
    assert repr(os.from_config(os.to_config(s), builders={"short_cosine": short_cosine})) == repr(s)
    np.testing.assert_array_equal(os.warmup(s, 5)(5 + STEPS), s(STEPS))


def test_it_is_traced_batched_and_differentiated_by_its_own_hyperparameters():
    batch, settings = os.grid(
        short_cosine, peak_value=[0.1, 0.2], warmup_steps=[0, 10], total_steps=[50]
    )
    rates = jax.jit(jax.vmap(lambda s: s(30)))(batch)
    want = [short_cosine(**setting)(30) for setting in settings]
    np.testing.assert_allclose(rates, want, rtol=1e-6)
    slope = jax.grad(lambda peak: short_cosine(peak, 10, 50)(30))(0.1)
    np.testing.assert_allclose(slope, 0.5, rtol=1e-5)
    with counted() as compiled:
        f = jax.jit(lambda s: s(7))
        f(short_cosine(0.1, 10, 100))
        f(short_cosine(0.2, 20, 300))
    assert len(compiled) == 1


def test_a_phase_of_length_0_is_left_out():
    np.testing.assert_array_equal(short_cosine(0.1, 0, 100)(STEPS), os.cosine_decay(0.1, 100)(STEPS))
    ends = os.warmup_cosine_decay(0.2, 100, 100)(np.array([50, 99, 100]))
    np.testing.assert_allclose(ends, [0.1, 0.198, 0], rtol=1e-6)
    assert os.recipe(lambda a, b: os.join([a, b], [a * 0]), name="own")(1.0, 2.0)(0) == 2.0


def test_what_the_schedules_inside_refuse_names_the_recipe():
    with pytest.raises(
        ValueError, match=r"^short_cosine: cosine_decay: decay_steps must be .* got -50$"
    ):
        short_cosine(0.1, 100, 50)
    with pytest.raises(ValueError, match=r"^short_cosine: cosine_decay: decay_steps"):
        short_cosine(0.1, 10, 50).replace(warmup_steps=60)
    with pytest.raises(TypeError, match=r"^short_cosine: peak_value must be .* got 'x'$"):
        short_cosine("x", 100, 50)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^none: what it returns must be a schedule, .* got None$"):
        os.recipe(lambda value: None, name="none")(0.1)
    with pytest.raises(TypeError, match=r"^own: what it returns must be .* closed loops"):
        os.recipe(lambda value: os.plateau(value), name="own")(0.1)
    with pytest.raises(TypeError, match=r"^recipe: function must be a function"):
        os.recipe(3)  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_relation_is_left_out_where_a_number_is_traced():
    with pytest.raises(ValueError, match=r"^between: low must be at most 0\.1, got 0\.2$"):
        between(0.3, 0.2, 0.1)
    value = jax.jit(lambda low: between(0.3, low, 0.1)(10))(0.2)
    np.testing.assert_allclose(value, 0.1)


def test_it_takes_schedules_and_shapes_and_may_return_a_number_or_a_function():
    cosine = os.cosine_decay(0.3, 50)
    s = between(cosine, 0.1, 0.2, "cosine")
    want = os.warmup(os.clip(cosine, 0.1, 0.2), 10, shape="cosine")
    np.testing.assert_array_equal(s(STEPS), want(STEPS))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(s))(STEPS), want(STEPS))
    assert another_name(0.5)(3) == 0.5
    assert os.recipe(lambda a: lambda t: a * t, name="ramp")(2.0)(3) == 6


def test_it_pickles_under_the_name_that_its_module_gives_it():
    assert repr(another_name(0.5)) == "halved(value=0.5)"
    assert repr(pickle.loads(pickle.dumps(another_name(0.5)))) == "halved(value=0.5)"


def test_a_users_formula_inside_keeps_its_exact_ends_under_jit():
    s = short_cosine(0.3, 7, 100)
    assert [float(jax.jit(s)(jnp.int32(t))) for t in (0, 7, 100, 1000)] == [0, np.float32(0.3), 0, 0]


@pytest.mark.parametrize("length", [0, 10])
def test_lengths_on_a_device_are_known_under_jit_too(length):
    steps = jnp.int32(length)
    made = jax.jit(lambda step: os.warmup_cosine_decay(0.1, steps, 100)(step))(5)
    np.testing.assert_allclose(made, os.warmup_cosine_decay(0.1, length, 100)(5), rtol=1e-6)
    np.testing.assert_allclose(around(steps)(5), around(length)(5), rtol=1e-6)


def around(steps: int | jax.Array) -> os.Schedule:
    """A recipe that takes a number from outside."""
    return os.recipe(lambda value: os.warmup(os.cosine_decay(value, 90), steps), name="around")(0.1)
