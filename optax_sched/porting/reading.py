"""Other libraries' settings as plain numbers, and the refusal of what has no equivalent."""

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from optax_sched._core.errors import Refusal

OWN = "write it as a formula with optax_sched.schedule"


def refuse(scheduler: Any, name: str, rule: str, value: Any, remedy: str = OWN) -> NoReturn:
    """The one line of every refusal: whose setting it is, what it must be, what to do instead."""
    raise Refusal("port", f"{type(scheduler).__name__}.{name}", rule, value, f": {remedy}").error()


def number(scheduler: Any, name: str, value: Any) -> Any:
    """A setting as a Python number; one in float32 is the shortest decimal that rounds to it."""
    narrow = "float32" in str(getattr(value, "dtype", ""))
    try:
        plain = value.item() if hasattr(value, "item") else value
        if isinstance(plain, bool) or not isinstance(plain, int | float):
            raise TypeError
    except (TypeError, ValueError, RuntimeError):
        refuse(scheduler, name, "a number", value)
    if narrow:
        return float(str(np.float32(plain)))
    return int(plain) if isinstance(plain, int) else float(plain)


def whole(scheduler: Any, name: str, value: Any, least: int = 1) -> int:
    """A setting that counts, as an int."""
    plain = number(scheduler, name, value)
    if not math.isfinite(plain) or plain != int(plain) or plain < least:
        refuse(scheduler, name, f"a whole number, {least} or more", value)
    return int(plain)


def steps(value: float) -> Any:
    """A length that was computed: an int where it means one."""
    nearest = round(value)
    return nearest if abs(value - nearest) <= 1e-9 * max(1.0, abs(value)) else value


def tidy(value: float) -> float:
    """A number that was computed, without the last digits where they are rounding errors."""
    short = float(f"{value:.12g}")
    return short if abs(short - value) <= 4e-16 * abs(value) else float(value)


def increasing(scheduler: Any, name: str, values: Sequence[Any]) -> list[Any]:
    """A sequence of numbers in order; equal neighbours are allowed."""
    plain = [number(scheduler, name, value) for value in values]
    if plain != sorted(plain):
        refuse(scheduler, name, "in order", list(values))
    return plain
