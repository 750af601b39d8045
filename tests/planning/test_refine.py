"""`refine`: the schedule that logged gradient norms suggest."""

import jax
import numpy as np
import pytest
from tables.planning_oracles import bound, refined

from optax_sched import linear
from optax_sched.planning import refine

T = np.arange(400)
PROFILES = {
    "grow": np.linspace(1.0, 3.0, 400),
    "high at first": 1.0 + 9.0 * np.exp(-T / 20),
    "late spike": 1.0 + 4.0 * (np.abs(T - 350) < 20),
    "fall": (1.0 + T) ** -0.25,
}


@pytest.mark.parametrize(("steps", "peak"), [(1, 1.0), (7, 0.3), (1000, 3e-4)])
@pytest.mark.parametrize("norm", [1.0, 7e-12, 3e15])
def test_constant_norms_give_a_line(steps, peak, norm):
    got = refine([norm] * 10, steps, peak)
    wanted = linear(peak, 0.0, steps)
    np.testing.assert_allclose(got(np.arange(steps)), wanted(np.arange(steps)), rtol=3e-7)


@pytest.mark.parametrize("name", PROFILES)
def test_it_is_the_formula(name):
    got = refine(PROFILES[name], peak_value=0.2, smoothing=0)
    np.testing.assert_allclose(got(T), refined(PROFILES[name], 0.2), rtol=3e-7)
    assert float(np.max(got(T))) == np.float32(0.2)
    assert float(got(10_000)) == float(got(399))


@pytest.mark.parametrize("name", PROFILES)
def test_it_has_a_lower_bound_than_a_line_and_none_nearby_is_much_lower(name):
    norms = PROFILES[name]
    rates = np.asarray(refine(norms, smoothing=0)(T), np.float64)
    found = bound(rates, norms)[2]
    assert found < bound(1 - T / 400, norms)[2]
    random = np.random.default_rng(0)
    for size in (0.02, 0.1, 0.3):
        bent = np.interp(T, np.linspace(0, 399, 12), random.standard_normal(12))
        assert found < bound(rates * np.exp(size * bent), norms)[2] * 1.003


def test_gradients_that_are_high_at_first_make_a_warm_up():
    rates = np.asarray(refine(PROFILES["high at first"], smoothing=0)(T))
    assert rates[0] < 0.02 and 30 < np.argmax(rates) < 120


@pytest.mark.parametrize("smoothing", [0.02, 0.011, 0.1, 0.5])
def test_the_filter_is_a_running_median_with_reflected_ends(smoothing):
    norms = np.exp(np.random.default_rng(1).standard_normal(100))
    window = {0.02: 3, 0.011: 3, 0.1: 11, 0.5: 51}[smoothing]
    half = window // 2
    reflected = np.concatenate([norms[:half][::-1], norms, norms[::-1][:half]])
    medians = [np.median(reflected[i : i + window]) for i in range(100)]
    got = refine(norms, smoothing=smoothing)
    np.testing.assert_allclose(got(np.arange(100)), refined(medians), rtol=3e-7)


def test_single_spikes_of_a_log_change_nothing():
    norms = np.linspace(1.0, 3.0, 100)
    spiked = norms.copy()
    spiked[[13, 50, 90]] = 1e6
    got, wanted = refine(spiked), refine(norms)
    np.testing.assert_allclose(got(np.arange(100)), wanted(np.arange(100)), rtol=0.15)


@pytest.mark.parametrize("steps", [3, 99, 1000])
def test_another_length_reads_the_log_between_its_points(steps):
    norms = np.linspace(1.0, 3.0, 100)
    places = (np.arange(steps) + 0.5) / steps * 100 - 0.5
    read = np.interp(places, np.arange(100), norms)
    np.testing.assert_allclose(
        refine(norms, steps, smoothing=0)(np.arange(steps)), refined(read), rtol=3e-7
    )


def test_it_is_a_table_of_its_own_and_takes_a_traced_peak():
    log = PROFILES["grow"].copy()
    got = refine(log, 4)
    log[:] = 1.0
    assert repr(got).startswith("table(values=[1.0, 0.")
    assert got.replace(values=[1.0, 2.0])(1) == 2.0
    slope = jax.jit(jax.grad(lambda peak: refine(PROFILES["grow"], 4, peak)(2)))(0.3)
    assert float(slope) == pytest.approx(float(got(2)), rel=1e-6)


def test_a_long_log_is_quick_to_read():
    got = refine(np.linspace(1.0, 3.0, 10**6), 10**6, smoothing=1e-4)
    assert got.values.shape == (10**6,)


def test_traced_norms_are_refused():
    with pytest.raises(TypeError, match=r"^refine: grad_norms must be known, not traced, got a traced"):
        jax.jit(lambda norms: refine(norms)(0))(np.ones(4, np.float32))
