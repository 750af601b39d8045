"""States that users mapped, set or mixed up: the error says what to write instead."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.injected import FALL, PARAMS, close, inject, labelled, rate

import optax_sched
from optax_sched import current_value, linear, observe, replace_feedback

# To optax's types a state is any tree, so a checker does not know the fields of these.
o: Any = optax_sched
replace_schedule: Any = optax_sched.replace_schedule
NEW = linear(0.8, 0.0, 8)


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


# --- Mapped as a whole ---------------------------------------------------------------------------

ZEROED = {
    "a schedule": (rate(), "linear.transition_steps=0"),
    "inside another": (rate(o.warmup(FALL, 2)), "linear.transition_steps=0"),
    "in parts": (rate(o.join([FALL, FALL], [9])), r"join.boundaries=0"),
    "live": (inject(o.live(FALL)), "linear.transition_steps=0"),
    "in a plateau": (inject(o.plateau(FALL)), "linear.transition_steps=0"),
}


def zeros(opt: Any) -> Any:
    return jax.block_until_ready(jax.tree.map(jnp.zeros_like, opt.init(PARAMS)))


@pytest.mark.parametrize("name", ZEROED)
def test_a_state_of_zeros_is_refused_and_a_whole_schedule_mends_it(name: str):
    opt, shown = ZEROED[name]
    state = zeros(opt)
    changes: dict[str, Any] = {
        "current_value": current_value,
        "replace_schedule": lambda state: replace_schedule(state, count=5),
    }
    if name == "in a plateau":
        changes["observe"] = lambda state: observe(state, 1.0)
        changes["replace_feedback"] = lambda state: replace_feedback(state, patience=3)
    for where, change in changes.items():
        with pytest.raises(
            ValueError, match=rf"^{where}: opt_state must hold .*{shown}.*zeros_like.*init\(params\).*$"
        ):
            change(state)
    if name != "in a plateau":
        close(current_value(replace_schedule(state, NEW, retrace=True)), 0.8)


def test_a_plateau_of_zeros_is_refused_too():
    with pytest.raises(ValueError, match=r"^observe: .* got plateau.factor=0, as after jax.tree.map"):
        observe(zeros(o.reduce_on_plateau()), 1.0)


def test_numbers_that_may_be_0_are_no_sign_of_it():
    for opt in (rate(0.0), rate(o.warmup(linear(0.0, 0.0, 5), 0)), inject(o.plateau(0.0, patience=0))):
        assert current_value(opt.init(PARAMS)) == 0


# --- Set by optax.tree.set -----------------------------------------------------------------------


def test_a_rate_set_over_a_schedule_names_replace_schedule():
    opt = inject(o.live(FALL), optax.adamw)
    state = optax.tree.set(opt.init(PARAMS), learning_rate=5.0)
    with pytest.raises(
        TypeError, match=r"^live: .* called with 5.0, .*replace_schedule\(state, \.\.\.\)$"
    ):
        opt.update(PARAMS, state, PARAMS)


def test_a_count_is_set_by_replace_schedule():
    for opt in (inject(o.live(FALL), optax.adamw), rate(), inject(o.plateau(FALL))):
        state = opt.init(PARAMS)
        new = replace_schedule(state, count=3)
        close(current_value(new), 0.1)
        assert jax.tree.structure(new) == jax.tree.structure(state)
        update = optax.with_extra_args_support(opt).update
        _, new = update(PARAMS, new, PARAMS, value=1.0)
        close(current_value(new), 0.1)
        assert all(count == 4 for count in counts(new))
        # In a running job the rate that the last update used stays what it was.
        close(current_value(replace_schedule(new, count=1)), 0.1)
        close(current_value(replace_schedule(new, count=0)), 0.4)
        close(
            current_value(update(PARAMS, replace_schedule(new, NEW, count=2), PARAMS, value=1.0)[1]),
            0.6,
        )


def counts(state: Any) -> list[Any]:
    kind = optax_sched.ScheduleState
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))
    return [node.count for node in nodes if isinstance(node, kind)]


def test_counts_are_set_for_all_or_by_name_and_label():
    adamw = optax.inject_hyperparams(optax.adamw)
    opt = adamw(learning_rate=o.live(FALL), weight_decay=o.live(FALL))
    state = opt.init(PARAMS)
    assert counts(replace_schedule(state, count=2)) == [2, 2]
    assert counts(replace_schedule(state, count={"weight_decay": 2})) == [0, 2]
    assert counts(replace_schedule(state, NEW, count=2)) == [2, 0]
    assert counts(replace_schedule(state, {"weight_decay": NEW}, count=2)) == [0, 2]
    grouped = labelled(opt, rate()).init(PARAMS)
    assert counts(replace_schedule(grouped, count={"x": {"weight_decay": 2}, "y": 3})) == [0, 2, 3]
    assert counts(replace_schedule(grouped, count={"x": 2})) == [2, 2, 0]
    assert counts(jax.jit(lambda n: replace_schedule(grouped, count=n))(3)) == [3, 3, 3]


@pytest.mark.parametrize("bad", [-1, 2.5, "a", None, jnp.zeros(2), 2**31])
def test_a_bad_count_is_refused(bad: Any):
    where = "count" if bad is not None else "schedule"
    with pytest.raises((TypeError, ValueError), match=rf"^replace_schedule: {where} must be a"):
        replace_schedule(rate().init(PARAMS), count=bad)
    with pytest.raises(ValueError, match=r"^replace_schedule: count must have labels .* got 'z'$"):
        replace_schedule(rate().init(PARAMS), count={"z": 1})


# --- What is meant -------------------------------------------------------------------------------


def test_a_bare_schedule_or_function_is_the_rate_and_never_guessed():
    adamw = optax.inject_hyperparams(optax.adamw)
    opt = adamw(learning_rate=o.live(o.warmup(FALL, 0)), weight_decay=o.live(FALL))
    state = opt.init(PARAMS)
    # Of the weight decay's structure, but meant for the rate.
    with pytest.raises(ValueError, match=r"be of the old one's structure, warmup\(.*, got linear\("):
        replace_schedule(state, NEW)
    new = replace_schedule(state, NEW, retrace=True)
    assert (
        new.hyperparams_states["learning_rate"].value,
        new.hyperparams_states["weight_decay"].value,
    ) == (
        np.float32(0.8),
        np.float32(0.4),
    )
    new = replace_schedule(state, lambda old: old.replace(**{"schedule.init_value": 0.2}))
    close(current_value(new), 0.2)
    with pytest.raises(
        ValueError, match=r"^replace_schedule: opt_state must hold one schedule to replace"
    ):
        replace_schedule(labelled(rate(), rate(o.warmup(FALL, 2))).init(PARAMS), NEW)


def test_where_the_rate_is_a_number_what_holds_schedules_is_named():
    opt = optax.inject_hyperparams(optax.adamw)(learning_rate=0.1, weight_decay=o.live(FALL))
    for new in (NEW, lambda old: old):
        with pytest.raises(
            ValueError,
            match=r"^replace_schedule: opt_state must hold a schedule of the rate, got one of "
            r"'weight_decay': name it, \{'weight_decay': schedule\}, or give the rate as live\(",
        ):
            replace_schedule(opt.init(PARAMS), new)
    new = replace_schedule(opt.init(PARAMS), {"weight_decay": NEW})
    assert new.hyperparams_states["weight_decay"].value == np.float32(0.8)


def test_every_rate_of_an_optimizer_is_one():
    def two(learning_rate: Any, adam_learning_rate: Any) -> Any:
        return optax.chain(optax.scale(learning_rate), optax.scale(adam_learning_rate))

    inject_two = optax.inject_hyperparams(two)
    state = inject_two(learning_rate=o.live(FALL), adam_learning_rate=o.live(FALL)).init(PARAMS)
    close(
        current_value(replace_schedule(state, NEW)), {"learning_rate": 0.8, "adam_learning_rate": 0.8}
    )
    state = inject_two(learning_rate=o.live(FALL), adam_learning_rate=0.2).init(PARAMS)
    close(
        current_value(replace_schedule(state, NEW)), {"learning_rate": 0.8, "adam_learning_rate": 0.2}
    )
    state = inject_two(learning_rate=0.1, adam_learning_rate=o.live(FALL)).init(PARAMS)
    close(
        current_value(replace_schedule(state, NEW)), {"learning_rate": 0.1, "adam_learning_rate": 0.8}
    )


def test_states_that_vmap_made_name_vmap():
    states = jax.vmap(lambda peak: rate(linear(peak, 0.0, 4)).init(jnp.ones(2)))(jnp.ones(3))
    for change in (
        lambda states: replace_schedule(states, NEW),
        lambda states: replace_schedule(states, count=2),
        lambda states: replace_schedule(states, lambda old: old),
    ):
        with pytest.raises(
            ValueError,
            match=r"^replace_schedule: .* a batch of 3: map over it, jax.vmap\(replace_schedule\)",
        ):
            change(states)
    states = jax.vmap(lambda peak: inject(o.plateau(peak)).init(jnp.ones(2)))(jnp.ones(3))
    options: list[dict[str, Any]] = [{"patience": 3}, {"reset": True}]
    for settings in options:
        with pytest.raises(ValueError, match=r"^replace_feedback: .* jax.vmap\(replace_feedback\)"):
            replace_feedback(states, **settings)


def test_a_builder_is_to_be_called():
    opt = inject(o.live(FALL))
    for wanted in (o.linear, {"learning_rate": o.linear}):
        with pytest.raises(
            ValueError, match=r"^replace_schedule: schedule.* it is a builder: call it, as "
        ):
            replace_schedule(opt.init(PARAMS), wanted)
    with pytest.raises(
        TypeError, match=r"^scale_by_feedback: closed_loop must .*call it, as in plateau\("
    ):
        o.scale_by_feedback(o.plateau)


def test_a_closed_loop_is_no_hyperparameter_of_a_users_formula():
    shown = optax_sched.schedule(lambda step, inner: inner(step), name="mine")
    for loop in (o.plateau(0.1), o.live(0.1)):
        with pytest.raises(
            TypeError, match=r"^mine: inner must be .*closed loops go around a schedule"
        ):
            shown(loop)
