"""The command line: each command once as a user runs it, and every refusal in one line."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
from support.pictures import assert_is_a_picture

import optax_sched
from optax_sched.__main__ import main
from optax_sched._core.curve import horizon
from optax_sched.porting import identify

WARMUP = {
    "builder": "warmup",
    "schedule": {"builder": "cosine_decay", "init_value": 0.1, "decay_steps": 900},
    "warmup_steps": 100,
}
WSD = {
    "builder": "wsd",
    "peak_value": 0.08,
    "warmup_steps": 90,
    "decay_steps": 250,
    "total_steps": 1000,
}
SOURCE = "warmup(cosine_decay(1e-1, 900), 100)"
NO_STEPS = "--steps: must be a whole number, 1 or more"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with configs, in which the command runs."""
    for name, config in {"warmup": WARMUP, "wsd": WSD}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, "-m", "optax_sched", *options],
        env=os.environ | environment | settings,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def refusal(capsys, *options: str) -> str:
    """The one line on stderr."""
    with pytest.raises(SystemExit) as stopped:
        main(list(options))
    printed = capsys.readouterr()
    assert (stopped.value.code, printed.out) == (2, "")
    assert printed.err.startswith("python -m optax_sched") and ": error: " in printed.err
    assert printed.err.endswith("\n") and printed.err.count("\n") == 1
    return printed.err


def test_plot(folder):
    done = run("plot", "warmup.json", "--steps", "1000", "--out", "curve.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "picture: curve.png\n", "")
    assert_is_a_picture(folder / "curve.png")


def test_plot_compares(folder, capsys):
    main(["plot", "warmup.json", "wsd.json", "--log", "--out", "two.png"])
    assert capsys.readouterr().out == "picture: two.png\n"
    assert_is_a_picture(folder / "two.png")


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".jpg", ".PNG"])
def test_plot_writes_what_the_suffix_says(folder, suffix):
    main(["plot", "wsd.json", "--steps", "10", "--out", f"curve{suffix}"])
    start = (folder / f"curve{suffix}").read_bytes()[:5]
    expected = {".svg": b"<?xml", ".pdf": b"%PDF-", ".jpg": b"\xff\xd8\xff", ".PNG": b"\x89PNG"}
    assert start.startswith(expected[suffix])


def table_of(text: str) -> dict[int, float]:
    """Steps and values of the printed table."""
    rows = (
        line.strip("│|").replace("|", "│").split("│") for line in text.splitlines() if line[:1] in "│|"
    )
    return {int(row[0]): float(row[1]) for row in rows if row[0].strip().isdecimal()}


def test_show(folder):
    done = run("show", "warmup.json")
    assert (done.returncode, done.stderr) == (0, "")
    source, *_ = done.stdout.splitlines()
    assert eval(source, dict(vars(optax_sched))).warmup_steps == 100
    values = table_of(done.stdout)
    assert list(values) == [0, 99, *range(100, 1001, 100)]
    for step, value in values.items():
        wave = 0.05 * (1 + np.cos(np.pi * (step - 100) / 900))
        assert value == pytest.approx(0.001 * step if step < 100 else wave, rel=1e-5, abs=1e-9)
    assert done.stdout.count("a phase begins") == 1
    assert "│  100 │        0.1 │ a phase begins │" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines()[1:])


@pytest.mark.parametrize("steps", [(), ("--steps", "2000000000000")])
def test_a_clock_of_tokens_is_shown_to_its_end(folder, capsys, steps):
    tokens = "wsd(1e-3, 2e9, 4e11, 2e12, shape='linear')"
    main(["show", tokens, *steps])
    values = table_of(capsys.readouterr().out)
    assert min(values) == 0 and max(values) == 2 * 10**12
    for step, value in values.items():
        want = 1e-3 * min(step / 2e9, 1.0, (2e12 - step) / 4e11)
        assert value == pytest.approx(want, rel=1e-5, abs=1e-9)
    main(["plot", tokens, *steps, "--out", "tokens.png"])
    assert_is_a_picture(folder / "tokens.png")


def test_a_spec_may_be_a_source_text_or_yaml(folder, capsys):
    (folder / "warmup.yaml").write_text(
        "builder: warmup\nwarmup_steps: 100\n"
        "schedule: {builder: cosine_decay, init_value: 0.1, decay_steps: 900}\n"
    )
    (folder / "strange(name).json").write_text(json.dumps(WARMUP), encoding="utf-8")
    printed = []
    for spec in ("warmup.json", "warmup.yaml", "strange(name).json", SOURCE):
        main(["show", spec])
        printed.append(capsys.readouterr().out)
    assert len(set(printed)) == 1 and "schedule=cosine_decay(init_value=0.1, decay_st" in printed[0]
    main(["plot", SOURCE, "wsd.json", "--steps", "9", "--out", "two.png"])
    assert_is_a_picture(folder / "two.png")


def test_a_byte_order_mark_is_read(folder, capsys):
    (folder / "marked.json").write_text(json.dumps(WARMUP), encoding="utf-8-sig")
    text = "\ufeffwarmup(cosine_decay(1e-1, 900), 100)"
    printed = []
    for spec in ("warmup.json", "marked.json", text):
        main(["show", spec])
        printed.append(capsys.readouterr().out)
    assert len(set(printed)) == 1


def test_arithmetic_is_read(folder, capsys):
    main(["show", "0.1 * cosine_decay(1.0, 900) + 1e-5", "--steps", "900"])
    assert table_of(capsys.readouterr().out)[900] == pytest.approx(1e-5)


def test_show_draws_the_curve(folder, capsys):
    main(["show", "wsd.json", "--steps", "1000"])
    _, _, curve = capsys.readouterr().out.partition("(value)")
    # Ten rows of fifty characters, of which a braille blank is an empty one.
    rows = [line.partition("| ")[2].ljust(50, "⠀") for line in curve.splitlines()[2:12]]
    drawn = np.array([[mark != "⠀" for mark in row] for row in rows])
    assert drawn.shape == (10, 50)
    assert np.all(drawn[0, 5:37]) and not np.any(drawn[1:, 6:36])  # the plain, and nothing below it
    assert drawn[-1, 0] and drawn[-1, -1] and not drawn[0, 0] and not drawn[0, -1]
    assert curve.splitlines()[-1].split() == ["|", "0", "200", "400", "600", "800", "1000"]


@pytest.mark.parametrize(
    "config", [{"builder": "constant", "value": value} for value in (0, 0.1, -2)], ids=str
)
def test_show_of_a_flat_one(folder, capsys, config):
    (folder / "flat.json").write_text(json.dumps(config))
    main(["show", "flat.json"])
    printed = capsys.readouterr().out
    assert set(table_of(printed).values()) == {config["value"]}
    rows = [line for line in printed.splitlines() if "⠉" * 50 in line or "⣀" * 50 in line]
    assert len(rows) == 1


@pytest.mark.wide
def test_show_where_there_is_no_unicode(folder):
    done = run("show", "wsd.json", "--steps", "20", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert table_of(done.stdout)[20] == pytest.approx(0.08 * 20 / 90, rel=1e-5)
    assert done.stdout.endswith("(the curve needs a terminal in UTF-8)\n")


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (optax_sched.cosine_decay(0.1, 1000), 1000),
        (optax_sched.cosine_decay(0.1, 10**7), 10**7),
        (optax_sched.step_decay(0.3, 30, 0.5, 0.001), 270),
        (optax_sched.linear(1.0, 0.0, 1), 1),
        (optax_sched.piecewise_constant([1.0, 0.5, 1.0], [10, 34567]), 35000),
        # These never settle.
        (optax_sched.constant(0.1), 1000),
        (optax_sched.inverse_sqrt_decay(0.1, 100), 1000),
        (optax_sched.cyclic(0.0, 1.0, 7), 1000),
        (optax_sched.noisy(0.1, 0, 0.1), 1000),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_steps_shown_when_none_are_given(schedule, steps):
    assert horizon(schedule) == steps


@pytest.mark.slow
def test_identify(folder, capsys):
    schedule = optax_sched.warmup_linear_decay(1e-3, 20, 200)
    rows = [f"{step},{float(schedule(step)):.3e},2.5" for step in range(0, 201, 4)]
    (folder / "log.csv").write_text("step,train/lr,loss\n" + "\n".join(rows) + "\n")
    main(["identify", "log.csv", "--plot", "log.png"])
    printed = capsys.readouterr().out
    assert "log.csv, train/lr: 51 values" in printed and "picture: log.png" in printed
    first = next(line for line in printed.splitlines() if line.startswith("│"))
    assert "warmup_linear_decay(0.001, 20, 200)" in first and first.count("none") == 1
    assert_is_a_picture(folder / "log.png")
    main(["identify", "log.csv", "--column", "loss"])
    assert "constant(2.5)" in capsys.readouterr().out


@pytest.mark.slow
def test_identify_marks_where_a_log_and_the_best_match_part(folder, monkeypatch):
    line = optax_sched.linear(9.001e-3, 1e-3, 100)
    values = [f"{float(line(step)):.3e}" for step in range(60)] + ["5.003e-03"] * 40
    (folder / "log.csv").write_text("step,lr\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))
    axes = matplotlib.figure.Figure().subplots()
    monkeypatch.setattr("optax_sched.__main__.picture", lambda *_: contextlib.nullcontext(axes))
    main(["identify", "log.csv", "--plot", "log.png"])
    best = identify(range(100), values)[0]
    used = np.asarray(best.schedule(np.arange(100) + best.offset), float)
    apart = np.flatnonzero(np.abs(used - np.array(values, float)) > 1.001 * 5e-7)
    *_, mark = axes.get_lines()
    assert mark.get_label() == f"they part at step {apart[0]}"
    assert np.all(np.asarray(mark.get_xdata()) == apart[0])


def test_help_explains_a_config(capsys):
    for command in ("plot", "show"):
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        text = capsys.readouterr().out
        assert stopped.value.code == 0
        config = json.loads("{" + text.partition("{")[2])  # the example is the end of the text
        schedule = optax_sched.from_config(config)
        np.testing.assert_allclose(schedule(np.array([0, 100, 1000])), [0, 0.1, 0], rtol=1e-6)


PICTURE = ("--out", "x.png")
SUFFIX = "--out: must end in .png, .svg, .pdf, .jpg"
BAD = [
    ((), "required: plot | show"),
    (("identify",), "required: FILE"),
    (("identify", "wsd.json"), "read_log: wsd.json: must have a column of steps (step, _step, "),
    (("identify", "no.csv"), "No such file or directory: 'no.csv'"),
    (("draw",), "invalid choice: 'draw'"),
    (("plot", "wsd.json"), "required: --out"),
    (("plot", *PICTURE), "required: SPEC"),
    (("show",), "required: SPEC"),
    (("show", "wsd.json", "--colour"), "unrecognized arguments: --colour"),
    (
        ("show", "none.json"),
        "SPEC: must be a file or a source text, got 'none.json': no such file; a source text is a call",
    ),
    (
        ("show", "cosine_decay"),
        "got 'cosine_decay': call the builder: cosine_decay(init_value, decay_steps, end_value=0.0, ",
    ),
    (("show", "wdd"), "got 'wdd': no such file; did you mean wsd?; a source text is a call"),
    (("show", "cosine(0.1, 9)"), "got 'cosine'; cosine is `cosine_decay(lr, decay_steps)` here"),
    (("show", "linear(lr, 0.0, 9)"), "a call or arithmetic, got 'lr'"),
    (("show", "plateau(0.1)"), "ve_only=False): write the schedule inside it alone"),
    (("show", "0.1"), "got '0.1': for a constant write constant(0.1)"),
    (
        ("show", "cosin_decay(1, 2)"),
        "SPEC: from_source: builder must be the name of a builder, got 'cosin_decay'; did you mean cos",
    ),
    (("show", "power_shape(2)"), "SPEC: must be a schedule, got power_shape(exponent=2.0)"),
    (("show", "constant(" * 10_000), "SPEC: from_source: line 1 is not valid Python: "),
    (("show", "a" * 10_000), "SPEC: must be a file or a source text, got 'aaaaaaaaaaa"),
    (("show", "\0"), "SPEC: must be a file or a source text, got "),
    (("show", "."), "SPEC: must be a file, got '.': Is a directory"),
    (("plot", "wsd.json", "none.json", *PICTURE), "must be a file or a source text, got 'none.json'"),
    (
        ("show", "wsd.json", "--steps", "0"),
        f"{NO_STEPS}, got '0'",
    ),
    (
        ("show", "wsd.json", "--steps", "-3"),
        f"{NO_STEPS}, got '-3'",
    ),
    (
        ("show", "wsd.json", "--steps", "1e3"),
        f"{NO_STEPS}, got '1e3'",
    ),
    (
        ("show", "wsd.json", "--steps", str(2**31)),
        "show: --steps must be a whole number, 1 or more, got 2147483648: an integer is at most",
    ),
    (
        ("plot", "wsd.json", "--out", "x.png", "--steps", str(2**31)),
        "plot: --steps must be a whole number, 1 or more, got 2147483648: an integer is at most",
    ),
    (("plot", "wsd.json", "--out", "x.gif"), f"{SUFFIX}, got 'x.gif'"),
    (
        ("plot", "wsd.json", "--out", "picture"),
        "--out: must end in .png, .svg, .pdf, .jpg, got 'picture'",
    ),
    (
        ("plot", "wsd.json", "--out", "no/x.png"),
        "--out: must be a file in a writable folder, got 'no/x.png'",
    ),
    (("plot", "wsd.json", "--out", "two\nlines"), "--out: must end in"),
]


@pytest.mark.parametrize(("options", "says"), BAD, ids=lambda value: str(value)[:50])
def test_a_bad_command_is_refused_in_one_line(folder, capsys, options, says):
    before = sorted(folder.iterdir())
    assert says in refusal(capsys, *options)
    assert sorted(folder.iterdir()) == before


BAD_CONFIGS = [
    (b"", "must be JSON (a YAML file ends in .yaml or .yml), bad.json is not: "),
    (b'{"builder": "wsd"', "must be JSON (a YAML file ends in .yaml or .yml), bad.json is not: "),
    (b"\xff\xfe", "must be JSON (a YAML file ends in .yaml or .yml), bad.json is not: "),
    (b"[" * 100_000, "must be JSON (a YAML file ends in .yaml or .yml), bad.json is not: "),
    (b'{"builder": "wsd"}', "bad.json: from_config: peak_value is missing"),
    (b"3", "bad.json: from_config: config must be a dict"),
    (
        b'{"builder": "cosin_decay"}',
        "must be the name of a builder, got 'cosin_decay'; did you mean",
    ),
    (
        b'{"builder": "warmup", "warmup_steps": 3, "schedule": '
        b'{"builder": "cosine_decay", "init_value": 1, "decay_steps": -5}}',
        "bad.json: from_config: schedule.decay_steps must be a positive finite number of steps",
    ),
]


@pytest.mark.parametrize(("text", "says"), BAD_CONFIGS, ids=lambda value: str(value)[:40])
def test_a_bad_config_is_refused_in_one_line_with_its_path(folder, capsys, text, says):
    (folder / "bad.json").write_bytes(text)
    assert says in refusal(capsys, "show", "bad.json")


@pytest.mark.parametrize(
    "text", ["a: [", "{a: b: c}", "!!python/object/apply:os.system ['touch stolen']"]
)
def test_bad_yaml_is_refused_in_one_line(folder, capsys, text):
    (folder / "bad.yml").write_text(text)
    assert "must be YAML, bad.yml is not: " in refusal(capsys, "show", "bad.yml")
    assert not (folder / "stolen").exists()


def test_what_cannot_be_drawn_is_refused_in_one_line(folder, capsys):
    (folder / "zero.json").write_text('{"builder": "constant", "value": 0}')
    line = refusal(capsys, "plot", "zero.json", "--log", *PICTURE)
    assert "plot: log must be False where no value is above 0" in line
    assert not (folder / "x.png").exists()


@pytest.mark.parametrize("spec", ["CosineAnnealingLR(0.1, T_max=100)", "torch.CosineAnnealingLR"])
def test_a_name_of_another_library_is_answered_with_the_call_here(spec, folder, capsys):
    said = refusal(capsys, "show", spec)
    assert "torch's CosineAnnealingLR(" in said and "cosine_decay(lr, T_max, eta_min)" in said


@pytest.mark.slow
def test_what_is_too_deep_is_refused_in_one_line(folder, capsys):
    config = WSD
    for _ in range(30):
        config = {"builder": "warmup", "schedule": config, "warmup_steps": 1}
    (folder / "deep.json").write_text(json.dumps(config))
    assert "must be at most 30 schedules deep" in refusal(capsys, "show", "deep.json")
    deepest = config["schedule"]
    (folder / "deepest.json").write_text(json.dumps(deepest))
    main(["show", "deepest.json"])
    assert capsys.readouterr().out.startswith("warmup(schedule=warmup(")


@pytest.mark.parametrize(
    ("missing", "options"),
    [
        ("matplotlib.figure", ("plot", "wsd.json", *PICTURE)),
        ("rich.console", ("show", "wsd.json")),
    ],
)
def test_a_missing_library_is_told_with_the_command_that_installs_it(
    folder, capsys, monkeypatch, missing, options
):
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not there
    line = refusal(capsys, *options)
    assert 'is not installed: python -m pip install "optax_sched[plot]"' in line
    assert missing.partition(".")[0] in line
