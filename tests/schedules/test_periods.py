"""Cycles begin on their exact steps, whatever the period and the ratio: against fractions."""

import bisect
import math
from fractions import Fraction

import jax
import numpy as np
import pytest

from optax_sched import constant, cosine_restarts, repeat
from optax_sched._math.cycles import place_in_cycles, whole_periods

LAST_STEP = 2**31 - 1
MOST = 600  # cycles of one schedule that are looked at

periods_passed = jax.jit(whole_periods)
places = jax.jit(jax.vmap(place_in_cycles, in_axes=(0, None, None)))


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


def assert_places(period: float, mult: float, until: float) -> None:
    starts = starts_of_cycles(period, mult, until)
    around = {math.ceil(start) + side for start in starts[:-1] for side in (-1, 0)}
    steps = sorted(step for step in around if 0 <= step < min(starts[-1], until))
    found = places(np.array(steps + [0] * (2 * MOST - len(steps)), np.int32), period, mult)
    numbers = [bisect.bisect_right(starts, step) - 1 for step in steps]
    np.testing.assert_array_equal(found.number[: len(steps)], numbers)
    spans = [
        (step - starts[n], starts[n + 1] - starts[n]) for step, n in zip(steps, numbers, strict=True)
    ]
    done = np.array([float(clock / length) for clock, length in spans])
    left = np.array([float(1 - clock / length) for clock, length in spans])
    # A start has 48 bits: what is left of them beside a boundary is absolute.
    np.testing.assert_allclose(found.progress[: len(steps)], done, rtol=5e-7, atol=2e-10)
    np.testing.assert_allclose(found.remaining[: len(steps)], left, rtol=5e-7, atol=2e-10)


@pytest.mark.parametrize("seed", range(3))
def test_random_cycles_begin_on_their_steps(seed):
    for period, mult in draws(seed, 30):
        assert_places(period, mult, until=10**8)


@pytest.mark.parametrize("mult", [1.1, 1.2, 1.25, 1.5, 1.75, 2.5, 3.3, 10.5, 1.01, 1.0, 2.0, 3.0])
def test_a_boundary_on_a_whole_step_counts(mult):
    for period in (1, 2.5, 7, 10, 100, 1234.5, 10**5, 10**7):
        starts = starts_of_cycles(period, mult)[:60]
        whole = [(int(s), n) for n, s in enumerate(starts) if s.denominator == 1 and s < LAST_STEP]
        steps = [step for step, _ in whole]
        found = places(np.array(steps + [0] * (2 * MOST - len(steps)), np.int32), period, mult)
        np.testing.assert_array_equal(found.number[: len(steps)], [n for _, n in whole])
        np.testing.assert_array_equal(found.progress[: len(steps)], 0)
        np.testing.assert_array_equal(found.remaining[: len(steps)], 1)


@pytest.mark.parametrize("period", [1, 1.5, 3, 0.7, 10**9 + 7])
def test_equal_cycles_are_counted_to_the_last_step(period):
    steps = [*range(50), 2**24 + 1, 10**9, *range(LAST_STEP - 50, LAST_STEP + 1)]
    found = places(np.array(steps + [0] * (2 * MOST - len(steps)), np.int32), period, 1.0)
    want = [min(math.floor(Fraction(step) / Fraction(str(period))), LAST_STEP) for step in steps]
    np.testing.assert_array_equal(found.number[: len(steps)], want)


def test_both_builders_turn_on_the_boundary():
    period, mult = 33.3, 1.17
    starts = starts_of_cycles(period, mult, until=10**7)[:-1]
    first = np.array([math.ceil(start) for start in starts[1:]])
    halves = repeat(constant(1.0), period, mult, value_mult=0.5)
    restarts = cosine_restarts(1.0, period, period_mult=mult)
    np.testing.assert_array_equal(halves(first), 0.5 ** np.arange(1.0, len(starts)))
    np.testing.assert_array_equal(halves(first - 1), 0.5 ** np.arange(len(starts) - 1.0))
    assert np.all(np.asarray(restarts(first)) > 0.99)
    assert np.all(np.asarray(restarts(first - 1)) < 0.01)


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


FLOATS = [0.1, 0.25, 1.1, 2.25, 33.3, 2345.6, 100_000.25, 1_000_000.5, 1_000_001.0, 10_000_001.0]


@pytest.mark.parametrize("period", FLOATS)
def test_whole_periods_of_a_float_is_the_quotient_of_the_decimals(period):
    length = Fraction(str(period))
    count = min(int(LAST_STEP / length), 2**23)
    numbers = {*range(99), *np.random.default_rng(0).integers(0, count, 400).tolist()}
    steps = sorted({int(n * length) + d for n in numbers for d in (0, 1, 2)})
    steps = [step for step in steps if step / length < count]
    want = [int(step / length) for step in steps]
    np.testing.assert_array_equal(periods_passed(np.array(steps, np.int32), period), want)
