"""The docstrings as a newcomer meets them: in `help`, and in the API reference of CONTRIBUTING."""

import ast
import html
import inspect
import itertools
import pydoc
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import optax_sched

ROOT = Path(__file__).parents[2]
SIGNATURES = {
    "constant": "(value: Real) -> Schedule",
    "cosine_decay": "(init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0, "
    "exponent: Positive = 1.0) -> Schedule",
    "cosine_restarts": "(init_value: Rate, period: Steps, end_value: Rate = 0.0, "
    "period_mult: Growth | None = None, peak_mult: Positive = 1.0, num_cycles: Count | None = None) "
    "-> Schedule",
    "multistep_decay": "(init_value: Rate, boundaries: Boundaries, decay_rate: FactorOrFactors) "
    "-> Schedule",
    "join": "(schedules: Operands, boundaries: Boundaries) -> Schedule",
    "multiply": "(*schedules: Operands) -> Schedule",
    "warmup": "(schedule: Operand, warmup_steps: StepsOrZero, init_value: Rate = 0.0, "
    "shape: ShapeName = 'linear') -> Schedule",
    "noisy": "(schedule: Operand, key: Key, scale: Rate, start: StepsOrZero = 0, "
    "end: Steps | None = None, kind: Noise = 'normal') -> Schedule",
    "plateau": "(schedule: Operand, factor: Cut = 0.1, patience: CountOrZero = 10, "
    "threshold: Rate = 0.0001, threshold_mode: ThresholdMode = 'rel', mode: Mode = 'min', "
    "cooldown: CountOrZero = 0, window: Count = 1, min_value: Rate = 0.0) "
    "-> PlateauSchedule",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_help_shows_how_it_is_called_in_words(name):
    builder = getattr(optax_sched, name)
    shown = pydoc.plain(pydoc.render_doc(builder)).partition("\n\n")[2]
    call, found, _ = shown.partition("\n    " + builder.__doc__.partition("\n")[0])
    assert found
    # From Python 3.13 on a long call has one parameter a line.
    call = re.sub(r"-> [\w.]+\.", "-> ", re.sub(r"\s+", " ", call))
    assert call.replace("( ", "(").replace(" )", ")") == name + SIGNATURES[name]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """The reference as CONTRIBUTING's command makes it, where every warning is an error."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^python -W error -m pdoc .*$", text, re.MULTILINE)
    _, *options = shlex.split(line)
    assert options.pop() == "site"
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, *options, folder], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return (folder / "optax_sched.html").read_text(encoding="utf-8")


def docstring(name: str) -> str:
    """What stands under a name where it is made."""
    value = getattr(optax_sched, name)
    if inspect.isfunction(value) or inspect.isclass(value):
        return inspect.getdoc(value) or ""
    for module in ("_hyper", "_operands"):  # of a word: the string after its assignment
        body = ast.parse((ROOT / f"optax_sched/{module}.py").read_text(encoding="utf-8")).body
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return ast.literal_eval(ast.unparse(after))
    raise AssertionError(f"{name} has no docstring")


def letters(text: str) -> str:
    return "".join(re.findall(r"\w", text)).replace("Args", "Arguments")


def section(page: str, name: str) -> str:
    """What the page says of a name, as a reader sees it, the source folded away."""
    (found,) = re.findall(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    unfolded = re.sub(
        r'<div class="pdoc-code codehilite"><pre><span></span><span id=[\s\S]*?</div>', "", found
    )
    return html.unescape(re.sub(r"<[^>]*>", "", unfolded))


def test_the_reference_has_each_public_name_with_its_whole_docstring(page):
    assert set(re.findall(r'<section id="(\w+)">', page)) == set(optax_sched.__all__)
    for name in optax_sched.__all__:
        assert docstring(name), name
        assert letters(docstring(name)) in letters(section(page, name)), name


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_reference_shows_how_it_is_called(page, name):
    assert letters(section(page, name)).startswith(letters(f"def{name}{SIGNATURES[name]}"))


def test_the_reference_links_the_words_of_a_signature(page):
    start, _, _ = page.partition('<section id="cosine_decay">')[2].partition("docstring")
    links = re.findall(r'<a href="#(\w+)">(\w+)</a>', start)
    words = ["Rate", "Steps", "Rate", "Positive", "Schedule"]
    assert links == [(word, word) for word in words]
