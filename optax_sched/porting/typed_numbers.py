"""Numbers as a person types them: how many digits they have, and the roundest in an interval."""

import math
from collections.abc import Iterator


def digits_of(number: float) -> int:
    """The significant digits that it takes to type a number; none for 0."""
    mantissa = f"{abs(number):.14e}".partition("e")[0]
    return len(mantissa.replace(".", "").rstrip("0"))


def as_typed(number: float, digits: int) -> float:
    return float(f"{number:.{digits - 1}e}")


def roundest(low: float, high: float, digits: int, whole: bool, most: int = 12) -> list[float]:
    """Numbers of so many significant digits from `low` to `high`, those near the middle first."""
    found = {number for number in _between(low, high, digits, most) if digits_of(number) == digits}
    if whole:
        found = {number for number in found if number == round(number)}
    middle = (low + high) / 2 if high < 4 * low else math.sqrt(max(low, 0.01 * high) * high)
    return sorted(found, key=lambda number: abs(number - middle))[:most]


def _between(low: float, high: float, digits: int, most: int) -> Iterator[float]:
    if not (0 < high < math.inf and low < math.inf):  # without a peak, a share of it is no number
        return
    top = math.floor(math.log10(high))
    bottom = math.floor(math.log10(low)) if low > 0 else top - 3
    for exponent in range(max(bottom, top - 12), top + 1):
        unit = 10.0 ** (exponent - digits + 1)
        first, last = math.ceil(low / unit - 1e-9), math.floor(high / unit + 1e-9)
        middle = (first + last) // 2
        for count in range(max(first, middle - 2 * most), min(last, middle + 2 * most) + 1):
            number = as_typed(count * unit, digits)
            if count > 0 and low <= number <= high:
                yield number


def fewest_digits(low: float, high: float, whole: bool) -> int:
    """How many digits the roundest number from `low` to `high` has; 0 where 0 is among them."""
    if low <= 0 <= high:
        return 0
    return next((digits for digits in range(1, 16) if roundest(low, high, digits, whole)), 17)
