"""The monotone cubic: SciPy's, its knots traced and differentiated, never beyond them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tables.oracles import piecewise_cubic as oracle

import optax_sched as os


def drawn(seed: int) -> tuple[list[float], list[int]]:
    """Knots that rise, fall, turn or stay, at uneven distances; five of them, to share a program."""
    rng = np.random.default_rng(seed)
    boundaries = np.sort(rng.choice(np.arange(1, 1000), 4, replace=False))
    values = rng.normal(size=5).round(seed % 4)
    if seed % 3 == 0:
        values = np.sort(np.abs(values))[::-1]
    return np.asarray(values, np.float32).tolist(), boundaries.tolist()


@pytest.mark.parametrize("seed", range(24))
def test_it_is_scipys(seed):
    from scipy.interpolate import PchipInterpolator  # almost a second

    values, boundaries = drawn(seed)
    steps = np.arange(1000)
    want = PchipInterpolator([0, *boundaries], values)(np.minimum(steps, boundaries[-1]))
    got = np.asarray(os.piecewise_cubic(values, boundaries)(steps))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=5e-7 * np.max(np.abs(values)))
    pieces = np.searchsorted(boundaries, steps, side="right").clip(max=3)
    ends = np.array([values[:-1], values[1:]])[:, pieces]
    inside = steps < boundaries[-1]
    assert np.all((got >= ends.min(0)) & (got <= ends.max(0)) | ~inside)


def test_the_slopes_of_knots_and_boundaries_are_the_formulas():
    values, boundaries = [0.1, 1.0, 0.7, 0.2, 0.05], [10.0, 25.0, 60.0, 100.0]
    steps = [3.0, 17.0, 40.0, 90.0]

    def at(values, boundaries):
        return os.piecewise_cubic(values, boundaries)(jnp.array(steps))

    by_values, by_boundaries = jax.jit(jax.jacfwd(at, (0, 1)))(jnp.array(values), jnp.array(boundaries))
    h = 1e-6
    for row, t in enumerate(steps):
        for k in range(5):
            high, low = ([x + s * h * (i == k) for i, x in enumerate(values)] for s in (1, -1))
            want = (oracle(t, high, boundaries) - oracle(t, low, boundaries)) / (2 * h)
            np.testing.assert_allclose(by_values[row, k], float(want), rtol=2e-5, atol=1e-6)
        for k in range(4):
            high, low = ([x + s * h * (i == k) for i, x in enumerate(boundaries)] for s in (1, -1))
            want = (oracle(t, values, high) - oracle(t, values, low)) / (2 * h)
            np.testing.assert_allclose(by_boundaries[row, k], float(want), rtol=2e-4, atol=1e-7)


@jax.jit
def slopes_at(values, steps):
    def at(values, step):
        return os.piecewise_cubic(values, [3, 5, 9, 14])(step)

    return jax.vmap(jax.grad(at, (0, 1)), (None, 0))(values, steps)


@pytest.mark.parametrize("values", [[1.0] * 5, [0.0] * 5, [1, 1, 0, 0, 0.5], [0, 1e-30, 1e30, 1e30, 0]])
def test_gradients_are_finite_where_knots_are_level_or_far_apart(values):
    slopes = slopes_at(jnp.array(values, jnp.float32), jnp.arange(16.0))
    assert all(np.all(np.isfinite(slope)) for slope in slopes)


def test_a_batch_of_knots_is_mapped_over():
    knots = jnp.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3]])
    batch = jax.vmap(lambda v: os.piecewise_cubic(v, [4, 10]))(knots)
    got = jax.vmap(lambda s: s(jnp.arange(11)))(batch)
    for row, values in zip(got, knots.tolist(), strict=True):
        np.testing.assert_array_equal(row, os.piecewise_cubic(values, [4, 10])(np.arange(11)))
