"""Makes a page on which a reader moves the numbers of a schedule and sees its curve.

    python docs/playground.py --out playground.html

The curves are the library's own programs, translated into JavaScript (javascript.py). The page is one
file that needs no network. It leaves out random factors (`noisy`) and closed loops, which need a loss.
"""

import argparse
import inspect
import itertools
import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gallery
import jax
import jax.numpy as jnp
import numpy as np
from javascript import RUNTIME, as_javascript

import optax_sched as o

DOCS = Path(__file__).parent
LEFT_OUT = {"noisy", *gallery.CLOSED_LOOPS}
SHAPES: list[dict[str, Any]] = [{"shape": name} for name in ("linear", "cosine", "sqrt", "square")]
# What cannot move smoothly: a curve of its own for each choice.
CHOICES: dict[str, list[dict[str, Any]]] = {
    "one_cycle": [{"three_phase": three, **shape} for three in (False, True) for shape in SHAPES[:2]],
    # Cycles that grow are computed with matrices, which docs/javascript.py does not translate.
    "cosine_restarts": [{"period": 250, "period_mult": None}],
    "repeat": [{"value_mult": 0.7}],
}
# The lowest and the highest number of a slider, by the word of the library, such that the library takes
# every combination (`entries` builds corners).
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("init_value", "peak_value"), (0.5, 1.0)),
    **{
        "value": (0.0, 1.0),
        "end_value": (0.0, 0.3),
        "base_value": (0.0, 0.5),
        "stable_value": (0.3, 0.5),
    },
    **{
        "min_value": (0.0, 0.4),
        "max_value": (0.5, 1.0),
        "init_scale": (0.01, 1.0),
        "final_scale": (0.01, 1.0),
    },
    **{
        "total_steps": (600, 2000),
        "warmup_steps": (0, 200),
        "hold_steps": (0, 400),
        "explore_steps": (0, 400),
    },
    **{
        "anneal_start": (500, 800),
        "cooldown_steps": (50, 300),
        "steps_up": (20, 300),
        "num_steps": (16, 16),
    },
    **{"decay_rate": (0.1, 1.0), "power": (0.2, 4.0), "exponent": (0.2, 4.0), "k": (0.2, 5.0)},
    **{"beta": (0.0, 0.99), "half_waves": (1.0, 9.0), "lower": (-10.0, -1.0), "upper": (1.0, 10.0)},
    **{
        "scale": (0.2, 2.0),
        "pct_start": (0.05, 0.45),
        "div_factor": (1.0, 50.0),
        "cut_frac": (0.02, 0.9),
    },
    **{
        "final_div_factor": (1.0, 1e4),
        "ratio": (1.0, 64.0),
        "cycle_scale": (0.3, 1.0),
        "value_mult": (0.3, 1.0),
    },
    **{
        "step_scale": (0.995, 1.0),
        "peak_mult": (0.3, 1.0),
        "period_mult": (1.0, 3.0),
        "factor": (0.5, 4.0),
    },
    **{
        "decay_fraction": (0.05, 0.5),
        "index": (0, 3),
        "d_model": (0.0025, 0.02),
        "units_per_step": (0.5, 2.0),
    },
    **{"min_curvature": (0.5, 2.0), "max_curvature": (10.0, 40.0), "smoothness": (10.0, 50.0)},
}
# Where a builder's numbers bind each other more closely.
EXCEPTIONS: dict[str, dict[str, tuple[float, float]]] = {
    "exponential": {"init_value": (0.01, 1.0), "end_value": (0.01, 1.0)},
    "linear": {"init_value": (0.0, 1.0), "end_value": (0.0, 1.0)},
    "warmup_cosine_decay": {"init_value": (0.0, 0.5)},
    "warmup_linear_decay": {"init_value": (0.0, 0.5)},
    "warmup_inverse_sqrt_decay": {"init_value": (0.0, 0.5), "warmup_steps": (10, 300)},
    "noam": {"warmup_steps": (50, 500)},
    "wsd": {"init_value": (0.0, 0.5), "decay_steps": (50, 400)},
    "power_law_decay": {"scale": (1.0, 30.0), "exponent": (-1.0, -0.2)},
    "tri_stage": {"decay_steps": (100, 600)},
    "wsd_cycles": {"decay_fraction": (0.05, 0.2)},
}
MARK = 7_654_300  # numbers from here on stand in no example
TABLE = [1.0, 0.9, 0.5, 0.6, 0.3, 0.35, 0.1, 0.05]


class Number(NamedTuple):
    """One slider."""

    label: str
    value: float
    low: float
    high: float
    whole: bool


class Entry(NamedTuple):
    """One curve that can be chosen."""

    name: str
    choice: str  # what distinguishes it from the builder's other entries
    words: str  # what the index says of it
    group: str
    steps: int
    numbers: list[Number]
    sizes: list[int]  # of the function's arguments after the step: 0 for a scalar
    source: list[str]  # the text before, between and after the numbers
    program: str

    def text(self, values: list[Any]) -> str:
        """The source of the schedule with these numbers."""
        parts = [repr(value) for value in values]
        return "".join(itertools.chain(*zip(self.source, [*parts, ""], strict=True)))


def entries() -> list[Entry]:
    """All of them, in the order of the index."""
    found = [
        entry(name, choice, words, group)
        for group, names in gallery.families().items()
        for name, words in names.items()
        if name not in LEFT_OUT
        for choice in choices(name)
    ]
    for item in found:
        for corner in corners(item):
            o.from_source(item.text(corner))  # raises where the library refuses it
    return found


def corners(item: Entry, most: int = 64) -> list[list[float]]:
    """The combinations of ends of the sliders, or some of them."""
    ends = [sorted({number.low, number.high}) for number in item.numbers]
    if 2 ** len(ends) <= most:
        return list(map(list, itertools.product(*ends)))
    draw = random.Random(0)
    return [[draw.choice(pair) for pair in ends] for _ in range(most)]


def choices(name: str) -> list[dict[str, Any]]:
    has_shape = "shape" in inspect.signature(getattr(o, name)).parameters
    return CHOICES.get(name, SHAPES if has_shape else [{}])


def entry(name: str, choice: dict[str, Any], words: str, group: str) -> Entry:
    schedule = example(name, choice)
    paths, leaves = zip(*jax.tree_util.tree_leaves_with_path(schedule), strict=True)
    structure = jax.tree.structure(schedule)

    def program(step: Any, *values: Any) -> Any:
        return jax.tree.unflatten(structure, values)(step)

    return Entry(
        name=name,
        choice=", ".join(f"{word}={value!r}" for word, value in choice.items()),
        words=words,
        group=group,
        steps=gallery.SHORT.get(name, 10 if name == "table" else gallery.LAST),
        numbers=[
            number
            for path, leaf in zip(paths, leaves, strict=True)
            for number in sliders(name, path, leaf)
        ],
        sizes=[np.size(leaf) if np.ndim(leaf) else 0 for leaf in leaves],
        source=texts(structure, leaves),
        program=as_javascript(program, [jnp.int32(5), *leaves]),
    )


def example(name: str, choice: dict[str, Any]) -> o.Schedule:
    """The gallery's example, with what is chosen."""
    if name == "table":
        return o.table(TABLE)
    made = gallery.example(name)
    if isinstance(made, o.Shape):
        return o.warmup(1.0, gallery.LAST, shape=made)
    return made.replace(**choice)


def sliders(name: str, path: Sequence[Any], leaf: Any) -> list[Number]:
    """The numbers of a leaf, each with its range."""
    # A key of the path is the formula, a dot and the hyperparameter; or a place in a list.
    words = [re.sub(r".*\.", ".", getattr(key, "name", str(key))) for key in path]
    label, word = "".join(words).lstrip("."), words[-1].lstrip(".")
    values = np.asarray(leaf).reshape(-1).tolist()
    numbers = []
    for i, value in enumerate(values):
        low, high = EXCEPTIONS.get(name, {}).get(word) or RANGES.get(word) or around(value)
        if word in ("boundaries", "budgets"):  # they stay in order
            low, high = value - (gap := (values[1] - values[0]) // 4), value + gap
        index = f"[{i}]" if np.ndim(leaf) else ""
        numbers.append(Number(f"{label}{index}", value, low, high, isinstance(value, int)))
    return numbers


def around(value: float) -> tuple[float, float]:
    return (value // 4, value * 2) if isinstance(value, int) else (0.0, 1.0)


def texts(structure: Any, leaves: Sequence[Any]) -> list[str]:
    """The schedule's source around its numbers."""
    count = itertools.count(MARK)
    marked = [jax.tree.map(lambda _: next(count), np.asarray(leaf).tolist()) for leaf in leaves]
    as_leaf = [
        np.asarray(mark, leaf.dtype) if np.ndim(leaf) else type(leaf)(mark)
        for mark, leaf in zip(marked, leaves, strict=True)
    ]
    source = repr(jax.tree.unflatten(structure, as_leaf))
    marks = re.compile("|".join(rf"{mark}(?:\.0)?" for mark in range(MARK, next(count))))
    return marks.split(source)


def page(found: Iterable[Entry] | None = None) -> str:
    """The page, whole."""
    lines = []
    for item in found or entries():
        data = item._asdict()
        program = data.pop("program")
        numbers = [number._asdict() for number in data.pop("numbers")]
        data = json.dumps(data | {"numbers": numbers})
        lines.append(f"{data[:-1]}, program: {program}}}")
    programs = ",\n".join(lines)
    template = (DOCS / "playground_page.html").read_text(encoding="utf-8")
    return template.replace("/* programs */", f"{RUNTIME}\nconst entries = [\n{programs}\n];")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the page with schedules to play with.")
    parser.add_argument("--out", type=Path, default=Path("playground.html"), help="the file to write")
    file = parser.parse_args().out
    file.write_text(page(), encoding="utf-8")
    print(f"open {file}")


if __name__ == "__main__":
    main()
