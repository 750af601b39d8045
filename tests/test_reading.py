"""`current_value` reads the rate in an optimizer's state; `replace_schedule` changes the schedule."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_sched
from optax_sched import (
    ScheduleState,
    cooldown,
    current_value,
    greedy,
    join,
    linear,
    observe,
    plateau,
    reduce_on_plateau,
    replace_schedule,
    scale_by_learning_rate,
    scale_by_schedule,
    warmup,
)

ONE = np.float32(1.0)
PARAMS = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(2, jnp.float32)}
BOTH_LABELS, ONE_LABEL = {"a": "x", "b": "y"}, {"a": "x", "b": "x"}
STUCK = [1.0, 1.0, 1.0, 1.0]  # with patience 0, scales of 1, 1/2, 1/4 and 1/8

FALL = linear(0.4, 0.0, 4)  # 0.4, 0.3, 0.2, 0.1
FALLING = [0.4, 0.3, 0.2, 0.1]
CUT = [0.4, 0.15, 0.05, 0.0125]  # FALL, times those scales
RAISED = [0.8, 0.3, 0.1, 0.025]  # the same, by greedy, which the first loss makes rise to 2


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def with_value(opt: Any) -> Any:
    """The same, with an `update` that takes `value`, read or not."""
    return opt if isinstance(opt, optax.MultiSteps) else optax.with_extra_args_support(opt)


def once(function: Any) -> Any:
    """The function compiled; to trace it a second time is an error."""
    traces = []

    @jax.jit
    def traced(*args, **kwargs):
        traces.append(args)
        assert len(traces) == 1, "traced a second time"
        return function(*args, **kwargs)

    return traced


def inject(schedule: Any, optimizer: Any = optax.sgd) -> Any:
    return optax.inject_hyperparams(optimizer)(learning_rate=schedule)


def cutting() -> Any:
    return reduce_on_plateau(factor=0.5, patience=0)


def rate(schedule: Any = FALL) -> Any:
    return scale_by_learning_rate(schedule)


def labelled(x: Any, y: Any) -> Any:
    return optax.multi_transform({"x": x, "y": y}, BOTH_LABELS)


def two(x: list[float], y: list[float]) -> list[dict[str, float]]:
    return [{"x": a, "y": b} for a, b in zip(x, y, strict=True)]


def only(label: Any, rates: list[Any]) -> list[dict[Any, Any]]:
    return [{label: rate} for rate in rates]


# An optimizer that makes of a gradient of 1 minus its rate, and its rates at four losses of 1, by
# label where it has labels.
ARRANGEMENTS: dict[str, tuple[Any, list[Any]]] = {
    "alone": (rate(), FALLING),
    "a number": (rate(0.3), [0.3] * 4),
    "a lambda": (rate(lambda count: 0.1 * (count + 1)), [0.1, 0.2, 0.3, 0.4]),
    "scale_by_schedule, flipped": (optax.chain(scale_by_schedule(FALL), optax.scale(-1.0)), FALLING),
    "at the end of a chain": (optax.chain(optax.scale_by_sign(), optax.clip(1.0), rate()), FALLING),
    "in a named chain": (optax.named_chain(("adam", optax.identity()), ("rate", rate())), FALLING),
    "in a chain of chains": (optax.chain(optax.chain(optax.identity(), optax.chain(rate()))), FALLING),
    "two that multiply": (optax.chain(rate(), scale_by_schedule(FALL)), [v * v for v in FALLING]),
    "in MultiSteps": (optax.MultiSteps(rate(), 2), [0.4, 0.4, 0.4, 0.3]),
    "masked": (optax.masked(rate(), {"a": True, "b": False}), FALLING),
    "in apply_if_finite": (optax.apply_if_finite(rate(), 3), FALLING),
    "inject, a number": (inject(0.3), [0.3] * 4),
    "inject, an array": (inject(jnp.float32(0.3)), [0.3] * 4),
    "inject, a schedule": (inject(FALL), FALLING),
    "inject, optax's schedule": (inject(optax.linear_schedule(0.4, 0.0, 4)), FALLING),
    "inject, plateau": (inject(plateau(FALL, 0.5, 0)), CUT),
    "inject, greedy": (inject(greedy(FALL, 0.5, 0)), RAISED),
    "inject, plateau with a floor": (
        inject(plateau(FALL, 0.5, 0, min_value=0.1)),
        [0.4, 0.15, 0.1, 0.1],
    ),
    "inject in a chain": (optax.chain(optax.clip(1.0), inject(plateau(FALL, 0.5, 0))), CUT),
    "inject in MultiSteps": (optax.MultiSteps(inject(plateau(FALL, 0.5, 0)), 2), [0.4, 0.4, 0.4, 0.15]),
    "inject in inject": (
        optax.inject_hyperparams(
            lambda rate: inject(FALL, lambda learning_rate: optax.sgd(learning_rate))
        )(rate=1.0),
        FALLING,
    ),
    "inject with a plateau inside": (
        inject(FALL, lambda learning_rate: optax.chain(optax.sgd(learning_rate), cutting())),
        CUT,
    ),
    "a plateau that drives another number": (
        optax.inject_hyperparams(optax.sgd)(learning_rate=FALL, momentum=plateau(0.0, 0.5, 0)),
        FALLING,
    ),
    "reduce_on_plateau after": (optax.chain(rate(), cutting()), CUT),
    "reduce_on_plateau after inject": (optax.chain(inject(FALL), cutting()), CUT),
    "reduce_on_plateau before": (optax.chain(cutting(), inject(0.4)), [0.4, 0.2, 0.1, 0.05]),
    "two of them": (optax.chain(rate(), cutting(), cutting()), [0.4, 0.075, 0.0125, 0.1 / 64]),
    "reduce_on_plateau after plateau": (
        optax.chain(inject(plateau(1.0, 0.5, 0)), cutting()),
        [1, 1 / 4, 1 / 16, 1 / 64],
    ),
    "reduce_on_plateau after MultiSteps": (
        optax.chain(optax.MultiSteps(rate(), 2).gradient_transformation(), cutting()),
        [0.4, 0.2, 0.1, 0.0375],
    ),
    "multi_transform": (
        labelled(rate(), inject(plateau(1.0, 0.5, 0))),
        two(FALLING, [1, 0.5, 0.25, 0.125]),
    ),
    "partition": (
        optax.partition({"x": rate(), "y": inject(0.3)}, BOTH_LABELS),
        two(FALLING, [0.3] * 4),
    ),
    "multi_transform, each with a plateau": (
        labelled(optax.chain(rate(), cutting()), optax.chain(inject(0.3), reduce_on_plateau())),
        two(CUT, [0.3] * 4),
    ),
    "multi_transform, a label without a rate": (
        labelled(rate(), optax.scale(-1.0)),
        only("x", FALLING),
    ),
    "multi_transform, a label with a count": (labelled(rate(), optax.adam(FALL)), only("x", FALLING)),
    "multi_transform, a label with a plateau alone": (labelled(rate(), cutting()), only("x", FALLING)),
    "multi_transform, numbers as labels": (
        optax.multi_transform({0: inject(0.3), 1: rate()}, {"a": 1, "b": 0}),
        [{0: 0.3, 1: v} for v in FALLING],
    ),
    "multi_transform before a plateau": (
        optax.chain(labelled(rate(), inject(0.4)), cutting()),
        two(CUT, [0.4, 0.2, 0.1, 0.05]),
    ),
    "multi_transform after a plateau": (
        optax.chain(cutting(), labelled(rate(), inject(0.4))),
        two(CUT, [0.4, 0.2, 0.1, 0.05]),
    ),
    "multi_transform beside a rate": (
        optax.chain(rate(), labelled(scale_by_schedule(0.5), optax.identity())),
        two([0.2, 0.15, 0.1, 0.05], FALLING),
    ),
    "multi_transform of plateaus": (
        optax.chain(rate(), labelled(cutting(), optax.identity())),
        two(CUT, FALLING),
    ),
    "multi_transform without either": (
        optax.chain(labelled(optax.scale_by_sign(), optax.identity()), rate()),
        FALLING,
    ),
    "two multi_transforms": (
        optax.chain(labelled(rate(), inject(0.4)), labelled(optax.identity(), cutting())),
        two(FALLING, [0.4, 0.2, 0.1, 0.05]),
    ),
    "multi_transform in MultiSteps": (
        optax.MultiSteps(labelled(rate(), inject(1.0)), 2),
        two([0.4, 0.4, 0.4, 0.3], [1] * 4),
    ),
    "multi_transform in apply_if_finite": (
        optax.apply_if_finite(optax.chain(labelled(rate(), inject(1.0))), 2),
        two(FALLING, [1] * 4),
    ),
    "multi_transform in multi_transform": (
        optax.multi_transform({"x": labelled(rate(), inject(1.0))}, ONE_LABEL),
        only("x", two(FALLING, [1] * 4)),
    ),
}
NAMES = pytest.mark.parametrize("name", ARRANGEMENTS)
# Labels, where they are not the params' own, and what a mask or a count keeps from reading.
LEAVES = {"multi_transform, numbers as labels": {1: "a", 0: "b"}}


def close(actual: Any, wanted: Any) -> None:
    chex.assert_trees_all_equal_structs(actual, wanted)
    chex.assert_trees_all_close(actual, jax.tree.map(np.float32, wanted), rtol=1e-6, atol=0)


def rate_of_each_leaf(name: str, read: Any) -> dict[str, Any]:
    """What was read, by parameter."""
    if not isinstance(read, dict):
        return {"a": read} if name == "masked" else {"a": read, "b": read}
    if name == "multi_transform in multi_transform":
        read = read["x"]
    leaves = LEAVES.get(name, {"x": "a", "y": "b"})
    return {leaves[label]: value for label, value in read.items()}


# --- current_value -------------------------------------------------------------------------------


@NAMES
def test_it_is_the_rate_that_every_update_uses_and_before_the_first_the_one_it_will_use(name: str):
    opt, wanted = ARRANGEMENTS[name]
    opt = with_value(opt)

    @once
    def update(state, loss):
        updates, state = opt.update(PARAMS, state, PARAMS, value=loss)
        return updates, state, current_value(state)

    state = opt.init(PARAMS)
    # Only a greedy's first loss can change the first rate.
    close(current_value(state), 0.4 if name == "inject, greedy" else wanted[0])
    updated = 0
    for loss, rates in zip(STUCK, wanted, strict=True):
        updates, state, read = update(state, np.float32(loss))
        close(read, rates)
        chex.assert_trees_all_equal(current_value(state), read)  # read from outside jit
        if any(jnp.any(leaf != 0) for leaf in updates.values()):  # MultiSteps has not waited
            updated += 1
            for leaf, used in rate_of_each_leaf(name, rates).items():
                np.testing.assert_allclose(updates[leaf], [-used] * 2, rtol=1e-6)
    assert updated == (2 if "MultiSteps" in name else 4)


@NAMES
def test_reading_changes_no_state_and_gives_scalars(name: str):
    opt, _ = ARRANGEMENTS[name]
    state = jax.eval_shape(opt.init, PARAMS)
    read = jax.eval_shape(current_value, state)
    assert {leaf.shape for leaf in jax.tree.leaves(read)} == {()}
    assert all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(read))


WITH_PLATEAU = {
    "inject, plateau": 0.5,
    "inject in MultiSteps": 0.5,
    "reduce_on_plateau after": 0.5,
    "reduce_on_plateau before": 0.5,
    "reduce_on_plateau after plateau": 0.25,
    "inject with a plateau inside": 0.5,
    "multi_transform": {"x": 1, "y": 0.5},
    "multi_transform, each with a plateau": {"x": 0.5, "y": 1},
    "multi_transform before a plateau": {"x": 0.5, "y": 0.5},
}


@pytest.mark.parametrize("name", WITH_PLATEAU)
def test_observe_changes_it_at_once(name: str):
    opt, wanted = ARRANGEMENTS[name]
    state = opt.init(PARAMS)
    for _ in range(2):
        state = observe(state, 1.0)
    first, change = wanted[0], WITH_PLATEAU[name]
    if isinstance(change, dict):
        close(current_value(state), {label: first[label] * change[label] for label in change})
    else:
        close(current_value(state), first * change)


def test_after_an_update_observe_scales_the_rate_that_it_used():
    opt = inject(plateau(FALL, 0.5, 0))
    state = opt.init(PARAMS)
    for loss in STUCK[:2]:
        _, state = opt.update(PARAMS, state, PARAMS, value=loss)
    close(current_value(state), 0.15)
    state = observe(state, 1.0)
    close(current_value(state), 0.075)
    updates, state = opt.update(PARAMS, state, PARAMS, value=None)
    close(current_value(state), 0.05)
    np.testing.assert_allclose(updates["a"], [-0.05] * 2, rtol=1e-6)


def test_a_number_that_is_set_by_hand_is_read():
    opt = inject(0.4)
    state = opt.init(PARAMS)
    state.hyperparams["learning_rate"] = 0.25
    assert current_value(state) == 0.25
    assert current_value(state).shape == ()
    updates, _ = opt.update(PARAMS, state, PARAMS)
    assert updates["a"][0] == -0.25


def test_a_rate_that_is_negative_or_0_is_read_as_it_is():
    assert current_value(scale_by_schedule(-0.5).init(PARAMS)) == -0.5
    assert current_value(rate(warmup(0.5, 2)).init(PARAMS)) == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_for_params_of_low_precision_it_is_the_rate_to_their_precision(dtype: str):
    params = jnp.ones(2, dtype)
    for opt in (inject(plateau(FALL, 0.5, 0)), rate(), optax.chain(inject(FALL), cutting())):
        opt = with_value(opt)
        updates, state = opt.update(params, opt.init(params), params, value=1.0)
        read = current_value(state)
        np.testing.assert_allclose(read, 0.4, rtol=float(jnp.finfo(dtype).eps))
        assert updates.dtype == dtype
        np.testing.assert_array_equal(updates, -jnp.full(2, read.astype(dtype)))


def test_a_batch_of_states_gives_a_batch_of_rates():
    @jax.jit
    def run(peaks):
        opts = lambda peak: inject(plateau(linear(peak, 0.0, 4), 0.5, 0))  # noqa: E731
        states = jax.vmap(lambda peak: opts(peak).init(ONE))(peaks)
        return current_value(states), jax.vmap(current_value)(states)

    peaks = np.array([0.1, 0.2], np.float32)
    for read in run(peaks):
        np.testing.assert_array_equal(read, peaks)


WITHOUT_RATE = {
    "adamw of a schedule": optax.adamw(FALL),
    "sgd of a number": optax.sgd(0.1),
    "optax's scale_by_schedule": optax.scale_by_schedule(FALL),
    "inject of something else": optax.inject_hyperparams(optax.scale_by_adam)(b1=FALL),
    "a plateau alone": optax.chain(optax.sgd(0.1), cutting()),
    "MultiSteps of one": optax.MultiSteps(optax.adamw(FALL), 2),
    "multi_transform without any": labelled(optax.adamw(FALL), optax.sgd(0.1)),
    "multi_transform with a plateau": labelled(optax.adamw(FALL), cutting()),
    "nothing": optax.identity(),
}


@pytest.mark.parametrize("name", WITHOUT_RATE)
def test_where_there_is_no_rate_one_line_says_what_to_use_instead(name: str):
    state = WITHOUT_RATE[name].init(PARAMS)
    for read in (current_value, functools.partial(jax.eval_shape, current_value)):
        with pytest.raises(
            ValueError,
            match=r"^current_value: opt_state holds no rate[^\n]*optax\.inject_hyperparams[^\n]*"
            r"optax_sched\.scale_by_learning_rate",
        ) as raised:
            read(state)
        if read is current_value:  # jit adds a remark of its own
            assert "\n" not in str(raised.value)


def test_the_remedies_that_the_error_names_are_remedies():
    for opt in (inject(FALL, optax.adamw), optax.chain(optax.scale_by_adam(), rate())):
        close(current_value(opt.init(PARAMS)), 0.4)


# --- replace_schedule ----------------------------------------------------------------------------

SLOW = linear(0.8, 0.0, 8)  # 0.8, 0.7, 0.6, 0.5, 0.4, ...
# A running optimizer of FALL; its rates at four losses of 1 of which the last two follow SLOW, and
# what the schedule alone says where a plateau scales it.
REPLACED: dict[str, tuple[Any, list[Any]]] = {
    "alone": (rate(), [0.4, 0.3, 0.6, 0.5]),
    "scale_by_schedule": (
        optax.chain(scale_by_schedule(FALL), optax.scale(-1.0)),
        [0.4, 0.3, 0.6, 0.5],
    ),
    "in a chain": (optax.chain(optax.clip(1.0), rate(), cutting()), [0.4, 0.15, 0.15, 0.0625]),
    "in MultiSteps": (optax.MultiSteps(rate(), 2), [0.4, 0.4, 0.4, 0.7]),
    "masked": (optax.masked(rate(), {"a": True, "b": False}), [0.4, 0.3, 0.6, 0.5]),
    "in apply_if_finite": (optax.apply_if_finite(rate(), 3), [0.4, 0.3, 0.6, 0.5]),
    "in plateau": (inject(plateau(FALL, 0.5, 0)), [0.4, 0.15, 0.15, 0.0625]),
    "in greedy": (inject(greedy(FALL, 0.5, 0), optax.sgd), [0.8, 0.3, 0.3, 0.125]),
    "in plateau in MultiSteps": (
        optax.MultiSteps(optax.chain(inject(plateau(FALL, 0.5, 0))), 2),
        [0.4, 0.4, 0.4, 0.35],
    ),
    "in multi_transform": (labelled(rate(), inject(0.3)), two([0.4, 0.3, 0.6, 0.5], [0.3] * 4)),
    "at two labels": (
        labelled(rate(), inject(plateau(FALL, 0.5, 0))),
        two([0.4, 0.3, 0.6, 0.5], [0.4, 0.15, 0.15, 0.0625]),
    ),
    "at the label of its structure": (
        labelled(rate(), rate(warmup(0.8, 4))),
        two([0.4, 0.3, 0.6, 0.5], [0, 0.2, 0.4, 0.6]),
    ),
}


@functools.cache
def two_updates(name: str) -> tuple[Any, Any]:
    """A compiled update of the arrangement that may be traced once, and the state after two losses."""
    opt, wanted = REPLACED[name]
    opt = with_value(opt)
    update = once(lambda state: opt.update(PARAMS, state, PARAMS, value=ONE))
    state = opt.init(PARAMS)
    for rates in wanted[:2]:
        state = update(state)[1]
        close(current_value(state), rates)
    return update, state


def layout(tree: Any) -> Any:
    """All that must stay put for `scan` and the compilation cache."""
    leaves, structure = jax.tree.flatten(tree)
    weak = [getattr(leaf, "weak_type", False) for leaf in leaves]  # a random key has no such thing
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves], weak


def follows(name: str, state: Any) -> None:
    """Two more updates, with no new trace, at the rates of the table."""
    update, before = two_updates(name)
    assert layout(state) == layout(before)
    chex.assert_trees_all_equal(current_value(state), current_value(before))  # of the last update
    for rates in REPLACED[name][1][2:]:
        state = update(state)[1]
        close(current_value(state), rates)


@pytest.mark.parametrize("name", REPLACED)
def test_a_running_job_goes_on_with_the_new_schedule_and_no_new_trace(name: str):
    follows(name, replace_schedule(two_updates(name)[1], SLOW))


@pytest.mark.parametrize("name", REPLACED)
def test_surgery_by_hand_does_the_same(name: str):
    def operate(node):
        if not isinstance(node, ScheduleState) or not hasattr(node.schedule, "transition_steps"):
            return node
        peak, steps = jnp.float32(0.8), jnp.int32(8)
        return node._replace(schedule=node.schedule.replace(init_value=peak, transition_steps=steps))

    _, state = two_updates(name)
    operated = jax.tree.map(operate, state, is_leaf=lambda node: isinstance(node, ScheduleState))
    follows(name, operated)


def test_replacing_inside_jit_takes_traced_schedules_and_compiles_once():
    _, state = two_updates("in plateau")
    replaced = once(replace_schedule)
    for schedule in (FALL, SLOW.replace(transition_steps=3), SLOW):
        new = replaced(state, schedule)
    follows("in plateau", new)


@pytest.mark.parametrize("opt", [rate(), inject(plateau(FALL, 0.5, 0)), labelled(rate(), rate(0.1))])
def test_before_the_first_update_the_value_is_that_of_the_new_schedule(opt: Any):
    state = replace_schedule(opt.init(PARAMS), SLOW)
    read = current_value(state)
    close(read["x"] if isinstance(read, dict) else read, 0.8)
    updates, _ = with_value(opt).update(PARAMS, state, PARAMS, value=1.0)
    np.testing.assert_allclose(updates["a"], [-0.8] * 2, rtol=1e-6)


# What the running job has, what comes instead, and the rate at its step 3.
NEW: dict[str, tuple[Any, Any, float]] = {
    "Python numbers for Python numbers": (FALL, SLOW, 0.5),
    "ints for rates": (FALL, linear(8, 0, 8), 5),
    "arrays for Python numbers": (FALL, linear(jnp.float32(0.8), jnp.bfloat16(0), jnp.int8(8)), 0.5),
    "Python numbers for arrays": (linear(jnp.float32(0.4), 0.0, jnp.int32(4)), SLOW, 0.5),
    "a whole float for a whole length": (FALL, linear(0.8, 0.0, 8.0), 0.5),
    "an int for a length in floats": (linear(0.4, 0.0, 4.5), SLOW, 0.5),
    "a fraction for a length in floats": (linear(0.4, 0.0, 4.5), linear(0.8, 0.0, 7.5), 0.48),
    "a number for a number": (0.1, 0.25, 0.25),
    "constant for a number": (0.1, optax_sched.constant(0.25), 0.25),
    "a number for constant": (optax_sched.constant(0.1), 1, 1),
    "nested": (cooldown(warmup(0.5, 2), 2**31 - 1, 4), cooldown(warmup(0.5, 2), 2, 4), 0.375),
    "parts": (join([0.1, FALL], [9]), join([0.2, SLOW], [2]), 0.7),
    "sequences": (
        optax_sched.piecewise_constant([1, 0.5], [9]),
        optax_sched.piecewise_constant([0.9, 0.3], [2]),
        0.3,
    ),
    "a family of a batch": (
        optax_sched.select(0, [FALL, 0.1]),
        optax_sched.select(1, [SLOW, 0.7]),
        0.7,
    ),
    "a random key": (
        optax_sched.noisy(0.5, jax.random.key(0), 0.1),
        optax_sched.noisy(0.25, jax.random.key(0), 0.0),
        0.25,
    ),
}


@pytest.mark.parametrize("name", NEW)
def test_the_new_one_is_cast_to_the_dtypes_of_the_old_one(name: str):
    old, new, at_3 = NEW[name]
    opt = rate(old)
    state = opt.init(PARAMS)
    for _ in range(3):
        _, state = opt.update(PARAMS, state)
    changed = replace_schedule(state, new)
    assert layout(changed) == layout(state)
    updates, _ = opt.update(PARAMS, changed)
    np.testing.assert_allclose(updates["a"], [-at_3] * 2, rtol=1e-6)


def closure(count: Any) -> Any:
    return 0.1 / (count + 1)


# What the running job has, and what does not fit there.
MISFITS: dict[str, tuple[Any, Any]] = {
    "another builder": (FALL, optax_sched.cosine_decay(0.4, 4)),
    "a number": (FALL, 0.1),
    "something around it": (FALL, warmup(FALL, 2)),
    "something less around it": (warmup(FALL, 2), FALL),
    "another shape": (cooldown(0.1, 2, 4), cooldown(0.1, 2, 4, shape="sqrt")),
    "more of them": (join([FALL, FALL], [2]), join([FALL, FALL, FALL], [2, 4])),
    "more numbers": (
        optax_sched.piecewise_constant([0.1, 0.2], [2]),
        optax_sched.piecewise_constant([0.1, 0.2, 0.3], [2, 4]),
    ),
    "another function": (closure, lambda count: 0.1 / (count + 2)),
    "a batch": (FALL, jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 2), FALL)),
}


@pytest.mark.parametrize("name", MISFITS)
def test_another_structure_raises_one_line_that_shows_both(name: str):
    old, new = MISFITS[name]
    for opt in (rate(old), inject(plateau(old))):
        with pytest.raises(
            ValueError,
            match=r"^replace_schedule: schedule must be of the old one's structure, .*, got [^\n]*$",
        ) as raised:
            replace_schedule(opt.init(PARAMS), new)
        if name == "something less around it":
            assert repr(FALL) in str(raised.value).partition(", got ")[2]


@pytest.mark.parametrize("length", [4.5, np.float32(2.25), jnp.float32(1e12)])
def test_a_length_that_would_be_cut_to_a_whole_one_raises(length: Any):
    with pytest.raises(
        ValueError,
        match=r"^replace_schedule: schedule must have whole numbers where the old one has, linear\(.*"
        r"transition_steps=4\), got linear\([^\n]*\)$",
    ):
        replace_schedule(rate().init(PARAMS), linear(0.8, 0.0, length))


def test_the_same_closure_fits_and_lambdas_are_compared_by_identity():
    state = rate(closure).init(PARAMS)
    chex.assert_trees_all_equal(replace_schedule(state, closure), state)


WITHOUT_SCHEDULE = {
    "adamw of a schedule": optax.adamw(FALL),
    "optax's scale_by_schedule": optax.scale_by_schedule(FALL),
    "inject of a schedule": inject(FALL),
    "a plateau alone": optax.chain(optax.sgd(0.1), cutting()),
    "nothing": optax.identity(),
}


@pytest.mark.parametrize("name", WITHOUT_SCHEDULE)
def test_where_there_is_none_to_replace_one_line_says_what_keeps_one(name: str):
    with pytest.raises(
        ValueError,
        match=r"^replace_schedule: opt_state must hold a schedule, such as scale_by_[^\n]*$",
    ):
        replace_schedule(WITHOUT_SCHEDULE[name].init(PARAMS), SLOW)


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        ("a", TypeError, "'a'"),
        (None, TypeError, "None"),
        ([FALL], TypeError, r"\[linear"),
        (1j, TypeError, "1j"),
        (float("nan"), ValueError, "nan"),
    ],
)
def test_what_is_no_schedule_raises(value: Any, error: type[Exception], shown: str):
    with pytest.raises(error, match=rf"^replace_schedule: schedule must be a schedule.*, got {shown}"):
        replace_schedule(rate().init(PARAMS), value)


def test_a_batch_of_running_jobs_takes_a_batch_of_schedules():
    @jax.jit
    def run(peaks):
        states = jax.vmap(lambda peak: rate(linear(peak, 0.0, 4)).init(ONE))(peaks)
        new = jax.vmap(lambda peak: linear(peak, 0.0, 8))(10 * peaks)
        return current_value(jax.vmap(replace_schedule)(states, new))

    peaks = np.array([0.1, 0.2], np.float32)
    np.testing.assert_allclose(run(peaks), 10 * peaks, rtol=1e-6)


def test_a_cooldown_branches_off_a_running_scan_at_any_step():
    """The rates of the trunk and of each branch, by the formula; one program for all of them."""
    trunk = cooldown(warmup(0.5, 2), 2**31 - 1, 4)
    opt = rate(trunk)

    @once
    def four_updates(state):
        return jax.lax.scan(lambda state, _: opt.update(ONE, state)[::-1], state, length=4)

    state, seen = opt.init(ONE), []
    for start in (4, 8, 12):
        state, updates = four_updates(state)
        seen.append(-updates)
        branch = replace_schedule(state, trunk.replace(start=start))
        for wanted in ([0.5, 0.375, 0.25, 0.125], [0, 0, 0, 0]):
            branch, updates = four_updates(branch)
            np.testing.assert_allclose(-updates, wanted, rtol=1e-6)
        assert current_value(branch) == 0
    np.testing.assert_allclose(np.concatenate(seen), [0, 0.25, *[0.5] * 10], rtol=1e-6)
