"""Trains 64 small networks on handwritten digits, each at a schedule of its own, in one program.

    python examples/sweep.py --epochs 15 --chunk-size 16

Every family of schedules is tried with every peak, warm-up and horizon. `grid` makes one batch of them,
and `sweep` trains all networks side by side in a program that is compiled once, in chunks if asked and
on all devices that there are. At the end there are the best five, by the loss on digits that no network
was trained on, and a heat map of all.
"""

import functools
import time
from collections import Counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from compare_schedules import (
    WEIGHT_DECAY,
    Data,
    Setup,
    accuracy,
    mean_loss,
    parse_options,
    prepare,
)
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from optax_sched import (
    Schedule,
    cosine_decay,
    grid,
    linear,
    scale_by_learning_rate,
    sweep,
    unstack,
    warmup,
    warmup_inverse_sqrt_decay,
    wsd,
)

PEAKS = (0.003, 0.01, 0.03, 0.1)
WARMUPS = (0.0, 0.1)  # parts of the horizon
HORIZONS = (0.5, 1.0)  # parts of the training, after which it goes on at the last rate

programs: Counter[str] = Counter()


def straight(peak: float, rise: float, horizon: float) -> Schedule:
    return warmup(linear(peak, 0.0, horizon - rise), rise)


def cosine(peak: float, rise: float, horizon: float) -> Schedule:
    return warmup(cosine_decay(peak, horizon - rise), rise)


def stable(peak: float, rise: float, horizon: float) -> Schedule:
    return wsd(peak, rise, horizon / 4, horizon)


def inverse_sqrt(peak: float, rise: float, horizon: float) -> Schedule:
    return warmup_inverse_sqrt_decay(peak, rise, timescale=horizon / 10)


FAMILIES = {"linear": straight, "cosine": cosine, "wsd": stable, "inverse sqrt": inverse_sqrt}


def make_schedule(steps: int, *, family: str, peak: float, warmup: float, horizon: float) -> Schedule:
    return FAMILIES[family](peak, warmup * horizon * steps, horizon * steps)


class Scores(NamedTuple):
    """Of the trained networks, each of shape (settings,)."""

    train_loss: jax.Array
    held_out_loss: jax.Array
    held_out_accuracy: jax.Array


def train(setup: Setup, batches: jax.Array, schedule: Schedule) -> Scores:
    """AdamW at the rates of one schedule."""
    programs["train"] += 1  # Python comes here only when JAX traces a new program
    optimizer = optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(WEIGHT_DECAY),
        scale_by_learning_rate(schedule),
    )

    def update(state: Any, batch: jax.Array) -> Any:
        params, opt_state = state
        gradient = jax.grad(mean_loss)(params, jax.tree.map(lambda x: x[batch], setup.train))
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    (params, _), _ = jax.lax.scan(update, (setup.params, optimizer.init(setup.params)), batches)
    train_set, held_out = Data(*setup.train), Data(*setup.test)
    return Scores(mean_loss(params, train_set), mean_loss(params, held_out), accuracy(params, held_out))


def print_best(settings: list[dict[str, Any]], scores: Scores, count: int = 5) -> None:
    table = Table(title=f"the best {count} of {len(settings)}")
    table.add_column("family", no_wrap=True)
    for title in ("peak", "warm-up", "horizon", "train loss", "held-out loss", "accuracy"):
        table.add_column(title, justify="right")
    for index in np.argsort(scores.held_out_loss)[:count]:
        setting = settings[index]
        table.add_row(
            setting["family"],
            f"{setting['peak']:g}",
            f"{setting['warmup']:.0%}",
            f"{setting['horizon']:.0%}",
            f"{scores.train_loss[index]:.4f}",
            f"{scores.held_out_loss[index]:.4f}",
            f"{scores.held_out_accuracy[index]:.1%}",
        )
    Console(width=100).print(table)


def draw(losses: np.ndarray) -> Figure:
    """A panel for each family: warm-ups and horizons down, peaks across."""
    maps = losses.reshape(len(FAMILIES), len(PEAKS), -1).swapaxes(1, 2)
    best = np.unravel_index(np.argmin(maps), maps.shape)
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    panels = figure.subplots(1, len(FAMILIES), sharey=True)
    rows = [f"{rise:.0%}, {end:.0%}" for rise in WARMUPS for end in HORIZONS]
    low, high = float(maps.min()), float(np.quantile(maps, 0.9))  # what failed is off the scale
    for number, (panel, family) in enumerate(zip(panels, FAMILIES, strict=True)):
        panel.imshow(maps[number], vmin=low, vmax=high, cmap="viridis_r", aspect="auto")
        for row, column in np.ndindex(maps[number].shape):
            value = maps[number][row, column]
            is_best = (number, row, column) == tuple(best)
            panel.text(
                column,
                row,
                f"{value:.3f}",
                ha="center",
                va="center",
                color="black" if value < (low + high) / 2 else "white",
                weight="bold" if is_best else "normal",
                bbox={"facecolor": "none", "edgecolor": "tab:red", "lw": 2} if is_best else None,
            )
        panel.set(title=family, xlabel="peak", xticks=range(len(PEAKS)), yticks=range(len(rows)))
        panel.set_xticklabels([f"{peak:g}" for peak in PEAKS])
        panel.set_yticklabels(rows)
    panels[0].set_ylabel("warm-up, horizon")
    figure.colorbar(panels[0].images[0], ax=panels, label="held-out loss", extend="max")
    return figure


def main() -> None:
    options = parse_options(__doc__, epochs=15, chunk_size=64, seed=0, out="sweep.png")
    setup = prepare(options.epochs, options.seed)
    batches = jnp.concatenate(setup.batches)
    batch, settings = grid(
        functools.partial(make_schedule, len(batches)),
        family=list(FAMILIES),
        peak=PEAKS,
        warmup=WARMUPS,
        horizon=HORIZONS,
    )
    mesh = jax.make_mesh((jax.device_count(),), ("settings",)) if jax.device_count() > 1 else None
    start = time.perf_counter()
    run = functools.partial(train, setup, batches)
    scores = jax.device_get(sweep(run, batch, mesh=mesh, chunk_size=options.chunk_size))
    seconds = time.perf_counter() - start
    print_best(settings, scores)
    print(f"the best one: {unstack(batch)[int(np.argmin(scores.held_out_loss))]}")
    print(f"{len(settings)} networks, {programs['train']} compiled program, {seconds:.1f} s")
    draw(scores.held_out_loss).savefig(options.out, dpi=150)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
