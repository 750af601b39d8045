"""Batches and grids: many schedules as one, and back."""

import itertools
import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tables.batches import LEGS, MIXED, STEPS, closure, one_by_one, rates
from tables.cases import ROWS

import optax_sched as o

# --- stack and unstack


def test_equal_structures_are_stacked_leaf_by_leaf():
    batch = o.stack(LEGS)
    assert repr(batch) == (
        "linear(init_value=[0.2, 0.1, 0.0], end_value=[0.0, 0.1, 0.3], transition_steps=[6, 3, 9])"
    )
    assert batch.transition_steps.dtype == np.int32
    np.testing.assert_allclose(jax.vmap(rates)(batch), one_by_one(LEGS), rtol=1e-6)


def test_whole_and_fractional_lengths_are_one_batch():
    batch = o.stack([o.linear(0.2, 0.0, 6), o.linear(0.2, 0.0, 6.5), o.linear(0.2, 0.0, jnp.int32(7))])
    assert batch.transition_steps.dtype == np.float32
    np.testing.assert_array_equal(batch.transition_steps, [6.0, 6.5, 7.0])


def test_a_mixture_has_one_leading_axis_and_one_formula_for_each_family():
    batch = o.stack(MIXED)
    assert {jnp.shape(leaf)[0] for leaf in jax.tree.leaves(batch)} == {len(MIXED)}
    np.testing.assert_array_equal(batch.index, [0, 1, 2, 0, 3, 4, 5, 6, 7, 8])
    np.testing.assert_allclose(jax.vmap(rates)(batch), one_by_one(MIXED), rtol=1e-6)


def test_a_mixture_costs_its_families_not_its_settings():
    def equations(count: int) -> int:
        batch = o.stack([f for i in range(count) for f in (o.linear(0.1, 0.0, i + 1), o.constant(i))])
        return str(jax.make_jaxpr(jax.vmap(rates))(batch)).count(" = ")

    assert equations(2) == equations(32)


def test_gradients_reach_the_setting_that_is_chosen():
    batch = jax.tree.map(jnp.asarray, o.stack([o.linear(0.2, 0.0, 6), o.constant(0.1)]))
    gradient = jax.grad(lambda b: jax.vmap(lambda s: s(3))(b).sum(), allow_int=True)(batch)
    line, flat = gradient.schedules
    np.testing.assert_allclose(line.init_value, [0.5, 0.0])
    np.testing.assert_allclose(flat.value, [0.0, 1.0])


@pytest.mark.parametrize("schedules", [LEGS, LEGS[:1], MIXED, MIXED[::-1]], ids=len)
def test_unstack_gives_back_what_was_stacked(schedules):
    items = o.unstack(o.stack(schedules))
    want = [s if callable(s) else o.constant(s) for s in schedules]
    for item, s in zip(items, want, strict=True):
        assert item is s if s is closure else repr(item) == repr(s)
        np.testing.assert_array_equal(item(STEPS), s(STEPS))


@pytest.mark.parametrize("name", ROWS)
def test_every_schedule_can_be_stacked(name):
    schedules = [example.schedule for example in ROWS[name].examples[:2]]
    batch = o.stack(schedules)
    for item, s in zip(o.unstack(batch), schedules, strict=True):
        floats = jax.tree.leaves(s)
        for got, want in zip(jax.tree.leaves(item), floats, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-7)


def test_unstack_of_a_batch_made_by_vmap():
    batch = jax.vmap(o.cosine_decay)(jnp.array([0.1, 0.2]), jnp.array([5, 6]))
    assert [s.decay_steps for s in o.unstack(batch)] == [5, 6]
    assert repr(o.unstack(batch)[1]).startswith("cosine_decay(init_value=0.2, decay_steps=6")


def test_a_select_of_ones_own_stays_one():
    (first, second) = o.unstack(o.stack([o.select(0, LEGS), o.select(2, LEGS)]))
    assert (first.index, second.index) == (0, 2)
    assert repr(second) == repr(o.select(2, LEGS))


def test_unstacked_rates_are_weak_as_those_that_were_stacked():
    (first, _) = o.unstack(o.stack(LEGS[:2]))
    assert first(3).weak_type


def test_a_batch_pickles_and_prints_as_a_select():
    batch = o.stack([o.linear(0.2, 0.0, 6), o.constant(0.1)])
    assert repr(batch).startswith("select(index=[0, 1], schedules=[linear(init_value=[0.2, 0.2]")
    chex.assert_trees_all_equal(pickle.loads(pickle.dumps(batch)), batch)


def test_parts_of_a_batched_join_are_batches():
    batch = jax.vmap(lambda p: o.join([o.constant(p), o.constant(2 * p)], [2]))(jnp.arange(3.0))
    np.testing.assert_array_equal(batch.schedules[1].value, [0.0, 2.0, 4.0])


def test_nobody_writes_into_a_schedule():
    batch = o.stack(LEGS)
    knots = o.piecewise_constant([0.2, 0.1], [3])
    for array in (batch.init_value, knots.values, knots.boundaries):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9


# --- grid


def test_grid_is_the_product_in_order():
    def recipe(peak, steps, shape):
        return o.warmup(o.cosine_decay(peak, steps), steps // 10, shape=shape)

    values = {"peak": [0.1, 0.2, 0.4], "steps": np.array([100, 200]), "shape": ["linear", "cosine"]}
    batch, settings = o.grid(recipe, **values)
    product = list(itertools.product([0.1, 0.2, 0.4], [100, 200], ["linear", "cosine"]))
    assert [tuple(setting.values()) for setting in settings] == product
    assert all(type(setting["steps"]) is int for setting in settings)
    assert [repr(s) for s in o.unstack(batch)] == [repr(recipe(*setting)) for setting in product]


def test_grid_of_vectors_and_of_one_value():
    batch, settings = o.grid(
        o.multistep_decay, init_value=[0.1], boundaries=[[1, 2], [3, 4]], decay_rate=[0.5]
    )
    assert len(settings) == 2
    np.testing.assert_array_equal(batch.boundaries, [[1, 2], [3, 4]])
