"""Powers of a fraction, with their complements to 1."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_sched._math.phases import Numeric


class Weights(NamedTuple):
    """A value in [0, 1] and its complement to 1, each exact near its own 0."""

    weight: Numeric
    complement: Numeric


def as_float(count: Numeric) -> Any:
    """A count as an exponent: under strict promotion JAX has no gradient of a float to an integer."""
    return count * 1.0


@jax.custom_jvp
def raised(x: Numeric, y: Numeric, exponent: Numeric) -> Weights:
    """`x**exponent` and its complement, for x in [0, 1] and y = 1 - x; gradients are finite at 0."""
    weight, complement = _raised(x, y, exponent)
    # As they are for the exponent that nearly all schedules have: where it is known, XLA leaves out the
    # rest. The gradient needs both, also with respect to the exponent.
    return Weights(jnp.where(exponent == 1, x, weight), jnp.where(exponent == 1, y, complement))


@raised.defjvp
def _raised_jvp(primals: Any, tangents: Any) -> tuple[Weights, Weights]:
    return raised(*primals), jax.jvp(_raised, primals, tangents)[1]


def _raised(x: Numeric, y: Numeric, exponent: Numeric) -> Weights:
    # Not `**`, which XLA does not vectorise on a CPU.
    near_1 = jnp.log1p(-jnp.where(y < 0.5, y, 0.0))
    log = exponent * jnp.where(y < 0.5, near_1, jnp.log(jnp.where(x > 0, x, 1.0)))
    weight = jnp.where(x > 0, jnp.exp(log), 0.0)
    # Near 1, -expm1(exponent log x) gives 1 - x^exponent without subtracting two near numbers. Further
    # away the subtraction is harmless, while the gradient of expm1 would subtract near numbers.
    return Weights(weight, jnp.where(weight > 0.5, -jnp.expm1(log), 1 - weight))
