"""Every equivalent, in the peer's own parameters and with `lr`, against the real peer."""

import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from agreement import library, precision
from timm_files import timm_schedulers

import optax_sched
from optax_sched._core.peer_words import Equivalent, peers
from optax_sched.porting.optax_schedules import CLOSURES
from optax_sched.porting.port import PORTERS

STEPS = np.arange(60)
LR = 0.1
INSTALLED = ["optax", "torch", "transformers", "keras", "timm"]
ENTRIES = [(peer, it) for peer in INSTALLED for it in peers().rows[peer]]

WARMUP = {"num_warmup_steps": 10}
TRAINING = {**WARMUP, "num_training_steps": 60}
TIMM = {"warmup_t": 10, "warmup_lr_init": 0.01}
PLATEAU = {"mode": "min", "factor": 0.5, "patience": 2, "threshold": 0.01, "threshold_mode": "rel"}
PLATEAU |= {"cooldown": 1, "min_lr": 0.01}
KNOTS = {"init_value": 0.1, "boundaries_and_scales": {10: 0.5, 30: 0.1}}
CYCLES = [
    {"init_value": 0.0, "peak_value": peak, "warmup_steps": 5, "decay_steps": 20}
    for peak in (0.1, 0.05)
]

SETTINGS: dict[str, dict[str, Any]] = {
    # optax
    "constant_schedule": {"value": 0.1},
    "linear_schedule": {
        "init_value": 0.1,
        "end_value": 0.01,
        "transition_steps": 50,
        "transition_begin": 5,
    },
    "polynomial_schedule": {
        "init_value": 0.1,
        "end_value": 0.01,
        "power": 2.0,
        "transition_steps": 50,
        "transition_begin": 5,
    },
    "exponential_decay": {
        "init_value": 0.1,
        "transition_steps": 20,
        "decay_rate": 0.5,
        "end_value": 0.02,
    },
    "cosine_decay_schedule": {"init_value": 0.1, "decay_steps": 50, "alpha": 0.1, "exponent": 1.0},
    "piecewise_constant_schedule": KNOTS,
    "piecewise_interpolate_schedule": {**KNOTS, "interpolate_type": "cosine"},
    "linear_onecycle_schedule": {
        "transition_steps": 50,
        "peak_value": 0.1,
        "pct_start": 0.3,
        "pct_final": 0.85,
        "div_factor": 25.0,
        "final_div_factor": 1e2,
    },
    "cosine_onecycle_schedule": {
        "transition_steps": 50,
        "peak_value": 0.1,
        "pct_start": 0.25,
        "div_factor": 25.0,
        "final_div_factor": 1e2,
    },
    "warmup_constant_schedule": {"init_value": 0.01, "peak_value": 0.1, "warmup_steps": 10},
    "warmup_cosine_decay_schedule": {
        "init_value": 0.01,
        "peak_value": 0.1,
        "warmup_steps": 10,
        "decay_steps": 50,
        "end_value": 0.02,
    },
    "warmup_exponential_decay_schedule": {
        "init_value": 0.01,
        "peak_value": 0.1,
        "warmup_steps": 10,
        "transition_steps": 20,
        "decay_rate": 0.5,
        "transition_begin": 5,
        "end_value": 0.03,
    },
    "join_schedules": {
        "schedules": [optax_sched.linear(0.0, 0.1, 10), optax_sched.cosine_decay(0.1, 40)],
        "boundaries": [10],
    },
    "sgdr_schedule": {"cosine_kwargs": CYCLES},
    # torch
    "StepLR": {"step_size": 20, "gamma": 0.5},
    "MultiStepLR": {"milestones": [10, 30], "gamma": 0.5},
    "ConstantLR": {"factor": 0.5, "total_iters": 10},
    "LinearLR": {"start_factor": 0.1, "end_factor": 0.5, "total_iters": 20},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {"total_iters": 50, "power": 2.0},
    "CosineAnnealingLR": {"T_max": 59, "eta_min": 0.01},
    "CosineAnnealingWarmRestarts": {"T_0": 10, "T_mult": 2, "eta_min": 0.01},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 10, "step_size_down": 7},
    "OneCycleLR": {
        "max_lr": 0.1,
        "total_steps": 60,
        "pct_start": 0.25,
        "div_factor": 25.0,
        "final_div_factor": 1e2,
        "three_phase": True,
    },
    "LambdaLR": {"lr_lambda": lambda step: 1 / (1 + step)},
    "MultiplicativeLR": {"lr_lambda": lambda step: 0.9},
    "SWALR": {"swa_lr": 0.02, "anneal_epochs": 30},
    # transformers
    "get_constant_schedule": {},
    "get_constant_schedule_with_warmup": WARMUP,
    "get_linear_schedule_with_warmup": TRAINING,
    "get_cosine_schedule_with_warmup": TRAINING,
    "get_cosine_with_hard_restarts_schedule_with_warmup": {**TRAINING, "num_cycles": 2},
    "get_polynomial_decay_schedule_with_warmup": {**TRAINING, "lr_end": 0.01, "power": 2.0},
    "get_inverse_sqrt_schedule": {**WARMUP, "timescale": 30},
    "get_cosine_with_min_lr_schedule_with_warmup": {**TRAINING, "min_lr": 0.01},
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate": {**TRAINING, "min_lr_rate": 0.1},
    "get_wsd_schedule": {**TRAINING, "num_decay_steps": 20, "min_lr_ratio": 0.1},
    "get_scheduler": {**TRAINING, "name": "linear"},
    # keras
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 20, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [10, 30], "values": [0.1, 0.05, 0.01]},
    "PolynomialDecay": {
        "initial_learning_rate": 0.1,
        "decay_steps": 50,
        "end_learning_rate": 0.01,
        "power": 2.0,
    },
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 20, "decay_rate": 0.5},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 50, "alpha": 0.1},
    "CosineDecayRestarts": {
        "initial_learning_rate": 0.1,
        "first_decay_steps": 10,
        "t_mul": 2.0,
        "m_mul": 1.0,
        "alpha": 0.1,
    },
    "LearningRateScheduler": {"schedule": lambda epoch: 0.1 / (1 + epoch), "steps_per_epoch": 7},
    # timm
    "CosineLRScheduler": {**TIMM, "t_initial": 45, "lr_min": 0.01},
    "PolyLRScheduler": {**TIMM, "t_initial": 45, "lr_min": 0.01, "power": 2.0},
    "TanhLRScheduler": {**TIMM, "t_initial": 45, "lr_min": 0.01, "lb": -7.0, "ub": 3.0},
    "StepLRScheduler": {**TIMM, "decay_t": 20, "decay_rate": 0.5},
    "MultiStepLRScheduler": {**TIMM, "decay_t": [10, 30], "decay_rate": 0.5},
    "WSDLRScheduler": {**TIMM, "t_initial": 45, "decay_t": 20, "lr_min": 0.01},
}
# Closed loops are compared on losses, in the settings of their parameters.
LOOPS: dict[tuple[str, str], dict[str, Any]] = {
    ("torch", "ReduceLROnPlateau"): PLATEAU,
    ("transformers", "get_reduce_on_plateau_schedule"): PLATEAU,
    ("keras", "ReduceLROnPlateau"): {
        "factor": 0.5,
        "patience": 2,
        "mode": "min",
        "min_delta": 0.01,
        "cooldown": 2,
        "min_lr": 0.01,
    },
    ("timm", "PlateauLRScheduler"): {
        "decay_rate": 0.5,
        "patience_t": 2,
        "threshold": 0.01,
        "cooldown_t": 1,
        "lr_min": 0.01,
        "mode": "min",
    },
}


def ours(it: Equivalent, settings: dict[str, Any]) -> Any:
    """The code as it stands, with the peer's parameters bound."""
    return eval(
        it.here,
        {**{name: getattr(optax_sched, name) for name in optax_sched.__all__}, "lr": LR, **settings},
    )


def torchs(build: Callable[[Any], Any], *, step: str = "step") -> list[float]:
    torch = library("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    scheduler = build(optimizer)
    optimizer.step()
    rates = [optimizer.param_groups[0]["lr"]]
    for count in STEPS[1:]:
        getattr(scheduler, step)(
            *([int(count)] if step != "step" or hasattr(scheduler, "t_in_epochs") else [])
        )
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def theirs(peer: str, name: str, settings: dict[str, Any]) -> Any:
    match peer:
        case "optax":
            schedule = getattr(library("optax"), name)(**settings)
            return [float(schedule(step)) for step in STEPS]
        case "torch":
            torch = library("torch")
            kind = (
                torch.optim.swa_utils.SWALR
                if name == "SWALR"
                else getattr(torch.optim.lr_scheduler, name)
            )
            return torchs(lambda optimizer: kind(optimizer, **settings))
        case "transformers":
            library("torch")
            function = getattr(library("transformers.optimization"), name)
            return torchs(lambda optimizer: function(optimizer=optimizer, **settings))
        case "keras":
            schedule = getattr(library("keras").optimizers.schedules, name)(**settings)
            return [float(schedule(step)) for step in STEPS]
    prefix = {} if name == "WSDLRScheduler" else {"warmup_prefix": True}
    kind = getattr(timm_schedulers(), name)
    return torchs(lambda optimizer: kind(optimizer, **settings, **prefix))


CURVES = [
    (peer, it) for peer, it in ENTRIES if it.name in SETTINGS and it.name != "LearningRateScheduler"
]


@pytest.mark.parametrize(("peer", "it"), CURVES, ids=[f"{peer}-{it.name}" for peer, it in CURVES])
def test_the_code_gives_what_the_peer_gives(peer: str, it: Equivalent):
    settings = SETTINGS[it.name]
    with precision(double=True):
        expected = np.array(theirs(peer, it.name, settings))
        got = np.array([float(ours(it, settings)(step)) for step in STEPS])
    # keras rounds to float32, and so does optax where it makes arrays of its settings.
    np.testing.assert_allclose(
        got, expected, rtol=3e-5 if peer in ("optax", "keras") else 1e-6, atol=1e-9
    )


def losses() -> np.ndarray:
    return (np.random.default_rng(0).integers(60, 70, 60) / 64).astype(np.float32)


def loop_rates(peer: str, name: str, settings: dict[str, Any]) -> list[float]:
    rates = []
    if peer == "keras":
        callback = library("keras").callbacks.ReduceLROnPlateau(monitor="loss", **settings)
        optimizer = types.SimpleNamespace(learning_rate=LR)
        callback.set_model(types.SimpleNamespace(optimizer=optimizer))
        callback.on_train_begin()
        for epoch, loss in enumerate(losses()):
            callback.on_epoch_end(epoch, {"loss": loss})
            rates.append(optimizer.learning_rate)
        return rates
    torch = library("torch")
    if peer == "timm":
        build = timm_schedulers().PlateauLRScheduler
    elif peer == "torch":
        build = torch.optim.lr_scheduler.ReduceLROnPlateau
    else:
        build = getattr(library("transformers.optimization"), name)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # timm's is deprecated
        scheduler = build(optimizer, **settings)
    for epoch, loss in enumerate(losses(), 1):
        scheduler.step(*([epoch, loss] if peer == "timm" else [loss]))
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize(("peer", "name"), LOOPS, ids="-".join)
def test_the_code_of_a_closed_loop_gives_what_the_peer_gives(peer: str, name: str):
    it = next(it for other, it in ENTRIES if (other, it.name) == (peer, name))
    loop = ours(it, LOOPS[peer, name])
    expected = loop_rates(peer, name, LOOPS[peer, name])
    assert len(set(expected)) > 2  # it has cut more than once
    state, got = loop.init(), []
    for loss in losses():
        state = loop.update(state, value=loss)
        got.append(float(loop(state)))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_recipe_of_the_page_is_torchs():
    lr: Any = library("torch").optim.lr_scheduler
    theirs = torchs(
        lambda opt: lr.SequentialLR(
            opt,
            [
                lr.LinearLR(opt, start_factor=0.01, total_iters=20),
                lr.CosineAnnealingLR(opt, T_max=35, eta_min=0.001),
            ],
            milestones=[20],
        )
    )
    rate = optax_sched.warmup_cosine_decay(0.1, 20, 20 + 35, init_value=0.01 * 0.1, end_value=0.001)
    upto = STEPS <= 20 + 35  # after its end theirs rises again
    np.testing.assert_allclose(rate(STEPS)[upto], np.asarray(theirs)[upto], rtol=1e-5)


def test_a_sequence_of_ours_is_a_sequence_of_theirs():
    lr: Any = library("torch").optim.lr_scheduler
    expected = torchs(
        lambda opt: lr.SequentialLR(
            opt, [lr.LinearLR(opt, 0.1, 1.0, 10), lr.CosineAnnealingLR(opt, 60)], [10]
        )
    )
    parts = [optax_sched.linear(0.01, 0.1, 10), optax_sched.cosine_decay(0.1, 60)]
    it = next(it for _, it in ENTRIES if it.name == "SequentialLR")
    got = ours(it, {"schedulers": parts, "milestones": [10]})(STEPS)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    expected = torchs(
        lambda opt: lr.ChainedScheduler([lr.LinearLR(opt, 0.1, 1.0, 10), lr.ExponentialLR(opt, 0.9)])
    )
    parts = [optax_sched.linear(0.1, 1.0, 10), optax_sched.exponential_decay(1.0, 1, 0.9)]
    it = next(it for _, it in ENTRIES if it.name == "ChainedScheduler")
    np.testing.assert_allclose(ours(it, {"schedulers": parts})(STEPS), expected, rtol=1e-5)


def test_what_has_no_curve_of_its_own_evaluates_too():
    """Own formulas, clocks in epochs, configs, the rules that are near and not the same."""
    plain = optax_sched.cosine_decay(0.1, 50)
    args = types.SimpleNamespace(epochs=10, min_lr=0.01)
    timm_epochs = {"num_epochs": 10, "min_lr": 0.01, "warmup_epochs": 2, "warmup_lr": 0.0}
    greedy = {**PLATEAU, "max_lr": 1.0}
    more: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
        "LRScheduler": ({}, lambda it: it(0)),
        "LearningRateSchedule": ({}, lambda it: it(0)),
        "LearningRateScheduler": (SETTINGS["LearningRateScheduler"], lambda it: it(6)),
        "create_scheduler": ({"args": args, "updates_per_epoch": 5}, lambda it: it(4)),
        "create_scheduler_v2": ({**timm_epochs, "updates_per_epoch": 5}, lambda it: it(10)),
        "GreedyLR": (greedy, lambda it: it(it.init())),
        "get_greedy_schedule": (greedy, lambda it: it(it.init())),
        "serialize": ({"learning_rate_schedule": plain}, lambda it: it["init_value"]),
        "deserialize": ({"config": optax_sched.to_config(plain)}, lambda it: it(0)),
    }
    tested = {*SETTINGS, *more, "SequentialLR", "ChainedScheduler", *(name for _, name in LOOPS)}
    assert {it.name for _, it in ENTRIES} == tested
    for _, it in ENTRIES:
        if it.name in more:
            settings, value = more[it.name]
            assert float(value(ours(it, settings))) == pytest.approx(0.1, rel=1e-6)


def names_of(peer: str) -> set[str]:
    """What a peer offers under schedules, except what is not one."""
    if peer == "torch":
        return set(library("torch.optim.lr_scheduler").__all__)
    if peer == "transformers":
        names = vars(library("transformers.optimization"))
        # Adafactor works out its own rates, which nothing here does for it.
        return {it for it in names if it.startswith("get_")} - {"get_adafactor_schedule"}
    if peer == "keras":
        return {it for it in vars(library("keras").optimizers.schedules) if not it.startswith("_")}
    if peer == "timm":
        return {it for it in vars(timm_schedulers()) if it.endswith("LRScheduler")}
    names = vars(library("optax.schedules"))
    states = {"inject_hyperparams", "inject_stateful_hyperparams"}
    return {it for it in names if it.islower() and it[0] != "_" and callable(names[it])} - states


@pytest.mark.parametrize("peer", INSTALLED)
def test_every_name_of_the_peer_has_an_entry(peer: str):
    assert names_of(peer) <= {it.name for it in peers().rows[peer]}


def test_the_table_says_what_port_takes():
    known = {name for _, name in PORTERS} - {"MultiplicativeLR", "GreedyLR"}
    known |= {name.partition(".")[0] for _, name in CLOSURES}
    known |= names_of("optax") | names_of("transformers") - {"get_greedy_schedule"}
    for peer, it in ENTRIES:
        callback = (peer, it.name) == ("keras", "ReduceLROnPlateau")
        assert it.port == (it.name in known and not callback), it.name
