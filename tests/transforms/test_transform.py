"""`scale_by_schedule` and `scale_by_learning_rate`, and optax with our schedules as learning rates."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tables.cases import LAST, ROWS, expected, wide

import optax_sched
from optax_sched import Schedule, ScheduleState, cosine_decay, linear, step_decay, warmup

# To optax's types a state is any tree, so a checker does not know the fields of this one.
scale_by_schedule: Any = optax_sched.scale_by_schedule
scale_by_learning_rate: Any = optax_sched.scale_by_learning_rate
BOTH = pytest.mark.parametrize(
    ("ours", "theirs", "sign"),
    [
        pytest.param(scale_by_schedule, optax.scale_by_schedule, 1, id="scale_by_schedule"),
        pytest.param(
            scale_by_learning_rate, optax.scale_by_learning_rate, -1, id="scale_by_learning_rate"
        ),
    ],
)

ONE = np.float32(1.0)
FALL = linear(0.1, 0.0, 10)
RATES = 0.1 * np.maximum(1 - np.arange(20) / 10, 0)  # of FALL
TREE = {"w": jnp.array([1.0, -3.0], jnp.float32), "b": jnp.array(0.7, jnp.bfloat16), "none": None}

SCHEDULES: dict[str, Any] = {
    "linear": FALL,
    "cosine_decay": cosine_decay(0.3, 7, 0.01),
    "warmup of step_decay": warmup(step_decay(0.1, 3, 0.5), 4, 0.01),
    "join": optax_sched.join([FALL, 0.2, optax.linear_schedule(1.0, 0.0, 5)], [5, 10]),
    "optax closure": optax.cosine_decay_schedule(0.1, 15),
    "lambda": lambda count: 0.1 / (1.0 + count),
    "lambda that returns a Python number": lambda count: 0.25,
    "array": jnp.float32(0.3),
    "float": 0.1,
    "int": 2,
}


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def run(opt: Any, updates: Any, count: int, params: Any = None) -> tuple[list[Any], Any]:
    """The scaled updates of the first few steps, and the last state."""
    state, seen = opt.init(params), []
    for _ in range(count):
        scaled, state = opt.update(updates, state, params)
        seen.append(scaled)
    return seen, state


def layout(tree: Any) -> Any:
    """All that must stay put for `scan` and the compilation cache."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in leaves]


# --- As optax's ----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_20_updates_are_those_of_optax_to_the_bit(ours: Any, theirs: Any, sign: int, schedule: Any):
    del sign
    for_optax = schedule if callable(schedule) else optax.constant_schedule(schedule)
    if schedule is SCHEDULES["optax closure"]:  # of ours it is one program, and rounds as such
        for_optax = jax.jit(schedule)
    seen, state = run(ours(schedule), TREE, 20)
    wanted, _ = run(theirs(for_optax), TREE, 20)
    chex.assert_trees_all_equal(seen, wanted)
    chex.assert_trees_all_equal_shapes_and_dtypes(seen, wanted)
    assert state.count == 20


@BOTH
def test_updates_are_scaled_by_the_formula_and_by_exactly_0_at_its_end(
    ours: Any, theirs: Any, sign: int
):
    del theirs
    seen, _ = run(ours(FALL), ONE, 20)
    np.testing.assert_allclose(np.array(seen), sign * RATES, rtol=1e-6)


@BOTH
def test_integer_updates_keep_their_dtype(ours: Any, theirs: Any, sign: int):
    del theirs
    seen, _ = run(ours(2.0), {"n": jnp.array([3, 0], jnp.int32), "w": ONE}, 1)
    assert seen[0]["n"].dtype == jnp.int32
    np.testing.assert_array_equal(seen[0]["n"], [6 * sign, 0])


@BOTH
def test_the_factor_is_cast_to_the_dtype_of_each_update(ours: Any, theirs: Any, sign: int):
    del theirs
    ones = {name: jnp.ones(2, name) for name in ("float32", "bfloat16", "float16")}
    for schedule in (
        linear(0.1, 0.0, 10),
        linear(jnp.float32(0.1), 0.0, 10),
        lambda count: jnp.float32(0.1),
    ):
        seen, _ = run(ours(schedule), ones, 1)
        for name, scaled in seen[0].items():
            np.testing.assert_array_equal(scaled, jnp.full(2, sign * 0.1, name))
            assert (scaled.dtype, scaled.weak_type) == (name, False)


# --- The state -----------------------------------------------------------------------------------


@BOTH
def test_the_state_tells_the_rate_that_the_last_update_used(ours: Any, theirs: Any, sign: int):
    del theirs
    opt = ours(FALL)
    state = opt.init(ONE)
    assert isinstance(state, ScheduleState)
    assert state.count == 0
    assert state.value == np.float32(0.1)  # the one that the first update will use
    for step, rate in enumerate(RATES):
        scaled, state = opt.update(ONE, state)
        np.testing.assert_allclose(state.value, rate, rtol=1e-6)
        assert scaled == sign * state.value
        assert state.count == step + 1


def test_the_state_carries_the_schedule():
    state = scale_by_schedule(FALL).init(ONE)
    assert isinstance(state.schedule, Schedule)
    assert state.schedule.init_value == np.float32(0.1)
    assert state.schedule.transition_steps == 10
    np.testing.assert_allclose(state.schedule(5), 0.05, rtol=1e-6)


@pytest.mark.parametrize(
    "schedule",
    [
        *(pytest.param(row.examples[0].schedule, marks=wide(name)) for name, row in ROWS.items()),
        *SCHEDULES.values(),
    ],
    ids=[*ROWS, *(f"{name} here" for name in SCHEDULES)],
)
def test_structure_dtypes_and_weak_types_stay_after_every_update(schedule: Any):
    opt = scale_by_learning_rate(schedule)
    state = opt.init(TREE)
    leaves = jax.tree.leaves(state)
    assert all(isinstance(leaf, jax.Array) and not leaf.weak_type for leaf in leaves)
    updates, after = jax.eval_shape(opt.update, TREE, state)
    assert layout(after) == layout(state)
    assert layout(updates) == layout(TREE)
    assert (state.count.dtype, state.value.dtype) == (jnp.int32, jnp.float32)


def test_the_count_saturates_at_the_last_step():
    opt = scale_by_schedule(linear(1.0, 0.5, LAST))
    state = opt.init(ONE)._replace(count=jnp.int32(LAST - 1))
    seen = []
    for _ in range(3):
        scaled, state = opt.update(ONE, state)
        seen.append(float(scaled))
        assert state.count == LAST
    assert seen[1:] == [0.5, 0.5]


def test_under_x64_the_rate_is_float64_and_the_count_int32():
    before = jnp.result_type(float) == jnp.float64
    jax.config.update("jax_enable_x64", True)
    try:
        opt = scale_by_schedule(linear(0.1, 0.0, 10))
        state = opt.init(ONE)
        assert (state.count.dtype, state.value.dtype) == (jnp.int32, jnp.float64)
        updates = {name: jax.ShapeDtypeStruct((), name) for name in ("float32", "float64", "bfloat16")}
        scaled, after = jax.eval_shape(opt.update, updates, state)
        assert {name: leaf.dtype.name for name, leaf in scaled.items()} == {
            name: name for name in updates
        }
        assert layout(after) == layout(state)
    finally:
        jax.config.update("jax_enable_x64", before)


# --- Under JAX's transformations -----------------------------------------------------------------


def test_under_scan_it_descends_by_the_formula():
    opt = scale_by_learning_rate(FALL)

    @jax.jit
    def train(params):
        def step(carry, _):
            params, state = carry
            updates, state = opt.update(ONE, state, params)
            return (params + updates, state), updates

        return jax.lax.scan(step, (params, opt.init(params)), length=20)

    (params, state), updates = train(ONE)
    np.testing.assert_allclose(updates, -RATES, rtol=1e-6)
    np.testing.assert_allclose(params, 1 - RATES.sum(), rtol=1e-6)
    assert (state.count, state.value) == (20, 0)


def test_a_vmapped_sweep_over_peak_and_horizon_builds_the_optimizer_inside():
    def train(peak, steps):
        opt = optax.chain(optax.scale_by_sign(), scale_by_learning_rate(linear(peak, 0.0, steps)))

        def step(state, _):
            updates, state = opt.update(ONE, state)
            return state, updates

        return jax.lax.scan(step, opt.init(ONE), length=20)[1]

    peaks, horizons = np.array([0.1, 1.0, 0.5], np.float32), np.array([10, 4, 40], np.int32)
    updates = jax.jit(jax.vmap(train))(peaks, horizons)
    left = np.maximum(1 - np.arange(20) / horizons[:, None], 0)
    np.testing.assert_allclose(updates, -peaks[:, None] * left, rtol=1e-6)


def test_it_runs_in_programs_of_strict_promotion():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        for opt in (
            scale_by_schedule(FALL),
            scale_by_learning_rate(cosine_decay(jnp.float32(0.1), 10)),
        ):
            state = opt.init(TREE)
            scaled, after = opt.update(TREE, state)
            assert layout(scaled) == layout(TREE)
            assert layout(after) == layout(state)


def test_a_jitted_update_compiles_once_for_all_steps_schedules_and_restored_states():
    opt = scale_by_schedule(FALL)
    update = jax.jit(chex.assert_max_traces(opt.update, 1))
    state = opt.init(ONE)
    for rate in RATES[:3]:
        scaled, state = update(ONE, state)
        np.testing.assert_allclose(scaled, rate, rtol=1e-6)
    # Another of the same structure, cast to the dtypes of the old one, goes on from the same count.
    replacement = jax.tree.map(
        lambda new, old: jnp.asarray(new, old.dtype), linear(2, 1, 5), state.schedule
    )
    scaled, state = update(ONE, state._replace(schedule=replacement))
    np.testing.assert_allclose(scaled, 1.4, rtol=1e-6)
    # A checkpoint gives NumPy arrays back.
    scaled, state = update(ONE, jax.tree.map(np.asarray, state))
    np.testing.assert_allclose(scaled, 1.2, rtol=1e-6)
    scaled, state = update(ONE, state)
    assert scaled == 1


# --- optax takes every schedule --------------------------------------------------------------------

PARAMS = {"a": ONE, "b": ONE}
GRADS = {"a": np.float32(0.5), "b": np.float32(-2.0)}
IN_ORDER = [0, 1, 2, 3, 4]
# What takes the schedule, and the schedule's own step at each of the first five updates.
CONSUMERS: dict[str, tuple[Any, list[int]]] = {
    "adamw": (optax.adamw, IN_ORDER),
    "sgd": (optax.sgd, IN_ORDER),
    "inject_hyperparams": (optax.inject_hyperparams(optax.adamw), IN_ORDER),
    "MultiSteps": (lambda s: optax.MultiSteps(optax.sgd(s), 2), [0, 0, 1, 1, 2]),
    "multi_transform": (
        lambda s: optax.multi_transform({"x": optax.sgd(s), "y": optax.adamw(s)}, {"a": "x", "b": "y"}),
        IN_ORDER,
    ),
    "join_schedules": (lambda s: optax.sgd(optax.join_schedules([s, s], [3])), [0, 1, 2, 0, 1]),
    "schedules.join_schedules": (
        lambda s: optax.sgd(optax.schedules.join_schedules([s] * 3, [1, 3])),
        [0, 0, 1, 0, 1],
    ),
    "scale_by_schedule": (optax.scale_by_schedule, IN_ORDER),
    "scale_by_learning_rate": (optax.scale_by_learning_rate, IN_ORDER),
}


def five_updates(consumer: str, schedule: Any) -> tuple[dict[str, np.ndarray], Any]:
    opt = CONSUMERS[consumer][0](schedule)
    if consumer == "MultiSteps":  # its `lax.cond` would be compiled again at every eager update
        opt = optax.GradientTransformation(opt.init, jax.jit(opt.update))
    seen, state = run(opt, GRADS, 5, PARAMS)
    return {leaf: np.array([updates[leaf] for updates in seen]) for leaf in PARAMS}, state


@functools.cache
def at_rate_1(consumer: str) -> dict[str, np.ndarray]:
    """What optax does with a schedule of its own."""
    updates, _ = five_updates(consumer, optax.constant_schedule(1.0))
    assert all(np.any(leaf != 0) for leaf in updates.values())
    return updates


# Each row in one of them, and the representatives in all.
@pytest.mark.parametrize(
    ("name", "consumer"),
    [
        pytest.param(name, consumer, marks=() if consumer == "sgd" else wide(name))
        for consumer in CONSUMERS
        for name in ROWS
    ],
)
def test_optax_takes_the_schedule_and_follows_its_formula(name: str, consumer: str):
    schedule = ROWS[name].examples[0].schedule
    rates = np.array([float(expected(schedule, step)) for step in CONSUMERS[consumer][1]])
    updates, state = five_updates(consumer, schedule)
    for leaf, unit in at_rate_1(consumer).items():
        np.testing.assert_allclose(updates[leaf], rates * unit, rtol=1e-6)
    if consumer == "inject_hyperparams":
        np.testing.assert_allclose(state.hyperparams["learning_rate"], rates[-1], rtol=1e-6)


def test_a_bfloat16_update_of_optax_stays_bfloat16():
    half = jnp.ones(2, jnp.bfloat16)
    for opt in (optax.sgd(FALL), optax.scale_by_schedule(FALL), optax.adamw(FALL)):
        assert jax.eval_shape(opt.update, half, opt.init(half), half)[0].dtype == jnp.bfloat16


# --- Bad input -----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        ("a", TypeError, "'a'"),
        (None, TypeError, "None"),
        (True, TypeError, "True"),
        ([0.1, 0.2], TypeError, "[0.1, 0.2]"),
        (jnp.ones(2, jnp.float32), TypeError, "an array of shape (2,)"),
        (1j, TypeError, "1j"),
        (float("nan"), ValueError, "nan"),
        (float("inf"), ValueError, "inf"),
    ],
)
def test_what_is_no_schedule_raises_one_line(
    ours: Any, theirs: Any, sign: int, value: Any, error: type[Exception], shown: str
):
    del theirs, sign
    with pytest.raises(error) as raised:
        ours(value)
    rule = "a schedule, a function of the step, or a finite number"
    assert str(raised.value) == f"{ours.__name__}: schedule must be {rule}, got {shown}"


def test_a_donated_state_leaves_the_users_arrays_alone():
    rate = jnp.float32(0.1)
    opt = optax_sched.scale_by_learning_rate(optax_sched.linear(rate, 0.0, 10))
    step = jax.jit(lambda state: opt.update({"w": jnp.ones(2)}, state)[1], donate_argnums=0)
    step(opt.init({"w": jnp.ones(2)}))
    assert float(rate) == np.float32(0.1)
    assert step(opt.init({"w": jnp.ones(2)})).count == 1
