"""The tour in a notebook runs from the first cell to the last, and shows what it shows in the file."""

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TOUR = Path(__file__).parents[2] / "examples" / "tour.ipynb"


def shown(notebook: Any) -> list[str]:
    """What each code cell prints, in however many messages, and the source of what it shows."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    kept = [[out for out in cell.outputs if out.get("name") != "stderr"] for cell in cells]
    return ["".join(out.get("text") or out["data"]["text/plain"] for out in outs) for outs in kept]


def curves(notebook: Any) -> int:
    return sum(
        "<svg" in output.get("data", {}).get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )


def digits(text: str) -> str:
    """The text with its numbers shortened: the last digits differ from machine to machine."""
    return re.sub(r"\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.1e}", text)


# The kernel's own libraries warn of their own parts.
@pytest.mark.filterwarnings("ignore")
def test_the_tour_runs_and_shows_its_schedules(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(TOUR.parents[1]))
    import nbformat  # nothing else needs them, and all runs read this file
    from nbclient import NotebookClient

    notebook = nbformat.read(TOUR, as_version=4)
    before, drawn = shown(notebook), curves(notebook)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert drawn == curves(notebook) == 9
    assert list(map(digits, shown(notebook))) == list(map(digits, before))
    sources = "".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "matplotlib" not in sources and "plot" not in sources
