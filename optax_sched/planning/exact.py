"""What holds exactly: the risk of SGD on least squares, the averages that a decay makes of a run."""

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.domains import default_float, is_traced
from optax_sched._core.errors import Refusal
from optax_sched._core.words import ManyScalars, Rate, Scalar, checked
from optax_sched.planning.bound import sum_after
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
    stable phase within 1 %, depending on the power. A network is none of these: take it as a second
    opinion, not as a forecast of a loss.

        m_i(0) = start,    m <- (1 - r l)^2 m + (r^2 / b) (l^2 m + l (l . m) + s l),    risk = l . m / 2

    with m_i = the expected square of the error along the i-th eigenvector, l = eigenvalues, r = the
    rate of update t = 0 ... num_steps - 1, s = noise, b = batch_size that of the update.

    Args:
      schedule: as for `convex_bound`; rates of 0 throughout leave the start as it is.
      num_steps: how many updates, a whole number.
      eigenvalues: of the inputs' covariance, 0 or more, shape [n]; for other batch sizes and noises map
        over this function.
      noise: the variance of the labels about the linear function, 0 or more.
      start: the expected square of the error at first, 0 or more: a number, or one per eigenvalue.
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


@checked
def merge_weights(decay: Run, num_checkpoints: Size) -> jax.Array:
    """How to average the checkpoints of a run at constant rate, so as to imitate a decay of its rate.

    It assumes that the updates between two checkpoints would have been the same under the decay, apart
    from their length. That is exact for frozen gradients and an approximation otherwise: the decayed
    run would have gone to other places. Tian et al. report for language models that averages so made
    match or beat the decay they imitate. Nothing of it has been tried here on real runs.

        c_0 = 1 - w_1,    c_j = w_j - w_(j+1),    c_n = w_n,    w_j = decay(j - 1),  j = 1 ... n

    with n = num_checkpoints, and c_j the coefficient of checkpoint j; checkpoint 0 is where the decay
    would begin. The coefficients add up to 1.

    Args:
      decay: what the constant rate would have been multiplied by, from 1 downwards; its clock counts
        checkpoints, not steps. A schedule, a function of the step, or a number.
      num_checkpoints: how many checkpoints after the first, at equal distances.

    Returns:
      The coefficients, shape [n + 1]. One is negative where the decay rises or is above 1.

    Raises:
      TypeError, ValueError: an argument is not as described, or the decay is negative or not finite.

    References: Tian et al., ICLR 2026, "WSM: Decay-Free Learning Rate Schedule via Checkpoint Merging",
    https://arxiv.org/abs/2507.17634

    >>> from optax_sched import linear
    >>> print(merge_weights(linear(1.0, 0.0, 4), 4))
    [0.   0.25 0.25 0.25 0.25]
    """
    weights = rates_of("merge_weights", decay, num_checkpoints, "decay", must_move=False)
    weights = jnp.asarray(weights, jnp.result_type(default_float(), weights))
    return jnp.append(1 - weights[0], weights - jnp.append(weights[1:], 0.0))


@checked
def update_weights(schedule: Run, num_steps: Size, weight_decay: Rate) -> jax.Array:
    """The share of each update in the weights that AdamW ends with.

    It assumes decoupled weight decay that is multiplied by the rate, as in optax.adamw and torch's
    AdamW: each step multiplies the weights by 1 - r_t w and subtracts r_t u_t. That makes the last
    weights an average of all -u_t / w and of the first weights, exactly; no theory of training is in
    it. Bergsma et al. read from it why a linear decay to 0 suits long runs: it averages over more
    updates, and forgets the first weights. What shares are good is not known from it.

        r_t w prod_(s > t) (1 - r_s w)

    with r_t = the rate of update t and w = weight_decay. With prod_t (1 - r_t w), the share of the
    first weights, they add up to 1.

    Args:
      schedule: as for `convex_bound`; rates of 0 throughout are taken too.
      num_steps: how many updates, a whole number.
      weight_decay: 0 or more; its product with the highest rate must be at most 1.

    Returns:
      The shares, shape [num_steps].

    Raises:
      TypeError, ValueError: an argument is not as described, a rate is negative or not finite, or its
        product with `weight_decay` is above 1.

    References: Bergsma et al., 2025, "Straight to Zero", https://arxiv.org/abs/2502.15938; Wang and
    Aitchison, ICML 2025, https://arxiv.org/abs/2405.13698

    >>> from optax_sched import linear
    >>> shares = update_weights(linear(1e-3, 0.0, 10_000), 10_000, weight_decay=0.1)
    >>> print(f"updates {shares.sum():.2f}, the first weights {1 - shares.sum():.2f}")
    updates 0.39, the first weights 0.61
    """
    rates = rates_of("update_weights", schedule, num_steps, must_move=False)
    if not is_traced((rates, weight_decay)):
        highest = float(np.max(rates))
        if highest * float(weight_decay) > 1 + 1e-6:
            rule = f"at most 1 / {highest:g}, one over the highest rate"
            raise Refusal("update_weights", "weight_decay", rule, weight_decay).error()
    return _shares(rates, weight_decay)


@jax.jit
def _shares(rates: jax.Array, weight_decay: jax.Array) -> jax.Array:
    dtype = jnp.result_type(default_float(), rates, weight_decay)
    decays = jnp.asarray(rates, dtype) * jnp.asarray(weight_decay, dtype)
    # The sum of the logs of |1 - r w|, and apart from it the factors that are 0 or negative.
    logs = jnp.log1p(jnp.where(decays == 1, 0.0, jnp.where(decays < 1, -decays, decays - 2)))
    flips, ends = (sum_after(some.astype(dtype)) for some in (decays > 1, decays == 1))
    return jnp.where(ends > 0, 0.0, decays * jnp.exp(sum_after(logs)) * (1 - 2 * (flips % 2)))
