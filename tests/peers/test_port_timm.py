"""`port` of timm's schedulers, whose files are loaded without timm itself: see `timm_files`."""

import functools
import inspect
from typing import Any

import numpy as np
import pytest
from agreement import LENGTH, Draw, library
from ported import Case, on_an_optimizer, ports
from timm_files import timm_schedulers

import optax_sched as os
from optax_sched.porting import port

torch = library("torch")
timm: Any = timm_schedulers()


def used(draw: Draw, rate: float, build: Any, late: Any = (), phase: float = 0.0) -> Case:
    """A scheduler and its rates: the one that its constructor sets, then those of `step` from 1 on."""
    in_epochs = draw.pick(True, False)
    optimizer, scheduler = on_an_optimizer(rate, lambda opt: build(opt, t_in_epochs=in_epochs))
    trace = [optimizer.param_groups[0]["lr"]]
    for step in range(1, LENGTH):
        (scheduler.step if in_epochs else scheduler.step_update)(step)
        trace.append(optimizer.param_groups[0]["lr"])
    return Case(scheduler, np.array(trace, np.float64), phase=phase, late=late)


def warm(draw: Draw, rate: float, kind: str) -> dict[str, Any]:
    if kind == "none":
        return {}
    start = draw.pick(0.0, draw.floor(rate), draw.rate())
    prefix = {} if kind == "always" else {"warmup_prefix": kind == "prefix"}
    return {"warmup_t": draw.steps(100), "warmup_lr_init": start, **prefix}


# Warm-up, growth of cycles, and whether they fall to a floor: each row is a program to compile.
ROWS = [
    ("none", None, True),
    ("prefix", None, True),
    ("running", None, True),
    ("prefix", 2.0, True),
    ("running", 1.5, False),
]


def cycles(draw: Draw, rate: float) -> dict[str, Any]:
    kind, growth, floor = draw.pick(*ROWS)
    settings = {**warm(draw, rate, kind), "t_initial": draw.steps(400)}
    settings["lr_min"] = draw.number(1e-3, 0.9) * rate if floor else 0.0
    if growth:
        settings |= {"t_initial": draw.steps(100, least=3), "cycle_mul": growth, "cycle_limit": 3}
        settings["cycle_decay"] = draw.number(0.3, 0.9)
    return settings


def starts_of_cycles(settings: dict[str, Any]) -> list[float]:
    growth, length = settings.get("cycle_mul", 1.0), settings["t_initial"]
    ahead = settings.get("warmup_t", 0) if settings.get("warmup_prefix") else 0
    counts = range(1, settings.get("cycle_limit", 1) + 1)
    return [ahead + sum(length * growth**i for i in range(count)) for count in counts]


def cycled(draw: Draw, rate: float, kind: Any, settings: dict[str, Any]) -> Case:
    late = starts_of_cycles(settings)
    return used(draw, rate, functools.partial(kind, **settings), late, phase=rate)


@ports(settings=200)
def test_cosine(draw: Draw) -> Case:
    rate = draw.rate()
    return cycled(draw, rate, timm.CosineLRScheduler, cycles(draw, rate))


@ports(settings=200)
def test_poly(draw: Draw) -> Case:
    rate = draw.rate()
    settings = cycles(draw, rate) | {"power": draw.number(0.5, 3.0)}
    return cycled(draw, rate, timm.PolyLRScheduler, settings)


@ports(settings=200)
def test_k_decay(draw: Draw) -> Case:
    """Of the cosine, and of polynomials."""
    rate, kind = draw.rate(), draw.pick(timm.CosineLRScheduler, timm.PolyLRScheduler)
    settings = {"t_initial": draw.steps(400), "k_decay": draw.number(0.5, 2.0)}
    settings |= warm(draw, rate, draw.pick("none", "prefix"))
    if kind is timm.PolyLRScheduler:
        settings["power"] = draw.pick(1.0, draw.number(0.5, 3.0))
    return cycled(draw, rate, kind, settings)


@ports(settings=200)
def test_tanh(draw: Draw) -> Case:
    rate = draw.rate()
    settings = cycles(draw, rate)
    if "cycle_limit" not in settings:
        settings |= draw.pick({}, {"lb": -draw.number(1.0, 9.0), "ub": draw.number(1.0, 5.0)})
    return cycled(draw, rate, timm.TanhLRScheduler, settings)


@ports(settings=200)
def test_step(draw: Draw) -> Case:
    rate, size = draw.rate(), draw.steps()
    settings = {"decay_t": size, "decay_rate": draw.pick(1.0, draw.factor(LENGTH / size))}
    settings |= warm(draw, rate, draw.pick("none", "prefix", "running"))
    return used(draw, rate, functools.partial(timm.StepLRScheduler, **settings))


@ports(settings=200)
def test_multistep(draw: Draw) -> Case:
    """A milestone is one early; at 1 or before it counts from the start."""
    rate, once = draw.rate(), draw.boundaries(2)
    milestones = sorted([*draw.pick([], [0], [1]), *draw.pick([], once[:1]), *once])
    settings = {"decay_t": milestones, "decay_rate": draw.factor(9)}
    settings |= warm(draw, rate, draw.pick("none", "prefix", "running"))
    return used(draw, rate, functools.partial(timm.MultiStepLRScheduler, **settings))


@ports(settings=200)
def test_wsd(draw: Draw) -> Case:
    rate, length = draw.rate(), draw.steps(400)
    stable, fall = draw.pick(
        ("constant", "cosine"), ("constant", "power"), ("rsqrt", "linear"), ("power", "1-sqrt")
    )
    settings = {
        "t_initial": length,
        "decay_t": draw.steps(length),
        "stable_fn": stable,
        "decay_fn": fall,
        "decay_power": draw.pick(0.5, draw.number(0.3, 3.0)),
        **warm(draw, rate, draw.pick("none", "always")),
    }
    settings["lr_min"] = draw.floor(rate)
    if stable != "constant":
        settings |= {"stable_timescale": draw.steps(300), "stable_power": draw.number(0.2, 1.0)}
    return used(draw, rate, functools.partial(timm.WSDLRScheduler, **settings))


def test_lr_scale_multiplies_all_heights():
    _, scheduler = on_an_optimizer(
        0.1, lambda opt: timm.CosineLRScheduler(opt, 90, 0.01, warmup_t=10, warmup_prefix=True)
    )
    plain = port(scheduler)
    parameters = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], "lr_scale": scale} for scale in (1.0, 0.5)
    ]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    both = port(timm.CosineLRScheduler(optimizer, 90, 0.01, warmup_t=10, warmup_prefix=True))
    assert list(map(repr, both)) == [
        repr(plain),
        repr(os.warmup(os.cosine_decay(0.05, 90, 0.005), 10)),
    ]


WATCHES_LATE = "start" in inspect.signature(os.plateau).parameters


@pytest.mark.filterwarnings("ignore:PlateauLRScheduler is deprecated")
def test_plateau():
    """It watches from the end of its warm-up on, as torch's."""
    draw = Draw("timm plateau")
    for _ in range(10):
        warm_up, rate = draw.pick(0, 5) if WATCHES_LATE else 0, draw.rate()
        build = functools.partial(
            timm.PlateauLRScheduler,
            decay_rate=draw.number(0.1, 0.9),
            patience_t=int(draw.rng.integers(0, 4)),
            mode=draw.pick("min", "max"),
            cooldown_t=int(draw.rng.integers(0, 3)),
            warmup_t=warm_up,
            lr_min=draw.pick(0.0, 1e-3),
        )
        optimizer, scheduler = on_an_optimizer(rate, build)
        loop = port(scheduler)
        state = loop.init()
        for epoch in range(1, 50):
            metric = np.float32(draw.rng.integers(50, 150) / 64)
            scheduler.step(epoch, metric)
            state = loop.update(state, value=metric)
            assert float(loop(state)) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        (
            "CosineLRScheduler",
            {"t_initial": 9, "noise_range_t": 3},
            "noise_range_t must be None, got 3: n",
        ),
        (
            "WSDLRScheduler",
            {"t_initial": 9, "decay_t": 3, "decay_fn": "exp"},
            "decay_fn must be 'linear'",
        ),
        (
            "WSDLRScheduler",
            {"t_initial": 9, "decay_t": 3, "decay_fn": abs},
            "decay_fn must be 'linear', '",
        ),
        (
            "MultiStepLRScheduler",
            {"decay_t": [9, 3], "decay_rate": 0.1},
            "decay_t must be in order, got",
        ),
        (
            "CosineLRScheduler",
            {"t_initial": 9, "cycle_limit": 0},
            "cycle_limit must be a whole number, 1",
        ),
    ],
)
def test_what_has_no_equal_is_refused_by_name(name, settings, says):
    _, scheduler = on_an_optimizer(0.1, lambda opt: getattr(timm, name)(opt, **settings))
    with pytest.raises(ValueError, match=r"^port: ") as refused:
        port(scheduler)
    assert str(refused.value).startswith(f"port: {name}.{says}") and "\n" not in str(refused.value)
