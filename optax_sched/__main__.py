"""The command line: draws schedules that JSON files describe, or prints one."""

import argparse
import json
import os
from pathlib import Path
from typing import Any, NoReturn

from optax_sched._core.domains import in_a_word
from optax_sched._core.hyperparameters import Count, kind_of
from optax_sched._core.schedule import Schedule
from optax_sched._files.config import from_config
from optax_sched._math.phases import LAST_STEP
from optax_sched._view.plot import imported, plot, short_source
from optax_sched._view.terminal import horizon, show

SUFFIXES = (".png", ".svg", ".pdf", ".jpg")
CONFIG = """\
A config is a JSON file as optax_sched.to_config makes it: the builder's name and its
settings, nested where a schedule is made of others. This one rises for 100 steps and
then falls for 900:

  {"builder": "warmup", "warmup_steps": 100,
   "schedule": {"builder": "cosine_decay", "init_value": 0.1, "decay_steps": 900}}
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line: the usage is left to --help.
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def config_file(text: str) -> Schedule:
    try:
        config = json.loads(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise argparse.ArgumentTypeError(f"must be a file, got {in_a_word(text)}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"must be JSON, {text} is not: {error}") from None
    try:
        return from_config(config)
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def step_count(text: str) -> int:
    try:
        return kind_of("steps", Count).admit(int(text))
    except ValueError:
        rule = f"a whole number from 1 to {LAST_STEP}"
        raise argparse.ArgumentTypeError(f"must be {rule}, got {in_a_word(text)}") from None


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
    commands = top.add_subparsers(dest="command", required=True, metavar="plot | show")

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

    add = command("plot", "draw schedules from config files into a picture", CONFIG)
    add(
        "configs",
        type=config_file,
        nargs="+",
        metavar="CONFIG",
        help="a JSON file; several are compared",
    )
    add("--steps", **steps)
    add("--log", action="store_true", help="put the values on a logarithmic scale")
    add("--out", **out)

    add = command(
        "show", "print a schedule's values as a table and its curve, without a picture", CONFIG
    )
    add("config", type=config_file, metavar="CONFIG", help="a JSON file")
    add("--steps", **steps)
    return top


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what is wrong with it is one line on stderr, and exit status 2."""
    top = parser()
    options = top.parse_args(arguments)
    try:
        if options.command == "show":
            show(options.config, options.steps or horizon(options.config))
            return
        picture(options).savefig(options.out, dpi=150)
    except (ImportError, OSError, ValueError) as error:
        top.error(str(error))
    print(f"picture: {options.out}")


def picture(options: argparse.Namespace) -> Any:
    """The figure that `plot` saves."""
    figure = imported("plot", "matplotlib.figure").Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    steps = options.steps or max(map(horizon, options.configs))
    plot(options.configs, steps, axes, log=options.log)
    if len(options.configs) == 1:
        axes.set_title(short_source(options.configs[0]), size=11)
    return figure


if __name__ == "__main__":
    main()
