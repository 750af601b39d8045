"""`replace_schedule` puts another schedule into a running job, and compiles nothing anew."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.injected import (
    FALL,
    PARAMS,
    close,
    cutting,
    inject,
    labelled,
    layout,
    once,
    rate,
    two,
    with_value,
)

import optax_sched
from optax_sched import (
    ScheduleState,
    cooldown,
    current_value,
    greedy,
    join,
    linear,
    plateau,
    replace_schedule,
    scale_by_schedule,
    warmup,
)
from optax_sched import schedule as o_schedule

ONE = np.float32(1.0)


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


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


@pytest.mark.parametrize("opt", [rate(), inject(plateau(FALL, 0.5, 0)), labelled(rate(), rate())])
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
    "another function": (closure, o_schedule(lambda step: 0.1 / (step + 2), name="mine")()),
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


def test_a_list_fits_where_an_array_is_and_costs_no_trace():
    listed = optax_sched.piecewise_constant([0.4, 0.2], [1])
    arrayed = optax_sched.piecewise_constant(jnp.array([0.8, 0.1]), jnp.array([2]))
    for old, new in ((listed, arrayed), (arrayed, listed)):
        state = rate(old).init(PARAMS)
        replaced = replace_schedule(state, new)
        chex.assert_trees_all_equal_structs(replaced, state)
        np.testing.assert_array_equal(replaced.schedule.values, new.values)


def test_a_seed_does_not_fit_where_a_key_is_nor_a_key_where_a_seed_is():
    seeded, keyed = (optax_sched.noisy(0.5, key, 0.1) for key in (3, jax.random.key(3)))
    for old, new in ((seeded, keyed), (keyed, seeded)):
        with pytest.raises(ValueError, match=r"^replace_schedule: schedule must be of the old one's"):
            replace_schedule(rate(old).init(PARAMS), new)


@pytest.mark.parametrize("length", [4.5, np.float32(2.25), jnp.float32(1e12)])
def test_a_length_that_would_be_cut_to_a_whole_one_raises(length: Any):
    with pytest.raises(
        ValueError,
        match=r"^replace_schedule: schedule must have whole numbers where the old one has, linear\(.*"
        r"transition_steps=4\), got linear\([^\n]*\); retrace=True takes it, [^\n]*$",
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
