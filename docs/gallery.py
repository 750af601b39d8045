"""Draws every built-in schedule into one picture, and writes the page that lists them.

    python docs/gallery.py

A panel for each, in the groups of the package's index (`help(optax_sched)`). It writes
docs/gallery.png and docs/gallery.md. The site has a picture of each panel besides (docs/build_site.py).
"""

import argparse
import inspect
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from families import groups
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import optax_sched as o
from optax_sched._view.phase_starts import operands, phase_boundaries

DOCS = Path(__file__).parent
LAST = 1000  # the last step of a panel
COSINE = o.cosine_decay(1.0, LAST)

# What a parameter without a default gets, by the words of the library.
SETTINGS: dict[str, Any] = {
    **{"value": 0.5, "init_value": 1.0, "peak_value": 1.0, "stable_value": 0.4},
    **{"base_value": 0.0, "end_value": 0.0, "min_value": 0.2, "max_value": 0.7},
    **{"decay_steps": LAST, "transition_steps": LAST, "total_steps": LAST, "period": 250},
    **{"warmup_steps": 200, "hold_steps": 200, "explore_steps": 300, "cooldown_steps": 250},
    **{"anneal_start": 700, "anneal_steps": 250, "start": 600, "steps": 200, "steps_up": 125},
    **{"interval": 100, "boundaries": [300, 500, 700], "budgets": [500, 1000], "timescale": 100},
    **{"values": [1.0, 0.7, 0.2, 0.1], "decay_rate": 0.5, "half_waves": 2.0, "k": 3.0},
    **{"factor": 2.0, "scale": 0.1, "key": 0, "index": 1, "schedule": COSINE},
    "schedules": [
        *(o.linear(0.0, 1.0, 300), o.polynomial_decay(1.0, 200, 0.5)),
        *(0.5, o.cosine_decay(0.5, 300)),
    ],
}
# Where a builder needs other settings to show what it is.
EXCEPTIONS: dict[str, dict[str, Any]] = {
    "exponential": {"init_value": 0.01, "end_value": 1.0},
    "polynomial_decay": {"power": 2.0},  # else it is linear
    "step_decay": {"decay_steps": 200},
    "exponential_decay": {"decay_steps": 200},
    "inverse_time_decay": {"decay_steps": 50},
    "power_law_decay": {"scale": 10.0, "exponent": -0.5},
    "tri_stage": {"decay_steps": 600},
    "wsd": {"decay_steps": 300},
    "noam": {"d_model": 1 / 200},  # its peak is 1 then
    "table": {"values": 0.5 + 0.5 * np.cos(np.arange(LAST) / 90) * np.linspace(1, 0, LAST)},
    "retime": {"clock": o.linear(0.0, 700.0, 500)},
    "every": {"schedule": o.cosine_decay(1.0, 10)},
    "cosine_restarts": {"period": 140, "period_mult": 2.0},
    "repeat": {"schedule": o.linear(1.0, 0.0, 250), "value_mult": 0.7},
    "cooldown": {"schedule": 0.9},
    "noisy": {"schedule": o.cosine_decay(0.8, LAST)},
    "add": {"schedules": [o.cosine_decay(0.6, LAST), o.cyclic(0.0, 0.3, 100)]},
    "multiply": {"schedules": [COSINE, o.step_decay(1.0, 200, 0.7)]},
    "power": {"exponent": 2.0},
    "minimum": {"schedules": [COSINE, o.linear(0.0, 1.0, 500)]},
    "maximum": {"schedules": [COSINE, o.step_decay(0.8, 300, 0.6)]},
    "power_shape": {"exponent": 2.0},
    "k_shape": {"k": 0.5},
    "chebyshev": {"min_curvature": 1.0, "max_curvature": 20.0, "num_steps": 16},
    "silver": {"smoothness": 36.0},
}
# In a thousand steps these curves are needles.
SHORT = {"chebyshev": 62, "silver": 62}

CLOSED_LOOPS = {"plateau", "greedy", "kl_adaptive", "reduce_on_plateau"}

# The colour of each group, in turn.
COLORS = ["#1b62a5", "#c4302b", "#8c5109", "#7b3fa0", "#2a7f3f", "#b0407f", "#44617b", "#a06a00"]
COLUMNS = 6
PITCH, ROW, HEADING, TOP = 2.1, 1.42, 0.36, 0.62  # inches
MARGIN, WIDTH, HEIGHT = 0.35, 1.78, 0.95


class Panel(NamedTuple):
    name: str
    group: str  # of the index
    values: np.ndarray  # one for each step from 0 on
    boundaries: list[float]
    behind: list[np.ndarray]  # what went in: the operands, or the loss


def families() -> dict[str, dict[str, str]]:
    """The groups of the index that have builders, and those builders only."""
    shown = {
        title: {
            name: words
            for name, words in group.items()
            if name in CLOSED_LOOPS or _makes(getattr(o, name)) in (o.Schedule, o.Shape)
        }
        for title, group in groups(o).items()
    }
    return {title: group for title, group in shown.items() if group}


def _makes(builder: Any) -> Any:
    return inspect.signature(builder).return_annotation if hasattr(builder, "formula") else None


def example(name: str) -> o.Schedule:
    """A schedule of typical settings. Defaults stay, except where EXCEPTIONS changes one."""
    builder = getattr(o, name)
    exceptions = EXCEPTIONS.get(name, {})
    settings = SETTINGS | exceptions
    positional: list[Any] = []
    named = {}
    for word, parameter in inspect.signature(builder).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional = settings[word]
        elif parameter.default is parameter.empty or word in exceptions:
            named[word] = settings[word]
    return builder(*positional, **named)


def all_panels() -> list[Panel]:
    """Every built-in schedule's, group after group."""
    loops = _closed_loops()
    return [
        Panel(name, title, *loops[name]) if name in loops else _panel(name, title)
        for title, group in families().items()
        for name in group
    ]


def _panel(name: str, group: str) -> Panel:
    schedule = example(name)
    if isinstance(schedule, o.Shape):
        schedule = o.join([o.warmup(1.0, LAST, shape=schedule)], [])
    steps = np.arange(SHORT.get(name, LAST) + 1, dtype=np.int32)
    # The parts of a join are on clocks of their own.
    behind = [np.asarray(part(steps)) for part in operands(schedule) if name != "join"]
    return Panel(name, group, np.asarray(schedule(steps)), phase_boundaries(schedule), behind)


def _closed_loops() -> dict[str, tuple[np.ndarray, list[float], list[np.ndarray]]]:
    """What a panel shows of each closed loop: its rates for a loss that stalls twice, and the loss."""
    steps, heights = [0, 250, 450, 600, 800, LAST], [1.0, 0.5, 0.5, 0.2, 0.2, 0.05]
    loss = np.interp(np.arange(LAST + 1), steps, heights)
    rule: dict[str, Any] = {"patience": 60, "factor": 0.5}
    # The transformation has a state of its own kind; the others are stateful schedules.
    scale = o.reduce_on_plateau(**rule).init(())
    rates = {
        "reduce_on_plateau": _scan(lambda s, v: ((s := o.observe(s, v)), s.scale), scale, loss),
    }
    stateful = {
        "plateau": o.plateau(COSINE, **rule),
        "greedy": o.greedy(0.4, 0.8, 60),
        "kl_adaptive": o.kl_adaptive(0.8, target=0.3, factor=1.003),
    }
    for name, loop in stateful.items():
        rates[name] = _scan(
            lambda s, v, f=loop: (f.update(s, value=v), f(s, value=v)), loop.init(), loss
        )
    return {name: (values, [], [loss]) for name, values in rates.items()}


def _scan(step: Any, state: Any, loss: np.ndarray) -> np.ndarray:
    return np.asarray(jax.lax.scan(step, state, jnp.asarray(loss))[1])


def gallery(panels: list[Panel]) -> Figure:
    """The picture: panels of one size and one scale, under a heading where a section begins."""
    by_group = itertools.groupby(panels, lambda panel: panel.group)
    sections = [list(group) for _, group in by_group]
    sizes = [len(section) for section in sections]
    cells = places(sizes)
    starts = [0, *itertools.accumulate(sizes[:-1])]
    headed = {cells[start][0] for start in starts}  # the rows with a heading above them
    width = MARGIN + COLUMNS * PITCH
    height = TOP + (cells[-1][0] + 1) * ROW + len(headed) * HEADING + 0.2
    figure = Figure(figsize=(width, height))
    caption = (
        f"Every built-in schedule from step 0 to {LAST}, and from 0 to 1 in value, unless a panel says "
        "otherwise.\nDotted: where a phase begins. Grey: the schedules that go in, or the loss."
    )
    figure.text(MARGIN / width, 1 - 0.12 / height, caption, size=10, color="0.3", va="top")

    for section, start, color in zip(sections, starts, itertools.cycle(COLORS)):
        for panel, (row, column) in zip(section, cells[start:], strict=False):
            left = MARGIN + column * PITCH
            top = height - TOP - row * ROW - sum(r <= row for r in headed) * HEADING
            if panel is section[0]:
                span = (min(len(section), COLUMNS - column) - 1) * PITCH + WIDTH
                _heading(figure, panel.group, color, (left, top, span))
            box = (left / width, (top - 0.25 - HEIGHT) / height, WIDTH / width, HEIGHT / height)
            axes = figure.add_axes(box)
            _draw(axes, panel, color)
            lowest = (row + 1, column) not in cells
            axes.tick_params(labelleft=column == 0, labelbottom=lowest, length=2, labelsize=8)
    return figure


def single(panel: Panel) -> Figure:
    """One panel as a picture of its own, without words: its page has them."""
    figure = Figure(figsize=(1.8, 0.9))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    titles = [title for title, names in families().items() if panel.name in names]
    _draw(axes, panel, COLORS[list(families()).index(titles[0]) % len(COLORS)])
    axes.set(title="", xticks=[], yticks=[])
    axes.set_title("", loc="left")
    axes.set_title("", loc="right")
    return figure


def page() -> str:
    """The page in Markdown: what each is in a few words, with a link to its docstring."""
    lines = [
        *("# Gallery", "", "![Every built-in schedule, a small panel for each](gallery.png)", ""),
        "Each name links to the source file with its docstring: the formula, the units, the values at",
        "both ends, the names in other libraries, and the sources.",
        "`help(optax_sched.cosine_decay)` prints it.",
    ]
    for title, names in families().items():
        lines += ["", f"## {title}", ""]
        for name, words in names.items():
            file = Path(inspect.getsourcefile(inspect.unwrap(getattr(o, name))) or "")
            source = Path("..", file.relative_to(DOCS.parent)).as_posix()
            lines.append(f"* [`{name}`]({source}): {words}")
    return "\n".join(lines) + "\n"


def places(sizes: list[int]) -> list[tuple[int, int]]:
    """Row and column of each panel.

    A section that does not fit into the rest of a row begins the next one, so that only a section
    longer than a row goes over several.
    """
    cells: list[int] = []
    for size in sizes:
        start = cells[-1] + 1 if cells else 0
        if size > COLUMNS - start % COLUMNS:
            start += -start % COLUMNS
        cells += range(start, start + size)
    return [divmod(cell, COLUMNS) for cell in cells]


def _heading(figure: Figure, words: str, color: str, place: tuple[float, float, float]) -> None:
    """Words above a rule that is as long as the section's part of the row."""
    left, y, span = place
    width, height = figure.get_size_inches()
    x = left / width
    figure.text(x, (y + 0.12) / height, words, color=color, weight="bold", size=11, va="bottom")
    ends = ([x, (left + span) / width], [(y + 0.06) / height] * 2)
    figure.add_artist(Line2D(*ends, color=color, linewidth=1.2))


def _draw(axes: Axes, panel: Panel, color: str) -> None:
    steps = np.arange(len(panel.values))
    last = len(steps) - 1
    for values in panel.behind:
        axes.plot(steps, values, color="0.75", linewidth=1.0, drawstyle="steps-post")
    axes.plot(steps, panel.values, color=color, linewidth=1.5, drawstyle="steps-post")
    axes.fill_between(steps, panel.values, step="post", color=color, alpha=0.1, linewidth=0)
    for boundary in panel.boundaries:
        axes.axvline(boundary, color=color, linestyle="dotted", linewidth=0.8, alpha=0.6, zorder=0)
    axes.set(xlim=(-0.01 * last, 1.01 * last), ylim=(-0.04, 1.1), xticks=[0, last], yticks=[0, 1])
    axes.set_title(panel.name, size=9, loc="left", pad=3)
    if last != LAST:
        axes.set_title(f"to step {last}", size=8, loc="right", pad=3, color="0.4")
    axes.tick_params(color="0.6")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color("0.6")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw every built-in schedule into one picture.")
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder to write into")
    folder = parser.parse_args().out
    gallery(all_panels()).savefig(folder / "gallery.png", dpi=100)
    (folder / "gallery.md").write_text(page(), encoding="utf-8")
    print(f"written: {folder / 'gallery.png'}, {folder / 'gallery.md'}")


if __name__ == "__main__":
    main()
