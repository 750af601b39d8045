"""Whole numbers: `rounded` schedules inside optax, and how many updates a training makes."""

import math
import pickle
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.amount import EVERYTHING

import optax_sched as os
from optax_sched import count_examples, count_updates, examples_seen, rounded

# ---- rounded ----


def test_it_is_the_nearest_whole_number_at_every_step():
    steps = np.arange(-2, 3002)
    got = rounded(os.linear(0, 3000, 3000))(steps)
    assert got.dtype == jnp.int32
    np.testing.assert_array_equal(got, np.clip(steps, 0, 3000))  # `int` is one too low at 300 of them
    np.testing.assert_array_equal(jax.jit(rounded(os.linear(0, 3000, 3000)))(steps), got)


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (0.5, 0),
        (1.5, 2),
        (2.4, 2),
        (-1.6, -2),
        (2**31 - 1, 2**31 - 1),
        (3e9, 2**31 - 1),
        (-3e9, -(2**31)),
    ],
)
def test_halves_negatives_and_numbers_too_large(value, whole):
    assert int(rounded(value)(0)) == whole
    assert int(jax.jit(lambda s: s(0))(rounded(value))) == whole


def test_it_is_a_pytree_that_pickles_and_is_mapped():
    every_k = rounded(os.linear(1, 8, 100))
    assert jax.tree.leaves(every_k) == [1.0, 8.0, 100]
    assert int(pickle.loads(pickle.dumps(every_k))(50)) == 4
    batch = os.stack([os.constant(2.6), os.constant(7.2)])
    np.testing.assert_array_equal(jax.vmap(lambda s: rounded(s)(0))(batch), [3, 7])
    assert int(rounded(lambda step: step / 2)(5)) == 2


@pytest.mark.promotes
def test_multi_steps_accumulates_as_it_says():
    every_k = os.piecewise_constant([1.0, 2.0, 3.0], [2, 4])
    optimizer = optax.MultiSteps(optax.sgd(1.0), every_k_schedule=rounded(every_k))
    params = jnp.zeros(())
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    counts = []
    for _ in range(12):
        _, state = update(jnp.ones(()), state, params)
        counts.append(int(state.gradient_step))
    # One batch each for updates 0 and 1, two for 2 and 3, three from 4 on.
    assert counts == [1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6]


@pytest.mark.parametrize("bad", [None, "linear", float("nan"), os.k_shape(2.0), os.linear])
def test_what_is_no_schedule_is_refused(bad):
    with pytest.raises((TypeError, ValueError), match=r"^rounded: schedule must be a schedule, "):
        rounded(bad)


# ---- count_updates ----


def counted(n, b, epochs, processes, accumulate, drop_last) -> int:
    """A training in plain Python that counts as it goes."""
    per_pass = len([i for i in range(0, n, b * processes) if i + b * processes <= n or not drop_last])
    batches = sum(1 for _ in range(int(Fraction(str(epochs)) * per_pass)))
    return batches // accumulate


def test_it_is_what_a_training_counts():
    rng = np.random.default_rng(0)
    for _ in range(300):
        n, b = int(rng.integers(1, 3000)), int(rng.integers(1, 100))
        epochs = (int(rng.integers(1, 9)), round(float(rng.uniform(0.01, 9)), 2))[int(rng.integers(2))]
        processes, accumulate = int(rng.integers(1, 9)), int(rng.integers(1, 9))
        keep = bool(rng.integers(2))
        got = count_updates(
            n, b, epochs, processes=processes, accumulate=accumulate, drop_last=not keep
        )
        assert type(got) is int
        assert got == counted(n, b, epochs, processes, accumulate, not keep)


@pytest.mark.parametrize("hundredths", range(1, 100))
def test_epochs_are_read_as_decimals(hundredths):
    assert count_updates(100, 1, hundredths / 100) == hundredths  # 0.29 * 100 is 28.999999999999996


def test_numbers_of_any_size_and_type():
    assert count_updates(10**15, 10**3) == 10**12
    numbers: list[Any] = [np.int64(1000), np.int32(10), np.float64(1.5)]
    assert count_updates(*numbers) == 150
    numbers = [1000.0, jnp.int32(10)]
    assert count_updates(*numbers) == 100
    assert count_updates(5, 10) == 0 and count_updates(5, 10, drop_last=False) == 1


BAD = [
    ({"num_examples": 0}, "num_examples must be a known whole number, 1 or more, got 0"),
    ({"num_examples": 2.5}, "num_examples must be a known whole number, 1 or more, got 2.5"),
    ({"batch_size": -1}, "batch_size must be a known whole number, 1 or more, got -1"),
    ({"batch_size": True}, "batch_size must be a known whole number, 1 or more, got True"),
    ({"batch_size": "8"}, "batch_size must be a known whole number, 1 or more, got '8'"),
    ({"processes": 0}, "processes must be a known whole number, 1 or more, got 0"),
    ({"accumulate": None}, "accumulate must be a known whole number, 1 or more, got None"),
    ({"epochs": 0}, "epochs must be a known positive finite number, got 0"),
    ({"epochs": math.nan}, "epochs must be a known positive finite number, got nan"),
    ({"epochs": math.inf}, "epochs must be a known positive finite number, got inf"),
    ({"drop_last": 1}, "drop_last must be one of False, True, got 1"),
]


@pytest.mark.parametrize(("bad", "line"), BAD, ids=[line[:30] for _, line in BAD])
def test_bad_numbers_are_refused_in_one_line(bad, line):
    with pytest.raises((TypeError, ValueError)) as caught:
        count_updates(**{"num_examples": 100, "batch_size": 10, **bad})
    assert str(caught.value) == f"count_updates: {line}"


def test_traced_numbers_are_refused():
    with pytest.raises(
        TypeError, match=r"^count_updates: batch_size must be a known .* a traced int32"
    ):
        jax.jit(lambda b: count_updates(100, b))(10)


# ---- batches that change ----

RAMP = os.linear(2.5, 77.5, 300)
STAIRS = os.piecewise_constant([4, 8, 1, 1000], [3, 50, 40_000])  # over a chunk of updates
RAMPS = [RAMP, STAIRS, os.constant(7), os.constant(0.2), lambda step: step % 5 - 1, STAIRS * 1.125]


def batches(schedule: Any, processes: int, num_steps: int) -> list[int]:
    """Each update's examples in plain Python, in which `round` is to even too."""
    values = np.asarray(jax.vmap(schedule)(jnp.arange(num_steps)), float).tolist()
    return [max(round(value), 1) * processes for value in values]


@pytest.mark.parametrize(
    ("ramp", "processes"),
    [
        pytest.param(ramp, processes, id=str(i), marks=pytest.mark.wide if i % 2 else ())
        for i, (ramp, processes) in enumerate([*((ramp, 1) for ramp in RAMPS), (RAMP, 3)])
    ],
)
def test_a_ramp_counts_what_a_training_counts(ramp, processes):
    sizes = batches(ramp, processes, 50_000)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for n in (0, 1, 3, 51, 2**15, 2**15 + 1):
        examples = count_examples(n, ramp, processes=processes)
        assert type(examples) is int and examples == starts[n]
        if n:
            settings = {"processes": processes, "drop_last": False}
            for drop_last in (True, False):
                settings["drop_last"] = drop_last
                assert count_updates(examples, ramp, **settings) == n
                assert count_updates(examples + 1, ramp, **settings) == n + (
                    not drop_last or sizes[n] == 1
                )
    clock = examples_seen(49_000, ramp, processes=processes)
    some = np.unique(np.r_[:100, :50_000:97, 32_700:32_800, 48_950:50_000])
    steps = np.arange(50_000) if EVERYTHING else some
    # In parts: a step is compared with each of the 49,000 boundaries, and all at once take 17 GB.
    seen = np.concatenate([clock(part) for part in np.array_split(steps, 50)]).astype(float)
    np.testing.assert_allclose(seen, np.minimum(starts[steps], starts[49_000]), rtol=5e-7)


def test_a_number_is_a_ramp_that_does_not_rise():
    assert count_examples(10**12, 10**9, processes=7) == 7 * 10**21
    assert count_examples(100, 8) == count_examples(100, os.constant(8)) == 800
    assert count_updates(805, os.constant(8), drop_last=False) == count_updates(805, 8, drop_last=False)
    assert repr(examples_seen(100, 8)).startswith("piecewise_interpolate(values=[0.0, 800.0], boun")
    assert count_updates(3, os.constant(8)) == 0


def test_one_schedule_in_examples_under_a_ramp():
    decay = os.cosine_decay(0.1, count_examples(400, RAMP))
    rate = os.retime(decay, examples_seen(400, RAMP))
    offsets = [count_examples(t, RAMP) for t in range(401)]
    np.testing.assert_allclose(rate(np.arange(401)), decay(np.array(offsets)), rtol=3e-5, atol=1e-9)
    assert float(rate(400)) == float(rate(10**6)) == 0


TEXT: Any = "8"
BAD_RAMPS = [
    (
        lambda: count_updates(9, RAMP, 2),
        "count_updates: epochs must be 1 beside a schedule of batches, got 2: give",
    ),
    (
        lambda: count_updates(9, RAMP, 0.5),
        "count_updates: epochs must be 1 beside a schedule of batches, got 0.5: give",
    ),
    (
        lambda: count_updates(9, RAMP, 1.5),
        "count_updates: epochs must be 1 beside a schedule of batches, got 1.5: give",
    ),
    (
        lambda: count_updates(9, RAMP, accumulate=2),
        "count_updates: accumulate must be 1 beside",
    ),
    (
        lambda: count_updates(9, lambda t: t / 0.0),
        "count_updates: batch_size must be at most 214748",
    ),
    (
        lambda: count_examples(9, os.constant(1e10)),
        "count_examples: batch_size must be at most 214748",
    ),
    (
        lambda: count_examples(-1, 8),
        "count_examples: num_steps must be a known whole",
    ),
    (
        lambda: count_examples(9, 0),
        "count_examples: batch_size must be a known whole",
    ),
    (lambda: count_examples(9, 8, processes=0), "count_examples: processes must be a known whole numb"),
    (lambda: examples_seen(0, 8), "examples_seen: num_steps must be a known whole number, 1 or more"),
    (lambda: examples_seen(9, TEXT), "examples_seen: batch_size must be a schedule, a function of the"),
    (
        lambda: examples_seen(9, os.linear),
        "examples_seen: batch_size must be a schedule, .* builder",
    ),
    (lambda: count_examples(9, os.stack([RAMP, RAMP])), "linear: init_value has a leading axis.*vmap"),
    (
        lambda: jax.jit(lambda b: examples_seen(9, os.constant(b)))(8.0),
        "examples_seen: batch_size must be a schedule of known numbers, got constant",
    ),
]


@pytest.mark.parametrize(("call", "line"), BAD_RAMPS, ids=[line[:40] for _, line in BAD_RAMPS])
def test_bad_ramps_are_refused_in_one_line(call, line):
    with pytest.raises((TypeError, ValueError), match="^" + line) as caught:
        call()
    assert "\n" not in str(caught.value)
