"""Finds a ratio written as a length: 0.1 of the run, where all other lengths are in steps."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.errors import Refusal


def refuse_ratios(where: str, lengths: Iterable[tuple[str, Any]]) -> None:
    """Raise if a length on one clock is a float between 0 and 1, and another an integer above 1."""
    ratios: list[tuple[str, float]] = []
    whole: dict[str, int] = {}
    for name, value in lengths:
        if isinstance(value, Tracer):
            continue
        numbers = np.asarray(value)
        if jnp.issubdtype(numbers.dtype, jnp.integer):
            whole |= {name: int(numbers.max())} if numbers.size and numbers.max() > 1 else {}
        else:
            # As many digits as a float32 has: it may have been one.
            between = numbers[(numbers > 0) & (numbers < 1)]
            ratios += [(name, float(f"{float(number):.7g}")) for number in between[:1]]
    if ratios and whole:
        (name, ratio), *_ = ratios
        other = "total_steps" if "total_steps" in whole else max(whole, key=whole.__getitem__)
        hint = (
            f": write {ratio} * total_steps, or floats throughout ({float(whole[other])}) for a clock "
            "in epochs or parts of the run, which stretch puts on steps"
        )
        raise Refusal(where, name, f"in steps as {other} = {whole[other]} is", ratio, hint).error()
