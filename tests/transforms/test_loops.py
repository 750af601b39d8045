# pyright: reportArgumentType=false
"""Every closed loop of the table, ours and users', in optax and under JAX: one test a question."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.amount import EVERYTHING, one_in
from support.injected import PARAMS, close, inject, labelled, layout, once, with_value
from tables.loops import LOOPS, SOME_LOOPS
from tables.plateau_oracle import Plateau, nan

import optax_sched
from optax_sched import current_value, linear, observe

# To optax's types a state is any tree, so a checker does not know the fields of these.
o: Any = optax_sched
ONE = np.float32(1.0)
FALL = linear(0.4, 0.0, 4)
FALLING = np.array([0.4, 0.3, 0.2, 0.1])
EACH = pytest.mark.parametrize("name", LOOPS)
SOME = pytest.mark.parametrize("name", SOME_LOOPS)


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def scaling(loop: Any) -> Any:
    return optax.chain(o.scale_by_feedback(loop), optax.scale(-1.0))


HOSTS = {"inject": inject, "scale_by_feedback": scaling}
IN_BOTH = pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)


def trained(opt: Any, metrics: list[Any], grads: list[Any] | None = None) -> tuple[list[Any], Any]:
    """The updates at each metric, by one compiled update, and the last state."""
    update = once(with_value(opt).update)
    state, seen = opt.init(PARAMS), []
    for step, value in enumerate(metrics):
        gradient = PARAMS if grads is None else grads[step]
        updates, state = update(gradient, state, PARAMS, value=np.float32(value))
        seen.append(jax.tree.map(lambda u: -float(u[0]), updates))
    return seen, state


# --- The rate ------------------------------------------------------------------------------------


@IN_BOTH
@EACH
def test_the_rate_is_the_schedule_times_the_scale_and_can_be_read(name: str, host: Any):
    loop = LOOPS[name]
    opt = host(loop.make(FALL))
    state = opt.init(ONE)
    close(current_value(state), 0.4)
    for value, wanted in zip(loop.metrics, FALLING * loop.scales, strict=True):
        updates, state = opt.update(ONE, state, ONE, value=value)
        np.testing.assert_allclose(-updates, wanted, rtol=1e-6)
        close(current_value(state), wanted)


@EACH
def test_none_is_no_observation_and_the_clock_goes_on(name: str):
    loop = LOOPS[name]
    metrics = [loop.metrics[0], None, loop.metrics[1], None]
    scales = [loop.scales[0], loop.scales[0], loop.scales[1], loop.scales[1]]
    opt = inject(loop.make(FALL))
    state, seen = opt.init(ONE), []
    for value in metrics:
        updates, state = opt.update(ONE, state, ONE, value=value)
        seen.append(-updates)
    np.testing.assert_allclose(seen, FALLING * scales, rtol=1e-6)


FLOORS = {  # the schedule, min_value, what comes of scales of 1, 1/2, 1/4, 1/8
    "the floor bounds what is cut": (1.0, 0.3, [1, 0.5, 0.3, 0.3]),
    "a floor of 0 is none": (1.0, 0.0, [1, 0.5, 0.25, 0.125]),
    "a schedule below the floor stays as it is": (0.2, 0.3, [0.2] * 4),
    "a schedule that falls below the floor is followed": (
        linear(0.8, 0.0, 4),
        0.3,
        [0.8, 0.3, 0.3, 0.2],
    ),
    "a schedule that ends at 0 ends at 0": (linear(0.8, 0.0, 2), 0.3, [0.8, 0.3, 0, 0]),
    "a warm-up from 0 is not lifted": (o.warmup(0.8, 4), 0.3, [0, 0.2, 0.3, 0.3]),
    "a negative schedule is cut, too": (-1.0, 0.5, [-1, -0.5, -0.25, -0.125]),
}


@pytest.mark.parametrize("case", FLOORS)
def test_min_value_is_a_floor_for_cuts_alone(case: str):
    schedule, min_value, wanted = FLOORS[case]
    halving = o.feedback(lambda memory, value: value, name="halving")
    for make in (functools.partial(o.plateau, factor=0.5, patience=0), halving):
        metrics = [1.0] * 4 if make is not halving else [1, 0.5, 0.25, 0.125]
        opt = inject(make(schedule, min_value=min_value))
        state, seen = opt.init(ONE), []
        for value in metrics:
            updates, state = opt.update(ONE, state, ONE, value=value)
            seen.append(-updates)
        np.testing.assert_allclose(seen, wanted, rtol=1e-6)


SCHEDULES: dict[str, tuple[Any, list[float]]] = {
    "float": (0.1, [0.1] * 4),
    "int": (2, [2] * 4),
    "array": (jnp.float32(0.3), [0.3] * 4),
    "nested": (o.warmup(linear(0.4, 0.0, 4), 2, 0.2), [0.2, 0.3, 0.4, 0.3]),
    "user's": (o.schedule(lambda step, a: a * step, name="mine")(0.1), [0, 0.1, 0.2, 0.3]),
    "lambda": (lambda count: 0.1 * (count + 1.0), [0.1, 0.2, 0.3, 0.4]),
    "optax closure": (optax.linear_schedule(0.4, 0.0, 4), [0.4, 0.3, 0.2, 0.1]),
}


@pytest.mark.parametrize("schedule", one_in(2, SCHEDULES))
def test_any_schedule_or_number_is_scaled(schedule: str):
    scaled, values = SCHEDULES[schedule]
    for name in ("plateau", "greedy", "kl_adaptive") if EVERYTHING else ("greedy",):
        seen, _ = trained(inject(LOOPS[name].make(scaled)), LOOPS[name].metrics)
        wanted = np.array(values) * LOOPS[name].scales
        np.testing.assert_allclose([updates["a"] for updates in seen], wanted, rtol=1e-6)


def test_a_negative_schedule_is_raised_and_cut_by_greedy():
    seen, _ = trained(inject(o.greedy(-1.0, 0.5, 0)), [1.0, 1.0, 0.5, 0.25])
    assert [updates["a"] for updates in seen] == [-2, -1, -2, -4]


# --- Inside an optimizer -------------------------------------------------------------------------


def test_adamw_makes_adams_step_at_the_rate_that_is_shown():
    opt = inject(o.plateau(FALL, factor=0.5, patience=0), optax.adamw, weight_decay=0.1)

    @jax.jit
    def run(losses):
        def step(state, loss):
            updates, state = opt.update(ONE, state, ONE, value=loss)
            return state, (updates, state.hyperparams["learning_rate"])

        return jax.lax.scan(step, opt.init(ONE), losses)[1]

    updates, shown = run(np.ones(4, np.float32))
    wanted = FALLING * LOOPS["plateau"].scales
    np.testing.assert_allclose(shown, wanted, rtol=1e-6)
    # For a gradient that is always 1, Adam's step is 1, and a tenth of the parameter 1 is added.
    np.testing.assert_allclose(updates, -1.1 * wanted, rtol=1e-5)


def test_after_adam_a_scale_is_adams_update_times_it_and_before_adam_it_is_not():
    plain, cut = optax.adam(0.01), o.reduce_on_plateau(factor=0.5, patience=0)
    ones = [1.0] * 11
    of_plain, _ = trained(plain, ones)
    of_after, _ = trained(optax.chain(plain, cut), ones)
    of_before, _ = trained(optax.chain(cut, plain), ones)
    for step in range(11):
        np.testing.assert_allclose(of_after[step]["a"], of_plain[step]["a"] * 0.5**step, rtol=1e-6)
    # Scaled by 2**-10 before Adam, the update has hardly changed: the docstring warns of it.
    assert abs(of_before[-1]["a"]) > 0.2 * abs(of_plain[-1]["a"])


# An optimizer around a loop that is scaled by 1, 1/2, 1/4, 1/8; metrics, and the updates of a and b.
def cut(host: Any, schedule: Any = 1.0, **settings: Any) -> Any:
    return HOSTS[host](o.plateau(schedule, **{"factor": 0.5, "patience": 0, **settings}))


SPOILT = {"a": jnp.full(2, nan, jnp.float32), "b": PARAMS["b"]}
PLACES: dict[str, Any] = {
    "in a chain": (
        lambda host: optax.chain(optax.scale(2.0), cut(host, linear(1.0, 0.0, 4))),
        [1, 1, 1, 1],
        [2, 0.75, 0.25, 0.0625],
        [2, 0.75, 0.25, 0.0625],
    ),
    "MultiSteps shows it only the last micro-batch": (
        lambda host: optax.MultiSteps(cut(host), 4),
        [9, 9, 9, 4, 1, 1, 1, 4, 1, 1, 1, 2],
        [0, 0, 0, 1, 0, 0, 0, 0.5, 0, 0, 0, 0.5],
        [0, 0, 0, 1, 0, 0, 0, 0.5, 0, 0, 0, 0.5],
    ),
    "after MultiSteps a window is the mean of the micro-batches": (
        lambda host: optax.chain(
            optax.MultiSteps(optax.identity(), 4).gradient_transformation(), cut(host, window=4)
        ),
        [1, 2, 3, 4, 4, 4, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 0, 0, 0, 0.5, 0, 0, 0, 0.5],
        [0, 0, 0, 1, 0, 0, 0, 0.5, 0, 0, 0, 0.5],
    ),
    "each label of multi_transform has its own": (
        lambda host: labelled(cut(host), cut(host, patience=1)),
        [1, 1, 1, 1],
        [1, 0.5, 0.25, 0.125],
        [1, 1, 0.5, 0.5],
    ),
    "beside a label without one": (
        lambda host: labelled(cut(host), optax.sgd(1.0)),
        [1, 1, 1],
        [1, 0.5, 0.25],
        [1, 1, 1],
    ),
    "masked it leaves the others alone": (
        lambda host: optax.masked(cut(host), {"a": True, "b": False}),
        [1, 1, 1],
        [1, 0.5, 0.25],
        [-1, -1, -1],
    ),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("place", one_in(2, PLACES))
def test_inside_other_transformations_it_scales_what_it_is_given(place: str, host: str):
    make, metrics, of_a, of_b = PLACES[place]
    seen, _ = trained(make(host), metrics)
    np.testing.assert_allclose([updates["a"] for updates in seen], of_a, rtol=1e-6)
    np.testing.assert_allclose([updates["b"] for updates in seen], of_b, rtol=1e-6)


@pytest.mark.parametrize("host", HOSTS)
def test_in_apply_if_finite_a_rejected_update_is_not_observed(host: str):
    opt = optax.apply_if_finite(cut(host), 3)
    seen, _ = trained(opt, [1, 1, 1, 1], [PARAMS, SPOILT, SPOILT, PARAMS])
    assert [updates["a"] for updates in seen] == [1, 0, 0, 0.5]


def test_one_drives_the_rate_and_another_another_number():
    opt = inject(o.plateau(1.0, 0.5, 0), optax.sgd, momentum=o.plateau(0.5, 0.5, 0, mode="max"))
    state = opt.init(ONE)
    for loss in (1.0, 2.0, 2.0):
        _, state = opt.update(ONE, state, ONE, value=loss)
    assert state.hyperparams == {"learning_rate": 0.25, "momentum": 0.25}


def test_none_and_masked_nodes_and_other_extra_arguments_pass_by():
    opt = o.reduce_on_plateau(0.5, 0)
    updates = {"a": None, "b": optax.MaskedNode(), "c": ONE}
    assert opt.update(updates, opt.init(updates), value=1.0)[0] == updates
    opt = optax.chain(opt, optax.sgd(1.0))
    assert opt.update(ONE, opt.init(ONE), ONE, value=ONE, grad=ONE, value_fn=None, loss="x")[0] == -1


@EACH
def test_python_floats_are_gradients_too(name: str):
    loop = LOOPS[name]
    for opt in (scaling(loop.make(0.5)), inject(loop.make(0.5))):
        updates, _ = opt.update(2.0, opt.init(1.0), 1.0, value=loop.metrics[0])
        np.testing.assert_allclose(updates, -loop.scales[0], rtol=1e-6)


# --- The state -----------------------------------------------------------------------------------

TREES: dict[str, Any] = {
    "float32": PARAMS,
    "bfloat16": {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.bfloat16)},
    "mixed": {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(2, jnp.float16)},
}


def kept(state: Any) -> Any:
    """All that loops keep in a state."""
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, o.FeedbackState))
    return [node for node in nodes if isinstance(node, o.FeedbackState)]


@IN_BOTH
@pytest.mark.parametrize("params", TREES.values(), ids=TREES)
@EACH
def test_structure_dtypes_and_weak_types_stay_after_every_update(name: str, params: Any, host: Any):
    opt = host(LOOPS[name].make(FALL))
    state = opt.init(params)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(kept(state))} == {"float32", "int32"}
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(state))
    for value in (1, np.float32(1), jnp.int8(1), None):
        update = functools.partial(opt.update, value=value)
        updates, after = jax.eval_shape(update, params, state, params)
        assert layout(after) == layout(state)
        # inject_hyperparams casts the rate to the dtype of the first leaf for all of them.
        if host is not inject or params is not TREES["mixed"]:
            assert layout(updates) == layout(params)
    assert layout(jax.eval_shape(lambda state: observe(state, 1.0), state)) == layout(state)
    assert layout(observe(state, 1)) == layout(state)


ARRANGED: dict[str, Any] = {
    "from arrays": inject(
        o.plateau(jnp.float32(0.1), jnp.float32(0.5), jnp.int8(2), min_value=np.int8(0))
    ),
    "from NumPy": inject(
        o.greedy(np.float64(0.1), np.float16(0.5), np.int64(2), max_scale=np.int32(2))
    ),
    "of a lambda": inject(o.plateau(lambda count: 0.1 / (1 + count))),
    "two of them": inject(o.plateau(FALL), optax.adamw, weight_decay=o.greedy(0.1)),
    "a number beside": inject(o.plateau(FALL), optax.adamw, weight_decay=0.1),
    "in a chain": optax.chain(optax.clip(1.0), inject(o.plateau(FALL)), o.reduce_on_plateau()),
    "in MultiSteps": optax.MultiSteps(inject(o.plateau(FALL), optax.adamw), 2),
    "in multi_transform": labelled(inject(o.plateau(1)), o.reduce_on_plateau()),
    "masked": optax.masked(inject(o.greedy(FALL)), {"a": True, "b": False}),
    "in apply_if_finite": optax.apply_if_finite(inject(o.plateau(FALL), optax.adamw), 3),
    "whole floats as counts": o.reduce_on_plateau(patience=2.0, window=jnp.array(2.0)),
    "live": inject(o.live(FALL), optax.adamw),
}


@pytest.mark.parametrize("name", ARRANGED)
def test_however_it_is_built_and_arranged_the_state_keeps_its_form(name: str):
    opt = with_value(ARRANGED[name])
    first = jax.eval_shape(opt.init, PARAMS)
    updates, second = jax.eval_shape(functools.partial(opt.update, value=1), PARAMS, first, PARAMS)
    assert layout(second) == layout(first)
    assert layout(updates) == layout(PARAMS)
    if name != "live":
        assert layout(jax.eval_shape(lambda state: observe(state, 1.0), first)) == layout(first)
        assert not any(leaf.weak_type for leaf in jax.tree.leaves(opt.init(PARAMS)))


@SOME
def test_under_x64_updates_keep_their_dtype_and_so_does_the_state(name: str):
    before = jnp.result_type(float) == jnp.float64
    jax.config.update("jax_enable_x64", True)
    try:
        for loop in (LOOPS[name].make(0.5), LOOPS[name].make(jnp.asarray(0.5))):
            for dtype in (jnp.float32, jnp.float64, jnp.bfloat16):
                opt, params = inject(loop, optax.adamw), jax.ShapeDtypeStruct((), dtype)
                state = jax.eval_shape(opt.init, params)
                (own,) = kept(state)
                found = {leaf.dtype.name for leaf in jax.tree.leaves((own.memory, own.rule))}
                assert found <= {"float32", "int32"}
                for value in (1, 1.0, jnp.asarray(1.0), None):
                    update = functools.partial(opt.update, value=value)
                    updates, after = jax.eval_shape(update, params, state, params)
                    assert updates.dtype == dtype
                    assert layout(after) == layout(state)
    finally:
        jax.config.update("jax_enable_x64", before)


@SOME
def test_it_runs_in_programs_of_strict_promotion_and_without_jit(name: str):
    loop = LOOPS[name]
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        state = loop.make(FALL).init()
        for value in loop.metrics[:2]:
            state = loop.make(FALL).update(state, value=value)
        close(loop.make(FALL)(state), 0.2 * loop.scales[1])
    with jax.disable_jit():
        state = loop.make(FALL).init()
        close(loop.make(FALL)(state, value=loop.metrics[0]), 0.4 * loop.scales[0])


def test_the_clock_stops_at_the_last_step():
    last = 2**31 - 1
    loop = o.plateau(linear(1.0, 0.5, last))
    state = loop.init()
    state = state._replace(schedule=state.schedule._replace(count=jnp.int32(last - 1)))
    for _ in range(3):
        state = loop.update(state, value=None)
        assert state.schedule.count == last
    assert loop(state) == 0.5


@IN_BOTH
@SOME
def test_a_donated_state_serves_many_trainings(name: str, host: Any):
    opt = host(LOOPS[name].make(FALL))
    step = jax.jit(lambda state: opt.update(PARAMS, state, PARAMS, value=1.0)[1], donate_argnums=0)
    ends = [step(step(opt.init(PARAMS))) for _ in range(2)]
    chex.assert_trees_all_equal(*ends)


# --- Compilations, scans, sweeps -----------------------------------------------------------------


@SOME
def test_one_compiled_update_serves_every_setting(name: str):
    setting, _, other = LOOPS[name].setting
    update = once(inject(LOOPS[name].make(0.5)).update)
    for loop in (LOOPS[name].make(1.0), LOOPS[name].make(np.float64(0.5)).replace(**{setting: other})):
        state = inject(loop).init(ONE)
        for value in (*LOOPS[name].metrics, None):
            if value is not None:
                alone = inject(loop).update(ONE, state, ONE, value=np.float32(value))[0]
                updates, state = update(ONE, state, ONE, value=np.float32(value))
                np.testing.assert_allclose(updates, alone, rtol=1e-6)


def test_words_are_settings_too_so_modes_share_a_program_and_a_batch():
    update = once(o.reduce_on_plateau().update)
    for mode, threshold_mode in (("min", "rel"), ("max", "abs"), ("max", "rel")):
        opt = o.reduce_on_plateau(0.5, 0, 0.5, threshold_mode, mode)
        state = opt.init(ONE)
        for value in (8.0, 7.0, 9.0):
            _, state = update(ONE, state, value=np.float32(value))
        # From 8: 7 and 9 are within half of 8, and 9 is above 8 by more than 1/2.
        assert state.scale == {"rel": 0.25, "abs": 0.5}[threshold_mode]
    batch, settings = o.grid(o.plateau, schedule=[1.0], factor=[0.5], patience=[0], mode=["min", "max"])
    assert [setting["mode"] for setting in settings] == batch.mode == ["min", "max"]

    def last(loop):
        state = loop.init()
        for value in (2.0, 3.0):
            state = loop.update(state, value=value)
        return loop(state)

    np.testing.assert_array_equal(o.sweep(last, batch), [0.5, 1.0])


@SOME
def test_a_scan_and_a_jitted_loop_are_a_python_loop(name: str):
    loop = LOOPS[name]
    opt = inject(loop.make(FALL))

    @jax.jit
    def run(metrics):
        def step(state, value):
            updates, state = opt.update(ONE, state, ONE, value=value)
            return state, -updates

        return jax.lax.scan(step, opt.init(ONE), metrics)[1]

    np.testing.assert_allclose(
        run(np.array(loop.metrics, np.float32)), FALLING * loop.scales, rtol=1e-6
    )
    seen, _ = trained(opt, loop.metrics)
    np.testing.assert_allclose([u["a"] for u in seen], FALLING * loop.scales, rtol=1e-6)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "greedy" else pytest.mark.wide) for name in LOOPS]
)
def test_a_sweep_over_loops_is_each_of_them_alone(name: str):
    setting, one, other = LOOPS[name].setting
    made = LOOPS[name].make
    loops = [made(0.5), made(FALL).replace(**{setting: other}), made(o.cosine_decay(1.0, 9))]
    assert getattr(loops[0], setting) == one

    def train(loop):
        opt = inject(loop)

        def step(state, value):
            updates, state = opt.update(ONE, state, ONE, value=value)
            return state, -updates

        metrics = jnp.float32(jnp.array(LOOPS[name].metrics))
        return jax.lax.scan(step, opt.init(ONE), metrics)[1]

    together = o.sweep(train, loops)
    for row, loop in zip(together, loops, strict=True):
        np.testing.assert_allclose(row, jax.jit(train)(loop), rtol=1e-6)
    assert list(map(repr, o.unstack(o.stack(loops)))) == list(map(repr, loops))


def test_a_switched_off_rule_and_a_live_one_share_a_batch():
    batch, _ = o.grid(o.plateau, schedule=[1.0], factor=[0.5], patience=[0, 2**31 - 1])

    def last(loop):
        step = lambda state, value: (loop.update(state, value=value), None)  # noqa: E731
        return loop(jax.lax.scan(step, loop.init(), jnp.ones(4))[0])

    np.testing.assert_array_equal(o.sweep(last, batch), [0.125, 1])


def test_a_linear_model_is_trained_as_a_loop_in_python_trains_it():
    """Descent on x^2 / 2 + 1 with a rate that overshoots until the rule has cut it."""

    def body(carry, _):
        x, state = carry
        updates, state = opt.update(x, state, x, value=0.5 * x * x + 1.0)
        return (x + updates, state), x

    opt = inject(o.plateau(2.5, 0.5, 1, 0.125))
    (_, state), seen = jax.jit(lambda x: jax.lax.scan(body, (x, opt.init(x)), length=12))(np.float32(2))
    case, x = Plateau(factor=0.5, patience=1, threshold=0.125), 2.0
    for step in range(12):
        np.testing.assert_allclose(seen[step], x, rtol=1e-4)
        case.observe(0.5 * x * x + 1)
        x -= 2.5 * case.scale * x
    assert current_value(state) == 2.5 * case.scale < 2.5


# --- observe -------------------------------------------------------------------------------------


@IN_BOTH
@SOME
def test_observe_acts_at_once_and_as_update_does(name: str, host: Any):
    loop = LOOPS[name]
    opt = host(loop.make(FALL))
    fed = updated = opt.init(ONE)
    compiled = once(observe)
    for value, scale in zip(loop.metrics, loop.scales, strict=True):
        outside, inside = compiled(fed, np.float32(value)), observe(fed, value)
        chex.assert_trees_all_close(outside, inside, rtol=1e-6)
        rate = float(current_value(fed))
        fed = outside
        before = kept(updated)[0].scale if kept(updated) else 1
        close(current_value(fed), rate / float(before) * scale)
        _, updated = opt.update(ONE, updated, ONE, value=value)
        chex.assert_trees_all_close(kept(fed)[0].memory, kept(updated)[0].memory, rtol=1e-6)
        updates, fed = opt.update(ONE, fed, ONE, value=None)
        close(current_value(fed), -float(updates))
        close(current_value(updated), -float(updates))


@IN_BOTH
@SOME
def test_observe_only_takes_no_value_in_update(name: str, host: Any):
    loop = LOOPS[name]
    opt = host(loop.make(FALL, observe_only=True))
    state, seen = opt.init(ONE), []
    for value in loop.metrics:
        state = observe(state, value)
        updates, state = opt.update(ONE, state, ONE)
        seen.append(-float(updates))
    np.testing.assert_allclose(seen, FALLING * loop.scales, rtol=1e-6)
    _, after = opt.update(ONE, state, ONE, value=123.0)  # for another link of the chain, say
    chex.assert_trees_all_equal(kept(after)[0].memory, kept(state)[0].memory)


def test_observe_reaches_every_loop_wherever_it_is():
    opts = [
        optax.chain(optax.adam(0.1), o.reduce_on_plateau(0.5, 0)),
        optax.MultiSteps(optax.chain(optax.sgd(0.1), o.reduce_on_plateau(0.5, 0)), 2),
        labelled(o.reduce_on_plateau(0.5, 0), inject(o.plateau(0.1, 0.5, 1))),
        optax.masked(inject(o.plateau(0.1, 0.5, 0)), {"a": True, "b": False}),
        inject(o.plateau(0.1), optax.sgd, momentum=o.greedy(0.1)),
    ]
    for opt in opts:
        state = opt.init(PARAMS)
        fed = observe(state, 3.0)
        assert layout(fed) == layout(state)
        assert kept(fed)
        assert all(loop.memory.best == 3 for loop in kept(fed))


def test_observing_each_micro_batch_with_a_window_observes_the_mean():
    opt = optax.MultiSteps(optax.chain(optax.sgd(1.0), o.reduce_on_plateau(window=4)), 4)
    state = opt.init(PARAMS)
    for loss in (1, 2, 3, 4):
        state = observe(state, loss)
    assert kept(state)[0].best == 2.5


def test_a_batch_of_states_is_observed_under_vmap():
    @jax.jit
    def run(factors):
        states = jax.vmap(lambda factor: o.reduce_on_plateau(factor, 0).init(ONE))(factors)
        for _ in range(3):
            states = jax.vmap(observe, (0, None))(states, jnp.float32(1.0))
        return states.scale

    np.testing.assert_array_equal(run(np.array([0.5, 0.25], np.float32)), [0.25, 0.0625])
