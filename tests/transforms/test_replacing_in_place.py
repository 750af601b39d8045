"""What is replaced in a running job lies where the old one lay: nothing compiles again."""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.compilations import counted
from support.injected import FALL, PARAMS, close, inject, labelled, layout, rate, with_value

import optax_sched
from optax_sched import current_value, linear, observe, replace_feedback, replace_schedule

o: Any = optax_sched
SLOW = linear(0.8, 0.0, 8)
P = jax.sharding.PartitionSpec


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


OPTIMIZERS: dict[str, Any] = {
    "chain": optax.chain(optax.scale_by_adam(), rate()),
    "live": inject(o.live(FALL), optax.adamw, weight_decay=o.live(FALL)),
    "plateau": inject(o.plateau(FALL, 0.5, 9)),
    "groups": labelled(rate(), inject(o.live(FALL))),
    "MultiSteps": optax.MultiSteps(rate(), 2),
    "nested": rate(o.join([FALL, o.warmup(FALL, 2), o.noisy(0.1, jax.random.key(0), 0.0)], [3, 9])),
}


def as_made(tree: Any) -> Any:
    return tree


def on_the_last_device(tree: Any) -> Any:
    return jax.device_put(tree, jax.devices()[-1])


def on_all_devices(tree: Any) -> Any:
    """Replicated scalars, and parameters in two halves."""
    mesh = jax.sharding.Mesh(jax.devices()[:2], "x")

    def put(leaf: Any) -> Any:
        spec = P("x") if leaf is PARAMS["a"] or leaf is PARAMS["b"] else P()
        return jax.device_put(leaf, jax.sharding.NamedSharding(mesh, spec))

    return jax.tree.map(put, tree)


def restored(tree: Any) -> Any:
    """As orbax gives it back."""
    ocp = pytest.importorskip("orbax.checkpoint", reason="it has no wheels for this Python yet")
    with tempfile.TemporaryDirectory() as folder, ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(Path(folder) / "tree", tree)
        checkpointer.wait_until_finished()
        return checkpointer.restore(Path(folder) / "tree", jax.eval_shape(lambda: tree))


PLACES = {
    "as made": as_made,
    "on another device": on_the_last_device,
    "on a mesh": on_all_devices,
    "restored by orbax": restored,
}


def where(tree: Any) -> Any:
    return [(leaf.sharding, leaf.committed) for leaf in jax.tree.leaves(tree)]


def changes(name: str, of: float) -> list[Any]:
    """All that is done to a running state from outside, with some number."""
    new: Any = linear(of, 0.0, 8)
    if name == "nested":
        new = lambda old: old.replace(**{"schedules[0].init_value": of})  # noqa: E731
    done: list[Any] = [
        lambda state: replace_schedule(state, new),
        lambda state: replace_schedule(state, count=int(10 * of)),
    ]
    if name == "plateau":
        done += [
            lambda state: replace_feedback(state, patience=int(10 * of), mode="max"),
            lambda state: replace_feedback(state, reset=True),
            lambda state: observe(state, of),
        ]
    return done


CASES = [
    *((name, "on a mesh", False) for name in OPTIMIZERS),
    *(("plateau", place, False) for place in PLACES if place != "on a mesh"),
    *(("chain", place, True) for place in PLACES),
]
SOME = [  # of the kinds of state, and of the places
    ("groups", "on a mesh", False),
    ("plateau", "restored by orbax", False),
    ("chain", "on another device", True),
]


@pytest.mark.parametrize(
    ("name", "place", "donated"),
    [pytest.param(*case, marks=() if case in SOME else pytest.mark.wide) for case in CASES],
)
def test_the_step_is_compiled_once_whatever_is_replaced(name: str, place: str, donated: bool):
    opt = with_value(OPTIMIZERS[name])
    step = jax.jit(
        lambda state, params: opt.update(params, state, params, value=jnp.float32(1.0))[1],
        donate_argnums=0 if donated else (),
    )
    with counted() as compilations:
        params, state = PLACES[place]((PARAMS, opt.init(PARAMS)))
        state = step(step(state, params), params)
        for of in (0.8, 0.4):
            for change in changes(name, of):
                compiled = len(compilations)
                changed = change(state)
                assert of == 0.8 or len(compilations) == compiled  # of the program that moves them
                assert layout(changed) == layout(state)
                assert where(changed) == where(state)
                compiled = len(compilations)
                state = step(changed, params)
                assert len(compilations) == compiled


def test_out_shardings_commit_a_state_and_nothing_compiles_again():
    opt = rate()
    everywhere = jax.sharding.NamedSharding(jax.sharding.Mesh(jax.devices()[:2], "x"), P())
    step = jax.jit(lambda state: opt.update(PARAMS, state)[1], out_shardings=everywhere)
    with counted() as compilations:
        state = step(step(opt.init(PARAMS)))
        for change in changes("chain", 0.8):
            changed = change(state)
            compiled = len(compilations)
            state = step(changed)
            assert len(compilations) == compiled


def test_another_structure_lies_where_the_rate_lay():
    opt = rate()
    _, state = on_all_devices((PARAMS, opt.init(PARAMS)))
    new = replace_schedule(state, o.warmup(SLOW, 2), retrace=True)
    assert set(where(new)) == set(where(state))
    close(current_value(new), 0.0)


def test_replacing_with_arrays_takes_copies():
    state = on_the_last_device(rate().init(PARAMS))
    peak = jnp.float32(0.8)
    new = replace_schedule(state, linear(peak, 0.0, 8))
    assert where(new) == where(state)
    jax.jit(lambda state: rate().update(PARAMS, state)[1], donate_argnums=0)(new)
    assert peak == np.float32(0.8)


def test_a_replicated_state_owns_what_was_put_into_it():
    """One shard of a replicated array may be the very buffer that it was moved from."""
    opt = labelled(rate(), rate(SLOW))
    peak = jnp.float32(0.8)
    _, state = on_all_devices((PARAMS, opt.init(PARAMS)))
    new = replace_schedule(state, {"x": o.constant(peak), "y": o.constant(peak)}, retrace=True)
    jax.jit(lambda state: opt.update(PARAMS, state)[1], donate_argnums=0)(new)
    assert peak == np.float32(0.8)
