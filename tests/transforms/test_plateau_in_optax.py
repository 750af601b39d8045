"""`reduce_on_plateau` and `observe` among optax's transformations and under JAX's: nothing changes."""

import functools
import itertools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tables.plateau_oracle import HALF, TABLES, Plateau, nan

from optax_sched import PlateauState, observe, reduce_on_plateau

ONE = np.float32(1.0)

# To optax's types a state is any tree, so a checker does not know the fields of this one.
plateau: Any = reduce_on_plateau


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


# --- Inside other transformations ----------------------------------------------------------------

PARAMS = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(2, jnp.float32)}
CUTTING = functools.partial(plateau, factor=0.5, patience=0)


def trained(opt: Any, losses: Any, grads: Any = None) -> tuple[list[Any], Any]:
    """The updates at each loss, by one compiled update, and the last state."""
    update = jax.jit(opt.update)
    state, seen = opt.init(PARAMS), []
    for step, loss in enumerate(losses):
        gradient = PARAMS if grads is None else grads[step]
        updates, state = update(gradient, state, PARAMS, value=np.float32(loss))
        seen.append(jax.tree.map(lambda u: float(u[0]), updates))
    return seen, state


def is_plateau(node: Any) -> bool:
    return isinstance(node, PlateauState)


def plateau_in(tree: Any) -> PlateauState:
    (state,) = filter(is_plateau, jax.tree.leaves(tree, is_leaf=is_plateau))
    return state


def test_after_adam_the_update_is_adams_times_the_scale_exactly_and_before_it_is_not():
    plain, after = optax.adam(0.01), optax.chain(optax.adam(0.01), CUTTING())
    before = optax.chain(CUTTING(), optax.adam(0.01))

    @jax.jit
    def run(losses):
        def step(states, loss):
            updates = [
                opt.update(ONE, state, ONE, value=loss)
                for opt, state in zip(
                    (optax.with_extra_args_support(plain), after, before), states, strict=True
                )
            ]
            return tuple(state for _, state in updates), [update for update, _ in updates]

        states = tuple(opt.init(ONE) for opt in (plain, after, before))
        return jax.lax.scan(step, states, losses)[1]

    of_plain, of_after, of_before = map(np.asarray, run(np.ones(11, np.float32)))
    np.testing.assert_array_equal(
        of_after, of_plain * np.float32(0.5) ** np.arange(11, dtype=np.float32)
    )
    # Scaled by 2**-10 before Adam, the update has hardly changed: the docstring warns of it.
    assert abs(of_before[-1]) > 0.2 * abs(of_plain[-1])


def test_inside_multisteps_only_the_last_micro_batch_is_observed():
    opt = optax.MultiSteps(optax.chain(optax.sgd(1.0), CUTTING()), 4)
    updates, state = trained(opt, [9, 9, 9, 4, 1, 1, 1, 4, 1, 1, 1, 2])
    assert [u["a"] for u in updates] == [0, 0, 0, -1, 0, 0, 0, -0.5, 0, 0, 0, -0.5]
    assert plateau_in(state).best == 2


def test_after_multisteps_a_window_observes_the_mean_of_the_micro_batches():
    multi = optax.MultiSteps(optax.sgd(1.0), 4).gradient_transformation()
    opt = optax.chain(multi, CUTTING(window=4))
    updates, state = trained(opt, [1, 2, 3, 4, 4, 4, 1, 1, 1, 1, 1, 1])
    assert [u["a"] for u in updates] == [0, 0, 0, -1, 0, 0, 0, -0.5, 0, 0, 0, -0.5]
    assert plateau_in(state).best == 1
    assert plateau_in(trained(opt, [1, 2, 3, 4])[1]).best == 2.5


def test_observing_each_micro_batch_with_a_window_observes_the_mean_too():
    opt = optax.MultiSteps(optax.chain(optax.sgd(1.0), CUTTING(window=4)), 4)
    state = opt.init(PARAMS)
    for loss in (1, 2, 3, 4):
        state = observe(state, loss)
    assert plateau_in(state).best == 2.5


def test_in_multi_transform_it_scales_its_own_label_alone():
    opt = optax.multi_transform(
        {"cut": optax.chain(optax.sgd(1.0), CUTTING()), "plain": optax.sgd(1.0)},
        {"a": "cut", "b": "plain"},
    )
    updates, _ = trained(opt, [1, 1, 1])
    assert updates == [{"a": -1, "b": -1}, {"a": -0.5, "b": -1}, {"a": -0.25, "b": -1}]


def test_two_plateaus_in_multi_transform_keep_their_own_state():
    opt = optax.multi_transform({"x": CUTTING(), "y": CUTTING(patience=1)}, {"a": "x", "b": "y"})
    updates, _ = trained(opt, [1, 1, 1])
    assert updates == [{"a": 1, "b": 1}, {"a": 0.5, "b": 1}, {"a": 0.25, "b": 0.5}]


def test_masked_it_leaves_the_other_updates_alone():
    updates, _ = trained(optax.masked(CUTTING(), {"a": True, "b": False}), [1, 1, 1])
    assert updates == [{"a": 1, "b": 1}, {"a": 0.5, "b": 1}, {"a": 0.25, "b": 1}]


def test_in_apply_if_finite_a_rejected_update_is_not_observed():
    opt = optax.apply_if_finite(optax.chain(optax.sgd(1.0), CUTTING()), 3)
    spoilt = {"a": jnp.full(2, nan, jnp.float32), "b": PARAMS["b"]}
    updates, state = trained(opt, [1, 1, 1, 1], [PARAMS, spoilt, spoilt, PARAMS])
    assert [u["a"] for u in updates] == [-1, 0, 0, -0.5]
    assert plateau_in(state).scale == 0.5


def test_it_keeps_none_and_masked_nodes_in_the_updates():
    updates = {"a": None, "b": optax.MaskedNode(), "c": ONE}
    seen, _ = CUTTING().update(updates, CUTTING().init(updates), value=1.0)
    assert seen == updates


def test_other_extra_arguments_pass_by():
    opt = optax.chain(CUTTING(), optax.sgd(1.0))
    updates, _ = opt.update(ONE, opt.init(ONE), ONE, value=ONE, grad=ONE, value_fn=None, loss="any")
    assert updates == -1


# --- Traced settings, transformations of JAX, compilations ----------------------------------------


def quadratic(patience: Any, factor: Any, steps: int = 24) -> Any:
    """The optimizer and one step of descent on a parabola with a step length that overshoots."""
    opt = optax.chain(optax.sgd(1.75), plateau(factor, patience, 0.125))

    def step(params, state):
        loss, gradient = jax.value_and_grad(lambda x: jnp.float32(0.5) * x * x + jnp.float32(1.0))(
            params
        )
        updates, state = opt.update(gradient, state, params, value=loss)
        return params + updates, state

    return opt, step, steps


def scanned(patience: Any, factor: Any) -> Any:
    opt, step, steps = quadratic(patience, factor)
    body = lambda carry, _: (step(*carry), None)  # noqa: E731
    params = jnp.float32(2.0)
    (params, state), _ = jax.lax.scan(body, (params, opt.init(params)), length=steps)
    return params, state[1].scale


def looped(patience: Any, factor: Any) -> Any:
    opt, step, steps = quadratic(patience, factor)
    params = jnp.float32(2.0)
    state = opt.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params, state[1].scale


PATIENCES, FACTORS = (0, 1, 3), (0.25, 0.7)


@functools.cache
def loop_results() -> Any:
    """Without any transformation of JAX."""
    results = {(p, f): looped(p, f) for p in PATIENCES for f in FACTORS}
    assert len({float(scale) for _, scale in results.values()}) == len(results)
    return results


def test_a_vmapped_sweep_over_patience_and_factor_equals_a_python_loop():
    sweep = jax.vmap(jax.vmap(scanned, (None, 0)), (0, None))
    params, found = jax.jit(sweep)(jnp.array(PATIENCES, jnp.int32), jnp.array(FACTORS, jnp.float32))
    for (i, patience), (j, factor) in itertools.product(enumerate(PATIENCES), enumerate(FACTORS)):
        expected_params, expected_scale = loop_results()[patience, factor]
        assert found[i, j] == expected_scale
        np.testing.assert_allclose(params[i, j], expected_params, rtol=1e-5)


def test_a_scan_inside_jit_equals_a_python_loop():
    params, found = jax.jit(lambda: scanned(1, 0.7))()
    assert found == loop_results()[1, 0.7][1]
    np.testing.assert_allclose(params, loop_results()[1, 0.7][0], rtol=1e-5)


def test_a_jitted_training_step_equals_a_python_loop_and_compiles_once():
    opt, step, steps = quadratic(1, 0.7)
    step = jax.jit(chex.assert_max_traces(step, 1))
    params = jnp.float32(2.0)
    state = opt.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    assert state[1].scale == loop_results()[1, 0.7][1]
    np.testing.assert_allclose(params, loop_results()[1, 0.7][0], rtol=1e-5)


def test_one_compiled_update_serves_every_setting():
    update = jax.jit(chex.assert_max_traces(plateau().update, 1))
    for settings in (
        {"factor": 0.5, "patience": 0},
        {"factor": np.float64(0.25), "patience": np.int8(1)},
    ):
        for window, mode, threshold_mode in ((1, "min", "rel"), (np.int64(2), "max", "abs")):
            opt = plateau(**settings, window=window, mode=mode, threshold_mode=threshold_mode)
            losses = [1.0, 1.0, 1.0, 1.0]
            state = opt.init(ONE)
            for loss in losses:
                state = update(ONE, state, value=np.float32(loss))[1]
            case = Plateau(**settings, window=int(window), mode=mode, threshold_mode=threshold_mode)
            assert float(state.scale) == case.scales(losses)[-1]


def layout(tree: Any) -> Any:
    """All that must stay put for `scan` and the compilation cache."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in leaves]


ARRANGEMENTS: dict[str, Any] = {
    "alone": plateau(),
    "from Python ints": plateau(0.5, 2, 0, "abs", "max", 1, 0, 3),
    "from NumPy": plateau(np.float64(0.5), np.int64(2), np.float16(0.5), window=np.uint8(2)),
    "from arrays": plateau(jnp.array(0.5), jnp.uint8(2), jnp.int32(1), cooldown=jnp.int16(1)),
    "from a bfloat16 factor": plateau(jnp.bfloat16(0.5)),
    "a whole float as patience": plateau(patience=2.0, window=jnp.array(2.0)),
    "after Adam": optax.chain(optax.adam(0.1), plateau()),
    "in MultiSteps": optax.MultiSteps(optax.chain(optax.sgd(0.1), plateau()), 2),
    "in multi_transform": optax.multi_transform(
        {"x": plateau(), "y": optax.identity()}, {"a": "x", "b": "y"}
    ),
    "masked": optax.masked(plateau(), {"a": True, "b": False}),
    "in apply_if_finite": optax.apply_if_finite(plateau(), 3),
}


@pytest.mark.parametrize("value", [1, np.float32(1), None], ids=["Python", "NumPy", "None"])
@pytest.mark.parametrize("opt", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_structure_dtypes_and_weak_types_stay_after_every_update(opt: Any, value: Any):
    first = jax.eval_shape(opt.init, PARAMS)
    updates, second = jax.eval_shape(functools.partial(opt.update, value=value), PARAMS, first, PARAMS)
    chex.assert_trees_all_equal_shapes_and_dtypes(second, first)
    assert layout(second) == layout(first)
    assert layout(updates) == layout(PARAMS)
    if value is not None:
        assert layout(jax.eval_shape(lambda state: observe(state, value), first)) == layout(first)


@pytest.mark.parametrize(
    "name", [name for name in ARRANGEMENTS if name.startswith(("alone", "from", "a "))]
)
def test_the_state_that_arrives_is_the_state_that_was_promised(name: str):
    opt = ARRANGEMENTS[name]
    state = opt.init(PARAMS)
    states = [
        state,
        opt.update(PARAMS, state, value=1.0)[1],
        observe(state, 1),
        observe(state, jnp.int8(1)),
    ]
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(states))
    for later in states:
        assert layout(later) == layout(state)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {"float32", "int32"}


def test_under_x64_the_state_stays_float32_and_updates_stay_float64():
    before = jnp.result_type(float) == jnp.float64
    jax.config.update("jax_enable_x64", True)
    try:
        opt = plateau(0.5, 2, window=jnp.asarray(2))
        updates = jax.ShapeDtypeStruct((), jnp.float64)
        state = jax.eval_shape(opt.init, updates)
        for value in (1, 1.0, np.float64(1), jnp.asarray(1), jnp.asarray(1.0)):
            update = functools.partial(opt.update, value=value)
            scaled, after = jax.eval_shape(update, updates, state)
            assert scaled.dtype == jnp.float64
            assert layout(after) == layout(state)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {"float32", "int32"}
    finally:
        jax.config.update("jax_enable_x64", before)


# --- observe -------------------------------------------------------------------------------------


def test_observe_acts_at_once_and_as_update_does():
    settings, losses, expected = TABLES["NaN inside a window spoils that window alone"]
    opt = plateau(**{**HALF, **settings})
    fed = updated = opt.init(ONE)
    for loss, scale in zip(losses, expected, strict=True):
        fed = observe(fed, loss)
        update, updated = opt.update(ONE, updated, value=loss)
        assert fed.scale == scale
        chex.assert_trees_all_equal(fed, updated)
        seen, same = opt.update(ONE, fed, value=None)
        assert seen == update
        chex.assert_trees_all_equal(same, fed)


@pytest.mark.parametrize("name", ["after Adam", "in MultiSteps", "in multi_transform", "masked"])
def test_observe_reaches_the_plateau_inside(name: str):
    state = ARRANGEMENTS[name].init(PARAMS)
    fed = observe(state, 3.0)
    assert plateau_in(fed).best == 3
    assert layout(fed) == layout(state)
    nodes, structure = jax.tree.flatten(fed, is_leaf=is_plateau)
    nodes = [plateau_in(state) if is_plateau(node) else node for node in nodes]
    chex.assert_trees_all_equal(jax.tree.unflatten(structure, nodes), state)


def test_observe_reaches_every_plateau():
    opt: Any = optax.multi_transform({"x": CUTTING(), "y": CUTTING(patience=1)}, {"a": "x", "b": "y"})
    state = opt.init(PARAMS)
    for _ in range(3):
        state = observe(state, 1.0)
    updates, _ = opt.update(PARAMS, state, PARAMS, value=None)
    assert updates["a"][0] == 0.25
    assert updates["b"][0] == 0.5


def test_observe_inside_jit_compiles_once():
    opt = optax.chain(optax.sgd(1.0), CUTTING())
    fed = jax.jit(chex.assert_max_traces(observe, 1))
    state = opt.init(ONE)
    for scale in (1, 0.5, 0.25):
        state = fed(state, np.float32(1.0))
        assert plateau_in(state).scale == scale


def test_observing_nothing_is_refused_by_observe():
    with pytest.raises(TypeError, match=r"^observe: value must be a number.*, got None$"):
        observe(plateau().init(ONE), None)


@pytest.mark.parametrize("opt", [optax.sgd(0.1), optax.adam(0.1), optax.contrib.reduce_on_plateau()])
def test_observe_without_a_plateau_raises(opt: Any):
    with pytest.raises(ValueError, match=r"^observe: opt_state must hold a plateau[^\n]*$"):
        observe(opt.init(ONE), 1.0)


def test_a_batch_of_states_is_observed_under_vmap():
    @jax.jit
    def run(factors):
        states = jax.vmap(lambda factor: plateau(factor, 0).init(ONE))(factors)
        for _ in range(3):
            states = jax.vmap(observe, (0, None))(states, jnp.float32(1.0))
        return states

    np.testing.assert_array_equal(run(np.array([0.5, 0.25], np.float32)).scale, [0.25, 0.0625])
