# pyright: reportArgumentType=false
"""`fit_peaks`: what sweeps made by its formula give back, how sure it is, what it refuses."""

import math
import pickle
import warnings
from typing import Any

import jax
import numpy as np
import pytest
from support.compilations import counted
from tables.planning_oracles import bound

from optax_sched import constant, cosine_decay, linear, stack, wsd
from optax_sched.planning import BestPeak, SweptRun, fit_peaks, transfer_factor

KAPPA, TRUE_B, TRUE_C = 0.02, 0.2, 0.35
# Unit rates, in NumPy: schedules of the same curves have a test of their own.
SHAPES: dict[str, Any] = {
    "cosine": lambda steps: (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2,
    "wsd": lambda steps: np.minimum(1.0, 5 * (1 - np.arange(steps) / steps)),
    "constant": np.ones,
}
FIRST = "cosine", 400, 32


def true_log_peak(shape: str, steps: int, batch: float = 32) -> float:
    """The formula, with the bound's best scale of the shape in plain Python."""
    own, other = (
        bound(SHAPES[name](n))[1] * n**0.5 for name, n in ((FIRST[0], FIRST[1]), (shape, steps))
    )
    return (
        math.log(3e-3 * other / own)
        - TRUE_B * math.log(steps / FIRST[1])
        + TRUE_C * math.log(batch / FIRST[2])
    )


def sweep_of(
    shape: str,
    steps: int,
    batch: float | None = None,
    around: Any = (-0.7, 0.1, 0.8),
    worse: float = 0.0,
) -> list[SweptRun]:
    best = true_log_peak(shape, steps, batch or 32)
    level = 3.0 - 0.1 * math.log(steps)
    return [
        SweptRun(
            math.exp(best + off) * SHAPES[shape](steps), steps, level + KAPPA * off**2 + worse, batch
        )
        for off in around
    ]


def quietly(runs: list[SweptRun], **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return fit_peaks(runs, **options)


def test_three_peaks_of_one_shape_give_another_shape_and_length():
    fit = quietly(sweep_of("cosine", 400), horizon_exponent=TRUE_B)
    assert fit.kappa == pytest.approx(KAPPA, rel=1e-3)
    assert (fit.horizon_exponent, fit.batch_exponent) == (TRUE_B, 0.2)
    for shape, steps in [("cosine", 400), ("wsd", 400), ("wsd", 3000), ("constant", 5000)]:
        planned = 0.7 * SHAPES[shape](steps)
        best = fit.best(planned, steps)
        assert isinstance(best, BestPeak)
        assert math.log(best.peak_value) == pytest.approx(true_log_peak(shape, steps), abs=1e-6)
        assert best.factor == pytest.approx(best.peak_value / 0.7, rel=1e-6)
        assert best.cost == pytest.approx(fit.kappa * best.deviation**2)
        # Known runs have no model error; a fixed exponent adds none.
        known = (shape, steps) == ("cosine", 400)
        assert best.deviation < 0.05 if known else 0.16 < best.deviation < 0.18
    assert fit.scatter == pytest.approx(3e-4 * np.median([run.loss for run in sweep_of("cosine", 400)]))


def test_several_lengths_shapes_and_batches_give_the_exponents_back():
    places = [FIRST, ("wsd", 800, 32), ("cosine", 1600, 64), ("constant", 400, 128), ("wsd", 3200, 256)]
    runs = [run for place in places for run in sweep_of(*place)]
    fit = quietly(runs, horizon_exponent=(0.0, 10.0), batch_exponent=(0.0, 10.0))
    found = fit.kappa, fit.horizon_exponent, fit.batch_exponent
    assert found == pytest.approx((KAPPA, TRUE_B, TRUE_C), abs=2e-3)
    best = fit.best(SHAPES["wsd"](6400), 6400, 512)
    assert math.log(best.peak_value) == pytest.approx(true_log_peak("wsd", 6400, 512), abs=1e-2)
    narrow = quietly(runs, horizon_exponent=0.5, batch_exponent=(0.0, 1e-9))
    assert narrow.horizon_exponent == 0.5 and abs(narrow.batch_exponent) < 1e-6


def test_few_runs_hardly_move_the_priors():
    one = quietly(sweep_of(*FIRST))
    assert (one.horizon_exponent, one.batch_exponent) == pytest.approx((0.1, 0.2), abs=1e-6)
    near, far = (one.best(SHAPES["cosine"](steps), steps, 32).deviation for steps in (401, 40_000))
    assert near < far and far == pytest.approx(math.hypot(0.12 * 2**0.5, 0.15 * math.log(100)), rel=0.1)


def test_the_deviation_covers_sweeps_that_the_model_makes():
    """100 sweeps of three peaks at two lengths, with model error, prior and noise as assumed."""
    rng = np.random.default_rng(0)
    z = []
    shape = np.linspace(1.0, 0.0, 100)
    for _ in range(100):
        b, runs = rng.normal(0.1, 0.15), []
        for steps in (100, 200):
            best = -6 - b * math.log(steps / 100) + 0.12 * rng.standard_normal()
            for off in (-0.7, 0.0, 0.7):
                loss = 3 + KAPPA * (off - 0.2) ** 2 + 9e-4 * rng.standard_normal()
                runs.append(
                    SweptRun(np.exp(best + off - 0.2) * shape.repeat(steps // 100), steps, loss)
                )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # noise moves some bests to an edge
            try:
                fit = fit_peaks(runs)
            except ValueError:  # or bends a sweep downwards
                continue
        found = fit.best(shape.repeat(8), 800)
        true = -6 - b * math.log(8) + 0.12 * rng.standard_normal()
        z.append((math.log(found.peak_value) - true) / found.deviation)
    assert len(z) > 95 and 0.8 < np.sqrt(np.mean(np.square(z))) < 1.2
    assert np.mean(np.abs(z) < 2) > 0.9


def test_small_differences_of_shape_are_one_group():
    """Linked through a middle one: the outer two differ by more than 0.02."""
    runs = [
        SweptRun(linear(peak, end * peak, 100), 100, loss)
        for peak, end, loss in [(1e-3, 0.0, 3.1), (2e-3, 0.03, 3.0), (4e-3, 0.06, 3.08)]
    ]
    assert quietly(runs).kappa > 0
    with pytest.raises(ValueError, match=r"three different peaks .* got 2$"):
        fit_peaks([runs[0], runs[1], runs[2]._replace(schedule=linear(4e-3, 1e-3, 100))])
    with pytest.raises(ValueError, match=r"three different peaks .* got 1$"):
        fit_peaks([runs[0], runs[1]._replace(num_steps=101), runs[2]])


def test_schedules_functions_and_arrays_are_the_same_run():
    runs = sweep_of("cosine", 400)
    ours = [cosine_decay(float(run.schedule.max()), 400) for run in runs]
    fits = [
        quietly(runs),
        quietly([run._replace(schedule=s) for run, s in zip(runs, ours, strict=True)]),
        quietly(
            [run._replace(schedule=lambda t, s=s: s(t)) for run, s in zip(runs, ours, strict=True)]
        ),
    ]
    answers = [fit.best(wsd(0.1, 0, 200, 1000, shape="linear"), 1000) for fit in fits]
    np.testing.assert_allclose(answers[1:], [answers[0]] * 2, rtol=1e-5)
    factor = transfer_factor(ours[0], 400, wsd(0.1, 0, 200, 1000), 1000, fits[1].horizon_exponent)
    other = fits[1].best(wsd(0.1, 0, 200, 1000), 1000).factor
    peak = fits[1].best(ours[0], 400).peak_value
    assert other == pytest.approx(float(factor) * peak / ours[0].init_value, rel=1e-4)


def test_it_prints_its_numbers_and_pickles():
    fit = quietly(sweep_of("cosine", 400))
    assert repr(fit).startswith("PeakFit(kappa=0.02 ± 0.00") and "batch" not in repr(fit)
    assert repr(quietly(sweep_of(*FIRST))).endswith(
        "horizon_exponent=0.1 ± 0.15, batch_exponent=0.2 ± 0.2)"
    )
    again = pickle.loads(pickle.dumps(fit))
    assert repr(again) == repr(fit) and again.best([1.0] * 50, 50) == fit.best([1.0] * 50, 50)


@pytest.mark.parametrize(
    ("around", "word", "more"),
    [((-1.2, -0.7, -0.3), "highest", 0.3), ((0.2, 0.5, 0.9), "lowest", -0.4)],
)
def test_the_best_at_an_edge_is_warned_of_with_the_peak_to_add(around, word, more):
    runs = sweep_of("cosine", 400, around=around)
    peaks = [run.schedule.max() for run in runs]
    edge, beside = (peaks[2], peaks[1]) if word == "highest" else (peaks[0], peaks[1])
    with pytest.warns(UserWarning, match="^fit_peaks: over 400 steps the ") as caught:
        fit_peaks(runs)
    (warning,) = caught
    assert (
        f"{word} peak, {edge:.3g}, is the best of 3: add a run with the peak {edge**2 / beside:.2g}"
        in (str(warning.message))
    )
    assert warning.filename == __file__
    assert quietly([*runs, *sweep_of("cosine", 400, around=[more])])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_run_that_diverged_is_a_peak_tried_and_left_out(loss):
    runs = sweep_of("cosine", 400, around=(-1.2, -0.7, -0.3, 0.5))
    fit = quietly([*runs[:3], runs[3]._replace(loss=loss)])
    assert fit.kappa == pytest.approx(KAPPA, rel=0.01)
    with pytest.raises(ValueError, match=r"three different peaks .* got 0$"):
        fit_peaks([run._replace(loss=loss) for run in runs])


def test_peaks_far_from_the_best_are_left_out():
    runs = sweep_of("cosine", 400)
    far = sweep_of("cosine", 400, around=(-2.0, 2.0), worse=0.5)
    assert quietly([*runs, *far]).kappa == pytest.approx(KAPPA, rel=1e-3)
    with pytest.raises(ValueError, match=r"within a factor of 4 of the best, got 1$"):
        fit_peaks(sweep_of("cosine", 400, around=(-1.6, 0.0, 1.6)))


RUNS = sweep_of("cosine", 400)
RUN = RUNS[0]
PRIOR = "a finite number, or a pair (mean, deviation) with a deviation of 0 or more, got "
SIZE = "a positive finite number that is not traced, got "


@pytest.mark.parametrize(
    ("runs", "options", "words"),
    [
        ([], {}, "runs must be a sequence of one or more SweptRun(schedule, num_steps, loss), got []"),
        (RUN, {}, "runs must be a sequence of one or more SweptRun"),
        (None, {}, "runs must be a sequence of one or more SweptRun"),
        ([*RUNS, 3], {}, "runs[3] must be a SweptRun(schedule, num_steps, loss), got 3"),
        ([RUN._replace(schedule="cosine")], {}, "runs[0].schedule must be a schedule, "),
        ([RUN._replace(schedule=0.0)], {}, "runs[0].schedule must be a schedule with a rate above 0"),
        ([RUN._replace(schedule=linear(0.1, -0.1, 4))], {}, "runs[0].schedule must be a schedule of"),
        ([RUN._replace(schedule=[0.1] * 9)], {}, "runs[0].schedule must be at least 400 rates"),
        (
            [RUN._replace(schedule=stack([constant(0.1), constant(0.2)]))],
            {},
            "runs[0].schedule must be one schedule, not a batch",
        ),
        ([RUN._replace(num_steps=0)], {}, "runs[0].num_steps must be a whole number, 1 or more"),
        ([RUN._replace(num_steps=2.5)], {}, "runs[0].num_steps must be a whole number, 1 or more"),
        ([RUN._replace(loss="low")], {}, "runs[0].loss must be a number that is not traced, got 'low'"),
        ([RUN._replace(loss=[3.0])], {}, "runs[0].loss must be a number that is not traced"),
        ([RUN._replace(loss=None)], {}, "runs[0].loss must be a number that is not traced"),
        ([RUN._replace(batch_size=0)], {}, f"runs[0].batch_size must be {SIZE}0"),
        ([RUN._replace(batch_size=math.nan)], {}, f"runs[0].batch_size must be {SIZE}nan"),
        ([RUN._replace(batch_size="8")], {}, f"runs[0].batch_size must be {SIZE}'8'"),
        ([*RUNS, RUN._replace(batch_size=8)], {}, "batch_size must be given for all runs, or for none"),
        (
            RUNS[:2],
            {},
            "runs must be of three different peaks in one shape and length, within a factor",
        ),
        (
            [RUN] * 3,
            {},
            "runs must be of three different peaks in one shape and length, within a factor",
        ),
        (RUNS, {"horizon_exponent": "half"}, f"horizon_exponent must be {PRIOR}'half'"),
        (RUNS, {"horizon_exponent": math.nan}, f"horizon_exponent must be {PRIOR}nan"),
        (RUNS, {"horizon_exponent": (0.1,)}, f"horizon_exponent must be {PRIOR}"),
        (RUNS, {"batch_exponent": (0.1, -0.1)}, f"batch_exponent must be {PRIOR}"),
        (RUNS, {"batch_exponent": (0.1, math.inf)}, f"batch_exponent must be {PRIOR}"),
        (RUNS, {"batch_exponent": None}, f"batch_exponent must be {PRIOR}None"),
    ],
)
def test_what_it_refuses(runs, options, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        fit_peaks(runs, **options)
    assert str(caught.value).startswith(f"fit_peaks: {words}") and "\n" not in str(caught.value)


@pytest.mark.parametrize("losses", [[3.0, 3.1, 3.0], [3.0, 3.0, 3.0], [3.0, 2.9, 2.7]])
def test_losses_that_do_not_bend_upwards_are_refused(losses):
    peaks = 1e-3, 2e-3, 4e-3
    runs = [SweptRun([peak], 1, loss) for peak, loss in zip(peaks, losses, strict=True)]
    words = "^fit_peaks: runs must be of losses that are higher on both sides of a best peak, got .*: "
    with warnings.catch_warnings(), pytest.raises(ValueError, match=words):
        warnings.simplefilter("ignore")
        fit_peaks(runs)


def test_nothing_is_traced():
    def runs(peak: Any, loss: Any) -> list[SweptRun]:
        return [SweptRun(constant(peak), 10, loss)]

    with pytest.raises(TypeError, match=r"runs\[0\].schedule must be a schedule that is not traced"):
        jax.jit(lambda peak: fit_peaks(runs(peak, 3.0)))(1e-3)
    with pytest.raises(TypeError, match=r"runs\[0\].schedule must be a schedule that is not traced"):
        jax.jit(lambda peak: fit_peaks([SweptRun(lambda t: peak, 10, 3.0)]))(1e-3)
    with pytest.raises(TypeError, match=r"runs\[0\].loss must be a number that is not traced"):
        jax.jit(lambda loss: fit_peaks(runs(1e-3, loss)))(3.0)


@pytest.mark.parametrize(
    ("runs", "arguments", "words"),
    [
        (RUNS, (constant(1.0), 0), "num_steps must be a whole number, 1 or more"),
        (RUNS, ("cosine", 10), "schedule must be a schedule, "),
        (RUNS, (constant(0.0), 10), "schedule must be a schedule with a rate above 0"),
        (RUNS, (constant(1.0), 10, 32), "batch_size must be None, as in the runs, got 32"),
        (sweep_of(*FIRST), (constant(1.0), 10), "batch_size must be a positive number, as in the runs"),
        (sweep_of(*FIRST), (constant(1.0), 10, -1), f"batch_size must be {SIZE}-1"),
    ],
)
def test_what_best_refuses(runs, arguments, words):
    fit = quietly(runs)
    with pytest.raises((TypeError, ValueError)) as caught:
        fit.best(*arguments)
    assert str(caught.value).startswith(f"PeakFit.best: {words}")


def test_runs_of_all_lengths_share_a_program():
    def runs(lengths: list[int]) -> list[SweptRun]:
        ends = enumerate([3.1, 3.0, 3.1])
        return [
            SweptRun(linear(2.0**i, 0.0, steps), steps, loss) for i, loss in ends for steps in lengths
        ]

    quietly(runs([300]))
    with counted() as compiled:
        fit = quietly(runs([300, 1500, 9000]))
        first = len(compiled)
        quietly(runs([350, 400, 7000]))
        fit.best(linear(1.0, 0.0, 20_000), 20_000)
        assert first < 4 and len(compiled) == first
