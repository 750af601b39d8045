"""`best_schedule`: what it proposes, that it is a schedule like any other, what it refuses."""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optax_sched import (
    Schedule,
    from_config,
    linear,
    to_config,
    warmup_cosine_decay,
    warmup_linear_decay,
    wsd,
)
from optax_sched.planning import AnnealingLaw, LossFit, MultiPowerLaw, best_schedule

PEAK, STEPS, RISE = 3e-4, 3000, 200
MULTI = MultiPowerLaw(2.65, 0.6, 0.45, 440.0, 2.1, 0.6, 0.66)
ANNEALING = AnnealingLaw(2.6, 0.5, 0.5, 0.8, 0.997)
LAWS = [
    pytest.param(MULTI, id="multi"),
    pytest.param(ANNEALING, id="annealing", marks=pytest.mark.wide),
]


@pytest.fixture(scope="module", params=LAWS)
def law(request):
    return request.param


@pytest.fixture(scope="module")
def best(law) -> Schedule:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = best_schedule(law, STEPS, PEAK, RISE)
    assert [str(it.message).partition(" a late")[0] for it in caught] == (
        ["best_schedule: under an AnnealingLaw"] if law is ANNEALING else []
    )
    return found


def test_a_fit_is_taken_and_another_peak_is_warned_of():
    fit = LossFit(MULTI, np.eye(7), np.zeros(9), (2e-4, PEAK), 0.004)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert repr(best_schedule(fit, 50, PEAK, num_knots=4)) == repr(
            best_schedule(MULTI, 50, PEAK, num_knots=4)
        )
        best_schedule(fit, 50, 0.95 * 2e-4, num_knots=4)
        best_schedule(MULTI, 50, 1.0, num_knots=4)
    for peak in (1.2 * PEAK, 1e-4):
        with pytest.warns(UserWarning, match=r"^best_schedule: the highest rate is .* use fit_peaks"):
            best_schedule(fit, 50, peak, num_knots=4)


def test_it_rises_to_the_peak_and_never_again(best):
    rates = np.asarray(best(np.arange(STEPS)), np.float64)
    np.testing.assert_allclose(rates[:RISE], PEAK * np.arange(RISE) / RISE, rtol=1e-6)
    assert rates[RISE] == np.float32(PEAK) and best.schedule.values[0] == np.float32(PEAK)
    assert np.all(np.diff(rates[RISE:]) <= 0) and rates[-1] >= 0
    assert len(best.schedule.values) == 64
    gaps = np.diff(np.append(0, best.schedule.boundaries))
    assert best.schedule.boundaries[-1] == STEPS - 1 - RISE and gaps[0] > 4 * gaps[-1] > 0


@pytest.mark.slow
def test_it_ends_lower_than_what_has_a_name(law, best):
    named = [
        warmup_cosine_decay(PEAK, RISE, STEPS),
        warmup_linear_decay(PEAK, RISE, STEPS),
        *(
            wsd(PEAK, RISE, decay, STEPS, shape=s)
            for decay in (300, 600, 1200)
            for s in ("linear", "sqrt")
        ),
    ]
    others = [float(law(one, STEPS - 1)) for one in named]
    assert float(law(best, STEPS - 1)) < min(others)


@pytest.mark.slow
def test_it_is_within_1e_4_of_a_free_optimisation():
    """Every rate of a short run its own variable: projected gradient steps in logs, from two starts."""
    steps = 150

    @jax.jit
    def last(ratios):
        return MULTI(PEAK * jnp.cumprod(jnp.clip(ratios, 0.0, 1.0)), steps - 1)

    import scipy.optimize

    value_and_grad = jax.jit(jax.value_and_grad(last))
    lowest = np.inf
    for flat in (0.5, 0.8):
        height = np.clip((1 - np.linspace(0, 1, steps)) / (1 - flat), 0.01, 1.0)
        start = np.append(1.0, height[1:] / height[:-1])
        found = scipy.optimize.minimize(
            lambda x: tuple(np.asarray(y, np.float64) for y in value_and_grad(x.astype(np.float32))),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(1.0, 1.0)] + [(0.0, 1.0)] * (steps - 1),
        )
        lowest = min(lowest, found.fun)
    proposed = best_schedule(MULTI, steps, PEAK)
    assert float(MULTI(proposed, steps - 1)) < lowest + 1e-4


def test_it_is_a_schedule_like_any_other(best):
    from optax_sched import piecewise_interpolate, warmup

    source = repr(best)
    assert source.startswith("warmup(schedule=piecewise_interpolate(values=[0.0003, ")
    copy = eval(source, {"warmup": warmup, "piecewise_interpolate": piecewise_interpolate})
    saved = from_config(json.loads(json.dumps(to_config(best))))
    steps = np.arange(0, STEPS, 7)
    np.testing.assert_array_equal(copy(steps), best(steps))
    np.testing.assert_array_equal(saved(steps), best(steps))
    assert float(jax.jit(lambda s: s(RISE))(best)) == np.float32(PEAK)


@pytest.mark.slow
def test_few_steps_few_knots_a_floor_and_no_warmup():
    floored = best_schedule(MULTI, 400, PEAK, min_value=2e-5, num_knots=5)
    assert len(floored.schedule.values) == 5 and floored.warmup_steps == 0
    assert float(floored(399)) >= np.float32(2e-5)
    flat = best_schedule(MULTI, 400, PEAK, min_value=PEAK, num_knots=5)
    np.testing.assert_array_equal(flat(np.arange(400)), np.float32(PEAK))
    shortest = best_schedule(MULTI, 5, PEAK, 2)
    assert list(shortest.schedule.boundaries) == [1, 2]


COUNT = "a whole number, 1 or more"
POSITIVE = "a positive finite number"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"law": linear(1.0, 0.0, 3)},
            "law must be a MultiPowerLaw, an AnnealingLaw or a LossFit, not traced, got ",
        ),
        ({"law": MultiPowerLaw}, "law must be a MultiPowerLaw, an"),
        ({"num_steps": 0}, f"num_steps must be {COUNT}, got 0"),
        ({"num_steps": 2.5}, f"num_steps must be {COUNT}, got 2.5"),
        ({"num_steps": 202}, "num_steps must be 203 or more, warm-up included, got 202"),
        ({"warmup_steps": -1}, "warmup_steps must be a whole number, 0 or more, got -1"),
        ({"peak_value": 0.0}, f"peak_value must be {POSITIVE}, got 0.0"),
        ({"peak_value": float("nan")}, f"peak_value must be {POSITIVE}, got nan"),
        ({"min_value": -1.0}, "min_value must be a finite number, 0 or more, got -1.0"),
        ({"min_value": 1.0}, "min_value must be at most peak_value = 0.0003, got 1.0"),
        ({"num_knots": 1}, "num_knots must be 2 or more, got 1"),
        ({"num_knots": "4"}, f"num_knots must be {COUNT}, got '4'"),
    ],
)
def test_what_it_refuses(change, words):
    good = {"law": MULTI, "num_steps": STEPS, "peak_value": PEAK, "warmup_steps": RISE}
    with pytest.raises((TypeError, ValueError), match=f"^best_schedule: {words}"):
        best_schedule(**{**good, **change})


def test_it_refuses_what_is_traced():
    for name in ("num_steps", "peak_value", "min_value"):
        good = {"law": MULTI, "num_steps": STEPS, "peak_value": PEAK}
        with pytest.raises(
            TypeError, match=f"^best_schedule: {name} must be .* that is not traced, got "
        ):
            jax.jit(lambda value, name=name, good=good: best_schedule(**{**good, name: value}))(1)
    with pytest.raises(TypeError, match=r"^best_schedule: law must be .* not traced, got "):
        jax.jit(lambda law: best_schedule(law, STEPS, PEAK))(MULTI)
