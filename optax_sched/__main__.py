"""The command line: draws, prints and compares schedules, and finds the one that a log followed."""

import argparse
import json
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

from optax_sched._core.curve import horizon
from optax_sched._core.errors import in_a_word
from optax_sched._core.extras import imported
from optax_sched._core.schedule import Schedule
from optax_sched._files.spec import read_spec
from optax_sched._view.comparison import show_comparison
from optax_sched._view.log_matches import picture_of_match, show_matches
from optax_sched._view.plot import last_step_of, plot, short_source
from optax_sched._view.terminal import show
from optax_sched.planning.comparison import ASSUMPTION, compared, read_law
from optax_sched.porting import identify, read_log
from optax_sched.porting.identify import errors_at

SUFFIXES = (".png", ".svg", ".pdf", ".jpg")
SPEC = """\
A SPEC is a schedule's source text, or a JSON or YAML file as optax_sched.to_config makes it: the
builder's name and its settings, nested where a schedule is made of others. This one rises for 100
steps and then falls for 900, in both forms:

  "warmup(cosine_decay(0.1, 900), 100)"

  {"builder": "warmup", "warmup_steps": 100,
   "schedule": {"builder": "cosine_decay", "init_value": 0.1, "decay_steps": 900}}
"""


LOG = """\
A FILE is what a trainer wrote: Hugging Face's trainer_state.json, CSV (Lightning, ultralytics, exports
of Weights & Biases) or JSON lines. The table has the schedules that agree with the logged values, those
that a person would rather have typed first.
"""
RATE_COLUMN = re.compile(r"(?<![a-z])(lr|learning[_ ]rate)(?![a-z])", re.IGNORECASE)
W_AND_B_BOUND = re.compile(r"__(MIN|MAX)$")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line: the usage is left to --help.
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def schedule_of(spec: str) -> Schedule:
    try:
        return read_spec(spec)
    except (ImportError, TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def law_of(file: str) -> Any:
    try:
        return read_law(file)
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def step_count(text: str) -> int:
    try:
        steps = int(text)
    except ValueError:
        steps = 0
    if steps < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, got {in_a_word(text)}")
    return steps


def picture_file(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        rule = f"must end in {', '.join(SUFFIXES)}"
    elif path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        rule = "must be a file in a writable folder"
    else:
        return path
    raise argparse.ArgumentTypeError(f"{rule}, got {in_a_word(text)}")


def parser() -> Parser:
    """What `--help` shows."""
    top = Parser(prog="python -m optax_sched", description="Look at learning-rate schedules.")
    commands = top.add_subparsers(
        dest="command", required=True, metavar="plot | show | compare | identify"
    )

    def command(name: str, does: str, epilog: str | None = None) -> Any:
        made = commands.add_parser(
            name,
            help=does,
            description=does[0].upper() + does[1:] + ".",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return made.add_argument

    steps: dict[str, Any] = {
        "type": step_count,
        "metavar": "N",
        "help": "the last step; without it, where the value no longer changes (1000 if it always does)",
    }
    out: dict[str, Any] = {"type": picture_file, "required": True, "metavar": "FILE"}
    out["help"] = f"the picture to write, which ends in {', '.join(SUFFIXES)}"

    spec: dict[str, Any] = {"type": schedule_of, "metavar": "SPEC"}

    add = command("plot", "draw schedules into a picture", SPEC)
    add("specs", nargs="+", help="a source text, or a JSON or YAML file; several are compared", **spec)
    add("--steps", **steps)
    add("--log", action="store_true", help="put the values on a logarithmic scale")
    add("--out", **out)

    add = command("show", "print a schedule's values as a table and its curve, without a picture", SPEC)
    add("spec", help="a source text, or a JSON or YAML file", **spec)
    add("--steps", **steps)

    add = command("compare", "rank schedules for a run of N updates by the convex bound", SPEC)
    add("specs", nargs="+", help="a source text, or a JSON or YAML file", **spec)
    run = {**steps, "required": True, "help": "the number of updates"}
    add("--steps", **run)
    add("--tuned", help="a schedule tuned for this run: what to multiply the others by", **spec)
    exponent = "e in: the best rate is as horizon^-e; required if the tuned schedule has another length"
    add("--horizon-exponent", type=float, metavar="E", help=exponent)
    law = 'JSON: {"law": "MultiPowerLaw" or "AnnealingLaw", its parameters, perhaps "peak_value"}'
    add("--law", type=law_of, metavar="FILE", help=f"a loss law, to predict the last loss; {law}")
    add("--json", action="store_true", help="print JSON instead of the table")

    add = command("identify", "find the schedules that a trainer's log followed", LOG)
    add("file", metavar="FILE", help="trainer_state.json, CSV or JSON lines, as the trainer wrote it")
    add("--column", metavar="NAME", help="the logged rate; without it, the first column named so")
    add(
        "--plot", type=picture_file, metavar="FILE", help=f"draw the log beside the best; {out['help']}"
    )
    return top


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what is wrong with it is one line on stderr, and exit status 2."""
    top = parser()
    options = top.parse_args(arguments)
    try:
        COMMANDS[options.command](options)
    except (ImportError, OSError, ValueError) as error:
        top.error(str(error))


def print_one(options: argparse.Namespace) -> None:
    """Print a schedule's values and its curve."""
    steps = options.steps or horizon(options.spec)
    show(options.spec, last_step_of("show", "--steps", steps, [options.spec]))


def draw(options: argparse.Namespace) -> None:
    """Write a picture of schedules."""
    picture(options).savefig(options.out, dpi=150)
    print(f"picture: {options.out}")


def compare(options: argparse.Namespace) -> None:
    """Print schedules with the best first, as a table or as JSON."""
    schedules = {repr(schedule): schedule for schedule in options.specs}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exponent = options.horizon_exponent
        law, peak = options.law or (None, None)
        rows = compared(schedules, options.steps, options.tuned, law, peak, exponent)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    if options.json:
        tuned = None if options.tuned is None else repr(options.tuned)
        about = {"num_steps": options.steps, "tuned": tuned, "assumption": ASSUMPTION}
        print(json.dumps({**about, "schedules": [row._asdict() for row in rows]}, indent=2))
        return
    shown = [row._replace(schedule=short_source(schedules[row.schedule])) for row in rows]
    tuned = None if options.tuned is None else short_source(options.tuned)
    show_comparison(shown, options.steps, tuned, ASSUMPTION)


def identify_log(options: argparse.Namespace) -> None:
    """Print the schedules that a log may have followed, and draw it beside the best."""
    curves = read_log(options.file)
    names = [name for name in curves if RATE_COLUMN.search(name) and not W_AND_B_BOUND.search(name)]
    name = options.column or next(iter(names), None)
    if name not in curves:
        rule = f"must be one of {', '.join(map(repr, curves))}, got {in_a_word(options.column)}"
        raise ValueError(f"--column: {rule}")
    steps, values = curves[name]
    matches = identify(steps, values)
    others = [other for other in names if other != name and options.column is None]
    title = f"{Path(options.file).name}, {name}: {len(steps)} values"
    show_matches(matches, title + (f" (--column also: {', '.join(others)})" if others else ""))
    if options.plot:
        errors = errors_at(matches[0], steps, values)
        picture_of_match(matches[0], steps, values, errors, name).savefig(options.plot, dpi=150)
        print(f"picture: {options.plot}")


def picture(options: argparse.Namespace) -> Any:
    """The figure that `plot` saves."""
    figure = imported("plot", "matplotlib.figure").Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    steps = options.steps or max(map(horizon, options.specs))
    steps = last_step_of("plot", "--steps", steps, options.specs)
    plot(options.specs, steps, axes, log=options.log)
    if len(options.specs) == 1:
        axes.set_title(short_source(options.specs[0]), size=11)
    return figure


# Each verb that `parser` knows, and what it does.
COMMANDS = {"plot": draw, "show": print_one, "compare": compare, "identify": identify_log}


if __name__ == "__main__":
    main()
