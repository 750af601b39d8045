"""Agreement with a peer: our schedules and its values, at random settings and at every step.

The peer computes in double precision. Ours must be within 1e-6 of its value in double precision and
within 1e-5 in float32, relative to that value; where it is 0, ours must be 0. All settings are
numbers that float32 holds, so that both precisions have the same ones.
"""

import contextlib
import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import at_most

import optax_sched
from optax_sched import Schedule

LENGTH = 600
STEPS = np.arange(LENGTH, dtype=np.int32)
LONGEST = 500  # of any phase that ends, so that all go on past their end

OBSERVATIONS = 120


def library(name: str) -> Any:
    """A peer, or a skip of the whole file that says how to have it."""
    root, _, _ = name.partition(".")
    return pytest.importorskip(
        name, reason=f'{root} is not installed: python -m pip install -e ".[peers]"'
    )


@contextlib.contextmanager
def precision(*, double: bool):
    """JAX in double precision, or in single."""
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", double)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


class Draw:
    """Random settings, the same ones in every run."""

    def __init__(self, name: str):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def number(self, low: float, high: float) -> float:
        """A number that float32 holds, as likely small as large."""
        return float(np.float32(np.exp(self.rng.uniform(np.log(low), np.log(high)))))

    def rate(self) -> float:
        return self.number(1e-4, 1.0)

    def floor(self, below: float = 1e-4) -> float:
        """An end value: 0 in half of all cases."""
        return self.pick(0.0, self.number(1e-3, 0.9) * below)

    def steps(self, most: int = LONGEST, least: int = 1) -> int:
        """A length, as likely short as long: 1, 2 and 3 come often."""
        return int(np.exp(self.rng.uniform(np.log(least), np.log(most + 1))))

    def steps_or_zero(self, most: int = LONGEST) -> int:
        return self.pick(0, self.steps(most), self.steps(most))

    def boundaries(self, count: int, most: int = LONGEST) -> list[int]:
        """Increasing steps, the first of them positive."""
        return sorted((1 + self.rng.choice(most, count, replace=False)).tolist())

    def factor(self, times: float) -> float:
        """A factor below 1 that may be applied so many times and stay far above float32's end."""
        return float(np.float32(self.number(1e-12, 0.9) ** (1 / max(times, 1))))

    def pick(self, *options: Any) -> Any:
        return options[self.rng.integers(len(options))]


class Pair(NamedTuple):
    """One setting: what builds our schedule, and the peer's values at STEPS.

    `phase` is the height of a wave whose clock is a real number, or that has troughs midway. There it
    is the error of the clock that is bounded, by 4 ulp (docs/numerics.md). It moves a value v of a wave
    of height h by pi sqrt(v h) for each cycle that the clock is off.
    """

    ours: Callable[[], Schedule]
    theirs: np.ndarray
    phase: float = 0.0


class Row(NamedTuple):
    """How one comparison went: the worst relative differences."""

    peer: str
    name: str
    settings: int
    single: float
    double: float | None = None  # a plateau's state is always float32

    def in_words(self, what: str) -> str:
        double = "" if self.double is None else f", {self.double:.0e} in float64"
        return f"{what}, {self.settings} settings, worst {self.single:.0e} in float32{double}"


REPORT: list[Row] = []


def agrees(settings: int) -> Callable[[Callable[[Draw], Pair]], Callable[[], None]]:
    """A test from a function that draws a setting and gives both sides of it."""

    settings = at_most(settings // 4, settings)

    def decorate(pair: Callable[[Draw], Pair]) -> Callable[[], None]:
        def test() -> None:
            draw = Draw(pair.__name__)
            with precision(double=True):
                pairs = [pair(draw) for _ in range(settings)]
            double, single = compare(pairs, double=True), compare(pairs, double=False)
            report(pair.__module__, pair.__name__, settings, single, double)

        test.__name__, test.__doc__ = pair.__name__, pair.__doc__
        return test

    return decorate


def report(module: str, name: str, settings: int, single: float, double: float | None = None) -> None:
    peer, name = module.removeprefix("test_"), name.removeprefix("test_")
    REPORT.append(Row(peer, name, settings, single, double))


def compare(pairs: Sequence[Pair], *, double: bool) -> float:
    """The worst relative difference, if none is too large."""
    with precision(double=double):
        schedules = [pair.ours() for pair in pairs]
        ours = values(schedules)
    theirs = np.array([pair.theirs for pair in pairs], np.float64)
    assert ours.shape == theirs.shape == (len(pairs), LENGTH)
    clock = 1e-12 if double else 4e-6  # 4 ulp of a clock that has counted a few cycles, times pi
    height = np.array([[pair.phase] for pair in pairs])
    slack = clock * np.sqrt(np.abs(theirs) * height) + clock**2 * height
    return within(ours, theirs, 1e-6 if double else 1e-5, slack, lambda index: repr(schedules[index]))


def within(
    ours: np.ndarray, theirs: np.ndarray, tolerance: float, slack: Any, what: Callable[[int], str]
) -> float:
    """The worst relative difference beyond the slack; an error if it is above the tolerance."""
    assert np.isfinite(theirs).all()
    apart = np.maximum(np.abs(ours - theirs) - slack, 0.0)
    relative = np.where(
        apart == 0, 0.0, apart / np.where(theirs == 0, np.finfo(float).tiny, abs(theirs))
    )
    bad = np.argwhere(~(relative <= tolerance))
    lines = [
        f"{what(index)} at {step}: {ours[index, step]!r}, the peer {theirs[index, step]!r}, "
        f"apart by {relative[index, step]:.1e}"
        for index, step in bad[:: max(1, len(bad) // 8)]
    ]
    assert not lines, "\n".join([f"{len(bad)} of {ours.size} values disagree:", *lines])
    return float(relative.max())


def values(schedules: Sequence[Schedule]) -> np.ndarray:
    """The values at STEPS, [schedule, step]: a compiled function for each structure there is."""
    members: dict[Any, list[int]] = {}
    for index, schedule in enumerate(schedules):
        leaves, structure = jax.tree.flatten(schedule)
        kinds = tuple((np.shape(leaf), np.asarray(leaf).dtype.kind) for leaf in leaves)
        members.setdefault((structure, kinds), []).append(index)
    result = np.empty((len(schedules), LENGTH))
    for indices in members.values():
        batch = jax.tree.map(lambda *leaves: np.stack(leaves), *(schedules[index] for index in indices))
        result[indices] = _curves(batch)
    return result


@jax.jit
def _curves(batch: Any) -> jax.Array:
    return jax.vmap(lambda schedule: schedule(STEPS))(batch)


def held(theirs: np.ndarray, end: int, value: float | None = None) -> np.ndarray:
    """The peer's values up to `end`, and after it the value there, or another: what ours does."""
    return np.where(end < STEPS, theirs[min(end, LENGTH - 1)] if value is None else value, theirs)


def ended(theirs: np.ndarray, end: int, value: float, height: float) -> np.ndarray:
    """The peer's values with the end put right, where XLA divides for it.

    XLA multiplies by a rounded reciprocal, so that for some lengths what remains is not 0 at the end:
    then a tiny number is left over, or NaN where it is negative and has a real power.
    """
    left_over = np.abs(theirs[end:] - value)
    assert np.all((left_over <= 1e-4 * height) | np.isnan(left_over))
    return np.where(end <= STEPS, value, theirs)


def stepped(
    rate: float, build: Callable[[Any], Any], key: str = "lr", last: int = LENGTH - 1
) -> np.ndarray:
    """What a torch scheduler on an optimizer of this rate gives, stepped as in training.

    The value for our step t is that after t calls of `step`. After `last` the last one is held.
    """
    torch = library("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)
    scheduler = build(optimizer)
    optimizer.step()  # torch warns where it does not come first
    trace = [optimizer.param_groups[0][key]]
    for _ in range(min(last, LENGTH - 1)):
        scheduler.step()
        trace.append(optimizer.param_groups[0][key])
    return np.array(trace + trace[-1:] * (LENGTH - len(trace)), np.float64)


# The closed loop: settings that differ from lane to lane, and the losses of each.

PLATEAU = {
    "factor": np.float32,
    "patience": np.int32,
    "threshold": np.float32,
    "cooldown": np.int32,
    "min_scale": np.float32,
    "window": np.int32,
}


class Lane(NamedTuple):
    """The settings of one plateau in our words, and what it is to observe."""

    factor: float
    patience: int
    threshold: float
    cooldown: int
    min_scale: float
    losses: np.ndarray
    window: int = 1


def lane(draw: Draw, *, mode: str = "min", signed: bool = False) -> Lane:
    """A random plateau and a random sequence of losses for it.

    Losses and thresholds are mostly small multiples of a power of 2: no product of them is rounded, so
    that the peer in double precision and ours in float32 see the same ties, and there are many.
    """
    patience = int(draw.rng.integers(0, 8))
    falls = np.where(draw.rng.random(OBSERVATIONS) < draw.pick(0.1, 0.3, 0.6), 1, 0)
    moves = falls * -draw.rng.integers(0, 12, OBSERVATIONS) + (1 - falls) * draw.rng.integers(
        0, 5, OBSERVATIONS
    )
    path = draw.pick(np.cumsum(moves) // 2, moves + 3 * np.linspace(30, 0, OBSERVATIONS).astype(int))
    path = path - int(np.median(path)) if signed else path - path.min() + draw.pick(1, 20, 200)
    losses = path / 64
    if mode == "max":
        losses = (0 if signed else losses.max() + 1) - losses
    threshold = draw.pick(0, 1, 2, 4, 8) / 64
    if draw.rng.random() < 0.25:
        threshold = 1e-4
        losses = np.float64(np.float32(losses + draw.rng.uniform(-1e-3, 1e-3, OBSERVATIONS)))
    losses = np.where(draw.rng.random(OBSERVATIONS) < draw.pick(0.0, 0.05), np.nan, losses)
    return Lane(
        factor=draw.factor(OBSERVATIONS / (patience + 1)),
        patience=patience,
        threshold=threshold,
        cooldown=draw.pick(0, 0, 1, 2, 5),
        min_scale=draw.pick(0.0, draw.number(1e-3, 0.9)),
        losses=losses,
    )


@functools.cache
def _program(mode: str, threshold_mode: str) -> Any:
    build: Any = optax_sched.reduce_on_plateau

    def run(settings, losses):
        plateau = build(mode=mode, threshold_mode=threshold_mode, **settings)

        def step(state, loss):
            _, state = plateau.update(jnp.ones(()), state, value=loss)
            return state, state.scale

        return jax.lax.scan(step, plateau.init(None), losses)[1]

    return jax.jit(jax.vmap(run))


def scales(lanes: Sequence[Lane], mode: str, threshold_mode: str) -> np.ndarray:
    """Our scale after each loss, [lane, observation]."""
    settings = {
        name: np.array([getattr(item, name) for item in lanes], dtype)
        for name, dtype in PLATEAU.items()
    }
    losses = np.array([item.losses for item in lanes], np.float32)
    return np.asarray(_program(mode, threshold_mode)(settings, losses), np.float64)
