"""Trains the same small network on handwritten digits once for each family of schedules.

    python examples/compare_schedules.py --epochs 40 --peak 0.03

The schedule is an argument of the one compiled function, `train_epoch`. It is a pytree whose leaves are
its hyperparameters, so that JAX compiles once for each family, and not again for another peak, horizon,
boundary or patience. At the end there is a table, and a picture of all rates and losses.
"""

import argparse
import math
import time
from collections import Counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from optax_sched import (
    Schedule,
    constant,
    cosine_decay,
    cosine_restarts,
    exponential_decay,
    join,
    linear,
    log_decay,
    mix,
    multistep_decay,
    polynomial_decay,
    progress,
    reduce_on_plateau,
    scale_by_learning_rate,
    schedule,
    step_decay,
    warmup,
)

LAYERS = (64, 64, 10)  # an image has 8 x 8 pixels, and there are ten digits
BATCH_SIZE = 32
WEIGHT_DECAY = 0.1
NEVER = 2**31 - 1  # a patience that no training outlasts

programs: Counter[str] = Counter()

# A schedule of one's own takes one line, and can do all that the built-in ones can.
late_decay = schedule(
    lambda step, init_value, decay_steps: mix(init_value, 0.0, progress(step, decay_steps) ** 2),
    name="late_decay",
)


class Data(NamedTuple):
    images: jax.Array  # shape (n, 64), from 0 to 1
    labels: jax.Array  # shape (n,), from 0 to 9


class Setup(NamedTuple):
    """What all runs have in common."""

    params: Any
    batches: np.ndarray  # of indices, shape (epochs, updates in an epoch, BATCH_SIZE)
    train: Data
    test: Data


class Run(NamedTuple):
    name: str
    color: str
    schedule: Schedule
    patience: int = NEVER


class Result(NamedTuple):
    run: Run
    losses: np.ndarray  # one for each update
    rates: np.ndarray  # one for each update
    train_loss: float
    test_accuracy: float
    seconds: float


def list_runs(peak: float, steps: int) -> list[Run]:
    """Every family once, and cosine_decay with a second peak, which compiles nothing."""
    cosine = cosine_decay(peak, steps)
    rise, fall = linear(0.0, peak, steps // 10), linear(peak, 0.0, steps // 4)
    return [
        Run("constant", "black", constant(peak)),
        Run("linear", "tab:red", linear(peak, 0.0, steps)),
        Run("step_decay", "tab:orange", step_decay(peak, steps // 5, 0.5)),
        Run("multistep_decay", "gold", multistep_decay(peak, [steps // 2, steps * 4 // 5], 0.2)),
        Run("polynomial_decay", "tab:brown", polynomial_decay(peak, steps, power=2.0)),
        Run("exponential_decay", "tab:pink", exponential_decay(peak, steps, 0.02)),
        Run("cosine_decay", "tab:blue", cosine),
        Run("cosine_decay, half the peak", "lightskyblue", cosine.replace(init_value=peak / 2)),
        Run("cosine_restarts", "tab:green", cosine_restarts(peak, steps / 7, period_mult=2)),
        Run("log_decay", "tab:purple", log_decay(peak, steps)),
        Run("warmup(cosine_decay)", "navy", warmup(cosine_decay(peak, steps * 9 // 10), steps // 10)),
        Run(
            "join(rise, flat, fall)",
            "yellowgreen",
            join([rise, peak, fall], [steps // 10, steps * 3 // 4]),
        ),
        Run("late_decay, a custom one", "turquoise", late_decay(peak, steps)),
        Run("reduce_on_plateau(constant)", "tab:gray", constant(peak), patience=2),
    ]


def optimizer(schedule: Any, patience: Any, window: int) -> optax.GradientTransformationExtraArgs:
    """AdamW at the schedule's rate, halved where the mean of `window` losses stops improving.

    All runs have this plateau rule, most with a patience that never ends: so a constant rate with it
    and one without it are the same program.
    """
    return optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(WEIGHT_DECAY),
        scale_by_learning_rate(schedule),
        reduce_on_plateau(factor=0.5, patience=patience, window=window),
    )


def initial_params(key: jax.Array) -> list[dict[str, jax.Array]]:
    keys = jax.random.split(key, len(LAYERS) - 1)
    return [
        {"w": jax.random.normal(k, (m, n)) * math.sqrt(2 / m), "b": jnp.zeros(n)}
        for k, m, n in zip(keys, LAYERS[:-1], LAYERS[1:], strict=True)
    ]


def logits(params: Any, images: jax.Array) -> jax.Array:
    *hidden, last = params
    for layer in hidden:
        images = jax.nn.relu(images @ layer["w"] + layer["b"])
    return images @ last["w"] + last["b"]


def mean_loss(params: Any, data: Data) -> jax.Array:
    scores = logits(params, data.images)
    return optax.softmax_cross_entropy_with_integer_labels(scores, data.labels).mean()


def accuracy(params: Any, data: Data) -> jax.Array:
    return (logits(params, data.images).argmax(axis=-1) == data.labels).mean()


@jax.jit
def train_epoch(schedule: Schedule, patience: Any, state: Any, data: Data, batches: Any) -> Any:
    """One pass over the data: the new state, and each update's loss and rate."""
    programs["train_epoch"] += 1  # Python comes here only when JAX traces a new program
    opt = optimizer(schedule, patience, window=len(batches))

    def train_step(state: Any, batch: jax.Array) -> Any:
        params, opt_state = state
        loss, gradient = jax.value_and_grad(mean_loss)(params, jax.tree.map(lambda x: x[batch], data))
        updates, opt_state = opt.update(gradient, opt_state, params, value=loss)
        return (optax.apply_updates(params, updates), opt_state), (loss, last_rate(opt_state))

    return jax.lax.scan(train_step, state, batches)


def last_rate(opt_state: Any) -> jax.Array:
    """The rate that the last update used."""
    *_, scheduled, plateau = opt_state
    return scheduled.value * plateau.scale


def train(run: Run, setup: Setup, bar: tqdm) -> Result:
    bar.set_description(run.name)
    start = time.perf_counter()
    opt = optimizer(run.schedule, run.patience, window=setup.batches.shape[1])
    state = setup.params, opt.init(setup.params)
    history = []
    for batches in setup.batches:
        state, losses_and_rates = train_epoch(run.schedule, run.patience, state, setup.train, batches)
        history.append(losses_and_rates)
        bar.update()
    losses, rates = np.concatenate(history, axis=1)
    params, _ = state
    train_loss, test_accuracy = mean_loss(params, setup.train), accuracy(params, setup.test)
    seconds = time.perf_counter() - start
    return Result(run, losses, rates, float(train_loss), float(test_accuracy), seconds)


def prepare(epochs: int, seed: int) -> Setup:
    """The digits, 1437 to train on and 360 to test with, the first weights, and all batches."""
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(
        np.asarray(images / 16, np.float32), labels, test_size=0.2, stratify=labels, random_state=seed
    )
    count = len(train_labels)
    shuffle = np.random.default_rng(seed)
    orders = np.stack([shuffle.permutation(count) for _ in range(epochs)])
    return Setup(
        initial_params(jax.random.key(seed)),
        orders[:, : count - count % BATCH_SIZE].reshape(epochs, -1, BATCH_SIZE),
        Data(jnp.asarray(train_images), jnp.asarray(train_labels)),
        Data(jnp.asarray(test_images), jnp.asarray(test_labels)),
    )


def print_table(results: list[Result]) -> None:
    table = Table("schedule")
    for title in ("final train loss", "test accuracy", "seconds"):
        table.add_column(title, justify="right")
    for result in results:
        table.add_row(
            result.run.name,
            f"{result.train_loss:.4f}",
            f"{result.test_accuracy:.1%}",
            f"{result.seconds:.2f}",
        )
    Console(width=100).print(table)


def smoothed(values: np.ndarray, length: int) -> list[float]:
    """The exponential mean over about `length` values, unbiased from the first on."""
    decay, mean, means = 1 - 1 / length, 0.0, []
    for count, value in enumerate(values.tolist(), start=1):
        mean = decay * mean + (1 - decay) * value
        means.append(mean / (1 - decay**count))
    return means


def as_losses(axes: Axes) -> None:
    """The axes of training losses by step, with round numbers on a log scale."""
    axes.set(title="training loss, smoothed", xlabel="step", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def tidy(*panels: Axes) -> None:
    for axes in panels:
        axes.margins(x=0.01)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)


def save_picture(results: list[Result], smoothing: int, path: str) -> None:
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    rates, losses = figure.subplots(1, 2)
    # From the highest final loss to the lowest, so that the legend reads as the curves end.
    for result in sorted(results, key=lambda result: -result.train_loss):
        label = f"{result.train_loss:.4f}  {result.run.name}"
        rates.plot(result.rates, color=result.run.color, label=label)
        losses.plot(smoothed(result.losses, smoothing), color=result.run.color)
    rates.set(title="learning rate", xlabel="step")
    as_losses(losses)
    tidy(rates, losses)
    figure.legend(loc="outside right center", title="final train loss, schedule", frameon=False)
    figure.savefig(path, dpi=150)


def parse_options(text: str | None, **defaults: Any) -> argparse.Namespace:
    """An example's options: one for each default, and of its type."""
    parser = argparse.ArgumentParser(description=(text or "").partition("\n")[0])
    for name, default in defaults.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default, help="default: %(default)s")
    return parser.parse_args()


def main() -> None:
    options = parse_options(__doc__, epochs=40, peak=0.03, seed=0, out="schedules.png")
    setup = prepare(options.epochs, options.seed)
    epochs, steps_per_epoch, _ = setup.batches.shape
    runs = list_runs(options.peak, epochs * steps_per_epoch)
    with tqdm(total=len(runs) * epochs, unit="epoch") as bar:
        results = [train(run, setup, bar) for run in runs]
    print_table(results)
    print(f"{len(runs)} schedules, {programs['train_epoch']} compiled programs: one for each family")
    save_picture(results, smoothing=steps_per_epoch, path=options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
