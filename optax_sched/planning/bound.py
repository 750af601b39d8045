"""The last-iterate bound of convex optimisation: a score, and what it says of the next run."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.built import assembled
from optax_sched._core.domains import default_float, is_traced, read_only
from optax_sched._core.errors import Refusal
from optax_sched._core.operands import as_number
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import PartOfOne, Positive, Rate, Real, Scalar, checked
from optax_sched._schedules import join, linear, table
from optax_sched.planning.inputs import (
    Given,
    ManyPositive,
    PositiveOrMany,
    Run,
    Size,
    Sizes,
    one_each,
    rates_of,
)

_EXPONENTS = (
    "a number where the horizons differ (0.5 theory, 0.32 Bjorck et al. and HyperP, 0.1 to 0.3 "
    "Schaipp et al.'s runs at fixed batch size, 0 Step Law at fixed batch size)"
)


class ConvexBound(NamedTuple):
    """What `convex_bound` says of a schedule: scalars, or one entry for each horizon."""

    value: jax.Array
    """The bound of the schedule as it is."""
    best_scale: jax.Array
    """The factor on the whole schedule for which the bound is least."""
    best_value: jax.Array
    """The bound at that factor: what shapes are compared by."""


@checked
def convex_bound(
    schedule: Run, num_steps: Sizes, grad_norms: PositiveOrMany = 1.0, distance: Positive = 1.0
) -> ConvexBound:
    """How far from the minimum the last step of a schedule ends, at worst, on a convex function.

    It assumes a convex function that need not be smooth, plain (sub)gradient steps, the gradient norms
    G_t and the distance D from the start to the minimum. Networks are not convex; still, on 45 public
    runs of a 124M language model its order of (schedule, cooldown) groups had a Spearman correlation
    of 0.90 with that of their best losses. What holds there is the ratio of the best rates of two
    shapes (8 % off in the median). What does not: shapes that differ by less than 3 % in `best_value`
    (a comparison of 2026 has the reverse order), a cooldown over the whole run (one over 0.6 of it was
    best), and a best rate that falls as 1/sqrt(num_steps) (it fell far more slowly). Warm-up has no
    use in it, unless `grad_norms` are high at first.

        D^2 / (2 sum_t r_t) + 1/2 sum_t r_t^2 G_t^2 / R_t,    R_t = sum_(s > t) r_s

    with r_t = the rates of updates t = 0 ... num_steps - 1. Of the last step that moves, where R_t is
    0, the term is r_t G_t^2 / 2; steps of rate 0 count for nothing. If the schedule is multiplied by c
    the first term A becomes A / c and the rest B becomes B c, so that `best_scale` is sqrt(A / B) and
    `best_value` 2 sqrt(A B).

    Args:
      schedule: a schedule, a function of the step that JAX can trace, or a number (a constant). It may
        be traced, mapped over by `jax.vmap` and differentiated.
      num_steps: how many updates, a whole number; or a sequence of horizons: then each has one entry
        in the results, for the same schedule, stopped there.
      grad_norms: the norm of the gradient, positive: a number, or one for each update (of the longest
        horizon).
      distance: from the start to the minimum, positive.

    Returns:
      The bound as it stands, the factor on the schedule for which it is least, and the bound there.
      All three are infinite where no step moves, which only a traced schedule may do.

    Raises:
      TypeError, ValueError: an argument is not as described, a rate is negative or not finite, or none
        is positive up to one of the horizons.

    References: Defazio et al., 2023, "Optimal Linear Decay Learning Rate Schedules and Further
    Refinements", https://arxiv.org/abs/2310.07831; Schaipp et al., ICML 2025, "The Surprising Agreement
    Between Convex Optimization Theory and Learning-Rate Scheduling for Large Model Training",
    https://arxiv.org/abs/2501.18965

    >>> from optax_sched import cosine_decay, linear
    >>> for s in (linear(1.0, 0.0, 400), cosine_decay(1.0, 400)):
    ...     bound = convex_bound(s, 400)
    ...     print(f"best rate {bound.best_scale:.5f}, bound there {bound.best_value:.5f}")
    best rate 0.04956, bound there 0.10063
    best rate 0.04824, bound there 0.10339
    """
    horizons: Any = [num_steps] if isinstance(num_steps, int) else num_steps
    one_each("convex_bound", "grad_norms", grad_norms, max(horizons), "steps")
    rates_of("convex_bound", schedule, min(horizons))  # the one that may have no rate above 0 yet
    rates = rates_of("convex_bound", schedule, max(horizons))
    if isinstance(num_steps, int):
        return _bound(rates, grad_norms, distance)
    return _bounds(rates, grad_norms, distance, np.asarray(num_steps, np.int32))


def best_scale(where: str, name: str, schedule: Given, num_steps: int) -> jax.Array:
    """`best_scale` of a schedule's bound, for another function that was given it by that name."""
    return _bound(rates_of(where, schedule, num_steps, name), 1.0, 1.0).best_scale


def best_scale_of(rates: np.ndarray) -> float:
    """The same of known rates, in NumPy: JAX would compile for each length."""
    after = np.append(np.cumsum(rates[:0:-1])[::-1], 0.0)
    costs = rates * np.divide(rates, after, out=np.ones_like(rates), where=after > 0)
    return float((rates.sum() * costs.sum()) ** -0.5)


@jax.jit
def _bounds(rates: jax.Array, norms: jax.Array, distance: Scalar, horizons: np.ndarray) -> ConvexBound:
    """For each horizon; one after the other, so that the memory does not grow with their number."""

    def until(horizon: jax.Array) -> ConvexBound:
        return _bound(jnp.where(jnp.arange(len(rates)) < horizon, rates, 0.0), norms, distance)

    return jax.lax.map(until, horizons)


@jax.jit
def _bound(rates: jax.Array, norms: jax.Array, distance: Scalar) -> ConvexBound:
    dtype = jnp.result_type(default_float(), rates, norms, distance)
    rates, norms, distance = (jnp.asarray(x, dtype) for x in (rates, norms, distance))
    # In units of the highest rate and norm, so that no square of a small number is lost. Any units
    # will do, so the gradient need not see where they come from.
    rate, norm = unit_of(rates), unit_of(norms)
    shares, norms = rates / rate, norms / norm
    after = sum_after(shares)
    moves = after > 0
    costs = shares * norms**2 * jnp.where(moves, shares / jnp.where(moves, after, 1.0), 1.0)
    total = after[0] + shares[0]
    first, rest = 0.5 / total, 0.5 * jnp.sum(costs)
    value = distance**2 * first / rate + norm**2 * rest * rate
    best_value = jnp.where(total > 0, 2 * jnp.sqrt(first * rest) * distance * norm, jnp.inf)
    return ConvexBound(value, jnp.sqrt(first / rest) * distance / norm / rate, best_value)


def unit_of(values: jax.Array) -> jax.Array:
    """The highest of them, 1 where that is 0; a constant to the gradient."""
    highest = jax.lax.stop_gradient(jnp.max(values))
    return jnp.where(highest > 0, highest, 1.0)


def sum_after(values: jax.Array) -> jax.Array:
    """For each entry the sum of those after it: never a difference of two sums, which cancels."""
    inclusive = jax.lax.cumsum(values, reverse=True)
    return jnp.concatenate([inclusive[1:], jnp.zeros_like(values[:1])])


@checked
def transfer_factor(
    tuned: Run,
    num_steps: Size,
    other: Run,
    other_num_steps: Size | None = None,
    horizon_exponent: Real | None = None,
) -> jax.Array:
    """What to multiply another schedule by, so that it is as well tuned as one whose rates were tuned.

    It takes the ratio of the best rates of two shapes from the convex bound (see `convex_bound`), and
    how the best rate falls with the horizon from you. On 22 pairs of shape and horizon of a 124M
    language model the ratio between shapes was 8 % off in the median, 18 % at most; in a comparison
    under Muon of 2026 it said 1.46 and 1.56 where 1.67 was used. It says nothing of a change of batch
    size, model or optimizer. No exponent of the horizon is universal: the bound's own is 0.5, Bjorck
    et al. and HyperP found 0.32, the runs of Schaipp et al. 0.1 to 0.3 at a fixed batch size (less
    with a long cooldown), a refit of Step Law's runs 0 at a fixed batch size.

        b(other, T') sqrt(T') / (b(tuned, T) sqrt(T)) (T' / T)^(-e)

    with b = `convex_bound(...).best_scale`, T = num_steps, T' = other_num_steps, e = horizon_exponent.

    Args:
      tuned: the schedule at the rates that were found best, as for `convex_bound`.
      num_steps: the updates of its run.
      other: the schedule to scale; a factor on all of it changes only the result.
      other_num_steps: the updates of its run; None for as many.
      horizon_exponent: e in "the best rate is as horizon^-e"; it may be left out where the horizons are
        equal.

    Returns:
      The factor, a scalar: `multiply(other, factor)` is the schedule to use, or `other.replace` with
      its rates multiplied by the factor.

    Raises:
      TypeError, ValueError: an argument is not as described, a schedule has a negative rate or none
        above 0, or the horizons differ and there is no exponent.

    References: those of `convex_bound`; Bjorck et al., ICLR 2025, "Scaling Optimal LR Across Token
    Horizons", https://arxiv.org/abs/2409.19913; HyperP, https://arxiv.org/abs/2603.28743; Li et al.,
    2025, "Predictable Scale: Step Law", https://arxiv.org/abs/2503.04715

    A cosine was tuned, to a peak of 3e-4 over 10,000 steps; now it should be warmup-stable-decay, and
    then four times as long:

    >>> from optax_sched import cosine_decay, wsd
    >>> tuned = cosine_decay(3e-4, 10_000)
    >>> stable = wsd(3e-4, 0, 2_000, 10_000, shape="linear")
    >>> print(f"peak {3e-4 * transfer_factor(tuned, 10_000, stable):.2e}")
    peak 1.59e-04
    >>> longer = wsd(3e-4, 0, 8_000, 40_000, shape="linear")
    >>> factors = [transfer_factor(tuned, 10_000, longer, 40_000, e) for e in (0.1, 0.32, 0.5)]
    >>> [f"{3e-4 * factor:.2e}" for factor in factors]
    ['1.38e-04', '1.02e-04', '7.95e-05']
    """
    where, other_num_steps = "transfer_factor", other_num_steps or num_steps
    longer = _growth(where, num_steps, other_num_steps, horizon_exponent)
    own = best_scale(where, "tuned", tuned, num_steps)
    return best_scale(where, "other", other, other_num_steps) / own * longer


def _growth(where: str, num_steps: int, other_num_steps: int, exponent: Scalar | None) -> jax.Array:
    """By which factor the best scale of a shape grows from one horizon to another."""
    if exponent is None and other_num_steps != num_steps:
        raise Refusal(where, "horizon_exponent", _EXPONENTS, None).error()
    power = 0.5 - jnp.asarray(0.0 if exponent is None else exponent, default_float())
    return (other_num_steps / num_steps) ** power


@checked
def extend(
    schedule: Run,
    spent_steps: Size,
    total_steps: Size,
    tuned_steps: Size,
    horizon_exponent: Real | None = None,
) -> Schedule:
    """The best way to continue a run that is now to end at another step than its schedule.

    It assumes what `convex_bound` assumes, that the rates of the schedule were tuned for a run of
    `tuned_steps`, and that after one jump the rate falls in a straight line to 0: after 800 steps at a
    constant rate, tuned for 1000, the bound then comes within 0.6 % of that of a linear decay that is
    tuned from scratch, at twice the length and at four times. In real runs a language model of 124M
    that continued from a constant rate ended better with one drop of the rate (a loss of 2.8975)
    than without (2.9037), and best with a cooldown over 0.6 of the whole run (2.8878); one of 210M in
    the same order. Under a loss law fitted to those runs, `extend` with the exponent 0.5 ends 0.001
    above that cooldown at twice the length, and 0.006 at four times. No exponent of the horizon is
    universal (see `transfer_factor`): at a fixed batch size 0 to 0.15 was best in real runs.

        s(t) for t < m,    q (1 - (t - m) / (T - m)) from m on,    0 from T on

    with s = schedule, m = spent_steps, T = total_steps, and q that minimises the bound at T, where
    D / G = (T / tuned_steps)^(1/2 - e) / `convex_bound(schedule, tuned_steps).best_scale`, with e =
    horizon_exponent: so that the schedule as it stands is best for `tuned_steps`, and the best rates
    fall with the horizon as you say.

    Args:
      schedule: the schedule so far, at the rates that were used; as for `convex_bound`.
      spent_steps: the updates made so far, a whole number, 1 or more.
      total_steps: the updates at the end, those made so far included.
      tuned_steps: the length of the run for which the rates of `schedule` were tuned.
      horizon_exponent: e in "the best rate is as horizon^-e"; it may be left out where `total_steps`
        is `tuned_steps`.

    Returns:
      `join([schedule, linear(q, 0.0, T - m)], [m])`, in the steps of `schedule`: the optimizer
      continues from the count in its state.

    Raises:
      TypeError, ValueError: an argument is not as described, `total_steps` is not more than
        `spent_steps`, a rate is negative, none is above 0 before `spent_steps`, or the horizons differ
        and there is no exponent.

    References: those of `convex_bound`; Schaipp et al. extend runs in section 5.

    A run at a constant rate of 1e-3, tuned to cool down from step 800 to 1000, should go on to 2000:

    >>> import optax_sched
    >>> planned = optax_sched.wsd(1e-3, 0, 200, 1000, shape="linear")
    >>> longer = extend(planned, 800, 2000, tuned_steps=1000, horizon_exponent=0.5)
    >>> [f"{longer(t):.2e}" for t in (799, 800, 1400, 2000)]
    ['1.00e-03', '8.69e-04', '4.35e-04', '0.00e+00']
    """
    if total_steps <= spent_steps:
        rule = f"more than spent_steps = {spent_steps}"
        raise Refusal("extend", "total_steps", rule, total_steps).error()
    spent = rates_of("extend", schedule, spent_steps)
    longer = _growth("extend", tuned_steps, total_steps, horizon_exponent)
    distance = longer / best_scale("extend", "schedule", schedule, tuned_steps)
    old: Any = schedule
    left = total_steps - spent_steps
    # A line of height 1 over them: its sum, and the sum of v_t^2 / R_t over it, its last step's v_t.
    mass, cost = (left + 1) / 2, (2 * (left - 1 + np.sum(1.0 / np.arange(1, left))) + 1) / left
    jump = _jump(spent, distance, mass, (mass / cost) ** 0.5)
    if not is_traced(jump):
        jump = as_number(np.asarray(jump)[()])
    return join([old if callable(old) else table(old), linear(jump, 0.0, left)], [spent_steps])


@jax.jit
def _jump(spent: jax.Array, distance: jax.Array, line_mass: float, target: float) -> jax.Array:
    """The height of a line over the steps that are left, for which the bound is least.

    With S the sum of the rates still to come and R_t that of the spent ones after step t, the
    derivative of the bound is 0 where f = D^2 / (P + S)^2 + sum_t r_t^2 / (R_t + S)^2 is target^-2.
    Each term alone has its root at or below that of all, and f^(-1/2) is increasing and concave in S:
    so Newton's method from the highest of these roots never steps too far.
    """
    dtype = jnp.result_type(default_float(), spent)
    unit = unit_of(spent)
    shares = jnp.asarray(spent / unit, dtype)
    masses = jnp.append(shares**2, (distance / unit) ** 2)
    offsets = jnp.append(sum_after(shares), jnp.sum(shares))

    def newton(masses: jax.Array, offsets: jax.Array, mass: jax.Array) -> jax.Array:
        inverse = jnp.where(masses > 0, 1 / jnp.where(masses > 0, offsets + mass, 1.0), 0.0)
        height = jnp.sum(masses * inverse**2) ** -0.5
        slope = height**3 * jnp.sum(masses * inverse**3)
        return mass + (target - height) / slope

    fixed = jax.lax.stop_gradient((masses, offsets))
    first = jnp.max(target * jnp.sqrt(fixed[0]) - fixed[1])
    mass = jax.lax.fori_loop(0, 50, lambda _, mass: newton(*fixed, mass), first)
    # One more step, from the root itself, carries the derivatives of the root.
    return newton(masses, offsets, mass) / line_mass * unit


@checked
def refine(
    grad_norms: ManyPositive,
    num_steps: Size | None = None,
    peak_value: Rate = 1.0,
    smoothing: PartOfOne = 0.02,
) -> Schedule:
    """The schedule for which the convex bound is least, for gradient norms as a run has logged them.

    It assumes what `convex_bound` assumes, and that the norms of the next run will be those of the log,
    whatever its rates. Where gradients grow it falls early, and where they are high at first it warms
    up. Defazio et al. report that it improves on linear decay; for an optimizer such as Adam their
    theory wants the l1 norms of the gradients. In public logs (AlgoPerf, NAdamW, l2) the norms at the
    end are 3.5 times as high as early in the run (ViT), about the same (WMT) or 14 times lower
    (fastMRI), so that the refined schedules bend either way; whether they train better there was not
    measured. Compare the result with `linear` before you trust it.

        r_t = G_t^-2 sum_(p >= t) G_p^-2, times what makes the highest r_t `peak_value`

    with G = the median of the norms around each, in a window of `smoothing` of the log (reflected at
    the ends), then read at `num_steps` points: the i-th of n norms stands for (i + 1/2) / n of the run,
    between two of them lies a straight line, and the first and the last are held.

    Args:
      grad_norms: the norms, positive, evenly spaced over the run; a sequence of one or more, known
        (not traced).
      num_steps: the length of the schedule; None for one step a norm.
      peak_value: its highest rate, 0 or more.
      smoothing: the window as a part of the log, in [0, 1); 0 for none. It is made an odd number of
        norms.

    Returns:
      A `table` of `num_steps` rates, which holds the last one. For constant norms it is
      `linear(peak_value, 0, num_steps)` at each of its steps.

    Raises:
      TypeError, ValueError: an argument is not as described.

    References: Defazio et al., 2023, "Optimal Linear Decay Learning Rate Schedules and Further
    Refinements", https://arxiv.org/abs/2310.07831

    >>> import numpy as np
    >>> [f"{refine(np.full(4, 2.5))(t):.2f}" for t in range(4)]
    ['1.00', '0.75', '0.50', '0.25']
    >>> grows = refine(np.linspace(1.0, 3.0, 100), num_steps=4)
    >>> [f"{grows(t):.2f}" for t in range(4)]
    ['1.00', '0.25', '0.08', '0.02']
    """
    if is_traced((grad_norms, smoothing)):
        name, value = ("grad_norms", grad_norms) if is_traced(grad_norms) else ("smoothing", smoothing)
        raise Refusal("refine", name, "known, not traced", value).error(TypeError)
    norms = np.asarray(grad_norms, np.float64)
    length = len(norms)
    window = 2 * (math.ceil(float(smoothing) * length) // 2) + 1
    if window > 1:
        from scipy.ndimage import median_filter

        norms = median_filter(norms, window, mode="reflect")
    if num_steps is not None:
        places = (np.arange(num_steps) + 0.5) / num_steps * length - 0.5
        norms = np.interp(places, np.arange(length), norms)
    weights = (norms.min() / norms) ** 2
    shape = weights * np.cumsum(weights[::-1])[::-1]
    shape = shape / shape.max()
    if isinstance(peak_value, float):
        return assembled(table, values=read_only((shape * peak_value).astype(default_float())))
    return assembled(table, values=peak_value * shape.astype(default_float()))
