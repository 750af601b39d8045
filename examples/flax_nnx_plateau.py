"""Trains a small Flax NNX network on handwritten digits, at a rate that is cut on plateaus.

    python examples/flax_nnx_plateau.py --epochs 40 --rate 0.01

`nnx.Optimizer.update` hands its keyword arguments on to optax, so that `reduce_on_plateau` reads the
loss of each update from `value=`. Its window is an epoch: where the mean loss of the epochs stops
improving, the rate is cut. `current_value` reads the rate from the optimizer's state. At the end there
is a table with a row for each rate.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from compare_schedules import parse_options
from flax import nnx
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from optax_sched import constant, current_value, reduce_on_plateau, scale_by_learning_rate

BATCH_SIZE = 32
WEIGHT_DECAY = 1e-3
FACTOR = 0.3  # of a cut
MIN_SCALE = 0.01  # the rate is never cut below this part of itself


class Data(NamedTuple):
    images: np.ndarray  # shape (n, 8, 8, 1), from 0 to 1
    labels: np.ndarray  # shape (n,), from 0 to 9


class Epoch(NamedTuple):
    number: int  # from 1
    rate: float  # of its updates but the last: with that comes a cut
    loss: float  # the mean over its updates
    test_accuracy: float


class Network(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Conv(1, 16, kernel_size=(3, 3), strides=2, rngs=rngs)
        self.second = nnx.Conv(16, 32, kernel_size=(3, 3), strides=2, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.last = nnx.Linear(2 * 2 * 32, 10, rngs=rngs)

    def __call__(self, images: Any) -> jax.Array:
        features = nnx.relu(self.second(nnx.relu(self.first(images))))
        return self.last(self.dropout(features.reshape(len(images), -1)))


def make_optimizer(model: Network, rate: float, patience: int, window: int) -> nnx.Optimizer:
    """AdamW at a constant rate, cut on plateaus of the mean of `window` losses.

    The plateau rule comes after Adam, which would normalise its scale away.
    """
    chain = optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(WEIGHT_DECAY),
        scale_by_learning_rate(constant(rate)),
        reduce_on_plateau(factor=FACTOR, patience=patience, min_scale=MIN_SCALE, window=window),
    )
    return nnx.Optimizer(model, chain, wrt=nnx.Param)


def mean_loss(model: Network, images: Any, labels: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()


@nnx.jit
def train_step(model: Network, optimizer: nnx.Optimizer, images: Any, labels: Any) -> jax.Array:
    loss, gradient = nnx.value_and_grad(mean_loss)(model, images, labels)
    optimizer.update(model, gradient, value=loss)
    return loss


@nnx.jit
def accuracy(model: Network, images: Any, labels: Any) -> jax.Array:
    return (model(images).argmax(axis=-1) == labels).mean()


def batches(data: Data, shuffle: np.random.Generator) -> Iterator[Data]:
    count = len(data.labels)
    for indices in shuffle.permutation(count)[: count - count % BATCH_SIZE].reshape(-1, BATCH_SIZE):
        yield Data(data.images[indices], data.labels[indices])


def train(
    model: Network, optimizer: nnx.Optimizer, data: Data, test: Data, epochs: int, seed: int
) -> list[Epoch]:
    shuffle = np.random.default_rng(seed)
    rate = float(current_value(optimizer.opt_state))
    history = []
    bar = tqdm(range(1, epochs + 1), unit="epoch")
    for number in bar:
        model.train()
        losses = [train_step(model, optimizer, *batch) for batch in batches(data, shuffle)]
        model.eval()
        loss = float(jnp.stack(losses).mean())
        history.append(Epoch(number, rate, loss, float(accuracy(model, *test))))
        rate = float(current_value(optimizer.opt_state))
        if rate < history[-1].rate:
            bar.write(f"epoch {number}: no lower loss any more, the rate is cut to {rate:.3g}")
    return history


def load(seed: int) -> tuple[Data, Data]:
    """1437 digits to train on, and 360 to test with."""
    images, labels = load_digits(return_X_y=True)
    images = np.asarray(images / 16, np.float32).reshape(-1, 8, 8, 1)
    train_images, test_images, train_labels, test_labels = map(
        np.asarray,
        train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=seed),
    )
    return Data(train_images, train_labels), Data(test_images, test_labels)


def print_table(history: list[Epoch]) -> None:
    table = Table("epochs")
    for title in ("rate", "loss", "test accuracy"):
        table.add_column(title, justify="right")
    for rate, epochs in itertools.groupby(history, key=lambda epoch: epoch.rate):
        rows = list(epochs)
        table.add_row(
            f"{rows[0].number} to {rows[-1].number}",
            f"{rate:.3g}",
            f"{rows[-1].loss:.4f}",
            f"{rows[-1].test_accuracy:.1%}",
        )
    Console(width=100).print(table)


def main() -> None:
    options = parse_options(__doc__, epochs=40, rate=0.01, patience=2, seed=0)
    data, test = load(options.seed)
    model = Network(nnx.Rngs(options.seed))
    steps_per_epoch = len(data.labels) // BATCH_SIZE
    optimizer = make_optimizer(model, options.rate, options.patience, window=steps_per_epoch)
    history = train(model, optimizer, data, test, options.epochs, options.seed)
    print_table(history)


if __name__ == "__main__":
    main()
