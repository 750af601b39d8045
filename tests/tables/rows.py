"""What a row of the table is, and what the oracle of that name makes of a schedule."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from mpmath import mpf
from tables import oracles
from tables.oracles import LAST

from optax_sched import Schedule, Shape


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """One schedule of a row, and the steps at which something happens to it."""

    schedule: Schedule
    marks: Sequence[int] = ()
    start: float | None = None  # the value asked for at step 0, where it is asked for
    end: float | None = None  # the value asked for from the last mark on
    sensitive: bool = False  # whether a power enters by its shape

    def steps(self) -> np.ndarray:
        """Around every mark, just before the last one, and where integers and floats part."""
        end = max(self.marks, default=1000)
        steps = {0, 1, 2, 3, 5, 10, 100, end // 3, end // 2, 10**6, LAST - 1, LAST}
        steps |= {mark + d for mark in self.marks for d in (-2, -1, 0, 1)}
        steps |= {end - d for d in (*range(1, 10), 30, 100)}
        steps |= {2**k + d for k in (8, 16, 23, 24, 25, 30) for d in (-1, 0, 1)}
        steps = sorted(step for step in steps if 0 <= step <= LAST)
        # One length for all, so that examples of one structure share a compiled function.
        return np.array(steps + [LAST] * (80 - len(steps)), np.int32)


class Row:
    """One builder; its formula is the oracle of its name."""

    def __init__(self, *examples: Example, sensitive: bool = False, inner_zeros: bool = False):
        self.examples: Sequence[Example] = examples
        # Where a power, an exponential or a real-valued clock enters, docs/numerics.md allows 4 ulp
        # times the sensitivity to float32 hyperparameters and progress on top of the 5e-7.
        self.sensitive = sensitive
        # At its inner zeros an error counts relative to the height, not to 0.
        self.inner_zeros = inner_zeros


def expected(schedule: Any, step: Any, rounded: bool = True) -> Any:
    """The oracle's value; `rounded`, at the hyperparameters as float32 holds them."""
    if not isinstance(schedule, Schedule):
        return mpf(float(schedule(step)))
    oracle, hypers = _oracle_and_hypers(schedule, rounded)
    return mpf(oracle(max(step, 0), **hypers))


@functools.lru_cache(1000)  # by identity: a schedule has no value equality
def _oracle_and_hypers(
    schedule: Schedule | Shape, rounded: bool
) -> tuple[Callable[..., Any], dict[str, Any]]:
    oracle = ORACLES[name_of(schedule)]
    _, *names = inspect.signature(oracle).parameters
    return oracle, {name: _exact(getattr(schedule, name), rounded) for name in names}


def _exact(value: Any, rounded: bool) -> Any:
    if isinstance(value, float):
        return mpf(float(np.float32(value))) if rounded else mpf(value)
    if isinstance(value, np.ndarray | list):
        return [
            _exact(item, rounded) for item in (value if isinstance(value, list) else value.tolist())
        ]
    if isinstance(value, Shape):
        oracle, hypers = _oracle_and_hypers(value, rounded)
        return functools.partial(oracle, **hypers)
    if isinstance(value, Schedule | jax.tree_util.Partial):
        return functools.partial(expected, value, rounded=rounded)
    return value


def is_float(leaf: Any) -> bool:
    return jax.numpy.issubdtype(getattr(leaf, "dtype", type(leaf)), jax.numpy.floating)


def name_of(schedule: Schedule | Shape) -> str:
    return repr(schedule).partition("(")[0]


def noisy(t, schedule, key, scale, start, end, kind):
    if t < start or (end is not None and t >= end):
        return schedule(t)
    key = jax.random.fold_in(jax.random.key(key) if isinstance(key, int) else key, int(t))
    draw = jax.random.normal(key) if kind == "normal" else jax.random.uniform(key, minval=-1)
    return schedule(t) * max(0, 1 + scale * mpf(float(draw)))


ORACLES: dict[str, Callable[..., Any]] = {**vars(oracles), "noisy": noisy}

# Whole numbers that no gradient is taken with respect to: all other integers are lengths.
COUNTS = {"num_cycles", "num_steps", "index", "key"}


def numbers(schedule: Schedule) -> dict[str, int | float]:
    """The hyperparameters that are one Python number each."""
    _, *names = inspect.signature(ORACLES[name_of(schedule)]).parameters
    values = {name: getattr(schedule, name) for name in names}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and type(value) is not bool
    }


def other_value(name: str, value: Any) -> Any:
    """Another value, of the same type, that the hyperparameter of this name may have."""
    if name == "num_steps":  # a power of two
        return 2 * value
    if name == "period_mult":  # 1 or more
        return value + 1
    return value / 2 if isinstance(value, float) else value + 1
