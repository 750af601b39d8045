"""Finds a learning rate for the digits by a range test, and trains with what it suggests.

    python examples/lr_finder.py --steps 200 --epochs 10

The test trains once while the rate rises from 1e-5 to 10, until the loss diverges; it is one compiled
program. Four rules read a rate off the curve. They need not agree, so all are tried, and a tenth and
ten times of the first, `valley`, as well: all of these at once, each at a constant rate, by `jax.vmap`.
At the end there is a table, and a picture of the curve and of the trainings.
"""

import functools
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
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from optax_sched import RangeTest, lr_range_test

LOWEST, HIGHEST = 1e-5, 10.0
SMOOTHING = 0.95
COLORS = {
    "valley": "tab:blue",
    "steepest": "tab:green",
    "minimum": "tab:orange",
    "slide": "tab:red",
    "valley / 10": "lightskyblue",
    "valley * 10": "navy",
}

# AdamW without its rate, which comes from the test.
direction = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(WEIGHT_DECAY))


class Result(NamedTuple):
    name: str
    rate: float
    losses: np.ndarray  # one for each update
    train_loss: float
    test_accuracy: float


def update(data: Data, state: Any, batch: jax.Array, rate: jax.Array) -> Any:
    """One update at this rate: the new state, and the loss before it."""
    params, opt_state = state
    loss, gradient = jax.value_and_grad(mean_loss)(params, jax.tree.map(lambda x: x[batch], data))
    updates, opt_state = direction.update(gradient, opt_state, params)
    params = jax.tree.map(lambda param, step: param - rate * step, params, updates)
    return (params, opt_state), loss


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0, None, 0))
def train_epoch(data: Data, state: Any, batches: Any, rate: jax.Array) -> Any:
    """One pass over the data at a constant rate, for a batch of states and rates."""
    return jax.lax.scan(lambda state, batch: update(data, state, batch, rate), state, batches)


def find(setup: Setup, num_steps: int) -> RangeTest:
    step = jax.tree_util.Partial(update, setup.train)
    state = setup.params, direction.init(setup.params)
    size = setup.batches.shape[-1]
    batches = np.resize(setup.batches, (num_steps, size))  # gone through again if too few
    return lr_range_test(step, state, batches, LOWEST, HIGHEST, num_steps, SMOOTHING)


def rates_to_try(test: RangeTest) -> dict[str, float]:
    rates = {name: float(getattr(test, name)) for name in ("valley", "steepest", "minimum", "slide")}
    return {**rates, "valley / 10": rates["valley"] / 10, "valley * 10": rates["valley"] * 10}


def train(rates: dict[str, float], setup: Setup) -> list[Result]:
    """All rates at once, each from the same first weights."""
    values = np.asarray(list(rates.values()), np.float32)
    first = setup.params, direction.init(setup.params)
    state = jax.tree.map(lambda leaf: np.stack([leaf] * len(values)), first)
    history = []
    for batches in tqdm(setup.batches, unit="epoch", desc=f"training at {len(values)} rates"):
        state, losses = train_epoch(setup.train, state, batches, values)
        history.append(losses)
    params, _ = state
    train_losses = jax.vmap(mean_loss, in_axes=(0, None))(params, setup.train)
    accuracies = jax.vmap(accuracy, in_axes=(0, None))(params, setup.test)
    columns = rates.items(), np.concatenate(history, axis=1), train_losses, accuracies
    return [
        Result(name, rate, losses, float(train_loss), float(hits))
        for (name, rate), losses, train_loss, hits in zip(*columns, strict=True)
    ]


def print_table(results: list[Result]) -> None:
    table = Table("suggestion")
    for title in ("rate", "final train loss", "test accuracy"):
        table.add_column(title, justify="right")
    for one in results:
        accuracy = f"{one.test_accuracy:.1%}"
        table.add_row(one.name, f"{one.rate:.2e}", f"{one.train_loss:.4f}", accuracy)
    Console(width=100).print(table)


def draw_test(axes: Axes, test: RangeTest) -> None:
    seen = np.asarray(test.mask)
    rates, losses, means = (np.asarray(column)[seen] for column in test[:3])
    axes.plot(rates, losses, color="black", alpha=0.25, linewidth=1)
    axes.plot(rates, means, color="black", linewidth=2)
    names = sorted(("valley", "steepest", "minimum", "slide"), key=lambda name: getattr(test, name))
    # The label of the lowest rate is the highest one, so that no line runs through a label.
    for name, height in zip(names, (1.20, 1.14, 1.08, 1.02), strict=True):
        rate = float(getattr(test, name))
        mark = {"color": COLORS[name], "transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot([rate, rate], [0, height + 0.02], linewidth=1.5, **mark)
        axes.text(rate, height, f"  {name} {rate:#.2g}", **mark)
        axes.plot(rate, np.interp(np.log(rate), np.log(rates), means), "o", color=COLORS[name])
    low, high = losses.min(), means.max()  # single losses may be very high just before the end
    axes.set(xscale="log", ylim=(low - 0.05 * (high - low), high + 0.1 * (high - low)))
    axes.set(xlabel="learning rate", ylabel="training loss, and its smoothed mean")


def draw_training(axes: Axes, results: list[Result], smoothing: int) -> None:
    # From the highest final loss to the lowest, so that the legend reads as the curves end.
    for one in sorted(results, key=lambda one: -one.train_loss):
        label = f"{one.train_loss:.4f}  {one.name}"
        axes.plot(smoothed(one.losses, smoothing), color=COLORS[one.name], label=label)
    as_losses(axes)


def save_picture(test: RangeTest, results: list[Result], smoothing: int, path: str) -> None:
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    finder, training = figure.subplots(1, 2)
    draw_test(finder, test)
    draw_training(training, results, smoothing)
    tidy(finder, training)
    figure.legend(loc="outside right center", title="final train loss, suggestion", frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = parse_options(__doc__, steps=200, epochs=10, seed=0, out="lr_finder.png")
    setup = prepare(options.epochs, options.seed)
    test = find(setup, options.steps)
    count = int(test.mask.sum())
    if count < options.steps:
        print(
            f"the loss diverged at a rate of {test.rates[count]:.2g}, step {count} of {options.steps}"
        )
    else:
        print(f"the loss did not diverge in {options.steps} steps")
    results = train(rates_to_try(test), setup)
    print_table(results)
    save_picture(test, results, smoothing=setup.batches.shape[1], path=options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
