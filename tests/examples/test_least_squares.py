"""`examples/least_squares.py`: what it prints, draws and refuses, and that its risks are exact."""

import math
import re
import runpy
import subprocess
from typing import Any

import jax
import numpy as np
import pytest
from support.example_runs import EXAMPLES, assert_is_a_picture, assert_refuses, run

SCRIPT = EXAMPLES / "least_squares.py"
NUMBERS = [50, 100, 200, 400]
# Measured by another program, with other initial rates and constants to choose from, for the survey
# that the example comes from.
ELSEWHERE = {
    "constant": [53, 88, 146, 295],
    "inverse_sqrt_decay": [27.8, 48.1, 86.1, 148.6],
    "inverse_time_decay": [21.0, 32.6, 53.0, 88.4],
    "linear": [6.6, 7.6, 10.5, 15.1],
    "cosine_decay": [4.5, 5.1, 5.9, 7.3],
    "step_decay": [9.7, 8.2, 7.4, 9.2],
}
# At step t of T, from rate r, with timescale c.
FORMULAS = {
    "constant": lambda t, T, r, c: r,
    "inverse_sqrt_decay": lambda t, T, r, c: r / math.sqrt(1 + t / c),
    "inverse_time_decay": lambda t, T, r, c: r / (1 + t / c),
    "linear": lambda t, T, r, c: r * (1 - t / T),
    "cosine_decay": lambda t, T, r, c: r * (1 + math.cos(math.pi * t / T)) / 2,
    "step_decay": lambda t, T, r, c: r / 2 ** math.floor(t / (T / math.log2(T))),
}
BAD_OPTIONS = [
    ("--doublings", "0"),
    ("--doublings", "9"),
    ("--doublings", "-1"),
    ("--doublings", "many"),
    ("--doublings", ""),
    ("--rates", "0"),
    ("--rates", "1.5"),
    ("--timescales", "1"),
    ("--timescales", "101"),
    ("--out", "no_such_folder/risks.png"),
    ("--out", "risks.gif"),
    ("--out", "two\nlines"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("least_squares")


@pytest.fixture(scope="module")
def shown(folder) -> subprocess.CompletedProcess[str]:
    return run(SCRIPT, "--doublings", "3", "--out", "here.png", cwd=folder)


@pytest.fixture(scope="module")
def rows(shown) -> dict[str, list[float]]:
    """The ratios by family and the growth, read from the printed table."""
    row = re.compile(r"^│ (\w+) +│" + r" +([\d.]+) │" * 4 + r" +x ([\d.]+) │$", re.MULTILINE)
    return {name: list(map(float, numbers)) for name, *numbers in row.findall(shown.stdout)}


def test_it_succeeds_as_one_program(shown):
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\n322 schedules on 4 problems, 1 compiled program\n" in shown.stdout  # 7 (4 + 2 * 21)


def test_the_decays_of_theory_get_worse_with_the_condition_number_and_step_decay_does_not(rows):
    assert list(rows) == list(ELSEWHERE)
    growth = {name: numbers[-1] / numbers[0] for name, (*numbers, _) in rows.items()}
    assert min(growth[name] for name in ("constant", "inverse_sqrt_decay", "inverse_time_decay")) > 4
    assert 0.7 < growth["step_decay"] < 1.2
    # Worse by a logarithm at most: of the 8 times larger condition number, 1.5 times the logarithm.
    assert growth["cosine_decay"] < 2
    for name, (*numbers, printed) in rows.items():
        assert printed == pytest.approx(growth[name], rel=0.02)
        assert numbers == pytest.approx(ELSEWHERE[name], rel=0.2)


def test_the_picture(shown, folder):
    assert "picture: here.png" in shown.stdout
    assert_is_a_picture(folder / "here.png")  # the risks, the rates, the legend


# ---- the recursion ----


@pytest.fixture(scope="module")
def names():
    """What the script defines, under float64 as its main sets it."""
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(EXAMPLES))
            yield runpy.run_path(str(SCRIPT))
    finally:
        jax.config.update("jax_enable_x64", before)


def risk_by_matrices(rates: list[float], condition_number: float) -> float:
    """The risk from the second moment M of the error w, in a basis that is not the eigenvectors'.

    The error becomes w - r x (x'w + noise), and E[x x' M x x'] = 2 H M H + tr(H M) H for a Gaussian x
    of covariance H.
    """
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    H = turn @ np.diag([1.0, 1.0 / condition_number]) @ turn.T
    M = 100.0 * np.eye(2)
    for r in rates:
        M = M - r * (H @ M + M @ H) + r**2 * (2 * H @ M @ H + (np.trace(H @ M) + 1.0) * H)
    return float(np.trace(H @ M) / 2)


def rates_of(name: str, steps: int, rate: float, part: float) -> list[float]:
    return [FORMULAS[name](t, steps, rate, part * steps) for t in range(steps)]


@pytest.mark.parametrize("name", FORMULAS)
def test_the_risk_is_that_of_the_matrix_recursion(name, names):
    family = list(FORMULAS).index(name)
    risk = jax.jit(lambda *trial: names["final_risk"](names["schedule_of"](*trial), 30.0, trial[0]))
    for steps, rate, part in ((2, 0.5, 1.0), (100, 0.3, 0.05), (300, 0.5, 1e-3)):
        want = risk_by_matrices(rates_of(name, steps, rate, part), 30.0)
        assert float(risk(steps, family, rate, part)) == pytest.approx(want, rel=1e-9)


def test_the_risk_is_the_mean_of_many_runs_of_sgd(names):
    steps, runs, condition_number = 200, 20_000, 10.0
    random = np.random.default_rng(0)
    weights = 10.0 * random.choice([-1.0, 1.0], (runs, 2))  # errors: their squares are 100
    scale = np.sqrt([1.0, 1.0 / condition_number])
    for rate in rates_of("inverse_time_decay", steps, 0.3, 0.1):
        inputs = scale * random.standard_normal((runs, 2))
        residuals = np.sum(inputs * weights, axis=1) + random.standard_normal(runs)
        weights -= rate * residuals[:, None] * inputs
    risks = np.sum((scale * weights) ** 2, axis=1) / 2
    family = list(FORMULAS).index("inverse_time_decay")
    schedule = names["schedule_of"](steps, family, 0.3, 0.1)
    exact = float(names["final_risk"](schedule, condition_number, steps))
    error = risks.std() / math.sqrt(runs)
    assert error < 0.02 * exact
    assert abs(risks.mean() - exact) < 4 * error


def test_each_family_is_represented_by_its_best_trial(names):
    trials = names["list_trials"](2, 2)
    results = names["run"](1, trials)
    assert results.condition_numbers.tolist() == [50, 100]
    assert results.steps.tolist() == [1410, 3321]  # 5 k log2(k)
    for row, number, steps in zip(
        results.ratios, results.condition_numbers, results.steps, strict=True
    ):
        for name, ratio in zip(FORMULAS, row, strict=True):
            parts = (1e-4, 1.0) if name.startswith("inverse") else (1.0,)
            tried: list[Any] = [
                risk_by_matrices(rates_of(name, int(steps), rate, part), number)
                for rate in (0.5, 0.25)
                for part in parts
            ]
            assert ratio == pytest.approx(min(tried) * steps, rel=1e-9)  # minimax: 1 * 2 / (2 steps)


# ---- options ----


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_it_refuses_bad_options_in_one_clear_line(option, value, tmp_path, monkeypatch, capsys):
    assert_refuses(SCRIPT, option, value, tmp_path, monkeypatch, capsys)
