"""What a schedule is as data: the paths to its leaves, its structure, optional hyperparameters."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optax_sched as os
from optax_sched import typing
from optax_sched.typing import Operands, Rate, ShapeName


def paths(tree: Any) -> list[str]:
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def test_parts_of_equal_structure_have_their_own_paths():
    line = os.linear(1.0, 0.0, 10)
    s = os.join([line, os.cosine_decay(0.1, 5), line.replace(init_value=2.0)], [10, 15])
    found = [path for path in paths(s) if "init_value" in path]
    assert found == [
        ".join.schedules[0].linear.init_value",
        ".join.schedules[1].cosine_decay.init_value",
        ".join.schedules[2].linear.init_value",
    ]
    named = dict(zip(paths(s), jax.tree.leaves(s), strict=True))
    assert named[".join.schedules[2].linear.init_value"] == 2.0


def test_many_parts_of_one_structure_are_few_leaves_and_come_back_one_by_one():
    parts = [os.linear(float(i), 0.0, 10 + i) for i in range(17)]
    s = os.join([0.5, *parts], list(range(5, 22)))
    assert len(jax.tree.leaves(s)) == 1 + 3 + 1
    assert ".join.schedules[1].linear.init_value" in paths(s)
    assert list(map(repr, s.schedules)) == list(map(repr, [os.constant(0.5), *parts]))
    batch = os.stack([s, s])
    np.testing.assert_array_equal(batch.schedules[3].init_value, [2.0, 2.0])
    assert repr(pickle.loads(pickle.dumps(s))) == repr(s)


def test_what_took_the_place_of_the_leaves_changes_no_structure():
    s = os.warmup(os.join([os.cosine_decay(0.1, 5), lambda t: 0.1 / (1 + t)], [5]), 3)
    leaves, structure = jax.tree.flatten(s)
    for new in (None, object(), jnp.zeros(3)):
        placed = jax.tree.unflatten(structure, [new] * len(leaves))
        assert jax.tree.structure(placed, is_leaf=lambda x: x is None) == structure
    assert jax.tree.structure(jax.tree.map(jnp.asarray, s)) == structure
    assert jax.tree.structure(pickle.loads(pickle.dumps(os.warmup(0.1, 3)))) == jax.tree.structure(
        os.warmup(0.2, 4)
    )


NUMBERS = ("Rate", "Real", "Positive", "Factor", "Fraction", "PartOfOne", "Cut", "Scale")
WHOLE = ("Steps", "StepsOrZero", "Count", "CountOrZero", "Growth", "Key")
GIVEN: dict[str, Any] = {
    **dict.fromkeys(NUMBERS, 0.5),
    **dict.fromkeys(WHOLE, 3),
    **dict.fromkeys(("Rates", "Reals", "FactorOrFactors"), (0.5, 0.25)),
    **dict.fromkeys(("Operand", "OperandOnOwnClock"), os.cosine_decay(0.1, 5)),
    "Operands": [0.1, os.cosine_decay(0.1, 5), 0.3],
    "Boundaries": [2, 5],
    "Negative": -0.5,
    "ShapeName": "cosine",
    "Switch": True,
    "Noise": "uniform",
    "Mode": "max",
    "ThresholdMode": "abs",
}


def given_or_not(step, given):
    return 1.0 if given is None else 2.0


MAYBE = {}
for _word in typing.__all__:
    _function = lambda step, given=None: given_or_not(step, given)  # noqa: E731
    _function.__annotations__ = {"given": getattr(typing, _word) | None}
    MAYBE[_word] = globals()[f"maybe_{_word}"] = os.schedule(_function, name=f"maybe_{_word}")


@pytest.mark.parametrize("word", typing.__all__)
def test_an_optional_hyperparameter_is_all_that_the_word_is(word):
    builder = MAYBE[word]
    for s, value in ((builder(), 1.0), (builder(GIVEN[word]), 2.0)):
        assert s(0) == value
        assert repr(pickle.loads(pickle.dumps(s))) == repr(s)
        assert repr(os.from_config(os.to_config(s), builders={builder.__name__: builder})) == repr(s)
        assert repr(os.unstack(os.stack([s, os.linear(1.0, 0.0, 3)]))[0]) == repr(s)
    with pytest.raises((TypeError, ValueError), match=rf"^maybe_{word}: given must be .*, or None"):
        builder(object())


@os.schedule
def blend(step, first: Rate, schedules: Operands | None = None, shape: ShapeName | None = None):
    value = first if schedules is None else sum(s(step) for s in schedules)
    f: Any = shape
    return value if shape is None else value * f(step / 10)


def test_a_users_formula_with_optional_words_pickles_in_their_public_form():
    s = blend(0.1, [os.cosine_decay(0.1, 5), 0.2], "cosine")
    assert b"_core" not in pickle.dumps(s)
    again = pickle.loads(pickle.dumps(s))
    assert again(5) == s(5)
    assert again.shape == "cosine"
    assert paths(again) == paths(s)


half = os.schedule(lambda step, init_value: init_value * 0.5, name="half")
quarter = os.schedule(lambda step, init_value: init_value * 0.25, name="quarter")


def test_a_pickle_names_the_builder_whatever_else_is_bound_to_it(monkeypatch):
    pickles = []
    for builder in (half, quarter):
        monkeypatch.setitem(globals(), "passing_by", builder)
        pickles.append(pickle.dumps(builder(1.0)))
    assert [float(pickle.loads(it)(0)) for it in pickles] == [0.5, 0.25]
