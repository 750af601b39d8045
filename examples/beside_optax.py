"""Counts what optax's schedules and these do in five situations, and prints the README's table.

    python examples/beside_optax.py

Nothing here is a time. The counts are the same on every machine, but for the ends that optax misses:
those hang on how the processor rounds. Each schedule of optax stands beside one here that has its
curve, or nearly so; where the numbers of arguments differ, so do the totals.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optax_sched as o

Build = Callable[..., Callable[[Any], Any]]


class Row(NamedTuple):
    build: Build
    numbers: Mapping[str, float]  # its numeric arguments, all of them
    lengths: str  # which of them are counted in steps


def knots(build: Build, *first: Any) -> Build:
    """optax's piecewise schedules want a dict: here its keys and values as two arguments each."""

    def built(init_value, first_boundary, second_boundary, first_scale, second_scale):
        scales = {first_boundary: first_scale, second_boundary: second_scale}
        return build(*first, init_value, scales)

    return built


def restarts(**cycle: Any) -> Callable[[Any], Any]:
    return optax.sgdr_schedule([cycle, cycle])


def joined(boundary: Any) -> Callable[[Any], Any]:
    return optax.join_schedules([lambda t: 0.1 + 0.0 * t, lambda t: 0.2 + 0.0 * t], [boundary])


RISE = {"init_value": 0.01, "peak_value": 0.1, "warmup_steps": 4}
SPANS = {"init_value": 0.1, "first_boundary": 3, "second_boundary": 6}
SPANS |= {"first_scale": 0.5, "second_scale": 0.2}
KNOTS = "first_boundary second_boundary"
THEIRS = [
    Row(optax.constant_schedule, {"value": 0.1}, ""),
    Row(
        optax.linear_schedule,
        {"init_value": 0.1, "end_value": 0.01, "transition_steps": 9, "transition_begin": 2},
        "transition_steps transition_begin",
    ),
    Row(
        optax.polynomial_schedule,
        {"init_value": 0.1, "end_value": 0.01, "power": 2.0, "transition_steps": 9}
        | {"transition_begin": 2},
        "transition_steps transition_begin",
    ),
    Row(knots(optax.piecewise_constant_schedule), SPANS, KNOTS),
    Row(knots(optax.piecewise_interpolate_schedule, "linear"), SPANS, KNOTS),
    Row(
        optax.exponential_decay,
        {"init_value": 0.1, "transition_steps": 9, "decay_rate": 0.5, "transition_begin": 2}
        | {"end_value": 0.01},
        "transition_steps transition_begin",
    ),
    Row(
        optax.cosine_decay_schedule,
        {"init_value": 0.1, "decay_steps": 9, "alpha": 0.1, "exponent": 1.5},
        "decay_steps",
    ),
    Row(
        optax.cosine_onecycle_schedule,
        {"transition_steps": 9, "peak_value": 0.1, "pct_start": 0.4, "div_factor": 25.0}
        | {"final_div_factor": 100.0},
        "transition_steps",
    ),
    Row(
        optax.linear_onecycle_schedule,
        {"transition_steps": 9, "peak_value": 0.1, "pct_start": 0.4, "pct_final": 0.8}
        | {"div_factor": 25.0, "final_div_factor": 100.0},
        "transition_steps",
    ),
    Row(optax.warmup_constant_schedule, RISE, "warmup_steps"),
    Row(
        optax.warmup_cosine_decay_schedule,
        RISE | {"decay_steps": 9, "end_value": 0.001, "exponent": 1.5},
        "warmup_steps decay_steps",
    ),
    Row(
        optax.warmup_exponential_decay_schedule,
        RISE | {"transition_steps": 9, "decay_rate": 0.5, "transition_begin": 2, "end_value": 0.001},
        "warmup_steps transition_steps transition_begin",
    ),
    Row(
        restarts,
        {**RISE, "decay_steps": 9, "end_value": 0.001},
        "warmup_steps decay_steps",
    ),
    Row(joined, {"boundary": 4}, "boundary"),
]
OURS = [
    Row(o.constant, {"value": 0.1}, ""),
    Row(
        o.linear,
        {"init_value": 0.1, "end_value": 0.01, "transition_steps": 9},
        "transition_steps",
    ),
    Row(
        o.polynomial_decay,
        {"init_value": 0.1, "decay_steps": 9, "end_value": 0.01, "power": 2.0},
        "decay_steps",
    ),
    Row(
        lambda a, b, c, first, second: o.piecewise_constant([a, b, c], [first, second]),
        {"a": 0.1, "b": 0.05, "c": 0.01, "first": 3, "second": 6},
        "first second",
    ),
    Row(
        lambda a, b, c, first, second: o.piecewise_interpolate([a, b, c], [first, second]),
        {"a": 0.1, "b": 0.05, "c": 0.01, "first": 3, "second": 6},
        "first second",
    ),
    Row(
        o.exponential_decay,
        {"init_value": 0.1, "decay_steps": 9, "decay_rate": 0.5, "end_value": 0.01},
        "decay_steps",
    ),
    Row(
        o.cosine_decay,
        {"init_value": 0.1, "decay_steps": 9, "end_value": 0.01, "exponent": 1.5},
        "decay_steps",
    ),
    Row(
        o.one_cycle,
        {"peak_value": 0.1, "total_steps": 9, "pct_start": 0.4, "div_factor": 25.0}
        | {"final_div_factor": 100.0},
        "total_steps",
    ),
    Row(
        lambda **numbers: o.one_cycle(**numbers, three_phase=True, shape="linear"),
        {"peak_value": 0.1, "total_steps": 9, "pct_start": 0.4, "div_factor": 25.0}
        | {"final_div_factor": 100.0},
        "total_steps",
    ),
    Row(
        lambda peak_value, warmup_steps, init_value: o.warmup(peak_value, warmup_steps, init_value),
        RISE,
        "warmup_steps",
    ),
    Row(
        o.warmup_cosine_decay,
        RISE | {"total_steps": 9, "end_value": 0.001},
        "warmup_steps total_steps",
    ),
    Row(
        lambda init_value, peak_value, warmup_steps, decay_steps, decay_rate, end_value: o.warmup(
            o.exponential_decay(peak_value, decay_steps, decay_rate, end_value),
            warmup_steps,
            init_value,
        ),
        RISE | {"decay_steps": 9, "decay_rate": 0.5, "end_value": 0.001},
        "warmup_steps decay_steps",
    ),
    Row(
        o.cosine_restarts,
        {"init_value": 0.1, "period": 9, "end_value": 0.01, "period_mult": 2.0, "peak_mult": 0.5},
        "period",
    ),
    Row(lambda boundary: o.join([0.1, 0.2], [boundary]), {"boundary": 4}, "boundary"),
]

STEPS = [np.uint32(3), 3.0, np.arange(12), np.arange(12, dtype=np.uint32), jnp.arange(12.0)]
LENGTHS = range(1, 51)
SETTINGS = 8


def works(attempt: Callable[[], Any]) -> bool:
    try:
        return bool(attempt())
    except Exception:  # whatever it raises, a user sees that it does not work
        return False


def same(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-5)


def traced(rows: list[Row]) -> Iterator[bool]:
    """For each number: does a jitted function take it, and give what an untraced one gives?"""
    steps = jnp.arange(12)
    for row in rows:
        plain = jax.vmap(row.build(**row.numbers))(steps)
        for name, number in row.numbers.items():

            def one(x, row=row, name=name):
                return jax.vmap(row.build(**dict(row.numbers) | {name: x}))(steps)

            yield works(lambda one=one, number=number, plain=plain: same(jax.jit(one)(number), plain))


def accepted(rows: list[Row]) -> Iterator[bool]:
    """For each number, set to NaN, and each length, set to -1: does the call build a schedule?"""
    for row in rows:
        bad = [(name, float("nan")) for name in row.numbers]
        bad += [(name, -1) for name in row.lengths.split()]
        for name, value in bad:
            yield works(
                lambda row=row, name=name, value=value: callable(
                    row.build(**dict(row.numbers) | {name: value})
                )
            )


def steps_taken(rows: list[Row]) -> Iterator[bool]:
    """For each schedule and kind of step: has the result the step's shape, and the right values?"""
    for row in rows:
        schedule = row.build(**row.numbers)
        values = [float(schedule(int(t))) for t in range(12)]
        for step in STEPS:
            right = np.asarray(values)[np.asarray(step, int)]
            yield works(lambda s=schedule, step=step, right=right: same(s(step), right))


def ends_missed(build: Callable[[int], Callable[[Any], Any]]) -> int:
    """How many lengths end elsewhere than at 0, jitted as in a training: there the step is traced."""
    return sum(float(jax.jit(build(length))(length)) != 0.0 for length in LENGTHS)


def programs() -> tuple[int, int]:
    """How often a jitted step is compiled for eight peaks, with optax and here."""
    counts = [0, 0]
    peaks = np.geomspace(1e-4, 1e-1, SETTINGS)

    for peak in peaks:
        schedule = optax.warmup_cosine_decay_schedule(0.0, peak, 10, 100)

        @jax.jit
        def with_optax(step, schedule=schedule):
            counts[0] += 1
            return schedule(step)

        with_optax(5)

    @jax.jit
    def with_ours(schedule, step):
        counts[1] += 1
        return schedule(step)

    for peak in peaks:
        with_ours(o.warmup_cosine_decay(peak, 10, 100), 5)
    return counts[0], counts[1]


def of(results: Iterator[bool]) -> str:
    found = list(results)
    return f"{sum(found)} of {len(found)}"


def main() -> None:
    warnings.simplefilter("ignore", RuntimeWarning)  # optax overflows where a step is unsigned
    compiled = programs()
    lines = [
        (
            "hyperparameters that may be traced (`jit`, `vmap`, `grad`)",
            of(traced(THEIRS)),
            of(traced(OURS)),
        ),
        (f"compilations of a step for {SETTINGS} peak rates", *map(str, compiled)),
        (
            "decays, of 50, that do not reach their end value under `jit`",
            str(ends_missed(lambda T: optax.polynomial_schedule(0.1, 0.0, 1.0, T))),
            str(ends_missed(lambda T: o.polynomial_decay(0.1, T))),
        ),
        ("NaN and negative lengths accepted", of(accepted(THEIRS)), of(accepted(OURS))),
        (
            "steps taken: unsigned, float, arrays of them",
            of(steps_taken(THEIRS)),
            of(steps_taken(OURS)),
        ),
    ]
    print(f"| | optax {optax.__version__} | here |")
    print("| --- | --- | --- |")
    for what, theirs, ours in lines:
        print(f"| {what} | {theirs} | {ours} |")


if __name__ == "__main__":
    main()
