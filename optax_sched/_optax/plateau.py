"""The closed-loop rule, as a transformation and as a stateful schedule."""

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from optax_sched._core.arguments import checked
from optax_sched._core.domains import Choice, Number
from optax_sched._core.errors import in_a_word
from optax_sched._core.evaluate import weak
from optax_sched._core.hyperparameters import Count, CountOrZero, Growth, Rate, Scalar
from optax_sched._core.operands import Operand
from optax_sched._math.phases import later
from optax_sched._optax.plateau_rule import PlateauRule, PlateauState, initial_state, metric, observed
from optax_sched._optax.state import PlateauScheduleState, start, strong

_CUT = Number("a factor above 0 and below 1", 0.0, 1.0, above_minimum=True, below_maximum=True)
_SCALE = Number("a number from 0 to 1", 0.0, 1.0)
_MISSING: Any = object()

Cut = Annotated[Scalar, "Cut", _CUT]
Scale = Annotated[Scalar, "Scale", _SCALE]
Mode = Annotated[Literal["min", "max"], "Mode", Choice(("min", "max"))]
ThresholdMode = Annotated[Literal["rel", "abs"], "ThresholdMode", Choice(("rel", "abs"))]


@checked
def reduce_on_plateau(
    factor: Cut = 0.1,
    patience: CountOrZero = 10,
    threshold: Rate = 1e-4,
    threshold_mode: ThresholdMode = "rel",
    mode: Mode = "min",
    cooldown: CountOrZero = 0,
    min_scale: Scale = 0.0,
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

    Put it after the optimizer in a chain, `optax.chain(optax.adam(1e-3), reduce_on_plateau())`: Adam
    divides by the size of what it gets, so before Adam the scale has no lasting effect.

    After a spike nothing is forgotten: where the loss jumps up and then falls steadily, each value
    above the old best counts as bad, however long it has been falling, and the scale is cut again and
    again until the old best is passed. A longer `patience` helps, and a `window` in which spikes
    average out.

    Args:
      factor: what the scale is multiplied by at a cut, above 0 and below 1.
      patience: how many observations in a row without improvement are ignored, 0 or more. 2**31 - 1
        switches the rule off, as data: a sweep may hold runs with a plateau and runs without.
      threshold: the least improvement that counts, 0 or more.
      threshold_mode: "rel", as a part of |best|, or "abs".
      mode: "min" where lower is better, "max" where higher is.
      cooldown: how many observations after a cut are not counted as bad, 0 or more.
      min_scale: the scale never falls below it, 0 to 1.
      window: the mean of so many values in a row is one observation, 1 or more.

    All numbers may be traced, so that a sweep maps over them. They ride in the state.

    Returns:
      A `GradientTransformationExtraArgs` with a `PlateauState`, in float32 and int32 whatever the
      parameters' dtype. The scale is cast to each update's dtype, to an integer too where updates are
      integers: 1 until the first cut, and 0 from it on.

    Raises:
      TypeError, ValueError: a setting breaks its rule above; at update: `value` is left out, or is
        not a number of shape ().

    Elsewhere: torch's `ReduceLROnPlateau`, step by step (there the improvement is
    v < b (1 - threshold), so that a constant negative loss improves for ever; and a change below eps
    is dropped). keras and optax.contrib cut one observation earlier: their patience is this one + 1.

    >>> import jax.numpy as jnp, optax
    >>> opt = optax.chain(optax.sgd(0.1), reduce_on_plateau(factor=0.5, patience=2))
    >>> params = jnp.ones(())
    >>> state = opt.init(params)
    >>> for loss in (1.0, 1.0, 1.0, 1.0):
    ...     updates, state = opt.update(jnp.ones(()), state, params, value=loss)
    >>> print(f"{updates:.2f} {state[1].scale:.1f}")
    -0.05 0.5
    """
    settings = (factor, patience, threshold, threshold_mode, mode, cooldown, window)
    rule = _rule(*settings, min_scale=min_scale)

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
        _refuse_missing("reduce_on_plateau", value)
        if value is not None:
            state = observed(state, metric("reduce_on_plateau", value))
        return jax.tree.map(lambda g: state.scale.astype(g.dtype) * g, updates), state

    return optax.GradientTransformationExtraArgs(init, update)


class PlateauSchedule:
    """What optax takes for a stateful schedule: `init`, `update`, and the rate when called."""

    def __init__(self, name: str, schedule: Any, rule: PlateauRule, min_value: Any):
        self._name = name
        self._schedule = schedule
        self._rule = rule
        self._min_value = jnp.asarray(min_value, jnp.float32)

    def init(self) -> PlateauScheduleState:
        """The state before the first update."""
        return PlateauScheduleState(start(self._schedule), self._min_value, initial_state(self._rule))

    def update(self, state: Any, *, value: Any = _MISSING, **extra: Any) -> PlateauScheduleState:
        """The state after an update with this metric."""
        del extra
        _refuse_missing(self._name, value)
        state = self._at_this_update(state, value)
        count = later(state.schedule.count, 1)
        return state._replace(schedule=state.schedule._replace(count=count))

    def __call__(self, state: Any, *, value: Any = None, **extra: Any) -> jax.Array:
        """The rate of the update that this metric comes with; without one, the rate as it stands."""
        del extra
        if not isinstance(state, PlateauScheduleState):
            raise TypeError(
                f"{self._name}: it needs a state of its own, as optax.inject_hyperparams gives it: "
                f"optax.inject_hyperparams(optax.adamw)(learning_rate={self._name}(...)), got "
                f"{in_a_word(state)}"
            )
        return weak(self._at_this_update(state, value).rate())

    def _at_this_update(self, state: PlateauScheduleState, value: Any) -> PlateauScheduleState:
        inner = state.schedule
        inner = inner._replace(value=strong(inner.schedule(inner.count)))
        plateau = state.plateau
        if value is not None:
            plateau = observed(plateau, metric(self._name, value))
        return PlateauScheduleState(inner, state.min_value, plateau)


@checked
def plateau(
    schedule: Operand,
    factor: Cut = 0.1,
    patience: CountOrZero = 10,
    threshold: Rate = 1e-4,
    threshold_mode: ThresholdMode = "rel",
    mode: Mode = "min",
    cooldown: CountOrZero = 0,
    window: Count = 1,
    min_value: Rate = 0.0,
) -> PlateauSchedule:
    """A schedule that is also scaled down whenever a metric stops improving, for inject_hyperparams.

        max(s(t) scale, min(s(t), min_value))

    with the rule and the settings of `reduce_on_plateau`. It is an optax *stateful schedule*:
    `optax.inject_hyperparams(optax.adamw)(learning_rate=plateau(...))` reads the metric through
    `update(..., value=loss)`, and shows the rate in its state. An observation acts on the update that
    it comes with. `value=None` says that there is none; `observe` feeds one from outside. The rate is
    the optimizer's own, so there is no order to get wrong, as there is with `reduce_on_plateau` and
    Adam. What is said there of a spike and a steady descent after it holds here too. inject_hyperparams
    casts the rate to the widest dtype among the parameters: to an integer where all are integers.

    Args:
      schedule: what is scaled: a schedule, a function of the step, or a number.
      factor, patience, threshold, threshold_mode, mode, cooldown, window: as for `reduce_on_plateau`;
        patience = 2**31 - 1 switches the rule off, as data.
      min_value: the rate is never cut below it, 0 or more; a schedule below it stays as it is.

    Raises:
      TypeError, ValueError: a setting breaks its rule; at update: `value` is left out or no number.

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> rate = plateau(optax_sched.linear(0.1, 0.0, 10), factor=0.5, patience=0)
    >>> opt = optax.inject_hyperparams(optax.sgd)(learning_rate=rate)
    >>> params = jnp.ones(2)
    >>> state = opt.init(params)
    >>> for loss in (1.0, 1.0):
    ...     updates, state = opt.update(jnp.ones(2), state, params, value=loss)
    >>> print(f"{state.hyperparams['learning_rate']:.3f} {optax_sched.current_value(state):.3f}")
    0.045 0.045
    """
    settings = (factor, patience, threshold, threshold_mode, mode, cooldown, window)
    return PlateauSchedule("plateau", schedule, _rule(*settings), min_value)


@checked
def greedy(
    schedule: Operand,
    factor: Cut = 0.9,
    patience: CountOrZero = 10,
    threshold: Rate = 1e-4,
    threshold_mode: ThresholdMode = "rel",
    mode: Mode = "min",
    cooldown: CountOrZero = 0,
    window: Count = 1,
    min_scale: Scale = 0.0,
    max_scale: Growth = 10.0,
) -> PlateauSchedule:
    """A plateau that also raises the rate while the metric keeps improving.

        s(t) scale,    cut:   scale = max(factor scale, min_scale)
                       rise:  scale = min(scale / factor, max_scale)

    with the rule and the settings of `reduce_on_plateau`; it rises after more than `patience`
    improvements in a row, as it is cut after more than `patience` observations without one. The first
    finite observation is an improvement. A rise starts the count of improvements again, and so does
    any observation that is none. Improvements count during a cooldown too. It is an optax stateful
    schedule, as `plateau` is, and what is said there of Adam, spikes and integers holds here too: a
    steady fall after a spike is no improvement until it passes the old best.

    Args:
      schedule: what is scaled: a schedule, a function of the step, or a number.
      factor, patience, threshold, threshold_mode, mode, cooldown, window: as for `reduce_on_plateau`;
        patience = 2**31 - 1 switches cuts and rises off, as data.
      min_scale: the scale never falls below it, 0 to 1.
      max_scale: nor rises above it, 1 or more.

    Raises:
      TypeError, ValueError: a setting breaks its rule; at update: `value` is left out or no number.

    Elsewhere: transformers' `GreedyLR`, its relative (its bounds are rates, its threshold is absolute;
    it looks away in a cooldown, waits after a rise too, its window moves, and it may start again).

    References: "GreedyLR", https://arxiv.org/abs/2512.14527

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> opt = optax.inject_hyperparams(optax.sgd)(learning_rate=greedy(0.1, factor=0.5, patience=1))
    >>> params = jnp.ones(2)
    >>> state = opt.init(params)
    >>> for loss in (1.0, 0.9):
    ...     updates, state = opt.update(jnp.ones(2), state, params, value=loss)
    >>> print(f"{optax_sched.current_value(state):.1f}")
    0.2
    """
    settings = (factor, patience, threshold, threshold_mode, mode, cooldown, window)
    rule = _rule(*settings, min_scale=min_scale, max_scale=max_scale)
    return PlateauSchedule("greedy", schedule, rule, -jnp.inf)  # its scale alone has bounds


def _rule(
    factor: Any,
    patience: Any,
    threshold: Any,
    threshold_mode: str,
    mode: str,
    cooldown: Any,
    window: Any,
    min_scale: Any = 0.0,
    max_scale: Any = 0.0,
) -> PlateauRule:
    return PlateauRule(
        factor=jnp.asarray(factor, jnp.float32),
        patience=jnp.asarray(patience, jnp.int32),
        relative=jnp.asarray(threshold if threshold_mode == "rel" else 0.0, jnp.float32),
        absolute=jnp.asarray(threshold if threshold_mode == "abs" else 0.0, jnp.float32),
        sign=jnp.asarray(1.0 if mode == "min" else -1.0, jnp.float32),
        cooldown=jnp.asarray(cooldown, jnp.int32),
        min_scale=jnp.asarray(min_scale, jnp.float32),
        max_scale=jnp.asarray(max_scale, jnp.float32),
        window=jnp.asarray(window, jnp.int32),
    )


def _refuse_missing(where: str, value: Any) -> None:
    if value is _MISSING:
        raise TypeError(
            f"{where}: update needs value=, the metric to watch; pass value=None and call "
            "optax_sched.observe where it is known only now and then"
        )
