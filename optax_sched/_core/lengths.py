"""Finds what cannot be a length: a ratio of the run beside steps, and a rate in a length's place."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.errors import Refusal, Unfit

Lengths = Iterable[tuple[str, Any]]  # on the clock of a call, each with its path from the parameter on


def refuse_ratios(where: str, lengths: Lengths) -> None:
    """Raise if a length on one clock is a float between 0 and 1, and another an integer above 1."""
    if mixed := _mixed(lengths):
        ratio, name, steps, other, remedy = mixed
        raise Refusal(where, name, f"in steps as {other} = {steps} is", ratio, f": {remedy}").error()


def refuse_ratio_among(numbers: Sequence[object]) -> None:
    """Raise if a sequence of lengths holds both a ratio of the run and whole steps."""
    if mixed := _mixed(enumerate(numbers)):
        ratio, *_, remedy = mixed
        raise Unfit(f"{ratio} is a ratio among steps: {remedy}")


def _mixed(lengths: Iterable[tuple[Any, object]]) -> tuple[float, Any, int, Any, str] | None:
    """A ratio of the run and whole steps, each with its name, and what to write; None without both."""
    known: list[Any] = [(number, name) for name, value in lengths for number in _known(value)]
    ratios = [it for it in known if isinstance(it[0], float) and 0 < it[0] < 1]
    whole = [it for it in known if isinstance(it[0], int) and it[0] > 1]
    if not ratios or not whole:
        return None
    ratio, name = short(ratios[0][0]), ratios[0][1]
    total = [it for it in whole if it[1] == "total_steps"]
    steps, other = max(total or whole, key=operator.itemgetter(0))
    remedy = (
        f"write {ratio} * total_steps, or floats throughout ({float(steps)}) for a clock in epochs "
        "or parts of the run, which stretch puts on steps"
    )
    return ratio, name, steps, other, remedy


def short(number: object) -> float | int:
    """As many digits as a float32 has: it may come from one."""
    return number if isinstance(number, int) else float(f"{number:.7g}")


def refuse_swapped(where: str, heights: dict[str, Any], lengths: dict[str, Any]) -> None:
    """Raise if a length is as small as a rate and a height above 1: they are in the wrong order.

    `heights` has an entry for every parameter, in order; those that are no heights are empty.
    """
    order = list(heights)
    low = [(it, n) for it in order if it in lengths for n in _known(lengths[it]) if 0 < n < 0.01]
    high = [(n, name) for name, value in heights.items() for n in _known(value) if n > 1] if low else []
    if not high:
        return
    (name, length), (height, tall) = low[0], max(high)
    last = max(order.index(name), order.index(tall)) + 1

    def written(it: str) -> str:
        value = lengths.get(it, heights[it])
        scaled = [short(number if it in lengths else number / height) for number in _known(value)]
        return str(scaled if np.ndim(value) else scaled[0]) if scaled else "..."

    hint = (
        f": beside {tall} = {short(height)} it looks swapped, and the order is "
        f"({', '.join(order[:last])}); if both are meant, "
        f"{float(height):.7} * {where}({', '.join(map(written, order[:last]))})"
    )
    raise Refusal(where, name, "in steps", short(length), hint).error()


def _known(value: Any) -> list[float]:
    """The numbers in a height or a length, as far as they are known."""
    if isinstance(value, int | float):
        return [value]
    items = value if isinstance(value, list | tuple) else [value]
    arrays = [np.ravel(it) for it in items if it is not None and not isinstance(it, Tracer)]
    return [it for array in arrays if jnp.issubdtype(array.dtype, jnp.number) for it in array.tolist()]
