"""Every scheduler of torch 2.13, stepped as in training: first the optimizer, then the scheduler."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from agreement import (
    LENGTH,
    OBSERVATIONS,
    Draw,
    Lane,
    Pair,
    agrees,
    held,
    lane,
    library,
    report,
    scales,
    stepped,
    within,
)

import optax_sched as os

torch = library("torch")
lr: Any = torch.optim.lr_scheduler


def without_residue(theirs: np.ndarray, height: float) -> np.ndarray:
    """torch multiplies the last rate by a ratio: where it means 0 a rounding error may be left."""
    return np.where(np.abs(theirs) < 1e-12 * height, 0.0, theirs)


@agrees(settings=60)
def test_step_lr(draw: Draw) -> Pair:
    rate, size = draw.rate(), draw.steps()
    gamma = draw.factor(LENGTH / size)
    return Pair(
        lambda: os.step_decay(rate, size, gamma), stepped(rate, lambda opt: lr.StepLR(opt, size, gamma))
    )


@agrees(settings=60)
def test_multi_step_lr(draw: Draw) -> Pair:
    """A milestone that torch is given twice counts twice: here its factor is squared."""
    rate, gamma, once = draw.rate(), draw.factor(7), draw.boundaries(draw.pick(1, 2, 5))
    twice = draw.pick([], once[:2])
    factors = [gamma ** (1 + (boundary in twice)) for boundary in once]
    return Pair(
        lambda: os.multistep_decay(rate, once, factors if twice else gamma),
        stepped(rate, lambda opt: lr.MultiStepLR(opt, once + twice, gamma)),
    )


@agrees(settings=40)
def test_constant_lr(draw: Draw) -> Pair:
    """A factor that torch drops at total_iters."""
    rate, factor, steps = draw.rate(), draw.number(0.01, 1.0), draw.steps()
    return Pair(
        lambda: os.piecewise_constant([factor * rate, rate], [steps]),
        stepped(rate, lambda opt: lr.ConstantLR(opt, factor, steps)),
    )


@agrees(settings=60)
def test_linear_lr(draw: Draw) -> Pair:
    """torch's ends are factors of the rate."""
    rate, start, end, steps = draw.rate(), draw.number(0.01, 1.0), draw.floor(1.0), draw.steps()
    theirs = stepped(rate, lambda opt: lr.LinearLR(opt, start, end, steps))
    return Pair(
        lambda: os.linear(start * rate, end * rate, steps), without_residue(theirs, rate * start)
    )


@agrees(settings=40)
def test_exponential_lr(draw: Draw) -> Pair:
    rate, gamma = draw.rate(), draw.factor(LENGTH)
    return Pair(
        lambda: os.exponential_decay(rate, 1, gamma),
        stepped(rate, lambda opt: lr.ExponentialLR(opt, gamma)),
    )


@agrees(settings=60)
def test_polynomial_lr(draw: Draw) -> Pair:
    rate, steps, power = draw.rate(), draw.steps(), draw.number(0.3, 4.0)
    return Pair(
        lambda: os.polynomial_decay(rate, steps, power=power),
        stepped(rate, lambda opt: lr.PolynomialLR(opt, steps, power)),
    )


@agrees(settings=60)
def test_cosine_annealing_lr(draw: Draw) -> Pair:
    """torch rises again after T_max, ours holds its end."""
    rate, steps = draw.rate(), draw.steps()
    end = draw.floor(rate)
    theirs = stepped(rate, lambda opt: lr.CosineAnnealingLR(opt, steps, end))
    if steps > 1:
        assert theirs[steps + 2] > theirs[steps]
    return Pair(lambda: os.cosine_decay(rate, steps, end), held(theirs, steps, end))


@agrees(settings=60)
def test_cosine_annealing_warm_restarts(draw: Draw) -> Pair:
    rate, first, growth = draw.rate(), draw.steps(), draw.pick(1, 2, 3, 10)
    end = draw.floor(rate)
    return Pair(
        lambda: os.cosine_restarts(rate, first, end, growth),
        stepped(rate, lambda opt: lr.CosineAnnealingWarmRestarts(opt, first, growth, end)),
    )


@agrees(settings=90)
def test_cyclic_lr(draw: Draw) -> Pair:
    """torch's modes are two scales of ours, and its momentum is the same wave upside down."""
    base, peak = draw.floor(0.1), draw.rate()
    up, down = draw.steps(), draw.pick(None, draw.steps())
    mode = draw.pick("triangular", "triangular2", "exp_range")
    if mode == "triangular2" and base == 0:
        up += 5  # after 120 cycles float32 holds no smaller wave
    gamma, key = draw.factor(LENGTH), draw.pick("lr", "lr", "momentum")
    low, high = draw.number(0.5, 0.8), draw.number(0.8, 0.99)
    scale = {"triangular": (1.0, 1.0), "triangular2": (0.5, 1.0), "exp_range": (1.0, gamma)}[mode]
    theirs = stepped(
        1.0,
        lambda opt: lr.CyclicLR(
            opt, base, peak, up, down, mode, gamma, base_momentum=low, max_momentum=high
        ),
        key,
    )
    ends = (base, peak) if key == "lr" else (high, low)
    return Pair(lambda: os.cyclic(*ends, up, down, *scale), theirs)


@agrees(settings=120)
def test_one_cycle_lr(draw: Draw) -> Pair:
    """torch's peak is at pct_start * N - 1 and its end at N - 1; three phases turn at twice the first.

    At step N torch runs beyond its end (linear: below 0), and later it raises; ours holds its end.
    """
    total, three = draw.steps(least=5), draw.pick(True, False)
    first = float(np.float32(draw.rng.uniform(1.5 / total, 0.5 if three else 1.0)))
    peak, div, final = draw.rate(), draw.number(1.0, 30.0), draw.number(1.0, 1e4)
    shape = draw.pick("cosine", "linear")
    theirs = stepped(
        1.0,
        lambda opt: lr.OneCycleLR(
            opt,
            peak,
            total,
            pct_start=first,
            anneal_strategy=shape[:3] if shape == "cosine" else shape,
            div_factor=div,
            final_div_factor=final,
            three_phase=three,
        ),
        last=total - 1,
    )
    start = (first * total - 1) / (total - 1)
    return Pair(lambda: os.one_cycle(peak, total - 1, start, div, final, three, shape), theirs)


@agrees(settings=40)
def test_momentum_of_one_cycle_lr(draw: Draw) -> Pair:
    """The same knots upside down; it comes back to its start in both."""
    total, three = draw.steps(least=6), draw.pick(True, False)
    first = float(np.float32(draw.rng.uniform(1.5 / total, 0.45 if three else 0.9)))
    low, high = draw.number(0.5, 0.8), draw.number(0.8, 0.99)
    theirs = stepped(
        1.0,
        lambda opt: lr.OneCycleLR(
            opt,
            1.0,
            total,
            pct_start=first,
            three_phase=three,
            base_momentum=low,
            max_momentum=high,
        ),
        "momentum",
        last=total - 1,
    )
    top = first * total - 1
    knots = [top, 2 * top] if three else [top, total - 1.0]
    return Pair(lambda: os.piecewise_interpolate([high, low, high], knots, "cosine"), theirs)


own = os.schedule(
    lambda step, init_value, slope: init_value / (1 + slope * step) * 0.5 ** (step // 100), name="own"
)


@agrees(settings=60)
def test_lambda_lr(draw: Draw) -> Pair:
    """A function of the user's, here one of which we make a builder, and the usual warm-up."""
    rate, slope, steps = draw.rate(), draw.number(1e-3, 10.0), draw.steps()
    if draw.pick(True, False):
        theirs = stepped(rate, lambda opt: lr.LambdaLR(opt, lambda t: min(1.0, t / steps)))
        return Pair(lambda: os.warmup(rate, steps), theirs)
    theirs = stepped(
        rate, lambda opt: lr.LambdaLR(opt, lambda t: 1 / (1 + slope * t) * 0.5 ** (t // 100))
    )
    return Pair(lambda: own(rate, slope), theirs)


@agrees(settings=60)
def test_multiplicative_lr(draw: Draw) -> Pair:
    """torch multiplies from step to step and never asks for the factor at 0.

    A schedule is no recurrence: one factor is `exponential_decay`, many are a table of their products.
    """
    rate, same = draw.rate(), draw.pick(True, False)
    gamma = draw.factor(LENGTH)
    factors = np.where(draw.rng.random(LENGTH) < 0.1, draw.rng.uniform(0.9, 1.1, LENGTH), 1.0)
    products = rate * np.cumprod([1.0, *factors[1:]])
    theirs = stepped(
        rate, lambda opt: lr.MultiplicativeLR(opt, lambda t: gamma if same else factors[t])
    )
    return Pair(lambda: os.exponential_decay(rate, 1, gamma) if same else os.table(products), theirs)


def part(draw: Draw, kind: str, lasting: int = 1) -> tuple[Any, Any]:
    """One of torch's schedulers, on an optimizer, and ours, on a rate."""
    steps, factor, end = draw.steps(200), draw.number(0.05, 0.9), draw.number(0.05, 0.9)
    gamma, power = draw.factor(LENGTH / steps), draw.number(0.5, 3.0)
    match kind:
        case "constant":
            return (
                lambda opt: lr.ConstantLR(opt, factor, steps),
                lambda rate: os.piecewise_constant([factor * rate, rate], [steps]),
            )
        case "linear":
            return (
                lambda opt: lr.LinearLR(opt, factor, end, steps),
                lambda rate: os.linear(factor * rate, end * rate, steps),
            )
        case "exponential":
            one = gamma ** (1 / steps)
            return (
                lambda opt: lr.ExponentialLR(opt, one),
                lambda rate: os.exponential_decay(rate, steps, gamma),
            )
        case "step":
            return (
                lambda opt: lr.StepLR(opt, steps, gamma),
                lambda rate: os.step_decay(rate, steps, gamma),
            )
        case "polynomial":
            return (
                lambda opt: lr.PolynomialLR(opt, steps, power),
                lambda rate: os.polynomial_decay(rate, steps, power=power),
            )
        case _:
            steps += lasting  # it would rise again
            return (
                lambda opt: lr.CosineAnnealingLR(opt, steps),
                lambda rate: os.cosine_decay(rate, steps),
            )


SEQUENCES = [
    ("linear", "cosine"),
    ("constant", "exponential"),
    ("step", "polynomial", "linear"),
    ("cosine", "step", "constant"),
    ("exponential", "linear", "polynomial"),
]


@agrees(settings=75)
def test_sequential_lr(draw: Draw) -> Pair:
    """A milestone belongs to the new part, which counts from it, in both."""
    rate, kinds = draw.rate(), draw.pick(*SEQUENCES)
    parts = [part(draw, kind, lasting=LENGTH) for kind in kinds]
    milestones = draw.boundaries(len(parts) - 1)
    return Pair(
        lambda: os.join([ours(rate) for _, ours in parts], milestones),
        stepped(
            rate,
            lambda opt: lr.SequentialLR(opt, [theirs(opt) for theirs, _ in parts], milestones),
        ),
    )


CHAINS = [
    ("constant", "exponential"),
    ("linear", "step", "polynomial"),
    ("linear", "cosine"),
    ("constant", "linear", "exponential", "step"),
]


@agrees(settings=60)
def test_chained_scheduler(draw: Draw) -> Pair:
    """The product of the factors. (torch's schedulers that set the rate anew can not be chained.)"""
    rate, kinds = draw.rate(), draw.pick(*CHAINS)
    parts = [part(draw, kind, lasting=LENGTH) for kind in kinds]
    theirs = stepped(rate, lambda opt: lr.ChainedScheduler([theirs(opt) for theirs, _ in parts]))
    return Pair(lambda: os.multiply(rate, *(ours(1.0) for _, ours in parts)), theirs)


MODES = list(itertools.product(("min", "max"), ("rel", "abs")))


class SignSafe(lr.ReduceLROnPlateau):
    """torch's with a margin that is a part of |best|; it counts the decisions that this turns."""

    turned = 0

    def _is_better(self, a, best):
        better = super()._is_better(a, best)
        if self.threshold_mode == "rel" and math.isfinite(best):
            gain = best - a if self.mode == "min" else a - best
            better, plain = gain > self.threshold * abs(best), better
            self.turned += better != plain
        return better


def torch_rates(kind: Any, item: Lane, mode: str, threshold_mode: str) -> tuple[list[float], Any]:
    """torch's rate after each loss, on an optimizer whose rate is 1; eps, a least change, is 0."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = kind(
        optimizer,
        mode,
        factor=item.factor,
        patience=item.patience,
        threshold=item.threshold,
        threshold_mode=threshold_mode,
        cooldown=item.cooldown,
        min_lr=item.min_scale,
        eps=0,
    )
    rates = []
    for loss in item.losses:
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates, scheduler


@pytest.mark.parametrize(("mode", "threshold_mode"), MODES)
def test_reduce_lr_on_plateau(mode: str, threshold_mode: str):
    """Observation by observation the same, NaN and infinity too."""
    draw = Draw(f"plateau {mode} {threshold_mode}")
    lanes = [lane(draw, mode=mode, signed=threshold_mode == "abs") for _ in range(200)]
    worse = math.inf if mode == "min" else -math.inf
    for item in lanes[::10]:
        item.losses[draw.rng.integers(0, OBSERVATIONS, 5)] = worse
    theirs = [torch_rates(lr.ReduceLROnPlateau, item, mode, threshold_mode)[0] for item in lanes]
    ours = scales(lanes, mode, threshold_mode)
    assert np.sum(ours[:, 1:] < ours[:, :-1]) > 1000  # there is something to agree on
    worst = within(ours, np.array(theirs), 1e-5, 0.0, lambda index: repr(lanes[index]))
    report(__name__, f"reduce_lr_on_plateau {mode} {threshold_mode}", len(lanes), worst)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_reduce_lr_on_plateau_of_negative_metrics(mode: str):
    """torch's relative threshold is a part of best, not of |best|: a constant -1 improves for ever.

    That is the whole difference. With that one comparison mended torch is ours, and unmended wherever
    it comes to the same decisions.
    """
    draw = Draw(f"negative {mode}")
    lanes = [lane(draw, mode=mode, signed=True) for _ in range(200)]
    plain = [torch_rates(lr.ReduceLROnPlateau, item, mode, "rel")[0] for item in lanes]
    mended, schedulers = zip(*(torch_rates(SignSafe, item, mode, "rel") for item in lanes), strict=True)
    ours = scales(lanes, mode, "rel")
    worst = within(ours, np.array(mended), 1e-5, 0.0, lambda index: repr(lanes[index]))
    turned = np.array([scheduler.turned > 0 for scheduler in schedulers])
    same = np.all(np.isclose(plain, mended, rtol=1e-12, atol=0.0), axis=1)
    assert same[~turned].all()
    assert (~same).sum() >= 10 and (~turned).sum() >= 10
    report(__name__, f"reduce_lr_on_plateau {mode} of any sign", len(lanes), worst)


def test_a_constant_negative_metric_is_a_plateau():
    item = Lane(0.5, 2, 1 / 64, 0, 0.0, np.full(OBSERVATIONS, -1.0))
    rates, _ = torch_rates(lr.ReduceLROnPlateau, item, "min", "rel")
    assert set(rates) == {1.0}
    assert scales([item], "min", "rel")[0, :7].tolist() == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
