"""`examples/lr_finder.py`: what it suggests, prints and draws, and what it refuses."""

import re

import pytest
from support.example_runs import EXAMPLES, assert_is_a_picture, assert_refuses, run

SCRIPT = EXAMPLES / "lr_finder.py"
NAMES = ["valley", "steepest", "minimum", "slide", "valley / 10", "valley * 10"]
BAD_OPTIONS = [
    ("--steps", "29"),
    ("--steps", "100001"),
    ("--steps", "1e3"),
    ("--epochs", "0"),
    ("--epochs", "many"),
    ("--seed", "-1"),
    ("--out", "no_such_folder/finder.png"),
    ("--out", "finder.gif"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lr_finder")


@pytest.fixture(scope="module")
def shown(folder):
    return run(SCRIPT, "--epochs", "8", "--seed", "2", "--out", "here.png", cwd=folder)


@pytest.fixture(scope="module")
def rows(shown) -> dict[str, tuple[float, ...]]:
    """Rate, final train loss and test accuracy in percent by suggestion, from the printed table."""
    row = re.compile(r"^│ (.+?) +│ +([\d.e+-]+) │ +([\d.]+) │ +([\d.]+)% │$", re.MULTILINE)
    return {name: tuple(map(float, numbers)) for name, *numbers in row.findall(shown.stdout)}


def test_it_succeeds_and_shows_progress(shown):
    assert shown.returncode == 0, shown.stderr
    assert "Traceback" not in shown.stderr and "Warning" not in shown.stderr
    assert "100%" in shown.stderr and " 8/8 " in shown.stderr


def test_the_loss_diverges_before_the_test_is_over(shown):
    rate, step = re.findall(
        r"^the loss diverged at a rate of (\S+), step (\d+) of 200$", shown.stdout, re.M
    )[0]
    assert 0.3 < float(rate) < 10
    assert float(rate) == pytest.approx(1e-5 * 1e6 ** (int(step) / 199), rel=0.05)


def test_the_suggestions_are_sane(rows):
    assert list(rows) == NAMES
    rates = {name: rate for name, (rate, _, _) in rows.items()}
    assert 1e-3 < rates["valley"] < 3e-2
    assert 1e-3 < rates["minimum"] < 1e-1
    assert min(rates.values()) >= 1e-5 and max(rates.values()) <= 10
    assert rates["valley / 10"] == pytest.approx(rates["valley"] / 10, rel=0.01)
    assert rates["valley * 10"] == pytest.approx(rates["valley"] * 10, rel=0.01)


def test_the_suggested_rate_is_good(rows):
    losses = {name: loss for name, (_, loss, _) in rows.items()}
    assert losses["valley"] < 0.15
    assert losses["valley"] < losses["valley * 10"] and losses["valley"] < losses["valley / 10"] / 2
    assert rows["valley"][2] > 94 and rows["minimum"][2] > 92
    assert rows["valley"][2] > rows["valley / 10"][2]


def test_the_picture(shown, folder):
    assert "picture: here.png" in shown.stdout
    assert_is_a_picture(folder / "here.png")  # the test, the trainings, the legend


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_it_refuses_bad_options_in_one_clear_line(option, value, tmp_path, monkeypatch, capsys):
    assert_refuses(SCRIPT, option, value, tmp_path, monkeypatch, capsys)
