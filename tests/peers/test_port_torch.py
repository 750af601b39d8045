"""`port` of torch's schedulers: every class at hundreds of random settings, fresh and stepped ones."""

import functools
import math
from typing import Any

import numpy as np
import pytest
from agreement import LENGTH, Draw, library
from ported import Case, on_an_optimizer, ports, stepped_object

import optax_sched as os
from optax_sched.porting import port

torch = library("torch")
lr: Any = torch.optim.lr_scheduler


@ports(settings=200)
def test_step_lr(draw: Draw) -> Case:
    size = draw.steps()
    gamma = draw.factor(LENGTH / size)
    return stepped_object(draw, draw.rate(), lambda opt: lr.StepLR(opt, size, gamma))


@ports(settings=200)
def test_multi_step_lr(draw: Draw) -> Case:
    """Milestones may come twice, and at 0."""
    gamma, once = draw.factor(9), draw.boundaries(draw.pick(1, 2, 5))
    milestones = [*draw.pick([], [0], [0, 0]), *draw.pick([], once[:2]), *once]
    return stepped_object(draw, draw.rate(), lambda opt: lr.MultiStepLR(opt, milestones, gamma))


@ports(settings=200)
def test_constant_lr(draw: Draw) -> Case:
    factor, steps = draw.number(0.01, 1.0), draw.steps_or_zero()
    return stepped_object(draw, draw.rate(), lambda opt: lr.ConstantLR(opt, factor, steps))


@ports(settings=200)
def test_linear_lr(draw: Draw) -> Case:
    start, end, steps = draw.number(0.01, 1.0), draw.floor(1.0), draw.steps_or_zero()
    return stepped_object(draw, draw.rate(), lambda opt: lr.LinearLR(opt, start, end, steps))


@ports(settings=200)
def test_exponential_lr(draw: Draw) -> Case:
    gamma = draw.factor(LENGTH)
    return stepped_object(draw, draw.rate(), lambda opt: lr.ExponentialLR(opt, gamma))


@ports(settings=200)
def test_polynomial_lr(draw: Draw) -> Case:
    steps, power = draw.steps_or_zero(), draw.pick(1.0, draw.number(0.3, 4.0))
    return stepped_object(draw, draw.rate(), lambda opt: lr.PolynomialLR(opt, steps, power))


@ports(settings=200)
def test_cosine_annealing_lr(draw: Draw) -> Case:
    """The floor may lie above the rate; after T_max torch rises again."""
    rate, steps = draw.rate(), draw.steps()
    floor = draw.pick(draw.floor(rate), draw.rate())
    return stepped_object(draw, rate, lambda opt: lr.CosineAnnealingLR(opt, steps, floor), steps)


@ports(settings=200)
def test_cosine_annealing_warm_restarts(draw: Draw) -> Case:
    rate, first, growth = draw.rate(), draw.steps(), draw.pick(1, 2, 3, 10)
    floor = draw.floor(rate)
    return stepped_object(
        draw, rate, lambda opt: lr.CosineAnnealingWarmRestarts(opt, first, growth, floor)
    )


@ports(settings=300)
def test_cyclic_lr(draw: Draw) -> Case:
    base, peak = draw.floor(0.1), draw.rate()
    up, down = draw.steps(), draw.pick(None, draw.steps())
    mode = draw.pick("triangular", "triangular2", "exp_range")
    if mode == "triangular2" and base == 0:
        up += 5  # after 120 cycles float32 holds no smaller wave
    gamma = draw.factor(LENGTH)
    return stepped_object(draw, 1.0, lambda opt: lr.CyclicLR(opt, base, peak, up, down, mode, gamma))


@ports(settings=400)
def test_one_cycle_lr(draw: Draw) -> Case:
    """Any pct_start: with a small one torch begins below its peak, with a large one it never falls."""
    total, three = draw.steps(), draw.pick(True, False)
    first = draw.pick(float(np.float32(draw.rng.uniform())), 0.0, 1.0, 0.3, 0.5)
    if first * total == 1:
        first = 0.3 if total == 1 else 0.0  # torch would divide by zero
    peak, div, final = draw.rate(), draw.number(1.0, 30.0), draw.number(1.0, 1e4)
    build = functools.partial(
        lr.OneCycleLR,
        max_lr=peak,
        total_steps=total,
        pct_start=first,
        anneal_strategy=draw.pick("cos", "linear"),
        div_factor=div,
        final_div_factor=final,
        three_phase=three,
    )
    # Near the end of a fall to a value far below, float32 holds the clock no better than this.
    return stepped_object(draw, 1.0, build, total - 1, phase=peak)


def part(draw: Draw, kind: str) -> Any:
    """What makes one of torch's schedulers on an optimizer."""
    steps, factor, end = draw.steps(200), draw.number(0.05, 0.9), draw.number(0.05, 0.9)
    gamma, power = draw.factor(LENGTH / steps), draw.number(0.5, 3.0)
    slow, low = draw.factor(LENGTH), draw.number(1e-4, 1e-2)
    match kind:
        case "constant":
            return lambda opt: lr.ConstantLR(opt, factor, steps)
        case "plain":
            return lambda opt: lr.ConstantLR(opt, 1.0, steps)
        case "linear":
            return lambda opt: lr.LinearLR(opt, factor, end, steps)
        case "exponential":
            return lambda opt: lr.ExponentialLR(opt, slow)
        case "step":
            return lambda opt: lr.StepLR(opt, steps, gamma)
        case "multistep":
            return lambda opt: lr.MultiStepLR(opt, [steps, 2 * steps], end)
        case "polynomial":
            return lambda opt: lr.PolynomialLR(opt, steps, power)
        case "cosine":
            return lambda opt: lr.CosineAnnealingLR(opt, LENGTH + steps)
        case "waves":
            return lambda opt: lr.CosineAnnealingLR(opt, 5 + steps, low)
        case "restarts":
            return lambda opt: lr.CosineAnnealingWarmRestarts(opt, 5 + steps, 2)
        case "cyclic":
            return lambda opt: lr.CyclicLR(opt, 0.01, 0.1, 5 + steps)
        case "one_cycle":
            return lambda opt: lr.OneCycleLR(opt, 0.1, LENGTH)
    raise ValueError(kind)


SEQUENCES = [
    ("linear", "cosine"),
    ("constant", "exponential", "multistep"),
    ("waves", "restarts"),
    ("one_cycle", "linear"),
    ("polynomial", "plain", "constant"),
]


def sequence(draw: Draw, kinds: Any) -> Any:
    parts = [part(draw, kind) for kind in kinds]
    milestones = sorted((1 + draw.rng.choice(499, len(parts) - 1, replace=False)).tolist())
    return lambda opt: lr.SequentialLR(opt, [it(opt) for it in parts], milestones)


def chain(draw: Draw, kinds: Any) -> Any:
    parts = [part(draw, kind) for kind in kinds]
    return lambda opt: lr.ChainedScheduler([it(opt) for it in parts])


@ports(settings=200)
def test_sequential_lr(draw: Draw) -> Case:
    """A cosine in it may be used beyond its T_max, where it rises again."""
    kinds = draw.pick(*SEQUENCES)
    return stepped_object(draw, draw.rate(), sequence(draw, kinds), phase=float("waves" in kinds))


@ports(settings=200)
def test_the_usual_recipes(draw: Draw) -> Case:
    """A line up to the rate, then what falls from there: the recipes of this name."""
    rate, warm, plain, fall = draw.rate(), draw.steps(200), draw.steps(200), draw.steps(200)
    start, floor = draw.number(0.01, 0.9), draw.floor(rate)
    ends = [
        lambda opt: lr.CosineAnnealingLR(opt, fall, floor),
        lambda opt: lr.LinearLR(opt, 1.0, floor / rate, fall),
    ]
    end = draw.pick(*ends)

    def build(opt):
        rise = lr.LinearLR(opt, start, 1.0, warm)
        if kind == "wsd":
            parts = [rise, lr.ConstantLR(opt, 1.0, 1), end(opt)]
            return lr.SequentialLR(opt, parts, [warm, warm + plain])
        rest = {"decay": end, "step": lambda opt: lr.StepLR(opt, fall, 0.5)}[kind]
        return lr.SequentialLR(opt, [rise, rest(opt)], [warm])

    kind = draw.pick("wsd", "decay", "step")
    last = {"wsd": warm + plain + fall, "decay": warm + fall, "step": LENGTH - 1}[kind]
    case = stepped_object(draw, rate, build, min(last, LENGTH - 1))
    name = repr(port(case.scheduler)).partition("(")[0]
    assert name in {"wsd": ["wsd"], "decay": DECAYS, "step": ["warmup"]}[kind]
    return case


DECAYS = ["warmup_cosine_decay", "warmup_linear_decay"]

CHAINS = [
    ("constant", "exponential"),
    ("linear", "step", "polynomial"),
    ("linear", "cosine", "multistep"),
]


@ports(settings=150)
def test_chained_scheduler(draw: Draw) -> Case:
    return stepped_object(draw, draw.rate(), chain(draw, draw.pick(*CHAINS)))


def test_parameter_groups_with_different_rates_are_a_list():
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 0.02)]
    optimizer = torch.optim.SGD(parameters, momentum=0.9)
    scheduler = lr.SequentialLR(
        optimizer,
        [lr.LinearLR(optimizer, 0.5, 1.0, 10), lr.CosineAnnealingLR(optimizer, 90, 0.01)],
        [10],
    )
    assert list(map(repr, port(scheduler))) == [
        repr(os.warmup_cosine_decay(0.1, 10, 100, 0.05, 0.01)),
        repr(os.warmup_cosine_decay(0.02, 10, 100, 0.01, 0.01)),
    ]


def test_parameter_groups_with_each_their_settings():
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    cycles = port(lr.CyclicLR(optimizer, [0.1, 0.2], [0.5, 0.6], 5))
    assert list(map(repr, cycles)) == [repr(os.cyclic(0.1, 0.5, 5)), repr(os.cyclic(0.2, 0.6, 5))]
    one = lr.OneCycleLR(optimizer, [0.5, 1.0], 11)
    assert [schedule.peak_value for schedule in port(one)] == [0.5, 1.0]


def test_equal_groups_are_one_schedule():
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(3)]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    assert repr(port(lr.StepLR(optimizer, 5))) == repr(os.step_decay(0.1, 5, 0.1))


def test_a_rate_in_a_tensor():
    _, scheduler = on_an_optimizer(torch.tensor(0.1), lambda opt: lr.ExponentialLR(opt, 0.9))
    assert repr(port(scheduler)) == repr(os.exponential_decay(0.1, 1, 0.9))


@pytest.mark.parametrize(
    ("build", "source"),
    [
        (lambda opt: lr.StepLR(opt, 30), "step_decay(0.1, 30, 0.1)"),
        (lambda opt: lr.MultiStepLR(opt, [30, 80]), "multistep_decay(0.1, [30, 80], 0.1)"),
        (lambda opt: lr.MultiStepLR(opt, []), "constant(0.1)"),
        (lambda opt: lr.LinearLR(opt, 0.1, 1.0, 5), "linear(0.01, 0.1, 5)"),
        (lambda opt: lr.PolynomialLR(opt, 9), "linear(0.1, 0.0, 9)"),
        (lambda opt: lr.CosineAnnealingLR(opt, 9), "cosine_decay(0.1, 9)"),
        (lambda opt: lr.CosineAnnealingWarmRestarts(opt, 9), "cosine_restarts(0.1, 9)"),
        (lambda opt: lr.CyclicLR(opt, 0.1, 0.3, 9, 9), "cyclic(0.1, 0.3, 9)"),
        (lambda opt: lr.OneCycleLR(opt, 0.1, 101), "one_cycle(0.1, 100, 0.293)"),
    ],
)
def test_the_source_is_as_one_would_write_it(build, source):
    _, scheduler = on_an_optimizer(0.1, build)
    assert repr(port(scheduler)) == repr(os.from_source(source))


RISES = [
    (lambda opt: lr.CosineAnnealingLR(opt, 9, 0.3), "warmup(0.3, 9, 0.1, 'cosine')"),
    (lambda opt: lr.LinearLR(opt, 0.5, 1.0, 9), "linear(0.05, 0.1, 9)"),
]


@pytest.mark.parametrize(("build", "source"), RISES)
def test_a_rise_is_a_warm_up(build, source):
    optimizer, scheduler = on_an_optimizer(0.1, build)
    ours = port(scheduler)
    assert repr(ours) == repr(os.from_source(source))
    for step in range(10):
        assert float(ours(step)) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-5)
        scheduler.step()


def begun(opt, rate, kind, *settings, last_epoch):
    """A scheduler that goes on from a step, on an optimizer whose rate was edited."""
    opt.param_groups[0] |= {"initial_lr": 0.1, "lr": rate}
    return kind(opt, *settings, last_epoch=last_epoch)


def test_a_rate_that_was_edited_is_refused():
    """torch goes on from the rate as it is; ours is a function of the step."""
    edited = [
        lambda opt: begun(opt, 0.05, lr.StepLR, 10, last_epoch=20),
        lambda opt: begun(opt, 0.05, lr.ExponentialLR, 0.99, last_epoch=20),
        lambda opt: begun(opt, 0.05, lr.CosineAnnealingLR, 100, last_epoch=20),
    ]
    for build in edited:
        _, scheduler = on_an_optimizer(0.1, build)
        name = type(scheduler).__name__
        rule = "must be at the rate that this scheduler alone gives it, got 0.0"
        with pytest.raises(
            ValueError, match=rf"^port: {name}\.optimizer {rule}.*: something else changed"
        ):
            port(scheduler)
    _, scheduler = on_an_optimizer(0.1, lambda opt: begun(opt, 0.001, lr.StepLR, 10, last_epoch=20))
    assert repr(port(scheduler)) == repr(os.step_decay(0.1, 10, 0.1))


class Mine(lr.StepLR):
    """A subclass, which may do anything."""


def composite(kind: str) -> Any:
    def build(opt):
        inner = lr.SequentialLR(opt, [lr.ConstantLR(opt), lr.StepLR(opt, 3)], [2])
        if kind == "chain":
            return lr.SequentialLR(
                opt, [lr.ChainedScheduler([lr.LinearLR(opt)]), lr.StepLR(opt, 3)], [2]
            )
        if kind in ("first", "chain"):
            return lr.SequentialLR(opt, [inner, lr.StepLR(opt, 3)], [4])
        if kind == "cosine":
            return lr.ChainedScheduler([lr.LinearLR(opt), lr.CosineAnnealingLR(opt, 9, 0.01)])
        if kind == "short":
            return lr.SequentialLR(opt, [lr.CosineAnnealingLR(opt, 0), lr.StepLR(opt, 3)], [4])
        if kind == "cyclic":
            return lr.ChainedScheduler([lr.CyclicLR(opt, 0.1, 0.2), lr.StepLR(opt, 3)])
        if kind == "linear":
            return lr.ChainedScheduler([inner, lr.LinearLR(opt)])
        return lr.SequentialLR(
            opt, [lr.ConstantLR(opt), inner if kind == "late" else Mine(opt, 3)], [4]
        )

    return build


REFUSED = [
    (lambda opt: Mine(opt, 3), "port: scheduler must be one object of optax's, torch's, "),
    (lambda opt: lr.LambdaLR(opt, lambda t: 0.9**t), "port: LambdaLR.lr_lambdas[0] must be one of tra"),
    (lambda opt: lr.LambdaLR(opt, functools.partial(pow, 0.9)), "port: LambdaLR.lr_lambdas[0] must be"),
    (
        lambda opt: lr.MultiplicativeLR(opt, lambda t: 0.9),
        "port: MultiplicativeLR.lr_lambda must be one",
    ),
    (
        lambda opt: lr.CyclicLR(opt, 0.1, 0.2, scale_fn=lambda x: 1.0),
        "port: CyclicLR.scale_fn must be N",
    ),
    (
        lambda opt: lr.ExponentialLR(opt, 1.1),
        "port: ExponentialLR.gamma must be a factor in (0, 1], got",
    ),
    (
        lambda opt: lr.StepLR(opt, 2.5),
        "port: StepLR.step_size must be a whole number, 1 or more, got 2.5",
    ),
    (lambda opt: lr.MultiStepLR(opt, [2.5]), "port: MultiStepLR.milestones must be a whole number"),
    (lambda opt: lr.ConstantLR(opt, 0.0), "port: ConstantLR.factor must be more than 0, got 0"),
    (
        lambda opt: lr.CosineAnnealingLR(opt, 9, -0.1),
        "port: CosineAnnealingLR is beyond cosine_decay: en",
    ),
    (composite("cosine"), "port: CosineAnnealingLR.eta_min must be 0 in a ChainedScheduler, got 0.01"),
    (
        composite("short"),
        "port: SequentialLR is beyond cosine_decay: decay_steps must be a positive fi",
    ),
    (composite("cyclic"), "port: CyclicLR.step must be a scheduler that multiplies the rate"),
    (composite("linear"), "port: SequentialLR.step must be of a scheduler that is made of no others"),
    (composite("late"), "port: SequentialLR.step must be of a scheduler that is made of no others"),
    (composite("first"), "port: SequentialLR.step must be of a scheduler that is made of no others"),
    (
        composite("chain"),
        "port: ChainedScheduler.step must be of a scheduler that is made of no oth",
    ),
    (composite("mine"), "port: Mine.step must be that of a class in torch.optim.lr_scheduler, got "),
]


@pytest.mark.parametrize(("build", "says"), REFUSED, ids=[says[6:40] for _, says in REFUSED])
def test_what_has_no_equal_is_refused_by_name(build, says):
    _, scheduler = on_an_optimizer(0.1, build)
    with pytest.raises((TypeError, ValueError)) as refused:
        port(scheduler)
    assert str(refused.value).startswith(says) and "\n" not in str(refused.value)
    assert "port" in str(refused.value) and ": " in str(refused.value).partition(", got ")[2]


class Wrapper:
    """As accelerate's and ignite's are."""

    def __init__(self, scheduler):
        self.scheduler = scheduler


def paddles(name: str) -> type:
    return type(name, (), {"__module__": "paddle.optimizer.lr", "__qualname__": name})


_, STEP = on_an_optimizer(0.1, lambda opt: lr.StepLR(opt, 10))
_, SWA = on_an_optimizer(0.1, lambda opt: torch.optim.swa_utils.SWALR(opt, 0.01))
INSTEAD = [
    (None, "builtins.NoneType: write it as a formula"),
    (3, "builtins.int: write it as a formula"),
    (print, "builtins.builtin_function_or_method: write it as a formula"),
    ({"lr": 0.1}, "a dict"),
    (os.constant(0.1), "optax_sched.Schedule, which is one of ours"),
    (lr.StepLR, "the class torch.optim.lr_scheduler.StepLR: make an object of it"),
    (STEP.optimizer, "torch.optim.sgd.SGD, an optimizer, which is no scheduler"),
    ([STEP, STEP], "a list: port each, [port(it) for it in schedulers]"),
    ({"scheduler": STEP, "interval": "epoch"}, "a dict: give its 'scheduler'"),
    ({"optimizer": None, "lr_scheduler": {"scheduler": STEP}}, "a dict: give its 'lr_scheduler'"),
    (STEP.state_dict(), "a state_dict, which does not hold all settings: give the scheduler itself"),
    (Wrapper(STEP), "test_port_torch.Wrapper, which wraps one: give its .scheduler"),
    (SWA, "torch.optim.swa_utils.SWALR; torch's SWALR(swa_lr, anneal_epochs=10) is `cosine_decay(lr, "),
    (paddles("CosineAnnealingLR")(), "paddle.optimizer.lr.CosineAnnealingLR: write it as a formula"),
]


@pytest.mark.parametrize(("thing", "says"), INSTEAD, ids=[says[:40] for _, says in INSTEAD])
def test_what_is_no_scheduler_is_refused_with_what_to_give(thing, says):
    with pytest.raises(TypeError) as refused:
        port(thing)
    whose = "optax's, torch's, transformers', keras' or timm's schedulers"
    assert str(refused.value).startswith(f"port: scheduler must be one object of {whose}, got {says}")


def plateau_rates(scheduler: Any, optimizer: Any, losses: Any) -> list[float]:
    rates = []
    for loss in losses:
        scheduler.step(loss)
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates


def our_rates(loop: Any, losses: Any) -> list[float]:
    state = loop.init()
    rates = []
    for loss in losses:
        state = loop.update(state, value=np.float32(loss))
        rates.append(float(loop(state)))
    return rates


def test_reduce_lr_on_plateau():
    """torch cuts by no less than eps, so that its rate stops falling: there ours has its floor."""
    draw = Draw("port plateau")
    for _ in range(10):
        rate, floor = draw.rate(), draw.pick(0.0, draw.number(1e-5, 1e-2))
        build = functools.partial(
            lr.ReduceLROnPlateau,
            mode=draw.pick("min", "max"),
            factor=draw.number(0.05, 0.9),
            patience=int(draw.rng.integers(0, 4)),
            threshold=draw.pick(0.0, 1e-3),
            threshold_mode=draw.pick("rel", "abs"),
            cooldown=int(draw.rng.integers(0, 3)),
            min_lr=floor,
            eps=draw.pick(0.0, 1e-8, 1e-3),
        )
        optimizer, scheduler = on_an_optimizer(rate, build)
        losses = np.float32(draw.rng.integers(50, 150, 60) / 64)
        loop = port(scheduler)
        theirs = plateau_rates(scheduler, optimizer, losses)
        np.testing.assert_allclose(our_rates(loop, losses), theirs, rtol=1e-5)
        # From its start on, when it has been stepped.
        np.testing.assert_allclose(our_rates(port(scheduler), losses), theirs, rtol=1e-5)


def test_a_plateau_whose_first_rate_is_lost_is_refused():
    optimizer, scheduler = on_an_optimizer(0.1, lambda opt: lr.ReduceLROnPlateau(opt, patience=0))
    optimizer.param_groups[0]["lr"] = 0.07
    scheduler.step(1.0)
    with pytest.raises(ValueError, match=r"^port: ReduceLROnPlateau.optimizer must be at its first"):
        port(scheduler)


def test_torch_rises_again_and_ours_holds():
    optimizer, scheduler = on_an_optimizer(1.0, lambda opt: lr.CosineAnnealingLR(opt, 10))
    ours = port(scheduler)
    for _ in range(15):
        scheduler.step()
    assert math.isclose(optimizer.param_groups[0]["lr"], 0.5) and ours(15) == 0
