"""What `plot` draws: the values of the formula, the boundaries of the phases, labels that tell."""

import doctest
import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.colors
import numpy as np
import optax
import pytest

matplotlib.use("Agg")
from matplotlib import pyplot as plt

import optax_sched as os
from optax_sched import plot
from optax_sched._view.phase_starts import phase_boundaries
from optax_sched._view.plot import short_source

COSINE = os.cosine_decay(0.1, 100)
# Its own boundaries are at 10 and 30.
STAIRS = os.piecewise_constant([1.0, 0.5, 0.25], [10, 30])


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    plt.close("all")


def data(line: Any) -> tuple[np.ndarray, np.ndarray]:
    return line.get_data()


def marks(ax: Any) -> list[list[float]]:
    """The steps of the dotted lines, for each curve."""
    return [[segment[0][0] for segment in lines.get_segments()] for lines in ax.collections]


def labels(ax: Any) -> list[str]:
    return [line.get_label() for line in ax.get_lines()]


def test_a_curve_is_the_formula_at_every_step():
    (line,) = plot(COSINE, 120).get_lines()
    steps, values = data(line)
    np.testing.assert_array_equal(steps, range(121))
    expected = [0.05 * (1 + math.cos(math.pi * min(t / 100, 1))) for t in range(121)]
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-9)


def test_each_value_is_drawn_from_its_step_to_the_next():
    (line,) = plot(STAIRS, 40).get_lines()
    assert line.get_drawstyle() == "steps-post"
    assert data(line)[1].tolist() == [1.0] * 10 + [0.5] * 20 + [0.25] * 11


def test_a_long_curve_is_drawn_by_its_boundaries_and_evenly_between():
    s = os.join([os.linear(0.0, 0.5, 3_333_333), 0.25, 0.125], [3_333_333, 7_777_777])
    (line,) = plot(s, 10**7).get_lines()
    steps, values = data(line)
    assert 2000 < len(steps) < 2010
    assert np.max(np.diff(steps)) == 5000
    at = dict(zip(steps.tolist(), values.tolist(), strict=True))
    assert at[3_333_332] == pytest.approx(0.5, rel=1e-5)
    assert (at[3_333_333], at[7_777_776], at[7_777_777], at[10**7]) == (0.25, 0.25, 0.125, 0.125)


def test_it_returns_the_axes_it_was_given_or_new_ones():
    _, (left, right) = plt.subplots(1, 2)
    assert plot(COSINE, 10, left) is left
    assert plot(COSINE, 10, ax=right) is right
    assert plot(COSINE, 10) not in (left, right)
    assert left.get_legend() is None
    assert (left.get_xlabel(), left.get_ylabel(), left.get_yscale()) == ("step", "value", "linear")


def test_what_may_be_drawn():
    closure = optax.linear_schedule(1.0, 0.0, 10)
    ax = plot([COSINE, 0.5, closure, lambda step: 0.1 * step], 10)
    values = [data(line)[1] for line in ax.get_lines()]
    np.testing.assert_allclose(values[1], np.full(11, 0.5))
    np.testing.assert_allclose(values[2], np.linspace(1, 0, 11), atol=1e-7)
    np.testing.assert_allclose(values[3], np.linspace(0, 1, 11), rtol=1e-6)


def test_a_dict_labels_and_a_legend_names_more_than_one():
    ax: Any = plot({"a": COSINE, 2: 0.5}, 10)
    assert labels(ax) == ["a", "2"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["2", "a"]  # as they end
    assert plot({"a": COSINE}, 10).get_legend() is None


def test_the_example_of_the_docstring():
    # It is skipped as a doctest, since these run where matplotlib is not installed too.
    *steps, shown = doctest.DocTestParser().get_examples(plot.__doc__ or "")
    names = {"plot": plot}
    for step in steps:
        exec(step.source, names)
    assert repr(eval(shown.source, names)) + "\n" == shown.want == "['cosine', 'constant']\n"


def test_two_schedules_that_read_alike_are_both_drawn():
    assert labels(plot([COSINE, COSINE], 10)) == ["cosine_decay(0.1, 100)"] * 2


@pytest.mark.parametrize(
    ("schedule", "label"),
    [
        (COSINE, "cosine_decay(0.1, 100)"),
        (os.cosine_decay(3e-4, 100, exponent=2.0), "cosine_decay(0.0003, 100, exponent=2)"),
        (os.cosine_decay(jnp.float32(0.1), 100), "cosine_decay(0.1, 100)"),
        (os.warmup(COSINE, 10), "warmup(cosine_decay(0.1, 100), 10)"),
        (os.multiply(2, COSINE), "multiply(2, cosine_decay(0.1, 100))"),
        (os.table(np.arange(9) / 8), "table([0, 0.125, 0.25, ...])"),
        (os.join([0.5, 0.25], [7]), "join([0.5, 0.25], [7])"),
        (os.clip(math.sin, 0, 1), "clip(sin, 0, 1)"),
        (os.constant(0.1), "constant(0.1)"),
        (os.noisy(0.1, 7, 0.2, end=9), "noisy(0.1, 7, 0.2, end=9)"),
        (math.sin, "sin"),
        (os.warmup(0.1, 5, shape="sqrt"), "warmup(0.1, 5, shape='sqrt')"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_labels_are_short_sources(schedule, label):
    assert short_source(schedule) == label


def test_a_long_label_of_the_users_is_wrapped_in_the_legend():
    label = "as long as a sentence may be in which somebody says what it was that was tried"
    ax: Any = plot({label: COSINE, "b": 0.1}, 10)
    assert labels(ax) == [label, "b"]
    _, shown = [text.get_text() for text in ax.get_legend().get_texts()]  # 0.1 ends above it
    assert shown.replace("\n", " ") == label and max(map(len, shown.splitlines())) <= 60


def test_a_long_label_is_cut():
    label = short_source(os.multiply(*[COSINE] * 5))
    assert len(label) == 60 and label.endswith("...")


# Boundaries as each combinator's formula has them.
BOUNDARIES = [
    (COSINE, []),
    (STAIRS, [10, 30]),
    (os.piecewise_interpolate([0.0, 1.0, 0.5], [10, 30]), [10, 30]),
    (os.multistep_decay(0.1, [30, 60], 0.5), [30, 60]),
    (os.join([0.1, COSINE, 0.2], [5, 105]), [5, 105]),
    # The first part is over before its second boundary; the second one's count from 25.
    (os.join([STAIRS, STAIRS], [25]), [10, 25, 35, 55]),
    (os.join([STAIRS, os.join([0.1, STAIRS], [7])], [20.5]), [10, 20.5, 27.5, 37.5, 57.5]),
    (os.warmup(COSINE, 100), [100]),
    (os.warmup(COSINE, 0), []),
    (os.warmup(STAIRS, 5), [5, 15, 35]),
    (os.cooldown(STAIRS, 20, 5), [10, 20]),
    (os.cooldown(os.warmup(0.1, 5), 20, 5), [5, 20]),
    (os.delay(STAIRS, 5), [5, 15, 35]),
    (os.shift(STAIRS, 10), [20]),
    (os.stretch(STAIRS, 2.5), [25, 75]),
    (os.every(STAIRS, 3), [30, 90]),
    (os.retime(STAIRS, os.linear(0.0, 20.0, 100)), [50]),
    (os.retime(STAIRS, os.examples_seen(50, os.piecewise_constant([1, 4], [5]))), [5, 6.25, 11.25, 50]),
    (os.repeat(STAIRS, 40), []),
    (os.multiply(STAIRS, os.warmup(0.1, 5), 2), [5, 10, 30]),
    (os.clip(STAIRS, 0.3, 0.8), [10, 30]),
    (os.noisy(STAIRS, 0, 0.1, start=15), [10, 15, 30]),
    (os.select(1, [COSINE, STAIRS]), [10, 30]),
    (os.select(0, [COSINE, STAIRS]), []),
    (os.warmup_cosine_decay(0.1, 10, 100), [10]),
    (os.warmup_linear_decay(0.1, 10, 100), [10]),
    (os.warmup_inverse_sqrt_decay(0.1, 10), [10]),
    (os.noam(512, 10), [9]),
    (os.wsd(0.1, 10, 20, 100), [10, 80]),
    (os.wsd_cycles(0.1, 10, [100, 400], 0.1), [10, 90, 100, 360]),
    (os.infinite(0.1, 10, 20, 0.05, 70, 20), [10, 30, 70]),
    (os.tri_stage(0.1, 10, 20, 30), [10, 30]),
    (os.knee(0.1, 10, 20, 100), [10, 30]),
    (os.schedule(lambda step, inner, warmup_steps: inner(step), name="own")(STAIRS, 3), [3, 10, 30]),
    (os.recipe(lambda a, b: os.warmup(os.cooldown(a, b, 5), 10), name="own")(0.1, 20), [10, 30, 35]),
    (optax.linear_schedule(1.0, 0.0, 10), []),
]


@pytest.mark.parametrize(("schedule", "steps"), BOUNDARIES, ids=lambda value: str(value)[:40])
def test_phases_begin_where_the_formula_says(schedule, steps):
    assert phase_boundaries(schedule) == pytest.approx(steps, rel=1e-6)


def test_boundaries_are_drawn_for_each_curve_within_the_steps_shown():
    ax: Any = plot([COSINE, STAIRS, os.warmup(COSINE, 7)], 20)
    assert marks(ax) == [[], [10], [7]]
    for line, dotted in zip(ax.get_lines(), ax.collections, strict=True):
        assert matplotlib.colors.same_color(dotted.get_color()[0][:3], line.get_color())


@pytest.mark.parametrize("log", [False, True])
def test_log_scale(log):
    ax: Any = plot([COSINE, os.exponential(1.0, 1e-6, 100)], 100, log=log)
    ax.figure.canvas.draw()
    low, high = ax.get_ylim()
    assert ax.get_yscale() == ("log" if log else "linear")
    assert (0 < low < 1e-6) if log else (low < 0)
    assert 1 < high < 10


ONE = r"a schedule, a function of the step, or a finite number, got "
COUNT = r"plot: num_steps must be a whole number, 1 or more, got "


def test_a_curve_is_dashed_by_the_length_on_which_it_lies_on_others_and_not_by_points():
    """Points stand close together at the stairs, where the third curve lies on the first."""
    stairs = os.piecewise_constant([1.0] + [0.5] * 1500, list(range(10, 1510)))
    curves = {"line": os.constant(1.0), "stairs": stairs}
    curves["beside"] = os.piecewise_constant([1.0, 0.25], [2000])
    found = {line.get_label(): line for line in os.plot(curves, 10**6).get_lines()}
    assert found["beside"].get_linestyle() == "-"


BAD = [
    ((COSINE, 0), {}, COUNT + "0"),
    ((COSINE, -5), {}, COUNT + "-5"),
    ((COSINE, 1.5), {}, COUNT + "1.5"),
    ((COSINE, "10"), {}, COUNT + "'10'"),
    ((COSINE, True), {}, COUNT + "True"),
    ((COSINE, 2**31), {}, COUNT + str(2**31)),
    ((COSINE, 10), {"log": "yes"}, "plot: log must be one of False, True, got 'yes'"),
    ((COSINE, 10), {"ax": 3}, "plot: ax must be matplotlib axes, got 3"),
    (([], 10), {}, r"plot: schedules must be one schedule or more, got \[\]"),
    (({}, 10), {}, r"plot: schedules must be one schedule or more, got {}"),
    (("cosine", 10), {}, f"plot: schedules must be {ONE}'cosine'"),
    ((None, 10), {}, f"plot: schedules must be {ONE}None"),
    (([COSINE, math.nan], 10), {}, rf"plot: schedules\[1\] must be {ONE}nan"),
    (({"a": COSINE, "b": "c"}, 10), {}, rf"plot: schedules\['b'\] must be {ONE}'c'"),
    ((0.0, 10), {"log": True}, "plot: log must be False where no value is above 0, got True"),
    (([0.1], 10), {"log": 1}, "plot: log must be one of False, True, got 1"),
    (
        (jax.vmap(os.linear, (0, None, None))(jnp.ones(3), 0.0, 9), 10),
        {},
        r"plot: schedules: init_value has a leading axis, .* write plot\(unstack\(batch\), ...\)",
    ),
    (
        ([0.1, jax.vmap(lambda w: os.warmup(STAIRS, w))(jnp.arange(3))], 10),
        {},
        r"plot: schedules\[1\]: schedule has a leading axis, so this is a batch",
    ),
]


@pytest.mark.parametrize(("args", "options", "line"), BAD, ids=lambda value: str(value)[-40:])
def test_what_is_refused_in_one_line_before_anything_is_drawn(args, options, line):
    with pytest.raises((TypeError, ValueError), match=f"^{line}") as refused:
        plot(*args, **options)
    assert "\n" not in str(refused.value)
    assert plt.get_fignums() == []


def test_without_matplotlib_it_says_which_command_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # as if it were not there
    with pytest.raises(ImportError) as refused:
        plot(COSINE, 10)
    says = 'matplotlib is not installed: python -m pip install "optax_sched[plot]"'
    assert str(refused.value) == f"plot: {says}"


def test_the_legend_is_sorted_as_the_curves_end():
    ax: Any = plot({"low": os.linear(1.0, 0.1, 10), "high": 0.5, "none": os.linear(2.0, 0.0, 10)}, 10)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["high", "low", "none"]


def test_curves_that_lie_on_one_another_are_told_apart():
    same = os.wsd(1.0, 10, 30, 100, shape="linear"), os.knee(1.0, 10, 60, 100)
    ax: Any = plot([*same, os.cosine_decay(0.3, 100)], 100)
    first, second, alone = ax.get_lines()
    np.testing.assert_allclose(same[0](np.arange(101)), same[1](np.arange(101)), atol=1e-6)
    assert [line.is_dashed() for line in (first, second, alone)] == [False, True, False]
    assert len({line.get_color() for line in ax.get_lines()}) == 3


@pytest.mark.parametrize(
    ("schedules", "end"),
    [(COSINE, 100), ([COSINE, os.linear(1.0, 0.0, 150)], 150), (os.silver(1.0), 1000)],
)
def test_without_a_number_of_steps_it_goes_as_far_as_the_curves_change(schedules, end):
    assert max(float(np.asarray(line.get_xdata())[-1]) for line in plot(schedules).get_lines()) == end
