"""Runs a function for every schedule of a batch, through one compiled program."""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from optax_sched._core.domains import SIZE
from optax_sched._core.errors import Refusal
from optax_sched._core.words import admit
from optax_sched._schedules.batches import automatic, indexable, size_of, stack

T = TypeVar("T")


def sweep(
    run: Callable[[Any], Any],
    batch: Any,
    *,
    mesh: Mesh | None = None,
    chunk_size: int | None = None,
) -> Any:
    """Run a function for every schedule of a batch, in one program that compiles once.

    It is `jax.jit(jax.vmap(run))(batch)`; `mesh` spreads it over devices, and `chunk_size` cuts it to
    fit memory.

    Args:
      run: a function of one schedule, for example a training, that JAX can trace and that returns a
        pytree of arrays. The same function with the same shapes does not compile again.
      batch: a batched schedule (see `stack`, `grid`), a list of schedules, or any pytree with the same
        leading axis on every leaf, such as `(batch, seeds)`.
      mesh: the devices to spread over, of one process or of several. All axes of the mesh share the
        leading axis. If the number of settings is not a multiple of the number of devices, `sweep`
        repeats the last setting and drops the surplus results. All processes must pass the same batch.
      chunk_size: run at most this many settings at once; on a mesh, rounded down to a multiple of the
        number of devices, but at least one per device. Chunks share one program. A bar shows progress
        if tqdm is installed.

    Returns:
      The results with a leading axis, in the order of the batch. They stay spread over the mesh, if
      there is one; with several processes, each process holds all of them.

    Raises:
      TypeError, ValueError: `run` is not callable, `batch` has no common leading axis, `mesh` is not a
        Mesh, or `chunk_size` is not a whole number of 1 or more.

    Elsewhere: `jax.vmap` by hand. Not to be confused with the sweeps of Weights & Biases, which start a
    run of their own for each setting.

    >>> import optax_sched
    >>> batch = stack([optax_sched.linear(1.0, 0.0, steps) for steps in (2, 4, 8)])
    >>> print(sweep(lambda schedule: schedule(1), batch))
    [0.5   0.75  0.875]
    """
    if not callable(run):
        raise Refusal("sweep", "run", "a function of one schedule", run).error(TypeError)
    if mesh is not None and not isinstance(mesh, Mesh):
        raise Refusal("sweep", "mesh", "a jax.sharding.Mesh, or None", mesh).error(TypeError)
    if isinstance(batch, list):
        batch = stack(batch)
    size = size_of("sweep", batch)
    inner = None if mesh is None else automatic(mesh)
    devices = 1 if mesh is None else mesh.size
    most = size if chunk_size is None else admit("sweep", "chunk_size", SIZE, chunk_size)
    whole = -(-size // devices) * devices
    length = min(max(most // devices, 1) * devices, whole)
    try:
        program = _cached_program(run, inner)
    except TypeError:  # no hash: for example an equinox module that holds arrays
        program = _program(run, inner)
    batch = indexable(batch)
    split = None if inner is None else NamedSharding(inner, PartitionSpec(inner.axis_names))
    # `jax.shard_map` refuses a mesh that differs from the one set; JAX sets one since `jax.set_mesh`.
    use_mesh = getattr(jax.sharding, "use_abstract_mesh", contextlib.nullcontext)
    with contextlib.nullcontext() if inner is None else use_mesh(inner.abstract_mesh):
        starts = _shown(range(0, size, length))
        results = [program(jax.device_put(_rows(batch, it, length, size), split)) for it in starts]
        if len(results) > 1 or length > size:
            results = [jax.tree.map(lambda *parts: jnp.concatenate(parts)[:size], *results)]
    return _at_home(results[0], mesh, size)


def _program(run: Callable[[Any], Any], mesh: Mesh | None) -> Callable[[Any], Any]:
    mapped = jax.vmap(run)
    if mesh is None:
        return jax.jit(mapped)
    split = PartitionSpec(mesh.axis_names)
    # Each device runs its own settings and never waits for another. check_vma=False, or JAX would make
    # every lax.scan in `run` mark its first carry as varying over the devices.
    spread = jax.shard_map(mapped, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    gathered = PartitionSpec() if jax.process_count() > 1 else split
    return jax.jit(spread, out_shardings=NamedSharding(mesh, gathered))


# This keeps 32 programs alive, and everything that their `run` closes over.
_cached_program = functools.lru_cache(maxsize=32)(_program)


def _at_home(results: T, mesh: Mesh | None, size: int) -> T:
    """Move the results to the mesh that `jax.set_mesh` has set, where no other mesh may be used."""
    if mesh is None or mesh.abstract_mesh != jax.sharding.get_abstract_mesh():
        return results
    is_whole = size % mesh.size or jax.process_count() > 1
    spec = PartitionSpec() if is_whole else PartitionSpec(mesh.axis_names)
    return jax.device_put(results, NamedSharding(mesh, spec))


def _rows(batch: T, start: int, length: int, size: int) -> T:
    """Rows start : start + length of the batch, with the last row repeated beyond its end."""
    if length == size:
        return batch
    rows = np.minimum(np.arange(start, start + length), size - 1)
    return jax.tree.map(lambda leaf: leaf[rows], batch)


def _shown(starts: Sequence[int]) -> Iterable[int]:
    """The starts, with a progress bar if there are several and tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return starts
    quiet = len(starts) == 1 or jax.process_index() > 0
    return tqdm(starts, "sweep", disable=quiet, unit="chunk", file=sys.stderr)
