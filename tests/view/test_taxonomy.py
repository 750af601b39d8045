"""The two labels in the README's index are those of a sampled curve: how often it changes, and how."""

from collections.abc import Iterator, Sequence
from typing import Any

import gallery
import jax
import numpy as np
import optax
import pytest
from tables.cases import ROWS

import optax_sched

INDEX = gallery.index()


def how_often(values: np.ndarray) -> str:
    """Whether the value changes never, now and then, or at every step."""
    changes = np.flatnonzero(np.diff(values))
    if not len(changes):
        return "constant"
    # Between the first change and the last: does it change at every step, or now and then?
    span = changes[-1] - changes[0] + 1
    return "step" if len(changes) >= 0.5 * span and len(changes) > 3 else "intervals"


def how(values: np.ndarray, vectors: Sequence[np.ndarray]) -> str:
    """Whether by hand, by a factor, in cycles, or as another function of the step.

    `vectors` are the sequences of numbers that the schedule was given. A schedule that takes its values
    from one of them changes by hand.
    """
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


def labels(schedule: Any, values: np.ndarray) -> tuple[str, str]:
    vectors = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(schedule) if np.ndim(leaf)]
    values = np.asarray(values, np.float64)
    return how_often(values), how(values, vectors)


@pytest.mark.parametrize("name", sorted(INDEX.keys() - {"reduce_on_plateau"}))
def test_labels_are_those_of_the_sampled_curve(name):
    # Parts and settings decide too (a staircase may be warmed up): one example must show the labels.
    schedules = [example.schedule for example in ROWS[name].examples]
    assert INDEX[name] in {labels(s, np.asarray(s(np.arange(2500)))) for s in schedules}


def test_a_panel_of_the_gallery_shows_what_its_section_says():
    for panel in gallery.all_panels():
        if panel.section != ("plateau", "feedback"):
            found = labels(gallery.example(panel.name), panel.values)
            assert found == panel.section, f"EXCEPTIONS[{panel.name!r}] may show it better"


def test_a_plateau_answers_to_the_metric_and_to_nothing_else():
    plateau: Any = optax_sched.reduce_on_plateau(factor=0.5, patience=1)

    def scales(losses: list[float]) -> Iterator[float]:
        state = plateau.init(0.0)
        for loss in losses:
            state = optax_sched.observe(state, loss)
            yield float(state.scale)

    assert list(scales([4.0, 3.0, 2.0, 1.0, 0.5])) == [1.0] * 5
    assert list(scales([4.0, 4.0, 4.0, 4.0, 4.0])) == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert INDEX["reduce_on_plateau"] == ("plateau", "feedback")
    assert isinstance(plateau, optax.GradientTransformationExtraArgs)
