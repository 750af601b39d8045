"""`examples/branch_cooldown.py`: what it prints and draws, what it refuses, and that it branches."""

import re
import runpy
import subprocess
from typing import Any

import numpy as np
import pytest
from support.example_runs import EXAMPLES, assert_is_a_picture, assert_refuses, run
from tqdm import tqdm

SCRIPT = EXAMPLES / "branch_cooldown.py"
NAMES = ["trunk", "cooldown from 396", "cooldown from 792", "cooldown from 1188"]  # 44 steps an epoch
STEPS = [1188, 836, 1232, 1628]
BAD_OPTIONS = [
    ("--epochs", "2"),
    ("--epochs", "1001"),
    ("--epochs", "3.5"),
    ("--cooldown", "0"),
    ("--cooldown", "-1"),
    ("--cooldown", "long"),
    ("--cooldown", ""),
    ("--peak", "0"),
    ("--peak", "nan"),
    ("--seed", "-1"),
    ("--out", "no_such_folder/branch.png"),
    ("--out", "branch.gif"),
    ("--out", "two\nlines"),
]


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Examples may import one another, as they do where a user runs them."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("branch_cooldown")


@pytest.fixture(scope="module")
def shown(folder) -> subprocess.CompletedProcess[str]:
    return run(SCRIPT, "--epochs", "27", "--seed", "1", "--out", "here.png", cwd=folder)


def test_it_succeeds_and_shows_progress(shown):
    assert shown.returncode == 0, shown.stderr
    assert "Traceback" not in shown.stderr and "Warning" not in shown.stderr
    assert "100%" in shown.stderr and " 57/57 " in shown.stderr


def test_the_cooldowns_reach_a_lower_loss_than_the_trunk(shown):
    row = re.compile(r"^│ (.+?) +│ +(\d+) │ +([\d.]+) │ +([\d.]+)% │$", re.MULTILINE)
    names, steps, losses, hits = zip(*row.findall(shown.stdout), strict=True)
    assert list(names) == NAMES
    assert list(map(int, steps)) == STEPS
    trunk, *branches = map(float, losses)
    assert max(branches) < min(0.04, 0.7 * trunk)
    assert min(map(float, hits[1:])) > 95


def test_trunk_and_branches_are_one_program(shown):
    assert "\n1 compiled program for the trunk and 3 branches\n" in shown.stdout


def test_the_picture(shown, folder):
    assert "picture: here.png" in shown.stdout
    assert_is_a_picture(folder / "here.png")  # the rates, the losses, the legend


@pytest.fixture(scope="module")
def small() -> list[Any]:
    """A trunk of 4 epochs and its branches of 2, run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        names = runpy.run_path(str(SCRIPT))
        with tqdm(disable=True) as bar:
            results = names["trunk_and_branches"](names["prepare"](6, 0), 4, 2, 0.01, bar)
        assert names["programs"] == {"train_epoch": 1}
    return results


def test_the_rates_are_those_of_the_formula(small):
    trunk, *branches = small
    rise, fall = np.arange(44) / 44, 1 - np.arange(88) / 88
    np.testing.assert_allclose(trunk.history.rates, 0.01 * np.r_[rise, np.ones(3 * 44)], rtol=1e-6)
    assert [branch.start for branch in branches] == [44, 88, 176]
    for branch in branches:
        np.testing.assert_allclose(branch.history.rates, 0.01 * fall, rtol=1e-6)


def test_each_branch_goes_on_where_the_trunk_was_and_the_trunk_goes_on_without_it(small):
    trunk, first, second, _ = small
    for branch in (first, second):
        # The branch's first update has the trunk's weights, batch and rate; later ones do not.
        assert branch.history.losses[0] == trunk.history.losses[branch.start]
        assert branch.history.rates[0] == trunk.history.rates[branch.start]
        assert np.all(branch.history.losses[2:40] != trunk.history.losses[branch.start :][2:40])


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_it_refuses_bad_options_in_one_clear_line(option, value, tmp_path, monkeypatch, capsys):
    assert_refuses(SCRIPT, option, value, tmp_path, monkeypatch, capsys)
