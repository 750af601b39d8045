"""The closed-loop rule as a transformation that reads the loss through extra arguments."""

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from optax_sched._hyper import Count, CountOrZero, Rate, Scalar, checked
from optax_sched._kinds import Choice, Number
from optax_sched._rule import PlateauRule, PlateauState, initial_state, metric, observed

_CUT = Number("a factor above 0 and below 1", 0.0, 1.0, above_minimum=True, below_maximum=True)
_SCALE = Number("a number from 0 to 1", 0.0, 1.0)
_MISSING: Any = object()

Cut = Annotated[Scalar, _CUT]
Mode = Annotated[Literal["min", "max"], Choice(("min", "max"))]
ThresholdMode = Annotated[Literal["rel", "abs"], Choice(("rel", "abs"))]


@checked
def reduce_on_plateau(
    factor: Cut = 0.1,
    patience: CountOrZero = 10,
    threshold: Rate = 1e-4,
    threshold_mode: ThresholdMode = "rel",
    mode: Mode = "min",
    cooldown: CountOrZero = 0,
    min_scale: Annotated[Scalar, _SCALE] = 0.0,
    window: Count = 1,
) -> optax.GradientTransformationExtraArgs:
    """Scale the updates down whenever a metric stops improving.

    `update(updates, state, params, value=loss)` reads the metric through the extra argument `value`.
    The scale starts at 1 and is multiplied by `factor` after more than `patience` observations in a
    row without improvement: with patience = 2 the first two are ignored and the third cuts. With
    v an observation and b the best so far (mode "min"; "max" mirrors it):

        improvement:   b - v > threshold |b|   ("rel")     b - v > threshold   ("abs")
        cut:           scale = max(factor scale, min_scale)

    The first finite observation is always the best. A value that is not finite never becomes the
    best, and counts as no improvement. An observation acts on the update that it comes with. `value`
    is needed at every update; None says that there is no observation at this one. For a metric that
    is known once an epoch, pass None and call `observe`.

    Put it after the optimizer in a chain: before Adam, Adam normalises the scale away.

    Args:
      factor: what the scale is multiplied by at a cut, above 0 and below 1.
      patience: how many observations in a row without improvement are ignored, 0 or more.
      threshold: the least improvement that counts, 0 or more.
      threshold_mode: "rel", as a part of |best|, or "abs".
      mode: "min" where lower is better, "max" where higher is.
      cooldown: how many observations after a cut are not counted as bad, 0 or more.
      min_scale: the scale never falls below it, 0 to 1.
      window: the mean of so many values in a row is one observation, 1 or more.

    All numbers may be traced, so that a sweep maps over them. They ride in the state.

    Returns:
      A `GradientTransformationExtraArgs` with a `PlateauState`, in float32 and int32 whatever the
      parameters' dtype. The scale is cast to each update's dtype.

    Raises:
      TypeError, ValueError: a setting breaks its rule above; at update: `value` is left out, or is
        not a number of shape ().

    Elsewhere: torch's `ReduceLROnPlateau`, step by step (there the improvement is
    v < b (1 - threshold), so that a constant negative loss improves for ever; and a change below eps
    is dropped). keras and optax.contrib cut one observation earlier: their patience is this one + 1.
    A spike in the loss has no effect but to count as bad; a steady fall that starts above an old best
    counts as bad until it passes it.

    >>> import jax.numpy as jnp, optax
    >>> opt = optax.chain(optax.sgd(0.1), reduce_on_plateau(factor=0.5, patience=2))
    >>> params = jnp.ones(())
    >>> state = opt.init(params)
    >>> for loss in (1.0, 1.0, 1.0, 1.0):
    ...     updates, state = opt.update(jnp.ones(()), state, params, value=loss)
    >>> print(f"{updates:.2f} {state[1].scale:.1f}")
    -0.05 0.5
    """
    rule = PlateauRule(
        factor=jnp.asarray(factor, jnp.float32),
        patience=jnp.asarray(patience, jnp.int32),
        relative=jnp.asarray(threshold if threshold_mode == "rel" else 0.0, jnp.float32),
        absolute=jnp.asarray(threshold if threshold_mode == "abs" else 0.0, jnp.float32),
        sign=jnp.asarray(1.0 if mode == "min" else -1.0, jnp.float32),
        cooldown=jnp.asarray(cooldown, jnp.int32),
        min_scale=jnp.asarray(min_scale, jnp.float32),
        window=jnp.asarray(window, jnp.int32),
    )

    def init(params: Any) -> PlateauState:
        del params
        return initial_state(rule)

    def update(
        updates: Any,
        state: Any,
        params: Any = None,
        *,
        value: Any = _MISSING,
        **extra: Any,
    ) -> Any:
        del params, extra
        if value is _MISSING:
            raise TypeError(
                "reduce_on_plateau: update needs value=, the metric to watch; pass value=None and "
                "call optax_sched.observe where it is known only now and then"
            )
        if value is not None:
            state = observed(state, metric("reduce_on_plateau", value))
        return jax.tree.map(lambda g: state.scale.astype(g.dtype) * g, updates), state

    return optax.GradientTransformationExtraArgs(init, update)
