"""Every built-in schedule in one picture: a small panel each, grouped by the axes of the taxonomy."""

import inspect
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.domains import Domain
from optax_sched._core.formula import Formula
from optax_sched._core.operands import ManySchedules, OneSchedule
from optax_sched._core.schedule import Schedule
from optax_sched._files.config import BUILT_IN
from optax_sched._optax.plateau import greedy, plateau, reduce_on_plateau
from optax_sched._optax.state import observe
from optax_sched._schedules.by_factors import step_decay
from optax_sched._schedules.combine import join
from optax_sched._schedules.decays import cosine_decay, linear, polynomial_decay
from optax_sched._view.phase_starts import operands, phase_boundaries
from optax_sched._view.plot import imported, mark, values_at
from optax_sched._view.taxonomy import HOW, OFTEN, how, how_often

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAST = 1000  # the last step of a panel
COSINE = cosine_decay(1.0, LAST)

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
    "schedules": [linear(0.0, 1.0, 300), polynomial_decay(1.0, 200, 0.5), 0.5, cosine_decay(0.5, 300)],
}
# Where a builder needs others to show what it is.
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
    "every": {"schedule": cosine_decay(1.0, 10)},
    "cosine_restarts": {"period": 140, "period_mult": 2.0},
    "repeat": {"schedule": linear(1.0, 0.0, 250), "value_mult": 0.7},
    "cooldown": {"schedule": 0.9},
    "noisy": {"schedule": cosine_decay(0.8, LAST)},
    "multiply": {"schedules": [COSINE, step_decay(1.0, 200, 0.7)]},
    "chebyshev": {"min_curvature": 1.0, "max_curvature": 20.0, "num_steps": 16},
    "silver": {"smoothness": 36.0},
}
# Curves that are needles in a thousand steps.
SHORT = {"chebyshev": 62, "silver": 62}
# A word that is not among them gets the first of these that its kind admits.
ANY = (COSINE, [COSINE, 0.5], 0.5, 2.0, -0.5, [1.0, 0.5, 0.25], [250, 500, 750], 250, False, "linear")

COLUMNS = 6
PITCH, ROW, HEADING, TOP = 2.1, 1.42, 0.5, 0.62  # inches
MARGIN, WIDTH, HEIGHT = 0.35, 1.78, 0.95
COLORS: dict[str, str] = dict(
    zip(HOW, ("#8c5109", "#c4302b", "#7b3fa0", "#1b62a5", "#2a7f3f"), strict=True)
)


class Panel(NamedTuple):
    name: str
    section: tuple[str, str]  # how often the value changes, and how
    values: np.ndarray  # one for each step from 0 on
    boundaries: list[float]
    behind: list[np.ndarray]  # what went in: the operands, or the loss


def example(formula: Formula) -> Schedule:
    """A schedule of typical settings. What has a default keeps it, but for the exceptions."""
    exceptions = EXCEPTIONS.get(formula.name, {})
    settings = SETTINGS | exceptions
    positional: list[Any] = []
    named = {}
    for word, hyper in formula.signature.parameters.items():
        if hyper.kind is hyper.VAR_POSITIONAL:
            positional = settings[word]
        elif hyper.default is inspect.Parameter.empty or word in exceptions:
            named[word] = settings[word] if word in settings else _admitted(formula.domains[word])
    return formula.builder(*positional, **named)


def _admitted(kind: Domain) -> Any:
    is_length = not getattr(kind, "as_float", True)
    for value in (250, *ANY) if is_length else ANY:
        try:
            kind.admit(value)
        except (TypeError, ValueError):
            continue
        return value
    raise ValueError(f"gallery: SETTINGS must hold {kind.words}")


def all_panels() -> list[Panel]:
    """Every built-in schedule's, section after section."""
    schedules = [formula for formula in BUILT_IN.values() if formula.made is Schedule]
    made = [*map(_panel, sorted(schedules, key=_rank)), *_answers_to_a_loss()]
    order = list(itertools.product(OFTEN, HOW))
    return sorted(made, key=lambda panel: order.index(panel.section))


def _rank(formula: Formula) -> int:
    """Decays first, combinators last."""
    if any(isinstance(kind, OneSchedule | ManySchedules) for kind in formula.domains.values()):
        return 2
    return int(next(iter(formula.domains)) != "init_value")


def _panel(formula: Formula) -> Panel:
    schedule = example(formula)
    steps = np.arange(SHORT.get(formula.name, LAST) + 1, dtype=np.int32)
    values = values_at(schedule, steps)
    vectors = [np.asarray(leaf) for leaf in jax.tree.leaves(schedule) if np.ndim(leaf)]
    return Panel(
        formula.name,
        (how_often(values), how(values, vectors)),
        values,
        phase_boundaries(schedule),
        # The parts of a join are on clocks of their own.
        [values_at(s, steps) for s in operands(schedule) if formula.builder is not join],
    )


def _answers_to_a_loss() -> list[Panel]:
    """The rates of the closed loop, for a loss that stalls twice."""
    steps, heights = [0, 250, 450, 600, 800, LAST], [1.0, 0.5, 0.5, 0.2, 0.2, 0.05]
    loss = np.interp(np.arange(LAST + 1), steps, heights)
    rule = {"patience": 60, "factor": 0.5}
    # The transformation has a state of its own kind; the other two are stateful schedules.
    cut = reduce_on_plateau(**rule)
    rates = {
        "reduce_on_plateau": _scan(lambda s, v: ((s := observe(s, v)), s.scale), cut.init(()), loss)
    }
    for name, loop in {"plateau": plateau(COSINE, **rule), "greedy": greedy(0.4, 0.8, 60)}.items():
        rates[name] = _scan(
            lambda s, v, f=loop: (f.update(s, value=v), f(s, value=v)), loop.init(), loss
        )
    return [Panel(name, ("plateau", "feedback"), values, [], [loss]) for name, values in rates.items()]


def _scan(step: Any, state: Any, loss: np.ndarray) -> np.ndarray:
    return np.asarray(jax.lax.scan(step, state, jnp.asarray(loss))[1])


def gallery(panels: list[Panel]) -> "Figure":
    """The picture: panels of one size and one scale, under a heading where a section begins."""
    groups = [list(group) for _, group in itertools.groupby(panels, lambda panel: panel.section)]
    sizes = [len(group) for group in groups]
    cells = places(sizes)
    starts = [0, *itertools.accumulate(sizes[:-1])]
    headed = {cells[start][0] for start in starts}  # the rows with a heading above them
    width = MARGIN + COLUMNS * PITCH
    height = TOP + (cells[-1][0] + 1) * ROW + len(headed) * HEADING + 0.2
    figure = imported("gallery", "matplotlib.figure").Figure(figsize=(width, height))
    caption = (
        f"Every built-in schedule from step 0 to {LAST}, and from 0 to 1 in value, unless a panel says "
        "otherwise.\nDotted: where a phase begins. Grey: the schedules that go in, or the loss."
    )
    figure.text(MARGIN / width, 1 - 0.12 / height, caption, size=10, color="0.3", va="top")

    previous = None
    for group, start in zip(groups, starts, strict=True):
        often, way = group[0].section
        for panel, (row, column) in zip(group, cells[start:], strict=False):
            left = MARGIN + column * PITCH
            top = height - TOP - row * ROW - sum(r <= row for r in headed) * HEADING
            if panel is group[0]:
                span = (min(len(group), COLUMNS - column) - 1) * PITCH + WIDTH
                words = (OFTEN[often] if column == 0 or often != previous else "", HOW[way])
                _heading(figure, words, COLORS[way], (left, top, span))
            box = (left / width, (top - 0.25 - HEIGHT) / height, WIDTH / width, HEIGHT / height)
            axes = figure.add_axes(box)
            _draw(axes, panel)
            lowest = (row + 1, column) not in cells
            axes.tick_params(labelleft=column == 0, labelbottom=lowest, length=2, labelsize=8)
        previous = often
    return figure


def places(sizes: list[int]) -> list[tuple[int, int]]:
    """Row and column of each panel. A section that does not fit into the rest of a row begins the next
    one, so that only those longer than a row go over several."""
    cells: list[int] = []
    for size in sizes:
        start = cells[-1] + 1 if cells else 0
        if size > COLUMNS - start % COLUMNS:
            start += -start % COLUMNS
        cells += range(start, start + size)
    return [divmod(cell, COLUMNS) for cell in cells]


def _heading(figure: Any, words: tuple[str, str], color: str, place: tuple[float, ...]) -> None:
    """Two words above a rule that is as long as the section's part of the row."""
    left, y, span = place
    width, height = figure.get_size_inches()
    x, at = left / width, {"va": "bottom"}
    figure.text(x, (y + 0.27) / height, words[0], weight="bold", size=11, **at)
    figure.text(x, (y + 0.1) / height, words[1], color=color, size=10, **at)
    line = imported("gallery", "matplotlib.lines").Line2D
    ends = ([x, (left + span) / width], [(y + 0.06) / height] * 2)
    figure.add_artist(line(*ends, color=color, linewidth=1.2))


def _draw(axes: Any, panel: Panel) -> None:
    steps, color = np.arange(len(panel.values)), COLORS[panel.section[1]]
    last = len(steps) - 1
    for values in panel.behind:
        axes.plot(steps, values, color="0.75", linewidth=1.0, drawstyle="steps-post")
    axes.plot(steps, panel.values, color=color, linewidth=1.5, drawstyle="steps-post")
    axes.fill_between(steps, panel.values, step="post", color=color, alpha=0.1, linewidth=0)
    mark(axes, panel.boundaries, color)
    axes.set(xlim=(-0.01 * last, 1.01 * last), ylim=(-0.04, 1.1), xticks=[0, last], yticks=[0, 1])
    axes.set_title(panel.name, size=9, loc="left", pad=3)
    if last != LAST:
        axes.set_title(f"to step {last}", size=8, loc="right", pad=3, color="0.4")
    axes.tick_params(color="0.6")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color("0.6")
