"""The README as a newcomer meets it: its code runs, its index is complete, its labels are true."""

import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tables.cases import BUILDERS, OWN, ROWS

import optax_sched
from optax_sched._view.taxonomy import how, how_often

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
INDEX = {
    name: (often, how)
    for name, often, how in re.findall(
        r"^\| `(\w+)` \| [^|]* \| (\w+) \| (\w+) \|", README, re.MULTILINE
    )
}


def test_it_is_short():
    assert README.count("\n") < 150


def test_its_code_runs_from_top_to_bottom(capsys):
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "warmup(schedule=cosine_decay(init_value=0.0003, decay_steps=9000" in printed
    assert "{'init_value': 0.001, 'decay_steps': 200} cosine_decay(init_value=0.001, " in printed
    np.testing.assert_allclose(
        names["rates"],
        [
            peak * (1 + np.cos(np.pi * 50 / steps)) / 2
            for peak in (1e-3, 3e-3, 1e-2)
            for steps in (100, 200)
        ],
        rtol=1e-6,
    )
    assert names["halve"](0.1, 1000)(2500) == np.float32(0.025)


def test_index_has_a_row_for_every_builder():
    assert set(INDEX) == (set(BUILDERS) - set(OWN)) | {"reduce_on_plateau"}


COMPOSED = re.findall(
    r"^\| [^|`]+(?:`[^|]*)? \| `(.+)` \|$", README.partition("composed here")[2], re.MULTILINE
)


@pytest.mark.parametrize("source", COMPOSED)
def test_each_composition_builds_and_runs(source):
    s = optax_sched.cosine_decay(0.1, 100)
    names = {"i": 0.1, "e": 0.01, "T": 100, "W": 10, "D": 20, "k": 5, "p": 2.0, "s": s}
    built = eval(source, {**vars(optax_sched), "jnp": jnp, "np": np, "math": math, **names})
    values = np.asarray(built(np.arange(300)))
    assert np.all(np.isfinite(values)) and np.all(values >= 0)
    assert len(np.unique(values)) > 1
    assert np.max(values) == pytest.approx(0.1, rel=0.2)


def test_the_compositions_are_all_found():
    assert len(COMPOSED) == 13


def sampled(example) -> tuple[np.ndarray, list[np.ndarray]]:
    """A curve's first steps, and the vectors of numbers that it was given."""
    values = np.asarray(example.schedule(np.arange(2500)), np.float64)
    vectors = [
        np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(example.schedule) if np.ndim(leaf)
    ]
    return values, vectors


@pytest.mark.parametrize("name", sorted(set(INDEX) - {"reduce_on_plateau"}))
def test_labels_are_those_of_the_sampled_curve(name):
    # Parts and settings decide too (a staircase may be warmed up): one example shows what is said.
    found = {
        (how_often(values), how(values, vectors))
        for values, vectors in map(sampled, ROWS[name].examples)
    }
    assert INDEX[name] in found


def test_a_plateau_answers_to_the_metric_and_to_nothing_else():
    plateau: Any = optax_sched.reduce_on_plateau(factor=0.5, patience=1)

    def scales(losses):
        state = plateau.init(0.0)
        for loss in losses:
            state = optax_sched.observe(state, loss)
            yield float(state.scale)

    assert list(scales([4.0, 3.0, 2.0, 1.0, 0.5])) == [1.0] * 5
    assert list(scales([4.0, 4.0, 4.0, 4.0, 4.0])) == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert INDEX["reduce_on_plateau"] == ("plateau", "feedback")
    assert isinstance(plateau, optax.GradientTransformationExtraArgs)
