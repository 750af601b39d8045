"""A run that is stopped, saved, and continued in a new process ends as if it had never been stopped."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from support import resumed_runs
from support.resumed_runs import CHANGE, MISFITS, RUNS, STEPS, Run, TrainState, arrays, initial, trainer

import optax_sched as o

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
        with np.load(folder / name / f"{stop}.npz") as saved:
            continued = list(saved.values())
        for got, want in zip(continued, [np.stack(losses[stop:]), *arrays(states[-1])], strict=True):
            assert (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes())


@pytest.mark.parametrize("name", MISFITS)
def test_refuses_the_checkpoint_of_another_structure(name, whole_runs, folder):
    complaint = json.loads((folder / "complaints.json").read_text(encoding="utf-8"))[name]
    assert complaint.startswith("ValueError: ")
    assert re.search(MISFITS[name].named, complaint)
