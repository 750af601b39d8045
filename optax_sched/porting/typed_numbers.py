"""Numbers as a person types them: how many digits they have, and the roundest in an interval."""

import math
from collections.abc import Callable
from typing import NamedTuple

SPANS = (1, 10, 100, 1000, 10_000, 100_000)
MORE_DIGITS = 2  # than the roundest number has


class Pair(NamedTuple):
    """A length and a number after it that make one number of a curve, its half-life."""

    usual: tuple[float, ...]  # second numbers as people type them
    length: Callable[[float], float]  # from a second number: the length whose half-life with it is 1
    second: Callable[[float], float]  # from a length: the second number with which its half-life is 1


_FACTORS = (0.5, 0.1, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 0.94, 0.85, 0.8, 0.7, 0.75, 0.6, 0.3, 0.2)
PAIRS = {
    "half_life": Pair(_FACTORS, lambda factor: -math.log2(factor), lambda length: 0.5**length),
    "half_time": Pair((1.0, 0.5, 0.1, 2.0), float, float),  # of an inverse time decay
}


def digits_of(number: float) -> int:
    """The significant digits that it takes to type a number; none for 0."""
    mantissa = f"{abs(number):.14e}".partition("e")[0]
    return len(mantissa.replace(".", "").rstrip("0"))


def as_typed(number: float, digits: int) -> float:
    return float(f"{number:.{digits - 1}e}")


def roundest(
    low: float, high: float, digits: int, whole: bool, most: int = 12, near: float | None = None
) -> list[float]:
    """Numbers of so many significant digits from `low` to `high`, the nearest to `near` first.

    That is the middle where it is not given.
    """
    if not (0 < high < math.inf and low < math.inf):  # without a peak, a share of it is no number
        return []
    near = (max(low, 0.0) + high) / 2 if near is None else min(max(near, low), high)
    top = math.floor(math.log10(high))
    bottom = max(math.floor(math.log10(low)) if low > 0 else top - 3, top - 12)
    found = set()
    for unit in (10.0 ** (exponent - digits + 1) for exponent in range(bottom, top + 1)):
        middle = round(near / unit)
        first = max(math.ceil(low / unit - 1e-9), middle - 2 * most, 1)
        last = min(math.floor(high / unit + 1e-9), middle + 2 * most)
        found |= {as_typed(count * unit, digits) for count in range(first, last + 1)}
    fit = [
        number
        for number in found
        if low <= number <= high and digits_of(number) == digits and not (whole and number % 1)
    ]
    return sorted(fit, key=lambda number: abs(number - near))[:most]


def fewest_digits(low: float, high: float, whole: bool) -> int:
    """How many digits the roundest number from `low` to `high` has; 0 where 0 is among them."""
    if low <= 0 <= high:
        return 0
    return next((digits for digits in range(1, 16) if roundest(low, high, digits, whole)), 17)


def round_ones(low: float, high: float, whole: bool) -> list[float]:
    """Some numbers of few digits from `low` to `high`, those of the fewest first."""
    fewest = max(fewest_digits(low, high, whole), 1)
    counts = range(fewest, fewest + MORE_DIGITS + 1)
    return [number for digits in counts for number in roundest(low, high, digits, whole, 2)]


def pairs_of(name: str, low: float, high: float, whole: bool) -> list[tuple[float, float]]:
    """A half-life from `low` to `high`: round lengths with usual numbers after them, or the reverse."""
    pair = PAIRS[name]
    found: list[tuple[float, float]] = []
    for second in pair.usual:
        unit = pair.length(second)
        lengths = round_ones(low * unit, high * unit, whole)
        found += [(int(length) if whole else length, second) for length in lengths]
    for length in SPANS:
        least, most = sorted(pair.second(length / at) for at in (low, high))
        if least > 1e-12:  # nobody types less, which may be 0 as a float
            found += [(length, second) for second in round_ones(least, most, False)]
    return found
