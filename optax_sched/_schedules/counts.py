"""Whole numbers: updates and examples of a training, and schedules of whole numbers."""

import math
from collections.abc import Callable, Iterator
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from optax_sched._core.domains import Domain, Known, is_traced
from optax_sched._core.errors import Refusal
from optax_sched._core.operands import Function, OneSchedule, as_schedule
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import Scalar, Switch, admit, checked
from optax_sched._math.phases import LAST_STEP
from optax_sched._schedules.piecewise import piecewise_interpolate

_COUNT = Known("a known whole number, 1 or more", 1, whole=True)
Whole = Annotated[int, "int", _COUNT]
WholeOrZero = Annotated[int, "int", Known("a known whole number, 0 or more", 0, whole=True)]
Epochs = Annotated[float, "float", Known("a known positive finite number", above=0.0, as_float=False)]
BatchSize = Annotated[int | Function, "int | Callable[..., Any]", Domain()]  # checked inside


def rounded(schedule: Function | Scalar) -> Callable[[ArrayLike], jax.Array]:
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
    admitted = admit("rounded", "schedule", OneSchedule(), schedule)
    return jax.tree_util.Partial(_nearest, as_schedule(admitted))


def _nearest(schedule: Schedule, step: ArrayLike) -> jax.Array:
    value = jnp.round(schedule(step))
    # The largest float32 below 2**31; an int32 does not hold 2**31 itself.
    inside = jnp.clip(value, -(2.0**31), 2.0**31 - 128).astype(jnp.int32)
    return jnp.where(value >= 2.0**31, jnp.int32(LAST_STEP), inside)


@checked
def count_updates(
    num_examples: Whole,
    batch_size: BatchSize,
    epochs: Epochs = 1,
    *,
    processes: Whole = 1,
    accumulate: Whole = 1,
    drop_last: Switch = True,
) -> int:
    """How many updates a training makes: the `total_steps` of its schedule.

        floor(floor(epochs floor(n / (b p))) / k)

    with n = num_examples, b = batch_size, p = processes and k = accumulate. The innermost floor is a
    ceiling if the last, smaller batch of a pass is kept. If the batch size is a schedule, it is the
    largest number of updates that take no more than n examples in all; one more if the last, smaller
    one is kept.

    Args:
      num_examples: the examples of one pass over the data; of the whole training, if `batch_size` is a
        schedule.
      batch_size: the examples of a batch, on one process. A number, or a schedule over updates, of
        which the nearest whole number counts (a half goes to the even one), 1 at least.
      epochs: the passes over the data; need not be whole. It is read as the decimal that it is written
        as: 0.29 of 100 batches is 29. 1 if `batch_size` is a schedule.
      processes: how many processes share each batch, with `batch_size` examples each.
      accumulate: how many batches make one update, as in `optax.MultiSteps`. The batches that are left
        at the end make none. 1 if `batch_size` is a schedule.
      drop_last: whether a last, smaller batch of a pass is dropped.

    Returns:
      The number of updates, an int.

    Raises:
      TypeError, ValueError: a number is not whole, not 1 or more, or traced; `epochs` is not positive;
        `epochs` or `accumulate` is not 1 beside a schedule; the schedule is traced, or not finite.

    Elsewhere: transformers' `Trainer` computes `num_training_steps` so (it keeps the last batch, and
    lets the batches left at the end of a pass make an update too). None of the peers counts the updates
    of a batch that grows.

    >>> count_updates(50_000, batch_size=128, epochs=90)
    35100
    >>> count_updates(50_000, 128, 90, processes=8, accumulate=4, drop_last=False)
    1102
    >>> import optax_sched
    >>> count_updates(4_500_000, optax_sched.piecewise_constant([128, 256, 512], [10_000, 15_000]))
    18789
    """
    from fractions import Fraction  # its import takes a millisecond

    where = "count_updates"
    if callable(batch_size):
        for name, value in (("epochs", epochs), ("accumulate", accumulate)):
            if value != 1:
                hint = ": give all examples of the training as num_examples"
                raise Refusal(where, name, "1 beside a schedule of batches", value, hint).error()
        updates, left = 0, num_examples
        for sizes in _examples_by_update(where, batch_size, processes):
            ends = np.cumsum(sizes)
            fit = int(np.searchsorted(ends, left, side="right"))
            updates += fit
            left -= int(ends[fit - 1]) if fit else 0
            if fit < len(sizes):
                break
        return updates + (left > 0 and not drop_last)
    together = admit(where, "batch_size", _COUNT, batch_size) * processes
    batches = num_examples // together if drop_last else -(-num_examples // together)
    return math.floor(Fraction(str(epochs)) * batches) // accumulate


@checked
def count_examples(num_steps: WholeOrZero, batch_size: BatchSize, *, processes: Whole = 1) -> int:
    """How many examples the first updates of a training take: where a restored job goes on in its data.

        p (b(0) + b(1) + ... + b(T - 1))

    with T = num_steps, b = batch_size and p = processes.

    Args:
      num_steps: the number of updates, 0 or more.
      batch_size: the examples of a batch, on one process. A number, or a schedule over updates, of
        which the nearest whole number counts (a half goes to the even one), 1 at least.
      processes: how many processes share each batch, with `batch_size` examples each.

    Returns:
      The number of examples, an int, exact whatever its size.

    Raises:
      TypeError, ValueError: a number is not whole, too small, or traced; the schedule is traced, or not
        finite.

    Elsewhere: Megatron's `consumed_train_samples`, which it accumulates. The inverse of
    `count_updates`.

    >>> import optax_sched
    >>> count_examples(18_789, optax_sched.piecewise_constant([128, 256, 512], [10_000, 15_000]))
    4499968
    """
    if not callable(batch_size):
        return num_steps * processes * admit("count_examples", "batch_size", _COUNT, batch_size)
    sizes = _examples_by_update("count_examples", batch_size, processes, num_steps)
    return sum(int(some.sum()) for some in sizes)


@checked
def examples_seen(num_steps: Whole, batch_size: BatchSize, *, processes: Whole = 1) -> Schedule:
    """A clock of examples for `retime`: how many the updates before a step have taken.

        p (b(0) + b(1) + ... + b(t - 1)),    t = min(step, T)

    with T = num_steps, b = batch_size and p = processes. It is linear between the changes of the batch
    size, to 5e-7 of the exact number (`count_examples`), and stays after T.

    Args:
      num_steps: the number of updates, 1 or more.
      batch_size: the examples of a batch, on one process. A number, or a schedule over updates, of
        which the nearest whole number counts (a half goes to the even one), 1 at least. Each change
        costs one knot of the clock.
      processes: how many processes share each batch, with `batch_size` examples each.

    Returns:
      The clock, a `piecewise_interpolate`.

    Raises:
      TypeError, ValueError: a number is not whole, not 1 or more, or traced; the schedule is traced, or
        not finite.

    Elsewhere: Megatron's schedules count samples (`lr_decay_samples`) under its batch ramp-up.

    >>> import optax_sched
    >>> batch = optax_sched.piecewise_constant([32, 64], [100])
    >>> clock = examples_seen(200, batch)
    >>> clock
    piecewise_interpolate(values=[0.0, 3200.0, 9600.0], boundaries=[100, 200], shape='linear')
    >>> rate = optax_sched.retime(optax_sched.cosine_decay(0.1, 9_600), clock)
    >>> [f"{rate(t):.3f}" for t in (0, 100, 150, 200)]
    ['0.100', '0.075', '0.025', '0.000']
    """
    values, boundaries, done, total, last = [0], [], 0, 0, None
    for some in _examples_by_update("examples_seen", batch_size, processes, num_steps):
        changed = np.flatnonzero(np.diff(some, prepend=last or some[0]))
        values += (total + np.cumsum(some) - some)[changed].tolist()
        boundaries += (done + changed).tolist()
        done, total, last = done + len(some), total + int(some.sum()), some[-1]
    return piecewise_interpolate([*values, total], [*boundaries, num_steps])


_MANY = 2**15  # updates at a time


def _examples_by_update(
    where: str, batch_size: int | Function, processes: int, num_steps: int = LAST_STEP
) -> Iterator[np.ndarray]:
    """The examples of updates 0, 1, 2, ..., many updates at a time."""
    schedule = as_schedule(admit(where, "batch_size", OneSchedule(), batch_size))
    if is_traced(schedule):
        raise Refusal(where, "batch_size", "a schedule of known numbers", schedule).error(TypeError)
    for first in range(0, num_steps, _MANY):
        values = np.asarray(schedule(np.arange(first, first + _MANY)), np.float64)[: num_steps - first]
        bad = values[~(values <= LAST_STEP)]
        if len(bad):
            raise Refusal(where, "batch_size", f"at most {LAST_STEP} at each step", bad[0]).error()
        yield np.maximum(np.rint(values), 1).astype(np.int64) * processes
