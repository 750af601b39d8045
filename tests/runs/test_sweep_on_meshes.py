"""Sweeps within a mesh of the user's, of batches that are spread already, of batches and of keys."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optax_sched as o

LINES = [o.linear(0.1 * (i + 1), 0.0, 5 + i) for i in range(8)]
MIXED = [*LINES[:5], o.constant(0.3), o.cosine_decay(0.1, 9), o.constant(0.2)]
STEPS = np.arange(4)
KINDS = {"automatic": jax.sharding.AxisType.Auto, "explicit": jax.sharding.AxisType.Explicit}


def rates(schedule: Any) -> jax.Array:
    return schedule(STEPS)


def mesh_of(kind: str, shape: tuple[int, ...] = (8,)) -> jax.sharding.Mesh:
    devices = np.array(jax.devices()).reshape(shape)
    return jax.sharding.Mesh(devices, ("x", "y")[: len(shape)], axis_types=(KINDS[kind],) * len(shape))


within_a_mesh = pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="a jax without jax.set_mesh")


def one_by_one(schedules: list[Any]) -> np.ndarray:
    return np.stack([s(STEPS) for s in schedules])


@within_a_mesh
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(8,), (2, 4)], ids=str)
@pytest.mark.parametrize("chunk_size", [None, 4])
def test_within_a_mesh_of_the_users(kind, shape, chunk_size):
    with jax.set_mesh(mesh_of(kind)):
        got = o.sweep(rates, LINES[:5], mesh=mesh_of(kind, shape), chunk_size=chunk_size)
        np.testing.assert_allclose(got, one_by_one(LINES[:5]), rtol=1e-6)
        np.testing.assert_allclose(o.sweep(rates, LINES[:5], chunk_size=chunk_size), got, rtol=1e-6)


@within_a_mesh
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [5, 8])
def test_results_can_be_used_within_the_mesh_of_the_users(kind, count):
    mesh = mesh_of(kind)
    with jax.set_mesh(mesh):
        got = o.sweep(rates, LINES[:count], mesh=mesh)
        assert len(got.sharding.device_set) == 8
        assert int(jnp.argmax(got.sum(axis=1))) == count - 1
    assert got.sharding.is_fully_replicated == (count == 5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedules", [LINES, MIXED], ids=["alike", "mixed"])
def test_a_batch_that_is_spread_already(kind, schedules):
    mesh = mesh_of(kind)
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    batch = jax.device_put(o.stack(schedules), spread)
    for chunk_size in (None, 3):
        got = o.sweep(rates, batch, chunk_size=chunk_size)
        np.testing.assert_allclose(got, one_by_one(schedules), rtol=1e-6)
    np.testing.assert_allclose(o.sweep(rates, batch, mesh=mesh), one_by_one(schedules), rtol=1e-6)
    np.testing.assert_allclose(one_by_one(o.unstack(batch)), one_by_one(schedules), rtol=1e-6)


def test_batches_of_several_families_can_be_stacked_and_unstacked():
    batches = [o.stack([o.linear(height, 0.0, 5), o.constant(height)]) for height in (0.1, 0.2, 0.3)]
    chex.assert_trees_all_equal(*map(o.unstack, (batches[1], o.unstack(o.stack(batches))[1])))
    got = jax.vmap(jax.vmap(lambda s: s(0)))(o.stack(batches))
    np.testing.assert_array_equal(got, jnp.float32([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]))


def test_keys_and_seeds_are_one_batch():
    noises = [o.noisy(0.1, seed, 0.1) for seed in (7, jax.random.key(7), jax.random.key(8))]
    np.testing.assert_allclose(o.sweep(rates, noises), one_by_one(noises), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "schedule",
    [o.table([0.3, 0.2, 0.1]), o.piecewise_constant([1, 2], [3]), o.warmup(o.cosine_decay(0.1, 5), 2)],
    ids=["table", "piecewise_constant", "warmup"],
)
def test_steps_may_be_spread(kind, schedule):
    spread = jax.sharding.NamedSharding(mesh_of(kind), jax.sharding.PartitionSpec("x"))
    steps = jax.device_put(jnp.arange(8), spread)
    chex.assert_trees_all_equal(np.asarray(schedule(steps)), np.asarray(schedule(np.arange(8))))
