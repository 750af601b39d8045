"""Each example, run as a user runs it."""

import re

import pytest
from support.example_runs import (
    EXAMPLES,
    assert_is_a_picture,
    assert_one_clear_line,
    assert_refuses,
    run,
)

COMPARE = EXAMPLES / "compare_schedules.py"

FAMILIES = [
    "constant",
    "linear",
    "step_decay",
    "multistep_decay",
    "polynomial_decay",
    "exponential_decay",
    "cosine_decay",
    "cosine_decay, half the peak",
    "cosine_restarts",
    "log_decay",
    "warmup(cosine_decay)",
    "join(rise, flat, fall)",
    "late_decay, a custom one",
    "reduce_on_plateau(constant)",
]
EPOCHS = 30  # compiling takes the time, not training

BAD_OPTIONS = [
    ("--epochs", "0"),
    ("--epochs", "-1"),
    ("--epochs", "1.5"),
    ("--epochs", "1001"),
    ("--epochs", "many"),
    ("--epochs", ""),
    ("--peak", "0"),
    ("--peak", "-0.1"),
    ("--peak", "nan"),
    ("--peak", "inf"),
    ("--peak", "high"),
    ("--seed", "-1"),
    ("--seed", "zero"),
    ("--out", "no_such_folder/schedules.png"),
    ("--out", "schedules.gif"),
    ("--out", "schedules"),
    ("--out", "folder.png"),
    ("--out", "two\nlines"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def compared(folder):
    """The main job, run once for all tests of what it leaves behind."""
    return run(COMPARE, "--epochs", str(EPOCHS), "--seed", "1", "--out", "here.png", cwd=folder)


@pytest.fixture(scope="module")
def rows(compared) -> dict[str, tuple[float, float]]:
    """Final train loss and test accuracy in percent by schedule, read from the printed table."""
    row = re.compile(r"^│ (.+?) +│ +([\d.]+) │ +([\d.]+)% │ +[\d.]+ │$", re.MULTILINE)
    return {name: (float(loss), float(hits)) for name, loss, hits in row.findall(compared.stdout)}


def test_compare_succeeds(compared):
    assert compared.returncode == 0, compared.stderr
    assert "Traceback" not in compared.stderr and "Warning" not in compared.stderr


def test_compare_table_names_every_family(rows):
    assert list(rows) == FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_compare_learns(rows, family):
    loss, accuracy = rows[family]
    assert loss < 0.2
    assert accuracy > 94


def test_compare_schedules_differ(rows):
    """The plateau too: it has cut the rate, or it would end where the constant rate does."""
    losses = {loss for loss, _ in rows.values()}
    assert len(losses) >= len(FAMILIES) - 3  # some may be equal in the digits that are printed
    assert rows["reduce_on_plateau(constant)"][0] < rows["constant"][0]


def test_compare_shares_programs(compared):
    """The second peak and the plateau compile nothing of their own."""
    assert f"{len(FAMILIES)} schedules, {len(FAMILIES) - 2} compiled programs" in compared.stdout


def test_compare_shows_progress(compared):
    epochs = len(FAMILIES) * EPOCHS
    assert "100%" in compared.stderr and f" {epochs}/{epochs} " in compared.stderr


def test_compare_picture(compared, folder):
    assert "picture: here.png" in compared.stdout
    assert_is_a_picture(folder / "here.png")  # the rates, the losses, the legend


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_compare_refuses(option, value, tmp_path, monkeypatch, capsys):
    (tmp_path / "folder.png").mkdir()
    assert_refuses(COMPARE, option, value, tmp_path, monkeypatch, capsys)


def test_compare_refuses_as_a_user_sees_it(tmp_path):
    refused = run(COMPARE, "--epochs", "0", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert_one_clear_line(COMPARE, refused.stderr, "--epochs", "0")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def custom(folder):
    return run(EXAMPLES / "custom.py", cwd=folder)


def test_custom_succeeds(custom):
    assert (custom.returncode, custom.stderr) == (0, "")


def test_custom_compares_with_the_built_in(custom):
    title, *lines = custom.stdout.partition("\n\n")[0].splitlines()
    assert title.split() == ["step", "formula", "naive_log_decay", "own_log_decay", "log_decay"]
    assert len(lines) == 7
    for line in lines:
        step, formula, naive, own, built_in = map(float, line.split())
        assert built_in == pytest.approx(formula, rel=2e-5, abs=0)  # six digits are printed
        assert own == pytest.approx(formula, rel=1e-3, abs=0)
        assert (naive < 0) == (step > 1000)  # nothing stops the naive form at its end


def test_custom_prints_changes_and_refuses(custom):
    base = "own_log_decay(init_value=0.1, decay_steps=1000, end_value=0.0)"
    assert f"rippled(base={base}, period=100, depth=0.5)" in custom.stdout
    assert f"rippled(base={base}, period=100, depth=0.25)" in custom.stdout
    assert "depth 0.5, at steps 0, 25, 50: 0.1000, 0.0396, 0.0215\n" in custom.stdout
    assert "  0.0148, 0.0431, 0.0573\n" in custom.stdout
    assert "own_log_decay: init_value must be a finite number, 0 or more, got -0.1\n" in custom.stdout
    assert "rippled: depth must be a factor in (0, 1], got 1.5\n" in custom.stdout
