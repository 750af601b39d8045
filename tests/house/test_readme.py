"""The README as a newcomer meets it: its code runs, its index is complete."""

import math
import re
from pathlib import Path

import gallery
import jax.numpy as jnp
import numpy as np
import pytest
from tables.cases import BUILDERS, OWN

import optax_sched

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


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
    assert set(gallery.index()) == (set(BUILDERS) - set(OWN)) | {"reduce_on_plateau"}


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
