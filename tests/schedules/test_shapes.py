"""The arithmetic under the formulas: as exact as the operations that it stands for."""

import jax
import numpy as np
import pytest

from optax_sched._math.shapes import raised

EXPONENTS = np.array([1e-37, 1e-3, 0.5, 1.0, 7.3, 3e38], np.float32)


@pytest.mark.parametrize("exponent", [1e-20, 1e-6, 1e-3, 0.1, 0.5, 1.0, 2.0, 7.3])
def test_the_complement_of_a_power_does_not_cancel(exponent):
    drawn = 10 ** np.random.default_rng(0).uniform(-7, -0.4, 10_000)
    x = np.concatenate([drawn, 1 - drawn]).astype(np.float32)
    y = np.float32(1 - np.float64(x))
    want = -np.expm1(np.float64(np.float32(exponent)) * np.log(np.float64(x)))
    np.testing.assert_allclose(jax.jit(raised)(x, y, exponent).complement, want, rtol=5e-7)


def test_a_power_of_nothing_and_of_the_whole_is_exact():
    ends = jax.vmap(raised, in_axes=(None, None, 0))
    np.testing.assert_array_equal(ends(0.0, 1.0, EXPONENTS), [[0.0] * 6, [1.0] * 6])
    np.testing.assert_array_equal(ends(1.0, 0.0, EXPONENTS), [[1.0] * 6, [0.0] * 6])


def test_gradients_of_the_complement():
    def complement(x, exponent):
        return raised(x, 1 - x, exponent).complement

    for x, exponent in ((0.3, 2.0), (0.9, 0.01), (0.01, 0.001)):
        by_both = jax.grad(complement, argnums=(0, 1))(x, exponent)
        want = [-exponent * x ** (exponent - 1), -(x**exponent) * np.log(x)]
        np.testing.assert_allclose(by_both, want, rtol=2e-6)
