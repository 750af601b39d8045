"""Tunes one schedule on a short run, plans others from it, and measures how good the plans were.

    python examples/plan_a_run.py --steps 500

A small network learns to read digits under fresh noise at every update, so that its loss never reaches
0. The peak of a cosine is tuned by a sweep. From it alone, `transfer_factor` predicts the best peaks of
three other schedules, and that of a cosine four times as long, for three exponents of the horizon that
others have found. A sweep over peaks then measures what would have been best. At last a run is stopped
half-way and is to become twice as long: it goes on as planned, with a later end, or as `extend` says,
or it starts over. Losses are measured throughout, and the text under the tables is made of them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

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
from tqdm import tqdm

from optax_sched import (
    Schedule,
    constant,
    cosine_decay,
    linear,
    polynomial_decay,
    stack,
    sweep,
    table,
    wsd,
)
from optax_sched.planning import extend, transfer_factor

NOISE = 0.5  # standard deviation, added to each pixel; the pixels go from 0 to 1
EXAMPLES = 4000  # noisy images of the digits held out, on which a trained network is measured
PEAKS = np.geomspace(2e-3, 6e-2, 9)
SEEDS = 4  # trainings for each peak
SEEDS_OF_WAYS = 16
LONGER = 4
EXPONENTS = (0.0, 0.32, 0.5)

Maker = Callable[[float, int], Schedule]  # of a peak and a number of steps

TUNED = "cosine"
MAKERS: dict[str, Maker] = {
    TUNED: cosine_decay,
    "wsd": lambda peak, steps: wsd(peak, 0, steps // 5, steps, shape="linear"),
    "square": lambda peak, steps: polynomial_decay(peak, steps, power=2.0),
    "constant": lambda peak, steps: constant(peak),
}
COLORS = {TUNED: "tab:blue", "wsd": "tab:orange", "square": "tab:green", "constant": "black"}

direction = optax.scale_by_adam(b2=0.99)


class Curve(NamedTuple):
    """The mean final losses of one schedule by its peak."""

    name: str
    color: str
    peaks: np.ndarray
    losses: np.ndarray
    best: float  # the lowest point of a parabola through the three lowest neighbours, in log peak
    predicted: dict[float, float]  # by the exponent of the horizon
    losses_there: list[float]  # at the predicted peaks


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


def lowest(peaks: np.ndarray, losses: np.ndarray) -> float:
    """Where a parabola through the lowest point and its neighbours is lowest, in log peak."""
    middle = int(np.clip(np.argmin(losses), 1, len(losses) - 2))
    near = slice(middle - 1, middle + 2)
    square, slope, _ = np.polyfit(np.log(peaks[near]), losses[near], 2)
    return float(np.exp(-slope / (2 * square)))


class Lab:
    """Trains under schedules; the same digits, noise and first weights for all of them."""

    def __init__(self, seed: int, bar: Any):
        self.bar = bar
        self.runs: dict[tuple[int, int], Any] = {}
        setup = prepare(1, seed)
        self.data = setup.train, setup.test
        self.key = jax.random.key(seed)

    def losses(self, schedules: list[Schedule], steps: int, seeds: int) -> np.ndarray:
        """Shape (schedules, seeds)."""
        # As tables all schedules are of one structure, and as many of them share a program.
        tables = stack([table(np.asarray(schedule(np.arange(steps)))) for schedule in schedules])
        if (steps, seeds) not in self.runs:
            keys = jax.random.split(self.key, seeds)
            self.runs[steps, seeds] = functools.partial(final_losses, *self.data, steps, keys)
        losses = np.asarray(sweep(self.runs[steps, seeds], tables))
        self.bar.update()
        return losses

    def curve(self, name: str, make: Maker, steps: int, predicted: dict[float, float]) -> Curve:
        """Sweep the peak, and measure the predicted peaks with the others."""
        tried = [*PEAKS, *predicted.values()]
        tried += [PEAKS[-1]] * (len(PEAKS) + len(EXPONENTS) - len(tried))  # as many for each
        losses = self.losses([make(float(peak), steps) for peak in tried], steps, SEEDS).mean(axis=1)
        swept, there = losses[: len(PEAKS)], losses[len(PEAKS) : len(PEAKS) + len(predicted)]
        color = COLORS[name.partition(",")[0]]
        return Curve(name, color, PEAKS, swept, lowest(PEAKS, swept), predicted, there.tolist())

    def ways_on(
        self, peak: float, steps: int, exponent: float
    ) -> tuple[dict[str, Schedule], np.ndarray]:
        """Three ways from half of a planned run to twice its length, and the losses at the end."""
        planned = MAKERS["wsd"](peak, steps)
        new_end = 2 * steps
        over = linear(peak, 0.0, new_end)
        factor = float(transfer_factor(planned, steps, over, new_end, exponent))
        ways = {
            "as planned, later": wsd(peak, 0, steps // 5, new_end, shape="linear"),
            "extend": extend(planned, steps // 2, new_end, steps, 0.5),
            "start over": over.replace(init_value=peak * factor),
        }
        return ways, self.losses(list(ways.values()), new_end, SEEDS_OF_WAYS)


def measure(lab: Lab, steps: int) -> tuple[Curve, list[Curve], Curve]:
    """The tuned curve, those of the other shapes, and that of the longer run."""
    tuned = lab.curve(TUNED, MAKERS[TUNED], steps, {})
    base = MAKERS[TUNED](tuned.best, steps)
    others = []
    for name, make in MAKERS.items():
        if name != TUNED:
            factor = float(transfer_factor(base, steps, make(tuned.best, steps)))
            others.append(lab.curve(name, make, steps, {0.0: tuned.best * factor}))
    longer = MAKERS[TUNED](tuned.best, LONGER * steps)
    factors = [transfer_factor(base, steps, longer, LONGER * steps, e) for e in EXPONENTS]
    predicted = {e: tuned.best * float(f) for e, f in zip(EXPONENTS, factors, strict=True)}
    long = lab.curve(f"{TUNED}, {LONGER} x", MAKERS[TUNED], LONGER * steps, predicted)
    return tuned, others, long


def horizon_exponent(short: Curve, long: Curve) -> float:
    return float(np.log(short.best / long.best) / np.log(LONGER))


def print_peaks(tuned: Curve, others: list[Curve], long: Curve, steps: int) -> None:
    table = Table("schedule", title=f"peaks, from a cosine over {steps} steps alone")
    for title in ("predicted", "best", "ratio", "loss there", "lowest loss"):
        table.add_column(title, justify="right")
    table.add_row(TUNED, "", f"{tuned.best:.5f}", "", "", f"{tuned.losses.min():.4f}")
    for curve in (*others, long):
        for (exponent, peak), loss in zip(curve.predicted.items(), curve.losses_there, strict=True):
            name = curve.name + (f", exponent {exponent:g}" if curve is long else "")
            table.add_row(
                name,
                f"{peak:.5f}",
                f"{curve.best:.5f}",
                f"{peak / curve.best:.2f}",
                f"{loss:.4f}",
                f"{curve.losses.min():.4f}",
            )
    Console(width=100).print(table)
    off = [f"{curve.name} {100 * abs(curve.predicted[0.0] / curve.best - 1):.0f} %" for curve in others]
    lost = max(curve.losses_there[0] - curve.losses.min() for curve in others)
    print(f"other shapes: the predicted peaks are off by {', '.join(off)}")
    print(f"at these peaks the loss is at most {lost:.4f} above the lowest of the sweep")
    measured = horizon_exponent(tuned, long)
    print(f"{LONGER} x as long: the best peak fell as horizon^-{measured:.2f} (the bound says 0.50)")


def print_ways(ways: dict[str, Schedule], losses: np.ndarray, steps: int) -> None:
    table = Table("way on", title=f"from step {steps // 2} of {steps} to step {2 * steps}")
    for title in ("updates in all", "loss", "below as planned", "standard error"):
        table.add_column(title, justify="right")
    gained = losses[0] - losses  # by seed: the noise and first weights are the same
    errors = gained.std(axis=1, ddof=1) / losses.shape[1] ** 0.5
    for name, loss, gain, error in zip(ways, losses, gained, errors, strict=True):
        updates = 2 * steps + (steps // 2 if name == "start over" else 0)
        numbers = (f"{gain.mean():.4f}", f"{error:.4f}") if gain.any() else ("", "")
        table.add_row(name, str(updates), f"{loss.mean():.4f}", *numbers)
    Console(width=100).print(table)
    gain, error = gained[1].mean(), errors[1]
    word = (
        "lower" if gain > 2 * error else "higher" if gain < -2 * error else "neither lower nor higher"
    )
    print(f"extend ends {word} than as planned, by the mark of two standard errors")


def save_picture(curves: list[Curve], ways: Any, losses: np.ndarray, steps: int, path: str) -> None:
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for curve in curves:
        dashes = "--" if "," in curve.name else "-"
        left.plot(curve.peaks, curve.losses, "o", linestyle=dashes, color=curve.color, label=curve.name)
        left.plot(
            list(curve.predicted.values()), curve.losses_there, "*", markersize=14, color=curve.color
        )
    left.plot([], [], "*", markersize=14, color="gray", label="at a predicted peak")
    top = max(curve.losses[0] for curve in curves)
    low = min(curve.losses.min() for curve in curves)
    left.set(title="loss on held-out digits, by the peak", xlabel="peak rate", xscale="log")
    left.set_xticks([0.002, 0.005, 0.01, 0.02, 0.05], ["0.002", "0.005", "0.01", "0.02", "0.05"])
    left.minorticks_off()
    left.set_ylim(low - 0.05 * (top - low), top + 0.15 * (top - low))
    left.legend(frameon=False)
    at = np.arange(2 * steps + 1)
    for (name, schedule), loss, color in zip(
        ways.items(), losses, ("tab:orange", "tab:red", "tab:gray"), strict=True
    ):
        right.plot(at, schedule(at), color=color, label=f"{loss.mean():.4f}  {name}")
    right.axvline(steps // 2, color="black", linestyle="dotted", linewidth=1)
    right.set(title="three ways to twice the length", xlabel="step", ylabel="rate")
    right.legend(title="final loss, way on", frameon=False)
    tidy(left, right)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = parse_options(__doc__, steps=500, seed=0, out="plan_a_run.png")
    with tqdm(total=len(MAKERS) + 2, unit="sweep") as bar:
        lab = Lab(options.seed, bar)
        tuned, others, long = measure(lab, options.steps)
        stable = next(curve for curve in others if curve.name == "wsd")
        ways, losses = lab.ways_on(stable.best, options.steps, horizon_exponent(tuned, long))
    print_peaks(tuned, others, long, options.steps)
    print_ways(ways, losses, options.steps)
    save_picture([tuned, *others, long], ways, losses, options.steps, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
