"""The gallery of docs/gallery.py: a panel for every builder, each comparable and legible."""

import itertools
import math
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from gallery import COLUMNS, Panel, all_panels, families, gallery, page, places
from matplotlib.backends.backend_agg import FigureCanvasAgg
from tables.cases import BUILDERS, OWN

PICTURE = Path(__file__).parents[2] / "docs" / "gallery.png"
CLOSED_LOOP = {"reduce_on_plateau", "plateau", "greedy", "kl_adaptive"}


@pytest.fixture(scope="module")
def panels() -> dict[str, Panel]:
    return {panel.name: panel for panel in all_panels()}


@pytest.fixture(scope="module")
def figure(panels) -> Any:
    return gallery(list(panels.values()))


@pytest.mark.slow
def test_every_builder_has_a_panel(panels):
    assert set(panels) == (BUILDERS.keys() - OWN.keys()) | CLOSED_LOOP | {"power_shape", "k_shape"}


def test_the_page_is_the_one_that_the_program_writes():
    assert (PICTURE.parent / "gallery.md").read_text(encoding="utf-8") == page()


@pytest.mark.slow
def test_panels_are_comparable(panels):
    for name, panel in panels.items():
        assert len(panel.values) == (63 if name in ("chebyshev", "silver") else 1001), name
        assert np.all(np.isfinite(panel.values)), name
        assert panel.values.min() >= 0 and 0.5 <= panel.values.max() <= 1.1, name


@pytest.mark.slow
def test_a_panel_shows_the_formula(panels):
    expected = [(1 + math.cos(math.pi * t / 1000)) / 2 for t in range(1001)]
    np.testing.assert_allclose(panels["cosine_decay"].values, expected, atol=1e-6)
    np.testing.assert_allclose(panels["delay"].behind[0], expected, atol=1e-6)
    assert panels["warmup"].boundaries == [200]


@pytest.mark.slow
def test_the_closed_loop_is_cut_where_its_loss_stalls(panels):
    panel = panels["reduce_on_plateau"]
    assert np.all(np.diff(panel.behind[0]) <= 0)
    cuts = np.flatnonzero(np.diff(panel.values))
    # The loss stalls from step 250 to 450 and from 600 to 800: 60 bad observations are ignored.
    assert [250 < cut < 450 or 600 < cut < 800 for cut in cuts.tolist()] == [True] * 6
    assert cuts[0] == 250 + 60


@pytest.mark.parametrize(
    ("sizes", "cells"),
    [
        ([1, 2], [(0, 0), (0, 1), (0, 2)]),
        ([4, 3], [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)]),
        ([6, 1], [*((0, column) for column in range(6)), (1, 0)]),
        ([1, 8], [(0, 0), *((1, column) for column in range(6)), (2, 0), (2, 1)]),
        ([7, 2], [*((0, column) for column in range(6)), (1, 0), (1, 1), (1, 2)]),
    ],
)
def test_sections_go_on_in_the_next_row_only_if_no_row_holds_them(sizes, cells):
    assert COLUMNS == 6
    assert places(sizes) == cells


@pytest.mark.slow
def test_nothing_is_cut_off_and_no_words_overlap(figure, panels):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    width, height = figure.bbox.size
    texts = [*figure.texts]
    for axes in figure.axes:
        texts += [axes._left_title, axes._right_title, *axes.get_xticklabels(), *axes.get_yticklabels()]
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in texts
        if text.get_text() and text.get_visible()
    ]
    words = [word for word, _ in boxes]
    assert set(panels) <= set(words)
    assert set(families()) <= set(words)
    for word, box in boxes:
        assert min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height, word
    for (a, one), (b, two) in itertools.combinations(boxes, 2):
        assert not one.overlaps(two), (a, b)


@pytest.mark.slow
def test_panels_have_one_size_and_one_scale(figure):
    assert len({tuple(np.round(axes.bbox.size)) for axes in figure.axes}) == 1
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_the_picture_in_the_readme():
    picture = matplotlib.image.imread(PICTURE)
    height, width, _ = picture.shape
    assert width > 1200 and height > width
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert np.all(edge[..., :3] == 1.0)  # a white margin all round
    for part in np.array_split(picture[..., :3], 6, axis=1):
        assert part.std() > 0.03
