"""Cycles begin on their exact steps, whatever the period and the ratio: against fractions."""

import bisect
import math
from fractions import Fraction

import jax
import numpy as np
import pytest

from optax_sched import constant, cosine_restarts, repeat
from optax_sched._periods import place_in_cycles

LAST_STEP = 2**31 - 1
MOST = 600  # cycles of one schedule that are looked at

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
