"""What CONTRIBUTING lists for each kind of thing that can be added: a forgotten place is named here."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from gallery import CLOSED_LOOPS
from tables.cases import BUILDERS, OWN
from tables.loops import LOOPS

import optax_sched
from optax_sched import planning
from optax_sched._core.built import formula_behind
from optax_sched._core.formula import formula_of
from optax_sched._core.peer_words import peers
from optax_sched._view.phase_starts import _CLOCKS, phase_boundaries
from optax_sched.planning import loss_law
from optax_sched.planning.loss_law import KINDS

ROOT = Path(__file__).parents[2]
LINE = optax_sched.warmup(optax_sched.cosine_decay(1.0, 60), 40)  # a phase begins at step 40
# Combinators that read their operands on the clock of the whole, or say so in `phase_starts` by name.
ON_THE_SAME_CLOCK = {"add", "clip", "maximum", "minimum", "multiply", "noisy", "power"}
BY_NAME = {"join", "repeat", "retime", "select"}


def parameters_of(builder: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(builder).parameters.values())


def formula_name(built: Any) -> str:
    return formula_behind(built).name


def made(name: str) -> str | None:
    """The class of what a public builder makes."""
    formula = formula_of(getattr(optax_sched, name))
    return formula.made.__name__ if formula else None


LOOP_BUILDERS = [name for name in optax_sched.__all__ if made(name) == "ClosedLoop"]
COMBINATORS = [
    name
    for name in sorted(BUILDERS.keys() - OWN.keys())
    if {"Operand", "Operands"} & {str(it.annotation) for it in parameters_of(BUILDERS[name])}
]


@pytest.mark.parametrize("name", COMBINATORS)
def test_a_combinator_says_on_which_clock_its_operands_are(name):
    clocks = {builder.__name__ for builder in _CLOCKS}
    assert name in clocks | ON_THE_SAME_CLOCK | BY_NAME, "give it a row in phase_starts._CLOCKS"
    if name in ON_THE_SAME_CLOCK:
        others: dict[str, dict[str, Any]] = {
            "clip": {"min_value": 0.0, "max_value": 1.0},
            "noisy": {"key": 0, "scale": 0.1},
            "power": {"exponent": 2.0},
        }
        assert 40 in phase_boundaries(getattr(optax_sched, name)(LINE, **others.get(name, {})))


@pytest.mark.parametrize("name", COMBINATORS)
def test_a_combinator_is_nested_in_the_test_of_costs(name):
    nests = (ROOT / "tests" / "schedules" / "test_cost.py").read_text(encoding="utf-8")
    assert f"os.{name}(" in nests.partition("NESTS")[2], "give it a nest in NESTS"


@pytest.mark.parametrize("name", LOOP_BUILDERS)
def test_a_feedback_rule_is_in_every_table(name):
    tried = {formula_name(loop.make(0.5)) for loop in LOOPS.values()}
    assert name in tried, "give it a row in tests/tables/loops.py"
    assert name in CLOSED_LOOPS, "give it a name in docs/gallery.py"
    assert f"`{name}`" in (ROOT / "README.md").read_text(encoding="utf-8"), "the README lists it"


def test_a_loss_law_is_in_every_table():
    def laws_in(module: Any) -> set[str]:
        formulas = filter(None, map(formula_of, vars(module).values()))
        return {formula.name for formula in formulas if formula.made is planning.LossLaw}

    laws = laws_in(planning)
    assert laws == laws_in(loss_law), "planning/__init__.py exports it"
    assert set(KINDS) == laws, "loss_law.KINDS fits it and reads it from a file"
    tried = (ROOT / "tests" / "planning" / "test_loss_law.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8")
    for law in laws:
        assert f"({law}(*" in tried, "give it a row in LAWS of test_loss_law.py"
        assert law in page, "docs/planning.md says when it holds"


def test_a_peers_word_leads_to_a_hyperparameter_of_ours():
    ours = {
        name
        for public in optax_sched.__all__
        if (formula := formula_of(getattr(optax_sched, public)))
        for name in formula.domains
    }
    functions = {getattr(optax_sched, name) for name in optax_sched.__all__}
    ours |= {
        name
        for function in functions
        if inspect.isfunction(function)
        for name in inspect.signature(function).parameters
    }
    words = {word for here in peers().words.values() for word in here}
    assert words <= ours, sorted(words - ours)
