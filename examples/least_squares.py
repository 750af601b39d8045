"""How far from optimal the last iterate of SGD is on least squares, by the schedule of its rate.

    python examples/least_squares.py --doublings 5

Ge, Kakade, Kidambi and Netrapalli (2019, https://arxiv.org/abs/1904.12838) found that the decays of
theory, 1/sqrt(t) and 1/t, leave the last iterate of SGD worse than the best possible estimate by a
factor that grows with the condition number, however their constants are tuned, while a rate that is
halved now and then is worse by a logarithm only. Nothing is sampled here: for Gaussian inputs the
expected risk follows an exact recursion. Every problem with every schedule is one lane of one compiled
program, all families in one batch by `select`. At the end there is a table, and a picture.
"""

from collections import Counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from compare_schedules import parse_options
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from rich.console import Console
from rich.table import Table

from optax_sched import (
    Schedule,
    constant,
    cosine_decay,
    inverse_sqrt_decay,
    inverse_time_decay,
    linear,
    select,
    step_decay,
)

SMALLEST = 50  # condition number
DIMENSION = 2  # of the inputs, whose covariance has the eigenvalues 1 and 1 / condition number
VARIANCE = 1.0  # of the noise in the labels
START = 100.0  # squared distance from the solution in each direction
LARGEST_RATE = 0.5  # 2 / 3 diverges


class Family(NamedTuple):
    name: str
    color: str
    tunable: bool  # has a timescale besides its initial rate


# From the worst to the best where the condition number is large: so the legend reads as curves end.
FAMILIES = [
    Family("constant", "black", False),
    Family("inverse_sqrt_decay", "tab:red", True),
    Family("inverse_time_decay", "tab:orange", True),
    Family("linear", "tab:green", False),
    Family("cosine_decay", "tab:purple", False),
    Family("step_decay", "tab:blue", False),
]

programs: Counter[str] = Counter()


class Trials(NamedTuple):
    """Schedules to try on each problem, one an entry."""

    family: np.ndarray  # index into FAMILIES
    rate: np.ndarray  # at step 0
    timescale: np.ndarray  # as a part of all steps, where the family is tunable


class Results(NamedTuple):
    condition_numbers: np.ndarray
    steps: np.ndarray
    ratios: np.ndarray  # to the minimax risk, shape (condition numbers, families), the best trial's
    best: np.ndarray  # the trial's index, of the same shape


def schedule_of(steps: Any, family: Any, rate: Any, timescale: Any) -> Schedule:
    """One of `FAMILIES`; all arguments may be traced."""
    by_name = {
        "constant": constant(rate),
        "inverse_sqrt_decay": inverse_sqrt_decay(rate, timescale * steps),
        "inverse_time_decay": inverse_time_decay(rate, timescale * steps, decay_rate=1.0),
        "linear": linear(rate, 0.0, steps),
        "cosine_decay": cosine_decay(rate, steps),
        "step_decay": step_decay(rate, steps / jnp.log2(steps), decay_rate=0.5),
    }
    return select(family, [by_name[family.name] for family in FAMILIES])


def final_risk(schedule: Any, condition_number: Any, steps: Any) -> jax.Array:
    """The expected excess risk of the last iterate: exact, since inputs and noise are Gaussian."""
    eigenvalues = jnp.stack([1.0, 1.0 / condition_number])

    def update(step: Any, errors: jax.Array) -> jax.Array:
        rate = schedule(step)
        residual = VARIANCE + eigenvalues @ errors  # expected square of it
        spread = eigenvalues**2 * errors + eigenvalues * residual  # variance of the gradient
        return (1 - rate * eigenvalues) ** 2 * errors + rate**2 * spread

    errors = jax.lax.fori_loop(0, steps, update, jnp.full(DIMENSION, START))
    return eigenvalues @ errors / 2


@jax.jit
def all_risks(trials: Trials, condition_numbers: jax.Array, steps: jax.Array) -> jax.Array:
    """The risks of all trials on all problems, shape (condition numbers, trials)."""
    programs["all_risks"] += 1  # Python comes here only when JAX traces a new program

    def risks(condition_number: jax.Array, steps: jax.Array) -> jax.Array:
        batch = jax.vmap(lambda *trial: schedule_of(steps, *trial))(*trials)
        return jax.vmap(lambda schedule: final_risk(schedule, condition_number, steps))(batch)

    return jax.vmap(risks)(condition_numbers, steps)


def list_trials(rates: int, timescales: int) -> Trials:
    """Every family with every initial rate, and the tunable ones with every timescale."""
    halved = LARGEST_RATE * 0.5 ** np.arange(rates)
    parts = np.geomspace(1e-4, 1.0, timescales)
    trials = [
        (index, rate, part)
        for index, family in enumerate(FAMILIES)
        for rate in halved
        for part in (parts if family.tunable else [1.0])
    ]
    return Trials(*map(np.array, zip(*trials, strict=True)))


def run(doublings: int, trials: Trials) -> Results:
    condition_numbers = SMALLEST * 2.0 ** np.arange(doublings + 1)
    steps = (5 * condition_numbers * np.log2(condition_numbers)).astype(np.int32)
    risks = np.asarray(all_risks(trials, condition_numbers, steps))
    ratios = risks / (VARIANCE * DIMENSION / (2 * steps[:, None]))
    of_family = [np.flatnonzero(trials.family == index) for index in range(len(FAMILIES))]
    best = np.stack([some[ratios[:, some].argmin(axis=1)] for some in of_family], axis=1)
    return Results(condition_numbers, steps, np.take_along_axis(ratios, best, axis=1), best)


def print_table(results: Results) -> None:
    table = Table("schedule", title="risk / minimax risk, by condition number")
    for title in (*(f"{number:.0f}" for number in results.condition_numbers), "growth"):
        table.add_column(title, justify="right")
    for family, ratios in zip(FAMILIES, results.ratios.T, strict=True):
        shown = [f"{ratio:.1f}" for ratio in ratios]
        table.add_row(family.name, *shown, f"x {ratios[-1] / ratios[0]:.2f}")
    Console(width=100).print(table)


def save_picture(results: Results, trials: Trials, path: str) -> None:
    figure = Figure(figsize=(12, 5), layout="constrained")
    risks, rates = figure.subplots(1, 2)
    numbers, largest, steps = (
        results.condition_numbers,
        results.condition_numbers[-1],
        results.steps[-1],
    )
    shown = np.unique(np.linspace(0, steps - 1, 2000).astype(np.int32))
    for index, (family, ratios) in enumerate(zip(FAMILIES, results.ratios.T, strict=True)):
        label = f"{ratios[-1]:.1f}  {family.name}"
        risks.plot(numbers, ratios, "o-", color=family.color, label=label)
        best = (values[results.best[-1, index]] for values in trials)
        rates.plot(shown, schedule_of(steps, *best)(shown), color=family.color)
    risks.set(title="risk / minimax risk", xlabel="condition number", xscale="log", yscale="log")
    risks.set_xticks(numbers, [f"{number:.0f}" for number in numbers])
    risks.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    risks.yaxis.set_major_formatter("{x:g}")
    rates.set(title=f"learning rate, condition number {largest:.0f}", xlabel="step")
    rates.set(yscale="log", ylim=(1e-5, 1))
    rates.xaxis.set_major_locator(MaxNLocator(4))
    for axes in (risks, rates):
        axes.minorticks_off()
        axes.margins(x=0.02)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    title = f"risk / minimax risk at {largest:.0f}, schedule"
    figure.legend(loc="outside right center", title=title, frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = parse_options(__doc__, doublings=5, rates=7, timescales=21, out="least_squares.png")
    jax.config.update("jax_enable_x64", True)  # the errors shrink by many orders of magnitude
    trials = list_trials(options.rates, options.timescales)
    results = run(options.doublings, trials)
    print_table(results)
    lanes = f"{len(trials.family)} schedules on {len(results.steps)} problems"
    print(f"{lanes}, compiled programs: {programs['all_risks']}")
    save_picture(results, trials, path=options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
