"""The command line: draws, prints and compares schedules, and finds the one that a log followed.

A SPEC is a schedule's source text, or a JSON or YAML file as optax_sched.to_config makes it: the
builder's name and its settings, nested where a schedule is made of others. This one rises for 100
steps and then falls for 900, in both forms:

  "warmup(cosine_decay(0.1, 900), 100)"

  {"builder": "warmup", "warmup_steps": 100,
   "schedule": {"builder": "cosine_decay", "init_value": 0.1, "decay_steps": 900}}
"""

import argparse
import contextlib
import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from optax_sched._core.errors import Refusal, imported, in_a_word
from optax_sched._files.spec import read_spec
from optax_sched._view.plot import bare_source, last_step_of, plot, short_source
from optax_sched._view.terminal import print_table, show
from optax_sched.planning.comparison import ASSUMPTION, compared, read_law
from optax_sched.porting import identify, read_log
from optax_sched.porting.fit_log import TIES
from optax_sched.porting.identify import errors_at, lags_of

SUFFIXES = (".png", ".svg", ".pdf", ".jpg")
_, _, SPEC = (__doc__ or "").partition("\n\n")
BEST_SCALE = (
    "best scale: the bound is lowest if the rates are multiplied by it and by D / G (distance to the "
    "optimum over gradient norm), which is unknown: only the ratio of two scales says something"
)
OFFSET_AND_ERROR = "offset: added to each logged step; error: the largest, in halves of the last digit"
NONE_AGREES = "No schedule agrees with every logged value; these come nearest."
# Not the bounds that Weights & Biases exports beside a column.
RATE_COLUMN = re.compile(r"(?<![a-z])(lr|learning[_ ]rate)(?![a-z])(?!.*__(MIN|MAX)$)", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line: the usage is left to --help.
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def option(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """What reads an option, so that argparse shows why it refuses a text."""

    def typed(text: str) -> Any:
        try:
            return read(text)
        except (ImportError, TypeError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


@option
def step_count(text: str) -> int:
    steps = int(text) if text.replace("_", "").isdecimal() else 0
    if steps < 1:
        raise ValueError(f"must be a whole number, 1 or more, got {in_a_word(text)}")
    return steps


@option
def picture_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"must end in {', '.join(SUFFIXES)}, got {in_a_word(text)}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"must be a file in a writable folder, got {in_a_word(text)}")
    return path


def parser() -> Parser:
    """What `--help` shows."""
    top = Parser(prog="python -m optax_sched", description="Look at learning-rate schedules.")
    commands = top.add_subparsers(required=True, metavar="plot | show | compare | identify")

    def command(name: str, run: Callable[..., None]) -> Callable[..., Any]:
        does, _, more = (inspect.getdoc(run) or "").partition("\n\n")
        layout = argparse.RawDescriptionHelpFormatter
        text: Any = {"help": does, "description": does, "epilog": more or SPEC}
        made = commands.add_parser(name, formatter_class=layout, **text)
        made.set_defaults(run=run)
        return made.add_argument

    spec = {"type": option(read_spec), "metavar": "SPEC"}
    one_spec = {**spec, "help": "a source text, or a JSON or YAML file"}
    steps = {"type": step_count, "metavar": "N"}
    steps_help = "the last step; without it, where the value no longer changes (1000 if it always does)"
    picture = {"type": picture_file, "metavar": "FILE"}
    picture_help = f"the picture to write, which ends in {', '.join(SUFFIXES)}"

    add = command("plot", draw)
    add("specs", nargs="+", help=f"{one_spec['help']}; several are compared", **spec)
    add("--steps", help=steps_help, **steps)
    add("--log", action="store_true", help="put the values on a logarithmic scale")
    add("--out", required=True, help=picture_help, **picture)

    add = command("show", print_one)
    add("spec", **one_spec)
    add("--steps", help=steps_help, **steps)

    add = command("compare", compare)
    add("specs", nargs="+", **one_spec)
    add("--steps", required=True, help="the number of updates", **steps)
    add("--tuned", help="a schedule tuned for this run: what to multiply the others by", **spec)
    exponent = "e in: the best rate is as horizon^-e; required if the tuned schedule has another length"
    add("--horizon-exponent", type=float, metavar="E", help=exponent)
    law = 'JSON: {"law": "MultiPowerLaw" or "AnnealingLaw", its parameters, perhaps "peak_value"}'
    law = f"a loss law, to predict the last loss; {law}"
    add("--law", type=option(read_law), default=(None, None), metavar="FILE", help=law)
    add("--json", action="store_true", help="print JSON instead of the table")

    add = command("identify", identify_log)
    add("file", metavar="FILE", help="trainer_state.json, CSV or JSON lines, as the trainer wrote it")
    add("--column", metavar="NAME", help="the logged rate; without it, the first column named so")
    add("--plot", help=f"draw the log beside the best; {picture_help}", **picture)
    return top


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what is wrong with it is one line on stderr, and exit status 2."""
    top = parser()
    options = top.parse_args(arguments)
    try:
        options.run(options)
    except (ImportError, OSError, ValueError) as error:
        top.error(str(error))


def print_one(options: argparse.Namespace) -> None:
    """Print a schedule's values as a table and its curve, without a picture."""
    show(options.spec, last_step_of("show", "--steps", options.steps, [options.spec]))


def draw(options: argparse.Namespace) -> None:
    """Draw schedules into a picture."""
    with picture("plot", options.out) as axes:
        steps = last_step_of("plot", "--steps", options.steps, options.specs)
        plot(options.specs, steps, axes, log=options.log)
        if len(options.specs) == 1:
            axes.set_title(short_source(options.specs[0]), size=11)


def compare(options: argparse.Namespace) -> None:
    """Rank schedules for a run of N updates by the convex bound."""
    schedules = {repr(schedule): schedule for schedule in options.specs}
    steps = last_step_of("compare", "--steps", options.steps, [])
    with warnings.catch_warnings(record=True, action="always") as caught:
        rows = compared(schedules, steps, options.tuned, options.horizon_exponent, *options.law)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    if options.json:
        tuned = None if options.tuned is None else repr(options.tuned)
        about = {"num_steps": steps, "tuned": tuned, "assumption": ASSUMPTION}
        print(json.dumps({**about, "schedules": [row._asdict() for row in rows]}, indent=2))
        return
    scale, remark = "best scale, D / G = 1", BEST_SCALE
    if options.tuned is not None:
        tuned = short_source(options.tuned)
        scale, remark = "factor", f"factor: multiply its rates by it, if {tuned} is tuned for this run"
    columns, cells = ["bound", scale, *["loss as it is"] * (options.law[0] is not None)], []
    for row in rows:
        share = (row.relative_bound - 1) * 100
        worse = f"+{share:.1f} %" + ", no difference" * row.no_difference if share else "best"
        number = row.best_scale if row.factor is None else row.factor
        loss = [] if row.predicted_loss is None else [f"{row.predicted_loss:.4f}"]
        cells.append([short_source(schedules[row.schedule]), worse, f"{number:.4g}", *loss])
    print_table("compare", f"{steps} steps", columns, cells, ASSUMPTION, remark)


def identify_log(options: argparse.Namespace) -> None:
    """Find the schedules that a trainer's log followed.

    A FILE is what a trainer wrote: Hugging Face's trainer_state.json, CSV (Lightning, ultralytics,
    exports of Weights & Biases) or JSON lines. The table has the schedules that agree with the logged
    values, those that a person would rather have typed first.
    """
    curves = read_log(options.file)
    names = list(filter(RATE_COLUMN.search, curves))
    name = options.column or next(iter(names), None)
    if name not in curves:
        rule = f"one of {', '.join(map(repr, curves))}"
        raise Refusal("identify", "--column", rule, options.column).error()
    steps, values = curves[name]
    matches = identify(steps, values)
    title = f"{Path(options.file).name}, {name}: {len(steps)} values"
    title += f" (--column may be {', '.join(names)})" if len(names) > 1 else ""
    rows = []
    for match in matches:
        error = f"{match.largest_error:.3g}" + ", too much" * (not match.is_consistent)
        skipped = ", ".join(f"{count} by {step:g}" for step, count in match.skipped)
        rows.append([bare_source(match.schedule), str(match.offset), error, skipped or "none"])
    best = matches[0]
    remark = "" if best.is_consistent else NONE_AGREES
    print_table("identify", title, ["offset", "error", "skipped"], rows, OFFSET_AND_ERROR, remark)
    if options.plot:
        used = best.schedule(steps + best.offset - lags_of(best, steps))
        parted = steps[errors_at(best, steps, values) > TIES]
        with picture("identify", options.plot) as axes:
            axes.plot(steps, used, label="best match")
            axes.plot(steps, values, ".", markersize=4, label="log", zorder=1)
            if len(parted):
                axes.axvline(parted[0], color="red", ls=":", label=f"they part at step {parted[0]:g}")
            axes.set(title=short_source(best.schedule), xlabel="step", ylabel=name)
            axes.legend()


@contextlib.contextmanager
def picture(where: str, out: Path) -> Iterator[Any]:
    """Axes to draw into; then the picture is written."""
    figure = imported(where, "matplotlib.figure").Figure(figsize=(8, 4.5), layout="constrained")
    yield figure.subplots()
    figure.savefig(out, dpi=150)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
