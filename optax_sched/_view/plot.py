"""Draws schedules as curves, with matplotlib, and prints them as tables and curves in a terminal.

What draws and prints is imported only when it is used.
"""

import itertools
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from optax_sched._core.built import formula_behind, hyperparameters, is_made_by, refuse_batch
from optax_sched._core.curve import COLORS, LAST_TOKEN, horizon
from optax_sched._core.errors import Refusal, imported
from optax_sched._core.evaluate import is_float_clock
from optax_sched._core.operands import Function, OneSchedule, as_schedule, constant
from optax_sched._core.printing import source
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import Count, Switch, admit, domain_of
from optax_sched._math.phases import LAST_STEP
from optax_sched._view.phase_starts import phase_boundaries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 2000  # more than a screen has columns
LONGEST_LABEL = 60
ROWS = 10  # of the table, besides those where a phase begins
MOST_PHASES = 10
WIDTH, HEIGHT = 50, 10  # of the curve in a terminal, in characters: its ticks are round numbers


def plot(
    schedules: Any, num_steps: int | None = None, ax: "Axes | None" = None, *, log: bool = False
) -> "Axes":
    """Draw schedules over steps, with a thin dotted line where a phase of one begins.

    The curves go from step 0 to `num_steps`, both included, so that you see the end of a decay of
    `num_steps` steps; by default as far as they change. Each value is drawn from its step to the next,
    so that stairs are upright. Above 2000 steps, `plot` draws 2000 of them and all at which a phase
    begins: of a curve that changes wildly from step to step you then see samples.

    The phases are those of `join`, `warmup`, `cooldown`, the recipes, and of every schedule with
    `boundaries`, also inside other combinators (but not inside `repeat`).

    Args:
      schedules: a schedule, a function of the step that JAX can trace, or a number (a constant); a
        list of them; or a dict of them by label. Without labels, the legend shows their source with
        the defaults left out.
      num_steps: the last step, a whole number, 1 or more; by default the one from which on no curve
        changes, rounded up, or 1000 if one never stops. It may be beyond 2^31 - 1 where a length of
        a schedule is a float (a clock of tokens).
      ax: the matplotlib axes to draw into; by default those of a new figure.
      log: whether the scale of the values is logarithmic; such a scale shows no value of 0 or less.

    Returns:
      The axes, with a legend if they have more than one curve.

    Raises:
      ImportError: matplotlib is not installed.
      TypeError, ValueError: an argument is not as described; `log` is true and no value is above 0; or
        a schedule is a batch.

    >>> from optax_sched import cosine_decay, warmup
    >>> cosine = warmup(cosine_decay(0.1, 900), 100)
    >>> axes = plot({"cosine": cosine, "constant": 0.05}, 1000)  # doctest: +SKIP
    >>> [line.get_label() for line in axes.get_lines()]  # doctest: +SKIP
    ['cosine', 'constant']
    """
    labels, found = _labelled(schedules)
    num_steps = last_step_of("plot", "num_steps", num_steps, found)
    log = admit("plot", "log", domain_of("log", Switch), log)
    begins = [[step for step in phase_boundaries(it) if step < num_steps] for it in found]
    steps = steps_to_show(num_steps, list(itertools.chain(*begins)))
    values = np.array([values_at(schedule, steps) for schedule in found])
    if log and not np.any(values > 0):
        raise Refusal("plot", "log", "False where no value is above 0", log).error()
    axes: Any = ax
    if ax is None:
        axes = imported("plot", "matplotlib.pyplot").subplots(layout="constrained")[1]
    elif not isinstance(ax, imported("plot", "matplotlib.axes").Axes):
        raise Refusal("plot", "ax", "matplotlib axes", ax).error(TypeError)
    before = len(axes.get_lines())
    near, widths = 0.01 * np.ptp(values), np.gradient(steps.astype(np.float64))
    for number, curve in enumerate(values):
        color = COLORS[(before + number) % len(COLORS)]
        style = {"drawstyle": "steps-post", "color": color, "label": labels[number]}
        # A curve that lies on others for a quarter of its length is dashed: they are seen through it.
        shares = (np.abs(values[:number] - curve) <= near) @ widths / widths.sum()
        covered = np.sum(shares >= 0.25)
        dashes = {"linestyle": (0, (4, 2 + 2 * covered))} if covered else {}
        axes.plot(steps, curve, **style, **dashes)
        # Thin dotted lines from bottom to top, which leave the scale of the values alone.
        place = {"transform": axes.get_xaxis_transform(), "zorder": 0}
        axes.vlines(begins[number], 0, 1, color, "dotted", linewidth=0.8, alpha=0.6, **place)
    axes.set(xlabel="step", ylabel="value", yscale="log" if log else "linear")
    axes.margins(x=0.01)
    if len(axes.get_lines()) > 1:
        # From top to bottom as the curves end.
        lines = sorted(axes.get_lines(), key=lambda line: -np.asarray(line.get_ydata())[-1])
        lines = [line for line in lines if not line.get_label().startswith("_")]
        axes.legend(lines, [textwrap.fill(line.get_label(), LONGEST_LABEL) for line in lines])
    return axes


def last_step_of(where: str, name: str, num_steps: Any, schedules: list[Function]) -> int:
    """A last step to show, by default where no value changes any more.

    It may be beyond int32 only where a float length says that the clock counts tokens.
    """
    if num_steps is None:
        return max(horizon(as_schedule(schedule)) for schedule in schedules)
    counts_tokens = type(num_steps) is int and any(map(is_float_clock, schedules))
    if counts_tokens and LAST_STEP < num_steps <= LAST_TOKEN:
        return num_steps
    return admit(where, name, domain_of(name, Count), num_steps)


def steps_to_show(num_steps: int, boundaries: list[float], most: int = MOST_POINTS) -> np.ndarray:
    """Whole steps from 0 to `num_steps`, evenly, and those just before and at each boundary."""
    even = np.linspace(0, num_steps, min(num_steps, most) + 1).round()
    first = np.ceil([step for step in boundaries if step <= num_steps])  # of the new phase
    return np.unique(np.concatenate([even, first, first - 1])).astype(np.int64)


def values_at(schedule: Function, steps: np.ndarray) -> np.ndarray:
    """All values at once."""
    return np.asarray(as_schedule(schedule)(steps), np.float64)


def _labelled(schedules: Any) -> tuple[list[str], list[Function]]:
    """The labels, and the schedules."""
    named = {"schedules": schedules}
    if isinstance(schedules, Mapping | list | tuple):
        pairs = schedules.items() if isinstance(schedules, Mapping) else enumerate(schedules)
        named = {f"schedules[{label!r}]": item for label, item in pairs}
    if not named:
        raise Refusal("plot", "schedules", "one schedule or more", schedules).error()
    found = [admit("plot", name, OneSchedule(), item) for name, item in named.items()]
    for name, schedule in zip(named, found, strict=True):
        refuse_batch(f"plot: {name}", schedule, "write plot(unstack(batch), ...)")
    labels = map(str, schedules) if isinstance(schedules, Mapping) else map(short_source, found)
    return list(labels), found


def short_source(schedule: Function) -> str:
    """A schedule's source without its defaults, cut to fit a legend."""
    text = bare_source(schedule) if isinstance(schedule, Schedule) else _short(schedule)
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 3] + "..."


def bare_source(schedule: Schedule) -> str:
    """A schedule's source without its defaults."""
    return formula_behind(schedule).source(hyperparameters(schedule), _short, bare=True)


def _short(value: Any) -> str:
    if isinstance(value, Schedule):  # inside another, where a number means constant
        return _short(value.value) if is_made_by(constant, value) else bare_source(value)
    if isinstance(value, list) or (isinstance(value, np.ndarray | jax.Array) and value.ndim):
        return f"[{', '.join(map(_short, value[:3]))}{', ...' * (len(value) > 3)}]"
    return f"{value:g}" if isinstance(value, float | np.floating) else source(value)


# --- In the terminal


def show(schedule: Schedule, num_steps: int) -> None:
    """Print a schedule's source, a table of its values from step 0 to `num_steps`, and its curve."""
    console = imported("show", "rich.console").Console(highlight=False, markup=False, soft_wrap=True)
    rich = imported("show", "rich.table")
    table = rich.Table(*(rich.Column(title, justify="right") for title in ("step", "value")), "")
    boundaries = phase_boundaries(schedule)[:MOST_PHASES]
    steps = steps_to_show(num_steps, boundaries, ROWS)
    begins = set(np.ceil(boundaries).tolist())
    for step, value in zip(steps.tolist(), values_at(schedule, steps).tolist(), strict=True):
        table.add_row(str(step), f"{value:.6g}", "a phase begins" if step in begins else "")
    console.print(repr(schedule))
    console.print(table)
    curve = _curve(schedule, num_steps)
    try:
        curve.encode(console.encoding)
    except UnicodeEncodeError:
        curve = "(the curve needs a terminal in UTF-8)"
    console.print(curve)


def print_table(
    where: str, title: str, columns: list[str], rows: list[list[str]], caption: str, remark: str
) -> None:
    """Print a row for each schedule, which stands in the first column, and a remark below."""
    rich = imported(where, "rich.table")
    table = rich.Table(title=title, caption=caption, caption_justify="left")
    table.add_column("schedule", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    console = imported(where, "rich.console").Console(highlight=False, markup=False)
    console.print(table)
    if remark:
        console.print(remark, soft_wrap=True)


def _curve(schedule: Schedule, num_steps: int) -> str:
    steps = steps_to_show(num_steps, phase_boundaries(schedule), 4 * WIDTH)
    values = values_at(schedule, steps)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    high += high == low
    figure = imported("show", "plotille").Figure()
    figure.width, figure.height, figure.origin = WIDTH, HEIGHT, False
    figure.set_x_limits(0.0, num_steps)
    figure.set_y_limits(low, high)
    # plotille does not draw what lies on an upper limit: move it in by less than one of its dots.
    steps = np.minimum(steps, num_steps * (1 - 0.3 / WIDTH))
    values = np.minimum(values, high - (high - low) * 0.15 / HEIGHT)
    figure.x_label, figure.y_label = "step", "value"
    figure.register_label_formatter(float, _tick)
    figure.plot(steps.tolist(), values.tolist())
    return figure.show()


def _tick(value: float, chars: int, left: bool = False, **_: object) -> str:
    return f"{value:.4g}".ljust(chars) if left else f"{value:.4g}".rjust(chars)
