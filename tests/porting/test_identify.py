"""`identify`: logs whose schedule is known, in the formats of trainers, and every refusal."""

import importlib

import numpy as np
import pytest
from porting.true_logs import TrueLog, cost, in_float64, settings, true_log

from optax_sched import (
    Schedule,
    constant,
    cosine_decay,
    cosine_restarts,
    cyclic,
    exponential_decay,
    inverse_time_decay,
    linear,
    multistep_decay,
    noam,
    one_cycle,
    piecewise_constant,
    polynomial_decay,
    step_decay,
    warmup,
    warmup_cosine_decay,
    warmup_linear_decay,
    wsd,
)
from optax_sched.porting import Match, identify

NAMES = list(settings(np.random.default_rng(0)))


def is_same(match: Match, log: TrueLog) -> bool:
    """Whether a match is the truth, for twice as long as it was logged."""
    steps = np.unique(np.linspace(0, 2 * log.steps[-1], 400).astype(int))
    truth = in_float64(log.schedule, steps + log.offset)
    found = in_float64(match.schedule, steps + match.offset)
    return np.allclose(found, truth, rtol=0, atol=2e-6 * max(map(float, log.values)))


def is_same_where_logged(match: Match, log: TrueLog) -> bool:
    """Whether a match differs from the truth only by where, between two logged steps, it changes.

    A log that ends before a decay, or that has steps between those of a boundary, does not tell these.
    """
    steps = np.unique(np.linspace(log.steps[0], log.steps[-1], 400).astype(int))
    after = np.searchsorted(log.steps, steps).clip(1)
    before, behind = (
        in_float64(log.schedule, np.take(log.steps, at) + log.offset) for at in (after - 1, after)
    )
    found = in_float64(match.schedule, steps + match.offset)
    unit = 0.006 * found  # half of the last of three digits, the fewest logged, and rounding
    lowest, highest = np.minimum(before, behind) - unit, np.maximum(before, behind) + unit
    return bool(np.all((lowest <= found) & (found <= highest)))


def outcome(log: TrueLog) -> str:
    """What `identify` says of a log: the truth, what is as simple and agrees too, or neither."""
    first, *others = identify(log.steps, log.values)
    if is_same(first, log):
        return "the truth"
    if not first.is_consistent or cost(first.schedule, first.offset) > cost(log.schedule, log.offset):
        return "wrong"
    if any(is_same(other, log) for other in others):
        return "as simple, the truth among others"
    return "as simple where it was logged" if is_same_where_logged(first, log) else "wrong"


def logged(schedule: Schedule, steps: range, form: str = "{:.3e}", offset: int = 0) -> list[str]:
    return [form.format(value) for value in in_float64(schedule, np.array(steps) + offset)]


KNOWN = [
    (warmup_cosine_decay(2e-5, 37, 1218), range(1, 1219), "{:.5e}", 0),
    (wsd(6e-4, 700, 18860, 19561, shape="cosine"), range(0, 19560, 20), "{:.6f}", 1),
    (
        warmup_cosine_decay(9.727285e-4, 120, 2000, end_value=9.727285e-05),
        range(0, 2001, 10),
        "{:.8e}",
        0,
    ),
    (one_cycle(0.1, 2000, 0.25, 20.0, 1000.0), range(0, 2001, 10), "{:.3e}", 0),
    (cosine_decay(3e-4, 1000, 3e-5), range(0, 1001), "{:.2e}", 1),
    (cyclic(0.0025, 0.025, 200), range(50, 6000, 50), "{:.7e}", -1),  # 15 cycles
    (cyclic(1e-4, 1e-3, 5_000_000), range(0, 10**8, 50_000), "{:.3e}", 0),
    (cosine_restarts(3e-4, 137), range(0, 2740, 10), "{:.5e}", 0),
    (cosine_restarts(2.5e-3, 187, period_mult=2.0), range(0, 12000, 50), "{:.6f}", 0),
    (noam(256, 37), range(1, 371), "{:.5e}", -1),
    (polynomial_decay(9.5e-4, 1500, 1.9e-4, 0.9), range(0, 1501, 10), "{:.16e}", 1),
    (linear(0.05, 0.01, 1563), range(0, 940), "{:.6f}", 1),
    (step_decay(0.008, 1565, 0.95), range(0, 6251, 50), "{:.2e}", 0),  # one at 1560 would drop again
    (exponential_decay(0.1, 1, 0.93), range(0, 100), "{:.3e}", 0),  # of a half-life below 10
    (inverse_time_decay(0.01, 121, 2.0), range(0, 1000, 10), "{:.5e}", 0),
    # A fit finds no way over a logged step to the other side of a kink.
    (warmup(polynomial_decay(1e-3, 1400, power=2.0), 100), range(50, 1700, 50), "{:.4e}", -1),
    (wsd(1e-3, 100, 500, 3000, shape="sqrt"), range(50, 3000, 50), "{:.3e}", 1),
    (polynomial_decay(0.02, 5000, 0.002, 0.9), range(25, 5101, 25), "{:.16e}", 0),
    (wsd(0.1, 50, 300, 1500, end_value=0.001, shape="sqrt"), range(0, 1500, 25), "{:.6e}", 1),
    # An end that was not logged: the length is told first, or the end is small, or next to nothing.
    (warmup_linear_decay(3e-4, 100, 1000, end_value=7e-6), range(0, 1000, 10), "{:.16e}", 0),
    (warmup_cosine_decay(0.02, 400, 4000, end_value=1e-6), range(0, 4000, 100), "{:.3e}", 0),
    (one_cycle(0.02, 1000, 0.3, 25.0, 100.0), range(0, 925, 25), "{:.3e}", 1),
    (one_cycle(5e-5, 1500, 0.25, 10.0, 1000.0), range(1, 601), "{:.8f}", -1),
    (warmup(polynomial_decay(0.0025, 7229, 0.00025, 2.0), 100), range(600), "{:.16e}", 0),
    (cosine_restarts(1e-3, 250, num_cycles=4), range(0, 1001, 10), "{:.4e}", 0),
    (cosine_restarts(0.1, 100, 0.001, 2.0, num_cycles=3), range(0, 900, 10), "{:.5e}", 0),
    (linear(-1.0, -0.1, 1000), range(0, 1000, 20), "{:.4f}", 0),
    (constant(3e-4), range(0, 50), "{:.2e}", 0),
    (step_decay(0.1, 30, 0.1), range(0, 90), "{:.2e}", 0),
    (multistep_decay(0.1, [150, 225], 0.1), range(1, 301), "{:.2e}", -1),
    (piecewise_constant([0.1, 0.05, 0.001], [40, 70]), range(0, 100), "{:.2e}", 0),
]


@pytest.mark.parametrize(
    ("schedule", "steps", "form", "offset"),
    [*KNOWN[-4:], *(pytest.param(*log, marks=pytest.mark.wide) for log in KNOWN[:-4])],
    ids=lambda value: str(value)[:40],
)
def test_it_finds_the_schedule_as_it_was_typed(schedule, steps, form, offset):
    best = identify(steps, logged(schedule, steps, form, offset))[0]
    assert (repr(best.schedule), best.offset) == (repr(schedule), offset)
    assert best.is_consistent and best.largest_error <= 1.001 and best.skipped == []


@pytest.mark.parametrize("value", [0.0, -1e-3])
def test_a_flat_log_may_have_no_rate(value):
    best = identify(range(20), [value] * 20)[0]
    assert repr(best.schedule) == repr(constant(value)) and best.is_consistent


def test_an_offset_that_the_log_does_not_tell_is_0_and_no_match_comes_twice():
    steps = range(0, 10**8, 500_000)  # in four digits a step changes nothing
    matches = identify(steps, logged(linear(1e-3, 0.0, 10**8), steps))
    found = [(repr(match.schedule), match.offset) for match in matches]
    assert found[0] == (repr(linear(1e-3, 0.0, 10**8)), 0) and len(set(found)) == len(found)
    assert all(match.offset == 0 for match in matches)


def test_what_no_family_makes_has_the_nearest_first():
    rng = np.random.default_rng(0)
    curve = 0.1 + 0.05 * np.sin(np.arange(60) / 3) + 0.01 * rng.standard_normal(60)
    matches = identify(range(60), curve)
    assert matches and not any(match.is_consistent for match in matches)
    errors = [match.largest_error for match in matches]
    assert errors == sorted(errors) and errors[0] > 1.001


LAGGING = [
    (linear(5e-5, 0.0, 10000), 50, "{:.5e}"),
    (warmup_cosine_decay(3e-4, 100, 2000), 10, "{:.3e}"),
    (cosine_decay(3e-4, 2000), 10, "{!r}"),
    (warmup_linear_decay(5e-5, 500, 10000), 50, "{!r}"),
    (warmup(polynomial_decay(3e-4, 1900, power=2.0), 100), 10, "{!r}"),
    (warmup_cosine_decay(3e-4, 100, 2000, end_value=3e-5), 10, "{!r}"),
]


@pytest.mark.parametrize(
    ("schedule", "every", "form"),
    [*LAGGING[:1], *(pytest.param(*log, marks=pytest.mark.wide) for log in LAGGING[1:])],
)
def test_skipped_updates_are_counted_where_a_log_first_shows_them(schedule, every, form):
    steps = np.arange(0, 200 * every + 1, every)
    lags = np.where(steps < 50, 0, np.where(steps < 700, 1, 2))
    values = [form.format(value) for value in in_float64(schedule, steps - lags).tolist()]
    best = identify(steps, values)[0]
    assert repr(best.schedule) == repr(schedule) and best.is_consistent
    assert (best.offset, best.skipped) == (0, [(50.0, 1), (700.0, 2)])


@pytest.mark.slow
def test_updates_that_were_not_skipped_are_looked_for_at_few_points(monkeypatch):
    """A noisy log of a million steps: all its steps by all that is tried would take minutes."""
    module = importlib.import_module("optax_sched.porting.matching")
    steps, asked = np.arange(0, 10**6, 1000), []
    noise = 1 + 1e-3 * np.random.default_rng(0).standard_normal(len(steps))
    values = in_float64(warmup_cosine_decay(1e-3, 20000, 10**6), steps) * noise
    values_of = module.values_of
    monkeypatch.setattr(module, "values_of", lambda *on: asked.append(len(on[1])) or values_of(*on))
    assert not identify(steps, values)[0].is_consistent
    # No more than 300 schedules of each of 4 families at 12 points, with 0 to 100 skipped updates.
    assert 0 < sum(asked) <= 300 * 4 * 12 * 101


SKIPPING = {
    "late in a round run": (warmup_linear_decay(3e-5, 100, 1000), 10, 960, [900]),
    "of a length of four digits": (warmup_linear_decay(3e-5, 100, 2345), 10, 2310, [1, 2, 800]),
    "the same without a warm-up": (linear(3e-5, 0.0, 2345), 10, 2310, [30, 1200]),
    "of a cosine": (warmup_cosine_decay(3e-5, 234, 2345), 10, 2310, [1, 2, 800]),
    "before an end that was not logged": (
        warmup_linear_decay(1e-4, 500, 10000, end_value=1e-5),
        100,
        10000,
        [1, 2, 5000],
    ),
    "transformers' lr_end": (
        warmup(polynomial_decay(5e-5, 900, 1e-7, 2.0), 100),
        10,
        1000,
        [1, 500, 700],
    ),
    "a factor, as LambdaLR logs it": (warmup_linear_decay(1.0, 100, 1000), 10, 960, [500]),
    "a cosine at every step": (warmup_cosine_decay(1e-4, 50, 400), 1, 381, [5, 100, 200]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SKIPPING)
def test_skipped_updates_are_found_in_settings_of_any_digits(name):
    schedule, every, until, skips = SKIPPING[name]
    steps = np.arange(every, until, every)
    lags = np.searchsorted(skips, steps, side="right")
    best = identify(steps, in_float64(schedule, steps - lags).tolist())[0]
    shown = [(float(steps[at]), int(lags[at])) for at in np.flatnonzero(np.diff(lags, prepend=0))]
    assert (repr(best.schedule), best.skipped) == (repr(schedule), shown)


ENDS = {
    "a line": (warmup_linear_decay(5e-5, 100, 1000, end_value=1e-7), 0, "{!r}"),
    "a line, a steep one": (warmup_linear_decay(1e-3, 100, 1000, end_value=1e-8), 0, "{!r}"),
    "a line from the start": (linear(3e-4, 1e-6, 1010), 0, "{:.4e}"),
    "the last fifth": (wsd(3e-4, 50, 200, 1000, end_value=1e-6), 0, "{:.4e}"),
    "a rise to a plateau": (linear(0.0, 1e-4, 300), -1, "{:.8f}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDS)
def test_an_end_that_was_not_logged_is_one_that_people_type(name):
    """A round share of the peak, or a small power of ten; a rise from 0 begins at 0."""
    schedule, offset, form = ENDS[name]
    steps = np.arange(10, 1000, 10)
    values = in_float64(schedule, steps + offset).tolist()
    best = identify(steps, [form.format(value) for value in values])[0]
    assert (repr(best.schedule), best.offset) == (repr(schedule), offset)


@pytest.mark.slow
@pytest.mark.parametrize(("ratio", "every"), [(0.5, 1), (0.8, 10)])
def test_equal_cycles_may_fall(ratio, every):
    schedule, steps = cosine_restarts(0.1, 250, 0.0, 1.0, ratio), np.arange(0, 1000, every)
    assert repr(identify(steps, in_float64(schedule, steps).tolist())[0].schedule) == repr(schedule)


def test_a_curve_of_few_points_is_no_piecewise_constant():
    """A plateau and thirty single values: a value each would agree, and say nothing."""
    steps = np.arange(60)
    values = np.where(steps < 30, 1.0, np.random.default_rng(0).uniform(0.1, 1.0, 60))
    best = identify(steps, [f"{value:.3f}" for value in values])[0]
    assert "piecewise" not in repr(best.schedule) and not best.is_consistent


def test_the_offset_of_a_constant_below_0_is_0():
    (best,) = identify(range(0, 100, 10), [-0.5] * 10)
    assert (repr(best.schedule), best.offset) == ("constant(value=-0.5)", 0)


@pytest.mark.slow
def test_another_reading_of_the_last_digit_is_for_families_that_are_near(monkeypatch):
    """Noise, which may be decimals or significant digits: as these, no family is tried again."""
    module = importlib.import_module("optax_sched.porting.identify")
    search, tried = module.Search, []
    monkeypatch.setattr(module, "Search", lambda *on: tried.append(on[2]) or search(*on))
    noise = np.random.default_rng(0).uniform(1e-5, 1e-3, 500)
    assert not identify(range(500), [f"{value:.6f}" for value in noise])[0].is_consistent
    assert tried == [None, []]  # the families whose fits are near: of the first reading all are tried


@pytest.mark.parametrize(
    ("schedule", "every", "noise"),
    [(linear(0.0, 1e-3, 200), 10, 1e-2), (warmup_cosine_decay(1e-3, 100, 1000), 10, 3e-3)],
)
def test_of_a_noisy_log_the_nearest_is_near(schedule, every, noise):
    """A fit that lies beside 0, or ends a hair above its peak, is no reason to leave a family out."""
    steps = np.arange(0, 101 * every, every)
    values = in_float64(schedule, steps)
    best = identify(steps, values * (1 + noise * np.random.default_rng(0).standard_normal(101)))[0]
    assert not best.is_consistent
    np.testing.assert_allclose(in_float64(best.schedule, steps + best.offset), values, atol=5e-5)


@pytest.mark.slow
def test_of_a_noisy_line_to_below_0_the_nearest_is_near():
    steps = np.arange(0, 200, 10)
    line = 1 - steps / 95
    values = line + 1e-3 * np.random.default_rng(0).standard_normal(20)
    best = identify(steps, values)[0]
    np.testing.assert_allclose(in_float64(best.schedule, steps + best.offset), line, atol=5e-3)


BAD = [
    (([0, 1], [1.0, 2.0]), {}, "steps must be a sequence of three or more, got"),
    (([0, 2, 2], [1.0, 2.0, 3.0]), {}, "steps must be finite and increasing, got"),
    (([0, 1, np.nan], [1.0, 2.0, 3.0]), {}, "steps must be finite and increasing, got"),
    (([0, 1, 2], [1.0, 2.0]), {}, "values must be as many as steps, 3, got 2"),
    (([0, 1, 2], [1.0, 2.0, np.inf]), {}, "values must be finite numbers, got inf"),
    (([0, 1, 2], ["1", "2", "x"]), {}, "values must be finite numbers, got 'x'"),
    (
        ([0, 1, 2], ["1e400", "1", "2"]),
        {},
        "values must be numbers whose highest is from 1e-30 to 1e[+]30, got '1e[+]400'",
    ),
    (([0, 1, 2], [10**400, 1, 2]), {}, "values must be finite numbers, got"),
    (([0, 1, 2], [1e-320, 5e-321, 0.0]), {}, "values must be numbers whose highest is from 1e-30 to"),
    (([0, 1, 2], [1.0, 2.0, 3.0]), {"digits": 0}, "digits must be a whole number, 1 or .*, got 0"),
    (([0, 1, 2], [1.0, 2.0, 3.0]), {"digits": 2.5}, "digits must be a whole number, 1 or .*, got 2.5"),
]


@pytest.mark.parametrize(("arguments", "settings", "told"), BAD, ids=range(len(BAD)))
def test_what_is_no_log_is_refused(arguments, settings, told):
    with pytest.raises(ValueError, match=f"^identify: {told}"):
        identify(*arguments, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(len(NAMES)), ids=NAMES)
def test_it_finds_the_truth_or_what_is_as_simple_and_agrees(seed):
    assert outcome(true_log(seed, NAMES[seed])) != "wrong"


# Where two numbers go together only: an end and a length of a fall that was cut, a half-life, a width.
HARD = {
    24: "linear",
    70: "linear",
    77: "warmup linear",
    35: "warmup exponential",
    38: "noam",
    16: "wsd",
    79: "warmup quarter",
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", HARD, ids=HARD.get)
def test_it_finds_numbers_that_go_together(seed):
    assert outcome(true_log(seed, HARD[seed])) == "the truth"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_of_a_third_of_a_run_in_three_digits_the_truth_is_among_the_consistent(seed):
    log = true_log(seed, "warmup cosine", "3 digits", 0.3)
    consistent = [match for match in identify(log.steps, log.values) if match.is_consistent]
    assert any(is_same(match, log) for match in consistent)


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        ([1.0, 0.5, 0.0], linear(1.0, 0.0, 20)),
        (["1.0", "0.5", "0.0"], linear(1.0, 0.0, 20)),
        ([0.0, 0.0005, 0.001], linear(0.0, 0.001, 20)),
    ],
)
def test_of_equally_short_answers_the_plainest_comes_first(values, typed):
    best = identify([0, 10, 20], values)[0]
    assert repr(best.schedule) == repr(typed) and best.offset == 0


def test_a_value_that_is_no_float_is_zero():
    best = identify([0, 1, 2, 3], ["0.3", "0.2", "0.1", "1e-400"])[0]
    assert repr(best.schedule) == repr(linear(0.3, 0.0, 3))


@pytest.mark.parametrize("texts", [["1", "1", "1"], ["2e-4"] * 5])
def test_a_constant_of_one_digit_is_what_was_logged(texts):
    assert identify(range(len(texts)), texts)[0].schedule.value == float(texts[0])


def test_of_four_points_each_plain_family_that_agrees_is_named():
    matches = identify(range(4), [0.1, 0.09, 0.08, 0.07])
    found = {repr(match.schedule).partition("(")[0] for match in matches if match.is_consistent}
    assert {"linear", "cosine_decay", "quarter_cosine_decay"} <= found
