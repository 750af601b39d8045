"""A run that is stopped, saved, and continued in a new process ends as if it had never been stopped."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from support import resumed_runs
from support.resumed_runs import (
    CHANGE,
    EDITED,
    MISFITS,
    RUNS,
    STEPS,
    Run,
    TrainState,
    arrays,
    checkpoints,
    continued,
    initial,
    trainer,
)

import optax_sched as o

pytestmark = pytest.mark.slow

orbax = pytest.importorskip("orbax.checkpoint", reason="it has no wheels for this Python yet")

STOPS = 3  # for each run


class Whole(NamedTuple):
    """A run that was never stopped, and the steps at which it might have been."""

    states: list[TrainState]  # before each step, and at the end
    losses: list[jax.Array]
    stops: list[int]


def whole_run(run: Run, seed: int) -> Whole:
    optimizer = run.optimizer()
    train_step = trainer(optimizer)
    states, losses = [initial(optimizer)], []
    while states[-1].step < STEPS:
        state = states[-1]
        if run.new_schedule is not None and state.step == CHANGE:
            state = state._replace(opt_state=o.replace_schedule(state.opt_state, run.new_schedule))
        state, loss = train_step(state)
        states.append(state)
        losses.append(loss)
    candidates = [int(state.step) for state in states if run.may_stop(state)]
    stops = np.random.default_rng(seed).choice(candidates, STOPS, replace=False)
    return Whole(states, losses, stops.tolist())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def whole_runs(folder) -> dict[str, Whole]:
    """All runs, with checkpoints that the new process has continued."""
    runs = {name: whole_run(run, seed) for seed, (name, run) in enumerate(RUNS.items())}
    with orbax.StandardCheckpointer() as checkpointer:
        for name, run in runs.items():
            for stop in run.stops:
                checkpointer.save(folder / name / str(stop), run.states[stop])
    command = [sys.executable, "-W", "error", resumed_runs.__file__, str(folder)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    return runs


@pytest.mark.parametrize("name", RUNS)
def test_ends_as_if_it_had_never_been_stopped(name, whole_runs, folder):
    states, losses, stops = whole_runs[name]
    assert len(stops) == STOPS
    for stop in stops:
        assert_saved(folder / name / f"{stop}.npz", states[-1], np.stack(losses[stop:]))


def assert_saved(place: Path, state: TrainState, losses: Any) -> None:
    """That the new process has saved just this, to the bit."""
    with np.load(place) as saved:
        found = list(saved.values())
    for got, want in zip(found, [losses, *arrays(state)], strict=True):
        assert (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes())


@pytest.mark.promotes
@pytest.mark.parametrize("name", EDITED)
def test_the_checkpoint_beats_an_edited_config_and_one_line_mends_it(name, whole_runs, folder):
    edited = EDITED[name]
    stop = int(checkpoints(folder, edited.saved)[0].name)
    state = whole_runs[edited.saved].states[stop]
    train_step = trainer(edited.optimizer())
    # Without the line the old settings go on, whatever the program says.
    old, _ = train_step(state)
    kept, _ = trainer(RUNS[edited.saved].optimizer())(state)
    assert o.current_value(old.opt_state) == o.current_value(kept.opt_state)
    mended = state._replace(opt_state=edited.line(state.opt_state))
    end, losses = continued(mended, train_step)
    assert_saved(folder / f"{name}.npz", end, losses)
    # With it the job goes on as the edited program's own would from that step on.
    if edited.saved != "plateau":
        fresh, _ = continued(initial(edited.optimizer()), train_step)
        assert o.current_value(end.opt_state) == o.current_value(fresh.opt_state)
        assert o.current_value(end.opt_state) != o.current_value(
            whole_runs[edited.saved].states[-1].opt_state
        )
    else:
        rule = end.opt_state.hyperparams_states["learning_rate"].rule
        assert (rule.patience, rule.window, rule.cooldown) == (0, 3, 0)


@pytest.mark.parametrize("name", MISFITS)
def test_refuses_the_checkpoint_of_another_structure(name, whole_runs, folder):
    complaint = json.loads((folder / "complaints.json").read_text(encoding="utf-8"))[name]
    assert complaint.startswith("ValueError: ")
    assert re.search(MISFITS[name].named, complaint)
