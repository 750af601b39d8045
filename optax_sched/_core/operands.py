"""Schedules as hyperparameters of other schedules: one of them, or many at the cost of one."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.built import Built, is_batch, is_made_by, lengths_of
from optax_sched._core.domains import Domain, is_sequence, refuse_no_schedule, stacked
from optax_sched._core.evaluate import is_float_clock
from optax_sched._core.lengths import Lengths
from optax_sched._core.nodes import Node
from optax_sched._core.schedule import Schedule, schedule
from optax_sched._core.words import Real
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


def as_schedule(function: object) -> Schedule:
    """A schedule as it is; any other function of the step made into one."""
    return function if isinstance(function, Schedule) else of_function(function)


Function = Callable[..., Any]
"""A schedule, or another function of the step."""


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
        if not callable(value):
            return constant(value)
        return of_function(value) if jax.tree_util.all_leaves([value]) else value

    def public(self, stored: Any) -> Any:
        return stored.function if is_made_by(of_function, stored) else stored

    def has_batch_axis(self, stored: object) -> bool:
        return is_batch(stored)

    def is_float_clock(self, stored: object) -> bool:
        return is_float_clock(stored)

    def lengths(self, stored: object) -> Lengths:
        if not self.has_own_clock:
            yield from ((f".{name}", length) for name, length in lengths_of(stored))

    def constants(self, stored: Any) -> Any:
        return stored.value if is_made_by(constant, stored) else ()


class ManySchedules(Domain):
    """A sequence of schedules."""

    words = "a sequence of one or more schedules, functions of the step, or finite numbers"
    item = OneSchedule()

    def admit(self, value: object) -> "Parts":
        if isinstance(value, Parts):
            return value
        if not is_sequence(value) or not value:
            raise ValueError if is_sequence(value) else TypeError
        return Parts.of([self.item.admit(item) for item in value])

    def public(self, stored: "Parts") -> list[Any]:
        return [self.item.public(stored[index]) for index in range(len(stored))]

    def has_batch_axis(self, stored: "Parts") -> bool:
        return stored.has_batch_axis()

    def is_float_clock(self, stored: "Parts") -> bool:
        return any(map(is_float_clock, stored._values))

    def lengths(self, stored: "Parts") -> Lengths:
        for index, part in zip(stored.first_indices(), stored._values, strict=True):
            yield from ((f"[{index}].{name}", length) for name, length in lengths_of(part))

    def constants(self, stored: "Parts") -> list[Any]:
        return [part.value for part in stored._values if is_made_by(constant, part)]

    def packed(self, stored: "Parts") -> Any:
        return stored._values, stored.families, isinstance(stored, Mixture)

    def unpacked(self, packed: Any) -> "Parts":
        values, families, is_mixture = packed
        return (Mixture if is_mixture else Parts).made(values, families)


MOST_APART = 16


class Parts(Node):
    """Schedules in order, each on its own; more than a few of equal structure are stacked.

    A stacked family costs few leaves in a state, and little time to compile. All members of a family,
    stacked or not, cost one formula.
    """

    __slots__ = ()

    @classmethod
    def of(cls, schedules: Sequence[Any]) -> "Parts":
        found = in_families(schedules)
        if max(len(family.indices) for family in found) <= MOST_APART:
            return cls.made(schedules)
        number_of = {index: number for number, it in enumerate(found) for index in it.indices}
        return cls.made([it.stacked() for it in found], [number_of[i] for i in range(len(schedules))])

    @classmethod
    def made(cls, values: Sequence[Any], families: Sequence[int] = ()) -> "Parts":
        return cls._of(tuple(families or range(len(values))), values, [False] * len(values))

    @property
    def families(self) -> tuple[int, ...]:
        """The number of each part's stored value, which is its own or that of its stacked family."""
        return self._structure[0]  # pyright: ignore[reportReturnType]

    def first_indices(self) -> list[int]:
        """Which part each stored value is, or is the family of."""
        return [self.families.index(number) for number in range(len(self._values))]

    def _keys(self) -> Iterable[Any]:
        words = zip(self.first_indices(), self._structure[1], strict=True)
        return [jax.tree_util.SequenceKey(index) for index, word in words if word is ...]

    def __len__(self) -> int:
        return len(self.families)

    def __getitem__(self, index: int) -> Any:
        number = self.families[index]
        family, place = self._values[number], self.families[: range(len(self))[index]].count(number)
        if self.families.count(number) == 1:
            return family
        if self.has_batch_axis():
            return jax.vmap(lambda parts: parts[index])(self)
        return jax.tree.map(lambda leaf: as_number(leaf[place]), family)

    def has_batch_axis(self) -> bool:
        """Whether the members have one axis more than single schedules."""

        def member(leaf: Any) -> Any:
            return jax.ShapeDtypeStruct(np.shape(leaf)[1:], jnp.result_type(leaf))

        pairs = zip(self._values, map(self.families.count, range(len(self._values))), strict=True)
        return any(is_batch(jax.tree.map(member, it) if count > 1 else it) for it, count in pairs)

    def _in_families(self) -> list[tuple[Any, np.ndarray]]:
        """Each family, stacked if it has several members, and which parts these are."""
        if len(self) == len(self._values):
            return [(it.stacked(), np.asarray(it.indices)) for it in in_families(self._values)]
        numbers = np.asarray(self.families)
        return [(it, np.flatnonzero(numbers == number)) for number, it in enumerate(self._values)]

    def value_at(self, index: object, clock: Callable[[jax.Array], Any]) -> jax.Array:
        """The value of the part at a traced index, at the step `clock(is_active)`.

        Each family is evaluated once, whatever the number of its members. A family that is not active
        gets the step `clock(False)`, so that nothing of it leaks into the gradient.
        """
        result: Any = None
        for family, indices in self._in_families():
            chosen = indices == index
            active = jnp.any(chosen)
            if len(indices) > 1:
                # A family that is not active evaluates its first member.
                place = jnp.argmax(chosen)
                family = jax.tree.map(lambda leaf, place=place: pick(leaf, place), family)
            value = family(clock(active))
            result = value if result is None else jnp.where(active, value, result)
        return result


class Mixture(Parts):
    """What `stack` makes of schedules of several families, for a `select`."""

    __slots__ = ()


class Family(NamedTuple):
    """Schedules of equal structure: which of all they are, and the leaves of each."""

    structure: Any
    indices: list[int]
    members: list[list[Any]]

    def stacked(self) -> Any:
        """One schedule with the members on a leading axis; a single member as it is."""
        alone = len(self.members) == 1
        rows = zip(*self.members, strict=True)
        return jax.tree.unflatten(self.structure, self.members[0] if alone else map(stacked, rows))


def in_families(schedules: Iterable[Any]) -> list[Family]:
    """The families among some schedules, in the order of their first members."""
    families: dict[Any, Family] = {}
    for index, item in enumerate(schedules):
        leaves, structure = jax.tree.flatten(item)
        key = structure, *map(_leaf_type, leaves)
        family = families.setdefault(key, Family(structure, [], []))
        family.indices.append(index)
        family.members.append(leaves)
    return list(families.values())


def _leaf_type(leaf: Any) -> Any:
    return type(leaf) if isinstance(leaf, int | float) else (jnp.shape(leaf), jnp.result_type(leaf))


def as_number(item: object) -> Any:
    """The shortest Python number that rounds to a NumPy scalar; any other item as it is."""
    if isinstance(item, np.generic | np.ndarray) and not item.ndim:
        return item.item() if item.dtype.kind in "iu" else float(str(item))
    return item


# Annotated Any: the formula sees what these become, a callable and `Parts`.
Operand = Annotated[Any, "Operand", OneSchedule()]
"""A schedule, any function of the step, or a number, which means `constant`."""
OperandOnOwnClock = Annotated[Any, "Operand", OneSchedule(has_own_clock=True)]
"""The same, counted in other units than steps, such as epochs or parts of the run."""
Operands = Annotated[Any, "Operands", ManySchedules()]
"""A sequence of schedules, functions of the step, or numbers."""
