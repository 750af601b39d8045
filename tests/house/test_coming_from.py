"""Names of other libraries: the hints of the package, the page of the docs, and the words of both."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import one_in

import optax_sched
from optax_sched._core.peer_words import SAID, called_here, peers
from optax_sched._files.reader import BUILT_IN

DOCS = Path(__file__).parents[2] / "docs"
ENTRIES = [(peer, it) for peer, rows in peers().rows.items() for it in rows if peer != SAID]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("coming_from", DOCS / "coming_from.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("peer", "it"), ENTRIES, ids=[f"{peer}-{it.name}" for peer, it in ENTRIES])
def test_a_peers_name_is_answered_with_the_code_here(peer, it):
    if it.name in optax_sched.__all__:
        return
    with pytest.raises(AttributeError) as raised:
        getattr(optax_sched, it.name)
    message = str(raised.value)
    assert f"module 'optax_sched' has no attribute '{it.name}'" in message
    assert f"{peer}'" in message and f"`{it.here}`" in message and "\n" not in message


NUMBERS = {"lr": 0.1, "decay_steps": 50, "warmup_steps": 10, "total_steps": 60, "period": 20}
NUMBERS |= {"decay_rate": 0.5, "boundaries": [10, 20], "values": [0.1, 0.2, 0.3], "end_value": 0.01}
NUMBERS |= {"power": 2.0, "d_model": 64, "base_value": 0.01, "steps_up": 10}


@pytest.mark.parametrize("it", peers().rows[SAID], ids=lambda it: it.name)
def test_a_name_that_people_say_is_answered_with_a_builder(it):
    """By attribute, in a config and in a source text; the code evaluates as it stands."""
    built = eval(it.here, {**vars(optax_sched), **NUMBERS})
    builder = it.here.partition("(")[0]
    assert repr(built).startswith(f"{builder}(")
    for ask in (
        lambda: getattr(optax_sched, it.name),
        lambda: optax_sched.from_config({"builder": it.name}),
        lambda: optax_sched.from_config({"type": it.name}),
        lambda: optax_sched.from_source(f"{it.name}(0.1, 10)"),
    ):
        with pytest.raises((AttributeError, TypeError, ValueError)) as raised:
            ask()
        assert f"; {it.name} is `{it.here}` here" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("WSD", "did you mean wsd?"),
        ("onecycle", "did you mean one_cycle?"),
        ("Onecycle", "did you mean one_cycle?"),
        ("OneCycle", "DeepSpeed's OneCycle(cycle_min_lr, cycle_max_lr, "),
        ("LRRangeTest", "DeepSpeed's LRRangeTest(lr_range_test_min_lr, "),
        ("LinearLR", "torch's LinearLR(start_factor=1/3, end_factor=1.0, total_iters=5) is `linear("),
        ("wsd_schedule", "did you mean wsd?"),
        ("CosineAnnealing", "cosine_annealing is `cosine_decay(lr, decay_steps)` here"),
        ("cosineannealinglr", "torch's CosineAnnealingLR(T_max, eta_min=0.0) is `cosine_decay("),
        ("torch.optim.lr_scheduler.StepLR", "torch's StepLR(step_size, gamma=0.1) is `step_decay(lr, "),
        ("exponential_lr", "torch's ExponentialLR(gamma) is `exponential_decay(lr, 1, gamma)`"),
        ("constant_lr", "torch's ConstantLR(factor=1/3, total_iters=5) is `piecewise_constant("),
        ("cosine_warmup", "cosine_with_warmup is `warmup_cosine_decay(lr, warmup_steps, total_steps)`"),
        ("wdd", "did you mean wsd?"),
        ("schedule_of_mine", ""),
        ("schedule_free", ""),
        ("stable_decay", ""),
        ("decay", ""),
        ("linear_warmup_of_mine", ""),
        ("cubic", ""),
        ("Adam", ""),
        ("", ""),
    ],
)
def test_a_hint_is_right_or_there_is_none(name, says):
    assert called_here(name, BUILT_IN).startswith(f"; {says}" if says else "")
    assert bool(called_here(name, BUILT_IN)) == bool(says)


@pytest.mark.parametrize("key", ["type", "_target_", "name", "class_name"])
def test_a_config_of_another_library_is_told_which_key_it_used(key):
    config = {key: "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": 9}
    with pytest.raises(TypeError) as raised:
        optax_sched.from_config(config)
    message = str(raised.value)
    said = f"from_config: builder is missing: the name of a builder; {key} is 'torch.optim."
    assert message.startswith(said) and "`cosine_decay(lr, T_max, eta_min)` here" in message


def test_a_name_like_ours_is_answered_with_ours():
    with pytest.raises(AttributeError, match=r"no attribute 'wsd_cycle'; did you mean wsd_cycles"):
        optax_sched.wsd_cycle  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("name", "path"), [("extend", "planning.extend"), ("port", "porting.port")])
def test_a_name_of_a_module_is_answered_with_its_place(name, path):
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'; did you mean {path}\?$"):
        getattr(optax_sched, name)


def test_tools_planning_and_porting_are_imported_when_they_are_needed():
    program = (
        "import sys, optax_sched as o; "
        "loaded = {name.split('.')[1] for name in sys.modules if name.startswith('optax_sched.')}; "
        "assert loaded.isdisjoint(('_files', '_runs', '_view', 'planning', 'porting')), loaded; "
        "from optax_sched import *; assert {*o.__all__} <= {*dir(o)} & {*vars(o)}; "
        "print(*(it.__module__ for it in (plot, sweep, RangeTest, o.planning.extend, o.porting.port)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    own = ["optax_sched"] * 3
    assert done.stdout.split() == [*own, "optax_sched.planning", "optax_sched.porting"]


def test_other_names_have_no_hint_and_are_not_there():
    with pytest.raises(AttributeError, match=r"^module 'optax_sched' has no attribute 'Nothing'$"):
        optax_sched.Nothing  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(optax_sched, "__wrapped__")


def test_the_page_is_written_from_the_table():
    assert (DOCS / "coming-from.md").read_text(encoding="utf-8") == generator().page(), (
        "run python docs/coming_from.py"
    )


NAMES, CODES = zip(*generator().COMPOSITIONS, strict=True)


def composed(code: str) -> Any:
    s = optax_sched.cosine_decay(0.1, 100)
    names = {"i": 0.1, "e": 0.01, "T": 100, "W": 10, "D": 20, "k": 5, "p": 2.0, "s": s}
    return eval(code, {**vars(optax_sched), "jnp": jnp, "np": np, "math": math, **names})


@pytest.mark.parametrize("code", CODES, ids=NAMES)
def test_each_composition_builds(code):
    assert jax.eval_shape(composed(code), np.arange(300)).shape == (300,)


@pytest.mark.parametrize("code", one_in(3, CODES), ids=NAMES)
def test_each_composition_runs(code):
    values = np.asarray(composed(code)(np.arange(300)))
    assert np.all(np.isfinite(values)) and np.all(values >= 0)
    assert len(np.unique(values)) > 1
    assert np.max(values) == pytest.approx(0.1, rel=0.2)


def test_the_usual_words_of_the_tables_are_translated():
    """The same words serve a keyword that a builder does not know."""
    usual = "gamma T_max eta_min step_size milestones T_0 T_mult num_warmup_steps num_training_steps"
    usual += (
        " total_iters max_lr base_lr min_lr lr_min lr_end t_initial decay_t warmup_t warmup_lr_init"
    )
    usual += " initial_learning_rate end_learning_rate first_decay_steps t_mul m_mul alpha"
    used = {part.split("=")[0].strip() for _, it in ENTRIES for part in it.takes.split(",")}
    for word in usual.split():
        assert word in used and word in peers().words
    with pytest.raises(
        TypeError, match=r"unexpected keyword argument 'T_max'; did you mean decay_steps\?"
    ):
        optax_sched.cosine_decay(T_max=100)  # pyright: ignore[reportCallIssue]
