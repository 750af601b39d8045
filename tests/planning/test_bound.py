"""`convex_bound`: exact, for any horizon, as one program; and what must hold of it."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import one_in
from support.compilations import counted
from support.planned import rates
from tables.planning_oracles import bound, published_bound

from optax_sched import (
    constant,
    cosine_decay,
    inverse_sqrt_decay,
    join,
    linear,
    multiply,
    polynomial_decay,
    rex_decay,
    schedule,
    stack,
    warmup,
    warmup_cosine_decay,
    wsd,
)
from optax_sched.planning import ConvexBound, convex_bound

stable = functools.partial(wsd, 1.0, 0, shape="linear")

# Best scale and best value at 400 steps, to six digits, by the code of Schaipp et al. (MIT).
PUBLISHED = {
    "wsd": (stable(80, 400), 0.0253737, 0.109323),
    "linear": (linear(1.0, 0.0, 400), 0.0495631, 0.100630),
    "inverse sqrt": (inverse_sqrt_decay(1.0, 1), 0.212086, 0.122264),
    "constant": (constant(1.0), 0.0181759, 0.137545),
    "cosine": (cosine_decay(1.0, 400), 0.0482419, 0.103386),
    "1-sqrt": (wsd(1.0, 0, 400, 400), 0.0737971, 0.101243),
}
# What best scale and best value, times the square root of the length, tend to. The first three are
# sqrt(p) and (p + 1) / sqrt(p) for a decay u^p; the others were measured by another program.
LIMITS = {
    "sqrt": (lambda T: polynomial_decay(1.0, T, power=0.5), 0.5**0.5, 1.5 / 0.5**0.5),
    "linear": (lambda T: linear(1.0, 0.0, T), 1.0, 2.0),
    "square": (lambda T: polynomial_decay(1.0, T, power=2.0), 2**0.5, 3 / 2**0.5),
    "cosine": (lambda T: cosine_decay(1.0, T), 0.971, 2.0602),
    "rex": (lambda T: rex_decay(1.0, T), 0.808, 2.0168),
    "wsd .2": (lambda T: stable(T // 5, T), 0.514, 2.1596),
    "wsd .6": (lambda T: stable(3 * T // 5, T), 0.708, 2.0169),
    "1-sqrt .4": (lambda T: wsd(1.0, 0, 2 * T // 5, T), 0.668, 2.0417),
}
# Every way to begin and to end: a warm-up from 0, a floor, a tail of zeros, a pause, a rise at the end.
SHAPES: dict[str, Callable[[int], Any]] = {
    "warm-up": lambda T: warmup_cosine_decay(0.3, T // 10, T),
    "floor": lambda T: linear(0.3, 0.03, T),
    "tail of zeros": lambda T: linear(0.3, 0.0, T // 2),
    "pause": lambda T: join([0.2, 0.0, 0.1], [T // 3, T // 2]),
    "rises": lambda T: linear(0.0, 0.1, T),
    "function": lambda T: lambda step: 0.1 / (1.0 + step / T),
    "number": lambda T: 0.02,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_table_to_six_digits(name):
    s, scale, value = PUBLISHED[name]
    got = convex_bound(s, 400)
    assert float(f"{got.best_scale:.6g}") == pytest.approx(scale, rel=5e-6)
    assert float(f"{got.best_value:.6g}") == pytest.approx(value, rel=5e-6)


def test_cosine_may_have_almost_twice_the_rate_of_wsd():
    ratio = convex_bound(PUBLISHED["cosine"][0], 400).best_scale / convex_bound(stable(80, 400), 400)[1]
    assert float(ratio) == pytest.approx(1.901, abs=5e-4)


@pytest.mark.parametrize("name", LIMITS)
def test_the_limits(name):
    make, scale, value = LIMITS[name]
    steps = 400_000
    got = convex_bound(make(steps), steps)
    assert float(got.best_scale) * math.sqrt(steps) == pytest.approx(scale, rel=1e-3)
    assert float(got.best_value) * math.sqrt(steps) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("norms", ["one number", "one a step"])
@pytest.mark.parametrize("name", SHAPES)
def test_it_is_the_formula(name, norms):
    s, steps = SHAPES[name](240), 240
    norms = 3.0 if norms == "one number" else np.geomspace(5.0, 0.2, steps)
    got = convex_bound(s, steps, norms, distance=0.7)
    np.testing.assert_allclose(got, bound(rates(s, steps), norms, 0.7), rtol=2e-6)
    assert {x.dtype for x in got} == {jnp.dtype("float32")} and {x.shape for x in got} == {()}


def test_it_is_what_was_published():
    norms = np.geomspace(5.0, 0.2, 240)
    for make in SHAPES.values():
        r = rates(make(240), 240)
        r = r[: np.flatnonzero(r)[-1] + 1]  # as published it divides by the sum of a tail of zeros
        assert published_bound(r, norms[: len(r)], 0.7) == pytest.approx(
            bound(r, norms[: len(r)], 0.7)[0], rel=1e-9
        )


@pytest.mark.parametrize("name", one_in(2, ["linear", "cosine", "wsd .2", "constant"]))
def test_float32_at_a_million_steps(name):
    steps = 10**6
    s = constant(0.02) if name == "constant" else LIMITS[name][0](steps)
    np.testing.assert_allclose(convex_bound(s, steps), bound(rates(s, steps)), rtol=1e-5)


def test_tiny_rates_are_not_lost():
    s = linear(1e-25, 0.0, 100)
    np.testing.assert_allclose(convex_bound(s, 100), bound(rates(s, 100)), rtol=2e-6)
    norms = np.full(100, 1e-12)
    np.testing.assert_allclose(
        convex_bound(s, 100, norms)[1], bound(rates(s, 100), norms)[1], rtol=2e-6
    )


def test_several_horizons_are_the_same_schedule_stopped_there():
    s, norms = SHAPES["warm-up"](300), np.geomspace(1.0, 9.0, 400)
    horizons = [400, 20, 300, 150]
    got = convex_bound(s, horizons, norms, 2.0)
    want = [bound(rates(s, steps), norms[:steps], 2.0) for steps in horizons]
    np.testing.assert_allclose(np.stack(got), np.transpose(want), rtol=2e-6)
    for one in (tuple(horizons), np.array(horizons)):
        np.testing.assert_array_equal(np.stack(convex_bound(s, one, norms, 2.0)), np.stack(got))


# ---- what must hold ----


def test_a_longer_run_has_a_lower_bound():
    value = [float(convex_bound(linear(1.0, 0.0, T), T).best_value) for T in (10, 100, 1000, 10_000)]
    assert value == sorted(value, reverse=True) and len(set(value)) == 4


@pytest.mark.parametrize("factor", [1e-6, 0.3, 40.0])
def test_a_scaled_schedule_has_its_best_rate_where_it_was(factor):
    s = SHAPES["warm-up"](300)
    whole, scaled = convex_bound(s, 300, 2.0, 3.0), convex_bound(multiply(s, factor), 300, 2.0, 3.0)
    assert float(scaled.best_scale) == pytest.approx(float(whole.best_scale) / factor, rel=1e-6)
    assert float(scaled.best_value) == pytest.approx(float(whole.best_value), rel=1e-6)


def test_at_the_best_scale_the_bound_is_the_best_value_and_nowhere_less():
    s = SHAPES["floor"](300)
    best = convex_bound(s, 300, 2.0, 3.0)
    for factor, excess in ((0.5, 1.25), (1.0, 1.0), (2.0, 1.25)):  # (c + 1 / c) / 2
        there = convex_bound(multiply(s, factor * best.best_scale), 300, 2.0, 3.0)
        assert float(there.value) == pytest.approx(float(best.best_value) * excess, rel=1e-6)


def test_distance_and_norms_scale_it():
    s = SHAPES["floor"](300)
    one, other = convex_bound(s, 300), convex_bound(s, 300, grad_norms=5.0, distance=3.0)
    assert float(other.best_scale / one.best_scale) == pytest.approx(3 / 5, rel=1e-6)
    assert float(other.best_value / one.best_value) == pytest.approx(15, rel=1e-6)


def test_steps_of_rate_zero_count_for_nothing():
    s = linear(0.3, 0.0, 100)
    late = join([0.0, s], [50])
    np.testing.assert_allclose(convex_bound(late, 400), convex_bound(s, 100), rtol=1e-6)


# ---- composed ----


@pytest.mark.wide
def test_a_thousand_schedules_in_one_program():
    peaks, powers = np.meshgrid(np.geomspace(1e-3, 1.0, 25), np.linspace(0.5, 4.0, 40))
    batch: Any = jax.vmap(lambda peak, p: polynomial_decay(peak, 300, power=p))(
        peaks.ravel(), powers.ravel()
    )
    with counted() as compiled:
        values = jax.jit(jax.vmap(lambda s: convex_bound(s, 300).best_value))(batch)
        assert len(compiled) <= 1
    assert values.shape == (1000,)
    for index in (0, 377, 999):
        s = polynomial_decay(float(peaks.flat[index]), 300, power=float(powers.flat[index]))
        assert float(values[index]) == pytest.approx(bound(rates(s, 300))[2], rel=5e-6)


@pytest.mark.wide
def test_families_in_one_batch():
    members = [SHAPES[name](100) for name in ("warm-up", "floor", "tail of zeros")]
    got = jax.vmap(lambda s: convex_bound(s, 100))(stack(members))
    want = [bound(rates(s, 100)) for s in members]
    np.testing.assert_allclose(np.stack(got), np.transpose(want), rtol=3e-6)


def test_the_gradient_is_that_of_the_formula():
    def values(peak, end, power):
        return convex_bound(polynomial_decay(peak, 50, end, power), 50, 2.0, 3.0)

    def formula(peak, end, power):
        u = 1 - np.arange(50) / 50
        return np.array(bound(end + (peak - end) * u**power, 2.0, 3.0))

    at = np.array([0.3, 0.02, 1.7])
    got = np.array(jax.jit(jax.jacobian(values, argnums=(0, 1, 2)))(*at))
    for i in range(3):
        h = 1e-6 * np.eye(3)[i] * at[i]
        want = (formula(*(at + h)) - formula(*(at - h))) / (2e-6 * at[i])
        np.testing.assert_allclose(got[:, i], want, rtol=2e-3)


def test_the_gradient_goes_through_a_schedule_and_is_finite_where_rates_are_zero():
    def best(s):
        return convex_bound(s, 100).best_value

    s = wsd(0.3, 10, 40, 80)
    slope = jax.grad(best, allow_int=True)(s)
    assert np.isfinite(slope.peak_value) and np.isfinite(slope.end_value)
    assert float(abs(slope.peak_value)) < 1e-6  # the best value does not depend on the height


def test_a_function_that_holds_a_tracer():
    def value(peak):
        return convex_bound(lambda step: peak * (1 - step / 50), 50).value

    u = 1 - np.arange(50) / 50
    want = (bound(0.3001 * u)[0] - bound(0.2999 * u)[0]) / 2e-4
    assert float(jax.grad(value)(0.3)) == pytest.approx(want, rel=1e-4)


def test_a_new_value_compiles_nothing():
    def all_of(peak: float) -> ConvexBound:
        return convex_bound(warmup(linear(peak, 0.0, 90), 10), 100, 2.0)

    with counted() as compiled:
        all_of(0.1)
        first = len(compiled)
        all_of(0.2)
        assert len(compiled) == first


def test_a_traced_schedule_that_never_moves_is_infinitely_bad():
    got = jax.jit(lambda peak: convex_bound(constant(peak), 10))(0.0)
    assert [float(x) for x in got] == [math.inf] * 3


def test_users_own_schedules_work():
    halving = schedule(lambda step, init_value, period: init_value * 0.5 ** (step // period), name="h")
    s = halving(0.1, 20)
    np.testing.assert_allclose(convex_bound(s, 100), bound(rates(s, 100)), rtol=2e-6)
