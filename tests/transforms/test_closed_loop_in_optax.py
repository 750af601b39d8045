"""`plateau` and `greedy` among optax's transformations and under JAX's: nothing changes."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.injected import inject, layout, once
from tables.greedy_oracle import Greedy
from tables.plateau_oracle import Plateau, nan

import optax_sched
from optax_sched import current_value, linear, observe

# To optax's types a state is any tree, so a checker does not know the fields of this one.
plateau: Any = optax_sched.plateau
greedy: Any = optax_sched.greedy
BOTH = pytest.mark.parametrize("closed", [plateau, greedy], ids=["plateau", "greedy"])

ONE = np.float32(1.0)
STUCK = [1.0, 1.0, 1.0, 1.0]  # with patience 0, scales of 1, 1/2, 1/4 and 1/8


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


# --- Inside an optimizer -------------------------------------------------------------------------


def test_adamw_makes_adams_step_at_the_rate_that_is_shown():
    schedule = plateau(linear(0.4, 0.0, 4), factor=0.5, patience=0)
    opt = inject(schedule, optax.adamw, weight_decay=0.1)

    @jax.jit
    def run(losses):
        def step(state, loss):
            updates, state = opt.update(ONE, state, ONE, value=loss)
            return state, (updates, state.hyperparams["learning_rate"])

        return jax.lax.scan(step, opt.init(ONE), losses)[1]

    updates, shown = run(np.array(STUCK, np.float32))
    wanted = np.array([0.4, 0.15, 0.05, 0.0125])
    np.testing.assert_allclose(shown, wanted, rtol=1e-6)
    # For a gradient that is always 1, Adam's step is 1, and a tenth of the parameter 1 is added.
    np.testing.assert_allclose(updates, -1.1 * wanted, rtol=1e-5)


@BOTH
def test_observe_acts_at_once_and_the_next_update_uses_it(closed: Any):
    opt = inject(closed(linear(0.4, 0.0, 4), factor=0.5, patience=1))
    state = opt.init(ONE)
    used = []
    for epoch in range(2):
        for _ in range(2):
            updates, state = opt.update(ONE, state, ONE, value=None)
            used.append(-float(updates))
            np.testing.assert_allclose(current_value(state), used[-1], rtol=1e-6)
        before = float(current_value(state))
        for loss in [1.0] * 3 if epoch == 0 else [0.5, 0.25]:
            state = observe(state, loss)
        change = {0: 0.5, 1: 1 if closed is plateau else 2}[epoch]
        np.testing.assert_allclose(current_value(state), change * before, rtol=1e-6)
    np.testing.assert_allclose(used, [0.4, 0.3, 0.1, 0.05], rtol=1e-6)


PARAMS = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(2, jnp.float32)}


def trained(opt: Any, losses: list[Any], grads: list[Any] | None = None) -> tuple[list[Any], Any]:
    """The updates at each loss, by one compiled update, and the last state."""
    update = once(opt.update)
    state, seen = opt.init(PARAMS), []
    for step, loss in enumerate(losses):
        gradient = PARAMS if grads is None else grads[step]
        updates, state = update(gradient, state, PARAMS, value=np.float32(loss))
        seen.append(jax.tree.map(lambda u: float(u[0]), updates))
    return seen, state


CUTTING = functools.partial(plateau, factor=0.5, patience=0)
FALL = linear(1.0, 0.0, 4)


def test_in_a_chain_it_scales_the_whole_update():
    seen, _ = trained(optax.chain(optax.scale(2.0), inject(CUTTING(FALL))), STUCK)
    assert [updates["a"] for updates in seen] == [-2, -0.75, -0.25, -0.0625]


def test_inside_multisteps_only_the_last_micro_batch_is_observed():
    opt = optax.MultiSteps(inject(CUTTING(FALL)), 2)
    seen, _ = trained(opt, [9, 4, 1, 4, 1, 2])
    assert [updates["a"] for updates in seen] == [0, -1, 0, -0.375, 0, -0.25]


def test_each_label_of_multi_transform_has_its_own():
    opt = optax.multi_transform(
        {"x": inject(CUTTING(FALL)), "y": inject(greedy(1.0, 0.5, 1))}, {"a": "x", "b": "y"}
    )
    seen, _ = trained(opt, [8, 4, 4, 4])
    assert [updates["a"] for updates in seen] == [-1, -0.75, -0.25, -0.0625]
    assert [updates["b"] for updates in seen] == [-1, -2, -2, -1]


def test_in_apply_if_finite_a_rejected_update_is_not_observed():
    opt = optax.apply_if_finite(inject(CUTTING(1.0)), 3)
    spoilt = {"a": jnp.full(2, nan, jnp.float32), "b": PARAMS["b"]}
    seen, _ = trained(opt, [1, 1, 1, 1], [PARAMS, spoilt, spoilt, PARAMS])
    assert [updates["a"] for updates in seen] == [-1, 0, 0, -0.5]


def test_masked_it_leaves_the_other_updates_alone():
    seen, _ = trained(optax.masked(inject(CUTTING(FALL)), {"a": True, "b": False}), STUCK)
    assert [updates["a"] for updates in seen] == [-1, -0.375, -0.125, -0.03125]
    assert [updates["b"] for updates in seen] == [1] * 4


def test_one_drives_the_rate_and_another_the_weight_decay():
    opt = inject(CUTTING(1.0), optax.sgd, momentum=CUTTING(0.5, mode="max"))
    state = opt.init(ONE)
    for loss in (1.0, 2.0, 2.0):
        _, state = opt.update(ONE, state, ONE, value=loss)
    assert state.hyperparams == {"learning_rate": 0.25, "momentum": 0.25}


def test_two_optimizers_from_one_keep_apart():
    schedule = CUTTING(FALL)
    first, second = inject(schedule), inject(schedule)
    one, two = first.init(ONE), second.init(ONE)
    for loss in STUCK:
        _, one = first.update(ONE, one, ONE, value=loss)
    assert current_value(one) == 0.25 / 8
    assert current_value(two) == 1


def test_a_linear_model_is_trained_as_a_loop_in_numpy_trains_it():
    """Descent on x^2 / 2 + 1 with a rate that overshoots until the rule has cut it."""

    def body(carry, _):
        x, state = carry
        updates, state = opt.update(x, state, x, value=0.5 * x * x + 1.0)
        return (x + updates, state), x

    opt = inject(plateau(2.5, 0.5, 1, 0.125))
    (_, state), seen = jax.jit(lambda x: jax.lax.scan(body, (x, opt.init(x)), length=12))(np.float32(2))
    case, x = Plateau(factor=0.5, patience=1, threshold=0.125), 2.0
    for step in range(12):
        np.testing.assert_allclose(seen[step], x, rtol=1e-4)
        case.observe(0.5 * x * x + 1)
        x -= 2.5 * case.scale * x
    assert current_value(state) == 2.5 * case.scale < 2.5


# --- The state -----------------------------------------------------------------------------------


HALF_PARAMS = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.bfloat16)}
TREES = {
    "float32": PARAMS,
    "bfloat16": HALF_PARAMS,
    "float16": {"a": jnp.ones(2, jnp.float16), "b": jnp.ones(2, jnp.float16)},
}
LABELS = {"a": "x", "b": "y"}
ARRANGEMENTS: dict[str, Any] = {
    "sgd": inject(plateau(0.1)),
    "momentum": inject(plateau(FALL), functools.partial(optax.sgd, momentum=0.9)),
    "adamw": inject(plateau(FALL, 0.5, 2, 0, "abs", "max", 1, 3, 0.01), optax.adamw),
    "greedy": inject(greedy(FALL, 0.5, 2, max_scale=2), optax.adamw),
    "from arrays": inject(
        plateau(jnp.float32(0.1), jnp.float32(0.5), jnp.int8(2), min_value=np.int8(0))
    ),
    "from NumPy": inject(greedy(np.float64(0.1), np.float16(0.5), np.int64(2), max_scale=np.int32(2))),
    "of a lambda": inject(plateau(lambda count: 0.1 / (1 + count))),
    "two of them": inject(plateau(FALL), optax.adamw, weight_decay=greedy(0.1)),
    "a number beside": inject(plateau(FALL), optax.adamw, weight_decay=0.1),
    "in a chain": optax.chain(optax.clip(1.0), inject(plateau(FALL)), optax.identity()),
    "in MultiSteps": optax.MultiSteps(inject(plateau(FALL), optax.adamw), 2),
    "in multi_transform": optax.multi_transform({"x": inject(plateau(1)), "y": optax.sgd(0.1)}, LABELS),
    "masked": optax.masked(inject(greedy(FALL)), {"a": True, "b": False}),
    "in apply_if_finite": optax.apply_if_finite(inject(plateau(FALL), optax.adamw), 3),
}


@pytest.mark.parametrize("value", [1, np.float32(1), None], ids=["Python", "NumPy", "None"])
@pytest.mark.parametrize("params", TREES.values(), ids=TREES)
@pytest.mark.parametrize("opt", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_structure_dtypes_and_weak_types_stay_after_every_update(opt: Any, params: Any, value: Any):
    first = jax.eval_shape(opt.init, params)
    updates, second = jax.eval_shape(functools.partial(opt.update, value=value), params, first, params)
    assert layout(second) == layout(first)
    assert layout(updates) == layout(params)
    assert layout(jax.eval_shape(lambda state: observe(state, 1.0), first)) == layout(first)


@pytest.mark.parametrize("name", ["sgd", "of a lambda", "from arrays", "from NumPy"])
def test_the_state_that_arrives_is_the_state_that_was_promised(name: str):
    opt = ARRANGEMENTS[name]
    state = opt.init(HALF_PARAMS)
    states = [
        state,
        *(
            opt.update(HALF_PARAMS, state, HALF_PARAMS, value=value)[1]
            for value in (1, jnp.int8(1), None)
        ),
        observe(state, 1),
    ]
    for later in states:
        assert layout(later) == layout(state)
        assert not any(leaf.weak_type for leaf in jax.tree.leaves(later))
    kept = state.hyperparams_states["learning_rate"]
    assert {leaf.dtype.name for leaf in jax.tree.leaves(kept)} == {"float32", "int32"}
    assert state.hyperparams["learning_rate"].dtype == jnp.bfloat16


@pytest.mark.parametrize("params", TREES.values(), ids=TREES)
def test_600_losses_falling_by_a_fiftieth_of_a_percent_are_no_plateau(params: Any):
    @jax.jit
    def run(losses):
        opt = inject(plateau(0.5))
        step = lambda state, loss: opt.update(params, state, params, value=loss)[::-1]  # noqa: E731
        return jax.lax.scan(step, opt.init(params), losses)

    state, updates = run((7e4 * 0.9998 ** np.arange(600)).astype(np.float32))
    assert current_value(state) == 0.5
    chex.assert_trees_all_equal_dtypes(updates, params)
    assert all(jnp.all(leaf == -0.5) for leaf in jax.tree.leaves(updates))


def test_one_compiled_update_serves_every_setting_of_both():
    update = once(inject(plateau(0.5)).update)
    cases = [
        (plateau, Plateau, {"factor": 0.5, "patience": 0}),
        (plateau, Plateau, {"factor": 0.25, "patience": 1, "cooldown": 1, "window": 2}),
        (greedy, Greedy, {"factor": 0.5, "patience": 0, "min_scale": 0.5, "max_scale": 4.0}),
        (greedy, Greedy, {"factor": 0.5, "patience": 1, "mode": "max", "threshold_mode": "abs"}),
    ]
    losses = [8.0, 4.0, 4.0, 4.0, 4.0, 4.0, 16.0, 2.0]
    for closed, oracle, settings in cases:
        state, seen = inject(closed(np.float64(1), **settings)).init(ONE), []
        for loss in losses:
            updates, state = update(ONE, state, ONE, value=np.float32(loss))
            seen.append(-float(updates))
        assert seen == oracle(**settings).scales(losses)
        assert len(set(seen)) > 1


def test_the_clock_stops_at_the_last_step():
    last = 2**31 - 1
    schedule = plateau(linear(1.0, 0.5, last))
    state = schedule.init()
    state = state._replace(schedule=state.schedule._replace(count=jnp.int32(last - 1)))
    for _ in range(3):
        state = schedule.update(state, value=None)
        assert state.schedule.count == last
    assert schedule(state) == 0.5


def test_under_x64_updates_keep_their_dtype_and_so_does_the_state():
    before = jnp.result_type(float) == jnp.float64
    jax.config.update("jax_enable_x64", True)
    try:
        for closed in (plateau(0.5, 0.5, 2), greedy(linear(0.5, 0.0, 10)), plateau(jnp.asarray(0.5))):
            for dtype in (jnp.float32, jnp.float64, jnp.bfloat16):
                opt, params = inject(closed, optax.adamw), jax.ShapeDtypeStruct((), dtype)
                state = jax.eval_shape(opt.init, params)
                for value in (1, 1.0, jnp.asarray(1), jnp.asarray(1.0), None):
                    update = functools.partial(opt.update, value=value)
                    updates, after = jax.eval_shape(update, params, state, params)
                    assert updates.dtype == dtype
                    assert layout(after) == layout(state)
    finally:
        jax.config.update("jax_enable_x64", before)


@BOTH
def test_it_runs_in_programs_of_strict_promotion(closed: Any):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        schedule = closed(FALL, 0.5, 0)
        state = schedule.init()
        state = schedule.update(schedule.update(state, value=1.0), value=1.0)
        assert schedule(state) == (0.25 if closed is plateau else 0.5)
