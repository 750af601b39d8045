# pyright: reportCallIssue=false, reportIndexIssue=false
"""The rules against tables written by hand and against plain Python over hundreds of sequences."""

import functools
import math
import random
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import one_in
from support.injected import inject
from tables.greedy_oracle import RISING, Greedy
from tables.loops import kl_rates, spike_guard, spike_scales, trend, trend_scales
from tables.plateau_oracle import HALF, LENGTH, TABLES, UNIT, Plateau, random_cases

from optax_sched import current_value, greedy, kl_adaptive, linear, observe, plateau, reduce_on_plateau

ONE = np.float32(1.0)
FALL_STEPS = 32  # of a fall from 1: a power of two, so that every rate on it is exact in float32
LANES = 160  # one program a rule, mode and threshold mode runs all settings and all losses
NUMBERS = {
    "factor": np.float32,
    "patience": np.int32,
    "threshold": np.float32,
    "cooldown": np.int32,
    "window": np.int32,
    "start": np.int32,
}
OWN = {plateau: ("min_value",), greedy: ("min_scale", "max_scale")}


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@functools.cache
def program(closed: Any, mode: str, threshold_mode: str) -> Any:
    """From traced settings and losses to the update of sgd on the gradient 1, and what it tells."""

    def run(settings, end_value, losses):
        schedule = linear(1.0, end_value, FALL_STEPS)
        opt = inject(closed(schedule, mode=mode, threshold_mode=threshold_mode, **settings))

        def step(state, loss):
            updates, state = opt.update(ONE, state, ONE, value=loss)
            own = state.hyperparams_states["learning_rate"]
            return state, (-updates, current_value(state), own.scale, own.best)

        return jax.lax.scan(step, opt.init(ONE), losses)[1]

    return jax.jit(jax.vmap(run))


def ours(closed: Any, cases: list[tuple[Any, list[Any]]]) -> tuple[np.ndarray, ...]:
    """Rates, scales and bests of up to LANES cases (oracle's settings, others) and their losses."""
    lanes = [cases[min(lane, len(cases) - 1)] for lane in range(LANES)]
    first, _ = lanes[0][0]
    settings = {
        name: np.array([getattr(case, name) for (case, _), _ in lanes], dtype)
        for name, dtype in NUMBERS.items()
    } | {name: np.array([own[name] for (_, own), _ in lanes], np.float32) for name in OWN[closed]}
    ends = np.array([own["end_value"] for (_, own), _ in lanes], np.float32)
    values = np.full((LANES, LENGTH), np.nan, np.float32)
    for lane, (_, losses) in enumerate(lanes):
        values[lane, : len(losses)] = losses
    used, read, scales, bests = map(
        np.asarray, program(closed, first.mode, first.threshold_mode)(settings, ends, values)
    )
    np.testing.assert_array_equal(used, read)
    return used, scales, bests


@functools.cache
def rates_of_tables(mode: str, threshold_mode: str) -> dict[str, np.ndarray]:
    """Of `plateau`, where a schedule of 1 makes the floor of the rate that of the scale."""
    cases = {}
    for name, (settings, losses, _) in TABLES.items():
        case = Plateau(**{**HALF, **settings})
        if (case.mode, case.threshold_mode) == (mode, threshold_mode):
            cases[name] = (case, {"min_value": case.min_scale, "end_value": 1.0}), losses
    seen, _, _ = ours(plateau, list(cases.values()))
    return dict(zip(cases, seen, strict=False))


@pytest.mark.parametrize("name", TABLES)
def test_plateau_and_its_oracle_follow_the_table_written_by_hand(name: str):
    settings, losses, expected = TABLES[name]
    seen = rates_of_tables(settings.get("mode", "min"), settings.get("threshold_mode", "rel"))[name]
    np.testing.assert_array_equal(seen[: len(losses)], np.array(expected, np.float32))
    assert Plateau(**{**HALF, **settings}).scales(losses) == np.array(expected, np.float32).tolist()


@pytest.mark.parametrize("name", RISING)
def test_greedy_and_its_oracle_follow_the_table_written_by_hand(name: str):
    settings, losses, expected = RISING[name]
    case = Greedy(**{**HALF, **settings})
    own = {"min_scale": case.min_scale, "max_scale": case.max_scale, "end_value": 1.0}
    seen, _, _ = ours(greedy, [((case, own), losses)])
    np.testing.assert_array_equal(seen[0, : len(losses)], np.array(expected, np.float32))
    assert case.scales(losses) == expected


@pytest.mark.parametrize("closed", [plateau, greedy], ids=["plateau", "greedy"])
@pytest.mark.parametrize("threshold_mode", one_in(2, ["rel", "abs"]))
@pytest.mark.parametrize("mode", ["min", "max"])
def test_160_random_sweeps_over_a_falling_schedule_agree_with_the_oracle(
    closed: Any, mode: str, threshold_mode: str
):
    rng = random.Random(f"{mode} {threshold_mode} closed loop")
    cases = []
    for number, (case, losses) in enumerate(random_cases(LANES, mode, threshold_mode)):
        settings: dict[str, Any] = {name: getattr(case, name) for name in NUMBERS}
        own: dict[str, float] = {"end_value": rng.choice([0, 0.25, 0.5, 1])}
        settings |= {"mode": mode, "threshold_mode": threshold_mode}
        if closed is plateau:
            own["min_value"] = rng.choice([0, 0, 0.125, 0.3, 2])
            case = Plateau(**settings)
        else:
            own |= {"min_scale": case.min_scale, "max_scale": rng.choice([1, 1.5, 3, 10, 100])}
            case = Greedy(**settings, min_scale=case.min_scale, max_scale=own["max_scale"])
            if number % 4 == 0:  # the others seldom improve often enough in a row
                start = rng.randint(0, 500) - 4 * LENGTH
                direction = 1 if mode == "min" else -1
                losses = [UNIT * direction * (start - 40 * step) for step in range(LENGTH)]
        cases.append(((case, own), losses))
    seen, scales, bests = ours(closed, cases)
    lowest, highest = 1.0, 1.0
    for lane, ((case, own), losses) in enumerate(cases):
        where = f"{case!r} {own} on {losses}"
        expected = np.array(case.scales(losses))
        np.testing.assert_array_equal(scales[lane], expected, where)
        assert bests[lane, -1] == case.best if case.best is not None else math.isinf(bests[lane, -1])
        done = np.minimum(np.arange(LENGTH) / FALL_STEPS, 1)
        s = (1 - done) + own["end_value"] * done
        wanted = np.maximum(s * expected, np.minimum(s, own.get("min_value", 0)))
        np.testing.assert_allclose(seen[lane], wanted, rtol=1e-6, err_msg=where)
        lowest, highest = min(lowest, *expected), max(highest, *expected)
    assert lowest < 0.01
    assert highest == (1 if closed is plateau else 100)


USERS = {
    "spike_guard": (spike_guard, spike_scales, {"limit": (0.5, 9.0), "factor": (1.1, 2.0)}),
    "trend": (trend, trend_scales, {"first": (0.5, 3.0), "share": (0.1, 0.9)}),
}


@pytest.mark.parametrize("name", USERS)
def test_users_rules_agree_with_plain_python_on_200_random_sequences(name: str):
    builder, oracle, ranges = USERS[name]
    draw = np.random.default_rng(3)
    settings: dict[str, Any] = {
        key: np.float32(draw.uniform(bounds[0], bounds[1], 200)) for key, bounds in ranges.items()
    }
    values: Any = np.float32(draw.uniform(0.1, 8.0, (200, 30)))

    @jax.jit
    @jax.vmap
    def run(settings, values):
        loop = builder(0.5, **settings)
        step = lambda state, value: (loop.update(state, value=value), loop(state, value=value))  # noqa: E731
        return jax.lax.scan(step, loop.init(), values)[1]

    seen = run(settings, values)
    for lane in range(200):
        wanted = oracle(values[lane].tolist(), **{key: float(x[lane]) for key, x in settings.items()})
        np.testing.assert_allclose(seen[lane], 0.5 * np.array(wanted), rtol=1e-5)


TURNED = {"factor": 0.5, "tolerance": 1.5}
NARROW = {"factor": 1.2, "lowest": 1e-4, "highest": 2e-3}


@pytest.mark.parametrize("settings", [{}, TURNED, NARROW], ids=["", "turned round", "narrow"])
def test_kl_adaptive_is_the_rule_of_brax_and_rsl_rl(settings: dict[str, float]):
    draw = np.random.default_rng(7)
    rates, target = 10 ** draw.uniform(-4, -2.5, 100), 0.01
    values = np.float32(target * 10 ** draw.uniform(-1.0, 1.0, (100, 60)))
    values[draw.random(values.shape) < 0.1] = 0.0
    values[draw.random(values.shape) < 0.05] = np.nan
    values[draw.random(values.shape) < 0.05] = np.inf
    drift = draw.choice([-0.2, 0.0, 0.2], 100)  # so that many runs come to a bound and leave it again
    values *= np.float32(10 ** (drift[:, None] * np.arange(-30, 30) / 10))
    bounds = {"lowest": 1e-5, "highest": 1e-2} | settings
    own = {key: x for key, x in settings.items() if key not in ("lowest", "highest")}

    @jax.jit
    @jax.vmap
    def run(rate, values):
        scales = {"min_scale": bounds["lowest"] / rate, "max_scale": bounds["highest"] / rate}
        loop = kl_adaptive(rate, target, **own, **scales)
        step = lambda state, value: (loop.update(state, value=value), loop(state, value=value))  # noqa: E731
        return jax.lax.scan(step, loop.init(), values)[1]

    seen = run(np.float32(rates), values)
    for lane in range(100):
        wanted = kl_rates(values[lane].tolist(), float(rates[lane]), target, **settings)
        np.testing.assert_allclose(seen[lane], wanted, rtol=2e-5)
    assert {float(f"{x:.1g}") for x in (seen.min(), seen.max())} == {
        bounds["lowest"],
        bounds["highest"],
    }


# --- reduce_on_plateau ---------------------------------------------------------------------------


def scales(losses: list[Any], **settings: Any) -> list[float]:
    """The scale after each loss; a None among them is an update without observation."""
    opt: Any = reduce_on_plateau(**settings)
    state, seen = opt.init(ONE), []
    for loss in losses:
        update, state = opt.update(ONE, state, value=loss)
        seen.append(float(update))
        assert seen[-1] == state.scale
    return seen


@pytest.mark.parametrize(
    "name",
    [
        "torch: patience 2, cooldown 1",
        "the scale stops at min_scale",
        "mode max, abs",
        "NaN inside a window spoils that window alone",
        "start 2 of windows of 2: the first four values are ignored",
    ],
)
def test_reduce_on_plateau_follows_the_tables_in_a_python_loop(name: str):
    settings, losses, expected = TABLES[name]
    assert scales(losses, **{**HALF, **settings}) == np.array(expected, np.float32).tolist()


def test_the_defaults():
    assert scales([1.0] * 12) == [1.0] * 11 + [float(np.float32(0.1))]
    assert scales([1.0, 0.99995, 0.9998], patience=0, factor=0.5) == [1, 0.5, 0.5]
    falling = greedy(1.0)
    state = falling.init()
    for step in range(11):
        state = falling.update(state, value=0.5**step)
    np.testing.assert_allclose(state.scale, 1 / 0.9, rtol=1e-6)


def test_value_none_is_no_observation_in_windows_too():
    assert scales([1, None, None, 1, None, 1], patience=0, factor=0.5) == [1, 1, 1, 0.5, 0.5, 0.25]
    in_windows = scales([1, None, 1, 1, None, 1], patience=0, factor=0.5, window=2)
    assert in_windows == [1, 1, 1, 1, 1, 0.5]


@pytest.mark.parametrize(
    "value",
    [3, 3.0, np.float64(3), np.float16(3), np.int64(3), np.array(3.0), jnp.int8(3), jnp.bfloat16(3)],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_any_kind_of_number_is_a_metric(value: Any):
    state: Any = observe(reduce_on_plateau().init(ONE), value)
    assert float(state.best) == 3.0


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e39, math.inf, math.nan])
def test_beyond_float32_is_not_finite(value: Any):
    state: Any = observe(reduce_on_plateau(0.5, 0).init(ONE), value)
    assert state.scale == 0.5
    assert state.best == math.inf


@pytest.mark.parametrize("closed", [plateau, greedy], ids=["plateau", "greedy"])
def test_patience_without_end_switches_the_rule_off_as_data_and_counts_do_not_wrap(closed: Any):
    off = 2**31 - 1
    loop = closed(0.5, patience=off)
    state = loop.init()
    memory = state.memory._replace(best=ONE, bad_count=np.int32(off), good_count=np.int32(off))
    for loss in (1.0, 0.5):
        after = loop.update(state._replace(memory=memory), value=loss)
        assert loop(after) == 0.5
        assert max(after.memory.bad_count, after.memory.good_count) == off


@pytest.mark.parametrize("closed", [plateau, greedy], ids=["plateau", "greedy"])
def test_after_a_spike_a_steady_descent_is_bad_until_it_passes_the_old_best(closed: Any):
    descent = [64.0 * 0.9**step for step in range(40)]  # passes 4 at its 27th step

    def last(losses, patience):
        loop = closed(1.0, factor=0.5, patience=patience, threshold=0.0)
        state = loop.init()
        for loss in losses:
            state = loop.update(state, value=loss)
        return loop(state)

    assert last([4.0, *descent[:26]], 9) == 0.25
    assert last([4.0, *descent], 9) == (0.25 if closed is plateau else 0.5)
    if closed is plateau:  # with a longer patience, as the docstring says, it is forgiven
        assert last([4.0, *descent], 28) == 1


# --- Precision and dtypes ------------------------------------------------------------------------

TREES: dict[str, Any] = {
    "float32": {"w": jnp.ones(2, jnp.float32)},
    "bfloat16": {"w": jnp.ones(2, jnp.bfloat16)},
    "float16": {"w": jnp.ones(2, jnp.float16)},
    "mixed": {
        "w": jnp.ones(2, jnp.float32),
        "b": jnp.ones((), jnp.bfloat16),
        "h": jnp.ones(3, jnp.float16),
        "steps": jnp.zeros((), jnp.int32),
    },
}
in_trees = pytest.mark.parametrize("params", TREES.values(), ids=TREES)


@functools.cache
def after_losses(**settings: Any) -> Any:
    """The last updates and state after losses in order; one program for each tree and length."""
    opt = reduce_on_plateau(**settings)

    def run(updates, losses):
        def step(carry, loss):
            return opt.update(updates, carry[1], updates, value=loss), None

        return jax.lax.scan(step, (updates, opt.init(updates)), losses)[0]

    return jax.jit(run)


@in_trees
@pytest.mark.parametrize("height", [1.0, 7e4])  # float16 ends at 65504
def test_600_losses_falling_by_a_fiftieth_of_a_percent_are_no_plateau(params: Any, height: float):
    losses = (height * 0.9998 ** np.arange(600)).astype(np.float32)
    updates, state = after_losses()(params, losses)
    assert state.scale == 1
    assert state.best == losses[-1]
    chex.assert_trees_all_equal(updates, params)


@in_trees
def test_the_state_is_float32_and_int32_and_updates_keep_their_dtypes(params: Any):
    losses = np.ones(600, np.float32)
    updates, state = after_losses(factor=0.7, patience=198)(params, losses)
    scale = np.float32(0.7) * np.float32(0.7) * np.float32(0.7)
    assert state.scale == scale
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {"float32", "int32"}
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    # Ones, or integer zeros, times the scale as that dtype holds it.
    chex.assert_trees_all_equal(updates, jax.tree.map(lambda g: g * scale.astype(g.dtype), params))


def test_the_scale_of_fifty_cuts_is_exact_to_float32_for_bfloat16_updates():
    losses = np.ones(600, np.float32)
    _, state = after_losses(factor=0.9, patience=10)(TREES["bfloat16"], losses)
    np.testing.assert_allclose(state.scale, 0.9**54, rtol=1e-5)


def test_a_window_as_long_as_training_observes_the_true_mean():
    losses = np.linspace(2.0, 1.0, 600, dtype=np.float32)
    _, state = after_losses(window=600)(TREES["bfloat16"], losses)
    np.testing.assert_allclose(state.best, 1.5, rtol=1e-5)
