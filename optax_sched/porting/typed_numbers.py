"""Numbers as a person types them: how many digits they have, and the roundest in an interval."""

import math


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
