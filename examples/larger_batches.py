"""Trains on handwritten digits in fewer, larger updates: where the rate would fall, the batch grows.

    python examples/larger_batches.py --epochs 30 --batch-size 8 --max-batch-size 64

The first row of each optimizer is a cosine in batches of one size. `planning.seesaw` turns its fall
into batches that grow: for Adam with the square root of the batch, for SGD in proportion. All runs see
the same examples in the same order. That it costs nothing is theory, and holds up to the critical batch
only: the last row, with the largest batch from the start, shows what is lost beyond it. Each run is
trained from three first weights at once, by `jax.vmap`. At the end there is a table, with the
deviation between the three, and a picture of rates, batches and losses.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from compare_schedules import (
    Data,
    accuracy,
    as_losses,
    initial_params,
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

from optax_sched import constant, cosine_decay, count_updates, scale_by_learning_rate
from optax_sched.planning import BatchPlan, seesaw

SEEDS = 3
OPTIMIZERS = {  # with the peak in batches of 8, and the power of the batch that the rate follows
    "Adam": (optax.scale_by_adam(), 3e-3, 0.5),
    "SGD": (optax.identity(), 0.1, 1.0),
}
COLORS = {"one size": "black", "seesaw": "tab:blue", "large at once": "tab:red"}


class Run(NamedTuple):
    optimizer: str
    name: str  # a key of COLORS
    plan: BatchPlan


class Result(NamedTuple):
    run: Run
    losses: np.ndarray  # of each update, the mean of the seeds
    train_losses: np.ndarray  # at the end, one for each seed
    test_accuracies: np.ndarray


def list_runs(num_examples: int, batch_size: int, max_batch_size: int) -> list[Run]:
    runs = []
    for name, (_, peak, exponent) in OPTIMIZERS.items():
        steps = count_updates(num_examples, batch_size)
        cosine = cosine_decay(peak * (batch_size / 8) ** exponent, steps)
        plan = seesaw(
            cosine,
            steps,
            batch_size,
            batch_exponent=exponent,
            max_batch_size=max_batch_size,
        )
        fewer = count_updates(num_examples, max_batch_size)
        scaled = cosine_decay(cosine.init_value * (max_batch_size / batch_size) ** exponent, fewer)
        runs += [
            Run(name, "one size", BatchPlan(cosine, constant(batch_size), steps)),
            Run(name, "seesaw", plan),
            Run(name, "large at once", BatchPlan(scaled, constant(max_batch_size), fewer)),
        ]
    return runs


def batches(plan: BatchPlan, order: np.ndarray) -> Iterator[np.ndarray]:
    """The examples of the updates, shape (seeds, updates, batch size), for each batch size in turn."""
    sizes = np.asarray(plan.batch_size(np.arange(plan.num_steps)), int)
    offset = 0
    for size, updates in itertools.groupby(sizes):
        count = len(list(updates))
        taken = order[:, offset : offset + count * size]
        yield taken.reshape(SEEDS, count, size)
        offset += count * size


def train(run: Run, train_set: Data, test_set: Data, order: np.ndarray) -> Result:
    direction, _, _ = OPTIMIZERS[run.optimizer]
    optimizer = optax.chain(direction, scale_by_learning_rate(run.plan.rate))

    def train_step(state: Any, batch: jax.Array) -> Any:
        params, opt_state = state
        examples = jax.tree.map(lambda x: x[batch], train_set)
        loss, gradient = jax.value_and_grad(mean_loss)(params, examples)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    @jax.jit  # it compiles once for each batch size
    @jax.vmap
    def train_part(state: Any, batches: Any) -> Any:
        return jax.lax.scan(train_step, state, batches)

    params = jax.vmap(initial_params)(jax.random.split(jax.random.key(0), SEEDS))
    state = params, jax.vmap(optimizer.init)(params)
    history = []
    for part in batches(run.plan, order):
        state, losses = train_part(state, part)
        history.append(losses)
    params, _ = state
    return Result(
        run,
        np.concatenate(history, axis=1).mean(axis=0),
        np.asarray(jax.vmap(mean_loss, (0, None))(params, train_set)),
        np.asarray(jax.vmap(accuracy, (0, None))(params, test_set)),
    )


def print_table(results: list[Result]) -> None:
    table = Table("optimizer", "batches")
    for title in ("updates", "saved", "largest", "final train loss", "test accuracy"):
        table.add_column(title, justify="right")
    for run, _, losses, accuracies in results:
        steps = run.plan.num_steps
        table.add_row(
            run.optimizer,
            run.name,
            str(steps),
            f"{1 - steps / results[0].run.plan.num_steps:.0%}",
            str(int(run.plan.batch_size(steps))),
            f"{losses.mean():.4f} ± {losses.std(ddof=1):.4f}",
            f"{accuracies.mean():.1%}",
        )
    Console(width=110).print(table)


def save_picture(results: list[Result], path: str) -> None:
    figure = Figure(figsize=(13, 7), layout="constrained")
    panels = figure.subplots(len(OPTIMIZERS), 3)
    for (rate, batch, losses), name in zip(panels, OPTIMIZERS, strict=True):
        for result in (it for it in results if it.run.optimizer == name):
            plan, color = result.run.plan, COLORS[result.run.name]
            steps = np.arange(plan.num_steps)
            label = f"{result.run.name}: {result.train_losses.mean():.4f}"
            rate.plot(steps, plan.rate(steps), color=color, label=label)
            batch.step(steps, plan.batch_size(steps), color=color, where="post")
            losses.plot(smoothed(result.losses, 50), color=color)
        rate.set(title=f"{name}: learning rate", xlabel="update")
        rate.legend(title="final train loss", frameon=False)
        batch.set(title="batch size", xlabel="update", yscale="log")
        batch.set_yscale("log", base=2)
        as_losses(losses)
    tidy(*panels.flat)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = parse_options(
        __doc__, epochs=30, batch_size=8, max_batch_size=64, seed=0, out="larger_batches.png"
    )
    setup = prepare(epochs=1, seed=options.seed)
    count = len(setup.train.labels)
    shuffle = np.random.default_rng(options.seed)
    # One epoch more than the plans use: a last update may be larger than what is left.
    order = np.stack(
        [
            np.concatenate([shuffle.permutation(count) for _ in range(options.epochs + 1)])
            for _ in range(SEEDS)
        ]
    )
    runs = list_runs(count * options.epochs, options.batch_size, options.max_batch_size)
    results = [
        train(run, setup.train, setup.test, order) for run in tqdm(runs, unit="run", desc="training")
    ]
    print_table(results)
    save_picture(results, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
