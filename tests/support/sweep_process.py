"""What the tests of sweeps train, and one of the two processes that share a sweep.

    python tests/support/sweep_process.py INDEX PORT FOLDER

is process INDEX: it meets the other at PORT and saves its results in FOLDER.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

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


def of_one_process_of_two(index: int, port: int, folder: Path) -> None:
    jax.distributed.initialize(f"127.0.0.1:{port}", PROCESSES, index)
    assert (jax.device_count(), jax.local_device_count()) == (8, 4)
    mesh = jax.make_mesh((8,), ("x",))
    for name, chunk_size in (("whole", None), ("chunks", 8)):
        results = o.sweep(train, SWEPT, mesh=mesh, chunk_size=chunk_size)
        assert all(leaf.is_fully_replicated for leaf in jax.tree.leaves(results))
        np.savez(folder / f"{name}-{index}.npz", **jax.tree.map(np.asarray, results))


if __name__ == "__main__":
    of_one_process_of_two(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
