"""Reads the curves that a trainer logged: a JSON, JSON lines or CSV file as the trainer wrote it."""

import csv
import json
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from optax_sched._core.errors import Refusal

# From the most to the least telling; an epoch is a step only where nothing counts steps.
_COUNTERS = ("step", "_step", "global_step", "opt_step", "trainer/global_step", "iter", "iteration")
STEP_NAMES = (*_COUNTERS, "epoch")


class Row(NamedTuple):
    where: str  # the file, and the line; in a JSON list, the entry
    cells: dict[str, object]


def read_log(path: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The curves in a trainer's log file, each by the name of its column.

    It reads these files as they are: Hugging Face's `trainer_state.json`, CSV (Lightning's
    `metrics.csv`, ultralytics' `results.csv`, exports of Weights & Biases with one run or several side
    by side), and JSON lines. A byte order mark, quotes and blanks around names and numbers do not
    matter. The steps are the column `step`, `_step`, `global_step`, `opt_step`, `trainer/global_step`,
    `iter` or `iteration`, whichever comes first, in capitals or not; without one of these, `epoch`.

    An empty cell leaves out that step of that column. Where a run was resumed from an earlier step, the
    rows that it overtook are left out; where a step is repeated, the last value counts. A column of
    texts, or of true and false, is left out.

    Args:
      path: the file.

    Returns:
      A dict of the columns in the file's order: (steps, values), two float arrays of equal length.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is no such file, it has no column of steps or no numbers beside it, or a cell is
        not what it must be. The error names the file, the row (of a CSV file and of JSON lines the
        line, of other JSON files the entry, from 1) and the column.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "metrics.csv"
    >>> _ = file.write_text("epoch,lr-AdamW,step,loss\\n0,,9,2.5\\n0,0.01,10,\\n1,0.02,20,\\n")
    >>> steps, values = read_log(file)["lr-AdamW"]
    >>> print(steps, values)
    [10. 20.] [0.01 0.02]
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal("read_log", "path", "a text file in UTF-8", str(path)).error() from None
    rows = (_json_rows if text.lstrip()[:1] in ("{", "[") else _csv_rows)(path.name, text)
    names = list(dict.fromkeys(name for row in rows for name in row.cells))
    by_word = {name.lower(): name for name in reversed(names)}
    steps_name = next((by_word[word] for word in STEP_NAMES if word in by_word), None)
    if steps_name is None:
        rule = f"must have a column of steps ({', '.join(STEP_NAMES)})"
        raise ValueError(f"read_log: {path.name}: {rule}, got {', '.join(names) or 'no columns'}")
    kept: list[tuple[float, Row]] = []
    for row in reversed(rows):
        step = _number(row, steps_name)
        if step is not None and not math.isfinite(step):
            raise _refused(row, steps_name, "a finite number")
        if step is not None and (not kept or step <= kept[-1][0]):
            kept.append((step, row))
    curves = {}
    for name in names:
        if name == steps_name or all(_as_float(row.cells.get(name)) is None for row in rows):
            continue
        pairs = ((step, _number(row, name)) for step, row in reversed(kept))
        found = {step: value for step, value in pairs if value is not None}  # a step's last value
        if found:
            curves[name] = (np.array(list(found)), np.array(list(found.values())))
    if not curves:
        rule = f"must have numbers in a column beside {steps_name!r}"
        raise ValueError(f"read_log: {path.name}: {rule}, got {', '.join(names)}")
    return curves


def _csv_rows(file: str, text: str) -> list[Row]:
    reader = csv.reader(text.splitlines(keepends=True), skipinitialspace=True, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        rows = []
        for cells in reader:
            where = f"{file}, row {reader.line_num}"
            if any(cell.strip() for cell in cells) and len(cells) != len(names):
                raise Refusal("read_log", where, f"{len(names)} cells", len(cells)).error()
            rows.append(Row(where, dict(zip(names, cells, strict=False))))
    except csv.Error as error:
        raise ValueError(f"read_log: {file}, row {reader.line_num}: {error}") from None
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"read_log: {file}, row 1, column {twice!r} must be there once")
    return rows


def _json_rows(file: str, text: str) -> list[Row]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    first = lines[0][1].strip()
    if not (first.startswith("{") and first.endswith("}")):  # not an object a line
        lines = [(1, text)]
    entries = []
    for number, line in lines:
        try:
            entries.append((number, json.loads(line)))
        except json.JSONDecodeError as error:
            place = f"row {number + error.lineno - 1}, column {error.colno}"
            raise ValueError(f"read_log: {file}, {place}: {error.msg}") from None
    if len(entries) == 1:
        whole = entries[0][1]
        listed = whole.get("log_history") if isinstance(whole, dict) else whole
        entries = list(enumerate(listed, 1)) if isinstance(listed, list) else entries
    for number, entry in entries:
        if not isinstance(entry, dict):
            raise Refusal("read_log", f"{file}, row {number}", "a JSON object", entry).error()
    return [Row(f"{file}, row {number}", entry) for number, entry in entries]


def _as_float(cell: object) -> float | None:
    try:
        return float(cell) if isinstance(cell, str | float) or type(cell) is int else None
    except (ValueError, OverflowError):
        return None


def _number(row: Row, name: str) -> float | None:
    """The number in a cell, or None where the cell is empty."""
    cell = row.cells.get(name)
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in ("", "none", "null")):
        return None
    number = _as_float(cell)
    if number is None:
        raise _refused(row, name, "a number")
    return number


def _refused(row: Row, name: str, rule: str) -> Exception:
    return Refusal("read_log", f"{row.where}, column {name!r}", rule, row.cells[name]).error()
