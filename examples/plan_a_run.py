"""Finds the peak of a long run from short ones, and measures what the prediction is worth.

    python examples/plan_a_run.py --steps 500

A small network learns to read digits under fresh noise at every update, so that its loss never reaches
0. The peak of a cosine is swept in whole runs of `--steps` and of half as many updates. From them
`fit_peaks` predicts the best peak of a run of four times `--steps` and of another shape, a WSD with a
cooldown over the last fifth. A sweep at that length, around the prediction, measures which peak is
best, what the predicted one costs in loss, and what the best peak of the cosine would have cost.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from compare_schedules import (
    BATCH_SIZE,
    Data,
    initial_params,
    mean_loss,
    parse_options,
    prepare,
    tidy,
)
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from optax_sched import Schedule, cosine_decay, stack, sweep, wsd
from optax_sched.planning import BestPeak, SweptRun, fit_peaks

NOISE = 0.5  # standard deviation, added to each pixel; the pixels go from 0 to 1
EXAMPLES = 4000  # noisy images of the digits held out, on which a trained network is measured
PEAKS = np.geomspace(0.004, 0.064, 5)  # of the cosines
AROUND = 2.0 ** np.array([0.0, -1.0, -0.5, 0.5, 1.0])  # the prediction
LONGER = 4
SEEDS = 16  # trainings for each peak

direction = optax.scale_by_adam(b2=0.99)


def noisy(data: Data, key: jax.Array, count: int) -> Data:
    """So many images, drawn anew, with fresh noise."""
    which, noise = jax.random.split(key)
    index = jax.random.randint(which, (count,), 0, len(data.labels))
    images = data.images[index]
    return Data(images + NOISE * jax.random.normal(noise, images.shape), data.labels[index])


def final_losses(
    train: Data, held_out: Data, steps: int, keys: jax.Array, schedule: Schedule
) -> jax.Array:
    """The loss after a training under this schedule, for each key."""

    def update(key: jax.Array, state: Any, step: jax.Array) -> Any:
        params, opt_state = state
        batch = noisy(train, jax.random.fold_in(key, step + 1), BATCH_SIZE)
        updates, opt_state = direction.update(jax.grad(mean_loss)(params, batch), opt_state, params)
        rate = schedule(step)
        return (jax.tree.map(lambda p, u: p - rate * u, params, updates), opt_state), None

    def train_once(key: jax.Array) -> jax.Array:
        params = initial_params(jax.random.fold_in(key, 0))
        state = params, direction.init(params)
        (params, _), _ = jax.lax.scan(functools.partial(update, key), state, jnp.arange(steps))
        return mean_loss(params, noisy(held_out, jax.random.key(0), EXAMPLES))

    return jax.vmap(train_once)(keys)


class Lab:
    """Trains under schedules; the same digits, noise and first weights for all of them."""

    def __init__(self, seed: int):
        setup = prepare(1, seed)
        self.data = setup.train, setup.test
        self.keys = jax.random.split(jax.random.key(seed), SEEDS)

    def losses(self, schedules: list[Schedule], steps: int) -> np.ndarray:
        """Shape (schedules, seeds); one program for all of them."""
        run = functools.partial(final_losses, *self.data, steps, self.keys)
        return np.asarray(sweep(run, stack(schedules)))


def long_schedule(peak: float, steps: int) -> Schedule:
    return wsd(peak, 0, steps // 5, steps, shape="linear")


def sweep_cosines(lab: Lab, steps: int) -> list[SweptRun]:
    """Whole runs of half of the steps, and of all."""
    lengths = [steps // 2] * len(PEAKS) + [steps] * len(PEAKS)
    cosines = [cosine_decay(float(p), n) for p, n in zip([*PEAKS, *PEAKS], lengths, strict=True)]
    # After its end a cosine is 0 and changes nothing, so the shorter runs may share the program.
    losses = lab.losses(cosines, steps).mean(axis=1)
    return [SweptRun(*run) for run in zip(cosines, lengths, losses, strict=True)]


def print_plan(rows: dict[str, BestPeak], losses: np.ndarray, end: int) -> None:
    """The losses are at the peaks of the rows; of the first one, the lowest that were measured."""
    table = Table(f"peak of a WSD over {end} steps")
    for title in ("peak", "deviation", "loss", "above", "standard error"):
        table.add_column(title, justify="right")
    above = losses - losses[0]  # by seed: the noise and first weights are the same
    errors = above.std(axis=1, ddof=1) / SEEDS**0.5
    for i, (name, best) in enumerate(rows.items()):
        cells = [f"{best.deviation:.2f}", f"{losses[i].mean():.4f}"]
        cells += [f"{above[i].mean():.4f}", f"{errors[i]:.4f}"]
        if i == 0:
            cells = ["", cells[1], "", ""]
        table.add_row(name, f"{best.peak_value:.5f}", *cells)
    Console(width=100).print(table)
    measured, predicted, *_ = (best.peak_value for best in rows.values())
    print(f"predicted peak / best peak: {predicted / measured:.2f}")


def save_picture(
    runs: list[SweptRun], tried: np.ndarray, losses: np.ndarray, rows: dict[str, BestPeak], path: str
) -> None:
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for some, color in ((runs[: len(PEAKS)], "tab:cyan"), (runs[len(PEAKS) :], "tab:blue")):
        label = f"cosine, {some[0].num_steps} steps"
        left.plot(PEAKS, [run.loss for run in some], "o-", color=color, label=label)
    order = np.argsort(tried)
    right.plot(tried[order], losses.mean(axis=1)[order], "o-", color="tab:orange", label="measured")
    for (name, best), color in zip(rows.items(), ("black", "tab:red", "tab:pink", "gray"), strict=True):
        right.axvline(best.peak_value, color=color, linestyle="dotted", label=name)
    left.set(title="short runs: loss by the peak", xlabel="peak rate", xscale="log")
    right.set(title="the long run, of another shape", xlabel="peak rate", xscale="log")
    for axes in (left, right):
        axes.set_xticks([0.004, 0.008, 0.016, 0.032], ["0.004", "0.008", "0.016", "0.032"])
        axes.minorticks_off()
        axes.legend(loc="upper center")
    tidy(left, right)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = parse_options(__doc__, steps=500, seed=0, out="plan_a_run.png")
    lab = Lab(options.seed)
    runs = sweep_cosines(lab, options.steps)
    fit, fit_of_one = fit_peaks(runs), fit_peaks(runs[len(PEAKS) :])
    print(fit)

    end = LONGER * options.steps
    shape = long_schedule(1.0, end)
    predicted = fit.best(shape, end)
    one = fit_of_one.best(shape, end)
    kept = fit_of_one.best(cosine_decay(1.0, options.steps), options.steps)
    tried = np.array([*(predicted.peak_value * AROUND), one.peak_value, kept.peak_value])
    losses = lab.losses([long_schedule(float(peak), end) for peak in tried], end)

    means = losses.mean(axis=1)
    near = zip(tried[: len(AROUND)], means, strict=False)
    found = fit_peaks([SweptRun(long_schedule(float(peak), end), end, loss) for peak, loss in near])
    rows = {
        "the best, by a sweep": found.best(shape, end),
        f"predicted from {options.steps // 2} and {options.steps} steps": predicted,
        f"predicted from {options.steps} steps alone": one,
        "the old peak, of the cosine": kept,
    }
    picked = [means.argmin(), 0, len(AROUND), len(AROUND) + 1]
    print_plan(rows, losses[picked], end)
    save_picture(runs, tried, losses, rows, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
