"""Curves through given values: flat between boundaries, interpolated, or one value a step."""

from typing import Any

import jax.numpy as jnp

from optax_sched._core.hyperparameters import Boundaries, Reals, ShapeName
from optax_sched._core.schedule import schedule
from optax_sched._math.phases import last_reached, mix, next_reached, phase, pick, reached, whole_step


def _one_more_value(values, boundaries):
    if len(values) != len(boundaries) + 1:
        return "values", f"one more than the {len(boundaries)} boundaries"
    return None


def _one_value_at_least(values):
    return None if len(values) else ("values", "a sequence of one or more numbers")


@schedule(check=_one_more_value)
def piecewise_constant(step, values: Reals, boundaries: Boundaries):
    """A staircase through given values.

        v_k,    k = the number of boundaries <= t

    A boundary belongs to the new piece. Before step 0 it is the first value, after the last boundary
    the last one, each to the bit.

    Args:
      values: the value of each piece, any finite numbers, shape [n + 1].
      boundaries: where the next piece begins, positive and strictly increasing steps, shape [n].

    Raises:
      TypeError, ValueError: a value is not finite, the boundaries are not positive and increasing, or
        the values not one more.

    Elsewhere: keras' `PiecewiseConstantDecay`, where a boundary belongs to the old piece: add 1 to
    its boundaries. Paddle's `PiecewiseDecay`, fvcore's `MultiStepParamScheduler`.
    `optax.piecewise_constant_schedule` takes factors: that is `multistep_decay`.

    >>> [f"{piecewise_constant([1.0, 0.5, 0.1], [2, 4])(t):.1f}" for t in range(6)]
    ['1.0', '1.0', '0.5', '0.5', '0.1', '0.1']
    """
    return pick(values, jnp.sum(reached(step, boundaries)))


@schedule(check=_one_more_value)
def piecewise_interpolate(step, values: Reals, boundaries: Boundaries, shape: ShapeName = "linear"):
    """A curve through knots, one at step 0 and one at each boundary.

        v_k + (v_k+1 - v_k) f(x),    x = (t - b_k) / (b_k+1 - b_k),  b_0 = 0,  f = shape

    A rising piece reads the shape on what is done, a falling one on what remains, as a warm-up and a
    decay do. Before step 0 it is the first value, from the last boundary on the last one; at each
    knot its value, to the bit.

    Args:
      values: the value at each knot, any finite numbers, shape [n + 1].
      boundaries: the steps of the knots after the first, positive and strictly increasing, shape [n].
      shape: how a piece goes: "linear", "cosine", "sqrt", "square" or a function of [0, 1].

    Raises:
      TypeError, ValueError: a value is not finite, the boundaries are not positive and increasing,
        the values not one more, or the shape is unknown.

    Elsewhere: `optax.piecewise_interpolate_schedule` (factors; 0 before step 0), ignite's
    `PiecewiseLinear`, fairseq's triangular stages, init2winit's `piecewise_linear`.

    >>> [f"{piecewise_interpolate([0.0, 1.0, 0.5], [2, 4])(t):.2f}" for t in range(6)]
    ['0.00', '0.50', '1.00', '0.75', '0.50', '0.50']
    """
    weights: Any = shape
    index = jnp.sum(reached(step, boundaries))
    here, there = pick(values, index), pick(values, jnp.minimum(index + 1, len(boundaries)))
    x, y = phase(step, last_reached(step, boundaries), next_reached(step, boundaries))
    falling = there < here
    rise, fall = mix(here, there, *weights(x, y)), mix(there, here, *weights(y, x))
    return jnp.where(falling, fall, rise)


@schedule(check=_one_value_at_least)
def table(step, values: Reals):
    """One given value a step; the last one is held.

        v_min(t, n - 1)

    Before step 0 it is the first value.

    Args:
      values: the value at each step, any finite numbers, shape [n], n >= 1.

    Raises:
      TypeError, ValueError: there is no value, or one is not finite.

    Elsewhere: fairseq's `fixed` and `manual`, a list of rates by epoch (with `every`).

    >>> [f"{table([3.0, 1.0, 2.0])(t):.0f}" for t in (-1, 0, 1, 2, 3)]
    ['3', '3', '1', '2', '2']
    """
    values = jnp.asarray(values)
    return values[jnp.minimum(whole_step(step), len(values) - 1)]
