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

import numpy as np

from optax_sched._core.errors import Refusal, imported, in_a_word
from optax_sched._core.peer_words import called_here
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import Positive, admit, bare, domain_of
from optax_sched._files.config import from_config
from optax_sched._files.reader import BUILT_IN
from optax_sched._files.source import from_source
from optax_sched._view.plot import bare_source, last_step_of, plot, print_table, short_source, show
from optax_sched.planning.bound import convex_bound, transfer_factor
from optax_sched.planning.fit import warn_off_peak
from optax_sched.planning.inputs import known_rates
from optax_sched.planning.loss_law import KINDS, LossLaw
from optax_sched.porting import identify, read_log
from optax_sched.porting.fit_log import TIES
from optax_sched.porting.identify import errors_at, lags_of

SUFFIXES = (".png", ".svg", ".pdf", ".jpg")
_, _, SPEC = (__doc__ or "").partition("\n\n")
SAME_LENGTH = 0.01  # of the run
FARTHEST = 10  # times the run: a schedule that changes longer counts as endless
FEW = 0.01  # of the steps: a schedule that changes at fewer only jumps
NO_DIFFERENCE = 1.03  # ratios of bounds below it have been in the reverse order of real losses
ASSUMPTION = (
    "The bound is that of the last step on convex, non-smooth problems with equal gradient norms, each "
    "schedule at its own best scale. It cannot order schedules that differ by less than 3 %, and it "
    "does not see where training becomes unstable."
)
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


@option
def read_spec(spec: str) -> Schedule:
    """The schedule that a file describes, if there is a file of that name, else a source text.

    A file that ends in .yaml or .yml is read as YAML, any other as JSON. Raises ValueError or
    TypeError, with one line, and ImportError where YAML needs a module that is not installed.
    """
    if os.path.exists(spec):  # which a text that can be no name does not
        config = data_in(spec)
        try:
            return drawable(from_config(config))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{spec}: {error}") from None
    if "(" not in spec:
        raise ValueError(f"must be a file or a source text, got {in_a_word(spec)}: {remedy(spec)}")
    return drawable(from_source(spec))


def remedy(spec: str) -> str:
    """What to write instead of a text without a call, which names no file."""
    if spec in BUILT_IN:
        return f"call the builder: {spec}({bare(BUILT_IN[spec].signature)})"
    try:
        return f"for a constant write constant({float(spec)!r})"
    except ValueError:
        hint = called_here(spec, BUILT_IN)
        return f"no such file{hint}; a source text is a call, such as 'cosine_decay(0.1, 1000)'"


def drawable(built: object) -> Schedule:
    if not isinstance(built, Schedule):
        inside = ": write the schedule inside it alone" if hasattr(built, "schedule") else ""
        raise TypeError(f"must be a schedule, got {in_a_word(built)}{inside}")
    return built


def data_in(name: str) -> Any:
    """What a JSON or YAML file holds."""
    path = Path(name)
    yaml = imported("read_spec", "yaml") if path.suffix.lower() in (".yaml", ".yml") else None
    wrong = yaml.YAMLError if yaml else ValueError
    try:
        text = path.read_text(encoding="utf-8-sig")
        return yaml.safe_load(text) if yaml else json.loads(text)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"must be a file, got {in_a_word(name)}: {reason}") from None
    except (wrong, ValueError, RecursionError) as error:
        form = "YAML" if yaml else "JSON (a YAML file ends in .yaml or .yml)"
        raise ValueError(f"must be {form}, {name} is not: {' '.join(str(error).split())}") from None


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

    spec = {"type": read_spec, "metavar": "SPEC"}
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
        rows = ranked(schedules, steps, options)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    if options.json:
        tuned = None if options.tuned is None else repr(options.tuned)
        about = {"num_steps": steps, "tuned": tuned, "assumption": ASSUMPTION, "schedules": rows}
        print(json.dumps(about, indent=2))
        return
    number, title, remark = "best_scale", "best scale, D / G = 1", BEST_SCALE
    if options.tuned is not None:
        number, title, tuned = "factor", "factor", short_source(options.tuned)
        remark = f"factor: multiply its rates by it, if {tuned} is tuned for this run"
    columns, cells = ["bound", title, *["loss as it is"] * (options.law[0] is not None)], []
    for row in rows:
        share = (row["relative_bound"] - 1) * 100
        worse = f"+{share:.1f} %" + ", no difference" * row["no_difference"] if share else "best"
        loss = [] if row["predicted_loss"] is None else [f"{row['predicted_loss']:.4f}"]
        cells.append([short_source(schedules[row["schedule"]]), worse, f"{row[number]:.4g}", *loss])
    print_table("compare", f"{steps} steps", columns, cells, ASSUMPTION, remark)


def ranked(schedules: dict[str, Schedule], steps: int, options: argparse.Namespace) -> list[Any]:
    """What is known of each schedule, by its name, the best first."""
    tuned, exponent, (law, peak_value) = options.tuned, options.horizon_exponent, options.law
    tuned_steps = steps if tuned is None else length(tuned, steps)
    if tuned_steps != steps and exponent is None:
        raise ValueError(
            f"--horizon-exponent is required: the tuned schedule ends at step {tuned_steps}, not at "
            f"{steps} (at a fixed batch size 0 to 0.15 was best in real runs)"
        )
    bounds = {}
    for name, schedule in schedules.items():
        try:
            bounds[name] = convex_bound(schedule, steps)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    lowest = min(float(bound.best_value) for bound in bounds.values())
    rows = []
    for name, schedule in schedules.items():
        relative = float(bounds[name].best_value) / lowest
        loss = factor = None
        if tuned is not None:
            factor = float(transfer_factor(tuned, tuned_steps, schedule, steps, exponent))
        if law is not None:
            loss = max(float(law(schedule, steps - 1)), 0.0)
        if peak_value is not None:
            peak = float(known_rates("compare", schedule, steps).max())
            warn_off_peak(f"compare: {name}", peak, (peak_value, peak_value))
        row = {"schedule": name, "relative_bound": relative, "no_difference": relative < NO_DIFFERENCE}
        row |= {"best_scale": float(bounds[name].best_scale), "factor": factor, "predicted_loss": loss}
        rows.append(row)
    return sorted(rows, key=lambda row: row["relative_bound"])


def length(schedule: Schedule, num_steps: int) -> int:
    """The step from which on it is constant; the last if it is always, never, or between jumps."""
    steps = FARTHEST * num_steps
    moves = np.flatnonzero(np.diff(known_rates("compare", schedule, steps, must_move=False)))
    if not len(moves) or moves[-1] + 2 >= steps or len(moves) < FEW * moves[-1]:
        return num_steps
    last = int(moves[-1]) + 1
    return last if abs(last / num_steps - 1) > SAME_LENGTH else num_steps


def read_law(name: str) -> tuple[LossLaw, float | None]:
    """A loss law, and perhaps the peak of its runs, from JSON: {"law": "MultiPowerLaw", "L0": ...}."""
    data = data_in(name)
    law = KINDS.get(str(data.get("law"))) if isinstance(data, dict) else None
    if law is None:
        known = " or ".join(f'"{known}"' for known in KINDS)
        raise ValueError(f'{name}: must be an object with "law": {known}, got {in_a_word(data)}')
    del data["law"]
    try:
        peak = admit("law", "peak_value", domain_of("", Positive | None), data.pop("peak_value", None))
        return law.law(**data), peak
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


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
