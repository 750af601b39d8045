"""Cycles begin on their steps: exactly where numbers are whole, else as near as floats are."""

import bisect
import math
from fractions import Fraction

import jax
import numpy as np
import pytest
from support.amount import one_in

from optax_sched import constant, cosine_restarts, repeat
from optax_sched._math.cycles import place_in_cycles, whole_periods

# A formula calls these functions under standard promotion; here they are called alone.
pytestmark = pytest.mark.promotes

LAST_STEP = 2**31 - 1
MOST = 600  # cycles of one schedule that are looked at

periods_passed = jax.jit(whole_periods)
places = jax.jit(jax.vmap(place_in_cycles, in_axes=(0, None, None)))
places_of_equal = jax.jit(jax.vmap(lambda step, period: place_in_cycles(step, period, None), (0, None)))


def starts_of_cycles(period: float, mult: float, until: float = LAST_STEP) -> list[Fraction]:
    """Where each cycle begins, as the decimals that were written say."""
    starts, length = [Fraction(0)], Fraction(str(period))
    while starts[-1] <= until and len(starts) < MOST:
        starts.append(starts[-1] + length)
        length *= Fraction(str(mult))
    return starts


def draws(seed: int, count: int) -> list[tuple[float, float]]:
    """Periods and ratios of up to four decimals, the half of them whole."""
    rng = np.random.default_rng(seed)
    periods = [
        int(10 ** rng.uniform(0, 5)) if i % 2 else round(10 ** rng.uniform(0, 4), 2)
        for i in range(count)
    ]
    return [(p, round(1 + rng.exponential(0.4), int(rng.integers(0, 5)))) for p in periods]


def padded(steps: list[int]) -> np.ndarray:
    """One length for all, so that they share a program."""
    return np.array(steps + [0] * (2 * MOST - len(steps)), np.int32)


@pytest.mark.parametrize(
    "mult", [1.0, 2.0, 10.0, *(pytest.param(mult, marks=pytest.mark.wide) for mult in (3.0, 5.0))]
)
@pytest.mark.parametrize("period", one_in(2, [1, 7, 10, 1000, 12_345, 10**7]))
def test_cycles_of_whole_ratios_begin_on_their_steps(period: int, mult: float):
    starts = starts_of_cycles(period, mult)
    around = {int(start) + side for start in starts[:-1] for side in (-1, 0)}
    steps = sorted(step for step in around if 0 <= step < min(starts[-1], LAST_STEP))
    found = places(padded(steps), period, mult)
    numbers = [bisect.bisect_right(starts, step) - 1 for step in steps]
    np.testing.assert_array_equal(found.number[: len(steps)], numbers)
    spans = [
        (step - starts[n], starts[n + 1] - starts[n]) for step, n in zip(steps, numbers, strict=True)
    ]
    done = np.array([float(clock / length) for clock, length in spans])
    left = np.array([float(1 - clock / length) for clock, length in spans])
    np.testing.assert_allclose(found.progress[: len(steps)], done, rtol=5e-7)
    np.testing.assert_allclose(found.remaining[: len(steps)], left, rtol=5e-7)
    assert [found.progress[i] for i, s in enumerate(steps) if s in starts] == [0.0] * (
        sum(s in starts for s in steps)
    )


def numbers_at(steps: list[int], period: float, mult: float) -> list[int]:
    return np.asarray(places(padded(steps), period, mult).number)[: len(steps)].tolist()


@pytest.mark.parametrize("seed", one_in(3, range(3)))
def test_cycles_of_real_ratios_begin_within_a_step_and_a_part_in_a_million(seed: int):
    for period, mult in draws(seed, 30):
        starts = starts_of_cycles(period, mult, until=10**8)
        begun = [math.ceil(start * Fraction(1_000_001, 10**6)) + 1 for start in starts]
        waiting = [math.floor(start * Fraction(999_999, 10**6)) - 1 for start in starts[1:]]
        for steps, side in ((begun, 0), (waiting, -1)):
            want = [bisect.bisect_right(starts, step) - 1 for step in steps]
            # A cycle shorter than the margin is passed over.
            pairs = [(s, n) for s, n in zip(steps, want, strict=True) if 0 <= s < starts[-1]]
            assert numbers_at([s for s, _ in pairs], period, mult) == [n for _, n in pairs], side


@pytest.mark.parametrize("mult", [1.1, 1.2, 1.25, 1.5, 1.75, 2.5])
def test_a_boundary_on_a_whole_step_counts(mult: float):
    for period in (1, 2.5, 7, 10, 100, 1234.5):
        starts = starts_of_cycles(period, mult, until=10**5)
        whole = [(int(s), n) for n, s in enumerate(starts) if s.denominator == 1 and s < 10**5]
        assert numbers_at([step for step, _ in whole], period, mult) == [n for _, n in whole]
        before = [(step - 1, n - 1) for step, n in whole if n]
        assert numbers_at([step for step, _ in before], period, mult) == [n for _, n in before]


@pytest.mark.parametrize("period", [1, 3, 1000.5, 10**9 + 7])
@pytest.mark.parametrize("number_of", [lambda t, p: places(t, p, 1.0), places_of_equal])
def test_equal_cycles_are_counted_to_the_last_step(number_of, period: float):
    steps = [*range(50), 2**24 + 1, 10**9, *range(LAST_STEP - 50, LAST_STEP + 1)]
    found = number_of(padded(steps), period)
    want = [min(math.floor(Fraction(step) / Fraction(str(period))), LAST_STEP) for step in steps]
    np.testing.assert_array_equal(found.number[: len(steps)], want)


@pytest.mark.slow
def test_both_builders_turn_on_the_boundary():
    period, mult = 33.3, 1.17
    starts = starts_of_cycles(period, mult, until=10**4)[:-1]
    first = np.array([math.ceil(start) for start in starts[1:]])
    halves = repeat(constant(1.0), period, mult, value_mult=0.5)
    restarts = cosine_restarts(1.0, period, period_mult=mult)
    np.testing.assert_array_equal(halves(first), 0.5 ** np.arange(1.0, len(starts)))
    np.testing.assert_array_equal(halves(first - 1), 0.5 ** np.arange(len(starts) - 1.0))
    assert np.all(np.asarray(restarts(first)) > 0.98)
    assert np.all(np.asarray(restarts(first - 1)) < 0.02)


def test_equal_cycles_hand_whole_steps_on():
    seen = []
    stairs = repeat(lambda step: seen.append(step.dtype) or step * 1.0, 2**25)
    assert stairs(2**25 + 2**24 + 1) == np.float32(2**24 + 1)
    assert set(seen) == {np.dtype(np.int32)}


@pytest.mark.parametrize("period", [1, 2, 3, 7, 1000, 2**20 + 1, 2**24 + 1, 2**30, LAST_STEP])
def test_whole_periods_is_the_integer_quotient(period):
    draw = np.random.default_rng(period)
    anywhere = draw.integers(0, LAST_STEP, 20_000)
    multiples = anywhere // period * period
    steps = np.concatenate(
        [anywhere, multiples, multiples - 1, multiples + 1, LAST_STEP - np.arange(99)]
    )
    steps = np.clip(steps, 0, LAST_STEP).astype(np.int32)
    np.testing.assert_array_equal(periods_passed(steps, period), steps // period)


FLOATS = [0.25, 2.25, 33.375, 2345.625, 100_000.25, 1_000_000.5, 1_000_001.0, 10_000_001.0]


@pytest.mark.parametrize("period", FLOATS)
def test_whole_periods_of_a_float_is_the_quotient(period):
    length = Fraction(str(period))
    count = min(int(LAST_STEP / length), 2**23)
    numbers = {*range(99), *np.random.default_rng(0).integers(0, count, 400).tolist()}
    steps = sorted({int(n * length) + d for n in numbers for d in (0, 1, 2)})
    steps = [step for step in steps if step / length < count]
    want = [int(step / length) for step in steps]
    np.testing.assert_array_equal(periods_passed(np.array(steps, np.int32), period), want)


RATIOS = [round(1 + i / 100, 2) for i in range(1, 200)]


@pytest.mark.parametrize("period", one_in(3, [33.3, 7, 100]))
def test_no_boundary_of_a_fractional_ratio_is_early_or_late_below_100_000_steps(period: float):
    for mult in [*RATIOS, 1.005, 1.0625, 1.234, 1.98765, 3.7]:
        starts = [start for start in starts_of_cycles(period, mult, until=10**5) if start < 10**5]
        steps = [math.ceil(start) + side for start in starts[1:] for side in (-1, 0)]
        want = [bisect.bisect_right(starts, step) - 1 for step in steps]
        assert numbers_at(steps, period, mult) == want, mult


@pytest.mark.parametrize(
    ("period", "mult", "step"),
    [
        (1000, 10, 1_111_111_001),  # the next cycle begins beyond 2^32
        (1, 16, 286_331_153),
        (1, 16, 286_331_154),
        (7, 2, 939_524_088),
        (7, 2, 939_524_089),
        (1000, 2, LAST_STEP),
        (100, 1.7, 100),
        (100, 1.7, 270),
        (100, 1.7, 269),
    ],
)
@pytest.mark.parametrize("kind", one_in(2, [int, float]))
def test_the_value_next_to_a_restart_is_that_of_the_fractions(kind, period, mult, step):
    if kind is float and step > 2**24:
        pytest.skip("a float32 does not hold the step")
    starts = starts_of_cycles(period, mult, until=10**11)
    number = bisect.bisect_right(starts, step) - 1
    begun, end = starts[number], starts[number + 1]
    u = float((end - step) / (end - begun))
    want = 0.3 * math.sin(math.pi / 2 * u) ** 2
    schedule = cosine_restarts(0.3, period, period_mult=mult)
    np.testing.assert_allclose(schedule(kind(step)), want, rtol=5e-7)
    held = repeat(constant(1.0), period, mult, value_mult=0.5)
    assert held(kind(step)) == 0.5**number
