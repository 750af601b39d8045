"""Curves through given values: flat between boundaries, interpolated, or one value per step."""

import jax.numpy as jnp

from optax_sched._core.schedule import schedule
from optax_sched._core.shapes import ShapeName
from optax_sched._core.words import Boundaries, Reals
from optax_sched._math.phases import is_spread, mix, pick, piece_at, reached, whole_step
from optax_sched._math.shapes import blend, cubic, end_slopes


def _one_more_value(values, boundaries):
    if len(values) != len(boundaries) + 1:
        return "values", f"one more than the {len(boundaries)} boundaries"


def _one_value_at_least(values):
    return None if len(values) else ("values", "a sequence of one or more numbers")


@schedule(check=_one_more_value)
def piecewise_constant(step, values: Reals, boundaries: Boundaries):
    """A staircase through given values.

        v_k,    k = the number of boundaries <= t

    with t = step and v_0, v_1, ... the values. A boundary belongs to the new piece. Negative steps
    count as step 0. From the last boundary on it stays at the last value. All values are exact.

    Args:
      values: the value of each piece, any finite numbers, shape [n + 1].
      boundaries: the steps at which the next piece begins, positive and strictly increasing, shape [n].

    Raises:
      TypeError, ValueError: a value is not finite, the boundaries are not positive and increasing, or
        there is not one value more than boundaries.

    Elsewhere: keras' `PiecewiseConstantDecay`, where a boundary belongs to the old piece: add 1 to
    its boundaries. Paddle's `PiecewiseDecay`, fvcore's `MultiStepParamScheduler`.
    `optax.piecewise_constant_schedule` takes factors: that is `multistep_decay`. Not to be confused
    with `table`, which has one value per step.

    >>> [f"{piecewise_constant([1.0, 0.5, 0.1], [2, 4])(t):.1f}" for t in range(6)]
    ['1.0', '1.0', '0.5', '0.5', '0.1', '0.1']
    """
    return pick(values, jnp.sum(reached(step, boundaries)))


@schedule(check=_one_more_value)
def piecewise_interpolate(step, values: Reals, boundaries: Boundaries, shape: ShapeName = "linear"):
    """A curve through knots, one at step 0 and one at each boundary.

        v_k + (v_k+1 - v_k) f(x)          in a rising piece
        v_k+1 + (v_k - v_k+1) f(1 - x)    in a falling one

    with t = step, f = shape, x = (t - b_k) / (b_k+1 - b_k), v_0, v_1, ... the values, b_0 = 0 and b_1,
    b_2, ... the boundaries. A rising piece reads the shape on what is done, a falling one on what
    remains, as a warm-up and a decay do. Negative steps count as step 0. From the last boundary on it
    stays at the last value. At each knot the value is exact.

    Args:
      values: the value at each knot, any finite numbers, shape [n + 1].
      boundaries: the steps of the knots after the first, positive and strictly increasing, shape [n].
      shape: how each piece goes: "linear", "cosine", "sqrt", "square" or a function from [0, 1] to
        [0, 1].

    Raises:
      TypeError, ValueError: a value is not finite, the boundaries are not positive and increasing,
        there is not one value more than boundaries, or the shape is unknown.

    Elsewhere: `optax.piecewise_interpolate_schedule` (factors; 0 before step 0), ignite's
    `PiecewiseLinear`, fairseq's triangular stages, init2winit's `piecewise_linear`. Not to be confused
    with `piecewise_constant`, which jumps.

    >>> [f"{piecewise_interpolate([0.0, 1.0, 0.5], [2, 4])(t):.2f}" for t in range(6)]
    ['0.00', '0.50', '1.00', '0.75', '0.50', '0.50']
    """
    index, (x, y) = piece_at(step, boundaries)  # y = 1 - x
    here, there = pick(values, index), pick(values, jnp.minimum(index + 1, len(boundaries)))
    falling = there < here
    return jnp.where(falling, blend(there, here, shape, y, x), blend(here, there, shape, x, y))


@schedule(check=_one_more_value)
def piecewise_cubic(step, values: Reals, boundaries: Boundaries):
    """A smooth curve through knots that never goes beyond them: the monotone cubic.

        v_k + (v_k+1 - v_k) (x^2 (x + (3 - q_k) y) + p_k x y^2)

    with t = step, x = (t - b_k) / (b_k+1 - b_k), y = 1 - x, v_0, v_1, ... the values, b_0 = 0 and b_1,
    b_2, ... the boundaries. p_k and q_k are the slopes at the start and at the end of the piece, as
    multiples of its mean slope. A slope between two pieces that go the same way is the weighted
    harmonic mean of theirs; it is 0 where they do not, so each turn is at a knot. The first and the
    last slope are those of a parabola through three knots, kept between 0 and 3. Negative steps count
    as step 0. From the last boundary on it stays at the last value. At each knot the value is exact.

    Args:
      values: the value at each knot, any finite numbers, shape [n + 1]. They may be traced and
        differentiated, so that a curve can be searched by gradient descent.
      boundaries: the steps of the knots after the first, positive and strictly increasing, shape [n].

    Raises:
      TypeError, ValueError: a value is not finite, the boundaries are not positive and increasing, or
        there is not one value more than boundaries.

    Elsewhere: SciPy's `PchipInterpolator`, MATLAB's `pchip`. Not to be confused with a cubic spline,
    which is smoother and may go beyond its knots, below 0 too.

    References: Fritsch and Butland, 1984, "A Method for Constructing Local Monotone Piecewise Cubic
    Interpolants", https://doi.org/10.1137/0905021

    >>> [f"{piecewise_cubic([0.0, 1.0, 0.5], [2, 4])(t):.4f}" for t in range(6)]
    ['0.0000', '0.7188', '1.0000', '0.9062', '0.5000', '0.5000']
    """
    values, knots = jnp.asarray(values), jnp.asarray(boundaries)
    if not len(knots):
        return values[0]
    lengths = jnp.append(knots[:1], jnp.diff(knots))
    index, (x, y) = piece_at(step, knots)
    start, end = (pick(slopes, index) for slopes in end_slopes(values, lengths))
    here, there = pick(values, index), pick(values, jnp.minimum(index + 1, len(knots)))
    return mix(here, there, *cubic(x, y, start, end))


@schedule(check=_one_value_at_least)
def table(step, values: Reals):
    """One given value per step, and the last one held without end.

        v_k,    k = min(floor(t), n - 1)

    with t = step and v_0, ..., v_(n-1) the values. Negative steps count as step 0. All values are
    exact.

    Args:
      values: the value at each step, any finite numbers, shape [n], n >= 1.

    Raises:
      TypeError, ValueError: there is no value, or one is not finite.

    Elsewhere: fairseq's `fixed` and `manual`, lists of rates by epoch, here with `every`. Not to be
    confused with `piecewise_constant`, whose values each last for many steps.

    >>> [f"{table([3.0, 1.0, 2.0])(t):.0f}" for t in (-1, 0, 1, 2, 3)]
    ['3', '3', '1', '2', '2']
    """
    values = jnp.asarray(values)
    index = jnp.minimum(whole_step(step), len(values) - 1)
    return pick(values, index) if is_spread(index) else values[index]
