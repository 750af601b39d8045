"""`read_log`: what trainers write, as it is, and every fault in one line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from optax_sched.porting import read_log

HUGGING_FACE = json.dumps(
    {
        "epoch": 1.0,
        "global_step": 30,
        "log_history": [
            {"epoch": 0.3, "learning_rate": 2e-05, "loss": 1.5, "step": 10},
            {"epoch": 0.3, "eval_loss": 1.25, "eval_note": "best", "step": 10},
            {"epoch": 0.6, "learning_rate": 1e-05, "loss": float("nan"), "step": 20},
            {"epoch": 1.0, "learning_rate": 0.0, "loss": 1.0, "step": 30},
            {"epoch": 1.0, "total_flos": 3, "train_runtime": 1.5, "step": 30},
        ],
    },
    indent=2,
)
LIGHTNING = """epoch,lr-AdamW,step,train_loss
0,,9,2.5
,0.01,10,
0,,19,2.25
,0.02,20,
"""
ULTRALYTICS = """                  epoch,         train/box_loss,                 lr/pg0
                      1,                 1.2345,             0.00055567
                      2,                 1.1111,              0.0010012
"""
WANDB = """"Step","a - train/lr","a - train/lr__MIN","a - train/lr__MAX","b - train/lr"
"0","0.0010000000474974513","0.0010000000474974513","0.0010000000474974513",""
"5","","","","0.5"
"10","0.002","0.002","0.002","NaN"
"""
LINES = """{"Step": 1, "lr": "1e-3", "tags": ["x"], "ok": true}
{"Step": 2, "lr": null}

{"Step": 3, "lr": 3e-3}
"""


@pytest.fixture
def written(tmp_path):
    def write(text: str, name: str = "log.csv") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def as_lists(curves: dict) -> dict:
    return {name: (steps.tolist(), values.tolist()) for name, (steps, values) in curves.items()}


def test_hugging_face(written):
    curves = read_log(written(HUGGING_FACE, "trainer_state.json"))
    assert list(curves) == [
        "epoch",
        "learning_rate",
        "loss",
        "eval_loss",
        "total_flos",
        "train_runtime",
    ]
    assert as_lists(curves)["learning_rate"] == ([10, 20, 30], [2e-5, 1e-5, 0.0])
    assert as_lists(curves)["eval_loss"] == ([10], [1.25])
    assert np.isnan(curves["loss"][1][1])
    assert all(array.dtype == np.float64 for curve in curves.values() for array in curve)
    compact = json.dumps(json.loads(HUGGING_FACE))
    again = read_log(written(compact, "compact.json"))
    np.testing.assert_equal(as_lists(again), as_lists(curves))


def test_csv_with_empty_cells(written):
    assert as_lists(read_log(written(LIGHTNING))) == {
        "epoch": ([9, 19], [0, 0]),
        "lr-AdamW": ([10, 20], [0.01, 0.02]),
        "train_loss": ([9, 19], [2.5, 2.25]),
    }


def test_padded_names_and_epochs_as_steps(written):
    assert as_lists(read_log(written(ULTRALYTICS))) == {
        "train/box_loss": ([1, 2], [1.2345, 1.1111]),
        "lr/pg0": ([1, 2], [0.00055567, 0.0010012]),
    }


@pytest.mark.parametrize(
    "change", [str, lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")]
)
def test_several_runs_side_by_side(written, change):
    curves = read_log(written(change(WANDB)))
    assert as_lists(curves)["a - train/lr"] == ([0, 10], [0.0010000000474974513, 0.002])
    steps, values = curves["b - train/lr"]
    assert steps.tolist() == [5, 10] and values[0] == 0.5 and np.isnan(values[1])


def test_json_lines(written):
    assert as_lists(read_log(written(LINES, "log.jsonl"))) == {"lr": ([1, 3], [1e-3, 3e-3])}
    assert as_lists(read_log(written(f"[{LINES.replace('}', '},').strip().strip(',')}]"))) == {
        "lr": ([1, 3], [1e-3, 3e-3])
    }


def test_true_and_false_are_left_out_as_texts_are(written):
    lines = '{"step": 0, "lr": 0.1, "best": false, "ok": false}\n{"step": 1, "lr": 0.2, "best": true}\n'
    cells = "step,lr,best,ok\n0,0.1,False,False\n1,0.2,True,\n"
    for text in (lines, cells):
        assert as_lists(read_log(written(text))) == {"lr": ([0, 1], [0.1, 0.2])}


def test_the_rows_that_a_resumed_run_overtook_do_not_count(written):
    steps = [0, 10, 20, 30, 40, 20, 30, 40, 50, 50]
    rows = [f"{step},{number}," for number, step in enumerate(steps)]
    rows[3] = "30,3,7"  # of the part that was overtaken: the second part logged none
    rows[8] = "50,8,9"
    curves = read_log(written("STEP,lr,eval\n" + "\n".join(rows) + "\n"))
    assert as_lists(curves) == {
        "lr": ([0, 10, 20, 30, 40, 50], [0, 1, 5, 6, 7, 9]),
        "eval": ([50], [9]),
    }


@pytest.mark.parametrize(
    ("columns", "steps"),
    [
        ("epoch,iter,step", "step"),
        ("Epoch,Iteration", "Iteration"),
        ("trainer/global_step,_step", "_step"),
        ("epoch,trainer/global_step", "trainer/global_step"),
        ("epoch,opt_step,iter", "opt_step"),
    ],
)
def test_which_column_counts_the_steps(written, columns, steps):
    names = [*columns.split(","), "lr"]
    row = ",".join(str(names.index(name) + 1) for name in names)
    curves = read_log(written(f"{columns},lr\n{row}\n"))
    assert as_lists(curves)["lr"] == ([names.index(steps) + 1], [len(names)])
    assert steps not in curves


FAULTS = {
    "step,lr\n1,0.1\n2,x\n": "log.csv, row 3, column 'lr' must be a number, got 'x'",
    "step,lr\nx,0.1\n2,0.1\n": "log.csv, row 2, column 'step' must be a number, got 'x'",
    "step,lr\nnan,0.1\n": "log.csv, row 2, column 'step' must be a finite number, got 'nan'",
    "step,lr\n1,0.1\n2\n": "log.csv, row 3 must be 2 cells, got 1",
    "step,lr,lr\n1,2,3\n": "log.csv, row 1, column 'lr' must be there once",
    'step,lr\n1,"2\n': "log.csv, row 2: unexpected end of data",
    "time,lr\n1,0.1\n": r"log.csv: must have a column of steps \(step, .*\), got time, lr",
    "": "log.csv: must have a column of steps .* got no columns",
    "step,lr\n1,\x00\n": "log.csv: must have numbers in a column beside 'step', got step, lr",
    '{"step": 1}\n{"step": 2,\n': "log.csv, row 2, column 12: Expecting",
    '{\n"step": 1,\n"lr": }\n': "log.csv, row 3, column 7: Expecting value",
    '[{"step": 1, "lr": 1}, 5]': "log.csv, row 2 must be a JSON object, got 5",
    '{"step": false, "lr": 1}': "log.csv, row 1, column 'step' must be a number, got False",
    '{"step": 1, "lr": 1}\n{"step": 2, "lr": false}': "log.csv, row 2, column 'lr' must be a number",
    '[{"step": 1, "a": 1}, {"step": 2, "a": "b"}]': "log.csv, row 2, column 'a' must be a number,",
}


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_one_line_with_file_row_and_column(written, text):
    with pytest.raises(ValueError, match=f"^read_log: {FAULTS[text]}") as caught:
        read_log(written(text))
    assert "\n" not in str(caught.value) and re.fullmatch(r".{1,250}", str(caught.value))


def test_what_is_no_text(tmp_path):
    (tmp_path / "events.out").write_bytes(b"\x80\xff\x00")
    with pytest.raises(ValueError, match=r"^read_log: path must be a text file in UTF-8, got "):
        read_log(tmp_path / "events.out")
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / "none.csv")
