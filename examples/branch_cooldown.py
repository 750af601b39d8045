"""Branches three cooldowns off one running job; all of it is one compiled program.

    python examples/branch_cooldown.py --epochs 30 --cooldown 10

The length of a training need not be settled before it starts. The trunk warms up and goes on at a
constant rate. Its schedule is a cooldown that never starts; it rides in the optimizer's state. To see
what the model is worth at some step, take the state as it is there, put the same schedule with another
`start` into it, and let this branch decay to 0, while the trunk goes on. `start` is data: JAX compiles
nothing anew. At the end there is a table, and a picture of all rates and losses.
"""

import functools
from collections import Counter
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from compare_schedules import (
    WEIGHT_DECAY,
    Data,
    Setup,
    accuracy,
    as_losses,
    mean_loss,
    parse_options,
    prepare,
    smoothed,
    tidy,
)
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from optax_sched import cooldown, current_value, replace_schedule, scale_by_learning_rate, warmup

NEVER = 2**31 - 1  # a step that no training reaches
COLORS = ("tab:orange", "tab:green", "tab:blue")  # one for each branch

programs: Counter[str] = Counter()


class History(NamedTuple):
    losses: np.ndarray  # one for each update
    rates: np.ndarray  # one for each update


class Result(NamedTuple):
    name: str
    color: str
    start: int  # its first update
    history: History
    train_loss: float
    test_accuracy: float


def optimizer(schedule: Any) -> optax.GradientTransformationExtraArgs:
    return optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(WEIGHT_DECAY),
        scale_by_learning_rate(schedule),
    )


@functools.partial(jax.jit, static_argnames="opt")
def train_epoch(opt: Any, state: Any, data: Data, batches: Any) -> Any:
    """One pass over the data: the new state, and each update's loss and rate."""
    programs["train_epoch"] += 1  # Python comes here only when JAX traces a new program

    def train_step(state: Any, batch: jax.Array) -> Any:
        params, opt_state = state
        loss, gradient = jax.value_and_grad(mean_loss)(params, jax.tree.map(lambda x: x[batch], data))
        updates, opt_state = opt.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), (loss, current_value(opt_state))

    return jax.lax.scan(train_step, state, batches)


def train(opt: Any, state: Any, data: Data, batches: np.ndarray, bar: tqdm) -> tuple[Any, History]:
    """All epochs that `batches` has."""
    histories = []
    for epoch in batches:
        state, losses_and_rates = train_epoch(opt, state, data, epoch)
        histories.append(losses_and_rates)
        bar.update()
    return state, History(*np.concatenate(histories, axis=1))


def trunk_and_branches(setup: Setup, epochs: int, decay: int, peak: float, bar: tqdm) -> list[Result]:
    """Trains the trunk, and off it a branch after each third of its epochs."""
    _, steps, _ = setup.batches.shape  # in an epoch
    schedule = cooldown(warmup(peak, steps), start=NEVER, cooldown_steps=decay * steps)
    opt = optimizer(schedule)
    trunk = setup.params, opt.init(setup.params)
    histories, branches, done = [], [], 0
    for color, end in zip(COLORS, (epochs // 3, epochs * 2 // 3, epochs), strict=True):
        bar.set_description("trunk")
        trunk, history = train(opt, trunk, setup.train, setup.batches[done:end], bar)
        histories.append(history)
        params, opt_state = trunk
        start, done = end * steps, end
        bar.set_description(f"cooldown from {start}")
        branch = params, replace_schedule(opt_state, schedule.replace(start=start))
        batches = setup.batches[end : end + decay]
        branch, history = train(opt, branch, setup.train, batches, bar)
        branches.append(result(f"cooldown from {start}", color, start, history, branch, setup))
    history = History(*np.concatenate(histories, axis=1))
    return [result("trunk", "black", 0, history, trunk, setup), *branches]


def result(name: str, color: str, start: int, history: History, state: Any, setup: Setup) -> Result:
    params, _ = state
    loss, hits = mean_loss(params, setup.train), accuracy(params, setup.test)
    return Result(name, color, start, history, float(loss), float(hits))


def print_table(results: list[Result]) -> None:
    table = Table("branch")
    for title in ("steps", "final train loss", "test accuracy"):
        table.add_column(title, justify="right")
    for one in results:
        steps = one.start + len(one.history.rates)
        table.add_row(one.name, str(steps), f"{one.train_loss:.4f}", f"{one.test_accuracy:.1%}")
    Console(width=100).print(table)


def save_picture(results: list[Result], smoothing: int, path: str) -> None:
    figure = Figure(figsize=(12, 5), layout="constrained")
    rates, losses = figure.subplots(1, 2)
    trunk, *_ = results
    for one in results:
        steps = one.start + np.arange(len(one.history.rates))
        rates.plot(steps, one.history.rates, color=one.color, label=f"{one.train_loss:.4f}  {one.name}")
        since_0 = np.concatenate([trunk.history.losses[: one.start], one.history.losses])
        losses.plot(steps, smoothed(since_0, smoothing)[one.start :], color=one.color)
    rates.set(title="learning rate", xlabel="step")
    as_losses(losses)
    tidy(rates, losses)
    figure.legend(loc="outside right center", title="final train loss, branch", frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = parse_options(
        __doc__, epochs=30, cooldown=10, peak=0.03, seed=0, out="branch_cooldown.png"
    )
    setup = prepare(options.epochs + options.cooldown, options.seed)
    with tqdm(total=options.epochs + len(COLORS) * options.cooldown, unit="epoch") as bar:
        results = trunk_and_branches(setup, options.epochs, options.cooldown, options.peak, bar)
    print_table(results)
    count = programs["train_epoch"]
    print(f"trunk and {len(results) - 1} branches, compiled programs: {count}")
    save_picture(results, smoothing=setup.batches.shape[1], path=options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
