"""A sweep that two processes share: each of them ends with the results of one, to the bit."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_sched as o

PROCESSES = 2
SWEPT = [s for i in range(5) for s in (o.linear(0.1, 0.0, 5 + i), o.cosine_decay(0.2, 9 + i))]


def train(schedule: Any) -> dict[str, jax.Array]:
    """Gradient descent with momentum on a badly scaled quadratic."""
    scales = jnp.array([1.0, 0.3, 0.01])
    optimizer = optax.chain(optax.trace(0.9), o.scale_by_learning_rate(schedule))

    def update(carry: Any, _: None) -> Any:
        params, state = carry
        loss = jnp.sum(scales * params**2) / 2
        updates, state = optimizer.update(scales * params, state)
        return (optax.apply_updates(params, updates), state), loss

    start = jnp.array([1.0, -2.0, 3.0])
    (params, _), losses = jax.lax.scan(update, (start, optimizer.init(start)), length=40)
    return {"params": params, "losses": losses}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def of_one_process_of_two(index: int, port: int, folder: Path) -> None:
    jax.distributed.initialize(f"127.0.0.1:{port}", PROCESSES, index)
    assert (jax.device_count(), jax.local_device_count()) == (8, 4)
    mesh = jax.make_mesh((8,), ("x",))
    for name, chunk_size in (("whole", None), ("chunks", 8)):
        results = o.sweep(train, SWEPT, mesh=mesh, chunk_size=chunk_size)
        assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(results))
        np.savez(folder / f"{name}-{index}.npz", **jax.tree.map(np.asarray, results))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("processes"), free_port()
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", __file__, str(index), str(port), str(folder)],
            env=os.environ | flags,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for index in range(PROCESSES)
    ]
    complaints = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(complaints)
    # Only one of them shows that it gets on.
    assert ["2/2" in complaint for complaint in complaints] == [True, False]
    return folder


@pytest.mark.parametrize("name", ["whole", "chunks"])
@pytest.mark.parametrize("index", range(PROCESSES))
def test_two_processes_hold_what_one_has_to_the_bit(both, name, index):
    alone = o.sweep(
        train, SWEPT, mesh=jax.make_mesh((8,), ("x",)), chunk_size=None if name == "whole" else 8
    )
    with np.load(both / f"{name}-{index}.npz") as results:
        for key, want in alone.items():
            assert results[key].tobytes() == np.asarray(want).tobytes()


if __name__ == "__main__":
    of_one_process_of_two(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
