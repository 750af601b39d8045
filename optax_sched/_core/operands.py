"""Schedules as hyperparameters of other schedules: one of them, or many at the cost of one."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.domains import Kind, as_array, as_pytree, read_only, weak_flags
from optax_sched._core.hyperparameters import Real
from optax_sched._core.schedule import Schedule, schedule


@schedule
def constant(step, value: Real):
    """The same value at every step.

        value

    Args:
      value: any finite number; a rate, or a momentum, a weight decay, a sign.

    Raises:
      TypeError, ValueError: `value` is not a finite number.

    Elsewhere: `optax.constant_schedule`, transformers' `constant`. torch's `ConstantLR` is another
    thing: a factor that is dropped after some steps, here
    `piecewise_constant([factor * rate, rate], [steps])`.

    >>> print(f"{constant(0.1)(1000):.2f}")
    0.10
    """
    del step
    return value


class OneSchedule(Kind):
    """A schedule, any callable `step -> value`, or a number, which means `constant`."""

    rule = "a schedule, a function of the step, or a finite number"

    def admit(self, value: Any) -> Any:
        if isinstance(value, Schedule):
            return value
        return as_pytree(value) if callable(value) else constant(value)


class ManySchedules(Kind):
    """A sequence of schedules, those of equal structure stacked leaf by leaf."""

    rule = "a sequence of one or more schedules, functions of the step, or finite numbers"

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


class Layout:
    """Which family each part belongs to, and its place there. Hashed once: it may be long."""

    def __init__(
        self,
        places: Sequence[tuple[int, int]],
        pythonic: Sequence[Sequence[bool]],
        ranks: Sequence[Sequence[int]],
    ):
        self.places = tuple(places)
        self.pythonic = tuple(map(tuple, pythonic))  # of a family's leaves: were they Python numbers
        self.ranks = tuple(map(tuple, ranks))  # and how many axes has one member's
        self._hash = hash((self.places, self.pythonic, self.ranks))

    def is_alone(self, family: int) -> bool:
        """Whether a family has one member, which is then not stacked."""
        return sum(number == family for number, _ in self.places) == 1

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Layout) or self._hash != other._hash:
            return False
        return (self.places, self.pythonic, self.ranks) == (other.places, other.pythonic, other.ranks)


@jax.tree_util.register_pytree_with_keys_class
class Parts:
    """Schedules in order. A family is those of equal structure, stacked on a leading axis."""

    __slots__ = ("families", "layout")

    def __init__(self, families: Sequence[Any], layout: Layout):
        self.families = tuple(families)
        self.layout = layout

    @classmethod
    def of(cls, schedules: Sequence[Any]) -> "Parts":
        members: dict[Any, list[list[Any]]] = {}
        places = []
        for item in schedules:
            leaves, structure = jax.tree.flatten(item)
            family = members.setdefault((structure, *map(_leaf_type, leaves)), [])
            places.append((list(members).index((structure, *map(_leaf_type, leaves))), len(family)))
            family.append(leaves)
        families, pythonic, ranks = [], [], []
        for (structure, *_), rows in members.items():
            columns = list(zip(*rows, strict=True))
            pythonic.append([isinstance(column[0], int | float) for column in columns])
            ranks.append([jnp.ndim(column[0]) for column in columns])
            # One alone stays as it is: nothing to pick from, and nests of such parts stay small.
            leaves = rows[0] if len(rows) == 1 else [stacked(column) for column in columns]
            families.append(jax.tree.unflatten(structure, leaves))
        return cls(families, Layout(places, pythonic, ranks))

    def weak_flags(self) -> list[bool]:
        """For each leaf, whether Python numbers made it."""
        return [
            pythonic or inherited
            for family, flags in zip(self.families, self.layout.pythonic, strict=True)
            for pythonic, inherited in zip(flags, weak_flags(family), strict=True)
        ]

    def __len__(self) -> int:
        return len(self.layout.places)

    def __getitem__(self, index: int) -> Any:
        family, place = self.layout.places[index]
        if self.layout.is_alone(family):
            return self.families[family]
        leaves, structure = jax.tree.flatten(self.families[family])
        pythonic, ranks = self.layout.pythonic[family], self.layout.ranks[family]
        members = map(_member, leaves, [place] * len(leaves), pythonic, ranks)
        return jax.tree.unflatten(structure, members)

    def value_at(self, index: Any, clock: Callable[[jax.Array], Any]) -> jax.Array:
        """The value of the part at a traced index, on `clock(is_active)`.

        One formula is evaluated for each family, whatever the number of its members. A family that
        is not active reads a clock of its own, so that nothing of it leaks into the gradient.
        """
        family_of = np.asarray([family for family, _ in self.layout.places])
        result: Any = None
        for number, family in enumerate(self.families):
            chosen = np.flatnonzero(family_of == number) == index
            active = jnp.any(chosen)
            # One that is not active is evaluated too: as its first member.
            chosen |= ~active & (np.arange(len(chosen)) == 0)
            member = family
            if not self.layout.is_alone(number):
                member = jax.tree.map(lambda leaf, chosen=chosen: _pick(leaf, chosen), family)
            value = member(clock(active))
            result = value if result is None else jnp.where(active, value, result)
        return result

    def tree_flatten_with_keys(self):
        keys = [jax.tree_util.SequenceKey(i) for i in range(len(self.families))]
        return tuple(zip(keys, self.families, strict=True)), self.layout

    def tree_flatten(self):
        return self.families, self.layout

    @classmethod
    def tree_unflatten(cls, layout: Layout, families: Sequence[Any]):
        return cls(families, layout)


def _member(leaf: Any, place: int, pythonic: bool, rank: int) -> Any:
    """One member's leaf, from the axis before its own: a batch has others before that."""
    item = leaf[(..., place, *(slice(None),) * rank)]
    return as_number(item) if pythonic and isinstance(item, np.ndarray) and not item.ndim else item


def _pick(leaf: Any, chosen: Any) -> Any:
    """The entry of `leaf` at the one place where `chosen` holds."""
    if not jnp.issubdtype(leaf.dtype, jnp.number):
        return leaf[jnp.argmax(chosen)]  # a random key
    # Not leaf[...]: JAX cannot gather from a batch that is spread over devices.
    chosen = jnp.reshape(chosen, (-1,) + (1,) * (leaf.ndim - 1))
    return jnp.sum(jnp.where(chosen, leaf, 0), axis=0, dtype=leaf.dtype)


def _leaf_type(leaf: Any) -> Any:
    if isinstance(leaf, int | float):
        return type(leaf)
    return jnp.shape(leaf), jnp.result_type(leaf), getattr(leaf, "weak_type", False)


def as_number(item: Any) -> int | float:
    """The Python number that a stacked one was: the shortest that rounds to it."""
    return item.item() if item.dtype.kind in "iu" else float(str(item))


def stacked(leaves: Sequence[Any]) -> Any:
    """Leaves of one shape on a new leading axis: NumPy's while none of them is on a device."""
    if all(isinstance(leaf, int | float) for leaf in leaves):
        return as_array(leaves)
    if all(isinstance(leaf, np.ndarray) for leaf in leaves):
        return read_only(np.stack(leaves))
    return jnp.stack([jnp.asarray(leaf) for leaf in leaves])


# Any, since the formula under the decorator sees what these become: a callable, and `Parts`.
Operand = Annotated[Any, "Operand", OneSchedule()]
"""A schedule, any function of the step, or a number, which means `constant`."""
Operands = Annotated[Any, "Operands", ManySchedules()]
"""A sequence of schedules, functions of the step, or numbers."""
