"""`python -m optax_sched compare`: a table and JSON that agree with the functions behind them."""

import json
import re
from typing import Any

import pytest

from optax_sched import constant, cosine_decay, linear, wsd
from optax_sched.__main__ import main
from optax_sched.planning import AnnealingLaw, MultiPowerLaw, convex_bound, transfer_factor

STEPS = 2000
SCHEDULES = {
    "linear(0.0003, 0, 2000)": linear(3e-4, 0.0, STEPS),
    "cosine_decay(0.0003, 2000)": cosine_decay(3e-4, STEPS),
    "wsd(0.0003, 0, 400, 2000)": wsd(3e-4, 0, 400, STEPS),
    "constant(0.0003)": constant(3e-4),
}
SCHEDULES_BY_REPR = {repr(schedule): schedule for schedule in SCHEDULES.values()}
SPECS = [
    "constant(3e-4)",
    "wsd(3e-4, 0, 400, 2000)",
    "cosine_decay(3e-4, 2000)",
    "linear(3e-4, 0, 2000)",
]
LAW = {"L0": 2.65, "A": 0.6, "alpha": 0.45, "B": 440.0, "C": 2.1, "beta": 0.6, "gamma": 0.66}


@pytest.fixture
def law(tmp_path) -> str:
    path = tmp_path / "law.json"
    path.write_text(json.dumps({"law": "MultiPowerLaw", **LAW}), encoding="utf-8")
    return str(path)


def printed(capsys: Any, *options: str, specs: Any = SPECS) -> str:
    main(["compare", *specs, "--steps", str(STEPS), *options])
    out, err = capsys.readouterr()
    assert err == ""
    return out


def rows(table: str) -> list[list[str]]:
    """The cells of each line of the table's body that begins a row."""
    lines = [
        line.strip("│|").replace("|", "│").split("│") for line in table.splitlines() if line[:1] in "│|"
    ]
    return [[cell.strip() for cell in line] for line in lines if re.match(r" *\w+\(", line[0])]


def test_the_table_has_the_best_first_and_marks_what_is_no_difference(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    out = printed(capsys)
    bounds = {name: float(convex_bound(s, STEPS).best_value) for name, s in SCHEDULES.items()}
    body = rows(out)
    assert [row[0] for row in body] == sorted(bounds, key=lambda name: bounds[name])
    best = min(bounds.values())
    for name, worse, scale in body:
        share = bounds[name] / best - 1
        mark = ", no difference" if share < 0.03 else ""
        assert worse == (f"+{100 * share:.1f} %{mark}" if share else "best")
        assert float(scale) == pytest.approx(float(convex_bound(SCHEDULES[name], STEPS)[1]), rel=1e-3)
    assert sum("no difference" in row[1] for row in body) == 1  # cosine
    assert "convex, non-smooth" in " ".join(out.split()) and f"{STEPS} steps" in out


def test_with_a_tuned_schedule_and_a_law(capsys, monkeypatch, law):
    monkeypatch.setenv("COLUMNS", "120")
    out = printed(capsys, "--tuned", "cosine_decay(3e-4, 2000)", "--law", law)
    for name, _, factor, loss in rows(out):
        wanted = transfer_factor(SCHEDULES["cosine_decay(0.0003, 2000)"], STEPS, SCHEDULES[name])
        assert float(factor) == pytest.approx(float(wanted), rel=1e-3)
        assert float(loss) == pytest.approx(
            float(MultiPowerLaw(**LAW)(SCHEDULES[name], STEPS - 1)), abs=1e-4
        )
    assert "if cosine_decay(0.0003, 2000) is tuned for this run" in out


def test_json_is_for_machines(capsys, law):
    data = json.loads(printed(capsys, "--json", "--tuned", SPECS[1], "--law", law))
    assert data["num_steps"] == STEPS and data["tuned"] == repr(SCHEDULES["wsd(0.0003, 0, 400, 2000)"])
    assert "convex" in data["assumption"]
    first, *_, last = data["schedules"]
    assert first["schedule"] == repr(SCHEDULES["linear(0.0003, 0, 2000)"])
    assert first["relative_bound"] == 1.0 and first["no_difference"] and not last["no_difference"]
    tuned = next(row for row in data["schedules"] if row["schedule"] == data["tuned"])
    assert tuned["factor"] == 1.0 and tuned["predicted_loss"] > 2.65
    bare = json.loads(printed(capsys, "--json"))
    assert {(row["factor"], row["predicted_loss"]) for row in bare["schedules"]} == {(None, None)}


def test_the_other_law(capsys, tmp_path):
    numbers = {"L0": 2.6, "A": 0.5, "alpha": 0.5, "C": 0.4, "decay": 0.99}
    (tmp_path / "law.json").write_text(json.dumps({"law": "AnnealingLaw", **numbers}), encoding="utf-8")
    data = json.loads(printed(capsys, "--json", "--law", str(tmp_path / "law.json"), specs=SPECS[:1]))
    wanted = float(AnnealingLaw(**numbers)(constant(3e-4), STEPS - 1))
    assert data["schedules"][0]["predicted_loss"] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["constant(0.1)"], "--steps"),
        (["constant(0.1)", "--steps", "0"], "must be a whole number, 1 or more, got '0'"),
        (["--steps", "10"], "SPEC"),
        (["constant(-0.1)", "--steps", "10"], "constant(value=-0.1): convex_bound: schedule must be"),
        (["constant(0.0)", "--steps", "10"], "a rate above 0 before step 10"),
        (["nonsense", "--steps", "10"], "must be a file or a source text, got 'nonsense'"),
        (
            ["constant(0.1)", "--steps", "10", "--tuned", "constant(0)"],
            "transfer_factor: tuned must be",
        ),
        (["constant(0.1)", "--steps", "10", "--law", "none.json"], "must be a file, got 'none.json'"),
    ],
)
def test_bad_options_are_one_line(capsys, options, words):
    assert words in refusal(capsys, *options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "must be JSON"),
        ("[1, 2]", 'must be an object with "law": "MultiPowerLaw" or "AnnealingLaw"'),
        (json.dumps(LAW), 'must be an object with "law"'),
        (json.dumps({"law": "PowerLaw", **LAW}), 'must be an object with "law"'),
        (
            json.dumps({"law": "AnnealingLaw", **LAW}),
            "AnnealingLaw: got an unexpected keyword argument 'B'; it takes (L0, A, alpha, C, decay)",
        ),
        (json.dumps({"law": "MultiPowerLaw"}), "MultiPowerLaw: missing a required argument: 'L0'; it"),
        (json.dumps({"law": "MultiPowerLaw", **LAW, "beta": -1}), "MultiPowerLaw: beta must be"),
        (json.dumps({"law": "MultiPowerLaw", **LAW, "beta": "1"}), "MultiPowerLaw: beta must be"),
    ],
)
def test_bad_laws_are_one_line(capsys, tmp_path, text, words):
    (tmp_path / "law.json").write_text(text, encoding="utf-8")
    said = refusal(capsys, "constant(0.1)", "--steps", "10", "--law", str(tmp_path / "law.json"))
    assert words in said and "law.json" in said


def refusal(capsys: Any, *options: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *options])
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (2, "")
    assert err.startswith("python -m optax_sched") and err.endswith("\n") and err.count("\n") == 1
    return err


def test_another_length_needs_an_exponent(capsys):
    tuned = "cosine_decay(3e-4, 500)"
    assert (
        "--horizon-exponent is required: the tuned schedule ends at step 500, not at 2000"
        in refusal(capsys, *SPECS, "--steps", str(STEPS), "--tuned", tuned)
    )
    out = printed(capsys, "--json", "--tuned", tuned, "--horizon-exponent", "0.1")
    for row in json.loads(out)["schedules"]:
        wanted = transfer_factor(
            cosine_decay(3e-4, 500), 500, SCHEDULES_BY_REPR[row["schedule"]], STEPS, 0.1
        )
        assert row["factor"] == pytest.approx(float(wanted), rel=1e-5)
    for endless in ("constant(3e-4)", "inverse_sqrt_decay(3e-4, 10)", "step_decay(3e-4, 700, 0.5)"):
        assert printed(capsys, "--json", "--tuned", endless)
    assert printed(capsys, "--json", "--tuned", "cosine_decay(3e-4, 2010)")


def test_a_law_at_another_peak_is_warned_of_and_no_loss_is_negative(capsys, tmp_path):
    file = tmp_path / "law.json"
    numbers = {"law": "MultiPowerLaw", **LAW, "peak_value": 3e-4}
    file.write_text(json.dumps(numbers), encoding="utf-8")
    printed(capsys, "--law", str(file))
    main(["compare", "constant(6e-4)", "--steps", "100", "--law", str(file)])
    assert capsys.readouterr().err.startswith(
        "warning: compare: constant(value=0.0006): the highest rate is 0.0006, and the law was fitted"
    )
    file.write_text(json.dumps({**numbers, "L0": 0.0, "A": 0.0}), encoding="utf-8")
    rows = json.loads(printed(capsys, "--json", "--law", str(file)))["schedules"]
    assert min(row["predicted_loss"] for row in rows) == 0.0
    file.write_text(json.dumps({**numbers, "peak_value": -1}), encoding="utf-8")
    assert "peak_value must be a positive finite number" in refusal(
        capsys, "constant(0.1)", "--steps", "10", "--law", str(file)
    )
