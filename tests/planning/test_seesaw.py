"""`seesaw`: fewer, larger updates, counted one by one by an oracle in plain Python."""

import math

import jax
import numpy as np
import pytest
from tables.cases import expected
from tables.planning_oracles import seesaw as one_by_one

import optax_sched as os
from optax_sched.planning import BatchPlan, least_squares_risk, seesaw

T = 400
NAMED = {
    "quarter": os.quarter_cosine_decay(0.3, T),
    "half": os.cosine_decay(0.3, T),
    "to a tenth": os.cosine_decay(0.3, T, 0.03),
    "line": os.linear(0.3, 0.0, T),
    "last fifth": os.wsd(0.3, 20, T // 5, T, shape="linear"),
    "warmed": os.warmup_cosine_decay(0.3, 50, T),
    "stairs": os.multistep_decay(0.3, [100, 300], 0.1),
    "endless": os.inverse_sqrt_decay(0.3, 20),
    "flat": os.constant(0.3),
}
SETTINGS = [
    {"batch_size": 256},
    {"batch_size": 7, "factor": 1.1, "batch_exponent": 1.0},
    {"batch_size": 3, "factor": 1.5, "batch_exponent": 0.7, "max_batch_size": 17},
    {"batch_size": 64, "factor": 10.0, "max_batch_size": 64},
    {"batch_size": 1, "factor": 2.0, "max_batch_size": 10**9},
]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        # In every run each of the settings with one of the schedules.
        pytest.param(name, settings, id=f"{name}-{i}", marks=() if j == 2 * i else pytest.mark.wide)
        for j, name in enumerate(NAMED)
        for i, settings in enumerate(SETTINGS)
    ],
)
def test_it_is_the_training_update_by_update(name, settings):
    schedule = NAMED[name]
    plan = seesaw(schedule, T, **settings)
    want = one_by_one(lambda step: float(expected(schedule, step)), T, **settings)
    steps = np.arange(plan.num_steps)
    assert plan.num_steps == len(want)
    np.testing.assert_array_equal(plan.batch_size(steps), [size for size, _ in want])
    np.testing.assert_allclose(plan.rate(steps), [rate for _, rate in want], rtol=1e-5, atol=3e-6)
    examples = os.count_examples(plan.num_steps, plan.batch_size)
    largest = plan.batch_size(plan.num_steps)
    assert abs(examples - T * settings["batch_size"]) <= largest / 2


SAVED = {  # percent, with factor 2 and 1.1, and in the limit
    "quarter": (22, 34, 100 * (1 - 2 / math.pi)),
    "half": (38, 48, 50),
    "line": (33, 48, 50),
    "last fifth": (7, 10, 10),
}


@pytest.mark.parametrize("name", SAVED)
def test_what_it_saves(name):
    long = os.stretch(NAMED[name], 25.0)
    if name == "last fifth":
        long = os.wsd(0.3, 0, 2_000, 10_000, shape="linear")
    for factor, percent in zip((2.0, 1.1, 1.002), SAVED[name], strict=True):
        saved = 100 * (1 - seesaw(long, 10_000, 256, factor=factor).num_steps / 10_000)
        assert saved == pytest.approx(percent, abs=0.6)


def test_a_plan_is_two_schedules_as_all_others():
    plan = seesaw(NAMED["half"], T, 64, batch_exponent=1.0)
    assert isinstance(plan, BatchPlan)
    for schedule in plan[:2]:
        again = os.from_source(repr(schedule))
        assert repr(again) == repr(schedule) == repr(os.from_config(os.to_config(schedule)))
        np.testing.assert_array_equal(jax.jit(schedule)(np.arange(300)), schedule(np.arange(300)))
    every_k = os.rounded(plan.batch_size / 64)  # for optax.MultiSteps
    assert [int(every_k(t)) for t in (0, 199, 200, 240)] == [1, 1, 2, 4]
    flat = seesaw(NAMED["flat"], T, 64)
    assert (
        repr(flat)
        == "BatchPlan(rate=constant(value=0.3), batch_size=constant(value=64.0), num_steps=400)"
    )


@pytest.mark.wide
def test_with_exponent_1_the_rate_of_sgd_stays_and_so_does_the_risk():
    values = np.geomspace(1.0, 1e-3, 20)
    schedule = os.cosine_decay(0.05, 4000)
    plan = seesaw(schedule, 4000, 4, batch_exponent=1.0)
    assert plan.num_steps < 2600
    old = least_squares_risk(schedule, 4000, values, batch_size=4)
    new = least_squares_risk(plan.rate, plan.num_steps, values, batch_size=plan.batch_size)
    assert float(new) == pytest.approx(float(old), rel=3e-3)


def test_used_rates_and_functions_of_the_step_are_planned_too():
    rates = np.asarray(NAMED["half"](np.arange(T)))
    assert seesaw(rates, T, 64).num_steps == seesaw(NAMED["half"], T, 64).num_steps
    plan = seesaw(lambda step: 0.3 / (1 + step / 50), T, 64)
    assert plan.num_steps < T and float(plan.rate(0)) == pytest.approx(0.3)


BAD = [
    ({"factor": 1.0}, "factor must be a finite number above 1, got 1.0"),
    ({"factor": math.inf}, "factor must be a finite number above 1, got inf"),
    ({"batch_size": 0}, "batch_size must be a whole number, 1 or more, that is not traced, got 0"),
    ({"num_steps": 2.5}, "num_steps must be a whole number, 1 or more, that is not traced, got 2.5"),
    ({"max_batch_size": 63}, "max_batch_size must be at least batch_size = 64, got 63"),
    ({"batch_exponent": None}, "batch_exponent must be a finite number, got None"),
    (
        {"schedule": os.linear(1.0, -1.0, T)},
        f"schedule must be a schedule of finite rates, 0 or more, up to step {T - 1}, got -0.00",
    ),
    (
        {"schedule": os.cosine_restarts(0.3, 100, peak_mult=0.5)},
        "schedule must be one that does not rise again after its highest value, got 0.15",
    ),
    (
        {"schedule": os.cyclic(0.1, 0.3, 90)},
        "schedule must be one that does not rise again after its highest value, got 0.10",
    ),
    ({"schedule": os.stack([NAMED["half"]] * 2)}, "schedule must be one schedule, not a batch"),
]


@pytest.mark.parametrize(("bad", "line"), BAD, ids=[line[:40] for _, line in BAD])
def test_bad_input_is_refused_in_one_line(bad, line):
    with pytest.raises((TypeError, ValueError)) as caught:
        seesaw(**{"schedule": NAMED["half"], "num_steps": T, "batch_size": 64, **bad})
    assert str(caught.value).startswith(f"seesaw: {line}")
    assert "\n" not in str(caught.value)


def test_a_traced_schedule_is_refused():
    with pytest.raises(TypeError, match=r"^seesaw: schedule must be a schedule that is not traced"):
        jax.jit(lambda peak: seesaw(os.cosine_decay(peak, T), T, 64).rate(0))(0.1)


def test_what_a_function_of_the_step_does_after_the_run_does_not_matter():
    plan = seesaw(lambda step: 0.1 * (1 - step / 1000), 1000, 8)  # negative from step 1001 on
    assert plan.num_steps == seesaw(os.linear(0.1, 0.0, 1000), 1000, 8).num_steps
