"""A sweep that two processes share: each of them ends with the results of one, to the bit."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from support import sweep_process

import optax_sched as o

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("processes"), free_port()
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", sweep_process.__file__, str(index), str(port), str(folder)],
            env=os.environ | flags,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for index in range(sweep_process.PROCESSES)
    ]
    complaints = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(complaints)
    # Only one of them shows that it gets on.
    assert ["2/2" in complaint for complaint in complaints] == [True, False]
    return folder


@pytest.mark.parametrize("name", ["whole", "chunks"])
@pytest.mark.parametrize("index", range(sweep_process.PROCESSES))
def test_two_processes_hold_what_one_has_to_the_bit(both, name, index):
    alone = o.sweep(
        sweep_process.train,
        sweep_process.SWEPT,
        mesh=jax.make_mesh((8,), ("x",)),
        chunk_size=None if name == "whole" else 8,
    )
    with np.load(both / f"{name}-{index}.npz") as results:
        for key, want in alone.items():
            assert results[key].tobytes() == np.asarray(want).tobytes()
