"""What the tests of examples share: running one as a user does, and looking at its picture."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: Path, *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    settings = {"MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, str(script), *options],
        cwd=cwd,
        env=os.environ | settings,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def assert_is_a_picture(path: Path, parts: int = 3) -> None:
    """It has something in each of its parts from left to right, and nothing at its edges."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = matplotlib.image.imread(path)[..., :3]
    height, width, _ = pixels.shape
    assert height > 500 and width > 1000
    for part in np.array_split(pixels, parts, axis=1):
        assert part.std() > 0.03
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert np.all(edge == 1.0)  # a white margin all round: nothing is cut off


def assert_refuses(
    script: Path, option: str, value: str, folder: Path, patch: pytest.MonkeyPatch, printed: Any
) -> None:
    """One line on stderr says what the option must be, and nothing is left in the folder."""
    # In this process, since a new one takes seconds to import what it needs.
    patch.syspath_prepend(str(EXAMPLES))  # examples import one another
    patch.chdir(folder)
    patch.setattr(sys, "argv", [str(script), option, value])
    before = list(folder.iterdir())
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(script), run_name="__main__")
    out, err = printed.readouterr()
    assert (stopped.value.code, out) == (2, "")
    assert_one_clear_line(script, err, option, value)
    assert list(folder.iterdir()) == before


def assert_one_clear_line(script: Path, err: str, option: str, value: str) -> None:
    assert err.startswith(f"{script.name}: error: ")
    assert err.endswith("\n") and err.count("\n") == 1
    assert f"{option}: must " in err and f"got {value!r}" in err
