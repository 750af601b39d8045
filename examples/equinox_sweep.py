"""Trains a small Equinox network on handwritten digits for many schedules at once.

    python examples/equinox_sweep.py --epochs 30 --peaks 8 --horizons 4

Every peak is tried with every horizon of `warmup(cosine_decay(...))`. A schedule is a pytree whose
leaves are its hyperparameters, so that all of them are one pytree with a leading axis, and `vmap` over
it trains all networks side by side, in one program that is compiled once. At the end there is a table
of the best five, by the loss on digits that no network was trained on.
"""

import itertools
from collections import Counter
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from compare_schedules import BATCH_SIZE, WEIGHT_DECAY, Data, parse_options
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from optax_sched import Schedule, cosine_decay, scale_by_learning_rate, warmup

WIDTH = 64
LOWEST_PEAK, HIGHEST_PEAK = 3e-4, 0.3
WARMUP_PART = 0.1  # of the horizon

programs: Counter[str] = Counter()


class Setting(NamedTuple):
    peak: float
    horizon: int  # in steps: from there on the rate is 0


class Scores(NamedTuple):
    """Of the trained networks, each of shape (settings,)."""

    train_loss: jax.Array
    validation_loss: jax.Array
    validation_accuracy: jax.Array


def make_schedule(peak: Any, horizon: Any) -> Schedule:
    rise = WARMUP_PART * horizon
    return warmup(cosine_decay(peak, horizon - rise), rise)


def list_settings(peaks: int, horizons: int, steps: int) -> list[Setting]:
    """All pairs: peaks in equal ratios, horizons in equal steps up to the whole training."""
    heights = np.geomspace(LOWEST_PEAK, HIGHEST_PEAK, peaks).tolist()
    ends = [steps * part // horizons for part in range(1, horizons + 1)]
    return [Setting(peak, horizon) for peak, horizon in itertools.product(heights, ends)]


def mean_loss(model: eqx.nn.MLP, data: Data) -> jax.Array:
    scores = jax.vmap(model)(data.images)
    return optax.softmax_cross_entropy_with_integer_labels(scores, data.labels).mean()


def accuracy(model: eqx.nn.MLP, data: Data) -> jax.Array:
    return (jax.vmap(model)(data.images).argmax(axis=-1) == data.labels).mean()


def train(
    schedule: Schedule, model: eqx.nn.MLP, batches: jax.Array, data: Data, held_out: Data
) -> Scores:
    """AdamW at the rates of one schedule; `batches` are indices, of shape (steps, BATCH_SIZE)."""
    programs["train"] += 1  # Python comes here only when JAX traces a new program
    opt = optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(WEIGHT_DECAY),
        scale_by_learning_rate(schedule),
    )
    weights, rest = eqx.partition(model, eqx.is_inexact_array)

    def train_step(state: Any, batch: jax.Array) -> Any:
        weights, opt_state = state
        part = jax.tree.map(lambda x: x[batch], data)
        gradient = jax.grad(lambda weights: mean_loss(eqx.combine(weights, rest), part))(weights)
        updates, opt_state = opt.update(gradient, opt_state, weights)
        return (optax.apply_updates(weights, updates), opt_state), None

    (weights, _), _ = jax.lax.scan(train_step, (weights, opt.init(weights)), batches)
    model = eqx.combine(weights, rest)
    return Scores(mean_loss(model, data), mean_loss(model, held_out), accuracy(model, held_out))


# One schedule of the batch for each network; all else is the same for all.
train_all = eqx.filter_jit(eqx.filter_vmap(train, in_axes=(0, None, None, None, None)))


def load(seed: int) -> tuple[Data, Data]:
    """1437 digits to train on, and 360 to choose by."""
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(
        np.asarray(images / 16, np.float32), labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return (
        Data(jnp.asarray(train_images), jnp.asarray(train_labels)),
        Data(jnp.asarray(test_images), jnp.asarray(test_labels)),
    )


def draw_batches(count: int, epochs: int, seed: int) -> np.ndarray:
    """Indices of shape (steps, BATCH_SIZE): every epoch has an order of its own."""
    shuffle = np.random.default_rng(seed)
    orders = np.stack([shuffle.permutation(count) for _ in range(epochs)])
    return orders[:, : count - count % BATCH_SIZE].reshape(-1, BATCH_SIZE)


def print_best(settings: list[Setting], scores: Scores) -> None:
    table = Table()
    for title in ("peak", "horizon", "train loss", "validation loss", "accuracy"):
        table.add_column(title, justify="right")
    for i in np.argsort(scores.validation_loss)[:5]:  # NaN comes last
        table.add_row(
            f"{settings[i].peak:.2g}",
            f"{settings[i].horizon}",
            f"{scores.train_loss[i]:.4f}",
            f"{scores.validation_loss[i]:.4f}",
            f"{scores.validation_accuracy[i]:.1%}",
        )
    Console(width=100).print(table)


def main() -> None:
    options = parse_options(__doc__, epochs=30, peaks=8, horizons=4, seed=0)
    data, held_out = load(options.seed)
    batches = draw_batches(len(data.labels), options.epochs, options.seed)
    settings = list_settings(options.peaks, options.horizons, len(batches))
    peaks, horizons = map(jnp.array, zip(*settings, strict=True))
    schedules = jax.vmap(make_schedule)(peaks, horizons)
    model = eqx.nn.MLP(64, 10, WIDTH, depth=1, key=jax.random.key(options.seed))
    scores = train_all(schedules, model, jnp.asarray(batches), data, held_out)
    print_best(settings, jax.tree.map(np.asarray, scores))
    print(f"{len(settings)} settings, {programs['train']} compiled program")


if __name__ == "__main__":
    main()
