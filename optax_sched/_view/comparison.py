"""The table of a comparison in the terminal."""

from collections.abc import Iterable
from typing import Any

from optax_sched._core.extras import imported


def show_comparison(rows: Iterable[Any], num_steps: int, tuned: str | None, caption: str) -> None:
    """Print a row for each schedule: how much worse than the best, and what to do with its rates."""
    table = imported("compare", "rich.table").Table(
        "schedule", title=f"{num_steps} steps", caption=caption, caption_justify="left"
    )
    rows = list(rows)
    has_factor = any(row.factor is not None for row in rows)
    has_loss = any(row.predicted_loss is not None for row in rows)
    columns = ["bound", "factor" if has_factor else "best scale, D / G = 1"]
    for title in columns + ["loss as it is"] * has_loss:
        table.add_column(title, justify="right")
    for row in rows:
        share = (row.relative_bound - 1) * 100
        worse = "best" if not share else f"+{share:.1f} %" + ", no difference" * row.no_difference
        scale = row.factor if has_factor else row.best_scale
        loss = [f"{row.predicted_loss:.4f}"] if has_loss else []
        text = imported("compare", "rich.text").Text(row.schedule, overflow="fold")
        table.add_row(text, worse, f"{scale:.4g}", *loss)
    console = imported("compare", "rich.console").Console(highlight=False)
    console.print(table)
    if not has_factor:
        console.print(
            "best scale: the bound is lowest if the rates are multiplied by it and by D / G, where D "
            "is the distance from the start to the optimum and G the norm of a gradient; both are "
            "unknown, so only the ratio of two such scales says something (--tuned prints it)",
            markup=False,
            soft_wrap=True,
        )
    if tuned:
        console.print(
            f"factor: multiply its rates by it, if {tuned} is tuned for this run",
            markup=False,
            soft_wrap=True,
        )
