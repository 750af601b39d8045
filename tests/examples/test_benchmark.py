"""The benchmark, run small: its table and its file have every figure, and what is counted is flat."""

import json
import math

import pytest
from support.example_runs import EXAMPLES, assert_refuses, run

BENCHMARK = EXAMPLES / "benchmark.py"
SMALL = [
    "--repeats",
    "1",
    "--compilations",
    "1",
    "--settings",
    "8",
    "--steps",
    "1000",
    "--params",
    "1000",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("benchmark")


@pytest.fixture(scope="module")
def measured(folder):
    return run(BENCHMARK, *SMALL, "--json", "here.json", cwd=folder)


@pytest.fixture(scope="module")
def figures(measured, folder):
    assert measured.returncode == 0, measured.stderr
    content = json.loads((folder / "here.json").read_text(encoding="utf-8"))
    assert content["where"].startswith("cpu: ")
    return {figure["name"]: figure for figure in content["figures"]}


def test_every_figure_is_measured_and_in_the_table(figures, measured):
    kinds = ("8 settings", "a new value", "eager call", "1e+03 steps", "AdamW", "join of", "import ")
    for kind in kinds:
        assert any(name.startswith(kind) for name in figures), kind
    for name, figure in figures.items():
        assert f"│ {name} " in measured.stdout
        assert math.isfinite(figure["ratio"]) and figure["ratio"] > 0
        assert figure["low"] <= figure["high"]
    assert "figures: here.json" in measured.stdout


def test_a_join_has_as_many_equations_however_many_parts(figures):
    for parts in (16, 64, 256):
        assert figures[f"join of {parts} / of 2: equations"]["ratio"] == 1


def test_a_step_has_no_more_kernels_than_with_optax(figures):
    assert figures["AdamW on 1e+03 parameters: kernels"]["ratio"] <= 1


@pytest.mark.parametrize(("option", "value"), [("--json", "figures.txt"), ("--settings", "7")])
def test_it_refuses_bad_options_in_one_clear_line(option, value, tmp_path, monkeypatch, capsys):
    assert_refuses(BENCHMARK, option, value, tmp_path, monkeypatch, capsys)
