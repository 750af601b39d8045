"""The arithmetic under the formulas: as exact as the operations that it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optax_sched._math.powers import power, raised

powers = jax.jit(power)
EXPONENTS = np.array([1e-37, 1e-3, 0.5, 1.0, 7.3, 3e38], np.float32)


@pytest.mark.parametrize("exponent", [0.0, 0.25, 0.5, 0.9, 1.0, 1.7, 2.0, 3.0, 7.3])
def test_power_is_as_exact_as_float32(exponent):
    x = np.float32(10 ** np.random.default_rng(0).uniform(-30, 0, 20_000))
    want = np.asarray(x, np.float64) ** np.float64(np.float32(exponent))
    held = want > 1e-37
    np.testing.assert_allclose(
        powers(x, exponent)[held], want[held], rtol=(1 + exponent) * 1e-7, atol=0
    )


@pytest.mark.parametrize("base", [0.5, 0.25, 0.1, 0.9, 0.99, 1.0])
def test_whole_powers_lose_little_and_those_of_a_half_nothing(base):
    n = np.arange(3000)
    want = np.float64(np.float32(base)) ** n
    held = want > 1e-37
    got = np.asarray(powers(np.float32(base), n.astype(np.float32)))
    lost = 0.0 if base in (0.5, 0.25, 1.0) else 4e-8
    assert np.all(np.abs(got - want)[held] <= (lost * n * want)[held])
    assert np.all(got[~held] < 1.2e-37)


def test_power_at_its_ends():
    x = jnp.float32([1e-38, 1e-6, 0.5, 0.7, 1.0])
    np.testing.assert_array_equal(powers(x, 1.0), x)
    np.testing.assert_array_equal(powers(x, 3e38), [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(powers(x, 0.0), 1)


@pytest.fixture
def double_precision():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.usefixtures("double_precision")
def test_power_in_double_precision():
    x = np.random.default_rng(0).uniform(1e-9, 1, 20_000)
    for exponent in (0.5, 2.0, 7.3):
        np.testing.assert_allclose(power(jnp.asarray(x), exponent), x**exponent, rtol=2e-15)


def test_gradients_of_power():
    by_both = jax.grad(power, argnums=(0, 1))(jnp.float32(0.3), 2.0)
    np.testing.assert_allclose(by_both, [0.6, 0.09 * np.log(0.3)], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(power)(jnp.float32(0.3), 3), 0.27, rtol=1e-6)


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
