"""The rules that come with the library, written with `feedback` as users write theirs."""

import math
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_sched._core.built import assembled
from optax_sched._core.domains import Choice, Number, is_traced
from optax_sched._core.formula import Violation, at_most, formula_of
from optax_sched._core.operands import constant
from optax_sched._core.words import Count, CountOrZero, Growth, Positive, Rate, Scalar, Switch, checked
from optax_sched._math.phases import later
from optax_sched._optax.feedback import feedback
from optax_sched._optax.transform import scaling


class PlateauState(NamedTuple):
    """What a plateau has seen so far, float32 and int32 whatever the parameters' dtype."""

    scale: Any = 1.0  # shape (), float32: the factor on the rate
    best: Any = math.inf  # shape (), float32: the best observation, as the metric was given
    bad_count: Any = 0  # shape (), int32: observations in a row without improvement
    good_count: Any = 0  # shape (), int32: improvements in a row
    cooldown_count: Any = 0  # shape (), int32: observations that are still ignored after a cut
    start_count: Any = 0  # shape (), int32: observations that were ignored at the start
    window_mean: Any = 0.0  # shape (), float32: of the values since the last observation
    window_count: Any = 0  # shape (), int32


class WordDomain(Choice):
    """One of a few words. Each is stored as the number that the rule computes with, and is a leaf."""

    static = False
    axes = 0

    def __init__(self, **numbers: float):
        super().__init__(tuple(numbers))
        self.numbers = numbers

    def admit(self, value: object) -> Any:
        return value if is_traced(value) else self.numbers[super().admit(value)]

    def public(self, stored: object) -> Any:
        if not isinstance(stored, float | np.ndarray | jax.Array) or is_traced(stored):
            return stored
        words = {number: word for word, number in self.numbers.items()}
        return [words[x] for x in np.asarray(stored)] if np.ndim(stored) else words[float(stored)]


Cut = Annotated[Scalar, "Cut", Number("a factor above 0 and below 1", above=0.0, below=1.0)]
"""A factor above 0 and below 1."""
Scale = Annotated[Scalar, "Scale", Number("a number from 0 to 1", 0.0, 1.0)]
"""A number from 0 to 1."""
Mode = Annotated[Literal["min", "max"], "Mode", WordDomain(min=1.0, max=-1.0)]
"""Whether the metric should be low, "min", or high, "max"."""
ThresholdMode = Annotated[Literal["rel", "abs"], "ThresholdMode", WordDomain(rel=1.0, abs=0.0)]
"""Whether a threshold is a part of the best value, "rel", or a difference from it, "abs"."""


@feedback(init=PlateauState())
def plateau(
    memory: PlateauState,
    value: jax.Array,
    factor: Cut = 0.1,
    patience: CountOrZero = 10,
    threshold: Rate = 1e-4,
    threshold_mode: ThresholdMode = "rel",
    mode: Mode = "min",
    cooldown: CountOrZero = 0,
    window: Count = 1,
    start: CountOrZero = 0,
) -> PlateauState:
    """A schedule that is also scaled down whenever a metric stops improving, for inject_hyperparams.

        max(s(t) scale, min(s(t), min_value)),    s = schedule, t = step

    The scale starts at 1 and is multiplied by `factor` after more than `patience` observations in a
    row without improvement: with patience = 2 the first two are ignored and the third cuts. With
    v an observation and b the best so far (mode "min"; "max" mirrors it):

        improvement:   b - v > threshold |b|   ("rel")     b - v > threshold   ("abs")
        cut:           scale = factor scale

    The first finite observation is always the best. A value that is not finite never becomes the
    best, and counts as no improvement. An observation acts on the update that it comes with.

    It is an optax *stateful schedule*:
    `optax.inject_hyperparams(optax.adamw)(learning_rate=plateau(...))` reads the metric through
    `update(..., value=loss)`, and shows the rate in its state. `value` is needed at every update;
    None says that there is no observation at this one. For a metric that is
    known once an epoch, pass None and call `observe`; for a trainer that passes no extra arguments on,
    set `observe_only`. inject_hyperparams casts the rate to the widest dtype among the parameters: to
    an integer where all are integers.

    After a spike nothing is forgotten: where the loss jumps up and then falls steadily, each value
    above the old best counts as bad, and the scale is cut again and again until the old best is passed.
    A longer `patience` helps, and a `window` in which spikes average out. On several devices every
    replica must see the same metric: average it first.

    Args:
      schedule: what is scaled: a schedule, a function of the step, or a number.
      factor: what the scale is multiplied by at a cut, above 0 and below 1.
      patience: how many observations in a row without improvement are ignored, 0 or more. 2**31 - 1
        switches the rule off, as data: a sweep may hold runs with a plateau and runs without.
      threshold: the least improvement that counts, 0 or more.
      threshold_mode: "rel", as a part of |best|, or "abs".
      mode: "min" where lower is better, "max" where higher is.
      cooldown: how many observations after a cut are not counted as bad, 0 or more.
      window: how many values in a row make one observation, their mean, 1 or more.
      start: how many observations at the start the rule ignores, such as those of a warm-up; with a
        window, how many windows. 0 or more.
      min_value: no cut brings the rate below it, 0 or more; a schedule below it stays unchanged.
      observe_only: whether `update` takes no metric and ignores a `value`; `observe` alone feeds it.

    All numbers and words but the last may be traced, so that a sweep maps over them. They ride in the
    state: `replace_feedback` changes them in a running job.

    Raises:
      TypeError, ValueError: a setting breaks its rule above; at update: `value` is left out, or is
        not a number of shape ().

    Elsewhere: torch's `ReduceLROnPlateau`, step by step (there the improvement is
    v < b (1 - threshold), so that a constant negative loss always improves; and a change below eps
    is dropped). keras and optax.contrib cut one observation earlier: their patience is this one + 1.

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
    return _GREEDY.function(**locals(), min_scale=0.0, max_scale=0.0)  # no gain raises the scale


@feedback(init=PlateauState())
def greedy(
    memory: PlateauState,
    value: jax.Array,
    factor: Cut = 0.9,
    patience: CountOrZero = 10,
    threshold: Rate = 1e-4,
    threshold_mode: ThresholdMode = "rel",
    mode: Mode = "min",
    cooldown: CountOrZero = 0,
    window: Count = 1,
    start: CountOrZero = 0,
    min_scale: Scale = 0.0,
    max_scale: Growth = 10.0,
) -> PlateauState:
    """A plateau that also raises the rate while the metric keeps improving.

        max(s(t) scale, min(s(t), min_value)),    s = schedule, t = step

        cut:    scale = max(factor scale, min_scale)
        rise:   scale = min(scale / factor, max_scale)

    The rule and its settings are those of `plateau`. The scale rises after more than `patience`
    improvements in a row, and is cut after more than `patience` observations without one. The first
    finite observation is an improvement. A rise starts the count of improvements again, and so does an
    observation without improvement. Improvements count during a cooldown too. After a spike, a steady
    fall of the metric is no improvement until it passes the old best. See `plateau` for replicas and
    for parameters that are integers.

    Args:
      schedule: what is scaled: a schedule, a function of the step, or a number.
      factor, patience, threshold, threshold_mode, mode, cooldown, window, start, min_value,
        observe_only: as for `plateau`; patience = 2**31 - 1 switches cuts and rises off, as data.
      min_scale: the scale never falls below it, 0 to 1.
      max_scale: the scale never rises above it, 1 or more.

    Raises:
      TypeError, ValueError: a setting breaks its rule; at update: `value` is left out or no number.

    Elsewhere: transformers' `GreedyLR`, its relative (its bounds are rates, its threshold is absolute;
    it ignores values in a cooldown, waits after a rise too, its window moves, and it may start again).

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
    relative: Any = threshold_mode  # 1 where the threshold is a part of |best|, else 0
    sign: Any = mode  # 1 where lower is better, -1 where higher is
    window_count = memory.window_count + 1
    # A running mean: a sum of many values would drift, or overflow.
    window_mean = memory.window_mean + (value - memory.window_mean) / window_count.astype(jnp.float32)
    waiting = memory._replace(window_mean=window_mean, window_count=window_count)
    between = memory._replace(window_mean=0.0, window_count=0)
    ignored = between._replace(start_count=memory.start_count + 1)

    # The margin is a part of |best|, not of best: a constant negative loss is no improvement.
    first = ~jnp.isfinite(memory.best)
    best = jnp.where(first, 0.0, memory.best)
    gain = sign * (best - window_mean)
    margin = threshold * jnp.where(relative > 0, jnp.abs(best), 1.0)
    better = jnp.isfinite(window_mean) & (first | (gain > margin))
    cooling = memory.cooldown_count > 0
    bad_count = jnp.where(better | cooling, 0, later(memory.bad_count, 1))
    good_count = jnp.where(better, later(memory.good_count, 1), 0)
    cut, rise = bad_count > patience, good_count > patience
    lower = jnp.maximum(memory.scale * factor, min_scale)
    higher = jnp.maximum(jnp.minimum(memory.scale / factor, max_scale), memory.scale)
    decided = between._replace(
        scale=jnp.where(cut, lower, jnp.where(rise, higher, memory.scale)),
        best=jnp.where(better, window_mean, memory.best),
        bad_count=jnp.where(cut, 0, bad_count),
        good_count=jnp.where(rise, 0, good_count),
        cooldown_count=jnp.where(cut, cooldown, memory.cooldown_count - cooling),
    )

    def chosen(if_decided: Any, if_ignored: Any, if_waiting: Any) -> jax.Array:
        acted = jnp.where(memory.start_count < start, if_ignored, if_decided)
        return jnp.where(window_count < window, if_waiting, acted)

    return jax.tree.map(chosen, decided, ignored, waiting)


_GREEDY: Any = formula_of(greedy)


AboveOne = Annotated[Scalar, "Positive", Number("a finite number above 1", above=1.0)]


def _moves(factor: Scalar) -> Violation:
    return ("factor", "a positive finite number other than 1") if factor == 1 else None


@feedback(check=(_moves, at_most("min_scale", "max_scale")))
def kl_adaptive(
    memory: jax.Array,
    value: jax.Array,
    target: Positive,
    factor: Positive = 1.5,
    tolerance: AboveOne = 2.0,
    min_scale: Rate = 0.01,
    max_scale: Positive = 100.0,
) -> jax.Array:
    """A rate that keeps a metric near a target: PPO's rule for the KL divergence.

        max(s(t) scale, min(s(t), min_value)),    s = schedule, t = step

        lower:   scale / factor    where v > tolerance target, or v is not finite
        higher:  scale factor      where 0 < v < target / tolerance
        then     scale clipped to [min_scale, max_scale]

    The scale starts at 1; v is the metric, such as the KL divergence between the old policy and the new
    one. Between the two limits, and at v <= 0, the scale stays. It is a closed loop like `plateau`:
    `update(..., value=kl)` or `observe` feeds it. Driving a coefficient of the loss, and not the rate,
    it is PPO's penalty weight for the KL, with the rule turned round: `factor=0.5, tolerance=1.5`.

    Args:
      schedule: what is scaled: a schedule, a function of the step, or a number.
      target: where the metric should be, above 0.
      factor: what the scale is divided or multiplied by, above 0 and not 1; below 1 the scale
        rises where the metric is too high.
      tolerance: how many times the target, or what part of it, is too far off; above 1.
      min_scale: the scale never falls below it, 0 or more.
      max_scale: the scale never rises above it, at least `min_scale`.
      min_value, observe_only: as for `plateau`.

    Raises:
      TypeError, ValueError: a setting breaks its rule; at update: `value` is left out or no number.

    Elsewhere: the adaptive rate of brax, rsl_rl and sbx. Their bounds lo and hi are rates, these are
    factors: for the rate r it is `kl_adaptive(r, target, min_scale=lo / r, max_scale=hi / r)`.

    References: Schulman et al. 2017, "Proximal Policy Optimization Algorithms", section 4,
    https://arxiv.org/abs/1707.06347

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> rate = kl_adaptive(3e-4, target=0.01)
    >>> opt = optax.inject_hyperparams(optax.adam)(learning_rate=rate)
    >>> params = jnp.ones(2)
    >>> state = opt.init(params)
    >>> updates, state = opt.update(jnp.ones(2), state, params, value=0.05)
    >>> print(f"{optax_sched.current_value(state):.1e}")
    2.0e-04
    """
    too_high = (value > tolerance * target) | ~jnp.isfinite(value)
    too_low = (value > 0) & (value < target / tolerance)
    scale = jnp.where(too_high, memory / factor, jnp.where(too_low, memory * factor, memory))
    return jnp.clip(scale, min_scale, max_scale)


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
    start: CountOrZero = 0,
    observe_only: Switch = False,
) -> optax.GradientTransformationExtraArgs:
    """Scale the updates down whenever a metric stops improving.

    It is `scale_by_feedback(plateau(1.0, ...))`, with the rule and the settings of `plateau`, and with
    `min_scale` for its `min_value`. `update(updates, state, params, value=loss)` reads the metric.

    Put it after the optimizer in a chain, `optax.chain(optax.adam(1e-3), reduce_on_plateau())`: Adam
    divides by the size of what it gets, so before Adam the scale has no lasting effect. Inside
    `optax.MultiSteps` it sees only the last micro-batch's value. For the mean of `k` put it outside,
    `optax.chain(optax.MultiSteps(opt, k).gradient_transformation(), reduce_on_plateau(window=k))`.

    Args:
      factor, patience, threshold, threshold_mode, mode, cooldown, window, start, observe_only: as for
        `plateau`.
      min_scale: the updates are never scaled by less, 0 to 1.

    Returns:
      A `GradientTransformationExtraArgs` with a `FeedbackState`, in float32 and int32 whatever the
      parameters' dtype. The scale is cast to each update's dtype, to an integer too where updates are
      integers: 1 until the first cut, and 0 from it on.

    Raises:
      TypeError, ValueError: a setting breaks its rule; at update: `value` is left out, or is not a
        number of shape ().

    Elsewhere: see `plateau`.

    >>> import jax.numpy as jnp, optax
    >>> opt = optax.chain(optax.sgd(0.1), reduce_on_plateau(factor=0.5, patience=2))
    >>> params = jnp.ones(())
    >>> state = opt.init(params)
    >>> for loss in (1.0, 1.0, 1.0, 1.0):
    ...     updates, state = opt.update(jnp.ones(()), state, params, value=loss)
    >>> print(f"{updates:.2f} {state[1].scale:.1f}")
    -0.05 0.5
    """
    loop = assembled(plateau, **locals(), schedule=constant(1.0), min_value=min_scale)
    return scaling("reduce_on_plateau", loop)


OUR_RULES = {"plateau": plateau, "greedy": greedy, "kl_adaptive": kl_adaptive}
