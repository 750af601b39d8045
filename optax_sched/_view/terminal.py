"""Tables in the terminal: of a schedule's values, with a small curve, and of several schedules."""

import numpy as np

from optax_sched._core.errors import imported
from optax_sched._core.schedule import Schedule
from optax_sched._view.phase_starts import phase_boundaries
from optax_sched._view.plot import steps_to_show, values_at

ROWS = 10  # of the table, besides those where a phase begins
MOST_PHASES = 10
WIDTH, HEIGHT = 50, 10  # of the curve, in characters; these make its ticks round numbers


def show(schedule: Schedule, num_steps: int) -> None:
    """Print a schedule's source, a table of its values from step 0 to `num_steps`, and its curve."""
    console = imported("show", "rich.console").Console(highlight=False)
    table = imported("show", "rich.table").Table()
    for title in ("step", "value", ""):
        table.add_column(title, justify="right" if title else "left")
    boundaries = phase_boundaries(schedule)[:MOST_PHASES]
    steps = steps_to_show(num_steps, boundaries, ROWS)
    begins = set(np.ceil(boundaries).tolist())
    for step, value in zip(steps.tolist(), values_at(schedule, steps).tolist(), strict=True):
        table.add_row(str(step), f"{value:.6g}", "a phase begins" if step in begins else "")
    console.print(repr(schedule), markup=False, soft_wrap=True)
    console.print(table)
    curve = _curve(schedule, num_steps)
    try:
        curve.encode(console.encoding)
    except UnicodeEncodeError:
        curve = "(the curve needs a terminal in UTF-8)"
    console.print(curve, markup=False, soft_wrap=True)


def print_table(
    where: str, title: str, columns: list[str], rows: list[list[str]], caption: str, remark: str
) -> None:
    """Print a row for each schedule, which stands in the first column, and a remark below."""
    about = {"title": title, "caption": caption, "caption_justify": "left"}
    table = imported(where, "rich.table").Table("schedule", **about)
    for column in columns:
        table.add_column(column, justify="right")
    for source, *cells in rows:
        table.add_row(imported(where, "rich.text").Text(source, overflow="fold"), *cells)
    console = imported(where, "rich.console").Console(highlight=False)
    console.print(table)
    if remark:
        console.print(remark, markup=False, soft_wrap=True)


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


def _tick(value: float, chars: int, delta: float, left: bool = False) -> str:
    del delta
    return f"{value:.4g}".ljust(chars) if left else f"{value:.4g}".rjust(chars)
