"""Shapes with a number: how a phase goes from its start to its end, by one parameter."""

from optax_sched._core.shapes import shape
from optax_sched._core.words import Positive
from optax_sched._math.shapes import Weights, raised


@shape
def power_shape(x: object, y: object, exponent: Positive) -> Weights:
    """A power as the shape of a phase: a slow start above 1, a fast start below.

        x^p,    p = exponent

    with x what is done in a phase that rises, and what remains in one that falls. It is exactly 0 at 0
    and exactly 1 at 1, and exact near both.

    Args:
      exponent: the power, positive. 1 is "linear".

    Raises:
      TypeError, ValueError: the exponent is not positive and finite.

    Elsewhere: the `power` of polynomial decays and warm-ups; fastai's `SchedPoly`. A fall of this shape
    is `polynomial_decay` with `power=exponent`.

    >>> import optax_sched
    >>> s = optax_sched.cooldown(1.0, 2, 4, shape=power_shape(2.0))
    >>> [f"{s(t):.4f}" for t in range(7)]
    ['1.0000', '1.0000', '1.0000', '0.5625', '0.2500', '0.0625', '0.0000']
    """
    return raised(x, y, exponent)


@shape
def k_shape(x: object, y: object, k: Positive) -> Weights:
    """A power upside down as the shape of a phase: a fall that ends late for k above 1, early below.

        1 - (1 - x)^k

    with x what is done in a phase that rises, and what remains in one that falls. It is exactly 0 at 0
    and exactly 1 at 1, and exact near both. A fall of this shape is 1 - z^k with z what is done: the
    cooldown of warmup-stable-decay schedules, whose exponent can be searched.

    Args:
      k: the power, positive. 1/2 is "sqrt" (the 1-sqrt cooldown), 1 "linear", 2 "square".

    Raises:
      TypeError, ValueError: k is not positive and finite.

    Elsewhere: timm's 'k_decay' of a linear fall. Not to be confused with `power_shape`, whose power
    applies to x itself.

    References: Hagele et al., 2024 (1-sqrt), https://arxiv.org/abs/2405.18392; Zhang and Li, 2020,
    "k-decay", https://arxiv.org/abs/2004.05909

    >>> import optax_sched
    >>> s = optax_sched.wsd(1.0, 2, 4, 8, shape=k_shape(0.5))
    >>> [f"{s(t):.3f}" for t in range(3, 9)]
    ['1.000', '1.000', '0.500', '0.293', '0.134', '0.000']
    """
    left = raised(y, x, k)
    return Weights(left.complement, left.weight)
