"""`least_squares_risk`: the exact risk of SGD."""

import math

import jax
import numpy as np
import pytest
from support.amount import one_in
from support.planned import rates
from tables.planning_oracles import risk

from optax_sched import (
    constant,
    cosine_decay,
    inverse_time_decay,
    linear,
    multiply,
    piecewise_constant,
    stack,
    step_decay,
)
from optax_sched.planning import least_squares_risk

SPECTRUM = (1.0, 0.3, 0.02, 0.0)


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"noise": 0.0, "start": 100.0},
        {"noise": 0.3, "start": [1.0, 4.0, 0.0, 9.0], "batch_size": 8},
        {"batch_size": 3},
    ],
)
@pytest.mark.parametrize(
    "s", [cosine_decay(0.3, 200), constant(0.1), constant(0.0), linear(0.0, 0.4, 200)]
)
def test_it_is_the_recursion(s, others):
    got = least_squares_risk(s, 200, SPECTRUM, **others)
    assert got.dtype == np.float32 and got.shape == ()
    assert float(got) == pytest.approx(risk(rates(s, 200), SPECTRUM, **others), rel=2e-6)


def test_the_batch_may_change():
    sizes, s = piecewise_constant([1, 8, 64], [50, 120]), cosine_decay(0.3, 200)
    got = least_squares_risk(s, 200, SPECTRUM, batch_size=sizes)
    want = risk(rates(s, 200), SPECTRUM, batch_size=rates(sizes, 200))
    assert float(got) == pytest.approx(want, rel=2e-6)
    traced = jax.jit(lambda b: least_squares_risk(s, 200, SPECTRUM, batch_size=b))(sizes)
    assert float(traced) == pytest.approx(want, rel=2e-6)
    with pytest.raises(ValueError, match=r"^least_squares_risk: batch_size must be a schedule of"):
        least_squares_risk(s, 200, SPECTRUM, batch_size=linear(1.0, -1.0, 9))
    for sizes in (1.5, linear(8.0, 1.0, 200)):
        with pytest.raises(ValueError, match=r"batch_size must be a .*whole number"):
            least_squares_risk(s, 200, SPECTRUM, batch_size=sizes)


@pytest.mark.parametrize(
    "s", one_in(3, [linear(0.3, 0.0, 10**5), constant(1e-3), step_decay(0.3, 10**4, 0.5)])
)
def test_float32_at_a_hundred_thousand_steps(s):
    values = np.geomspace(1.0, 1e-4, 6)
    got = least_squares_risk(s, 10**5, values, start=100.0)
    assert float(got) == pytest.approx(risk(rates(s, 10**5), values.tolist(), start=100.0), rel=1e-5)


def test_small_changes_add_up():
    # Each step takes 2e-8 of the square: a plain float32 would not move.
    got = least_squares_risk(constant(1e-8), 10**5, [1.0], noise=0.0)
    assert float(got) == pytest.approx(0.5 * math.exp(-2e-3), rel=1e-6)


def test_it_is_the_mean_of_many_runs_of_sgd():
    steps, runs, s = 200, 20_000, inverse_time_decay(0.3, 20, 1.0)
    random = np.random.default_rng(0)
    weights = 10.0 * random.choice([-1.0, 1.0], (runs, 2))
    scale = np.sqrt([1.0, 0.1])
    for rate in rates(s, steps):
        inputs = scale * random.standard_normal((runs, 2))
        residuals = np.sum(inputs * weights, axis=1) + random.standard_normal(runs)
        weights -= rate * residuals[:, None] * inputs
    risks = np.sum((scale * weights) ** 2, axis=1) / 2
    exact = float(least_squares_risk(s, steps, [1.0, 0.1], start=100.0))
    error = risks.std() / math.sqrt(runs)
    assert error < 0.02 * exact and abs(risks.mean() - exact) < 4 * error


def test_larger_batches_are_never_worse_and_noise_never_better():
    s = cosine_decay(0.3, 300)
    by_size = [float(least_squares_risk(s, 300, SPECTRUM, batch_size=b)) for b in (1, 4, 64)]
    assert by_size == sorted(by_size, reverse=True) and len(set(by_size)) == 3
    by_noise = [float(least_squares_risk(s, 300, SPECTRUM, noise=n)) for n in (0.0, 0.5, 2.0)]
    assert by_noise == sorted(by_noise) and len(set(by_noise)) == 3


def test_where_sgd_diverges_the_risk_is_infinite():
    assert math.isinf(least_squares_risk(constant(3.0), 1000, [1.0, 0.5]))


def test_a_batch_in_one_program_and_a_gradient():
    members = [linear(0.3, 0.0, 100), cosine_decay(0.2, 100), step_decay(0.3, 20, 0.5)]
    got = jax.jit(jax.vmap(lambda s: least_squares_risk(s, 100, SPECTRUM)))(stack(members))
    want = [risk(rates(s, 100), SPECTRUM) for s in members]
    np.testing.assert_allclose(got, want, rtol=2e-6)

    def by_scale(scale):
        return least_squares_risk(multiply(cosine_decay(0.2, 100), scale), 100, SPECTRUM, start=9.0)

    r = rates(members[1], 100)
    want = (risk(1.0001 * r, SPECTRUM, start=9.0) - risk(0.9999 * r, SPECTRUM, start=9.0)) / 2e-4
    assert float(jax.grad(by_scale)(1.0)) == pytest.approx(want, rel=1e-3)


def test_all_but_the_size_may_be_traced():
    def of(values, noise, start, batch_size):
        return least_squares_risk(cosine_decay(0.2, 100), 100, values, noise, start, batch_size)

    given = (np.array(SPECTRUM, np.float32), 0.3, np.arange(4.0, dtype=np.float32), 2)
    want = risk(rates(cosine_decay(0.2, 100), 100), SPECTRUM, 0.3, np.arange(4.0), 2.0)
    assert float(jax.jit(of)(*given)) == pytest.approx(want, rel=2e-6)
