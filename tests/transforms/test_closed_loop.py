"""`plateau` and `greedy` in optax's inject_hyperparams: the rule, and the rate that it gives."""

import functools
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.injected import inject
from tables.greedy_oracle import RISING, Greedy
from tables.plateau_oracle import HALF, LENGTH, TABLES, UNIT, Plateau, random_cases

import optax_sched
from optax_sched import current_value, linear

# To optax's types a state is any tree, so a checker does not know the fields of this one.
plateau: Any = optax_sched.plateau
greedy: Any = optax_sched.greedy
BOTH = pytest.mark.parametrize("closed", [plateau, greedy], ids=["plateau", "greedy"])

ONE = np.float32(1.0)
FALL_STEPS = 32  # of a fall from 1: a power of two, so that every rate on it is exact in float32


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


# --- Our rates -----------------------------------------------------------------------------------

LANES = 160
NUMBERS = {
    "factor": np.float32,
    "patience": np.int32,
    "threshold": np.float32,
    "cooldown": np.int32,
    "window": np.int32,
}
# Beside them, what bounds the rate or the scale, and where the rate falls to.
OWN = {plateau: ("min_value",), greedy: ("min_scale", "max_scale")}


@functools.cache
def program(closed: Any, mode: str, threshold_mode: str) -> Any:
    """From traced settings and losses to the update of sgd on the gradient 1, and what it tells."""

    def run(settings, end_value, losses):
        schedule = linear(1.0, end_value, FALL_STEPS)
        opt = inject(closed(schedule, mode=mode, threshold_mode=threshold_mode, **settings))

        def step(state, loss):
            updates, state = opt.update(ONE, state, ONE, value=loss)
            scale = state.hyperparams_states["learning_rate"].plateau.scale
            return state, (-updates, state.hyperparams["learning_rate"], current_value(state), scale)

        return jax.lax.scan(step, opt.init(ONE), losses)[1]

    return jax.jit(jax.vmap(run))


def ours(closed: Any, cases: list[tuple[Any, list[Any]]]) -> tuple[np.ndarray, np.ndarray]:
    """The rates and the scales of up to LANES cases (oracle's settings, others) and their losses."""
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
    used, shown, read, scales = map(
        np.asarray, program(closed, first.mode, first.threshold_mode)(settings, ends, values)
    )
    np.testing.assert_array_equal(used, shown)
    np.testing.assert_array_equal(used, read)
    return used, scales


def rates(closed: Any, losses: list[Any], **settings: Any) -> list[float]:
    """The rates of sgd's updates in a Python loop; a None is an update without observation."""
    opt = inject(closed(**{"schedule": 1.0, **settings}))
    state, seen = opt.init(ONE), []
    for loss in losses:
        updates, state = opt.update(ONE, state, ONE, value=loss)
        seen.append(-float(updates))
        assert seen[-1] == state.hyperparams["learning_rate"]
    return seen


@functools.cache
def rates_of_tables(mode: str, threshold_mode: str) -> dict[str, np.ndarray]:
    """Of `plateau`, where a schedule of 1 makes the floor of the rate that of the scale."""
    cases = {}
    for name, (settings, losses, _) in TABLES.items():
        case = Plateau(**{**HALF, **settings})
        if (case.mode, case.threshold_mode) == (mode, threshold_mode):
            cases[name] = (case, {"min_value": case.min_scale, "end_value": 1.0}), losses
    seen, _ = ours(plateau, list(cases.values()))
    return dict(zip(cases, seen, strict=False))


@pytest.mark.parametrize("name", TABLES)
def test_plateau_follows_the_tables_of_reduce_on_plateau(name: str):
    settings, losses, expected = TABLES[name]
    seen = rates_of_tables(settings.get("mode", "min"), settings.get("threshold_mode", "rel"))[name]
    np.testing.assert_array_equal(seen[: len(losses)], np.array(expected, np.float32))


@pytest.mark.parametrize("name", RISING)
def test_greedy_and_its_oracle_follow_the_table_written_by_hand(name: str):
    settings, losses, expected = RISING[name]
    case = Greedy(**{**HALF, **settings})
    own = {"min_scale": case.min_scale, "max_scale": case.max_scale, "end_value": 1.0}
    seen, _ = ours(greedy, [((case, own), losses)])
    np.testing.assert_array_equal(seen[0, : len(losses)], np.array(expected, np.float32))
    assert case.scales(losses) == expected


@pytest.mark.parametrize("closed", [plateau, greedy], ids=["plateau", "greedy"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
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
    seen, scales = ours(closed, cases)
    lowest, highest = 1.0, 1.0
    for lane, ((case, own), losses) in enumerate(cases):
        where = f"{case!r} {own} on {losses}"
        expected = np.array(case.scales(losses))
        np.testing.assert_array_equal(scales[lane], expected, where)
        done = np.minimum(np.arange(LENGTH) / FALL_STEPS, 1)
        s = (1 - done) + own["end_value"] * done
        wanted = np.maximum(s * expected, np.minimum(s, own.get("min_value", 0)))
        np.testing.assert_allclose(seen[lane], wanted, rtol=1e-6, err_msg=where)
        lowest, highest = min(lowest, *expected), max(highest, *expected)
    assert lowest < 0.01
    assert highest == (1 if closed is plateau else 100)


# --- What is scaled, and by what -----------------------------------------------------------------

STUCK = [1.0, 1.0, 1.0, 1.0]  # four equal losses; with patience 0 the scale is 1, 1/2, 1/4, 1/8
STUCK_SCALES = np.array([1, 0.5, 0.25, 0.125])
SCHEDULES: dict[str, tuple[Any, list[float]]] = {
    "float": (0.1, [0.1] * 4),
    "int": (2, [2] * 4),
    "array": (jnp.float32(0.3), [0.3] * 4),
    "schedule": (linear(0.4, 0.0, 4), [0.4, 0.3, 0.2, 0.1]),
    "nested": (optax_sched.warmup(linear(0.4, 0.0, 4), 2, 0.2), [0.2, 0.3, 0.4, 0.3]),
    "user's": (optax_sched.schedule(lambda step, a: a * step, name="mine")(0.1), [0, 0.1, 0.2, 0.3]),
    "lambda": (lambda count: 0.1 * (count + 1.0), [0.1, 0.2, 0.3, 0.4]),
    "optax closure": (optax.linear_schedule(0.4, 0.0, 4), [0.4, 0.3, 0.2, 0.1]),
}


@BOTH
@pytest.mark.parametrize("name", SCHEDULES)
def test_any_schedule_or_number_is_scaled(closed: Any, name: str):
    schedule, values = SCHEDULES[name]
    # The first loss is an improvement, at which greedy rises to 2 at once.
    start = 1 if closed is plateau else 2
    seen = rates(closed, STUCK, schedule=schedule, factor=0.5, patience=0)
    np.testing.assert_allclose(seen, start * STUCK_SCALES * values, rtol=1e-6)


def test_the_defaults_wait_for_ten_observations():
    seen = rates(plateau, [1.0] * 12)
    np.testing.assert_allclose(seen, [1.0] * 11 + [0.1], rtol=1e-6)
    seen = rates(greedy, [1.0] * 12)
    np.testing.assert_allclose(seen, [1.0] * 11 + [0.9], rtol=1e-6)
    seen = rates(greedy, [0.5**step for step in range(12)])
    np.testing.assert_allclose(seen, [1.0] * 10 + [1 / 0.9] * 2, rtol=1e-6)


FLOORS = {
    "the floor bounds what is cut": (1.0, 0.3, [1, 0.5, 0.3, 0.3]),
    "a floor of 0 is none": (1.0, 0.0, [1, 0.5, 0.25, 0.125]),
    "a schedule below the floor stays as it is": (0.2, 0.3, [0.2] * 4),
    "a schedule that falls below the floor is followed": (
        linear(0.8, 0.0, 4),
        0.3,
        [0.8, 0.3, 0.3, 0.2],
    ),
    "a schedule that ends at 0 ends at 0": (linear(0.8, 0.0, 2), 0.3, [0.8, 0.3, 0, 0]),
    "a warm-up from 0 is not lifted": (optax_sched.warmup(0.8, 4), 0.3, [0, 0.2, 0.3, 0.3]),
    "a negative schedule is cut, too": (-1.0, 0.5, [-1, -0.5, -0.25, -0.125]),
}


@pytest.mark.parametrize("name", FLOORS)
def test_min_value_is_a_floor_for_cuts_alone(name: str):
    schedule, min_value, expected = FLOORS[name]
    seen = rates(plateau, STUCK, schedule=schedule, factor=0.5, patience=0, min_value=min_value)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_a_negative_schedule_is_raised_and_cut_by_greedy():
    seen = rates(greedy, [1.0, 1.0, 0.5, 0.25], schedule=-1.0, factor=0.5, patience=0)
    assert seen == [-2, -1, -2, -4]


def test_patience_without_end_switches_the_rule_off_as_data():
    off = 2**31 - 1
    assert rates(plateau, [1.0] * 30, schedule=0.5, patience=off) == [0.5] * 30
    assert rates(greedy, [0.5**step for step in range(30)], schedule=0.5, patience=off) == [0.5] * 30
    state = plateau(0.5, patience=off).init()
    worn = state.plateau._replace(best=ONE, bad_count=np.int32(off), good_count=np.int32(off))
    for closed in (plateau(0.5), greedy(0.5)):  # the state's rule counts, and its counts do not wrap
        for loss in (1.0, 0.5):
            assert closed(state._replace(plateau=worn), value=loss) == 0.5


def test_a_switched_off_rule_and_a_live_one_share_a_batch():
    @jax.jit
    @jax.vmap
    def last_rate(patience):
        opt = inject(plateau(1.0, 0.5, patience))
        step = lambda state, loss: (opt.update(ONE, state, ONE, value=loss)[1], None)  # noqa: E731
        return current_value(jax.lax.scan(step, opt.init(ONE), jnp.ones(4, jnp.float32))[0])

    np.testing.assert_array_equal(last_rate(np.array([0, 2**31 - 1], np.int32)), [0.125, 1])


@BOTH
def test_value_none_is_no_observation_and_the_clock_goes_on(closed: Any):
    losses = [1.0, None, 1.0, None]
    seen = rates(closed, losses, schedule=linear(0.4, 0.0, 4), factor=0.5, patience=0)
    start = 1 if closed is plateau else 2
    np.testing.assert_allclose(seen, start * np.array([0.4, 0.3, 0.1, 0.05]), rtol=1e-6)


@BOTH
def test_after_a_spike_a_steady_descent_is_bad_until_it_passes_the_old_best(closed: Any):
    descent = [64.0 * 0.9**step for step in range(40)]  # passes 4 at its 27th step
    settings = {"factor": 0.5, "patience": 9, "threshold": 0.0}
    seen = rates(closed, [4.0, *descent[:26]], **settings)
    assert seen[-1] == 0.25
    seen = rates(closed, [4.0, *descent], **settings)
    assert seen[-1] == (0.25 if closed is plateau else 0.5)
    # With a longer patience, as the docstring says, it is forgiven.
    assert rates(plateau, [4.0, *descent], **{**settings, "patience": 28})[-1] == 1
