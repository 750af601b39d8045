"""`examples/language_model.py`: what it learns, prints, draws and refuses, and that it branches."""

import itertools
import math
import re
import runpy
from typing import Any

import jax
import numpy as np
import pytest
from support.example_runs import EXAMPLES, assert_is_a_picture, assert_refuses, run
from tqdm import tqdm

pytest.importorskip("flax.nnx", reason="flax needs wheels that this Python has not yet")

SCRIPT = EXAMPLES / "language_model.py"
NAMES = ["cosine", "linear to zero", "WSD"]
STEPS = 40  # compiling takes the time, not training
BAD_OPTIONS = [
    ("--steps", "20"),
    ("--steps", "90"),
    ("--steps", "1000020"),
    ("--steps", "-40"),
    ("--steps", "1e3"),
    ("--steps", ""),
    ("--peak", "0"),
    ("--peak", "nan"),
    ("--seed", "-1"),
    ("--out", "no_such_folder/losses.png"),
    ("--out", "losses.gif"),
    ("--out", "two\nlines"),
]


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Examples may import one another, as they do where a user runs them."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("language_model")


@pytest.fixture(scope="module")
def shown(folder):
    return run(SCRIPT, "--steps", str(STEPS), "--seed", "1", "--out", "here.png", cwd=folder)


@pytest.fixture(scope="module")
def rows(shown) -> dict[str, list[float]]:
    """Three losses and the updates spent by schedule, read from the printed table."""
    row = re.compile(r"^│ (.+?) +│" + r" +([\d.]+) │" * 4 + "$", re.MULTILINE)
    return {name: list(map(float, numbers)) for name, *numbers in row.findall(shown.stdout)}


def test_it_succeeds_and_shows_progress(shown):
    assert shown.returncode == 0, shown.stderr
    assert "Traceback" not in shown.stderr and "Warning" not in shown.stderr
    assert "100%" in shown.stderr and " 186/186 " in shown.stderr


def test_all_learn_more_than_how_frequent_the_characters_are(shown, rows):
    simple = re.search(r"a unigram model has ([\d.]+), a bigram model ([\d.]+)$", shown.stdout, re.M)
    assert simple
    unigram, bigram = map(float, simple.groups())
    assert 2.0 < bigram < unigram < math.log(96)
    assert list(rows) == NAMES
    for *losses, _ in rows.values():
        assert unigram > losses[0] > losses[1] > losses[2] > 1.0
    ends = [losses[2] for losses in rows.values()]
    assert max(ends) < unigram - 0.2 and max(ends) - min(ends) < 0.2


def test_only_wsd_spares_the_common_part(rows):
    each = STEPS // 4 + STEPS // 2 + STEPS
    spent = [row[-1] for row in rows.values()]
    assert spent == [each, each, STEPS * 4 // 5 + each // 5]


def test_each_family_is_one_program(shown):
    assert "\n10 trainings, 3 compiled programs: one for each family\n" in shown.stdout


def test_it_writes_on(shown):
    _, _, sample = shown.stdout.partition("WSD's model goes on:\n")
    written = sample.partition("\npicture")[0]
    assert len(written) > 240 and len(set(written)) > 10


def test_the_picture(shown, folder):
    assert "picture: here.png" in shown.stdout
    assert_is_a_picture(folder / "here.png")  # the rates, the trainings, the horizons


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the script defines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def setup(names) -> Any:
    return names["prepare"](40, 0)[0]


def test_the_rates_are_those_of_the_formulas_and_branches_go_on_where_the_trunk_was(names, setup):
    with tqdm(disable=True) as bar:
        *branches, trunk = names["trunk_and_branches"](setup, 0.01, bar)
    rise = np.arange(2) / 2
    np.testing.assert_allclose(trunk.history.rates, 0.01 * np.r_[rise, np.ones(30)], rtol=1e-6)
    assert [branch.start for branch in branches] == [8, 16, 32]
    for branch, length in zip(branches, (2, 4, 8), strict=True):
        fall = 1 - np.arange(length) / length
        np.testing.assert_allclose(branch.history.rates, 0.01 * fall, rtol=1e-6)
    for branch in branches[:2]:
        # The branch's first update has the trunk's weights, batch and rate.
        assert branch.history.losses[0] == trunk.history.losses[branch.start]
    assert names["programs"] == {"train_part": 1}


def test_no_character_is_seen_before_it_is_told(names, setup):
    model = names["nnx"].merge(setup.graph, setup.params)
    window = setup.held_out[:1, :-1]
    changed = window.copy()
    changed[0, 40] = (window[0, 40] + 1) % 96
    before, after = (np.asarray(jax.jit(model)(characters)) for characters in (window, changed))
    np.testing.assert_array_equal(before[:, :40], after[:, :40])
    assert np.all(np.any(before[:, 40:] != after[:, 40:], axis=-1))


def test_the_held_out_files_are_not_trained_on(names):
    train, held_out = (
        "".join(names["ALPHABET"][place] for place in text) for text in names["read_library"]()
    )
    assert len(held_out) > 100_000 and len(train) > 5 * len(held_out)
    lines = [line for line in held_out.splitlines() if len(line) > 60]
    assert np.mean([line in train for line in lines[::20]]) < 0.05  # some lines stand in many files


def test_a_python_without_its_sources_is_told_so(names, tmp_path, monkeypatch):
    (tmp_path / "os.py").write_text("import abc\n")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(SystemExit, match=r"^language_model.py: error: only 1 modules in .*$"):
        names["read_library"]()


def test_the_simple_losses_are_those_of_counting(names):
    rng = np.random.default_rng(0)
    train, windows = rng.integers(0, 5, 50), rng.integers(0, 5, (3, 4))
    pairs = list(itertools.pairwise(train.tolist()))
    single, double = [], []
    for window in windows.tolist():
        for before, after in itertools.pairwise(window):
            seen = sum(second == after for _, second in pairs) + 96
            single.append(-math.log(seen / (len(pairs) + 96 * 96)))
            firsts = sum(first == before for first, _ in pairs) + 96
            double.append(-math.log((pairs.count((before, after)) + 1) / firsts))
    want = np.mean(single), np.mean(double)
    np.testing.assert_allclose(names["simple_losses"](train, windows), want, rtol=1e-12)


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_it_refuses_bad_options_in_one_clear_line(option, value, tmp_path, monkeypatch, capsys):
    assert_refuses(SCRIPT, option, value, tmp_path, monkeypatch, capsys)
