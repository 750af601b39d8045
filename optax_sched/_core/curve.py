"""A schedule as a curve: how far it goes, and a small picture of it for notebooks."""

import functools
from typing import Any

import jax
import numpy as np

from optax_sched._core.built import is_batch
from optax_sched._core.evaluate import call, is_float_clock
from optax_sched._math.phases import LAST_STEP

LAST_TOKEN = 10**18
POINTS = 1000  # at which a schedule is read at a time: always as many, so that it compiles once
UNENDING = 1000  # steps to show of a schedule that never stops changing
WIDTH, HEIGHT = 360, 130  # of the picture, in pixels
LEFT, BOTTOM = 58, 22  # room for the numbers at the axes
LONGEST_SOURCE = 400
# Okabe and Ito's colours, which colour-blind people tell apart; of a batch no more curves are drawn.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#777777")


def last_step_to_look_at(schedule: object) -> int:
    """The last int32; a schedule with a float length may count tokens, which are more."""
    return LAST_TOKEN if is_float_clock(schedule) else LAST_STEP


def horizon(schedule: object, last_step: int | None = None) -> int:
    """From which step on the value stays, rounded up to two digits; a thousand if it never does."""
    last_step = last_step or last_step_to_look_at(schedule)
    steps = np.unique(np.geomspace(1, last_step, POINTS).astype(np.int64)) - 1
    settled = last_step
    for _ in range(3):  # each time between two neighbours of the last
        values = _values_at(schedule, steps, last_step)
        moving = np.flatnonzero(np.abs(values - values[-1]) > 1e-6 * np.abs(values).max())
        last = steps[0]
        if len(moving):  # the two steps between which the value changes last
            last, settled = steps[moving[-1] : moving[-1] + 2].tolist()
        steps = np.unique(np.linspace(last, settled, POINTS).astype(np.int64))
    if settled > last_step // 2:
        return UNENDING
    unit = 10 ** max(len(str(settled)) - 2, 0)
    return -(-settled // unit) * unit


def _values_at(schedule: Any, steps: np.ndarray, last_step: int) -> np.ndarray:
    """The values at up to `POINTS` steps, none of which is later than the last one."""
    padded = np.pad(steps, (0, POINTS - len(steps)), mode="edge")
    padded = padded.astype(float) if last_step > LAST_STEP else padded
    return np.asarray(schedule(padded), np.float64)[..., : len(steps)]


def as_html(schedule: object) -> str:
    """The schedule's source and, where it can be drawn, its curve as an SVG that needs nothing else."""
    import html  # only a notebook needs it

    source = repr(schedule)
    if len(source) > LONGEST_SOURCE:
        source = source[: LONGEST_SOURCE - 3] + "..."
    text = f'<code style="white-space:pre-wrap">{html.escape(source)}</code>'
    try:
        return f"<div>{text}<br>{_svg(schedule)}</div>"
    except Exception:  # a traced schedule, a user's formula that fails: printing never does
        return f"<div>{text}</div>"


def _svg(schedule: Any) -> str:
    last_step = last_step_to_look_at(schedule)
    curves_at = schedule
    if is_batch(schedule):
        few = jax.tree.map(lambda leaf: np.asarray(leaf)[: len(COLORS)], schedule)
        curves_at = functools.partial(jax.vmap(call, (0, None)), few)
    end = horizon(lambda steps: np.atleast_2d(curves_at(steps)).sum(0), last_step)
    in_parts = is_float_clock(schedule) and end <= 1  # a clock in epochs, or in parts of a run
    steps = np.linspace(0, end, 241) if in_parts else np.linspace(0, end, 241).astype(np.int64)
    curves = np.atleast_2d(_values_at(curves_at, steps, last_step))
    low, high = min(curves.min(), 0.0), max(curves.max(), 0.0)
    high += (high == low) * 1.0
    x = LEFT + (WIDTH - LEFT - 8) * steps / end
    y = 8 + (HEIGHT - BOTTOM - 8) * (high - curves) / (high - low)
    lines = []
    for row, color in zip(y, COLORS, strict=False):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, row, strict=True))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"/>')
    floor = HEIGHT - BOTTOM
    label = 'font-size="11" font-family="sans-serif" fill="currentColor"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img">'
        f'<path d="M{LEFT},8 V{floor} H{WIDTH - 8}" fill="none" stroke="currentColor" opacity="0.4"/>'
        f'<text x="{LEFT - 5}" y="16" text-anchor="end" {label}>{high:.3g}</text>'
        f'<text x="{LEFT - 5}" y="{floor}" text-anchor="end" {label}>{low:.3g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 7}" {label}>0</text>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 7}" text-anchor="end" {label}>step {end}</text>'
        f"{''.join(lines)}</svg>"
    )
