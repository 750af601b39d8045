"""A sweep is its loop, on one device and on eight."""

import functools
import sys
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import one_in
from support.sweep_process import train
from tables.batches import LEGS, MIXED, one_by_one, rates

import optax_sched as o

WIDE = pytest.mark.wide

# --- sweep on one device


@pytest.mark.parametrize("chunk_size", one_in(5, [3, None, 1, 10, 99]))
def test_results_come_in_order(chunk_size):
    got = o.sweep(rates, MIXED, chunk_size=chunk_size)
    np.testing.assert_allclose(got, one_by_one(MIXED), rtol=1e-6)


def test_a_sweep_is_the_loop():
    got = o.sweep(train, MIXED)
    for index, s in enumerate(o.unstack(o.stack(MIXED))):
        chex.assert_trees_all_close(jax.tree.map(lambda x, i=index: x[i], got), train(s), rtol=1e-5)


def counted(function: Any) -> tuple[Any, list[int]]:
    traces = []

    @functools.wraps(function)
    def run(schedule: Any) -> Any:
        traces.append(1)
        return function(schedule)

    return run, traces


@WIDE
@pytest.mark.parametrize("chunk_size", [None, 3])
def test_one_trace_for_all_settings_families_chunks_and_calls(chunk_size):
    run, traces = counted(rates)
    o.sweep(run, MIXED, chunk_size=chunk_size)
    assert len(traces) == 1
    o.sweep(run, [*MIXED[1:], MIXED[0]], chunk_size=chunk_size)  # the families in another order
    o.sweep(run, jax.tree.map(lambda leaf: leaf * 1, o.stack(MIXED)), chunk_size=chunk_size)
    assert len(traces) <= 2


def test_any_number_of_settings_in_chunks_is_one_trace():
    run, traces = counted(train)
    for count in (4, 5, 9, 16):
        o.sweep(run, [o.linear(0.1, 0.0, 10 + i) for i in range(count)], chunk_size=4)
    assert len(traces) == 1


def test_more_than_a_schedule_can_be_swept():
    batch, _ = o.grid(o.linear, init_value=[0.1, 0.2], end_value=[0.0], transition_steps=[10])
    got = o.sweep(lambda pair: pair[0](5) + pair[1], (batch, jnp.array([1.0, 2.0])))
    np.testing.assert_allclose(got, [1.05, 2.1], rtol=1e-6)


def test_run_may_be_any_callable_and_return_any_tree():
    class Run:
        def __hash__(self):  # as an equinox module does
            raise TypeError

        def __call__(self, schedule):
            return {"rate": schedule(0), "what": (1, None)}

    got = o.sweep(Run(), LEGS)
    np.testing.assert_allclose(got["rate"], [0.2, 0.1, 0.0])
    np.testing.assert_array_equal(got["what"][0], [1, 1, 1])


def test_chunks_bound_the_memory():
    def run(schedule):
        big = jnp.full((200, 200), schedule(1))
        return jax.lax.fori_loop(0, 3, lambda _, x: jnp.sin(x @ x.T), big).sum()

    def bytes_of(count: int) -> int:
        batch = o.stack([o.linear(0.1 * i, 0.0, 9) for i in range(count)])
        analysis: Any = jax.jit(jax.vmap(run)).lower(batch).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    sizes = []
    traced = lambda s: (sizes.append(s.init_value), run(s))[1]  # noqa: E731
    o.sweep(traced, [o.linear(0.1 * i, 0.0, 9) for i in range(64)], chunk_size=8)
    # What is compiled is the program of 8, and that of 64 has about eight times its memory.
    assert len(sizes) == 1 and "8" in str(sizes[0])
    assert 0.8 * 8 < bytes_of(64) / bytes_of(8) < 1.2 * 8


def test_shows_progress_for_chunks_only(capsys):
    o.sweep(rates, LEGS, chunk_size=1)
    assert "100%" in (shown := capsys.readouterr()).err and "3/3" in shown.err
    o.sweep(rates, LEGS)
    assert capsys.readouterr().err == ""


def test_does_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert o.sweep(rates, LEGS, chunk_size=1).shape == (3, 12)
    assert capsys.readouterr().err == ""


# --- sweep on many devices


def mesh_of(shape: tuple[int, ...]) -> jax.sharding.Mesh:
    return jax.make_mesh(shape, ("x", "y")[: len(shape)])


@pytest.mark.parametrize(
    ("shape", "chunk_size"),
    [
        ((2, 4), 9),
        *(
            pytest.param(*more, marks=WIDE)
            for more in (((8,), None), ((8,), 9), ((4,), 1), ((2, 4), None), ((1,), 1))
        ),
    ],
)
def test_a_mesh_changes_nothing(shape, chunk_size):
    got = o.sweep(train, MIXED, mesh=mesh_of(shape), chunk_size=chunk_size)
    chex.assert_trees_all_close(got, o.sweep(train, MIXED), rtol=1e-5)


@pytest.mark.parametrize("chunk_size", [None, 8, 16])
def test_work_and_results_are_spread_over_all_devices(chunk_size):
    schedules = [o.linear(0.1, 0.0, 5 + i) for i in range(32)]
    results = o.sweep(train, schedules, mesh=mesh_of((2, 4)), chunk_size=chunk_size)
    for result in jax.tree.leaves(results):
        rows = [shard.index[0].indices(32)[:2] for shard in result.addressable_shards]
        assert sorted(rows) == [(4 * i, 4 * i + 4) for i in range(8)]
        assert len({shard.device for shard in result.addressable_shards}) == 8


def test_each_device_computes_its_own_part_only():
    shapes = []

    def run(schedule):
        jax.debug.callback(lambda rate: shapes.append(rate.shape), schedule(np.arange(3)))
        return schedule(0)

    o.sweep(run, [o.linear(0.1, 0.0, 5 + i) for i in range(16)], mesh=mesh_of((8,)))
    jax.effects_barrier()
    assert shapes == [(3,)] * 16


# --- bad input

untyped: Any = o  # what a type checker would refuse
BAD_CALLS = {
    "nothing to stack": (
        lambda: untyped.stack([]),
        ValueError,
        "stack: schedules must be a sequence of one",
    ),
    "one schedule": (
        lambda: untyped.stack(LEGS[0]),
        TypeError,
        "stack: schedules must be a sequence of one",
    ),
    "no schedule in it": (
        lambda: untyped.stack([LEGS[0], "linear"]),
        TypeError,
        "stack: schedules[1] must be a",
    ),
    "no batch": (
        lambda: untyped.unstack(LEGS[0]),
        ValueError,
        "unstack: batch must be a batch, with the same",
    ),
    "two lengths": (
        lambda: untyped.unstack(
            jax.tree.unflatten(jax.tree.structure(LEGS[0]), map(np.zeros, (2, 2, 3)))
        ),
        ValueError,
        "unstack: batch must be a batch",
    ),
    "a string": (lambda: untyped.unstack("batch"), ValueError, "unstack: batch must be a batch"),
    "no builder": (
        lambda: untyped.grid(0.1, value=[1]),
        TypeError,
        "grid: builder must be a function that",
    ),
    "no builder but its schedule": (
        lambda: untyped.grid(o.constant(0.1), value=[1]),
        TypeError,
        "grid: builder must be a function that makes a schedule, got constant(value=0.1): pass the "
        "builder, constant",
    ),
    "no values": (
        lambda: untyped.grid(o.constant),
        TypeError,
        "grid: it takes a sequence of values for",
    ),
    "a number": (
        lambda: untyped.grid(o.constant, value=0.1),
        TypeError,
        "grid: value must be a sequence of",
    ),
    "a word": (
        lambda: untyped.grid(o.constant, value="01"),
        TypeError,
        "grid: value must be a sequence of",
    ),
    "none of it": (
        lambda: untyped.grid(o.constant, value=[]),
        ValueError,
        "grid: value must be a sequence of",
    ),
    "a bad setting": (
        lambda: untyped.grid(o.constant, value=[1, "x"]),
        TypeError,
        "constant: value must be a",
    ),
    "another name": (
        lambda: untyped.grid(o.constant, rate=[1]),
        TypeError,
        "constant: got an unexpected keyword argument 'rate'",
    ),
    "no function": (
        lambda: untyped.sweep(3, LEGS),
        TypeError,
        "sweep: run must be a function of one schedule",
    ),
    "nothing to sweep": (
        lambda: untyped.sweep(rates, []),
        ValueError,
        "stack: schedules must be a sequence",
    ),
    "one to sweep": (
        lambda: untyped.sweep(rates, LEGS[0]),
        ValueError,
        "sweep: batch must be a batch, with",
    ),
    "uneven": (
        lambda: untyped.sweep(rates, (o.stack(LEGS), np.zeros(2))),
        ValueError,
        "sweep: batch must be a batch, with the same leading axis",
    ),
    "no mesh": (
        lambda: untyped.sweep(rates, LEGS, mesh=8),
        TypeError,
        "sweep: mesh must be a jax.sharding.Mesh",
    ),
    **{
        f"chunks of {bad!r}": (
            lambda bad=bad: untyped.sweep(rates, LEGS, chunk_size=bad),
            (TypeError, ValueError),
            "sweep: chunk_size must be a whole number, 1 or more, that is not traced, got",
        )
        for bad in (0, -1, 1.5, "two", True, float("nan"))
    },
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_raises_one_line(name):
    call, fault, start = BAD_CALLS[name]
    with pytest.raises(fault) as raised:
        call()
    assert str(raised.value).startswith(start) and "\n" not in str(raised.value)


def descend(schedule: Any) -> jax.Array:
    """A loop of the user's own, in bfloat16: the rate must not change the dtype of the weights."""

    def step(w: jax.Array, t: jax.Array) -> tuple[jax.Array, None]:
        return w - schedule(t) * (2 * w), None

    return jax.lax.scan(step, jnp.ones(3, jnp.bfloat16), jnp.arange(10))[0]


@pytest.mark.parametrize("x64", one_in(2, [False, True]))
@pytest.mark.parametrize(
    "batch",
    [
        [o.cosine_decay(0.1, 10), o.cosine_decay(0.2, 10)],
        o.grid(o.cosine_decay, init_value=[0.1, 0.2], decay_steps=[10])[0],
        [o.cosine_decay(0.1, 10), o.warmup(o.linear(0.2, 0.0, 8), 2), o.constant(0.05)],
        [o.piecewise_constant([0.1, 0.01], [5]), o.piecewise_constant([0.2, 0.02], [5])],
    ],
    ids=["list", "grid", "families", "sequences"],
)
def test_a_bfloat16_loop_that_runs_on_one_schedule_runs_in_a_sweep(batch: Any, x64: bool):
    jax.config.update("jax_enable_x64", x64)
    try:
        together = o.sweep(descend, batch)
        assert together.dtype == jnp.bfloat16
        parts = batch if isinstance(batch, list) else o.unstack(batch)
        alone = jnp.stack([descend(schedule) for schedule in parts])
        np.testing.assert_allclose(together.astype(np.float32), alone.astype(np.float32), rtol=0.02)
    finally:
        jax.config.update("jax_enable_x64", False)
