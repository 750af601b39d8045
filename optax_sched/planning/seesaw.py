"""The same training in fewer, larger updates: where the rate would fall, the batch grows."""

import math
from typing import Annotated, NamedTuple

import numpy as np

from optax_sched._core.domains import Number
from optax_sched._core.errors import Refusal
from optax_sched._core.operands import as_schedule
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import Real, Scalar, checked
from optax_sched._schedules import constant, join, linear, piecewise_constant, retime, table
from optax_sched.planning.inputs import Run, Size, known_rates

_ROUNDING = 1e-6  # of the highest rate: what float32 may make of a rate that does not change

Above1 = Annotated[Scalar, "Above1", Number("a finite number above 1", above=1.0)]


class BatchPlan(NamedTuple):
    """Larger updates that make the same training, as `seesaw` plans them."""

    rate: Schedule
    """The rate of each new update."""
    batch_size: Schedule
    """Its number of examples: whole numbers that never shrink."""
    num_steps: int
    """How many updates there are."""


@checked
def seesaw(
    schedule: Run,
    num_steps: Size,
    batch_size: Size,
    *,
    factor: Above1 = 2.0,
    batch_exponent: Real = 0.5,
    max_batch_size: Size | None = None,
) -> BatchPlan:
    """The same training in fewer, larger updates: where the rate would fall, the batch grows instead.

    The theory: while noise in the gradient dominates, SGD cannot tell a rate divided by f from a batch
    times f (Smith et al.), and a normalised update, such as Adam's, one divided by f from a batch times
    f^2, or a rate divided by sqrt(f) and a batch times f (Seesaw). It was checked on language models of
    150M to 600M parameters at fixed data. It holds up to the critical batch size only, from which on
    larger batches save nothing: `max_batch_size` stops there. It is contested whether to begin at the
    first fall: Fast Catch-Up (2026) finds that hard tasks want the large batch late. With
    `batch_exponent=1` the exact risk of least squares is kept to 0.3 % where rate times largest
    eigenvalue is at most 0.05, and less well near stability.

        r(t) = s(m(t)) (B(t) / b)^a,    m(t) = (c(t) + (B(t) - b) / 2) / b

    with s = schedule, b = batch_size, a = batch_exponent, B(t) the examples of the new update t and
    c(t) those of all updates before it: m(t) is the middle of the update on the old clock. B(t) is the
    nearest whole number to b factor^k (a half goes to the even one), at most `max_batch_size`. Here k
    is the largest number for which the rate has fallen to factor^-k of its highest value, at a whole
    step since the highest and up to c(t) / b, and for which the batch fits into the examples left.
    Batches never shrink. A last update of which less than half is left is dropped.

    Args:
      schedule: of a training in batches of one size, which you know; its rates do not rise after the
        highest one. Rates that were used are held between steps.
      num_steps: how many updates that training makes, a whole number.
      batch_size: the examples of each, a whole number.
      factor: by what the batch grows each time, above 1. Small factors save more: see below.
      batch_exponent: by which power of the batch the rate grows at the same rate of the schedule. 0.5
        for Adam and other normalised updates, 1 for SGD. On your own runs it is the sum of the two
        exponents that `fit_peaks` finds.
      max_batch_size: the largest batch, at least `batch_size`: the critical one, or what memory holds.

    Returns:
      The schedules of the rate and of the batch size over the new updates, and how many they are, as a
      `BatchPlan`. With factor 2 / 1.1, and at most, it saves these parts of the updates: half a cosine
      38 / 48 / 50 %, a quarter of a cosine 22 / 34 / 36 %, a line to 0 33 / 48 / 50 %, a linear last
      fifth 7 / 10 / 10 %.

    Raises:
      TypeError, ValueError: an argument is not as described, the schedule is traced or a batch, a rate
        is negative or not finite, or it rises again after its highest value.

    References: Smith et al., 2018, "Don't Decay the Learning Rate, Increase the Batch Size",
    https://arxiv.org/abs/1711.00489; "Seesaw", 2025, https://arxiv.org/abs/2510.14717; the objection,
    2026, https://arxiv.org/abs/2602.14208

    >>> from optax_sched import cosine_decay
    >>> plan = seesaw(cosine_decay(0.4, 1000), 1000, batch_size=64)
    >>> plan.num_steps
    624
    >>> [(t, int(plan.batch_size(t)), round(float(plan.rate(t)), 3)) for t in (0, 499, 500, 600)]
    [(0, 64, 0.4), (499, 64, 0.201), (500, 128, 0.282), (600, 256, 0.132)]
    """
    where = "seesaw"
    rates = known_rates(where, schedule, num_steps)
    if max_batch_size is not None and max_batch_size < batch_size:
        rule = f"at least batch_size = {batch_size}"
        raise Refusal(where, "max_batch_size", rule, max_batch_size).error()
    left = num_steps * batch_size
    limit, factor = max_batch_size or left, float(factor)
    # The batch sizes after 0, 1, 2, ... growths.
    most = math.ceil(math.log(limit / batch_size, factor))
    sizes = [min(round(batch_size * factor**growth), limit) for growth in range(most + 1)]
    growths = np.minimum(_growths(rates, factor), most)
    pieces: list[tuple[int, int, int]] = []  # the first update, the examples before it, the batch size
    update, taken, size = 0, 0, batch_size
    while 2 * left >= size:
        growth = growths[taken // batch_size]
        size = max([size, *(it for it in sizes[: growth + 1] if it <= left)])
        if not pieces or size > pieces[-1][2]:
            pieces.append((update, taken, size))
        # Go on to where the batch may grow again, or to the end.
        next_growth = int(np.searchsorted(growths, growth, side="right"))
        until_then = -((taken - next_growth * batch_size) // size)
        until_end = (2 * left + size) // (2 * size)
        count = min(until_then, until_end)
        update, taken, left = update + count, taken + count * size, left - count * size
    old = as_schedule(schedule) if callable(schedule) else table(np.asarray(schedule))
    if len(pieces) == 1:
        return BatchPlan(old, constant(batch_size), update)
    starts, taken, used = np.array(pieces).T
    middles = (taken + (used - batch_size) / 2) / batch_size
    counts = np.diff(starts, append=update)
    ends = middles + counts * used / batch_size
    lines = list(map(linear, middles.tolist(), ends.tolist(), counts.tolist()))
    gains = [(size / batch_size) ** batch_exponent for size in used.tolist()]
    changes = starts[1:].tolist()
    rate = retime(old, join(lines, changes)) * piecewise_constant(gains, changes)
    return BatchPlan(rate, piecewise_constant(used.tolist(), changes), update)


def _growths(rates: np.ndarray, factor: float) -> np.ndarray:
    """By how many powers of the factor the rate has fallen below its highest value, at each step."""
    highest = rates.max()
    after = int(np.flatnonzero(rates == highest)[-1]) + 1
    lowest = np.minimum.accumulate(rates[after:])
    rises = np.flatnonzero(rates[after:] - lowest > _ROUNDING * highest)
    if len(rises):
        rule = "one that does not rise again after its highest value"
        step = after + int(rises[0])
        raise Refusal("seesaw", "schedule", rule, rates[step], f" at step {step}").error()
    with np.errstate(divide="ignore"):
        falls = np.log(highest * (1 + _ROUNDING) / lowest) / math.log(factor)
    return np.concatenate([np.zeros(after, int), np.minimum(falls, 2**31).astype(int)])
