"""Closed loops are data, as schedules are: printed, changed, copied, pickled, written, stacked."""

import copy
import inspect
import json
import pickle
from typing import Any

import chex
import jax
import numpy as np
import pytest
from support.injected import inject, layout
from tables.loops import LOOPS, inverse, spike_guard, trend

import optax_sched as o
from optax_sched._optax.plateau import OUR_RULES

BUILDERS = {"spike_guard": spike_guard, "inverse": inverse, "trend": trend}
FALL = o.warmup(o.linear(0.4, 0.0, 4), 2)
LOOP: dict[str, Any] = {name: loop.make(FALL, min_value=0.01) for name, loop in LOOPS.items()}
LOOP["live"] = o.live(FALL)
LOOP["observe_only"] = o.plateau(0.1, observe_only=True)
EACH = pytest.mark.parametrize("name", LOOP)


def test_every_rule_of_ours_has_a_row_here_and_is_known_where_a_checkpoint_gives_dicts():
    signatures = {name: inspect.signature(getattr(o, name)) for name in o.__all__ if name.islower()}
    ours = {name for name, it in signatures.items() if it.return_annotation is o.ClosedLoop}
    assert ours <= {repr(loop).partition("(")[0] for loop in LOOP.values()}
    assert ours == OUR_RULES.keys()


@EACH
def test_it_prints_as_the_source_that_builds_it(name: str):
    names = {key: getattr(o, key) for key in o.__all__} | BUILDERS
    again = eval(repr(LOOP[name]), names)
    assert repr(again) == repr(LOOP[name])
    assert jax.tree.structure(again) == jax.tree.structure(LOOP[name])
    chex.assert_trees_all_equal(again, LOOP[name])


@EACH
def test_it_pickles_copies_and_goes_through_configs_and_sources(name: str):
    loop = LOOP[name]
    config = json.loads(json.dumps(o.to_config(loop)))
    for again in (
        pickle.loads(pickle.dumps(loop)),
        copy.copy(loop),
        copy.deepcopy(loop),
        o.from_config(config, BUILDERS),
        o.from_source(repr(loop), BUILDERS),
    ):
        assert repr(again) == repr(loop)
        assert jax.tree.structure(again) == jax.tree.structure(loop)
    assert b"optax_sched._" not in pickle.dumps(LOOP["plateau"])


@EACH
def test_a_state_pickles(name: str):
    state = inject(LOOP[name]).init(np.float32(1))
    again = pickle.loads(pickle.dumps(state))
    assert layout(jax.tree.map(jax.numpy.asarray, again)) == layout(state)
    chex.assert_trees_all_equal(again, state)


@pytest.mark.parametrize("name", LOOPS)
def test_it_shows_its_hyperparameters_and_replaces_them(name: str):
    setting, value, other = LOOPS[name].setting
    loop = LOOP[name]
    assert getattr(loop, setting) == value
    changed = loop.replace(**{setting: other, "schedule.schedule.init_value": 0.8})
    assert getattr(changed, setting) == other
    assert changed.schedule.schedule.init_value == 0.8
    assert getattr(loop, setting) == value
    assert setting in dir(loop)
    with pytest.raises(AttributeError, match="immutable: use replace"):
        loop.min_value = 0.5
    with pytest.raises(TypeError, match="has no hyperparameter patients"):
        loop.replace(patients=3)
    with pytest.raises(AttributeError, match="has no hyperparameter 'patients'"):
        _ = loop.patients


def test_words_are_shown_as_words_and_a_batch_shows_its_own():
    batch, _ = o.grid(o.plateau, schedule=[0.1], mode=["min", "max"], threshold_mode=["abs"])
    assert (batch.mode, batch.threshold_mode) == (["min", "max"], ["abs", "abs"])
    assert [loop.mode for loop in o.unstack(batch)] == ["min", "max"]
    assert "mode='max'" in repr(o.plateau(0.1, mode="max"))


def test_a_batch_of_loops_with_schedules_of_two_families_comes_back():
    loops = [
        o.plateau(o.linear(0.4, 0.0, 4), patience=1),
        o.plateau(o.cosine_decay(0.4, 9), patience=2),
    ]
    loops.append(o.plateau(0.1))
    assert list(map(repr, o.unstack(o.stack(loops)))) == list(map(repr, loops))
    lives = [o.live(0.1), o.live(o.linear(0.4, 0.0, 4))]
    assert list(map(repr, o.unstack(o.stack(lives)))) == list(map(repr, lives))


def test_made_by_builders_alone():
    with pytest.raises(TypeError, match="ClosedLoop is made by builders"):
        o.ClosedLoop(0.1)
