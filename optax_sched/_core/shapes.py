"""Shapes of phases as hyperparameters: a name, a builder's shape with a number, or a function."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from optax_sched._core.built import Built, formula_behind, is_batch, is_made_by
from optax_sched._core.domains import Choice, Domain, refuse_no_schedule
from optax_sched._core.formula import Formula
from optax_sched._core.words import BY_NAME, Positive
from optax_sched._math.shapes import SHAPES, Weights, raised


class Shape(Built):
    """A function from [0, 1] to [0, 1] that is also an immutable pytree of its hyperparameters.

    `power_shape` and `k_shape` make it. Hand it to any parameter `shape`, where its number can be
    traced, swept, differentiated and replaced. It reads, changes, prints and pickles as a `Schedule`
    does. Call it with a fraction, or an array of them, to get its value there; below 0 and above 1 it
    is what it is at the ends.

    >>> import optax_sched
    >>> shape = optax_sched.k_shape(0.5)
    >>> shape, shape.k
    (k_shape(k=0.5), 0.5)
    >>> print(f"{shape(0.75):.2f} {shape.replace(k=2.0)(0.75):.4f}")
    0.50 0.9375
    """

    __slots__ = ()
    _such_as = ", such as power_shape(2.0)"

    def __call__(self, x: Any) -> jax.Array:
        """The value at a fraction x."""
        x = jnp.clip(jnp.asarray(x) * 1.0, 0, 1)
        weight, _ = self.weights(x, 1 - x)
        return weight

    def weights(self, x: object, y: object) -> tuple[Any, Any]:
        """The value and its complement to 1, at a fraction x and its exact complement y = 1 - x."""
        return self._formula.function(x, y, *self._values)


def shape(function: Callable[..., Weights], name: str | None = None) -> Callable[..., Shape]:
    """Turn a formula `(x, y, *hyperparameters) -> Weights`, where y = 1 - x, into a builder."""
    return Formula(function, name or function.__name__, (), Shape, skip=["x", "y"]).builder


@shape
def _own(x: Any, y: Any, function: Any) -> Weights:
    # Never evaluate a user's function at 0 or 1, where it may be inexact or have an infinite
    # derivative: use the exact ends.
    is_inside = (x > 0) & (y > 0)
    value = jnp.where(is_inside, function(jnp.where(is_inside, x, 0.5)), x)
    return Weights(value, 1 - value)


_NAMED = {name: shape(function, name)() for name, function in SHAPES.items()}


class ShapeDomain(Domain):
    """How a phase goes from its start to its end. All that it admits becomes a `Shape`."""

    named = Choice(tuple(SHAPES))
    words = f"{named.words}, or a function from [0, 1] to [0, 1]"

    def admit(self, value: object) -> Shape:
        if isinstance(value, Shape):
            return value
        if isinstance(value, str):
            return _NAMED[self.named.admit(value)]
        if not callable(value):
            raise TypeError
        refuse_no_schedule(value)
        return _own(value)

    def public(self, stored: Shape) -> Any:
        formula = formula_behind(stored)
        if not formula.domains:  # one of the named, which have no hyperparameters
            return formula.name
        return stored.function if formula.builder is _own else stored

    def has_batch_axis(self, stored: object) -> bool:
        return is_batch(stored)

    def word(self, stored: object) -> str | None:
        if not isinstance(stored, Shape):  # one of JAX's placeholders
            return None
        if not is_made_by(_own, stored):
            return formula_behind(stored).name
        return getattr(stored.function, "__name__", type(stored.function).__name__)

    packed, unpacked = public, admit


BY_NAME["shape"] = ShapeDomain()

ShapeName = Annotated[
    Literal["linear", "cosine", "sqrt", "square"] | Callable[[Any], Any], "ShapeName", BY_NAME["shape"]
]
"""The shape of a phase: "linear", "cosine", "sqrt", "square", a `Shape`, or a function on [0, 1]."""


# --- Shapes with a number: how a phase goes from its start to its end, by one parameter


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
