"""The example that trains 64 networks in one program, run as a user runs it."""

import re

import matplotlib.image
import numpy as np
import pytest
from test_examples import EXAMPLES, run

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
    pixels = matplotlib.image.imread(folder / "here.png")[..., :3]
    for part in np.array_split(pixels, 4, axis=1):  # a panel for each family
        assert part.std() > 0.1
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert np.all(edge == 1.0)


def test_a_bad_option_is_refused_in_one_line(tmp_path):
    refused = run(SWEEP, "--chunk-size", "0", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    line = "sweep.py: error: argument --chunk-size: must be a whole number from 1 to 64, got '0'\n"
    assert refused.stderr == line
