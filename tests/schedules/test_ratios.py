"""A ratio that was taken for a length is told from a clock in parts of the run."""

from typing import Any

import jax
import numpy as np
import pytest
from support.amount import one_in

import optax_sched
from optax_sched.typing import Operand, Steps

os: Any = optax_sched  # many of these calls are such as a type checker refuses too

COSINE = os.cosine_decay(1e-3, 900)
REFUSED = [
    (
        lambda: os.warmup(COSINE, 0.1),
        "warmup: warmup_steps must be in steps as schedule.decay_steps = 900 is, got 0.1: write 0.1 * "
        "total_steps, or floats throughout (900.0) for a clock in epochs or parts of the run, which "
        "stretch puts on steps",
    ),
    (
        lambda: os.warmup(os.cosine_decay(1e-3, 0.9), 100),
        "warmup: schedule.decay_steps must be in steps as warmup_steps = 100 is, got 0.9: ",
    ),
    (
        lambda: os.multiply(os.linear(1, 0, 5), os.linear(1, 0, 0.1), os.warmup(COSINE, 9)),
        "multiply: schedules[1].transition_steps must be in steps as schedules[2].schedule.decay_steps "
        "= 900 is, got 0.1: ",
    ),
    (
        lambda: os.multiply(COSINE, os.join([0.0, 1.0], [0.1])),
        "multiply: schedules[1].boundaries must be in steps as schedules[0].decay_steps = 900 is, got",
    ),
    (
        lambda: os.stretch(os.warmup(COSINE, 0.1), 2),
        "warmup: warmup_steps must be in steps as schedule.decay_steps = 900 is, got 0.1: ",
    ),
    (
        lambda: os.delay(os.linear(1.0, 0.0, np.float32(0.3)), np.int64(7)),
        "delay: schedule.transition_steps must be in steps as steps = 7 is, got 0.3: ",
    ),
    (
        lambda: os.warmup_cosine_decay(1e-3, 100, 1000).replace(warmup_steps=0.1),
        "warmup_cosine_decay: warmup_steps must be in steps as total_steps = 1000 is, got 0.1: ",
    ),
    (
        lambda: os.grid(os.warmup_cosine_decay, peak_value=[1], warmup_steps=[0.1], total_steps=[9]),
        "warmup_cosine_decay: warmup_steps must be in steps as total_steps = 9 is, got 0.1: ",
    ),
    (
        lambda: os.from_config(
            {
                "builder": "delay",
                "schedule": {
                    "builder": "warmup",
                    "warmup_steps": 3,
                    "schedule": {
                        "builder": "linear",
                        "init_value": 1,
                        "end_value": 0,
                        "transition_steps": 0.9,
                    },
                },
                "steps": 3,
            }
        ),
        "from_config: schedule.schedule.transition_steps must be in steps as warmup_steps = 3 is",
    ),
    (
        lambda: os.from_source("warmup(cosine_decay(1e-3, 900), 0.1)"),
        "from_source: warmup_steps must be in steps as schedule.decay_steps",
    ),
    (
        lambda: os.from_source("warmup(cosine_decay(1e-3, 0.9), 100)"),
        "from_source: schedule.decay_steps must be in steps as warmup_steps",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words[:40] for _, words in REFUSED])
def test_a_ratio_beside_steps_is_refused_with_the_remedy(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)


CLOCKS = [
    lambda: os.warmup_cosine_decay(1e-3, 0.1, 1.0),
    lambda: os.wsd(1e-3, 0.1, 0.2, 1.0),
    lambda: os.stretch(os.warmup_cosine_decay(1e-3, 0.1, 1.0), 1000),
    lambda: os.every(os.warmup(os.cosine_decay(1e-3, 29.5), 0.5), 100),
    lambda: os.warmup(os.stretch(os.wsd(1e-3, 0.1, 0.2, 1.0), 900), 100),
    lambda: os.join([os.every(os.linear(0.0, 1.0, 0.5), 10), COSINE], [100]),
    lambda: os.linear(1.0, 0.0, 0.1),
    lambda: os.wsd(1e-3, 0, 0.5, 1),  # an integer of 1 is no count of steps
    lambda: os.wsd(1e-3, 1.5, 2, 10),  # not below 1
    lambda: os.wsd_cycles(1e-3, 10, [100], 0.1),  # a fraction is no length
    lambda: os.multiply(COSINE, lambda step: 0.1),
    lambda: os.power_law_decay(1.0, 2.0, -0.5, 0.25),
]


@pytest.mark.parametrize("call", one_in(2, CLOCKS))
def test_honest_clocks_stay(call):
    schedule = call()
    assert np.all(np.isfinite(schedule(np.arange(3))))
    assert repr(schedule.replace()) == repr(schedule)


def test_what_is_traced_is_not_compared():
    value = jax.jit(lambda part: os.warmup_cosine_decay(1e-3, part, 1000)(500))(0.1)
    assert np.isfinite(value)


UNCALLED = [
    (lambda: os.to_config(os.constant), "to_config: schedule must be a Schedule", "constant"),
    (lambda: os.sweep(lambda s: s(1), os.constant), "sweep: batch must be a batch", "constant"),
    (lambda: os.unstack(os.constant), "unstack: batch must be a batch", "constant"),
    (lambda: os.stack(os.constant), "stack: schedules must be a sequence", "constant"),
    (lambda: os.live(os.constant), "live: schedule must be a schedule", "constant"),
    (lambda: os.warmup(0.1, 5).replace(schedule=os.linear), "warmup: schedule must be", "linear"),
    (lambda: os.warmup(os.constant, 10), "warmup: schedule must be a schedule", "constant"),
    (lambda: os.join([os.linear, 1.0], [3]), "join: schedules must be a sequence of", "linear"),
    (lambda: os.stack([os.linear]), r"stack: schedules\[0\] must be a schedule", "linear"),
    (lambda: os.warmup(1.0, 10, shape=os.k_shape), "warmup: shape must be one of", "k_shape"),
    (lambda: os.schedule(lambda step, a: a, name="own")(os.constant), "own: a must be", "constant"),
]


@pytest.mark.parametrize(("call", "words", "name"), UNCALLED, ids=[row[1][:20] for row in UNCALLED])
def test_a_builder_that_was_not_called_is_refused(call, words, name):
    with pytest.raises(
        (TypeError, ValueError), match=rf"^{words}.*: it is a builder: call it, as in {name}\(\.\.\.\)$"
    ):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: os.wsd(1.0, 2, 4, 8).replace(peak=2.0), "did you mean peak_value?"),
        (lambda: os.grid(os.wsd, peak=[1, 2]), "did you mean peak_value?"),
        (lambda: os.wsd(warmup=3), "did you mean warmup_steps?"),
        (lambda: os.wsd([1.0, 2.0], 2, 4, 8), "[1.0, 2.0]: for several values, grid or stack makes"),
        (lambda: os.wsd(np.ones(3), 2, 4, 8), "for several values, grid or stack makes a batch"),
        (lambda: os.schedule(lambda step, a: a, name="own")(os.plateau(0.1)), "closed loops go around"),
    ],
)
def test_an_error_leads_to_the_word_that_was_meant(call, words):
    with pytest.raises(TypeError) as caught:
        call()
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_number_is_no_height():
    def held(step, value: Operand, period: Steps):
        return value(step) + 0 * period

    line = os.linear(5.0, 0.0, 3.0)
    assert float(os.schedule(held)(line, 0.005)(0)) == 5.0
