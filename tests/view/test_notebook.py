"""A schedule shows itself in a notebook: its source, and its curve as a small SVG."""

import html
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import jax
import numpy as np
import pytest
from support.compilations import counted

import optax_sched as o

SVG = "{http://www.w3.org/2000/svg}"


def curves(shown: str) -> list[np.ndarray]:
    """The points of each curve, in pixels, y upwards."""
    picture = ET.fromstring(re.search("<svg.*</svg>", shown)[0])  # pyright: ignore[reportOptionalSubscript]
    lines = [line.attrib["points"] for line in picture.iter(f"{SVG}polyline")]
    return [np.array([[float(x), -float(y)] for x, y in map(_pair, line.split())]) for line in lines]


def _pair(point: str) -> list[str]:
    return point.split(",")


def texts(shown: str) -> list[str | None]:
    picture = ET.fromstring(re.search("<svg.*</svg>", shown)[0])  # pyright: ignore[reportOptionalSubscript]
    return [text.text for text in picture.iter(f"{SVG}text")]


def test_the_curve_is_the_formula():
    shown = o.warmup(o.linear(0.2, 0.0, 100), 100)._repr_html_()
    (points,) = curves(shown)
    x, y = points.T
    part = (x - x[0]) / (x[-1] - x[0])
    height = (y - y.min()) / (y.max() - y.min())
    np.testing.assert_allclose(height, 1 - np.abs(2 * part - 1), atol=0.01)
    assert texts(shown) == ["0.2", "0", "0", "step 200"]


def test_the_source_stands_above_it_and_is_escaped():
    schedule = o.schedule(lambda step, value: value, name="a<b")(0.1)
    assert html.escape(repr(schedule)) in schedule._repr_html_()
    assert "a<b" not in schedule._repr_html_()


def test_a_batch_shows_its_curves():
    batch = o.stack([o.linear(0.1 * (i + 1), 0.0, 10 * (i + 1)) for i in range(3)])
    starts = [points[0, 1] for points in curves(batch._repr_html_())]
    assert starts == sorted(starts) and len(set(starts)) == 3
    mixed = o.stack([o.cosine_decay(0.1, 10), o.linear(0.1, 0.0, 10)])
    assert len(curves(mixed._repr_html_())) == 2
    assert len(curves(o.stack([o.constant(0.1 * i) for i in range(50)])._repr_html_())) == 8


def test_a_clock_in_parts_of_a_run():
    (points,) = curves(o.cosine_decay(1.0, 1.0)._repr_html_())
    assert len(points) == 241
    assert np.all(np.diff(points[:, 1]) <= 0)


def test_a_clock_of_tokens():
    assert texts(o.linear(1e-3, 0.0, 2e12)._repr_html_()) == ["0.001", "0", "0", "step 2000000000000"]


def test_a_negative_value_has_its_place():
    assert texts(o.linear(-1.0, 1.0, 100)._repr_html_()) == ["1", "-1", "0", "step 100"]


def _broken(step: Any) -> Any:
    raise RuntimeError("not today")


@pytest.mark.parametrize(
    "schedule", [o.warmup(_broken, 10), o.constant(np.float32(3e38))], ids=["broken", "large"]
)
def test_it_never_raises(schedule: Any):
    assert schedule._repr_html_().startswith("<div><code")


def test_a_traced_schedule_shows_its_source():
    seen: list[str] = []
    jax.jit(lambda s: seen.append(s._repr_html_()) or s(1))(o.linear(0.1, 0.0, 10))
    assert "linear(init_value=float32[]" in seen[0] and "<svg" not in seen[0]


def test_a_long_source_is_cut():
    shown = o.table([0.1] * 1000)._repr_html_()
    assert len(shown) < 8000 and "..." in shown


def test_it_needs_no_matplotlib():
    code = (
        "import sys, optax_sched as o; assert '<svg' in o.cosine_decay(0.1, 10)._repr_html_();"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    "make",
    [
        lambda value: o.warmup_cosine_decay(value, 10, 100),
        lambda value: o.exponential_decay(value, 3.5, 0.9),
        lambda value: o.stack([o.linear(value, 0.0, 9), o.cosine_decay(value, 9)]),
    ],
)
def test_it_compiles_one_program_for_all_schedules_of_a_structure(make):
    with counted() as compiled:
        for value in (0.1, 0.3):
            assert "<svg" in make(value)._repr_html_()
    assert len(compiled) == 1
