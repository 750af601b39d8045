"""The porting example: what it prints and draws, and its one line where torch is not installed."""

import importlib.util
import re

import pytest
from support.example_runs import EXAMPLES, assert_is_a_picture, run

import optax_sched

SCRIPT = EXAMPLES / "port_a_recipe.py"


def test_it_ports_both_recipes(tmp_path):
    if not all(importlib.util.find_spec(peer) for peer in ("torch", "transformers")):
        pytest.skip('torch or transformers is not installed: python -m pip install -e ".[peers]"')
    done = run(SCRIPT, "--out", "recipes.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    sources = re.findall(r"^\w+: (.*)$", done.stdout, re.MULTILINE)[:2]
    assert sources == [
        repr(optax_sched.warmup_cosine_decay(3e-4, 100, 1000, 3e-6, 1e-5)),
        repr(optax_sched.warmup_cosine_decay(3e-4, 100, 1000)),
    ]
    apart = [float(number) for number in re.findall(r"largest difference: (\S+) of", done.stdout)]
    assert len(apart) == 2 and max(apart) < 1e-5
    assert "picture: recipes.png" in done.stdout
    assert_is_a_picture(tmp_path / "recipes.png", parts=2)


def test_without_torch_it_says_so_in_one_line(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(name='torch')\n")
    (tmp_path / "alone.py").write_text(
        f"import runpy, sys\nsys.path.insert(0, {str(tmp_path)!r})\nsys.argv = ['port_a_recipe.py']\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    done = run(tmp_path / "alone.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "skipped: torch is not installed: python -m pip install torch\n"
