"""The example that trains 64 networks in one program, run as a user runs it."""

import re

import pytest
from support.example_runs import EXAMPLES, assert_is_a_picture, assert_refuses, run

SWEEP = EXAMPLES / "sweep.py"
ROW = re.compile(
    r"^│ (.+?) +│ +([\d.]+) │ +(\d+)% │ +(\d+)% │ +([\d.]+) │ +([\d.]+) │ +([\d.]+)% │$", re.MULTILINE
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture(scope="module")
def swept(folder):
    return run(SWEEP, "--epochs", "8", "--chunk-size", "16", "--out", "here.png", cwd=folder)


def test_it_succeeds_in_one_program(swept):
    assert swept.returncode == 0, swept.stderr
    assert "64 networks, 1 compiled program, " in swept.stdout
    assert "100%" in swept.stderr and "4/4" in swept.stderr


def test_the_best_have_learned_and_are_among_the_expected(swept):
    rows = ROW.findall(swept.stdout)
    assert len(rows) == 5
    losses = [float(row[5]) for row in rows]
    assert losses == sorted(losses) and losses[0] < 0.15
    for family, peak, _, _, train_loss, _, accuracy in rows:
        assert family in {"linear", "cosine", "wsd", "inverse sqrt"}
        assert float(peak) > 0.003  # the lowest is too low for so short a training
        assert float(train_loss) < 0.1 and float(accuracy) > 95
    assert re.search(r"^the best one: (warmup|wsd)\w*\(.*\)$", swept.stdout, re.MULTILINE)


def test_the_heat_map_is_drawn(swept, folder):
    assert "picture: here.png" in swept.stdout
    assert_is_a_picture(folder / "here.png", parts=4)  # a panel for each family


def test_it_refuses_bad_options_in_one_clear_line(tmp_path, monkeypatch, capsys):
    assert_refuses(SWEEP, "--chunk-size", "0", tmp_path, monkeypatch, capsys)
