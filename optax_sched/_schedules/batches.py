"""Many schedules at once: as one batch, or from a grid of settings."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.built import Built, assembled, formula_behind, refuse_batch, stored_values
from optax_sched._core.domains import is_traced, read_only, some, stacked
from optax_sched._core.errors import Refusal, in_a_word
from optax_sched._core.operands import Mixture, OneSchedule, as_number, in_families
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import admit
from optax_sched._schedules.combine import select

T = TypeVar("T")


def stack(schedules: Sequence[Any]) -> Schedule:
    """Several schedules as one batch: a schedule with a leading axis on every leaf.

    If all have the same structure and shapes, `stack` stacks their leaves. Otherwise the batch is a
    `select` with one formula for each family of equal structure, however many members a family has.
    Closed loops of one builder are stacked too: their schedules as schedules are.

    Args:
      schedules: one or more schedules, functions of the step, or numbers; or one or more closed loops.

    Returns:
      The batch, for `jax.vmap`, `sweep` and `unstack`. If some lengths in it are integers and others
      floats, all become floats.

    Raises:
      TypeError, ValueError: `schedules` is not a sequence of one or more schedules, or some of
        different structure are batches: `stack(unstack(a) + unstack(b))` joins those.

    >>> import jax, optax_sched
    >>> batch = stack([optax_sched.linear(1.0, 0.0, 4), optax_sched.cosine_decay(1.0, 4)])
    >>> [f"{rate:.3f}" for rate in jax.vmap(lambda schedule: schedule(1))(batch)]
    ['0.750', '0.854']
    """
    rule = "a sequence of one or more schedules, or of closed loops"
    schedules = some("stack", "schedules", rule, schedules)
    if any(isinstance(item, Built) and not isinstance(item, Schedule) for item in schedules):
        return _closed_loops(schedules)
    items = [admit("stack", f"schedules[{i}]", OneSchedule(), item) for i, item in enumerate(schedules)]
    leaves, structures = zip(*map(jax.tree.flatten, items), strict=True)
    if leaves[0] and len(set(structures)) == 1 and len({tuple(map(_form, row)) for row in leaves}) == 1:
        return jax.tree.unflatten(structures[0], map(stacked, zip(*leaves, strict=True)))
    return _mixture(items)


def _closed_loops(loops: Sequence[Any]) -> Any:
    """Closed loops of one builder, their schedules stacked as schedules are, all else leaf by leaf."""
    names = [formula_behind(it).name if isinstance(it, Built) else in_a_word(it) for it in loops]
    rule = "schedules alone, or closed loops of one builder and structure"
    refusal = Refusal("stack", "schedules", rule, names)
    formula = formula_behind(next(it for it in loops if isinstance(it, Built)))
    if not all(isinstance(it, Built) and formula_behind(it) is formula for it in loops):
        raise refusal.error(TypeError)
    values: dict[str, Any] = {}
    for name, domain in formula.domains.items():
        column = [stored_values(it)[name] for it in loops]
        if isinstance(domain, OneSchedule):
            values[name] = stack(column)
        elif not domain.static:
            try:
                values[name] = jax.tree.map(lambda *x: stacked(x), *column)
            except ValueError:
                raise refusal.error() from None
        elif all(value == column[0] for value in column):
            values[name] = column[0]
        else:
            raise Refusal("stack", f"{name} in schedules", "the same in all", column).error()
    return assembled(formula.builder, **values)


def _form(leaf: Any) -> Any:
    """What leaves must share to be stacked: their shape and, if they are random keys, their dtype."""
    dtype = jnp.result_type(leaf)
    return jnp.shape(leaf), dtype if jnp.issubdtype(dtype, jax.dtypes.prng_key) else None


def _mixture(items: Sequence[Any]) -> Schedule:
    """For each item a `select` of its own family's member and of each other family's first member."""
    for i, item in enumerate(items):
        refuse_batch(f"stack: schedules[{i}]", item, "write stack(unstack(a) + unstack(b))")
    index = np.zeros(len(items), np.int32)
    families = []
    for number, family in enumerate(in_families(items)):
        index[family.indices] = number
        rows = np.zeros(len(items), int)
        rows[family.indices] = range(len(family.indices))
        columns = map(stacked, zip(*family.members, strict=True))
        families.append(jax.tree.unflatten(family.structure, [column[rows] for column in columns]))
    return assembled(select, index=read_only(index), schedules=Mixture.made(families))


def unstack(batch: Schedule) -> list[Any]:
    """The schedules of a batch, one by one.

    Args:
      batch: a schedule with a leading axis on every leaf, as `stack`, `grid` or `jax.vmap` make it.

    Returns:
      A list of schedules. What `stack` was given comes back, with its numbers in the precision of the
      batch.

    Raises:
      TypeError, ValueError: the leaves of `batch` do not have the same leading axis.

    >>> import optax_sched
    >>> unstack(stack([optax_sched.constant(0.1), optax_sched.constant(0.2)]))
    [constant(value=0.1), constant(value=0.2)]
    """
    size = size_of("unstack", batch)
    leaves, structure = jax.tree.flatten(indexable(batch))
    # Leaves in NumPy were Python numbers before `stack`.
    rows = [[as_number(leaf[row]) for leaf in leaves] for row in range(size)]
    items = [jax.tree.unflatten(structure, row) for row in rows]
    return [OneSchedule().public(it) for it in jax.tree.map(_chosen, items, is_leaf=_is_choice)]


def _is_choice(item: Any) -> bool:
    """Whether `stack` made this `select`, which chooses what it was given."""
    schedules = stored_values(item).get("schedules") if isinstance(item, Built) else None
    return isinstance(schedules, Mixture) and not is_traced(item.index) and not jnp.ndim(item.index)


def _chosen(item: Any) -> Any:
    return stored_values(item)["schedules"][int(item.index)] if _is_choice(item) else item


def grid(builder: Callable[..., Any], **values: Sequence[Any]) -> tuple[Schedule, list[dict[str, Any]]]:
    """Every combination of some settings as one batch: their cartesian product.

    Args:
      builder: a builder, or a function of your own, that makes a schedule from one setting.
      **values: for each argument of the builder, by name, a sequence of values to try. Write a single
        value as a sequence of one: `decay_steps=[1000]`.

    Returns:
      The batch (see `stack`), and the settings as dicts, both in the order of `itertools.product`:
      the last argument changes fastest.

    Raises:
      TypeError, ValueError: `builder` is not callable, the values of an argument are not a sequence of
        one or more, or the builder refuses a setting.

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
    is_made = isinstance(builder, Built)
    if is_made or not callable(builder):
        hint = f": pass the builder, {formula_behind(builder).name}" if is_made else ""
        rule = "a function that makes a schedule"
        raise Refusal("grid", "builder", rule, builder, hint).error(TypeError)
    if not values:
        raise TypeError("grid: it takes a sequence of values for at least one argument of the builder")
    choices = [_choices(name, tried) for name, tried in values.items()]
    settings = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*choices)]
    return stack([builder(**setting) for setting in settings]), settings


def _choices(name: str, tried: Any) -> list[Any]:
    rule = "a sequence of one or more values to try (of one value: [value])"
    if isinstance(tried, np.ndarray | jax.Array) and tried.ndim and not is_traced(tried):
        tried = list(tried) if jnp.issubdtype(tried.dtype, jax.dtypes.prng_key) else tried.tolist()
    return list(some("grid", name, rule, tried))


def automatic(mesh: jax.sharding.Mesh) -> jax.sharding.Mesh:
    """The same devices with automatic axes: arrays on explicit axes refuse most indexing."""
    kinds = (jax.sharding.AxisType.Auto,) * len(mesh.axis_names)
    return jax.sharding.Mesh(mesh.devices, mesh.axis_names, axis_types=kinds)


def indexable(batch: T) -> T:
    """The batch, with leaves on explicit axes of a mesh moved to automatic axes."""

    def moved(leaf: Any) -> Any:
        sharding = None if is_traced(leaf) else getattr(leaf, "sharding", None)
        if not isinstance(sharding, jax.sharding.NamedSharding):
            return leaf
        mesh: Any = sharding.mesh
        return jax.device_put(leaf, jax.sharding.NamedSharding(automatic(mesh), sharding.spec))

    return jax.tree.map(moved, batch)


def size_of(where: str, batch: Any) -> int:
    """The length of the leading axis that all leaves share, or an error."""
    sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(batch)}
    if len(sizes) != 1 or not any(*sizes):
        rule = "a batch, with the same leading axis on every leaf (see optax_sched.stack)"
        raise Refusal(where, "batch", rule, batch).error()
    return sizes.pop()[0]
