"""States in other forms: nnx Variables, dicts and lists from orbax and flax, bytes of msgpack."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.amount import one_in
from support.injected import FALL, PARAMS, close, inject, labelled, rate
from tables.loops import LOOPS, SOME_LOOPS

import optax_sched
from optax_sched import current_value, linear, observe, replace_feedback, replace_schedule

nnx = pytest.importorskip("flax.nnx", reason="flax needs wheels that this Python has not yet")
orbax = pytest.importorskip("orbax.checkpoint", reason="it has no wheels for this Python yet")
serialization: Any = pytest.importorskip("flax.serialization")

o: Any = optax_sched
ONE = np.float32(1.0)
NEW = linear(0.8, 0.0, 8)
EVERYTHING = o.noisy(
    o.join(
        [o.warmup(FALL, 2, shape=o.k_shape(0.5)), 0.2, o.warmup(0.1, 3), lambda step: 0.1 * step],
        [3, 5, 7],
    ),
    jax.random.key(1),
    0.0,
)


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


STATES: dict[str, Any] = {
    **{name: inject(loop.make(FALL)) for name, loop in LOOPS.items()},
    "scale_by_learning_rate": optax.chain(optax.scale_by_adam(), rate()),
    "scale_by_schedule of a function": o.scale_by_schedule(lambda step: 0.1 * step),
    "all kinds": optax.chain(rate(EVERYTHING), o.reduce_on_plateau()),
    "a number": rate(0.1),
    "live": inject(o.live(FALL), optax.adamw),
    "reduce_on_plateau": optax.chain(rate(), o.reduce_on_plateau(0.5, 0)),
    "observe_only": inject(o.plateau(FALL, 0.5, 0, observe_only=True)),
    "groups": labelled(inject(o.plateau(FALL, 0.5, 0)), rate(FALL.replace(init_value=0.2))),
    "MultiSteps": optax.MultiSteps(optax.chain(rate(), o.reduce_on_plateau(0.5, 0)), 2),
}


def of_orbax(state: Any, folder: Path, target: Any = None) -> Any:
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "state", state)
        checkpointer.wait_until_finished()
        return checkpointer.restore(folder / "state", target)


def without_keys(state: Any) -> Any:
    """The state with random keys as their words."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, state)


FORMS = {
    "orbax": of_orbax,
    "to_state_dict": lambda state, folder: serialization.to_state_dict(state),
    "msgpack": lambda state, folder: serialization.msgpack_restore(serialization.to_bytes(state)),
}
IN_FORMS = pytest.mark.parametrize("form", FORMS)


# --- Round trips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", one_in(2, STATES))
def test_flax_and_orbax_and_pickle_give_every_state_back(name: str, tmp_path: Path):
    opt = STATES[name]
    state = opt.init(PARAMS)
    target = opt.init(jax.tree.map(jnp.zeros_like, PARAMS))
    shapes = jax.eval_shape(opt.init, PARAMS)
    for again in (
        serialization.from_bytes(target, serialization.to_bytes(state)),
        serialization.from_state_dict(target, serialization.to_state_dict(state)),
        serialization.from_state_dict(shapes, serialization.to_state_dict(state)),
        of_orbax(state, tmp_path, shapes),
    ):
        assert jax.tree.structure(again) == jax.tree.structure(state)
        chex.assert_trees_all_equal(without_keys(again), without_keys(state))
        dtypes = [[leaf.dtype for leaf in jax.tree.leaves(tree)] for tree in (again, state)]
        assert dtypes[0] == dtypes[1]


def test_another_schedule_is_refused_by_name():
    state = serialization.to_state_dict(rate(o.exponential(0.4, 0.1, 4)).init(ONE))
    with pytest.raises(ValueError, match=r"exponential.init_value.* where linear"):
        serialization.from_state_dict(rate().init(ONE), state)


def test_who_does_not_use_flax_does_not_import_it():
    code = (
        "import sys, jax.numpy as jnp, optax_sched as o\n"
        "s = o.observe(o.reduce_on_plateau().init(1.0), 1.0); o.replace_feedback(s, patience=2)\n"
        "r = o.scale_by_learning_rate(0.1).init(1.0); o.current_value(r); o.replace_schedule(r, 0.2)\n"
        "assert not [name for name in sys.modules if name.startswith(('flax', 'orbax'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=120)


def test_what_builders_make_is_serialized_outside_states_too():
    made = {
        "schedule": o.warmup(o.cosine_decay(0.1, 9, exponent=np.float32(2)), 2),
        "parts": EVERYTHING.replace(key=3),
        "batch": o.stack([FALL, NEW]),
        "closed loop": o.plateau(FALL),
        "shape": o.k_shape(0.5),
        "live": o.live(0.1),
    }
    rate(FALL).init(ONE)  # at the latest from here on flax knows what builders make
    for name, one in made.items():
        other = jax.tree.map(lambda leaf: 0 * leaf, one)
        again = serialization.from_bytes(other, serialization.to_bytes(one))
        assert jax.tree.structure(again) == jax.tree.structure(one), name
        chex.assert_trees_all_equal(again, one)
    code = "import flax.serialization as f, optax_sched as o; f.to_bytes(o.linear(0.1, 0.0, 9))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=120)


def test_a_linen_module_holds_a_schedule():
    linen = pytest.importorskip("flax.linen")

    class Scaled(linen.Module):
        rate: Any

        @linen.compact
        def __call__(self, x, step):
            return linen.Dense(2)(x) * self.rate(step)

    rate(FALL).init(ONE)  # from here on flax knows what builders make
    model = Scaled(o.warmup(FALL, 2))
    params = model.init(jax.random.key(0), jnp.ones((1, 2)), 1)
    once, twice = (model.apply(params, jnp.ones((1, 2)), step) for step in (1, 2))
    np.testing.assert_allclose(2 * np.asarray(once), twice, rtol=1e-6)


# --- Restored as dicts and lists -----------------------------------------------------------------


@pytest.mark.parametrize(
    "form", [pytest.param(it, marks=pytest.mark.slow if it == "orbax" else ()) for it in FORMS]
)
def test_a_restored_plateau_is_read_observed_and_given_other_settings_in_its_form(
    form: str, tmp_path: Path
):
    for name in (
        "plateau",
        "greedy",
        "kl_adaptive",
        "reduce_on_plateau",
        "observe_only",
        "MultiSteps",
    ):
        opt = STATES[name]
        state = opt.init(PARAMS)
        restored = FORMS[form](state, tmp_path / name)
        close(current_value(restored), 0.4)
        for change in (
            lambda state: observe(observe(state, 1.0), 1.0),
            lambda state: replace_feedback(observe(state, 1.0), factor=0.25, min_value=0.3),
            lambda state: observe(replace_feedback(observe(state, 1.0), factor=0.25), 1.0),
            lambda state: replace_feedback(observe(state, 1.0), reset=True),
        ):
            changed = change(restored)
            assert jax.tree.structure(changed) == jax.tree.structure(restored)
            wanted = change(state)
            close(current_value(changed), float(current_value(wanted)))
            again = FORMS[form](wanted, tmp_path / name / str(id(change)))
            chex.assert_trees_all_equal(changed, again)


@IN_FORMS
def test_schedules_in_restored_states_are_replaced_in_their_form(form: str, tmp_path: Path):
    cases: dict[str, tuple[Any, Any, dict[str, bool]]] = {
        "scale_by_learning_rate": (NEW, 0.8, {}),
        "live": (NEW, 0.8, {}),
        "reduce_on_plateau": (NEW, 0.8, {}),
        "a number": (0.3, 0.3, {}),
        "groups": ({"x": NEW, "y": NEW.replace(init_value=0.6)}, {"x": 0.8, "y": 0.6}, {}),
        "all kinds": (EVERYTHING.replace(**{"schedule.schedules[0].init_value": 0.05}), 0.05, {}),
    }
    for name, (new, wanted, options) in cases.items():
        opt = STATES[name]
        restored = FORMS[form](opt.init(PARAMS), tmp_path / name)
        changed = replace_schedule(restored, new, **options)
        assert jax.tree.structure(changed) == jax.tree.structure(restored)
        close(current_value(changed), wanted)
        typed = FORMS[form](
            replace_schedule(opt.init(PARAMS), new, **options), tmp_path / name / "typed"
        )
        chex.assert_trees_all_equal_structs(changed, typed)
    other = replace_schedule(FORMS[form](STATES["live"].init(ONE), tmp_path / "r"), 0.7, retrace=True)
    close(current_value(other), 0.7)


@IN_FORMS
def test_what_no_dict_can_do_says_so(form: str, tmp_path: Path):
    restored = FORMS[form](STATES["spike_guard"].init(ONE), tmp_path / "spike")
    close(current_value(restored), 0.4)
    for change in (observe, lambda state, _: replace_feedback(state, limit=1.0)):
        with pytest.raises(
            ValueError, match=r"holds the closed loop spike_guard as a dict, .*eval_shape"
        ):
            change(restored, 1.0)
    with pytest.raises(
        ValueError, match=r"^replace_schedule: schedule must be a schedule where .*eval_shape"
    ):
        replace_schedule(restored, lambda old: old)
    with pytest.raises(ValueError, match=r"a dict of schedules by label"):
        replace_schedule(FORMS[form](STATES["groups"].init(PARAMS), tmp_path / "g"), NEW)


# --- nnx.Optimizer -------------------------------------------------------------------------------


def optimizer_of(opt: Any) -> tuple[Any, Any, Any]:
    """A model, its optimizer, and one training step, compiled once."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer: Any = nnx.Optimizer(model, opt, wrt=nnx.Param)

    traces = []

    @nnx.jit
    def train_step(model, optimizer, value):
        traces.append(value)
        gradient = nnx.grad(lambda model: model(jnp.ones((1, 2))).sum())(model)
        optimizer.update(model, gradient, value=value)

    train_step.traces = traces
    return model, optimizer, train_step


@pytest.mark.parametrize("compiled", one_in(2, [True, False]), ids=["nnx.jit", "eager"])
@pytest.mark.parametrize("name", SOME_LOOPS)
def test_nnx_opt_state_works_as_it_is(name: str, compiled: bool):
    loop = LOOPS[name]
    jit = nnx.jit if compiled else lambda function: function
    model, optimizer, train_step = optimizer_of(inject(loop.make(FALL)))

    @jit
    def observed(optimizer, value):
        optimizer.opt_state = observe(optimizer.opt_state, value)

    @jit
    def replaced(optimizer, schedule):
        optimizer.opt_state = replace_schedule(optimizer.opt_state, schedule)

    @jit
    def settled(optimizer, value):
        optimizer.opt_state = replace_feedback(optimizer.opt_state, reset=True, min_value=value)

    before = jax.tree.structure(optimizer.opt_state)
    close(current_value(optimizer.opt_state), 0.4)
    train_step(model, optimizer, jnp.float32(loop.metrics[0]))
    close(current_value(optimizer.opt_state), 0.4 * loop.scales[0])
    observed(optimizer, jnp.float32(loop.metrics[1]))
    close(current_value(optimizer.opt_state), 0.4 * loop.scales[1])
    replaced(optimizer, NEW)
    train_step(model, optimizer, jnp.float32(loop.metrics[2]))
    close(current_value(optimizer.opt_state), 0.7 * loop.scales[2])
    settled(optimizer, jnp.float32(0.0))
    close(current_value(optimizer.opt_state), 0.7)
    train_step(model, optimizer, jnp.float32(loop.metrics[3]))
    assert len(train_step.traces) == 1
    assert jax.tree.structure(optimizer.opt_state) == before
    leaves = jax.tree.leaves(optimizer.opt_state, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    assert all(isinstance(leaf, nnx.OptState) for leaf in leaves)


def test_nnx_takes_another_structure_and_labels():
    model, optimizer, train_step = optimizer_of(inject(o.live(FALL), optax.adamw))
    train_step(model, optimizer, 1.0)
    optimizer.opt_state = replace_schedule(optimizer.opt_state, o.warmup(0.5, 4), retrace=True)
    train_step(model, optimizer, 1.0)
    close(current_value(optimizer.opt_state), 0.125)
    leaves = jax.tree.leaves(optimizer.opt_state, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    assert all(isinstance(leaf, nnx.OptState) for leaf in leaves)
    with pytest.raises(ValueError, match=r"be of the old one's structure"):
        replace_schedule(optimizer.opt_state, FALL)
    with pytest.raises(ValueError, match=r"^observe: opt_state must hold a closed loop"):
        observe(optimizer.opt_state, 1.0)


@pytest.mark.skipif(not hasattr(nnx, "as_pure"), reason="flax before 0.12 has no as_pure")
def test_a_pickled_state_of_nnx_is_one_of_plain_arrays():
    state = nnx.as_pure(optimizer_of(STATES["plateau"])[1].opt_state)
    chex.assert_trees_all_equal(pickle.loads(pickle.dumps(state)), state)
