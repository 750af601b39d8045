"""The exact risk of SGD on least squares, as a score of schedules."""

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.domains import default_float, is_traced
from optax_sched._core.errors import Refusal
from optax_sched._core.words import ManyScalars, Rate, Scalar, checked
from optax_sched.planning.inputs import BatchSize, ManyRates, RateOrMany, Run, Size, one_each, rates_of

Pair = tuple[jax.Array, jax.Array]


@checked
def least_squares_risk(
    schedule: Run,
    num_steps: Size,
    eigenvalues: ManyRates,
    noise: Rate = 1.0,
    start: RateOrMany = 1.0,
    batch_size: BatchSize = 1,
) -> jax.Array:
    """The expected excess risk of the last iterate of SGD on least squares; nothing is sampled.

    It assumes Gaussian inputs, fresh ones at every step, labels that are linear in them plus noise, and
    plain SGD. There it is exact (20,000 simulated runs agree within one standard error). It shows what
    the convex bound cannot: how curvature and noise decide which schedule is best. In two dimensions
    decays by factors and cosine beat linear decay (`examples/least_squares.py`); in 256, with
    eigenvalues that fall as a power, linear and cosine came within 4 to 9 % of the best, or a long
    plain within 1 %, as the power was. A network is none of these: it is a second opinion, not a
    forecast of a loss.

        m_i(0) = start,    m <- (1 - r l)^2 m + (r^2 / b) (l^2 m + l (l . m) + s l),    risk = l . m / 2

    with m_i = the expected square of the error along the i-th eigenvector, l = eigenvalues, r = the
    rate of update t = 0 ... num_steps - 1, s = noise, b = batch_size that of the update.

    Args:
      schedule: as for `convex_bound`; rates of 0 throughout leave the start as it is.
      num_steps: how many updates, a whole number.
      eigenvalues: of the inputs' covariance, 0 or more, shape [n]; for other batch sizes and noises map
        over this function.
      noise: the variance of the labels about the linear function, 0 or more.
      start: the expected square of the error at first, 0 or more: a number, or one an eigenvalue.
      batch_size: how many examples an update averages over: a whole number, or a schedule of whole
        numbers, as in the plan of `seesaw`.

    Returns:
      The risk, a scalar; infinite where SGD diverges beyond what a float can hold.

    Raises:
      TypeError, ValueError: an argument is not as described, or a rate is negative or not finite.

    References: Ge et al., 2019, "The Step Decay Schedule", https://arxiv.org/abs/1904.12838;
    Naganuma et al., 2026, who search for schedules by such a recursion,
    https://arxiv.org/abs/2603.10301

    >>> from optax_sched import constant, linear, step_decay
    >>> for s in (constant(0.25), linear(0.5, 0.0, 1410), step_decay(0.5, 141, 0.5)):
    ...     print(f"{least_squares_risk(s, 1410, [1.0, 0.02], start=100.0):.4f}")
    0.1018
    0.0050
    0.0055
    """
    one_each("least_squares_risk", "start", start, len(eigenvalues), "eigenvalues")
    rates = rates_of("least_squares_risk", schedule, num_steps, must_move=False)
    sizes = batch_size
    if callable(sizes):
        sizes = rates_of("least_squares_risk", sizes, num_steps, "batch_size")
        if not is_traced(sizes) and np.any(bad := (sizes < 1) | (sizes != np.round(sizes))):
            rule = "a schedule of whole numbers, 1 or more"
            raise Refusal("least_squares_risk", "batch_size", rule, sizes[bad][0]).error()
    return _risk(rates, eigenvalues, noise, start, sizes)


@jax.jit
def _risk(*numbers: Scalar | ManyScalars) -> jax.Array:
    dtype = jnp.result_type(default_float(), *numbers)
    rates, values, noise, start, sizes = (jnp.asarray(x, dtype) for x in numbers)
    first = jnp.broadcast_to(start, values.shape), jnp.zeros_like(values)

    def update(state: Pair, rate_and_size: Pair) -> tuple[Pair, None]:
        (squares, lost), (rate, size) = state, rate_and_size
        step = rate * values
        shrink = step * (2 - step) * squares
        spread = rate * step * (values * squares + values @ squares + noise) / size
        # Small changes of a large number: what rounding takes of one is given back to the next.
        change = spread - shrink - lost
        new = squares + change
        return (new, (new - squares) - change), None

    updates = rates, jnp.broadcast_to(sizes, rates.shape)
    (squares, _), _ = jax.lax.scan(update, first, updates)
    risk = values @ squares / 2
    # Infinity minus infinity is what SGD leaves where it diverges.
    return jnp.where(jnp.isfinite(risk), risk, jnp.inf)
