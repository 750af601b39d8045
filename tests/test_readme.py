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
from cases import BUILDERS, OWN, ROWS

import optax_sched

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
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
    np.testing.assert_allclose(
        names["rates"],
        [5e-4, 3e-3 * (1 + np.cos(np.pi / 4)) / 2, 1e-2 * (1 + np.cos(np.pi / 8)) / 2],
        rtol=1e-6,
    )
    assert names["halving"](0.1, 1000)(2500) == np.float32(0.025)


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


def how_often(values: np.ndarray) -> str:
    changes = np.flatnonzero(np.diff(values))
    if not len(changes):
        return "constant"
    # Between the first change and the last: does it change at every step, or now and then?
    return (
        "step"
        if len(changes) >= 0.5 * (changes[-1] - changes[0] + 1) and len(changes) > 3
        else "intervals"
    )


def how(values: np.ndarray, vectors: list[np.ndarray]) -> str:
    stairs = values[np.flatnonzero(np.diff(values, append=np.inf))]
    if len(stairs) == 1:
        return "hand"
    if any(len(v) > 1 and np.isin(np.float32(v), np.float32(values)).all() for v in vectors):
        return "hand"
    ratios = stairs[1:] / np.where(stairs[:-1] == 0, np.nan, stairs[:-1])
    if np.allclose(ratios[:-1], ratios[0], rtol=1e-4) and len(ratios) > 1:
        return "factor"
    if any(np.array_equal(values[p:], values[:-p]) for p in range(2, min(300, len(values) // 2))):
        return "cyclic"
    tops = stairs[1:-1][(stairs[1:-1] > stairs[:-2]) & (stairs[1:-1] >= stairs[2:])]
    tops = np.append(stairs[0], tops) if stairs[0] > stairs[1] else tops
    # Tops that are alike, or shrink by one factor.
    if len(tops) > 1 and np.allclose(tops[1:] / tops[:-1], tops[1] / tops[0], rtol=1e-3):
        return "cyclic"
    return "function"


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
