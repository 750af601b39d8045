"""Measures optax_sched and optax side by side, and prints one table.

    python examples/benchmark.py --json benchmark.json

Each figure is taken several times, ours and the other in turn in this one process; the table shows
medians and the spread of the ratios. It asserts nothing: reading it is the judgement. Times are of this
machine and this hour, the ratios less so.
"""

import argparse
import dataclasses
import functools
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from compare_schedules import Data, Setup, mean_loss, parse_options, prepare
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

import optax_sched as o

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclasses.dataclass
class Figure:
    """One line of the table: what the other takes, what ours takes, and their ratio."""

    name: str
    other: str
    ours: str
    ratio: float
    low: float
    high: float
    target: str


def text(seconds: float) -> str:
    unit = next((unit for unit, size in UNITS.items() if seconds >= size), "us")
    return f"{seconds / UNITS[unit]:.3g} {unit}"


def compared(
    name: str, target: str, others: list[float], ours: list[float], inverse: bool = False
) -> Figure:
    """The ratio of the other's time to ours, or of ours to the other's, run by run."""
    pairs = [(b / a if inverse else a / b) for a, b in zip(others, ours, strict=True)]
    ratio = statistics.median(ours) / statistics.median(others)
    return Figure(
        name,
        text(statistics.median(others)),
        text(statistics.median(ours)),
        ratio if inverse else 1 / ratio,
        min(pairs),
        max(pairs),
        target,
    )


def seconds(function: Callable[[], Any], count: int = 1) -> float:
    """What one call takes, the mean of `count` in a row."""
    start = time.perf_counter()
    jax.block_until_ready([function() for _ in range(count)][-1])
    return (time.perf_counter() - start) / count


def in_turn(repeats: int, *functions: Callable[[], Any], count: int = 1) -> list[list[float]]:
    """For each function its times, one run of each after another; the first run warms up."""
    times = [[seconds(function, count) for function in functions] for _ in range(repeats + 1)]
    return [list(column) for column in zip(*times[1:], strict=True)]


# --- a sweep, and a new value in a running loop


def train(setup: Setup, batches: Any, schedule: Any) -> Any:
    """AdamW on the digits at the rates of one schedule; any that optax takes."""
    optimizer = optax.adamw(schedule)

    def update(state: Any, batch: Any) -> Any:
        params, opt_state = state
        data = Data(setup.train.images[batch], setup.train.labels[batch])
        loss, gradient = jax.value_and_grad(mean_loss)(params, data)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    start = setup.params, optimizer.init(setup.params)
    return jax.lax.scan(update, start, batches)[1][-1]


def sweeps(options: argparse.Namespace) -> Iterator[Figure]:
    setup = prepare(5, seed=0)
    batches = jnp.concatenate(setup.batches)[:200]
    peaks = np.geomspace(1e-3, 0.1, 8).tolist()
    horizons = [50 * i for i in range(1, options.settings // 8 + 1)]
    others, ours, again = [], [], []

    def one_by_one(scale: float) -> list[jax.Array]:
        schedules = [optax.cosine_decay_schedule(p * scale, h) for p in peaks for h in horizons]
        return [jax.jit(functools.partial(train, setup, batches, s))() for s in schedules]

    def together(run: Any, scale: float) -> Any:
        values = {"init_value": [p * scale for p in peaks], "decay_steps": horizons}
        return o.sweep(run, o.grid(o.cosine_decay, **values)[0])

    for attempt in range(options.compilations):
        run = functools.partial(train, setup, batches)  # a new one, so that nothing is compiled yet
        others.append(seconds(lambda n=attempt: one_by_one(1 + 0.01 * n)))
        ours.append(seconds(lambda f=run, n=attempt: together(f, 1 + 0.01 * n)))
        again.append(seconds(lambda f=run, n=attempt: together(f, 2 + 0.01 * n)))
    settings = len(peaks) * len(horizons)
    yield compared(f"{settings} settings, 200 steps: optax / one sweep", ">= 30", others, ours)
    yield compared(f"{settings} other settings: optax / the same sweep again", "", others, again)


def new_values(options: argparse.Namespace) -> Iterator[Figure]:
    setup = prepare(1, seed=0)
    data = jax.tree.map(lambda leaf: leaf[:32], setup.train)

    def step(optimizer: Any, params: Any, opt_state: Any) -> Any:
        updates, opt_state = optimizer.update(jax.grad(mean_loss)(params, data), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    def chain(link: optax.GradientTransformation) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_adam(), link)

    def with_optax(peak: float) -> Any:
        optimizer = chain(optax.scale_by_learning_rate(optax.cosine_decay_schedule(peak, 100)))
        return jax.jit(functools.partial(step, optimizer))(setup.params, state)

    optimizer = chain(o.scale_by_learning_rate(o.cosine_decay(0.1, 100)))
    compiled = jax.jit(functools.partial(step, optimizer))
    state = chain(optax.scale_by_learning_rate(optax.cosine_decay_schedule(0.1, 100))).init(
        setup.params
    )
    running = compiled(setup.params, optimizer.init(setup.params))

    def with_ours(peak: float) -> Any:
        params, opt_state = running
        return compiled(params, o.replace_schedule(opt_state, o.cosine_decay(peak, 100)))

    with_ours(0.5)
    others, ours = [], []
    for attempt in range(5 * options.compilations):  # each is short
        peak = 0.01 * (attempt + 1)
        others.append(seconds(lambda peak=peak: with_optax(peak)))
        ours.append(seconds(lambda peak=peak: with_ours(peak)))
    yield compared("a new value in a running loop: recompile / replace", ">= 150", others, ours)


# --- one value at a time

PAIRS: dict[str, tuple[Any, Any]] = {
    "polynomial": (
        optax.polynomial_schedule(0.1, 0.0, 2.0, 1000),
        o.polynomial_decay(0.1, 1000, power=2.0),
    ),
    "linear": (optax.linear_schedule(0.1, 0.0, 1000), o.linear(0.1, 0.0, 1000)),
    "cosine": (optax.cosine_decay_schedule(0.1, 1000), o.cosine_decay(0.1, 1000)),
    "exponential": (optax.exponential_decay(0.1, 100, 0.5), o.exponential_decay(0.1, 100, 0.5)),
    "staircase": (optax.exponential_decay(0.1, 100, 0.5, staircase=True), o.step_decay(0.1, 100, 0.5)),
    "piecewise constant": (
        optax.piecewise_constant_schedule(0.1, {300: 0.1, 600: 0.1}),
        o.multistep_decay(0.1, [300, 600], 0.1),
    ),
    "piecewise linear": (
        optax.piecewise_interpolate_schedule("linear", 0.1, {300: 0.1, 600: 0.1}),
        o.piecewise_interpolate([0.1, 0.01, 0.001], [300, 600]),
    ),
    "warm-up, constant": (
        optax.warmup_constant_schedule(0.0, 0.1, 100),
        o.warmup(o.constant(0.1), 100),
    ),
    "warm-up, cosine": (
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 100, 1000),
        o.warmup_cosine_decay(0.1, 100, 1000),
    ),
    "warm-up, exponential": (
        optax.warmup_exponential_decay_schedule(0.0, 0.1, 100, 100, 0.5),
        o.warmup(o.exponential_decay(0.1, 100, 0.5), 100),
    ),
    "one cycle, cosine": (optax.cosine_onecycle_schedule(1000, 0.1), o.one_cycle(0.1, 1000)),
    "one cycle, linear": (
        optax.linear_onecycle_schedule(1000, 0.1),
        o.one_cycle(0.1, 1000, three_phase=True, shape="linear"),
    ),
    "sgdr": (
        optax.sgdr_schedule(
            [{"init_value": 0.0, "peak_value": 0.1, "decay_steps": 250, "warmup_steps": 10}] * 4
        ),
        o.join([o.warmup_cosine_decay(0.1, 10, 250)] * 4, [250, 500, 750]),
    ),
    "join of 64": (
        optax.join_schedules(
            [optax.linear_schedule(0.1, 0.0, 10 + i) for i in range(64)], list(range(20, 1280, 20))
        ),
        o.join([o.linear(0.1, 0.0, 10 + i) for i in range(64)], list(range(20, 1280, 20))),
    ),
}


def eager_calls(options: argparse.Namespace) -> Iterator[Figure]:
    ratios, to_bare = [], []
    for name, (other, ours) in PAIRS.items():
        functions = [lambda f=f: f(400) for f in (other, ours, jax.jit(other))]
        many = name == "join of 64"
        times = in_turn(options.repeats, *functions, count=50)
        figure = compared(
            f"eager call, {name}: optax / ours", ">= 100" if many else ">= 2", times[0], times[1]
        )
        ratios.append(figure.ratio)
        to_bare.append(compared(name, "", times[2], times[1], inverse=True).ratio)
        yield figure
    yield summary("eager call, the median of these", ratios, statistics.median, ">= 5")
    yield summary("eager call, the worst of ours / a bare jitted call", to_bare, max, "<= 2")


def summary(name: str, ratios: list[float], of: Callable[[list[float]], float], target: str) -> Figure:
    return Figure(name, "", "", of(ratios), min(ratios), max(ratios), target)


# --- many values at a time


def many_steps(options: argparse.Namespace) -> Iterator[Figure]:
    steps = jnp.arange(options.steps, dtype=jnp.int32)
    copy = jax.jit(lambda x: x + 1)
    on_cpu = jax.default_backend() == "cpu"
    schedules = {
        "linear": (o.linear(0.1, 0.0, options.steps), 0.5),
        "step": (o.step_decay(0.1, options.steps // 10, 0.5), 0.35),
        "cosine": (o.cosine_decay(0.1, options.steps), 0.3),
    }
    for name, (schedule, on_a_cpu) in schedules.items():
        others, ours = in_turn(
            options.repeats, lambda: copy(steps), lambda s=schedule: s(steps), count=3
        )
        target = f">= {on_a_cpu if on_cpu else 0.8}"
        yield compared(
            f"{options.steps:.0e} steps, {name}: values a second, ours / a copy", target, others, ours
        )


# --- Python's share of a step


class Cosine(eqx.Module):
    """The hyperparameters of a cosine, as a module of the same kind holds them."""

    init_value: float
    decay_steps: int
    end_value: float
    exponent: float


class Warmed(eqx.Module):
    """A module around a module."""

    schedule: Cosine
    warmup_steps: int
    init_value: float


def in_python(options: argparse.Namespace) -> Iterator[Figure]:
    ours = o.warmup(o.cosine_decay(0.1, 900), 100)
    module = Warmed(Cosine(0.1, 900, 0.0, 1.0), 100, 0.0)
    trees = [lambda tree=tree: jax.tree.flatten(tree)[0] for tree in (module, ours)]
    times = in_turn(options.repeats, *trees, count=2000)
    yield compared("flatten a schedule / the same leaves in equinox", "<= 1", *times, inverse=True)

    gradient = jnp.ones(3)

    def running(optimizer: Any, **metric: Any) -> Callable[[], Any]:
        update = jax.jit(optimizer.update)
        held = [update(gradient, optimizer.init(gradient), **metric)[1]]

        def step() -> Any:
            held[0] = update(gradient, held[0], **metric)[1]
            return held[0]

        return step

    inject = optax.inject_hyperparams(optax.sgd)
    theirs = optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, 100)
    ours = o.warmup_cosine_decay(0.1, 10, 100)
    pairs = {
        "a jitted update, scale_by_learning_rate": (
            "<= 3",
            running(optax.scale_by_learning_rate(theirs)),
            running(o.scale_by_learning_rate(ours)),
        ),
        "a jitted update, injected plateau": (
            "<= 5.2",
            running(inject(learning_rate=theirs)),
            running(inject(learning_rate=o.plateau(ours)), value=jnp.float32(1)),
        ),
    }
    for name, (target, other, own) in pairs.items():
        times = in_turn(options.repeats, other, own, count=500)
        yield compared(f"{name}: ours / optax", target, *times, inverse=True)


# --- inside a training step


def kernels(compiled: Any) -> int:
    """What the compiled program runs one after another: fusions, products, calls into libraries."""
    entry = compiled.as_text().partition("\nENTRY ")[2]
    idle = r"parameter|constant|tuple|get-tuple-element|bitcast|copy-done|copy-start"
    operations = re.findall(r"^\s+(?:ROOT )?%?\S+ = .*?[\])}] ([a-z][\w-]*)\(", entry, re.MULTILINE)
    return sum(not re.fullmatch(idle, operation) for operation in operations)


def training_steps(options: argparse.Namespace) -> Iterator[Figure]:
    side = math.isqrt(options.params // 10)
    params = [jnp.ones((side, side)) * 0.01 for _ in range(10)]
    gradient = jax.tree.map(lambda leaf: leaf * 0.1, params)

    def prepared(rate: Any) -> tuple[Callable[[], Any], int]:
        optimizer = optax.adamw(rate)

        def step(params: Any, state: Any, gradient: Any) -> Any:
            updates, state = optimizer.update(gradient, state, params)
            return optax.apply_updates(params, updates), state

        state = optimizer.init(params)
        compiled = jax.jit(step).lower(params, state, gradient).compile()
        return lambda: compiled(params, state, gradient), kernels(compiled)

    rates = [0.1, o.cosine_decay(0.1, 1000), optax.cosine_decay_schedule(0.1, 1000)]
    (constant, _), (scheduled, ours), (_, others) = map(prepared, rates)
    times = in_turn(options.repeats, constant, scheduled, count=3)
    size = f"AdamW on {options.params:.0e} parameters"
    yield compared(f"{size}: scheduled / constant", "<= 1.02", *times, inverse=True)
    yield Figure(
        f"{size}: kernels", f"{others}", f"{ours}", ours / others, ours / others, ours / others, "<= 1"
    )


def joins(options: argparse.Namespace) -> Iterator[Figure]:
    def join(parts: int, attempt: int) -> Any:
        return o.join(
            [o.cosine_decay(0.1 + attempt, 10 + i) for i in range(parts)],
            list(range(10, 10 * parts, 10)),
        )

    def equations(parts: int) -> int:
        return len(re.findall(r" = ", str(jax.make_jaxpr(lambda s, t: s(t))(join(parts, 0), 5))))

    def compile_one(parts: int, attempt: int) -> Any:
        return jax.jit(lambda s, t: s(t) + attempt).lower(join(parts, attempt), 5).compile()

    few = [seconds(lambda i=i: compile_one(2, i)) for i in range(options.compilations + 1)][1:]
    for parts in (16, 64, 256):
        many = [
            seconds(lambda i=i, p=parts: compile_one(p, i)) for i in range(options.compilations + 1)
        ][1:]
        a, b = equations(2), equations(parts)
        yield Figure(
            f"join of {parts} / of 2: equations", f"{a}", f"{b}", b / a, b / a, b / a, "<= 1.5"
        )
        yield compared(f"join of {parts} / of 2: time to compile", "<= 2.2", few, many, inverse=True)


def imports(options: argparse.Namespace) -> Iterator[Figure]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    # Without the garbage collector: one long pause falls into either import, as it happens.
    program = (
        "import gc, time; gc.disable(); a = time.perf_counter(); import jax, optax;"
        "b = time.perf_counter(); import optax_sched; print(b - a, time.perf_counter() - b)"
    )
    others, ours = [], []
    for _ in range(options.repeats + 1):  # the first compiles to byte code
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, capture_output=True, check=True, encoding="utf-8", env=environment
        )
        base, added = map(float, done.stdout.split())
        others.append(base)
        ours.append(added)
    yield compared(
        "import optax_sched / import jax, optax", "<= 0.03", others[1:], ours[1:], inverse=True
    )


FIGURES = (sweeps, new_values, eager_calls, many_steps, in_python, training_steps, joins, imports)


def print_table(figures: list[Figure], where: str) -> None:
    table = Table(title=where)
    for title in ("figure", "other", "ours", "ratio", "spread", "target"):
        table.add_column(title, justify="left" if title == "figure" else "right", no_wrap=True)
    for f in figures:
        table.add_row(
            f.name, f.other, f.ours, f"{f.ratio:.3g}", f"{f.low:.3g} - {f.high:.3g}", f.target
        )
    Console(width=130).print(table)


def main() -> None:
    options = parse_options(
        __doc__, repeats=15, compilations=3, settings=32, steps=10**7, params=10**7, json=""
    )
    device = jax.devices()[0]
    versions = f"jax {jax.__version__}, optax {optax.__version__}, Python {platform.python_version()}"
    where = f"{device.platform}: {device.device_kind}, {os.cpu_count()} cores, {versions}"
    figures = [figure for measure in tqdm(FIGURES, "measuring") for figure in measure(options)]
    print_table(figures, where)
    if options.json:
        content = {"where": where, "figures": [dataclasses.asdict(figure) for figure in figures]}
        Path(options.json).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(f"figures: {options.json}")


if __name__ == "__main__":
    main()
