"""The builders that a config or a source text may name, and how far it may nest them."""

from collections.abc import Callable, Mapping
from typing import Any

import optax_sched._schedules as families
from optax_sched._core.errors import complaint
from optax_sched._core.formula import Formula, formula_of
from optax_sched._optax import plateau, transform

# Python's recursion limit stops an evaluation at 45 to 60 levels; whatever a file describes should be
# evaluated, differentiated and drawn. MAX_SCHEDULES stops YAML alias bombs: a few lines that refer to
# one another until they mean more schedules than fit in memory.
MAX_DEPTH = 30
MAX_SCHEDULES = 10_000

BUILT_IN = {
    formula.name: formula
    for module in (families, plateau, transform)
    for formula in map(formula_of, vars(module).values())
    if formula is not None
}


def known_builders(where: str, builders: Mapping[str, Callable[..., Any]] | None) -> dict[str, Formula]:
    """The built-in builders and the user's, by name."""
    builders = {} if builders is None else builders
    if not isinstance(builders, Mapping):
        raise TypeError(complaint(where, "builders", "a dict of builders by name", builders))
    known = dict(BUILT_IN)
    for name, builder in builders.items():
        formula = formula_of(builder)
        if formula is None:
            raise TypeError(
                complaint(where, f"builders[{name!r}]", "made by schedule or feedback", builder)
            )
        if known.setdefault(name, formula) is not formula:
            raise ValueError(f"{where}: builders[{name!r}] has the name of a built-in: rename it")
    return known
