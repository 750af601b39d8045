"""`examples/predict_loss.py`: the whole circle at its smallest, and logs of one's own."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pictures import assert_is_a_picture

from optax_sched import piecewise_constant, warmup, warmup_cosine_decay
from optax_sched.__main__ import main as command
from optax_sched.planning import MultiPowerLaw

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "examples/predict_loss.py"
ROW = re.compile(
    r"^│ (.+?) +│" + r" +(\d+) │" + r" +([\d.]+) │" * 3 + r" +([+-][\d.]+) │ +([\d.]+) │$", re.MULTILINE
)


def run(*options: str, cwd: Path) -> Any:
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=300)


def rows(printed: str) -> dict[str, list[float]]:
    """Updates, last loss, prediction, deviation, error and mean error by run."""
    return {name: list(map(float, numbers)) for name, *numbers in ROW.findall(printed)}


def test_logs_of_ones_own_are_fitted_and_predicted_without_training(tmp_path, capsys):
    law = MultiPowerLaw(2.65, 0.6, 0.45, 440.0, 2.1, 0.6, 0.66)
    schedules = {
        "constant": warmup(3e-4, 100),
        "cosine": warmup_cosine_decay(3e-4, 100, 3000),
        "drop": warmup(piecewise_constant([3e-4, 1e-4], [1400]), 100),
        "longer": warmup_cosine_decay(3e-4, 100, 6000, end_value=3e-5),
    }
    rng = np.random.default_rng(0)
    for name, schedule in schedules.items():
        steps = np.arange(99, 6000 if name == "longer" else 3000, 20)
        losses = np.asarray(law(schedule, steps)) * np.exp(5e-4 * rng.standard_normal(len(steps)))
        table = np.stack([steps, np.asarray(schedule(steps)), losses], axis=1)
        np.savetxt(tmp_path / f"{name}.csv", table, "%.9g", ",", header="step,lr,loss", comments="")
    logs = ("constant.csv", "cosine.csv", "drop.csv", "--test", "longer.csv")
    done = run("--runs", *logs, "--law", "law.json", "--out", "here.png", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert list(found) == ["constant*", "cosine*", "drop*", "longer"]
    for updates, loss, predicted, deviation, error, mean in found.values():
        assert updates in (3000, 6000)
        assert error == pytest.approx(predicted - loss, abs=2e-4)
        assert abs(error) < 6e-3 and mean < 4e-3 and 1e-2 < deviation < 2e-2
    assert re.search(r"^(\d+)% of the predicted losses lie within two", done.stdout, re.MULTILINE)
    assert_is_a_picture(tmp_path / "here.png")
    # What was written is what the command line reads.
    numbers = json.loads((tmp_path / "law.json").read_text(encoding="utf-8"))
    assert numbers.pop("law") == "MultiPowerLaw"
    assert numbers.pop("peak_value") == pytest.approx(3e-4)
    want = float(MultiPowerLaw(**numbers)(schedules["constant"], 2999))
    assert want == pytest.approx(found["constant*"][2], abs=2e-3)
    specs = ["constant(3e-4)", "linear(3e-4, 0, 3000)"]
    command(["compare", *specs, "--steps", "3000", "--law", str(tmp_path / "law.json")])
    assert re.search(r"2\.\d{3}|3\.\d{3}", capsys.readouterr().out)


def test_a_file_that_is_no_log_is_told_so(tmp_path):
    columns = "bad.csv: must have the columns loss and lr or learning_rate, got rate\n"
    cell = "read_log: bad.csv, row 3, column 'loss' must be a number, got 'x'\n"
    for text, told in {"step,rate\n1,2\n": columns, "step,lr,loss\n1,2,3\n2,2,x\n": cell}.items():
        (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
        done = run("--runs", "bad.csv", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"predict_loss.py: error: {told}"


@pytest.mark.filterwarnings("ignore:fit_loss_law")  # so few losses do not tell the parameters apart
# A log of 50 steps is a poor one, and an AnnealingLaw a poor planner: both are warned of.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_whole_circle(tmp_path, monkeypatch, capsys):
    pytest.importorskip("flax.nnx", reason="flax needs wheels that this Python has not yet")
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = runpy.run_path(str(SCRIPT))
    monkeypatch.setitem(names["main"].__globals__, "LOGS", 10)
    monkeypatch.setitem(names["main"].__globals__, "HELD_OUT_WINDOWS", 16)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--steps", "50", "--kind", "AnnealingLaw"])
    names["main"]()
    found = rows(capsys.readouterr().out)
    fitted = ["constant*", "cosine*", "drop*"]
    assert list(found) == [*fitted, "WSD", "cosine, twice as long", "best_schedule"]
    assert [row[0] for row in found.values()] == [50, 50, 50, 50, 100, 50]
    for _, loss, predicted, _, error, mean in found.values():
        assert 1.5 < loss < 4.0  # it learns: 4.56 is the log of 96 characters
        assert error == pytest.approx(predicted - loss, abs=2e-4) and mean < 0.3
    assert found["cosine, twice as long"][1] < found["cosine*"][1]
    assert_is_a_picture(tmp_path / "predict_loss.png")
