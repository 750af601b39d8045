"""Other libraries' settings as plain numbers, and the refusal of what has no equivalent."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from optax_sched._core.errors import Refusal

OWN = "write it as a formula with optax_sched.schedule"


class Settings:
    """What an object was given: attributes of its own, or values by name."""

    def __init__(self, source: Any, values: Mapping[str, Any] | None = None):
        self.source = source
        self.values = values

    def raw(self, name: str) -> Any:
        return getattr(self.source, name) if self.values is None else self.values[name]

    def given(self, name: str) -> Any:
        """A value by name, or None."""
        return (self.values or {}).get(name)

    def __getitem__(self, name: str) -> float:
        """A setting as a number."""
        return self.number(name, self.raw(name))

    def number(self, name: str, value: Any) -> float:
        """A value as a Python number; one in float32 is the shortest decimal that rounds to it."""
        narrow = "float32" in str(getattr(value, "dtype", ""))
        try:
            plain = value.item() if hasattr(value, "item") else value
            if isinstance(plain, bool) or not isinstance(plain, int | float):
                raise TypeError
        except (TypeError, ValueError, RuntimeError):
            self.refuse(name, "a number", got=value)
        if narrow:
            return float(str(np.float32(plain)))
        return int(plain) if isinstance(plain, int) else float(plain)

    def steps(self, name: str) -> float:
        """A length: an int where it means one."""
        return steps(self[name])

    def whole(self, name: str, least: int = 1, value: object = ...) -> int:
        """A setting that counts, or the value that is a part of it."""
        plain = self[name] if value is ... else self.number(name, value)
        if not math.isfinite(plain) or plain != int(plain) or plain < least:
            self.refuse(name, f"a whole number, {least} or more", got=plain)
        return int(plain)

    def increasing(self, name: str) -> list[float]:
        """A sequence of numbers in order; equal neighbours are allowed."""
        plain = [self.number(name, value) for value in self.raw(name)]
        if plain != sorted(plain):
            self.refuse(name, "in order")
        return plain

    def refuse(self, name: str, rule: str, remedy: str = OWN, got: object = ...) -> NoReturn:
        """The one line of every refusal: whose setting it is, what it must be, what to do instead."""
        got = self.raw(name) if got is ... else got
        raise Refusal("port", f"{called(self.source)}.{name}", rule, got, f": {remedy}").error()


def called(source: object) -> str:
    """The class of an object, or the function that made a closure."""
    made_by, _, rest = getattr(source, "__qualname__", "").partition(".<locals>")
    return made_by if rest else type(source).__qualname__


def steps(value: float) -> float:
    """A length that was computed: an int where it means one."""
    nearest = round(value)
    return nearest if abs(value - nearest) <= 1e-9 * max(1.0, abs(value)) else value


def tidy(value: float) -> float:
    """A number that was computed, without the last digits where they are rounding errors."""
    short = float(f"{value:.12g}")
    return short if abs(short - value) <= 4e-16 * abs(value) else float(value)
