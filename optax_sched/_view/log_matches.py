"""What a log's matches look like: a table in the terminal, and the log beside the best of them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optax_sched._core.extras import imported
from optax_sched._core.schedule import Schedule
from optax_sched._view.plot import bare_source, short_source, values_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIES = 1.001  # errors up to here are rounding


class MatchOfLog(Protocol):
    """What `optax_sched.porting.Match` has, as far as it is shown."""

    @property
    def schedule(self) -> Schedule: ...
    @property
    def offset(self) -> int: ...
    @property
    def skipped(self) -> list[tuple[float, int]]: ...
    @property
    def largest_error(self) -> float: ...
    @property
    def is_consistent(self) -> bool: ...


def show_matches(matches: Iterable[MatchOfLog], title: str) -> None:
    """Print a row for each match, best first."""
    matches = list(matches)
    table = imported("identify", "rich.table").Table(
        "schedule",
        title=title,
        caption="offset: added to each logged step; error: the largest, in halves of the last digit",
        caption_justify="left",
    )
    for name in ("offset", "error", "skipped"):
        table.add_column(name, justify="right")
    text = imported("identify", "rich.text").Text
    for match in matches:
        skipped = ", ".join(f"{count} by {step:g}" for step, count in match.skipped)
        error = f"{match.largest_error:.3g}" + ("" if match.is_consistent else ", too much")
        table.add_row(
            text(bare_source(match.schedule), overflow="fold"),
            str(match.offset),
            error,
            skipped or "none",
        )
    console = imported("identify", "rich.console").Console(highlight=False)
    console.print(table)
    if not matches[0].is_consistent:
        console.print("No schedule agrees with every logged value; these come nearest.", soft_wrap=True)


def picture_of_match(
    match: MatchOfLog, steps: np.ndarray, values: np.ndarray, errors: np.ndarray, name: str
) -> "Figure":
    """The log beside its best match, with a line where they part and the values that are off."""
    figure = imported("identify", "matplotlib.figure").Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    lags = np.zeros(len(steps))
    for step, count in match.skipped:
        lags[steps >= step] = count
    at = np.maximum(steps + match.offset - lags, 0)
    whole = np.all(at == np.rint(at)) and at[-1] < 2**31
    axes.plot(
        steps, values_at(match.schedule, at.astype(np.int32) if whole else at), label="best match"
    )
    axes.plot(steps, values, ".", markersize=4, label="log", zorder=1)
    off = errors > TIES
    if off.any():
        axes.plot(steps[off], values[off], ".", color="#d55e00", markersize=4, label="off")
        first = steps[np.argmax(off)]
        axes.axvline(first, color="#d55e00", linestyle=":", label=f"they part at step {first:g}")
    axes.set(xlabel="step", ylabel=name)
    axes.set_title(short_source(match.schedule), size=10)
    axes.legend()
    return figure
