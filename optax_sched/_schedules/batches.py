"""Many schedules at once: as one batch, or from a grid of settings."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.domains import admit, complaint, is_traced
from optax_sched._core.hyperparameters import CountOrZero
from optax_sched._core.operands import ManySchedules, Operands, Parts, as_number, stacked
from optax_sched._core.schedule import Schedule, is_made_by, schedule


@schedule(name="select")
def one_of(step, index: CountOrZero, schedules: Operands):
    """A `select` that `stack` made, of which `unstack` gives back the part."""
    return schedules.value_at(index, lambda active: step * active)


def stack(schedules: Sequence[Any]) -> Schedule:
    """Several schedules as one batch: a schedule with a leading axis on every leaf.

    Where all are of one structure and shape, their leaves are stacked. Else each becomes a `select`
    over the same formulas, one for each family, however many settings a family has.

    Args:
      schedules: one or more schedules, functions of the step, or numbers.

    Returns:
      The batch, for `jax.vmap`, `sweep` and `unstack`. Lengths of which some are whole and some not
      become floats.

    Raises:
      TypeError, ValueError: `schedules` is not a sequence of one or more.

    >>> import jax, optax_sched
    >>> batch = stack([optax_sched.linear(1.0, 0.0, 4), optax_sched.cosine_decay(1.0, 4)])
    >>> [f"{rate:.3f}" for rate in jax.vmap(lambda schedule: schedule(1))(batch)]
    ['0.750', '0.854']
    """
    parts = admit("stack", "schedules", ManySchedules(), schedules)
    items = [parts[index] for index in range(len(parts))]
    if not jax.tree.leaves(parts) or not _are_alike(items):
        items = [_select_of(parts, index) for index in range(len(parts))]
    leaves, structures = zip(*map(jax.tree.flatten, items), strict=True)
    return jax.tree.unflatten(structures[0], map(stacked, zip(*leaves, strict=True)))


def _are_alike(items: Sequence[Any]) -> bool:
    return len({(jax.tree.structure(s), *map(_stackable, jax.tree.leaves(s))) for s in items}) == 1


def _stackable(leaf: Any) -> Any:
    """What leaves must share to be stacked: a random key goes with those of its own type only."""
    dtype = jnp.result_type(leaf)
    return jnp.shape(leaf), dtype if jnp.issubdtype(dtype, jax.dtypes.prng_key) else None


def _select_of(parts: Parts, index: int) -> Schedule:
    """The part, chosen among one of each family: of the others, their first."""
    family, _ = parts.layout.places[index]
    firsts = [parts[parts.layout.places.index((number, 0))] for number in range(len(parts.families))]
    return one_of(family, [*firsts[:family], parts[index], *firsts[family + 1 :]])


def unstack(batch: Schedule) -> list[Any]:
    """The schedules of a batch, one by one.

    Args:
      batch: a schedule with a leading axis on every leaf, as `stack`, `grid` or `jax.vmap` make it.

    Returns:
      A list of schedules. Those of `stack` are as they were before, save that their numbers have the
      precision of the batch.

    Raises:
      TypeError, ValueError: `batch` has no leading axis, or not the same one on every leaf.

    >>> import optax_sched
    >>> unstack(stack([optax_sched.constant(0.1), optax_sched.constant(0.2)]))
    [constant(value=0.1), constant(value=0.2)]
    """
    size = size_of("unstack", batch)
    leaves, structure = jax.tree.flatten(indexable(batch))
    items = (jax.tree.unflatten(structure, [_item(leaf, i) for leaf in leaves]) for i in range(size))
    return [_chosen(item) for item in items]


def _item(leaf: Any, index: int) -> Any:
    # NumPy's leaves were Python numbers: the rates of such a schedule are weakly typed.
    is_number = isinstance(leaf, np.ndarray) and leaf.ndim == 1
    return as_number(leaf[index]) if is_number else leaf[index]


def _chosen(item: Any) -> Any:
    """What `stack` was given, where it made a select of it."""
    if not is_made_by(one_of, item) or is_traced(item.index) or jnp.ndim(item.index):
        return item
    return item.schedules[int(item.index)]


def grid(builder: Callable[..., Any], **values: Sequence[Any]) -> tuple[Schedule, list[dict[str, Any]]]:
    """Every combination of some settings as one batch: their cartesian product.

    Args:
      builder: makes a schedule of one setting: a builder or a function of your own.
      **values: for each of its arguments by name the values to try, a sequence. One value only is a
        sequence of one: `decay_steps=[1000]`.

    Returns:
      The batch (see `stack`), and the settings as dicts, both in the order of `itertools.product`:
      the last argument changes fastest.

    Raises:
      TypeError, ValueError: `builder` is not callable, an argument has no sequence of one or more
        values, or the builder refuses a setting.

    Elsewhere: scikit-learn's `ParameterGrid` (which sorts the names), Optuna's `GridSampler`.

    >>> import optax_sched
    >>> batch, settings = grid(optax_sched.linear, init_value=[0.1, 0.2], end_value=[0.0],
    ...                        transition_steps=[10, 20])
    >>> batch
    linear(init_value=[0.1, 0.1, 0.2, 0.2], end_value=[0.0, 0.0, 0.0, 0.0], \
transition_steps=[10, 20, 10, 20])
    >>> settings[1]
    {'init_value': 0.1, 'end_value': 0.0, 'transition_steps': 20}
    """
    if not callable(builder):
        raise TypeError(complaint("grid", "builder", "a function that makes a schedule", builder))
    if not values:
        raise TypeError("grid: it takes a sequence of values for one argument of the builder or more")
    choices = [_choices(name, tried) for name, tried in values.items()]
    settings = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*choices)]
    return stack([builder(**setting) for setting in settings]), settings


def _choices(name: str, tried: Any) -> list[Any]:
    rule = "a sequence of one or more values to try"
    if isinstance(tried, np.ndarray | jax.Array) and tried.ndim and not is_traced(tried):
        tried = list(tried) if jnp.issubdtype(tried.dtype, jax.dtypes.prng_key) else tried.tolist()
    if not isinstance(tried, Sequence) or isinstance(tried, str | bytes):
        raise TypeError(complaint("grid", name, rule, tried))
    if not tried:
        raise ValueError(complaint("grid", name, rule, tried))
    return list(tried)


def automatic(mesh: jax.sharding.Mesh) -> jax.sharding.Mesh:
    """The same devices, with axes that JAX shards by itself: explicit ones refuse most indexing."""
    kinds = (jax.sharding.AxisType.Auto,) * len(mesh.axis_names)
    return jax.sharding.Mesh(mesh.devices, mesh.axis_names, axis_types=kinds)


def indexable(batch: Any) -> Any:
    """The batch, leaves that lie on a mesh of explicit axes moved to the same with automatic ones."""

    def moved(leaf: Any) -> Any:
        sharding = None if is_traced(leaf) else getattr(leaf, "sharding", None)
        if not isinstance(sharding, jax.sharding.NamedSharding):
            return leaf
        mesh: Any = sharding.mesh
        return jax.device_put(leaf, jax.sharding.NamedSharding(automatic(mesh), sharding.spec))

    return jax.tree.map(moved, batch)


def size_of(where: str, batch: Any) -> int:
    """The length of the leading axis that all leaves share."""
    sizes: set[Any] = {getattr(leaf, "shape", ())[:1] for leaf in jax.tree.leaves(batch)}
    if len(sizes) != 1 or sizes in ({()}, {(0,)}):
        rule = "a batch, with the same leading axis on every leaf (see optax_sched.stack)"
        raise ValueError(complaint(where, "batch", rule, batch))
    ((size,),) = sizes
    return size
