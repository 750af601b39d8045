"""`plateau` and `greedy` in optax's inject_hyperparams: the rule, the rate, the state, bad input."""

import dataclasses
import functools
import math
import random
from fractions import Fraction
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plateau_oracle import HALF, LENGTH, TABLES, UNIT, Plateau, nan, random_cases, single

import optax_sched
from optax_sched import constant, current_value, linear, observe

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


def once(function: Any) -> Any:
    """The function compiled; to trace it a second time is an error."""
    traces = []

    @jax.jit
    def traced(*args, **kwargs):
        traces.append(args)
        assert len(traces) == 1, "traced a second time"
        return function(*args, **kwargs)

    return traced


def inject(schedule: Any, optimizer: Any = optax.sgd, **others: Any) -> Any:
    return optax.inject_hyperparams(optimizer)(learning_rate=schedule, **others)


# --- The oracle ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Greedy(Plateau):
    """The rule that also rises, from the words of DESIGN.md."""

    max_scale: float = 10.0
    improvements: int = 0

    def decide(self, observation: Fraction | None) -> None:
        improved = observation is not None and self.is_improvement(observation)
        super().decide(observation)
        self.improvements = self.improvements + 1 if improved else 0
        if self.improvements > self.patience:
            self.scale = min(single(self.scale / single(self.factor)), single(self.max_scale))
            self.improvements = 0


# As in TABLES: settings, losses, the scale after each of them; factor 1/2 and threshold 1/8.
# fmt: off
RISING: dict[str, tuple[dict[str, Any], list[Any], list[float]]] = {
    "patience 0 rises at every improvement, the first observation is one": (dict(patience=0),
        [8, 4, 2, 1 ],
        [2, 4, 8, 10]),
    "patience 2 ignores two improvements and rises on the third": (dict(patience=2),
        [512, 256, 128, 64, 32, 16, 8],
        [1,   1,   2,   2,  2,  4,  4]),
    "an observation without improvement starts the count again": (dict(patience=1),
        [64, 64, 32, 16, 16, 8, 4],
        [1,  1,  1,  2,  2,  2, 4]),
    "a rise starts the count of improvements again": (dict(patience=1),
        [64, 32, 16, 16, 8, 4],
        [1,  2,  2,  2,  2, 4]),
    "it rises as far as max_scale": (dict(patience=0, max_scale=3),
        [8, 4, 2, 1],
        [2, 3, 3, 3]),
    "max_scale 1 never rises above the schedule": (dict(patience=0, max_scale=1),
        [8, 4, 4,   2, 2,   1],
        [1, 1, 0.5, 1, 0.5, 1]),
    "it falls as far as min_scale, and rises from there": (dict(patience=0, min_scale=0.25),
        [1, 1, 1,   1,    1,    0.5, 0.25],
        [2, 1, 0.5, 0.25, 0.25, 0.5, 1   ]),
    "what it rose it is cut from": (dict(patience=1),
        [16, 8, 8, 8, 8, 8],
        [1,  2, 2, 1, 1, 0.5]),
    "improvements during a cooldown count": (dict(patience=0, cooldown=3),
        [8, 8, 4, 2, 2, 2, 2],
        [2, 1, 2, 4, 4, 2, 2]),
    "a rise starts no cooldown": (dict(patience=0, cooldown=2),
        [8, 4, 4, 2],
        [2, 4, 2, 4]),
    "a cut after a rise needs its own patience": (dict(patience=2),
        [8, 4, 2, 2, 2, 2, 2, 2, 2],
        [1, 1, 2, 2, 2, 1, 1, 1, 0.5]),
    "gains below the threshold are none": (dict(patience=0),
        [8, 7.5, 7,   6.5, 6.5],
        [2, 1,   0.5, 1,   0.5]),
    "mode max: rising is improving": (dict(patience=1, mode="max"),
        [1, 2, 4, 8, 8, 8],
        [1, 2, 2, 4, 4, 2]),
    "a falling negative loss raises": (dict(patience=1),
        [-1, -2, -4, -8],
        [1,  2,  2,  4 ]),
    "a constant negative loss cuts": (dict(patience=1),
        [-1, -1, -1,  -1,  -1  ],
        [1,  1,  0.5, 0.5, 0.25]),
    "NaN is no improvement, and breaks a row of them": (dict(patience=1),
        [8, nan, 4, 2, nan, nan],
        [1, 1,   1, 2, 2,   1  ]),
    "infinite values are no improvement": (dict(patience=0),
        [8, -math.inf, 4, math.inf],
        [2, 1,         2, 1       ]),
    "window 2: the mean of two is one observation": (dict(patience=0, window=2),
        [8, 8, 2, 6, 1, 3, 4, 0],
        [1, 2, 2, 4, 4, 8, 8, 4]),
    "a cut to a spike, then a steady fall that is none until it passes the best": (dict(patience=1),
        [4, 64, 32,  16,  8,    2,    1  ],
        [1, 1,  0.5, 0.5, 0.25, 0.25, 0.5]),
}
# fmt: on


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
def test_after_a_spike_a_steady_descent_is_bad_until_it_passes_the_old_best(closed: Any):
    descent = [64.0 * 0.9**step for step in range(40)]  # passes 4 at its 27th step
    settings = {"factor": 0.5, "patience": 9, "threshold": 0.0}
    seen = rates(closed, [4.0, *descent[:26]], **settings)
    assert seen[-1] == 0.25
    seen = rates(closed, [4.0, *descent], **settings)
    assert seen[-1] == (0.25 if closed is plateau else 0.5)
    # With a longer patience, as the docstring says, it is forgiven.
    assert rates(plateau, [4.0, *descent], **{**settings, "patience": 28})[-1] == 1


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
def test_value_none_is_no_observation_and_the_clock_goes_on(closed: Any):
    losses = [1.0, None, 1.0, None]
    seen = rates(closed, losses, schedule=linear(0.4, 0.0, 4), factor=0.5, patience=0)
    start = 1 if closed is plateau else 2
    np.testing.assert_allclose(seen, start * np.array([0.4, 0.3, 0.1, 0.05]), rtol=1e-6)


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


def layout(tree: Any) -> Any:
    """All that must stay put for `scan` and the compilation cache."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in leaves]


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


# --- Bad input -----------------------------------------------------------------------------------

TWO, TINY, BIG = np.array([0.5, 0.5], np.float32), 1e-40, 1e39  # to float32, 0 and inf
COUNT = "a whole number, 0 or more"
# What the rule says, what breaks it, and what is not a number, word or schedule at all.
REFUSED: dict[str, tuple[str, list[Any], list[Any]]] = {
    "schedule": (
        "a schedule, a function of the step, or a finite number",
        [nan, math.inf, BIG],
        [None, "a", True, TWO, [0.1], 1j],
    ),
    "factor": (
        "a factor above 0 and below 1",
        [0, 1, 1.5, -0.5, nan, math.inf, 0.99999999, TINY, jnp.float32(2)],
        ["a", None, True, 0.5j, TWO],
    ),
    "patience": (COUNT, [-1, 2.5, nan, math.inf, 2**31], [None, "3", False, TWO]),
    "threshold": ("a finite number, 0 or more", [-1e-4, nan, math.inf, BIG], [None, "1e-4", True]),
    "threshold_mode": ("one of 'rel', 'abs'", ["x", "REL"], [None, 3]),
    "mode": ("one of 'min', 'max'", ["x", "auto"], [None, min]),
    "cooldown": (COUNT, [-1, 1.5], [None, True]),
    "window": ("a whole number, 1 or more", [0, -1, 1.5], [None, True]),
    "min_value": ("a finite number, 0 or more", [-0.1, nan, math.inf, BIG], [None, "0", True, TWO]),
    "min_scale": ("a number from 0 to 1", [-1, 2, nan, -TINY, 1.001], ["0", None, True]),
    "max_scale": ("a finite factor, 1 or more", [0.5, 0, -1, nan, math.inf], ["10", None, True, TWO]),
}
BAD = [
    pytest.param(
        closed, parameter, value, error, id=f"{name}-{parameter}-{str(value).replace(' ', '')}"
    )
    for name, closed in (("plateau", plateau), ("greedy", greedy))
    for parameter, (_, wrong, not_one) in REFUSED.items()
    if parameter not in OWN[greedy if closed is plateau else plateau]
    for error, values in ((ValueError, wrong), (TypeError, not_one))
    for value in values
]


@pytest.mark.parametrize(("closed", "parameter", "value", "error"), BAD)
def test_a_bad_setting_raises_one_line_with_function_parameter_rule_and_value(
    closed: Any, parameter: str, value: Any, error: type[Exception]
):
    with pytest.raises(error) as raised:
        closed(**{"schedule": 0.1, parameter: value})
    shown = (
        "an array of shape (2,)"
        if np.shape(value) == (2,)
        else repr(getattr(value, "item", lambda: value)())
    )
    rule, *_ = REFUSED[parameter]
    assert str(raised.value) == f"{closed.__name__}: {parameter} must be {rule}, got {shown}"


@BOTH
def test_a_missing_schedule_and_an_unknown_setting_raise_with_the_signature(closed: Any):
    with pytest.raises(
        TypeError, match=rf"^{closed.__name__}: .*'schedule'; it takes \(schedule,.*\)$"
    ):
        closed()
    own, others = (OWN[c] for c in ((plateau, greedy) if closed is plateau else (greedy, plateau)))
    for name in others:
        with pytest.raises(TypeError, match=rf"^{closed.__name__}: .*'{name}'; it takes .*{own[0]}"):
            closed(0.1, **{name: 0.5})


@BOTH
def test_traced_settings_of_a_wrong_shape_raise(closed: Any):
    with pytest.raises(TypeError, match=rf"^{closed.__name__}: factor must be .*, got a traced"):
        jax.eval_shape(lambda factor: closed(0.1, factor).init(), np.zeros(2, np.float32))


@BOTH
def test_value_left_out_raises_one_line_that_names_observe(closed: Any):
    opt = inject(closed(0.1))
    line = rf"^{closed.__name__}: [^\n]*value=[^\n]*observe[^\n]*$"
    for arguments in ((ONE, opt.init(ONE)), (ONE, opt.init(ONE), ONE)):
        with pytest.raises(TypeError, match=line):
            opt.update(*arguments)
    for wrapped in (optax.chain(optax.clip(1.0), opt), optax.MultiSteps(opt, 2)):
        with pytest.raises(TypeError, match=rf"^{closed.__name__}: .*value=.*observe"):
            jax.eval_shape(wrapped.update, ONE, wrapped.init(ONE), ONE)


@BOTH
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        (np.zeros(3, np.float32), r"an array of shape \(3,\)"),
        (jnp.zeros((1,), jnp.float32), r"an array of shape \(1,\)"),
        ([1.0], r"\[1.0\]"),
        ({"loss": 1.0}, r"\{'loss': 1.0\}"),
        (True, "True"),
        (1j, "1j"),
    ],
)
def test_a_value_that_is_no_number_raises_one_line(closed: Any, value: Any, shown: str):
    opt = inject(closed(0.1))
    line = f"^{closed.__name__}: value must be a number.*None where.*, got {shown}[^\n]*$"
    with pytest.raises(TypeError, match=line):
        opt.update(ONE, opt.init(ONE), ONE, value=value)
    with pytest.raises(TypeError, match=f"^{closed.__name__}: value must be a number"):
        closed(0.1).update(closed(0.1).init(), value=value)


@BOTH
@pytest.mark.parametrize(
    "user",
    [
        lambda closed: optax.adamw(closed),
        lambda closed: optax_sched.scale_by_learning_rate(closed),
        lambda closed: optax_sched.scale_by_schedule(optax_sched.warmup(closed, 2)),
        lambda closed: inject(plateau(closed)),
    ],
    ids=["adamw", "scale_by_learning_rate", "warmup", "plateau"],
)
def test_where_it_gets_no_state_it_says_where_to_put_it(closed: Any, user: Any):
    with pytest.raises(
        TypeError, match=rf"^{closed.__name__}: .*optax\.inject_hyperparams.*{closed.__name__}\("
    ):
        opt = user(closed(constant(0.1)))
        opt.update(ONE, opt.init(ONE), ONE)
