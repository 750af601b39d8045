"""Whole numbers of updates: how many a training makes, and schedules of whole numbers."""

import fractions
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from optax_sched._core.arguments import admit
from optax_sched._core.domains import Choice, Number, is_traced
from optax_sched._core.operands import OneSchedule, as_schedule
from optax_sched._math.phases import LAST_STEP


class _Known(Number):
    """A number that Python counts with: no tracer, and as large as it is."""

    def admit(self, value: Any) -> Any:
        value = value.item() if getattr(value, "shape", None) == () and not is_traced(value) else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        if not math.isfinite(value) or value < self.minimum or (self.whole and value != int(value)):
            raise ValueError
        if self.above_minimum and value == self.minimum:
            raise ValueError
        return int(value) if self.whole else value


_COUNT = _Known("a known whole number, 1 or more", 1, whole=True)
_EPOCHS = _Known("a known positive finite number", 0.0, above_minimum=True)


def rounded(schedule: Any) -> Callable[[Any], jax.Array]:
    """A schedule of whole numbers: the nearest ones, as int32.

        round(s(t))

    with s = schedule and t = step. A half goes to the nearest even number. `int(s(t))` would round
    down, so it can be one too low where the exact value is whole. Numbers beyond an int32 become the
    nearest that it holds.

    Args:
      schedule: a schedule, a function of the step, or a number.

    Returns:
      A function `step -> int32`, for `optax.MultiSteps(..., every_k_schedule=rounded(...))`, for the
      length of sequences or the number of examples. It takes what the schedule takes, and it is a
      pytree whose leaves are the schedule's.

    Raises:
      TypeError, ValueError: `schedule` is none of these.

    Elsewhere: `optax.MultiSteps` needs integers, and has no such function.

    >>> import optax_sched
    >>> every_k = rounded(optax_sched.linear(1, 8, 100))
    >>> [int(every_k(t)) for t in (0, 7, 50, 100)]
    [1, 1, 4, 8]
    """
    return jax.tree_util.Partial(
        _nearest, as_schedule(admit("rounded", "schedule", OneSchedule(), schedule))
    )


def _nearest(schedule: Any, step: Any) -> jax.Array:
    value = jnp.round(schedule(step))
    # The largest float32 below 2**31; an int32 does not hold 2**31 itself.
    inside = jnp.clip(value, -(2.0**31), 2.0**31 - 128).astype(jnp.int32)
    return jnp.where(value >= 2.0**31, jnp.int32(LAST_STEP), inside)


def count_updates(
    num_examples: int,
    batch_size: int,
    epochs: float = 1,
    *,
    processes: int = 1,
    accumulate: int = 1,
    drop_last: bool = True,
) -> int:
    """How many updates a training makes: the `total_steps` of its schedule.

        floor(floor(epochs floor(n / (b p))) / k)

    with n = num_examples, b = batch_size, p = processes and k = accumulate. The innermost floor is a
    ceiling if the last, smaller batch of a pass is kept.

    Args:
      num_examples: the examples of one pass over the data.
      batch_size: the examples of a batch, on one process.
      epochs: the passes over the data; need not be whole. It is read as the decimal that it is written
        as: 0.29 of 100 batches is 29.
      processes: how many processes share each batch, with `batch_size` examples each.
      accumulate: how many batches make one update, as in `optax.MultiSteps`. The batches that are left
        at the end make none.
      drop_last: whether a last, smaller batch of a pass is dropped.

    Returns:
      The number of updates, an int.

    Raises:
      TypeError, ValueError: a number is not whole, not 1 or more, or traced; `epochs` is not positive.

    Elsewhere: transformers' `Trainer` computes `num_training_steps` so (it keeps the last batch, and
    lets the batches left at the end of a pass make an update too).

    >>> count_updates(50_000, batch_size=128, epochs=90)
    35100
    >>> count_updates(50_000, 128, 90, processes=8, accumulate=4, drop_last=False)
    1102
    """
    sizes = {
        "num_examples": num_examples,
        "batch_size": batch_size,
        "processes": processes,
        "accumulate": accumulate,
    }
    whole = {name: admit("count_updates", name, _COUNT, value) for name, value in sizes.items()}
    keep = not admit("count_updates", "drop_last", Choice((False, True)), drop_last)
    passes = fractions.Fraction(str(admit("count_updates", "epochs", _EPOCHS, epochs)))
    together = whole["batch_size"] * whole["processes"]
    batches = -(-whole["num_examples"] // together) if keep else whole["num_examples"] // together
    return math.floor(passes * batches) // whole["accumulate"]
