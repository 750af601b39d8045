"""From one tuned schedule to the next: another shape, another length, a run that goes on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.arguments import checked
from optax_sched._core.domains import default_float, is_traced
from optax_sched._core.errors import Refusal
from optax_sched._core.hyperparameters import Real, Scalar
from optax_sched._core.operands import as_number
from optax_sched._core.schedule import Schedule
from optax_sched._schedules.combine import join
from optax_sched._schedules.decays import linear
from optax_sched._schedules.piecewise import table
from optax_sched.planning.bound import best_scale, sum_after, unit_of
from optax_sched.planning.inputs import Run, Size, rates_of

_EXPONENTS = (
    "a number where the horizons differ (0.5 theory, 0.32 Bjorck et al. and HyperP, 0.1 to 0.3 "
    "Schaipp et al.'s runs at fixed batch size, 0 Step Law at fixed batch size)"
)


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
