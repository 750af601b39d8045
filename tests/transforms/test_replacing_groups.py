"""Which schedules and settings are replaced: groups by label, functions, other structures, plateaus."""

from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.injected import FALL, PARAMS, close, inject, labelled, layout, once, rate, with_value
from tables.loops import LOOPS

import optax_sched
from optax_sched import FeedbackState, current_value, linear, observe, replace_schedule

# To optax's types a state is any tree, so a checker does not know the fields of these.
o: Any = optax_sched
replace_feedback: Any = optax_sched.replace_feedback

ONE = np.float32(1.0)


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def groups() -> Any:
    other = inject(o.live(FALL.replace(init_value=0.2)))
    return labelled(rate(), optax.chain(optax.clip(9.0), other))


def after(opt: Any, steps: int = 1, state: Any = None) -> Any:
    state = opt.init(PARAMS) if state is None else state
    for _ in range(steps):
        _, state = with_value(opt).update(PARAMS, state, PARAMS, value=1.0)
    return state


def next_rates(opt: Any, state: Any) -> Any:
    """What the next update uses."""
    return current_value(after(opt, 1, state))


# --- Schedules -----------------------------------------------------------------------------------


def test_groups_of_different_rates_are_not_flattened():
    state = after(groups())
    with pytest.raises(ValueError, match=r"^replace_schedule: .*init_value=0.2.* and .*init_value=0.4"):
        replace_schedule(state, linear(0.8, 0.0, 8))
    with pytest.raises(
        ValueError,
        match=r"a dict of schedules by label .* or by name of a hyperparameter, or a function old "
        "-> new that returns unchanged what you want to keep$",
    ):
        replace_schedule(state, linear(0.8, 0.0, 8), retrace=True)


def test_a_dict_by_label_replaces_what_it_names():
    opt = groups()
    state = after(opt)
    new = replace_schedule(state, {"y": linear(0.8, 0.0, 8)})
    assert layout(new) == layout(state)
    close(next_rates(opt, new), {"x": 0.3, "y": 0.7})
    new = replace_schedule(
        state, {"x": linear(1.6, 0.0, 8), "y": lambda old: old.replace(init_value=1)}
    )
    close(next_rates(opt, new), {"x": 1.4, "y": 0.75})


def two_hyperparameters() -> Any:
    return optax.inject_hyperparams(optax.adamw)(
        learning_rate=o.live(FALL), weight_decay=o.live(FALL.replace(init_value=0.2))
    )


@pytest.mark.parametrize("form", ["optax", "dicts"])
def test_a_dict_by_name_replaces_one_of_two_hyperparameters(form):
    opt = two_hyperparameters()
    state = after(opt)
    given = flax.serialization.to_state_dict(state) if form == "dicts" else state
    new = replace_schedule(given, {"weight_decay": linear(0.8, 0.0, 8)})
    assert layout(new) == layout(given)
    if form == "dicts":
        new = flax.serialization.from_state_dict(state, new)
    hyperparams = after(opt, 1, new).hyperparams
    close(hyperparams["weight_decay"], 0.7)
    close(hyperparams["learning_rate"], 0.3)
    new = replace_schedule(given, linear(0.8, 0.0, 8))
    if form == "dicts":
        new = flax.serialization.from_state_dict(state, new)
    hyperparams = after(opt, 1, new).hyperparams
    close(hyperparams["weight_decay"], 0.15)
    close(hyperparams["learning_rate"], 0.7)


def test_a_dict_by_name_goes_into_groups_and_beside_them():
    grouped = labelled(two_hyperparameters(), rate())
    new = replace_schedule(after(grouped), {"x": {"weight_decay": linear(0.8, 0.0, 8)}})
    decay = after(grouped, 1, new).inner_states["x"].inner_state.hyperparams["weight_decay"]
    close(decay, 0.7)

    def outside(momentum: Any) -> Any:  # a hyperparameter of its own around groups
        return optax.chain(optax.trace(momentum), groups())

    opt = optax.inject_hyperparams(outside)(momentum=o.live(FALL))
    new = replace_schedule(after(opt), {"momentum": 0.5, "y": linear(0.8, 0.0, 8)}, retrace=True)
    state = after(opt, 1, new)
    close(state.hyperparams["momentum"], 0.5)
    close(current_value(state), {"x": 0.3, "y": 0.7})


def test_a_name_that_no_hyperparameter_has_is_refused():
    with pytest.raises(
        ValueError, match=r"that hold a schedule, 'learning_rate', 'weight_decay', got 'w'$"
    ):
        replace_schedule(after(two_hyperparameters()), {"w": linear(0.8, 0.0, 8)})


def test_a_dict_goes_into_nested_groups_and_into_each_multi_transform():
    inner = groups()
    opt = optax.multi_transform({"in": inner}, {"a": "in", "b": "in"})
    new = replace_schedule(after(opt), {"in": {"x": linear(0.8, 0.0, 8)}})
    close(next_rates(opt, new), {"in": {"x": 0.7, "y": 0.15}})
    opt = optax.chain(groups(), labelled(o.reduce_on_plateau(), optax.identity()))
    new = replace_schedule(after(opt), {"x": linear(0.8, 0.0, 8)})
    close(next_rates(opt, new), {"x": 0.7, "y": 0.15})


def test_labels_that_are_numbers_are_found():
    opt = optax.multi_transform({0: rate(), 1: rate(0.1)}, {"a": 0, "b": 1})
    new = replace_schedule(after(opt), {0: linear(0.8, 0.0, 8)})
    close(next_rates(opt, new), {0: 0.7, 1: 0.1})


@pytest.mark.parametrize(
    ("opt", "shown"),
    [
        (groups(), "'x', 'y', got 'z'"),
        (labelled(rate(), optax.sgd(0.1)), "'x', got 'z'"),
        (rate(), r"of which opt_state has none \(write live\(schedule\)\), got 'z'"),
    ],
)
def test_an_unknown_label_is_refused_with_those_that_there_are(opt: Any, shown: str):
    with pytest.raises(ValueError, match=rf"^replace_schedule: schedule must have labels .*, {shown}$"):
        replace_schedule(opt.init(PARAMS), {"z": 0.1})
    if opt is groups:
        with pytest.raises(ValueError, match=r"^replace_schedule: schedule\['x'\] must be a schedule"):
            replace_schedule(opt.init(PARAMS), {"x": "a"})


def test_a_function_is_applied_to_each_schedule_and_compiles_nothing():
    opt = groups()
    update = once(lambda state: opt.update(PARAMS, state, PARAMS)[1])
    state = update(opt.init(PARAMS))
    new = replace_schedule(state, lambda old: old.replace(init_value=old.init_value / 2))
    close(current_value(update(new)), {"x": 0.15, "y": 0.075})
    close(current_value(update(state)), {"x": 0.3, "y": 0.15})

    @once
    def halved(state):
        return replace_schedule(state, lambda old: old.replace(init_value=old.init_value / 2))

    close(current_value(update(halved(state))), {"x": 0.15, "y": 0.075})


def test_a_function_of_the_step_is_not_taken_for_a_schedule():
    for function in (lambda step: 0.1 / (step + 1), optax.linear_schedule(0.1, 0.0, 10)):
        with pytest.raises(TypeError, match=r"got a function of the step: wrap it, optax_sched"):
            replace_schedule(rate().init(PARAMS), function)
    with pytest.raises(ValueError, match=r"^linear: init_value must be"):  # its own error stays
        replace_schedule(rate().init(PARAMS), lambda old: old.replace(init_value=float("nan")))
    with pytest.raises(TypeError, match=r"^replace_schedule: what schedule returns must be a schedule"):
        replace_schedule(rate().init(PARAMS), lambda old: None)
    with pytest.raises(ValueError, match=r"be of the old one's structure"):
        replace_schedule(rate().init(PARAMS), lambda old: o.warmup(old, 10))


def test_equal_schedules_are_replaced_by_one_in_arrays_of_their_own():
    opt = labelled(rate(), inject(o.live(FALL)))
    update = jax.jit(lambda state: opt.update(PARAMS, state, PARAMS)[1], donate_argnums=0)
    new = linear(jnp.float32(0.8), jnp.float32(0.0), jnp.int32(8))
    for replaced in (replace_schedule, jax.jit(replace_schedule)):
        if replaced is replace_schedule:
            state = update(replaced(after(opt), new))
            close(current_value(state), {"x": 0.7, "y": 0.7})
            update(state)
    assert new.init_value == np.float32(0.8)  # it was not donated with the state
    # Traced ones cannot be compared, so they count as different.
    with pytest.raises(ValueError, match=r"or a function old -> new"):
        jax.eval_shape(replace_schedule, after(opt), new)


def test_retrace_puts_another_structure_there_and_keeps_the_count():
    for opt in (rate(), inject(o.live(FALL), optax.adamw), inject(o.plateau(FALL, 0.5, 9)), rate(0.1)):
        state = after(opt, 2)
        new = replace_schedule(state, o.warmup(o.cosine_decay(1.0, 4), 4), retrace=True)
        close(next_rates(opt, new), 0.5)
        opt = with_value(opt)
        donate = jax.jit(lambda state, opt=opt: opt.update(PARAMS, state, PARAMS, value=1.0)[1])
        close(current_value(donate(new)), 0.5)
    state = after(rate(), 2)
    close(
        next_rates(rate(), replace_schedule(state, linear(0.8, 0.0, 4.5), retrace=True)),
        0.8 * 2.5 / 4.5,
    )
    assert layout(replace_schedule(state, linear(1, 0, 8), retrace=True)) == layout(state)
    opt = groups()
    new = replace_schedule(after(opt), lambda old: o.warmup(old, 2), retrace=True)
    close(next_rates(opt, new), {"x": 0.2, "y": 0.1})
    new = replace_schedule(after(opt), {"x": 0.7}, retrace=True)
    close(next_rates(opt, new), {"x": 0.7, "y": 0.15})


def test_the_error_for_another_structure_advises():
    takes = r"; retrace=True takes it, at the cost of one new trace"
    with pytest.raises(ValueError, match=takes + "$"):
        replace_schedule(rate().init(PARAMS), o.cosine_decay(0.1, 10))
    with pytest.raises(ValueError, match=takes + r"; a cooldown\(\.\.\., start=2\*\*31 - 1\) from "):
        replace_schedule(rate().init(PARAMS), o.cooldown(FALL, 2, 4))
    batch = o.stack([FALL, linear(0.8, 0.0, 8)])
    for retrace in (False, True):
        with pytest.raises(
            ValueError, match=r"^replace_schedule: schedule: init_value .* a batch: give one schedule$"
        ):
            replace_schedule(rate().init(PARAMS), batch, retrace=retrace)
    # What it advises does plan for the change.
    opt = rate(o.cooldown(0.4, 2**31 - 1, 4))
    state = after(opt, 2)
    new = replace_schedule(state, o.cooldown(0.4, 2, 4))
    assert layout(new) == layout(state)
    close(current_value(after(opt, 2, new)), 0.3)


# --- Plateaus ------------------------------------------------------------------------------------


def test_every_setting_of_a_running_plateau_can_be_replaced_without_a_trace():
    for opt in (
        o.reduce_on_plateau(0.5, 9),
        inject(o.plateau(1.0, 0.5, 9)),
        inject(o.greedy(1.0, 0.5, 9)),
    ):
        update = once(lambda state, value, opt=opt: opt.update(PARAMS, state, PARAMS, value=value)[1])
        state = update(opt.init(PARAMS), np.float32(1))
        new = replace_feedback(state, patience=0, factor=0.25, threshold_mode="abs", mode="max")
        assert layout(new) == layout(state)
        kept = loops_in(update(new, np.float32(1)))
        assert kept[0].memory.scale == 0.25
        assert (kept[0].rule.patience, kept[0].rule.mode) == (0, "max")
        other = update(update(new, np.float32(2)), np.float32(1))  # 2 is better, 1 is not
        assert loops_in(other)[0].memory.best == 2


def loops_in(state: Any) -> list[Any]:
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, FeedbackState))
    return [node for node in nodes if isinstance(node, FeedbackState)]


@pytest.mark.parametrize("name", LOOPS)
def test_a_running_rule_of_any_kind_takes_other_settings(name: str):
    setting, _, other = LOOPS[name].setting
    loop = LOOPS[name].make(0.5)
    state = replace_feedback(loop.init(), **{setting: other})
    wanted = loop.replace(**{setting: other}).init()
    for value in LOOPS[name].metrics:
        state, wanted = loop.update(state, value=value), loop.update(wanted, value=value)
        np.testing.assert_array_equal(loop(state), loop(wanted))
    jitted = jax.jit(lambda state, x: replace_feedback(state, **{setting: x}))(loop.init(), other)
    assert layout(jitted) == layout(loop.init())


@pytest.mark.parametrize("name", LOOPS)
def test_reset_forgets_what_was_seen_and_the_schedule_goes_on(name: str):
    loop = LOOPS[name].make(FALL)
    state = loop.init()
    for value in LOOPS[name].metrics[:2]:
        state = loop.update(state, value=value)
    new = replace_feedback(state, reset=True)
    close(loop(new), 0.2)
    assert new.schedule.count == 2
    for leaf, first in zip(
        jax.tree.leaves(new.memory), jax.tree.leaves(loop.init().memory), strict=True
    ):
        assert leaf == first


def test_the_floor_is_min_value_and_min_scale_for_reduce_on_plateau():
    opt = o.reduce_on_plateau(0.5, 0)
    state = replace_feedback(opt.init(ONE), min_scale=0.3)
    for _ in range(4):
        state = observe(state, 1.0)
    assert state.scale == np.float32(0.3)
    loop = o.plateau(1.0, 0.5, 0)
    state = replace_feedback(loop.init(), min_value=0.3)
    for _ in range(4):
        state = loop.update(state, value=1.0)
    assert loop(state) == np.float32(0.3)


def test_each_loop_takes_the_settings_that_it_has():
    opt = optax.chain(inject(LOOPS["kl_adaptive"].make(0.5)), o.reduce_on_plateau())
    state = replace_feedback(opt.init(ONE), target=3.0, patience=7)
    kl, cut = [loop.rule for loop in loops_in(state)]
    assert (kl.target, cut.patience) == (3, 7)


def test_several_different_rules_are_refused_and_equal_ones_change_together():
    groups = lambda x, y: labelled(inject(x), inject(y))  # noqa: E731
    state = groups(o.plateau(0.4), o.plateau(FALL)).init(PARAMS)  # the rules are equal
    assert [loop.rule.patience for loop in loops_in(replace_feedback(state, patience=3))] == [3, 3]
    for other in (o.plateau(0.4, patience=2), o.greedy(0.4)):
        state = groups(o.plateau(0.4), other).init(PARAMS)
        with pytest.raises(
            ValueError,
            match=r"^replace_feedback: opt_state must hold one rule with patience, or equal ones, got "
            r"\w+\(.* and plateau\(.*opt_state\.inner_states\[label\] of optax\.multi_transform$",
        ):
            replace_feedback(state, patience=3)
        # The remedy.
        states = dict(state.inner_states)
        states["x"] = replace_feedback(states["x"], patience=3)
        x, y = [loop.rule for loop in loops_in(state._replace(inner_states=states))]
        assert (x.patience, y.patience) == (3, other.patience)
        assert all(loop.memory.scale == 1 for loop in loops_in(replace_feedback(state, reset=True)))


def test_what_replace_feedback_refuses():
    state = o.reduce_on_plateau().init(ONE)
    for name in ("patients", "schedule", "observe_only", "max_scale"):
        with pytest.raises(
            TypeError, match=rf"^replace_feedback: no closed loop .* setting {name}; there "
        ):
            replace_feedback(state, **{name: 1})
    with pytest.raises(TypeError, match=r"setting min_scale"):
        replace_feedback(o.plateau(0.5).init(), min_scale=0.5)
    with pytest.raises(
        ValueError, match=r"^plateau: factor must be a factor above 0 and below 1, got 2$"
    ):
        replace_feedback(state, factor=2)
    for other in (rate(), inject(o.live(0.1)), optax.adam(0.1)):
        with pytest.raises(ValueError, match=r"^replace_feedback: opt_state must hold a closed loop"):
            replace_feedback(other.init(ONE), patience=3)
    knots = o.feedback(lambda scale, value, values: jnp.interp(value, values, values), name="knots")
    with pytest.raises(
        ValueError, match=r"^replace_feedback: values must keep the structure of the rule"
    ):
        replace_feedback(knots(0.1, [1.0, 2.0]).init(), values=[1.0, 2.0, 3.0])


def test_random_keys_of_two_kinds_are_two_schedules():
    noisy = [o.noisy(0.1, jax.random.key(0, impl=kind), 0.1) for kind in ("rbg", "unsafe_rbg")]
    state = optax.chain(*map(o.scale_by_schedule, noisy)).init(ONE)
    with pytest.raises(
        ValueError, match=r"^replace_schedule: opt_state must hold one schedule to replace"
    ):
        replace_schedule(state, noisy[0])
