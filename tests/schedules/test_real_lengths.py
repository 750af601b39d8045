"""Lengths in epochs or parts of a run: both ends are met to the bit where their sums say."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import optax_sched as os
from optax_sched import Schedule

DRAWS = 20


def parts(rng: np.random.Generator, n: int, total: float = 1.0) -> list[float]:
    """Lengths that a person might write, which add up to less than the total."""
    digits = int(rng.integers(1, 5))
    cuts = rng.dirichlet(np.ones(n + 1)) * total
    return [max(round(float(cut), digits + 1), 10.0 ** -(digits + 1)) for cut in cuts[:n]]


# Of random lengths a schedule, its value at step 0, the step of its end and its value there.
Drawn = tuple[Schedule, float, float, float]
E = 0.25  # an end that is not 0


def fall(length: float) -> Schedule:
    return os.cosine_decay(1.0, length, E)


CASES: dict[str, Callable[[np.random.Generator, float], Drawn]] = {}


def case(function: Callable[[np.random.Generator, float], Drawn]) -> None:
    CASES[function.__name__] = function


@case
def decay(rng, T):
    return os.linear(1.0, E, T), 1.0, T, E


@case
def warmup_cosine_decay(rng, T):
    (w,) = parts(rng, 1, T)
    return os.warmup_cosine_decay(1.0, w, T, 0.1, E), 0.1, T, E


@case
def warmup_linear_decay(rng, T):
    (w,) = parts(rng, 1, T)
    return os.warmup_linear_decay(1.0, w, T), 0.0, T, 0.0


@case
def wsd(rng, T):
    w, d = parts(rng, 2, T)
    return os.wsd(1.0, w, d, T), 0.0, T, 0.0


@case
def wsd_cycles(rng, T):
    w, b = parts(rng, 2, T)
    return os.wsd_cycles(1.0, w / 10, [b + w, T + b + w], 0.1, E), 0.0, T + b + w, E


@case
def infinite(rng, T):
    w, c, n = parts(rng, 3, T)
    return os.infinite(1.0, w, c, 0.5, w + c + n, T), 0.0, w + c + n + T, 0.0


@case
def tri_stage(rng, T):
    w, h = parts(rng, 2, T)
    return os.tri_stage(1.0, w, h, T, 0.5, E), 0.5, w + h + T, E


@case
def knee(rng, T):
    w, x = parts(rng, 2, T)
    return os.knee(1.0, w, x, T), 0.0, T, 0.0


@case
def one_cycle(rng, T):
    return os.one_cycle(1.0, T, 0.3, 4.0, 2.0), 0.25, T, 0.125


@case
def slanted_triangular(rng, T):
    return os.slanted_triangular(1.0, 20 * T, ratio=4.0), 0.25, 20 * T, 0.25


@case
def warmup(rng, T):
    (w,) = parts(rng, 1, T)
    return os.warmup(fall(T), w), 0.0, w + T, E


@case
def cooldown(rng, T):
    s, c = parts(rng, 2, T)
    return os.cooldown(1.0, s + T, c, E), 1.0, s + T + c, E


@case
def join(rng, T):
    a, b = parts(rng, 2, T)
    return os.join([os.linear(0.0, 1.0, a), 1.0, fall(T)], [a, a + b]), 0.0, a + b + T, E


@case
def delay(rng, T):
    (d,) = parts(rng, 1, T)
    return os.delay(os.warmup(fall(T), d), d), 0.0, d + d + T, E


@case
def shift(rng, T):
    (d,) = parts(rng, 1, T)
    return os.shift(os.cooldown(1.0, d, T, E), d), 1.0, T, E


@case
def repeat(rng, T):
    n = int(rng.integers(1, 9))
    return os.repeat(fall(T), T, num_cycles=n), 1.0, n * T, E


@case
def cosine_restarts(rng, T):
    n = int(rng.integers(1, 9))
    return os.cosine_restarts(1.0, T, E, num_cycles=n), 1.0, n * T, E


@case
def growing_restarts(rng, T):
    n, m = int(rng.integers(1, 6)), round(float(rng.uniform(1.1, 3)), 1)
    return os.cosine_restarts(1.0, T, E, m, num_cycles=n), 1.0, T * (m**n - 1) / (m - 1), E


@case
def piecewise(rng, T):
    (a,) = parts(rng, 1, T)
    return os.piecewise_interpolate([0.5, 1.0, E], [a, a + T]), 0.5, a + T, E


@case
def cubic(rng, T):
    (a,) = parts(rng, 1, T)
    return os.piecewise_cubic([0.5, 1.0, E], [a, a + T]), 0.5, a + T, E


@functools.cache
def drawn(name: str) -> list[Drawn]:
    rng = np.random.default_rng(sum(map(ord, name)))
    scale = (1.0, 1.0, 3.5, 90.0, 1000.0)
    made = []
    for i in range(DRAWS):
        T = scale[i % 5] * (1.0 if i % 10 == 0 else round(float(rng.uniform(0.1, 1)), i % 4 + 1))
        made.append(CASES[name](rng, T))
    return made


@jax.jit
def at(schedule: Any, step: Any) -> Any:
    return schedule(step)


def check_traced(schedule: Schedule, steps: list[float], want: list[float]) -> None:
    got = at(schedule, np.array(steps, np.int32 if isinstance(steps[0], int) else np.float32))
    np.testing.assert_array_equal(
        got, np.array(want, np.float32), err_msg=f"{schedule} at {steps}, traced"
    )


def check(schedule: Schedule, first: float, end: float, last: float) -> None:
    check_traced(schedule, [0.0, end, end * 1.5], [first, last, last])
    assert [schedule(step) for step in (0.0, end)] == np.array([first, last], np.float32).tolist()


def some(*names: str) -> list[Any]:
    """All cases, of which these answer in every run."""
    return [pytest.param(name, marks=() if name in names else pytest.mark.wide) for name in CASES]


@pytest.mark.parametrize(
    "name",
    some("wsd", "join", "repeat", "cubic"),
)
def test_both_ends_are_met_to_the_bit(name):
    for schedule, first, end, last in drawn(name):
        check(schedule, first, end, last)
    schedule, first, end, last = drawn(name)[1]
    np.testing.assert_array_equal(
        jax.jit(schedule)(np.array([0, end], np.float32)), np.array([first, last], np.float32)
    )


@pytest.mark.parametrize("name", some("warmup", "wsd"))
def test_through_stretch_and_every(name):
    rng = np.random.default_rng(0)
    for schedule, first, end, last in drawn(name)[: DRAWS // 2]:
        n = int(rng.integers(10, 10**6))
        stretched = os.stretch(schedule, n)
        check_traced(stretched, [0.0, n * end, n * end * 1.5], [first, last, last])
        assert float(stretched(int(np.ceil(n * end)))) == np.float32(last)
        k = round(float(rng.uniform(1, 300)), 1)
        ticked = os.every(schedule, k)
        ticks = int(np.ceil(end))
        check_traced(ticked, [0.0, k * ticks, k * ticks * 1.5], [first, last, last])
        if k * ticks < 10**5:  # beyond, it may be one whole step off
            check_traced(ticked, [int(np.ceil(round(k * ticks, 6)))], [last])


def test_the_case_of_the_issue():
    assert float(os.wsd(1e-3, 0.01, 0.2, 1.0)(1.0)) == 0.0
    assert float(os.stretch(os.wsd(1e-3, 0.01, 0.2, 1.0), 937)(937)) == 0.0


def test_lengths_that_float32_holds_are_exact_within_too():
    quarter = os.warmup(os.linear(1.0, 0.0, 10.25), 100.5)
    np.testing.assert_allclose(
        quarter(np.array([105.5, 110], np.float32)), [1 - 5 / 10.25, 0.75 / 10.25], 5e-7
    )
    whole = os.delay(os.linear(1.0, 0.0, 1000), 2.0**24)
    assert float(whole(2**24 + 999)) == np.float32(0.001)
