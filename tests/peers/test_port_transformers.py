"""`port` of what transformers' functions return: all eleven, and GreedyLR, which is refused."""

import functools
from typing import Any

import pytest
from agreement import Draw, library
from ported import Case, on_an_optimizer, ports, stepped_object

import optax_sched as os
from optax_sched.porting import port

torch = library("torch")
optimization: Any = library("transformers.optimization")
lr: Any = torch.optim.lr_scheduler


def phases(draw: Draw) -> tuple[int, int]:
    """The length of a warm-up, maybe 0, and of the whole."""
    warm = draw.steps_or_zero(200)
    return warm, warm + draw.steps(300)


def cycles(draw: Draw) -> float:
    return draw.pick(0.5, 0.5, 1.0, 1.5, 0.0, draw.number(0.1, 5.0))


@ports(settings=200)
def test_constants(draw: Draw) -> Case:
    build = optimization.get_constant_schedule
    if draw.pick(True, False):
        warm = draw.steps_or_zero(200)
        build = functools.partial(optimization.get_constant_schedule_with_warmup, num_warmup_steps=warm)
    return stepped_object(draw, draw.rate(), build)


@ports(settings=200)
def test_linear(draw: Draw) -> Case:
    """A training that is no longer than its warm-up ends at 0 at once."""
    warm, total = draw.pick(phases(draw), phases(draw), (20, 20), (20, 7), (0, 0))
    build = optimization.get_linear_schedule_with_warmup
    return stepped_object(draw, draw.rate(), lambda opt: build(opt, warm, total))


@ports(settings=200)
def test_cosine(draw: Draw) -> Case:
    rate, (warm, total), number = draw.rate(), phases(draw), cycles(draw)
    build = optimization.get_cosine_schedule_with_warmup
    return stepped_object(draw, rate, lambda opt: build(opt, warm, total, number), total, phase=rate)


@ports(settings=200)
def test_cosine_with_hard_restarts(draw: Draw) -> Case:
    """Cycles of whole steps; for others transformers' own rounding decides where one ends."""
    rate, (warm, total), number = draw.rate(), phases(draw), draw.pick(1, 2, 4, 8, 0.5)
    total = warm + (total - warm) * number if number >= 1 else total
    build = optimization.get_cosine_with_hard_restarts_schedule_with_warmup
    return stepped_object(draw, rate, lambda opt: build(opt, warm, total, number), phase=rate)


@ports(settings=200)
def test_polynomial(draw: Draw) -> Case:
    rate, (warm, total) = draw.rate(), phases(draw)
    end, power = draw.floor(rate), draw.pick(1.0, draw.number(0.3, 4.0))
    build = optimization.get_polynomial_decay_schedule_with_warmup
    return stepped_object(draw, rate, lambda opt: build(opt, warm, total, end, power))


@ports(settings=200)
def test_inverse_sqrt(draw: Draw) -> Case:
    (warm, _), scale = phases(draw), draw.pick(None, draw.steps(10_000))
    build = optimization.get_inverse_sqrt_schedule
    return stepped_object(draw, draw.rate(), lambda opt: build(opt, warm, scale))


@ports(settings=200)
def test_cosine_with_min_lr(draw: Draw) -> Case:
    rate, (warm, total), number = draw.rate(), phases(draw), cycles(draw)
    fraction = draw.number(1e-3, 0.9)
    given = draw.pick({"min_lr": fraction * rate}, {"min_lr_rate": fraction})
    build = optimization.get_cosine_with_min_lr_schedule_with_warmup
    return stepped_object(
        draw, rate, lambda opt: build(opt, warm, total, number, **given), total, phase=rate
    )


@ports(settings=200)
def test_cosine_warmup_with_min_lr(draw: Draw) -> Case:
    rate, (warm, total), number = draw.rate(), phases(draw), draw.pick(0.5, 0.5, 1.0, 2.2)
    given = {"min_lr_rate": draw.number(1e-3, 0.9)}
    given |= draw.pick({}, {"warmup_lr_rate": draw.number(1e-3, 0.9)})
    build = optimization.get_cosine_with_min_lr_schedule_with_warmup_lr_rate
    return stepped_object(
        draw, rate, lambda opt: build(opt, warm, total, number, **given), total - 1, phase=rate
    )


# Of rise and fall, and half of how many waves a cosine falls in: each pair is a program to compile.
PHASES = [
    ("linear", "1-sqrt", 0.5),
    ("cosine", "cosine", 0.7),
    ("1-sqrt", "linear", 0.5),
]


@ports(settings=200)
def test_wsd(draw: Draw) -> Case:
    rate, fraction = draw.rate(), draw.pick(0.0, draw.number(1e-3, 0.9))
    warm, stable = draw.steps_or_zero(150), draw.steps_or_zero(150)
    decay = draw.steps_or_zero(200) if fraction else draw.steps(200)
    shapes: dict[str, Any] = dict(
        zip(("warmup_type", "decay_type", "num_cycles"), draw.pick(*PHASES), strict=True)
    )
    shapes["min_lr_ratio"] = fraction
    build = optimization.get_wsd_schedule
    return stepped_object(
        draw, rate, lambda opt: build(opt, warm, decay, num_stable_steps=stable, **shapes), phase=rate
    )


@ports(settings=100)
def test_within_torchs_sequence(draw: Draw) -> Case:
    """A cosine that is used beyond its end rises again, in ours too."""
    rate, (warm, total) = draw.rate(), phases(draw)
    milestone = draw.steps(450, least=2)
    build = draw.pick(
        lambda opt: optimization.get_cosine_schedule_with_warmup(opt, warm, total),
        lambda opt: optimization.get_linear_schedule_with_warmup(opt, warm, total),
    )

    def sequence(opt):
        return lr.SequentialLR(opt, [build(opt), lr.LinearLR(opt, 0.5, 1.0, 30)], [milestone])

    return stepped_object(draw, rate, sequence, phase=rate)


@pytest.mark.parametrize(
    ("name", "arguments", "source"),
    [
        ("get_constant_schedule_with_warmup", (10,), "warmup(0.1, 10)"),
        ("get_linear_schedule_with_warmup", (10, 100), "warmup_linear_decay(0.1, 10, 100)"),
        ("get_cosine_schedule_with_warmup", (10, 100), "warmup_cosine_decay(0.1, 10, 100)"),
        ("get_cosine_schedule_with_warmup", (0, 100), "cosine_decay(0.1, 100)"),
        ("get_cosine_schedule_with_warmup", (0, 100, 1.5), "cosine_waves(0.1, 100, 3)"),
        ("get_inverse_sqrt_schedule", (10,), "warmup_inverse_sqrt_decay(0.1, 10)"),
        (
            "get_polynomial_decay_schedule_with_warmup",
            (10, 100),
            "warmup_linear_decay(0.1, 10, 100, 0.0, 1e-7)",
        ),
        ("get_wsd_schedule", (10, 20, 100), "wsd(0.1, 10, 20, 100, shape='cosine')"),
        (
            "get_cosine_with_hard_restarts_schedule_with_warmup",
            (10, 100, 3),
            "warmup(cosine_restarts(0.1, 30, num_cycles=3), 10)",
        ),
    ],
)
def test_the_source_is_as_one_would_write_it(name, arguments, source):
    _, scheduler = on_an_optimizer(0.1, lambda opt: getattr(optimization, name)(opt, *arguments))
    assert repr(port(scheduler)) == repr(os.from_source(source))


def test_reduce_on_plateau_is_torchs():
    _, scheduler = on_an_optimizer(0.1, optimization.get_reduce_on_plateau_schedule)
    _, torchs = on_an_optimizer(0.1, lr.ReduceLROnPlateau)
    assert repr(port(scheduler)).partition(" at ")[0] == repr(port(torchs)).partition(" at ")[0]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (optimization.get_greedy_schedule, "port: GreedyLR.step must be one that greedy does exactly"),
        (
            lambda opt: optimization.get_wsd_schedule(opt, 60, 60, 100),
            "port: LambdaLR.num_stable_steps must be 0 or more, got -20",
        ),
        (
            lambda opt: optimization.get_polynomial_decay_schedule_with_warmup(opt, 60, 50),
            "port: LambdaLR.num_training_steps must be more than num_warmup_steps = 60, got 50",
        ),
    ],
)
def test_what_has_no_equal_is_refused_by_name(build, says):
    _, scheduler = on_an_optimizer(0.1, build)
    with pytest.raises(ValueError, match=r"^port: ") as refused:
        port(scheduler)
    assert str(refused.value).startswith(says) and "\n" not in str(refused.value)
