"""Powers of a fraction, with their complements to 1."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Weights(NamedTuple):
    """A value in [0, 1] and its complement to 1, each exact near its own 0."""

    weight: Any
    complement: Any


def as_float(count: Any) -> Any:
    """A count as an exponent: under strict promotion JAX has no gradient of a float to an integer."""
    return count * 1.0


def raised(x: Any, y: Any, exponent: Any) -> Weights:
    """`x**exponent` and its complement, for x in [0, 1] and y = 1 - x; gradients are finite at 0."""
    positive = jnp.where(x > 0, x, 1.0)
    weight = jnp.where(x > 0, positive**exponent, 0.0)
    # Near 1, -expm1(exponent log x) gives 1 - x^exponent without subtracting two near numbers. Further
    # away the subtraction is harmless, while the gradient of expm1 would subtract near numbers.
    near_one = weight > 0.5
    left = jnp.where(near_one, -jnp.expm1(exponent * _log(positive, y)), 1 - weight)
    return Weights(weight, left)


def _log(x: Any, y: Any) -> jax.Array:
    """`log(x)` for x in (0, 1] and y = 1 - x."""
    return jnp.where(y < 0.5, jnp.log1p(-jnp.where(y < 0.5, y, 0.0)), jnp.log(x))
