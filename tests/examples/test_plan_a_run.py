"""`examples/plan_a_run.py`: what it claims is what it measured."""

import re

import numpy as np
import pytest
from support.example_runs import EXAMPLES, assert_is_a_picture, assert_refuses, run

from optax_sched import constant, cosine_decay, polynomial_decay, wsd
from optax_sched.planning import transfer_factor

SCRIPT = EXAMPLES / "plan_a_run.py"
STEPS = 60  # compiling takes the time, not training


def test_its_claims_are_what_it_measured(tmp_path):
    shown = run(SCRIPT, "--steps", str(STEPS), "--out", "here.png", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Traceback" not in shown.stderr and "Warning" not in shown.stderr
    assert " 6/6 " in shown.stderr
    assert_is_a_picture(tmp_path / "here.png", parts=2)

    # The predictions are those of the library, from the tuned peak.
    (tuned,) = map(float, re.findall(r"^│ cosine +│ +│ ([\d.]+) │", shown.stdout, re.MULTILINE))
    row = re.compile(r"^│ (.+?) +│ +([\d.]+) │ ([\d.]+) │ +([\d.]+) │ +([\d.]+) │ +([\d.]+) │$", re.M)
    rows = {name: tuple(map(float, numbers)) for name, *numbers in row.findall(shown.stdout)}
    base, long = cosine_decay(tuned, STEPS), cosine_decay(tuned, 4 * STEPS)
    others = {
        "wsd": wsd(tuned, 0, STEPS // 5, STEPS, shape="linear"),
        "square": polynomial_decay(tuned, STEPS, power=2.0),
        "constant": constant(tuned),
    }
    factors = {name: transfer_factor(base, STEPS, other) for name, other in others.items()}
    for exponent in (0.0, 0.32, 0.5):
        factors[f"cosine, 4 x, exponent {exponent:g}"] = transfer_factor(
            base, STEPS, long, 4 * STEPS, exponent
        )
    assert list(rows) == list(factors)
    for name, (predicted, best, ratio, there, lowest) in rows.items():
        assert predicted == pytest.approx(tuned * float(factors[name]), rel=0.01)
        assert ratio == pytest.approx(predicted / best, abs=0.011)
        assert 0 < there < 3 and 0 < lowest < 3

    # The sentences are made of the table.
    said = re.search(r"are off by wsd (\d+) %, square (\d+) %, constant (\d+) %", shown.stdout)
    assert said
    for name, off in zip(others, said.groups(), strict=True):
        predicted, best, *_ = rows[name]
        assert int(off) == pytest.approx(100 * abs(predicted / best - 1), abs=1.0)
    (above,) = re.findall(r"the loss is at most (-?[\d.]+) above the lowest", shown.stdout)
    assert float(above) == pytest.approx(max(rows[n][3] - rows[n][4] for n in others), abs=2e-4)
    (exponent,) = re.findall(r"the best peak fell as horizon\^-(-?[\d.]+) ", shown.stdout)
    best_long = rows["cosine, 4 x, exponent 0"][1]
    assert float(exponent) == pytest.approx(np.log(tuned / best_long) / np.log(4), abs=0.01)

    way = re.compile(r"^│ (.+?) +│ +(\d+) │ ([\d.]+) │ +(-?[\d.]+)? +│ +([\d.]+)? +│$", re.MULTILINE)
    ways = {name: numbers for name, *numbers in way.findall(shown.stdout)}
    assert [ways[name][0] for name in ("as planned, later", "extend", "start over")] == [
        "120",
        "120",
        "150",
    ]
    planned, extended = float(ways["as planned, later"][1]), float(ways["extend"][1])
    gain, error = map(float, ways["extend"][2:])
    assert gain == pytest.approx(planned - extended, abs=2e-4)
    word = (
        "lower" if gain > 2 * error else "higher" if gain < -2 * error else "neither lower nor higher"
    )
    assert f"\nextend ends {word} than as planned" in shown.stdout


@pytest.mark.parametrize(
    ("option", "value"), [("--steps", "19"), ("--seed", "-1"), ("--out", "plan.gif")]
)
def test_it_refuses_bad_options_in_one_clear_line(option, value, tmp_path, monkeypatch, capsys):
    assert_refuses(SCRIPT, option, value, tmp_path, monkeypatch, capsys)
