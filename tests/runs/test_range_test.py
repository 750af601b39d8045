"""The range test: its rules in plain Python, curves with known answers, jit and vmap, bad calls."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.amount import one_in
from support.range_tests import SUGGESTIONS, given

from optax_sched import RangeTest, exponential, lr_range_test


def descend(x, batch, rate):
    """Gradient descent on half of `curvature` x^2."""
    curvature = 1.0 if batch is None else batch
    return x - rate * curvature * x, curvature * x * x / 2


# ---- the rules, in plain Python ----


def smoothed_until_divergence(losses: Sequence[float], smoothing: float, factor: float) -> list[float]:
    kept, average, best = [], 0.0, math.inf
    for count, loss in enumerate(losses, start=1):
        average = smoothing * average + (1 - smoothing) * loss
        corrected = average / (1 - smoothing**count)
        best = min(best, corrected) if math.isfinite(corrected) else best
        if not math.isfinite(loss) or corrected - best > (factor - 1) * abs(best):
            break
        kept.append(corrected)
    return kept


def suggested(curve: Sequence[float], num_steps: int) -> dict[str, tuple[int, float]]:
    """For each suggestion the index of a rate, and what that rate is multiplied by."""
    if not curve:
        return {"valley": (0, 1), "steepest": (0, 1), "minimum": (0, 0.1), "slide": (0, 1)}
    were_run = min(len(curve) + 1, num_steps)
    looked_at = range(num_steps // 10, were_run - 5)
    if len(looked_at) < 2:
        looked_at = range(len(curve))
    first, values = looked_at.start, [curve[k] for k in looked_at]
    return {
        "valley": (first + valley(values), 1),
        "steepest": (first + steepest(values), 1),
        "minimum": (curve.index(min(curve)), 0.1),
        "slide": (first + slide(values), 1),
    }


def valley(values: list[float]) -> int:
    lengths: list[int] = []
    for value in values:
        higher = [n for n, earlier in zip(lengths, values, strict=False) if earlier > value]
        lengths.append(1 + max(higher, default=0))
    length = max(lengths)
    return max(lengths.index(length) - length + length // 3 + length // 6, 0)


def steepest(values: list[float]) -> int:
    rises = [after - before for before, after in itertools.pairwise(values)]
    return rises.index(min(rises)) if rises else 0


def slide(values: list[float]) -> int:
    if len(values) < 16:
        return 0
    slope = np.gradient(values)
    right = len(values) - 1
    if abs(slope[right] - slope[right - 15]) <= 0.005:
        return right - 15
    while right >= 15 and abs(slope[right] - slope[right - 15]) > 0.005:
        right -= 1
    return right + 1 - 15


def falls(means: list[float]) -> bool:
    """Whether a mean lies below an earlier one by more than a few roundings of the largest."""
    rounding = 8 * 2.0**-23 * max(map(abs, means), default=0.0)
    return any(max(means[:k]) - means[k] > rounding for k in range(1, len(means)))


def assert_as_the_rules_say(
    result: RangeTest, losses: Any, low: float, high: float, smoothing: float, factor: float
) -> None:
    n = len(losses)
    rates = [low * (high / low) ** (k / (n - 1)) for k in range(n)]
    kept = smoothed_until_divergence(np.asarray(losses, float).tolist(), smoothing, factor)
    np.testing.assert_array_equal(result.mask, np.arange(n) < len(kept))
    np.testing.assert_allclose(result.rates, rates, rtol=1e-5)
    np.testing.assert_array_equal(
        result.losses[: len(kept)], np.asarray(losses, np.float32)[: len(kept)]
    )
    np.testing.assert_allclose(result.smoothed_losses[: len(kept)], kept, rtol=2e-6, atol=2e-6)
    assert np.all(np.isposinf(result.losses[len(kept) :]))
    assert np.all(np.isposinf(result.smoothed_losses[len(kept) :]))
    # From the means as they are in float32: where two are nearly equal, rounding would decide.
    means = result.smoothed_losses[: len(kept)].tolist()
    if not falls(means):
        assert all(np.isnan(getattr(result, name)) for name in SUGGESTIONS)
        return
    for name, (index, times) in suggested(means, n).items():
        assert getattr(result, name) == pytest.approx(rates[index] * times, rel=1e-5), name


def noisy_curve(seed: int, n: int) -> np.ndarray:
    """Falls, and rises ever faster, with noise."""
    draw = np.random.default_rng(seed)
    x = np.linspace(0, 1, n)
    curve = 2.3 - 1.8 / (1 + np.exp(-20 * (x - 0.4))) + np.exp(30 * (x - draw.uniform(0.6, 1.1)))
    return curve + draw.uniform(0, 0.3) * draw.normal(size=n)


@pytest.mark.parametrize("seed", one_in(4, range(12)))
@pytest.mark.parametrize("num_steps", [100, 37])
def test_any_curve(seed, num_steps):
    draw = np.random.default_rng(seed)
    smoothing, factor = draw.choice([0.0, 0.5, 0.9, 0.98]), draw.choice([1.01, 1.5, 4.0])
    losses = noisy_curve(seed, num_steps) - draw.choice([0.0, 1.0, 5.0])  # negative ones too
    result = lr_range_test(given, 0, losses, 1e-5, 2.0, num_steps, smoothing, factor)
    assert_as_the_rules_say(result, losses, 1e-5, 2.0, smoothing, factor)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", [0, 1, 2, 6, 7, 16, 25, 36])
def test_a_loss_that_is_not_finite_ends_it(bad, step):
    losses = noisy_curve(1, 37)
    losses[step] = bad
    result = lr_range_test(given, 0, losses, 1e-5, 2.0, 37, 0.5, 1e6)
    assert_as_the_rules_say(result, losses, 1e-5, 2.0, 0.5, 1e6)
    assert result.mask.sum() == step
    assert all(np.isfinite(getattr(result, name)) == (step > 1) for name in SUGGESTIONS)


# ---- curves whose answers are known ----


@pytest.mark.parametrize("vertex", one_in(3, [53, 30, 80]))
def test_a_v_in_log_rate(vertex):
    """101 rates from 1e-5 to 1, 20 to a decade, of which those from 10 to 95 are looked at."""

    def v(carry, batch, rate):
        return carry, 2 + jnp.abs(jnp.log10(rate) - (vertex / 20 - 5))

    result = lr_range_test(v, (), None, 1e-5, 1.0, num_steps=101, smoothing=0.0, diverge_factor=10.0)
    rate = functools.partial(pow, 10.0)
    assert result.mask.all()
    assert result.minimum == pytest.approx(rate(vertex / 20 - 6), rel=1e-5)
    # The fall has vertex - 9 points from 10 on; half way down it, by whole thirds and sixths.
    length = vertex - 9
    half = vertex - length + length // 3 + length // 6
    assert result.valley == pytest.approx(rate(half / 20 - 5), rel=1e-5)
    assert abs(half - (10 + vertex) / 2) <= 2
    # The slope is -0.05 before the vertex, 0 at it, 0.05 after it. The last pair is (80, 95).
    slide = 80 if vertex < 80 else vertex - 15
    assert result.slide == pytest.approx(rate(slide / 20 - 5), rel=1e-5)
    # All falls are equal: rounding says which is steepest, but it is one before the vertex.
    assert rate(10 / 20 - 5) <= result.steepest * 1.001 and result.steepest < rate(vertex / 20 - 5)


@pytest.mark.parametrize("centre", [33, 60])
def test_the_steepest_fall_of_a_logistic_curve(centre):
    losses = 3 - 2 / (1 + np.exp(-(np.arange(101) - centre - 0.5) / 5))
    result = lr_range_test(given, (), losses, 1e-5, 1.0, num_steps=101, smoothing=0.0)
    assert result.steepest == pytest.approx(10 ** (centre / 20 - 5), rel=1e-5)


@pytest.mark.parametrize("curvature", one_in(5, [0.37, 700.0, 1.1, 4.1, 55.0]))
def test_a_quadratic_diverges_at_two_over_its_curvature(curvature):
    def step(x, batch, rate):
        return x - rate * curvature * x, curvature * x * x / 2

    result = lr_range_test(
        step, 1.0, None, 1e-4, 10.0, num_steps=101, smoothing=0.0, diverge_factor=1.001
    )
    last = result.rates[result.mask][-1]  # the first that makes the loss of the next step rise
    ratio = 10 ** (5 / 100)
    assert 2 / curvature / ratio <= last <= 2 / curvature * ratio**1.001


def test_losses_that_rise_from_the_first_step_on():
    losses = np.linspace(1, 3, 101)
    result = lr_range_test(given, (), losses, num_steps=101, smoothing=0.0)
    assert_as_the_rules_say(result, losses, 1e-7, 10.0, 0.0, 4.0)
    assert np.isnan(result.minimum)


@pytest.mark.wide
def test_negative_losses_diverge_by_the_same_distance():
    """A rise by 3 |best| is the most that a factor of 4 allows."""
    falling = np.linspace(1, -2, 50)
    for top, ends in ((3.9, False), (4.1, True)):
        losses = np.r_[falling, np.linspace(-2, top, 50)]
        result = lr_range_test(given, (), losses, smoothing=0.0, diverge_factor=4.0)
        assert result.mask.all() == (not ends)
        assert result.mask[:99].all()


def test_the_rates_have_both_ends_to_the_bit():
    for n, low, high in ((2, 0.1, 0.3), (100, 1e-7, 10.0), (37, 3e-5, 0.7)):
        result = lr_range_test(given, (), np.ones(n), low, high, n)
        assert (result.rates[0], result.rates[-1]) == (np.float32(low), np.float32(high))
        np.testing.assert_allclose(result.rates, exponential(low, high, n - 1)(np.arange(n)), rtol=1e-6)


def test_no_smoothing_is_the_losses_themselves():
    losses = noisy_curve(3, 100).astype(np.float32)
    result = lr_range_test(given, (), losses, smoothing=0.0, diverge_factor=100.0)
    kept = result.mask
    np.testing.assert_array_equal(result.smoothed_losses[kept], losses[kept])


@pytest.mark.wide
def test_much_smoothing_of_a_constant_is_that_constant():
    result = lr_range_test(given, (), np.full(1000, 2.3), num_steps=1000, smoothing=0.9999)
    np.testing.assert_allclose(result.smoothed_losses, 2.3, rtol=3e-6)


# ---- batches and carries ----


def test_any_pytree_of_batches_and_of_weights_with_a_random_key():
    draw = np.random.default_rng(0)
    batches = {
        "x": jnp.asarray(draw.normal(size=(60, 8, 3))),
        "key": jax.random.split(jax.random.key(0), 60),
    }
    params = {"w": jnp.ones(3, jnp.bfloat16), "b": (jnp.zeros((), jnp.float16), jnp.ones(2, jnp.int32))}
    opt = optax.sgd(1.0, momentum=0.9)
    seen = []

    def step(carry, batch, rate):
        params, state, key = carry
        key, drop = jax.random.split(key)
        keep = jax.random.bernoulli(
            jax.random.fold_in(drop, jax.random.bits(batch["key"])), 0.9, (8, 3)
        )

        def loss_of(w):
            return (jnp.where(keep, batch["x"], 0).astype(jnp.bfloat16) @ w).var()

        loss, gradient = jax.value_and_grad(loss_of)(params["w"])
        update, state = opt.update(gradient, state)
        seen.append((rate.weak_type, loss.dtype))
        return ({**params, "w": params["w"] + rate * update}, state, key), loss

    carry = params, opt.init(params["w"]), jax.random.key(1)
    before = jax.tree.map(np.asarray, (params, batches["x"]))
    result = lr_range_test(step, carry, batches, 1e-4, 1e3, 60, 0.5)
    assert seen == [(True, jnp.bfloat16)]
    assert result.losses.dtype == np.float32
    assert 0 < result.mask.sum() < 60  # it has diverged
    assert np.isfinite(result.losses[result.mask]).all()
    jax.tree.map(np.testing.assert_array_equal, before, (params, batches["x"]))  # nothing donated


def test_weights_that_are_python_numbers():
    def step(x, batch, rate):
        return {"x": x["x"] - rate * batch, "n": x["n"] + 1}, x["x"] ** 2

    result = lr_range_test(step, {"x": 1.0, "n": 0}, np.ones(20, np.float32), 0.001, 0.1, 20, 0.0)
    x = 1 - np.cumsum(np.r_[0, np.asarray(result.rates)])[:-1]
    np.testing.assert_allclose(result.losses[result.mask], (x**2)[result.mask], rtol=1e-5)


def test_after_divergence_no_step_is_run():
    ran = []

    def step(x, batch, rate):
        jax.debug.callback(lambda k: ran.append(int(k)), batch)
        return x, jnp.where(batch >= 12, jnp.nan, 1.0)

    result = lr_range_test(step, 0.0, np.arange(40), num_steps=40)
    jax.effects_barrier()
    assert sorted(ran) == list(range(13))
    assert result.mask.sum() == 12


# ---- under jit and vmap ----

CURVES = np.stack([noisy_curve(seed, 60) for seed in range(5)]).astype(np.float32)
CURVES[3, 0] = np.nan
CURVES[4, 31] = np.inf


def assert_close(one: RangeTest, other: RangeTest) -> None:
    for name, a, b in zip(RangeTest._fields, one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=name)


def test_jit_gives_what_a_plain_call_does():
    @jax.jit
    def run(losses, low, high, smoothing, factor):
        return lr_range_test(given, (), losses, low, high, 60, smoothing, factor)

    for curve in CURVES:
        settings = (1e-5, 2.0, 0.9, 1.5)
        assert_close(
            run(curve, *settings), lr_range_test(given, (), curve, *settings[:2], 60, *settings[2:])
        )


def test_vmap_over_seeds_gives_what_a_loop_does():
    def run(losses):
        return lr_range_test(given, 0.0, losses, 1e-5, 2.0, 60, 0.9, 1.5)

    batch = jax.vmap(run)(CURVES)
    for index, curve in enumerate(CURVES):
        assert_close(jax.tree.map(lambda leaf, index=index: leaf[index], batch), run(curve))


@pytest.mark.wide
def test_vmap_over_first_weights_and_over_settings():
    starts, highs = jnp.array([0.5, 1.0, 3.0]), jnp.array([1.0, 5.0, 25.0])
    run = functools.partial(lr_range_test, descend, batches=None, min_value=1e-3, num_steps=40)
    batch = jax.vmap(lambda x, high: run(x, max_value=high, smoothing=0.1))(starts, highs)
    for index in range(3):
        alone = run(float(starts[index]), max_value=float(highs[index]), smoothing=0.1)
        assert_close(jax.tree.map(lambda leaf, index=index: leaf[index], batch), alone)
    assert batch.mask[0].all() and not batch.mask[2].all()


@pytest.mark.wide
def test_seeds_may_be_spread_over_devices():
    mesh = jax.make_mesh((4,), ("seeds",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("seeds"))
    starts = jnp.linspace(0.5, 3.0, 8)
    run = jax.jit(jax.vmap(lambda x: lr_range_test(descend, x, None, 1e-3, 10.0, 40, 0.1)))
    got = run(jax.device_put(starts, spread))
    assert got.valley.sharding.is_equivalent_to(spread, 1)
    assert_close(got, run(starts))


def test_one_trace_for_all_values():
    traces = []

    def step(x, batch, rate):
        traces.append(rate)
        return x - rate * x, x * x + batch

    batches = np.zeros(50, np.float32)
    for x, low, high, smoothing, factor in (
        (1.0, 1e-7, 10.0, 0.98, 4.0),
        (2.0, 1e-3, 1, 0, 2),
        (3.0, np.float64(1e-3), np.float32(2.0), jnp.array(0.5), jnp.array(2, jnp.int32)),
    ):
        lr_range_test(step, x, batches, low, high, 50, smoothing, factor)
    assert len(traces) == 1


@pytest.mark.wide
def test_under_strict_promotion():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        strict = lr_range_test(descend, jnp.ones(()), None, 1e-3, 10.0, 41)
    assert_close(strict, lr_range_test(descend, 1.0, None, 1e-3, 10.0, 41))


NO_SIGNAL = {
    "NaN at once": [np.nan] * 40,
    "inf at the second step": [1.0, np.inf] + [1.0] * 38,
    "flat": [2.5] * 40,
    "flat but for rounding": (2.5 + 2.0**-22 * (np.arange(40) % 3)).tolist(),
    "zero": [0.0] * 40,
    "rising": np.linspace(1.0, 2.0, 40).tolist(),
}


@pytest.mark.parametrize("name", NO_SIGNAL)
def test_without_a_signal_there_is_no_advice(name):
    for smoothing in (0.0, 0.98):
        result = lr_range_test(given, (), np.array(NO_SIGNAL[name]), num_steps=40, smoothing=smoothing)
        assert all(np.isnan(getattr(result, it)) for it in SUGGESTIONS)
        assert np.all(np.isfinite(result.rates))
    batch = np.array([NO_SIGNAL[name], np.linspace(2.0, 1.0, 40)])
    both = jax.vmap(lambda losses: lr_range_test(given, (), losses, num_steps=40))(batch)
    assert np.isnan(both.valley[0]) and np.isfinite(both.valley[1])
