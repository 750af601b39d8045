"""What the peers need before they are imported, and a line a peer of how near we are to it."""

import importlib
import os

import pytest

os.environ["KERAS_BACKEND"] = "jax"  # keras reads it once, at its import

from agreement import REPORT


@pytest.fixture
def keras_in_double_precision(monkeypatch):
    """Whatever its floatx, keras rounds cosines and floors to float32 on JAX: here it does not."""
    keras = importlib.import_module("keras")
    narrowed = importlib.import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE
    monkeypatch.setitem(narrowed, "float64", "float64")
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def pytest_terminal_summary(terminalreporter):
    by_peer = {}
    for row in REPORT:
        by_peer.setdefault(row.peer, []).append(row)
    for peer, rows in by_peer.items():
        if terminalreporter.verbosity > 0:
            for row in rows:
                terminalreporter.write_line(row.in_words(row.name))
        total = sum(row.settings for row in rows)
        single, double = max(row.single for row in rows), max(row.double or 0.0 for row in rows)
        whole = rows[0]._replace(settings=total, single=single, double=double)
        terminalreporter.write_line(whole.in_words(f"{peer}: {len(rows)} comparisons"))
