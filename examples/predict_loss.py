"""Predicts the loss of schedules before training with them, from three cheap runs; then trains them.

    python examples/predict_loss.py --steps 1000 --peak 0.004

The text and the model, made smaller, are those of `language_model.py`. Three runs (a constant rate,
cosine decay, a sudden drop) log a held-out loss; `fit_loss_law` fits a law to them; the law predicts
another shape and a run twice as long, with a standard deviation, and `best_schedule` proposes a
schedule. Then these three are trained too, and a table and a picture put what came out beside what was
predicted.

With your own logs, nothing is trained. They are what `optax_sched.porting.read_log` reads (CSV, JSON
lines, `trainer_state.json`), with a column of steps, `loss`, and `lr` or `learning_rate`:

    python examples/predict_loss.py --runs a.csv b.csv c.csv --test d.csv --law law.json

The rates of updates between two rows are taken from the straight line between them, and those before
the first row from a straight line from 0: log a row at each sudden change of the rate. `law.json` is
for `python -m optax_sched compare ... --law law.json`.
"""

import argparse
import inspect
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from compare_schedules import tidy
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from optax_sched import Schedule, piecewise_constant, warmup, warmup_cosine_decay, wsd
from optax_sched.planning import (
    AnnealingLaw,
    LoggedRun,
    LossFit,
    MultiPowerLaw,
    best_schedule,
    fit_loss_law,
)
from optax_sched.porting import read_log

LOGS = 50  # of a run of --steps updates
HELD_OUT_WINDOWS = 128
LAWS = {law.__name__: law for law in (MultiPowerLaw, AnnealingLaw)}


class Run(NamedTuple):
    name: str
    logged: LoggedRun
    fitted: bool


def schedules_to_fit(peak: float, steps: int) -> dict[str, Schedule]:
    """Three shapes that tell the law's parameters apart, with the same warm-up."""
    rise = steps // 10
    return {
        "constant": warmup(peak, rise),
        "cosine": warmup_cosine_decay(peak, rise, steps, end_value=peak / 10),
        "drop": warmup(piecewise_constant([peak, 0.3 * peak], [steps // 2 - rise]), rise),
    }


def schedules_to_predict(fit: LossFit, peak: float, steps: int) -> dict[str, Schedule]:
    """Another shape, another length, and what the law likes best."""
    rise = steps // 10
    return {
        "WSD": wsd(peak, rise, steps // 4, steps, end_value=peak / 100, shape="linear"),
        "cosine, twice as long": warmup_cosine_decay(peak, rise, 2 * steps, end_value=peak / 10),
        "best_schedule": best_schedule(fit, steps, peak, rise),
    }


class Trainer:
    """Trains the model of `language_model.py` and logs its loss on held-out text."""

    def __init__(self, steps: int, seed: int):
        import language_model  # with flax, which nobody needs for logs of one's own

        # A smaller model than there: the laws want many updates more than many parameters.
        language_model.WIDTH, language_model.CONTEXT = 64, 32
        self.model = language_model
        self.every = steps // LOGS
        setup, _ = language_model.prepare(2 * steps, seed)
        # In parts as long as from one logged loss to the next.
        starts = setup.starts.reshape(-1, self.every, setup.starts.shape[-1])
        held_out = setup.held_out[:: len(setup.held_out) // HELD_OUT_WINDOWS]
        self.setup = setup._replace(starts=starts, held_out=held_out)

    def run(self, schedule: Schedule, steps: int, bar: tqdm) -> LoggedRun:
        """The loss after the last update of each part is the loss of that update."""
        setup = self.setup
        state = setup.params, self.model.optimizer(schedule).init(setup.params)
        losses = []
        for part in range(steps // self.every):
            state, _ = self.model.train(setup, state, part, part + 1, bar)
            losses.append(float(self.model.held_out_loss(setup.graph, state[0], setup.held_out)))
        return LoggedRun(schedule, np.arange(1, len(losses) + 1) * self.every - 1, np.array(losses))


def after_warmup(logged: LoggedRun, steps: int) -> LoggedRun:
    """Without the warm-up and as much again: no law holds there."""
    kept = np.asarray(logged.steps) >= steps // 5
    return LoggedRun(logged.schedule, logged.steps[kept], logged.losses[kept])


def trained(law: Any, steps: int, peak: float, seed: int) -> tuple[LossFit, list[Run]]:
    """Three trainings, a fit, and three trainings of what it predicts."""
    trainer = Trainer(steps, seed)
    runs = []
    with tqdm(total=7 * steps, unit="update") as bar:
        for name, schedule in schedules_to_fit(peak, steps).items():
            bar.set_description(name)
            runs.append(Run(name, after_warmup(trainer.run(schedule, steps, bar), steps), True))
        fit = fit_loss_law([run.logged for run in runs], law)
        for name, schedule in schedules_to_predict(fit, peak, steps).items():
            bar.set_description(name)
            length = 2 * steps if "twice" in name else steps
            runs.append(Run(name, after_warmup(trainer.run(schedule, length, bar), steps), False))
    return fit, runs


def logged_run(path: Path) -> LoggedRun:
    """A run from a trainer's log, in any format that `read_log` reads."""
    try:
        curves = read_log(path)
    except (OSError, ValueError) as error:
        sys.exit(f"predict_loss.py: error: {error}")
    rate = next((name for name in ("lr", "learning_rate") if name in curves), None)
    if rate is None or "loss" not in curves:
        rule = "must have the columns loss and lr or learning_rate"
        sys.exit(f"predict_loss.py: error: {path}: {rule}, got {', '.join(curves)}")
    steps, losses = curves["loss"]
    at = np.arange(int(steps[-1]) + 1)
    # Update 0 has a rate above 0.
    known = np.append(-1, curves[rate][0]), np.append(0.0, curves[rate][1])
    return LoggedRun(np.interp(at, *known), steps.astype(int), losses)


def from_logs(law: Any, fitted: list[Path], tested: list[Path]) -> tuple[LossFit, list[Run]]:
    runs = [Run(path.stem, logged_run(path), True) for path in fitted]
    fit = fit_loss_law([run.logged for run in runs], law)
    return fit, runs + [Run(path.stem, logged_run(path), False) for path in tested]


def print_table(fit: LossFit, runs: list[Run]) -> None:
    table = Table()
    table.add_column("run", overflow="fold")
    for name in ("updates", "loss", "predicted", "sd", "error", "mean"):
        table.add_column(name, justify="right")
    for run in runs:
        logged = run.logged
        losses, deviations = fit.predict(logged.schedule, logged.steps)
        errors = losses - logged.losses
        table.add_row(
            run.name + "*" * run.fitted,
            str(logged.steps[-1] + 1),
            *(f"{one[-1]:.4f}" for one in (logged.losses, losses, deviations)),
            f"{errors[-1]:+.4f}",
            f"{np.mean(np.abs(errors)):.4f}",
        )
    Console(width=100).print(table)
    print("of the last logged loss; mean: of all |errors| of the run; *: fitted")
    tested = [run.logged for run in runs if not run.fitted]
    if tested:
        within = []
        for logged in tested:
            losses, deviations = fit.predict(logged.schedule, logged.steps)
            within.append(np.abs(losses - logged.losses) <= 2 * deviations)
        share = np.mean(np.concatenate(within))
        print(f"{share:.0%} of the predicted losses lie within two standard deviations")


def save_picture(fit: LossFit, runs: list[Run], path: Path) -> None:
    figure = Figure(figsize=(13, 5), layout="constrained")
    rates, fitted, predicted = figure.subplots(1, 3)
    for number, run in enumerate(runs):
        logged, color = run.logged, f"C{number}"
        at = np.arange(logged.steps[-1] + 1)
        used = logged.schedule(at) if callable(logged.schedule) else logged.schedule[at]
        rates.plot(at, used, "-" if run.fitted else "--", color=color, label=run.name)
        axes = fitted if run.fitted else predicted
        losses, deviations = fit.predict(logged.schedule, logged.steps)
        axes.plot(logged.steps, logged.losses, ".", color=color, markersize=4)
        axes.plot(logged.steps, losses, color=color, label=run.name)
        low, high = losses - 2 * deviations, losses + 2 * deviations
        axes.fill_between(logged.steps, low, high, color=color, alpha=0.15, linewidth=0)
    rates.set(title="learning rate", xlabel="step")
    fitted.set(title="fitted: logged losses and the law", xlabel="step")
    predicted.set(title="predicted with two deviations, and logged", xlabel="step")
    tidy(rates, fitted, predicted)
    for axes in (fitted, predicted):
        if axes.lines:
            axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--steps", type=int, default=1000, help=f"updates of a run, a multiple of {LOGS}")
    add("--peak", type=float, default=0.004, help="the highest learning rate")
    add("--kind", choices=LAWS, default="MultiPowerLaw", help="which law")
    add("--runs", type=Path, nargs="+", metavar="LOG", help="fit to these logs in place of training")
    add("--test", type=Path, nargs="*", default=[], metavar="LOG", help="logs to predict, with --runs")
    add("--law", type=Path, metavar="FILE", help="write the law here, as JSON")
    add("--seed", type=int, default=0)
    add("--out", type=Path, default="predict_loss.png", help="the picture")
    options = parser.parse_args()
    if options.steps < LOGS or options.steps % LOGS:
        parser.error(f"--steps must be a multiple of {LOGS}, got {options.steps}")
    return options


def main() -> None:
    options = parse_options()
    law = LAWS[options.kind]
    if options.runs:
        fit, runs = from_logs(law, options.runs, options.test)
    else:
        fit, runs = trained(law, options.steps, options.peak, options.seed)
    values = {name: getattr(fit.law, name) for name in inspect.signature(law).parameters}
    print("law: value ± standard deviation")
    deviations = np.sqrt(np.diag(fit.covariance))
    for (name, value), deviation in zip(values.items(), deviations, strict=True):
        print(f"  {name:6} {value:.4g} ± {deviation:.2g}")
    print_table(fit, runs)
    if options.law:
        numbers = {"law": options.kind, **values, "peak_value": fit.peak_values[1]}
        options.law.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        print(f"law: {options.law}")
    save_picture(fit, runs, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
