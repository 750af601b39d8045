"""Runs for every schedule of a batch, through one compiled program."""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.arguments import admit
from optax_sched._core.errors import complaint
from optax_sched._core.hyperparameters import Count, domain_of
from optax_sched._schedules.batches import automatic, indexable, size_of, stack


def sweep(
    run: Callable[[Any], Any],
    batch: Any,
    *,
    mesh: jax.sharding.Mesh | None = None,
    chunk_size: int | None = None,
) -> Any:
    """Run something for every schedule of a batch, in one program that is compiled once.

    It is `jax.jit(jax.vmap(run))(batch)`, spread over devices and cut to fit memory where asked.

    Args:
      run: what to do with one schedule, a training say: a function that JAX can trace and that
        returns a pytree of arrays. The same function with the same shapes is not compiled again.
      batch: a batched schedule (see `stack`, `grid`), or a list of schedules, or any pytree with the
        same leading axis on every leaf, such as `(batch, seeds)`.
      mesh: the devices to spread over, of one process or of several. The leading axis is split over
        all axes of the mesh; where the number of settings does not divide, the last is repeated and
        dropped again. In each process `batch` must be the same.
      chunk_size: at most so many settings at a time (on a mesh: a multiple of its size that is not
        more, at least one a device). Chunks share one program. Shows progress if tqdm is installed.

    Returns:
      The results with a leading axis, in the order of the batch: spread over the mesh where there is
      one; with several processes every one of them holds all.

    Raises:
      TypeError, ValueError: `run` is not callable, `batch` has no common leading axis, `mesh` is not a
        Mesh, or `chunk_size` is not a whole number of 1 or more.

    >>> import optax_sched
    >>> batch = stack([optax_sched.linear(1.0, 0.0, steps) for steps in (2, 4, 8)])
    >>> print(sweep(lambda schedule: schedule(1), batch))
    [0.5   0.75  0.875]
    """
    if not callable(run):
        raise TypeError(complaint("sweep", "run", "a function of one schedule", run))
    if mesh is not None and not isinstance(mesh, jax.sharding.Mesh):
        raise TypeError(complaint("sweep", "mesh", "a jax.sharding.Mesh, or None", mesh))
    if isinstance(batch, list):
        batch = stack(batch)
    size = size_of("sweep", batch)
    inner = None if mesh is None else automatic(mesh)
    devices = 1 if mesh is None else mesh.size
    most = size if chunk_size is None else int(admit("sweep", "chunk_size", _CHUNK_SIZE, chunk_size))
    whole = -(-size // devices) * devices
    length = min(max(most // devices, 1) * devices, whole)
    program = _cached_program(run, inner) if _is_hashable(run) else _program(run, inner)
    batch = indexable(batch)
    with _context_of(inner):
        results = [
            program(_spread(_rows(batch, start, length, size), inner))
            for start in _shown(range(0, size, length))
        ]
        if len(results) > 1 or length > size:
            results = [jax.tree.map(lambda *parts: jnp.concatenate(parts)[:size], *results)]
    return _at_home(results[0], mesh, size)


_CHUNK_SIZE = domain_of("chunk_size", Count)


def _is_hashable(run: Any) -> bool:
    try:
        hash(run)
    except TypeError:  # an equinox module, say
        return False
    return True


def _program(run: Callable[[Any], Any], mesh: jax.sharding.Mesh | None) -> Callable[[Any], Any]:
    mapped = jax.vmap(run)
    if mesh is None:
        return jax.jit(mapped)
    split = jax.sharding.PartitionSpec(mesh.axis_names)
    # Each device runs its own settings and never waits for another. What `run` makes varies over
    # the mesh from the start, which a scan of its own need not say: the check would ask it to.
    spread = jax.shard_map(mapped, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    gathered = jax.sharding.PartitionSpec() if jax.process_count() > 1 else split
    return jax.jit(spread, out_shardings=jax.sharding.NamedSharding(mesh, gathered))


_cached_program = functools.lru_cache(maxsize=32)(_program)  # they live on, and what `run` holds


def _context_of(mesh: jax.sharding.Mesh | None) -> contextlib.AbstractContextManager[Any]:
    """`jax.shard_map` refuses a mesh other than that of a `jax.set_mesh` around it."""
    use_mesh = getattr(jax.sharding, "use_abstract_mesh", None)  # of the age of `jax.set_mesh`
    if mesh is None or use_mesh is None:
        return contextlib.nullcontext()
    return use_mesh(mesh.abstract_mesh)


def _at_home(results: Any, mesh: jax.sharding.Mesh | None, size: int) -> Any:
    """The results, on the mesh of a `jax.set_mesh` around the sweep: no other may be used there."""
    if mesh is None or mesh.abstract_mesh != jax.sharding.get_abstract_mesh():
        return results
    is_whole = size % mesh.size or jax.process_count() > 1
    spec = jax.sharding.PartitionSpec() if is_whole else jax.sharding.PartitionSpec(mesh.axis_names)
    return jax.device_put(results, jax.sharding.NamedSharding(mesh, spec))


def _rows(batch: Any, start: int, length: int, size: int) -> Any:
    """So many rows of the batch from `start`; beyond the last, the last again."""
    if length == size:
        return batch
    rows = np.minimum(np.arange(start, start + length), size - 1)
    return jax.tree.map(lambda leaf: leaf[rows], batch)


def _spread(batch: Any, mesh: jax.sharding.Mesh | None) -> Any:
    if mesh is None:
        return batch
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(mesh.axis_names))
    return jax.device_put(batch, split)


def _shown(starts: Sequence[int]) -> Iterable[int]:
    """The starts, with a progress bar where there are several and tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return starts
    quiet = len(starts) == 1 or jax.process_index() > 0
    return tqdm(starts, "sweep", disable=quiet, unit="chunk", file=sys.stderr)
