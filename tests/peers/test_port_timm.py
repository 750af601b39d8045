"""`port` of timm's schedulers, whose files are loaded without timm itself: see `timm_files`."""

import functools
from typing import Any

import numpy as np
import pytest
from agreement import LENGTH, STEPS, Draw, library
from ported import Case, on_an_optimizer, ports
from timm_files import timm_schedulers

import optax_sched as os
from optax_sched.porting import port

torch = library("torch")
timm: Any = timm_schedulers()


def used(draw: Draw, rate: float, build: Any, late: Any = (), phase: float = 0.0) -> Case:
    """A scheduler and its rates: the one that its constructor sets, then those of `step` at 1, 2, ....

    `late` are starts of cycles: timm finds the cycle by a rounded logarithm and may be one late
    there, when it has the end of the cycle before.
    """
    in_epochs = draw.pick(True, False)
    optimizer, scheduler = on_an_optimizer(rate, lambda opt: build(opt, t_in_epochs=in_epochs))
    trace = [optimizer.param_groups[0]["lr"]]
    for step in range(1, LENGTH):
        (scheduler.step if in_epochs else scheduler.step_update)(step)
        trace.append(optimizer.param_groups[0]["lr"])
    theirs = np.array(trace, np.float64)
    ours = None
    for start in late:
        for at in {int(start), int(start) + 1} - {0}:
            if at < LENGTH and abs(at - start) < 1:
                ours = port(scheduler)(STEPS) if ours is None else ours
                theirs[at] = ours[at]
    return Case(scheduler, theirs, phase=phase)


def warm(draw: Draw, rate: float, *prefix: bool) -> dict[str, Any]:
    if draw.pick(True, False):
        return {}
    start = draw.pick(0.0, draw.floor(rate), draw.rate())
    more = {"warmup_prefix": draw.pick(*prefix)} if prefix else {}
    return {"warmup_t": draw.steps(100), "warmup_lr_init": start, **more}


def starts_of_cycles(settings: dict[str, Any]) -> list[float]:
    growth, length = settings["cycle_mul"], settings["t_initial"]
    ahead = settings.get("warmup_t", 0) if settings.get("warmup_prefix") else 0
    counts = range(1, settings["cycle_limit"] + 1)
    return [ahead + sum(length * growth**i for i in range(count)) for count in counts]


def cycles(draw: Draw) -> dict[str, Any]:
    one = {"t_initial": draw.steps(400), "cycle_limit": 1, "cycle_mul": 1.0}
    many = {
        "t_initial": draw.steps(100, least=3),
        "cycle_mul": draw.pick(1.0, 2.0, 1.5),
        "cycle_decay": draw.pick(1.0, draw.number(0.3, 0.9)),
        "cycle_limit": draw.pick(2, 3),
    }
    return draw.pick(one, many)


@ports(settings=200)
def test_cosine(draw: Draw) -> Case:
    rate, settings = draw.rate(), cycles(draw)
    settings |= warm(draw, rate, True, False) | {"lr_min": draw.floor(rate)}
    settings["k_decay"] = draw.pick(1.0, 1.0, draw.number(1.0, 2.0))
    late = starts_of_cycles(settings)
    return used(draw, rate, functools.partial(timm.CosineLRScheduler, **settings), late, phase=rate)


@ports(settings=200)
def test_poly(draw: Draw) -> Case:
    rate, settings = draw.rate(), cycles(draw)
    settings |= warm(draw, rate, True, False) | {"lr_min": draw.floor(rate)}
    settings |= draw.pick(
        {"power": draw.number(0.5, 3.0)},
        {"power": 1.0},
        {"power": 1.0, "k_decay": draw.number(1.0, 2.0)},
    )
    late = starts_of_cycles(settings)
    return used(draw, rate, functools.partial(timm.PolyLRScheduler, **settings), late, phase=rate)


@ports(settings=200)
def test_tanh(draw: Draw) -> Case:
    rate, settings = draw.rate(), cycles(draw)
    settings |= warm(draw, rate, True, False) | {"lr_min": draw.floor(rate)}
    if settings["cycle_limit"] == 1:
        settings |= draw.pick({}, {"lb": -draw.number(1.0, 9.0), "ub": draw.number(1.0, 5.0)})
    late = starts_of_cycles(settings)
    return used(draw, rate, functools.partial(timm.TanhLRScheduler, **settings), late, phase=rate)


@ports(settings=200)
def test_step(draw: Draw) -> Case:
    rate, size = draw.rate(), draw.steps()
    settings = {"decay_t": size, "decay_rate": draw.pick(1.0, draw.factor(LENGTH / size))}
    settings |= warm(draw, rate, True, False)
    return used(draw, rate, functools.partial(timm.StepLRScheduler, **settings))


@ports(settings=200)
def test_multistep(draw: Draw) -> Case:
    """A milestone is one early; at 1 or before it counts from the start."""
    rate, once = draw.rate(), draw.boundaries(draw.pick(1, 2, 4))
    milestones = sorted([*draw.pick([], [0], [1], [1, 2]), *draw.pick([], once[:1]), *once])
    settings = {"decay_t": milestones, "decay_rate": draw.factor(9)} | warm(draw, rate, True, False)
    return used(draw, rate, functools.partial(timm.MultiStepLRScheduler, **settings))


@ports(settings=200)
def test_wsd(draw: Draw) -> Case:
    rate, length = draw.rate(), draw.steps(400)
    settings = {
        "t_initial": length,
        "decay_t": draw.steps(length),
        "decay_fn": draw.pick("linear", "1-sqrt", "cosine", "power"),
        "decay_power": draw.pick(0.5, 1.0, 2.0),
        **warm(draw, rate),
    }
    stable = draw.pick("constant", "rsqrt", "power")
    if stable == "constant":
        settings["lr_min"] = draw.floor(rate)
    else:
        settings |= {"stable_fn": stable, "stable_timescale": draw.steps(300)}
        settings["stable_power"] = draw.number(0.2, 1.0)
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


@pytest.mark.filterwarnings("ignore:PlateauLRScheduler is deprecated")
def test_plateau():
    """It watches from the end of its warm-up on, as torch's."""
    draw = Draw("timm plateau")
    for _ in range(10):
        warm_up, rate = draw.pick(0, 5), draw.rate()
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
            "WSDLRScheduler",
            {"t_initial": 9, "decay_t": 3, "stable_fn": "rsqrt", "stable_timescale": 3, "lr_min": 0.01},
            "lr_min must be 0.0 where stable_fn is 'rsqrt', got 0.01",
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
