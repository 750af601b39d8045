"""Which schedule made a logged curve."""

import decimal
import functools
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import ArrayLike

from optax_sched._core.domains import SIZE
from optax_sched._core.errors import Refusal
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import admit
from optax_sched._schedules import constant
from optax_sched.porting.families import RATES
from optax_sched.porting.fit_log import Log
from optax_sched.porting.matching import Match, built, errors_of, matched
from optax_sched.porting.pieces import in_pieces
from optax_sched.porting.search_log import Search
from optax_sched.porting.skipped_updates import with_skips
from optax_sched.porting.typed_numbers import as_typed

MOST_MATCHES = 8
FAR_IN_HALVES = 30.0  # of the last digit: a fit that is further off on average fits no other reading
SMALLEST, LARGEST = 1e-30, 1e30  # highest values, which float32 holds with room for a fit
FLOAT_DIGITS = 15  # a number of more digits is a double as it is


@np.errstate(all="ignore")  # what overflows does not agree
def identify(
    steps: ArrayLike, values: Sequence[str] | ArrayLike, *, digits: int | None = None
) -> list[Match]:
    """Which schedule made a logged curve: the matches, best first.

    Each logged value is compared with the value of a schedule, as it would be logged. The answer is
    what a person would have typed: whole lengths, and numbers of few digits. Where a log cannot tell
    (it ends early, or it has few digits), the answer has several matches. It describes what was logged,
    not what would have come: a log that ends in the stable phase has no decay.

    The families are `constant`, `linear`, `cosine_decay`, `quarter_cosine_decay`, `polynomial_decay`,
    `exponential_decay`, `inverse_sqrt_decay` and `inverse_time_decay`, with an end value or without,
    alone or after a linear warm-up; `noam`; `wsd` in its four shapes; `one_cycle`, `cyclic` and
    `cosine_restarts`; and what is constant in pieces (`step_decay`, `multistep_decay`,
    `piecewise_constant`). Where none of these agrees, updates may have been skipped, as trainers in
    fp16 do: this is looked for in `linear`, cosines and `polynomial_decay`, after a warm-up or without.

    Args:
      steps: the logged steps, increasing, three or more. Their unit is the schedule's: epochs that are
        no whole numbers give float lengths.
      values: the logged values. Texts such as "1.500E-04" keep their digits. Of numbers, the longest
        says how many significant digits or decimals were logged.
      digits: how many significant digits were logged, where the values do not show it.

    Returns:
      A list of `Match`, never empty. The consistent ones come first, those with the fewest typed digits
      before others: a setting that is not at its default costs 1 and its digits, an offset 0.5. If none
      is consistent, the list has the nearest ones.

    Raises:
      ValueError: there are fewer than three points, the steps do not increase, the lengths differ, a
        value is not a finite number, float32 has no room for the highest, or `digits` is no positive
        whole number.

    >>> values = ["0.0e+00", "5.0e-04", "1.0e-03", "8.5e-04", "5.0e-04", "1.5e-04", "0.0e+00"]
    >>> best, *others = identify(range(0, 70, 10), values)
    >>> print(repr(best.schedule)[:69])
    warmup_cosine_decay(peak_value=0.001, warmup_steps=20, total_steps=60
    >>> best.offset, best.skipped, best.is_consistent
    (0, [], True)
    """
    log_steps, texts = _checked(steps, values, digits)
    if not any(texts):
        return [Match(constant(0.0), 0, [], 0.0, True)]
    first, *looser = _readings(log_steps, texts, digits)
    logs = [first, *(log for log in looser if not np.allclose(log.half, first.half))]
    searches: list[Search] = []
    for log in logs:
        pieces, near = in_pieces(log), None
        if searches:
            near = [one for one in searches[0].nearest if one.off <= FAR_IN_HALVES * np.mean(log.half)]
        known = min((cost for cost, *_ in pieces), default=np.inf)
        searches.append(search := Search(log, known, near))
        if found := sorted(search.run() + pieces, key=itemgetter(0, 1)):
            return [match for *_, match in found[:MOST_MATCHES]]
    return next(filter(None, map(with_skips, searches)), None) or _nearest(searches[0])


def _checked(
    steps: ArrayLike, values: Sequence[str] | ArrayLike, digits: int | None
) -> tuple[np.ndarray, list[decimal.Decimal]]:
    """The steps as floats, and the values with their digits."""
    refusal = functools.partial(Refusal, "identify")
    log_steps = np.asarray(steps, float)
    if log_steps.ndim != 1 or len(log_steps) < 3:
        raise refusal("steps", "a sequence of three or more", steps).error()
    if not np.all(np.isfinite(log_steps)) or np.any(np.diff(log_steps) <= 0):
        raise refusal("steps", "finite and increasing", steps).error()
    if digits is not None:
        admit("identify", "digits", SIZE, digits)
    exact = []
    for value in np.asarray(values).ravel().tolist():
        try:
            number = decimal.Decimal(value if isinstance(value, str) else repr(float(value)))
        except (decimal.InvalidOperation, OverflowError, TypeError, ValueError):
            number = decimal.Decimal("nan")
        if not number.is_finite():
            raise refusal("values", "finite numbers", value).error()
        # Python adds the zero of 1.0: it was not logged.
        number = number if isinstance(value, str) else number.normalize()
        exact.append(number if float(number) else decimal.Decimal(0))
    highest = max(map(abs, exact), default=0)
    if highest and not SMALLEST < highest < LARGEST:
        rule = f"numbers whose highest is from {SMALLEST} to {LARGEST}"
        raise refusal("values", rule, f"{highest:.3g}").error()
    if len(exact) != len(log_steps):
        rule = f"as many as steps, {len(log_steps)}"
        raise refusal("values", rule, len(exact)).error()
    return log_steps, exact


def _readings(steps: np.ndarray, exact: list[decimal.Decimal], digits: int | None) -> list[Log]:
    """The log with its half digits, read as significant digits and as decimals, the stricter first.

    A reading that the numbers contradict comes last: of decimals, the highest values have as many; of
    significant digits, the lowest values have as many.
    """
    values = np.array(exact, float)
    floor = 1e-7 * np.abs(values) + 2e-8 * np.abs(values).max()
    if np.all(values == values.astype(np.float32)):
        floor *= 3  # computed in float32, not only stored
    lead = np.array([number.adjusted() for number in exact if number] or [0])
    last = np.array([int(number.as_tuple().exponent) for number in exact if number] or [0])
    counts = lead - last + 1

    def log(unit: np.ndarray) -> Log:
        half = np.zeros_like(values)
        half[values != 0] = unit / 2
        return Log(steps, values, np.maximum(half, floor) + 1e-300)

    significant = log(10.0 ** (lead - (digits or counts.max()) + 1))
    if digits is not None or counts.max() > FLOAT_DIGITS:
        return [significant]
    decimals = log(np.full(len(lead), 10.0 ** last.min()))
    decimals.half[values == 0] = 10.0 ** last.min() / 2
    if decimals.half.sum() > significant.half.sum():
        likely = counts[lead == lead.min()].max() == counts.max()
        return [significant, decimals] if likely else [decimals, significant]
    likely = last[lead == lead.max()].min() == last.min()
    return [decimals, significant] if likely else [significant, decimals]


def _nearest(search: Search) -> list[Match]:
    """The families that come nearest, with as few digits as do not make it much worse."""
    log, few, matches = search.log, search.log.at(search.points), []
    for near in search.nearest:
        if len(matches) == MOST_MATCHES:
            break
        tried: list[tuple[float, Schedule]] = []
        for digits in range(10, 1, -1):
            typed = {name: as_typed(number, digits) for name, number in near.numbers.items()}
            # By rounding a fit may lie beside 0.
            beside = [name for name in typed if name in RATES and abs(typed[name]) < 1e-6 * log.top]
            typed |= dict.fromkeys(beside, 0.0)
            schedule = built(near.family, typed, log.whole)  # None where a decay would rise, say
            if schedule is not None:
                tried.append((float(errors_of(schedule, few, near.offset).max()), schedule))
        if tried:
            least = min(error for error, _ in tried)
            short = [schedule for error, schedule in tried if error <= 1.2 * least][-1]
            matches.append(matched(short, log, near.offset))
    middle = constant(as_typed((log.values.min() + log.values.max()) / 2, 6))
    matches.append(matched(middle, log, 0))
    matches.sort(key=lambda match: (match.largest_error, abs(match.offset)))
    once: dict[str, Match] = {}  # where the log does not tell the offset, it is 0
    for match in matches:
        once.setdefault(repr(match.schedule), match)
    return list(once.values())[:MOST_MATCHES]


def errors_at(match: Match, steps: ArrayLike, values: Sequence[str] | ArrayLike) -> np.ndarray:
    """How far a match is from each logged value, in halves of the last digit as `identify` read it."""
    logs, lags = _readings(*_checked(steps, values, None), None), lags_of(match, steps)
    readings = [errors_of(match.schedule, log, match.offset, lags) for log in logs]
    return min(readings, key=lambda errors: abs(errors.max() - match.largest_error))


def lags_of(match: Match, steps: ArrayLike) -> np.ndarray:
    """How many updates a match has skipped before each step."""
    starts, counts = zip((-np.inf, 0), *match.skipped, strict=True)
    return np.take(counts, np.searchsorted(starts, steps, side="right") - 1)
