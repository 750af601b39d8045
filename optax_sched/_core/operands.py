"""Schedules as hyperparameters of other schedules: one of them, or many at the cost of one."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.built import Built, is_batch, is_made_by, joined, lengths_of, split
from optax_sched._core.domains import (
    Domain,
    Node,
    as_array,
    as_pytree,
    read_only,
    refuse_no_schedule,
)
from optax_sched._core.evaluate import is_float_clock
from optax_sched._core.hyperparameters import Real
from optax_sched._core.schedule import Schedule, schedule
from optax_sched._math.phases import pick


@schedule
def constant(step, value: Real):
    """The same value at every step, before 0 too and without end.

        value

    Args:
      value: any finite number; a rate, or a momentum, a weight decay, a sign.

    Raises:
      TypeError, ValueError: `value` is not a finite number.

    Elsewhere: `optax.constant_schedule`, transformers' 'constant'. torch's `ConstantLR` is another
    thing: a factor that is dropped after some steps, here
    `piecewise_constant([factor * rate, rate], [steps])`.

    >>> print(f"{constant(0.1)(1000):.2f}")
    0.10
    """
    del step
    return value


@schedule
def of_function(step, function: Any):
    """Make a schedule of a function of the step."""
    return function(step)


def as_schedule(function: Any) -> Schedule:
    """A schedule as it is; any other function of the step made into one."""
    return function if isinstance(function, Schedule) else of_function(function)


class OneSchedule(Domain):
    """A schedule, any callable `step -> value`, or a number, which means `constant`."""

    words = "a schedule, a function of the step, or a finite number"

    def __init__(self, has_own_clock: bool = False):
        self.has_own_clock = has_own_clock  # whether its steps are other ones than those outside

    def admit(self, value: Any) -> Any:
        if isinstance(value, Schedule):
            return value
        refuse_no_schedule(value)
        if isinstance(value, Built):  # a shape
            raise TypeError
        return as_pytree(value) if callable(value) else constant(value)

    def has_batch_axis(self, stored: Any) -> bool:
        return is_batch(stored)

    def is_float_clock(self, stored: Any) -> bool:
        return is_float_clock(stored)

    def lengths(self, stored: Any) -> Iterable[tuple[str, Any]]:
        if not self.has_own_clock:
            yield from ((f".{name}", length) for name, length in lengths_of(stored))

    def constants(self, stored: Any) -> Any:
        return stored.value if is_made_by(constant, stored) else ()


class ManySchedules(Domain):
    """A sequence of schedules, those of equal structure stacked leaf by leaf."""

    words = "a sequence of one or more schedules, functions of the step, or finite numbers"

    def admit(self, value: Any) -> "Parts":
        if isinstance(value, Parts):
            return value
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise TypeError
        if not value:
            raise ValueError
        return Parts.of([OneSchedule().admit(item) for item in value])

    def public(self, stored: "Parts") -> list[Any]:
        return [stored[index] for index in range(len(stored))]

    def has_batch_axis(self, stored: "Parts") -> bool:
        return stored.has_batch_axis()

    def is_float_clock(self, stored: "Parts") -> bool:
        return any(is_float_clock(family) for family in stored.families)

    def lengths(self, stored: "Parts") -> Iterable[tuple[str, Any]]:
        for number, family in enumerate(stored.families):
            indices = [i for i, (own, _) in enumerate(stored.layout.places) if own == number]
            for name, length in lengths_of(family):
                members = [length] if stored.layout.is_alone(number) else list(length)
                yield from ((f"[{i}].{name}", it) for i, it in zip(indices, members, strict=True))

    def constants(self, stored: "Parts") -> list[Any]:
        return [family.value for family in stored.families if is_made_by(constant, family)]

    def packed(self, stored: "Parts") -> Any:
        return stored.families, stored.layout._key

    def unpacked(self, packed: Any) -> "Parts":
        families, layout = packed
        return Parts(families, Layout(*layout))


class Layout:
    """The family of each part, and its place there. It may be long, so it is hashed only once."""

    def __init__(
        self,
        places: Sequence[tuple[int, int]],
        ranks: Sequence[Sequence[int]],
        is_mixture: bool = False,
    ):
        self.places = tuple(places)
        self.ranks = tuple(map(tuple, ranks))  # the number of axes of each leaf of a family's member
        self.is_mixture = is_mixture  # whether `stack` made it, for a `select`
        self.sizes = tuple(np.bincount([family for family, _ in self.places], minlength=len(ranks)))
        self._key = self.places, self.ranks, self.is_mixture
        self._hash = hash(self._key)

    def is_alone(self, family: int) -> bool:
        """Whether a family has only one member, which is then not stacked."""
        return self.sizes[family] == 1

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout) or self._hash != other._hash:
            return self is other
        return self is other or self._key == other._key


@jax.tree_util.register_pytree_with_keys_class
class Parts(Node):
    """Schedules in order. Those of equal structure are a family, stacked on a leading axis."""

    __slots__ = ("families", "layout")

    def __init__(self, families: Sequence[Any], layout: Layout):
        self.families = tuple(families)
        self.layout = layout

    @classmethod
    def of(cls, schedules: Sequence[Any]) -> "Parts":
        groups, places = in_families(schedules)
        families, ranks = [], []
        for structure, members in groups:
            ranks.append([jnp.ndim(leaf) for leaf in members[0]])
            # Leave a single member as it is: there is nothing to pick from, and nests stay small.
            one = members[0] if len(members) == 1 else list(map(stacked, zip(*members, strict=True)))
            families.append(jax.tree.unflatten(structure, one))
        return cls(families, Layout(places, ranks))

    def _parts(self) -> tuple[Any, ...]:
        return self.families

    def __len__(self) -> int:
        return len(self.layout.places)

    def __getitem__(self, index: int) -> Any:
        family, place = self.layout.places[index]
        if self.layout.is_alone(family):
            return self.families[family]
        leaves, structure = jax.tree.flatten(self.families[family])
        ranks = self.layout.ranks[family]
        # The members lie on the axis before a leaf's own axes; in a batch there are more before it.
        items = [
            leaf[(..., place, *(slice(None),) * rank)] for leaf, rank in zip(leaves, ranks, strict=True)
        ]
        return jax.tree.unflatten(structure, list(map(as_number, items)))

    def has_batch_axis(self) -> bool:
        """Whether the members have one axis more than single schedules."""
        for number, (family, ranks) in enumerate(zip(self.families, self.layout.ranks, strict=True)):
            axes = [rank + (not self.layout.is_alone(number)) for rank in ranks]
            if any(np.ndim(x) > n for x, n in zip(jax.tree.leaves(family), axes, strict=True)):
                return True
        return False

    def value_at(self, index: Any, clock: Callable[[jax.Array], Any]) -> jax.Array:
        """The value of the part at a traced index, at the step `clock(is_active)`.

        Each family is evaluated once, whatever the number of its members. A family that is not active
        gets the step `clock(False)`, so that nothing of it leaks into the gradient.
        """
        family_of = np.asarray([family for family, _ in self.layout.places])
        result: Any = None
        for number, family in enumerate(self.families):
            chosen = np.flatnonzero(family_of == number) == index
            active = jnp.any(chosen)
            member = family
            if not self.layout.is_alone(number):
                # A family that is not active evaluates its first member.
                place = jnp.argmax(chosen)
                member = jax.tree.map(lambda leaf, place=place: pick(leaf, place), family)
            value = member(clock(active))
            result = value if result is None else jnp.where(active, value, result)
        return result

    def tree_flatten_with_keys(self):
        families, structure = self.tree_flatten()
        places = (place for place, is_alone in enumerate(structure[2]) if not is_alone)
        keys = map(jax.tree_util.SequenceKey, places)
        return tuple(zip(keys, families, strict=True)), structure

    def tree_flatten(self):
        return split(self.families, [False] * len(self.families), self.layout)

    @classmethod
    def tree_unflatten(cls, structure: Any, families: Sequence[Any]):
        return cls(joined(structure, [False] * len(structure[1]), families), structure[0])


def in_families(schedules: Sequence[Any]) -> tuple[list[tuple[Any, list[Any]]], list[tuple[int, int]]]:
    """The structure and the members' leaves of each family, and the place of each schedule in them."""
    groups: dict[Any, tuple[Any, list[Any]]] = {}
    numbers: dict[Any, int] = {}
    places = []
    for item in schedules:
        leaves, structure = jax.tree.flatten(item)
        key = structure, *map(_leaf_type, leaves)
        _, members = groups.setdefault(key, (structure, []))
        places.append((numbers.setdefault(key, len(numbers)), len(members)))
        members.append(leaves)
    return list(groups.values()), places


def _leaf_type(leaf: Any) -> Any:
    if isinstance(leaf, int | float):
        return type(leaf)
    return jnp.shape(leaf), jnp.result_type(leaf)


def as_number(item: Any) -> Any:
    """The shortest Python number that rounds to a NumPy scalar; any other item as it is."""
    if isinstance(item, np.generic | np.ndarray) and not item.ndim:
        return item.item() if item.dtype.kind in "iu" else float(str(item))
    return item


def stacked(leaves: Sequence[Any]) -> Any:
    """Leaves of one shape on a new leading axis, in NumPy unless one of them is on a device."""
    if all(isinstance(leaf, int | float) for leaf in leaves):
        return as_array(leaves)
    if all(isinstance(leaf, np.ndarray) for leaf in leaves):
        return read_only(np.stack(leaves))
    with jax.numpy_dtype_promotion("standard"):  # whole and fractional lengths are one batch
        return jnp.stack([jnp.asarray(leaf) for leaf in leaves])


# Annotated Any: the formula sees what these become, a callable and `Parts`.
Operand = Annotated[Any, "Operand", OneSchedule()]
"""A schedule, any function of the step, or a number, which means `constant`."""
OperandOnOwnClock = Annotated[Any, "Operand", OneSchedule(has_own_clock=True)]
"""The same, counted in other units than steps, such as epochs or parts of the run."""
Operands = Annotated[Any, "Operands", ManySchedules()]
"""A sequence of schedules, functions of the step, or numbers."""
