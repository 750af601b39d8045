# pyright: reportArgumentType=false
"""`fit_loss_law` on runs that the laws made: what comes back, how sure it is, what it refuses."""

import contextlib
import re
import warnings
from typing import Any

import jax
import numpy as np
import pytest
from tables.loss_law_oracles import annealing, multi_power

from optax_sched import (
    cosine_restarts,
    join,
    linear,
    noisy,
    piecewise_constant,
    warmup,
    warmup_cosine_decay,
    wsd,
)
from optax_sched._core.built import is_made_by
from optax_sched.planning import AnnealingLaw, LoggedRun, LossFit, MultiPowerLaw, fit_loss_law
from optax_sched.planning.pieces import constant_pieces, grouped
from optax_sched.planning.solve import slope_of

PEAK, LENGTH = 3e-4, 4000
STEPS = np.arange(150, LENGTH, 50)
MULTI = MultiPowerLaw(2.65, 0.6, 0.45, 440.0, 2.1, 0.6, 0.66)
ANNEALING = AnnealingLaw(2.6, 0.5, 0.5, 0.8, 0.997)
ONE_OF_EACH_SHAPE = [
    warmup(PEAK, 100),
    warmup_cosine_decay(PEAK, 100, LENGTH, end_value=PEAK / 10),
    warmup(piecewise_constant([PEAK, PEAK / 4], [1900]), 100),
]
HELD_OUT = wsd(PEAK, 100, 800, 2 * LENGTH, end_value=PEAK / 100)


def builder_of(law: Any) -> Any:
    return AnnealingLaw if is_made_by(AnnealingLaw, law) else MultiPowerLaw


def runs_of(law: Any, schedules: Any, noise: float = 0.0, unit: float = 1.0) -> list[LoggedRun]:
    """Runs as a law would log them, with normal noise on the log of the loss."""
    rng = np.random.default_rng(0)
    runs = []
    for schedule in schedules:
        losses = np.asarray(law(schedule, STEPS), np.float64)
        rates = np.asarray(schedule(np.arange(LENGTH)), np.float64) * unit
        losses = losses * np.exp(noise * rng.standard_normal(len(STEPS)))
        runs.append(LoggedRun(schedule if unit == 1.0 else rates, STEPS, losses))
    return runs


@pytest.fixture(scope="module")
def noisy_fit() -> LossFit:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # runs of three shapes are enough
        return fit_loss_law(runs_of(MULTI, ONE_OF_EACH_SHAPE, noise=5e-4))


@pytest.mark.slow
@pytest.mark.parametrize("law", [MULTI, ANNEALING], ids=["multi", "annealing"])
def test_without_noise_the_law_comes_back(law):
    fit = fit_loss_law(runs_of(law, ONE_OF_EACH_SHAPE), builder_of(law))
    assert repr(fit.law).split("(")[0] == builder_of(law).__name__
    assert np.abs(fit.residuals).max() < 2e-5 and len(fit.residuals) == 3 * len(STEPS)
    found, true = (np.array(jax.tree.leaves(one)) for one in (fit.law, law))
    np.testing.assert_allclose(found[:3], true[:3], rtol=5e-3)  # L0, A, alpha
    np.testing.assert_allclose(
        fit.law(HELD_OUT, 2 * LENGTH - 1), law(HELD_OUT, 2 * LENGTH - 1), rtol=3e-4
    )
    assert all(isinstance(number, float) for number in jax.tree.leaves(fit.law))


def test_with_noise_it_predicts_another_shape_of_twice_the_length(noisy_fit):
    steps = np.arange(200, 2 * LENGTH, 100)
    losses, deviations = noisy_fit.predict(HELD_OUT, steps)
    assert losses.shape == deviations.shape == steps.shape
    assert losses.dtype == deviations.dtype == np.float64
    errors = np.abs(losses - np.asarray(MULTI(HELD_OUT, steps), np.float64))
    assert errors.mean() < 2e-3
    assert np.mean(errors < 3 * deviations) > 0.95
    # The scatter of one logged loss and the model's error are in them.
    assert np.all(deviations > 4e-3 * losses) and np.all(deviations < 2e-2 * losses)


def test_the_deviation_is_that_of_the_covariance_and_the_scatter(noisy_fit):
    """By differences of the law in float64; the scatter as the root mean square residual."""
    rates = np.asarray(HELD_OUT(np.arange(500)), np.float64).tolist()
    values = np.array(jax.tree.leaves(noisy_fit.law))
    slope = []
    for place, value in enumerate(values):
        around = [values.copy(), values.copy()]
        around[0][place] += 1e-4 * value
        around[1][place] -= 1e-4 * value
        high, low = (multi_power(one, rates, 400) for one in around)
        slope.append((high - low) / (2e-4 * value))
    loss = multi_power(values, rates, 400)
    variance = np.array(slope) @ noisy_fit.covariance @ slope
    variance += loss**2 * (np.mean(noisy_fit.residuals**2) + 0.004**2)
    predicted, deviation = noisy_fit.predict(rates, [400])
    np.testing.assert_allclose(predicted, [loss], rtol=1e-6)
    np.testing.assert_allclose(deviation, [np.sqrt(variance)], rtol=1e-2)


def test_the_residuals_are_those_of_the_law(noisy_fit):
    runs = runs_of(MULTI, ONE_OF_EACH_SHAPE, noise=5e-4)
    want = [np.log(run.losses) - np.log(noisy_fit.law(run.schedule, run.steps)) for run in runs]
    np.testing.assert_allclose(noisy_fit.residuals, np.concatenate(want), atol=2e-5)
    assert noisy_fit.covariance.shape == (7, 7)
    np.testing.assert_allclose(noisy_fit.covariance, noisy_fit.covariance.T, rtol=1e-6, atol=1e-12)
    assert (
        np.linalg.eigvalsh(
            noisy_fit.covariance / np.outer(*2 * [np.array(jax.tree.leaves(noisy_fit.law))])
        ).min()
        > -1e-9
    )


@pytest.mark.slow
def test_a_covariance_covers_what_other_noise_would_have_given():
    """Half of the fits to other draws lie within one deviation in L0, most within three."""
    off = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        runs = [
            LoggedRun(
                s,
                STEPS,
                np.asarray(ANNEALING(s, STEPS)) * np.exp(1e-3 * rng.standard_normal(len(STEPS))),
            )
            for s in ONE_OF_EACH_SHAPE
        ]
        fit = fit_loss_law(runs, AnnealingLaw)
        off.append(
            (np.array(jax.tree.leaves(fit.law)) - np.array(jax.tree.leaves(ANNEALING)))
            / np.sqrt(np.diag(fit.covariance))
        )
    assert np.mean(np.abs(off) < 1) > 0.5 and np.all(np.abs(off) < 4)


@pytest.mark.slow
def test_the_unit_of_the_rates_does_not_matter():
    one, other = (
        fit_loss_law(runs_of(MULTI, ONE_OF_EACH_SHAPE, noise=5e-4, unit=unit)) for unit in (1.0, 1000.0)
    )
    np.testing.assert_allclose(one.residuals, other.residuals, atol=1e-6)
    np.testing.assert_allclose(one.law.B, 1000.0 * other.law.B, rtol=1e-3)
    np.testing.assert_allclose(one.law.gamma, other.law.gamma, rtol=1e-3)


@pytest.mark.slow
def test_a_spike_in_the_log_changes_little(noisy_fit):
    runs = runs_of(MULTI, ONE_OF_EACH_SHAPE, noise=5e-4)
    runs[1].losses[30] *= 1.1
    fit = fit_loss_law(runs)
    losses, deviations = fit.predict(HELD_OUT, [2 * LENGTH - 1])
    before, _ = noisy_fit.predict(HELD_OUT, [2 * LENGTH - 1])
    assert abs(losses[0] - before[0]) < 2e-3 and deviations[0] < 2e-2


@pytest.mark.parametrize(
    ("schedules", "law", "names"),
    [
        pytest.param(
            ONE_OF_EACH_SHAPE[:1],
            MULTI,
            "L0, .*B, C, beta, gamma",
            id="constant",
            marks=pytest.mark.wide,
        ),
        pytest.param(
            ONE_OF_EACH_SHAPE[:1] * 3,
            MULTI,
            "L0, .*B, C, beta, gamma",
            id="three times constant",
            marks=pytest.mark.wide,
        ),
        pytest.param(
            ONE_OF_EACH_SHAPE[1:2], MULTI, "B, C, beta, gamma", id="cosine", marks=pytest.mark.wide
        ),
        # Which of the two is left open depends on where the fit ends: both only move the warm-up.
        pytest.param(
            ONE_OF_EACH_SHAPE[:1],
            AnnealingLaw(2.6, 0.5, 0.5, 20.0, 0.9),
            "(C|.*decay)",
            id="constant, annealing",
            marks=pytest.mark.wide,
        ),
    ],
)
def test_runs_of_one_shape_are_warned_of_with_what_to_add(schedules, law, names):
    advice = "add runs of another shape .* of another length, or with more logged losses"
    with pytest.warns(UserWarning) as caught:
        fit = fit_loss_law(runs_of(law, schedules, noise=5e-4), builder_of(law))
    shape, data = (str(warning.message) for warning in caught)
    assert shape.startswith(
        "fit_loss_law: all runs have one shape: the law will be wrong for others. Add "
    )
    assert re.match(f"^fit_loss_law: the runs do not tell {names} of the law: {advice}", data)
    assert np.all(np.isfinite(fit.covariance))


@pytest.mark.slow
def test_it_is_float64_in_either_mode_of_jax(noisy_fit):
    runs = runs_of(MULTI, ONE_OF_EACH_SHAPE, noise=5e-4)
    rates = [np.asarray(run.schedule(np.arange(LENGTH)), np.float64) for run in runs]
    runs = [run._replace(schedule=used) for run, used in zip(runs, rates, strict=True)]
    jax.config.update("jax_enable_x64", True)
    try:
        wide = fit_loss_law(runs)
    finally:
        jax.config.update("jax_enable_x64", False)
    narrow = fit_loss_law(runs)
    assert narrow.residuals.dtype == wide.residuals.dtype == np.float64
    np.testing.assert_array_equal(narrow.residuals, wide.residuals)
    np.testing.assert_allclose(narrow.residuals, noisy_fit.residuals, atol=1e-6)


ZEROS = join([PEAK, 0.0, PEAK / 2, 0.0], [300, 310, 500])
JITTER = noisy(warmup_cosine_decay(PEAK, 20, 600), key=0, scale=0.02)


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(ONE_OF_EACH_SHAPE[0], id="constant", marks=pytest.mark.wide),
        pytest.param(ONE_OF_EACH_SHAPE[1], id="cosine", marks=pytest.mark.wide),
        pytest.param(ONE_OF_EACH_SHAPE[2], id="drop", marks=pytest.mark.wide),
        pytest.param(cosine_restarts(PEAK, 200), id="restarts", marks=pytest.mark.wide),
        pytest.param(ZEROS, id="zeros"),
        pytest.param(JITTER, id="jitter", marks=pytest.mark.wide),
    ],
)
@pytest.mark.parametrize(("law", "oracle"), [(MULTI, multi_power), (ANNEALING, annealing)])
def test_what_a_fit_sees_of_a_run_is_the_law(schedule, law, oracle):
    """The drops in groups, and the units, against the double loop; the gradient against differences."""
    rates = np.asarray(schedule(np.arange(600)), np.float64)
    steps = np.array([5, 60, 210, 320, 599])
    values = np.array(jax.tree.leaves(law))
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else contextlib.nullcontext():
        found = law.losses(grouped(constant_pieces(rates), steps))
    want = [oracle(values, rates.tolist(), step) for step in steps]
    np.testing.assert_allclose(found, want, rtol=5e-5)
    slope = slope_of(law, rates, steps)
    for place, value in enumerate(values):
        change = 1e-6 * value * np.eye(len(values))[place]
        high, low = (
            np.array([oracle(values + sign * change, rates.tolist(), step) for step in steps])
            for sign in (1, -1)
        )
        by_difference = (high - low) / (2e-6 * value)
        np.testing.assert_allclose(slope[:, place], by_difference, rtol=2e-3, atol=1e-4 / value)


def test_a_log_of_every_step_of_a_long_run_stays_small():
    rates = np.asarray(warmup_cosine_decay(1.0, 1000, 100_000)(np.arange(100_000)), np.float64)
    groups = grouped(constant_pieces(rates), np.arange(100, 100_000, 333))
    assert groups.drops.shape[1] < 400  # not 50,000


def quiet_or(words: str | None, function: Any, *arguments: Any) -> Any:
    """What a call returns, with exactly one warning, or with none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*arguments)
    messages = [str(warning.message) for warning in caught]
    if words is None:
        assert messages == []
    else:
        assert len(messages) == 1 and re.match(words, messages[0]), messages
        assert caught[0].filename == __file__
    return result


def test_a_fit_knows_its_peaks_and_warns_elsewhere(noisy_fit):
    assert noisy_fit.peak_values == pytest.approx((PEAK, PEAK)) and noisy_fit.model_error == 0.004
    for factor, is_far in [(1.0, False), (1.09, False), (0.92, False), (1.2, True), (0.5, True)]:
        rates = factor * PEAK * np.linspace(1.0, 0.1, 500)
        words = f"LossFit.predict: the highest rate is {factor * PEAK:.3g}, and the law was fitted at "
        quiet_or(words + ".* use fit_peaks" if is_far else None, noisy_fit.predict, rates, 400)
        words = words.replace("predict", "difference")
        flat = np.full(500, PEAK)
        quiet_or(words if is_far else None, noisy_fit.difference, flat, rates, 400)


@pytest.mark.slow
def test_runs_at_two_peaks_are_warned_of():
    def runs(factor: float) -> list[LoggedRun]:
        rates = [
            factor * PEAK * np.ones(LENGTH),
            *(s(np.arange(LENGTH)) for s in ONE_OF_EACH_SHAPE[1:]),
        ]
        return [LoggedRun(r, STEPS, np.asarray(ANNEALING(np.asarray(r), STEPS))) for r in rates]

    fit = quiet_or(
        "fit_loss_law: the peaks of the runs differ, 0.0003 to 0.00045, .* use fit_peaks",
        fit_loss_law,
        runs(1.5),
        AnnealingLaw,
    )
    assert fit.peak_values == pytest.approx((PEAK, 1.5 * PEAK))
    quiet_or(None, fit_loss_law, runs(1.05), AnnealingLaw)
    # Between the two peaks the law is no more than it was told.
    quiet_or(None, fit.predict, np.full(9, 1.2 * PEAK), 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "words"), [(0.95, "fit_loss_law: all runs have one shape: "), (0.5, None)]
)
def test_runs_of_one_shape_are_warned_of_whatever_their_length_and_warmup(end, words):
    shapes = [warmup(PEAK, 100), warmup(linear(PEAK, end * PEAK, LENGTH), 300)]
    runs = [
        LoggedRun(s, at, np.asarray(ANNEALING(s, at)))
        for s, at in zip(shapes, (STEPS, STEPS[: len(STEPS) // 2]), strict=True)
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_loss_law(runs, AnnealingLaw)
    found = [str(it.message) for it in caught if "do not tell" not in str(it.message)]
    assert found == [] if words is None else len(found) == 1 and found[0].startswith(words)


@pytest.mark.slow
def test_a_beginning_that_no_law_describes_is_warned_of():
    runs = runs_of(ANNEALING, ONE_OF_EACH_SHAPE)
    early = [run._replace(losses=run.losses * (1 + 1.0 * np.exp(-(STEPS - 150) / 100))) for run in runs]
    words = r"fit_loss_law: the law misses the losses by 0\.0[1-9]\d of the loss .*: leave out up to "
    quiet_or(words + "the first third of each run", fit_loss_law, early, AnnealingLaw)
    later = [LoggedRun(run.schedule, run.steps[25:], run.losses[25:]) for run in early]
    quiet_or(None, fit_loss_law, later, AnnealingLaw)


def test_a_loss_is_never_negative_and_a_deviation_neither(noisy_fit):
    fit = noisy_fit._replace(law=noisy_fit.law.replace(L0=0.0, A=1e-9))
    falls = linear(PEAK, 0.0, LENGTH)
    losses, deviations = fit.predict(falls, [200, LENGTH - 1])
    assert float(fit.law(falls, LENGTH - 1)) < 0 and losses[1] == 0
    assert np.all(deviations > 0) and np.all(np.isfinite(deviations))


def test_a_deviation_grows_with_the_model_error(noisy_fit):
    none, some = (
        noisy_fit._replace(model_error=error).predict(HELD_OUT, 7000) for error in (0.0, 0.01)
    )
    assert none[0] == some[0]
    assert some[1] ** 2 - none[1] ** 2 == pytest.approx((0.01 * some[0]) ** 2)


@pytest.mark.slow
def test_a_fit_does_not_depend_on_the_model_error():
    runs = runs_of(ANNEALING, ONE_OF_EACH_SHAPE, noise=5e-4)
    none, some = (
        fit_loss_law(runs, AnnealingLaw, error).predict(HELD_OUT, 7000) for error in (0.0, 0.01)
    )
    assert none[0] == some[0]
    assert some[1] ** 2 - none[1] ** 2 == pytest.approx((0.01 * some[0]) ** 2)


def test_a_model_error_is_no_negative_number():
    with pytest.raises(
        ValueError, match=r"^fit_loss_law: model_error must be a finite number, 0 or more"
    ):
        fit_loss_law(runs_of(ANNEALING, ONE_OF_EACH_SHAPE[:1]), AnnealingLaw, -0.1)


@pytest.mark.slow
def test_the_difference_of_two_schedules_is_surer_than_either(noisy_fit):
    short = wsd(PEAK, 100, 400, LENGTH)
    cosine = ONE_OF_EACH_SHAPE[1]
    difference, deviation = noisy_fit.difference(cosine, short, LENGTH - 1)
    one, two = (noisy_fit.predict(s, LENGTH - 1) for s in (cosine, short))
    assert difference == pytest.approx(one[0] - two[0], abs=1e-9)
    true = MULTI(cosine, LENGTH - 1) - MULTI(short, LENGTH - 1)
    assert abs(difference - float(true)) < 2 * deviation < 2 * min(one[1], two[1])
    nothing, error = noisy_fit.difference(cosine, cosine, LENGTH - 1)
    assert nothing == 0 and error == pytest.approx(0.002 * one[0])
    annealed = fit_loss_law(runs_of(ANNEALING, ONE_OF_EACH_SHAPE), AnnealingLaw)
    _, error = annealed.difference(cosine, cosine, LENGTH - 1)
    assert error == pytest.approx(0.004 * annealed.predict(cosine, LENGTH - 1)[0])
    with pytest.raises(
        ValueError, match=r"^LossFit.difference: step must be one at which both have spent"
    ):
        noisy_fit.difference(cosine, PEAK, 0)
    with pytest.raises(
        (TypeError, ValueError), match=r"^LossFit.difference: step must be a whole number"
    ):
        noisy_fit.difference(cosine, short, [1, 2])


@pytest.mark.slow
def test_a_long_log_is_thinned_to_what_it_tells():
    """A point at every step with noise, and 1 in 20 of them without: the same fit."""
    at = np.arange(150, LENGTH)
    rng = np.random.default_rng(0)
    every, some = [], []
    for s in ONE_OF_EACH_SHAPE:
        losses = np.asarray(ANNEALING(s, at), np.float64)
        every.append(LoggedRun(s, at, losses * np.exp(0.01 * rng.standard_normal(len(at)))))
        some.append(LoggedRun(s, at[::20], losses[::20]))
    one, other = (fit_loss_law(runs, AnnealingLaw) for runs in (every, some))
    assert len(one.residuals) == 3 * len(at)
    wanted = float(other.law(HELD_OUT, 2 * LENGTH - 1))
    assert float(one.law(HELD_OUT, 2 * LENGTH - 1)) == pytest.approx(wanted, abs=5e-3)


GOOD = LoggedRun([0.0, 1e-3, 1e-3], [1, 2], [3.0, 2.9])
LOSSES = "positive finite numbers that are not traced, got "


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (GOOD, r"runs must be a sequence of one or more LoggedRun\(schedule, steps, losses\), got "),
        ([], "runs must be a sequence of one or more LoggedRun"),
        (None, "runs must be a sequence of one or more LoggedRun"),
        ([GOOD, 3], r"runs\[1\] must be a LoggedRun\(schedule, steps, losses\), got 3"),
        (
            [GOOD, GOOD._replace(losses=[1.0, np.nan])],
            rf"runs\[1\].losses must be {LOSSES}nan at step 2: ",
        ),
        ([GOOD._replace(losses=[1.0, 0.0])], rf"runs\[0\].losses must be {LOSSES}0.0 at step 2"),
        ([GOOD._replace(losses=[1.0, np.inf])], rf"runs\[0\].losses must be {LOSSES}inf"),
        ([GOOD._replace(losses="high")], rf"runs\[0\].losses must be {LOSSES}'high'"),
        (
            [GOOD._replace(losses=[1.0])],
            r"runs\[0\].losses must be one for each of the steps, of shape \(2,\)",
        ),
        ([GOOD._replace(losses=3.0, steps=1)], r"runs\[0\].losses must be one for each of the steps"),
        ([GOOD._replace(losses=[], steps=[])], r"runs\[0\].losses must be one for each of the steps"),
        (
            [GOOD._replace(steps=[0, 1])],
            r"runs\[0\].steps must be from 1 on, the first with a rate above 0, got 0",
        ),
        (
            [GOOD._replace(schedule=0.0)],
            r"runs\[0\].schedule must be a schedule with a rate above 0 before step 3",
        ),
        (
            [GOOD._replace(steps=[1, 3])],
            r"runs\[0\].schedule must be at least 4 rates, one an update, got ",
        ),
        ([GOOD._replace(steps=[1, 1.5])], r"runs\[0\].steps must be whole numbers, 0 or more"),
        (
            [GOOD._replace(schedule=[0.1, -0.1, 0.1])],
            r"runs\[0\].schedule must be .* got -0.1 at step 1",
        ),
        (
            [GOOD, GOOD],
            "the number of losses must be at least 8, more than MultiPowerLaw has parameters, got 4",
        ),
    ],
)
def test_what_it_refuses(runs, words):
    with pytest.raises((TypeError, ValueError), match=f"^fit_loss_law: {words}") as caught:
        fit_loss_law(runs)
    assert "\n" not in str(caught.value)


def test_it_refuses_what_is_no_law_and_what_is_traced(noisy_fit):
    with pytest.raises(
        TypeError, match=r"^fit_loss_law: law must be MultiPowerLaw or AnnealingLaw, got "
    ):
        fit_loss_law([GOOD], MULTI)
    with pytest.raises(
        TypeError, match=r"^fit_loss_law: runs\[0\].schedule must be a schedule that is not"
    ):
        jax.jit(lambda peak: fit_loss_law([GOOD._replace(schedule=warmup(peak, 1))]))(1e-3)
    with pytest.raises(
        TypeError, match=r"^LossFit.predict: schedule must be a schedule that is not traced"
    ):
        jax.jit(lambda peak: noisy_fit.predict(warmup(peak, 1), 3))(1e-3)


def test_a_prediction_before_any_rate_is_spent_is_inf(noisy_fit):
    losses, deviations = noisy_fit.predict([0.0, 0.0, PEAK, PEAK], [0, 3])
    np.testing.assert_array_equal(np.isinf(losses), [True, False])
    np.testing.assert_array_equal(np.isinf(deviations), [True, False])
    alone = noisy_fit.predict([0.0, 0.0, PEAK, PEAK], 3)
    assert alone[0].shape == () and alone[1] == deviations[1]


@pytest.mark.slow
def test_a_prediction_of_many_steps_is_that_of_the_law(noisy_fit):
    steps = np.arange(200, 2 * LENGTH, 9)
    rates = np.asarray(HELD_OUT(np.arange(2 * LENGTH)))
    many, _ = noisy_fit.predict(rates, steps)
    few, deviations = noisy_fit.predict(rates, steps[::50])
    np.testing.assert_allclose(many[::50], few, rtol=2e-5)  # by groups of drops, and exact
    np.testing.assert_allclose(few, noisy_fit.law(rates, steps[::50]), rtol=2e-6)
    assert np.all(deviations > 0)
    square, _ = noisy_fit.predict(rates, steps.reshape(3, 289))
    np.testing.assert_allclose(square.ravel(), many, rtol=1e-12)
