"""The learning-rate range test: a run at ever higher rates, and the rates that it suggests."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.domains import Domain, Known, Number, default_float, is_traced
from optax_sched._core.errors import Refusal
from optax_sched._core.evaluate import weak
from optax_sched._core.words import Growth, PartOfOne, Positive, admit, checked
from optax_sched._math.phases import LAST_STEP, pick
from optax_sched._schedules.decays import exponential

# These three come from fastai.
_LEFT_OUT = 5  # steps at the end
_SLIDE_WIDTH = 15
_SLIDE_THRESHOLD = 0.005


_RETURNS = "a function that returns"
_LOSS = Number(f"{_RETURNS} a loss that is a real number of shape ()")
_NUM_STEPS = Known("a whole number, 2 or more, that is not traced", 2, LAST_STEP, whole=True)

StepFunction = Annotated[Callable[..., Any], "StepFunction", Domain()]  # checked inside
NumSteps = Annotated[int, "NumSteps", _NUM_STEPS]


class RangeTest(NamedTuple):
    """What `lr_range_test` has seen, with one entry per step, and the four rates that it suggests.

    Attributes:
      rates: the rate at each step, shape (num_steps,).
      losses: the loss at each step; inf where masked.
      smoothed_losses: the bias-corrected exponential mean of the losses; inf where masked.
      mask: True up to divergence, False from there on. No unmasked entry is NaN or inf.
      valley, steepest, minimum, slide: the suggestions, scalars.
    """

    __module__ = "optax_sched"  # also where only the function was imported from there

    rates: jax.Array
    losses: jax.Array
    smoothed_losses: jax.Array
    mask: jax.Array
    valley: jax.Array
    steepest: jax.Array
    minimum: jax.Array
    slide: jax.Array


@checked
def lr_range_test(
    step_fn: StepFunction,
    carry: Any,
    batches: Any,
    min_value: Positive = 1e-7,
    max_value: Positive = 10.0,
    num_steps: NumSteps = 100,
    smoothing: PartOfOne = 0.98,
    diverge_factor: Growth = 4.0,
) -> RangeTest:
    """Train at ever higher rates until the loss diverges, and suggest a rate from the curve.

    At step k the rate is `exponential(min_value, max_value, num_steps - 1)(k)`: a straight line in log
    space from exactly `min_value` to exactly `max_value`. The smoothed loss is

        m_k = (sum over j <= k of s^(k - j) x_j) / (sum over j <= k of s^(k - j))

    with x_j the loss at step j and s = smoothing. The run has diverged at the first step whose loss is
    not finite, or where

        m_k - b > (diverge_factor - 1) |b|

    with b the lowest smoothed loss so far. For losses that are not negative, this means m_k >
    diverge_factor b; it makes sense for negative losses too. The mask hides that step and all later
    ones. After divergence `step_fn` does not run any more. (Under `vmap` it still runs while other runs
    go on, and its results are dropped.)

    The whole test is one `lax.scan`. It compiles once for all values of all arguments except `step_fn`
    and `num_steps`, so define `step_fn` once, not anew for each call. You can call the test under `jit`
    and `vmap`, for example for several seeds at once:
    `jax.vmap(lambda carry: lr_range_test(step_fn, carry, batches))(carries)`. It neither changes nor
    donates `carry` and `batches`, and gives back no trained weights.

    The suggestions follow fastai's rules exactly, on the smoothed losses. All but `minimum` leave out
    the first num_steps // 10 steps and the last 5 that ran (the diverged one is among these):

    - valley: about half way down the longest valley. L is the length of the longest strictly falling
      subsequence (its entries need not be neighbours), and e the first index at which one of length L
      ends. The valley is the rate at index e - L + L // 3 + L // 6.
    - steepest: where the loss falls fastest by the log of the rate. It is the rate at the first k for
      which m_(k + 1) - m_k is lowest.
    - minimum: a tenth of the rate at the lowest of all unmasked smoothed losses.
    - slide: where the slope begins to change. g is the central difference of m by k (one-sided at both
      ends). A pair of indices 15 apart starts at the right end, and moves left while its two values of
      g differ by more than 0.005. The slide is the rate at the left index of the last pair that did; if
      the first pair does not, at the left index of that one. The 0.005 is absolute, so this suggestion
      depends on the unit of the loss.

    They are rules of thumb: look at the curve. If it falls again after its rise, or does not end in
    divergence, steepest and slide may lie beyond the lowest loss.

    If that leaves fewer than two steps, the rules use all unmasked ones; if these are too few for a
    pair, slide is the first of them. If there is no signal, all four are NaN:
    with fewer than two unmasked steps, or where the smoothed loss never falls by more than rounding.

    Args:
      step_fn: `(carry, batch, rate) -> (carry, loss)`, one update and its loss, a real number of
        shape (). The carry (weights, optimizer state, random keys) is any pytree of arrays that keeps
        its shapes and dtypes. `rate` is weakly typed, so bfloat16 weights stay bfloat16.
      carry: the carry before the first step.
      batches: a pytree of arrays whose leading axis has one entry per step: `num_steps` of them.
        `jax.tree.map(lambda *x: jnp.stack(x), *list_of_batches)` makes it of a list. `step_fn` gets
        None, or any pytree without arrays, as it is.
      min_value: the rate at the first step, positive.
      max_value: the rate at the last step, above `min_value`.
      num_steps: the number of steps, 2 or more; not traced.
      smoothing: the weight of the past in the mean, in [0, 1); 0 does not smooth.
      diverge_factor: how many times the lowest loss counts as divergence, 1 or more; 1 stops at any
        rise.

    Returns:
      A `RangeTest`.

    Raises:
      TypeError, ValueError: a setting breaks its rule above, `max_value` is not above `min_value`,
        the leading axis of `batches` is not `num_steps`, `carry` or `batches` hold something else than
        arrays and numbers, or `step_fn` returns something else.

    Elsewhere: fastai's `lr_find` (its last rate is one ratio below `max_value`, its `minimum` leaves
    steps out too, and a negative loss stops it at once), ignite's `FastaiLRFinder` and Lightning's
    `Tuner.lr_find` (their suggestion is similar to steepest), torch-lr-finder. DeepSpeed's
    `LRRangeTest` is only a schedule, and linear.

    References: Smith, 2017, "Cyclical Learning Rates for Training Neural Networks",
    https://arxiv.org/abs/1506.01186; https://docs.fast.ai/callback.schedule.html

    >>> def descend(x, _, rate):  # gradient descent on x^2 / 2, which diverges beyond a rate of 2
    ...     return x - rate * x, x * x / 2
    >>> result = lr_range_test(descend, 1.0, None, 0.012, 12.0, 31, smoothing=0.0, diverge_factor=1.01)
    >>> print(f"{result.rates[result.mask][-1]:.2f} {result.minimum:.2f} {result.valley:.2f}")
    2.39 0.24 0.10
    """
    if not callable(step_fn):
        rule = "a function (carry, batch, rate) -> (carry, loss)"
        raise Refusal("lr_range_test", "step_fn", rule, step_fn).error(TypeError)
    if jax.tree_util.all_leaves([step_fn]):  # JAX cannot take it apart: it is part of the program
        step_fn = jax.tree_util.Partial(step_fn)
    # Arrays of one dtype, so that Python numbers and tracers share one program.
    numbers = min_value, max_value, smoothing, diverge_factor
    settings = low, high, *_ = [jnp.asarray(value, default_float()) for value in numbers]
    if not is_traced((low, high)) and not low < high:
        rule = f"above min_value = {float(low):.7g}"
        raise Refusal("lr_range_test", "max_value", rule, max_value).error()
    _check_arrays("carry", carry, _PARTITION)
    _check_arrays("batches", batches, _STACK)
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(batches)]
    if any(shape[:1] != (num_steps,) for shape in shapes):
        rule = f"a pytree of arrays whose leading axis is num_steps = {num_steps}, one entry per step"
        raise Refusal("lr_range_test", "batches", rule, shapes, _STACK).error()
    return _run(step_fn, carry, batches, num_steps, settings)


_PARTITION = ": eqx.partition(model, eqx.is_array) takes a model apart, eqx.combine puts it together"
_STACK = ": stack them, jax.tree.map(lambda *x: jnp.stack(x), *list_of_batches)"


def _check_arrays(name: str, tree: Any, hint: str) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float | complex):
            odd = f"{name}{jax.tree_util.keystr(path)}"
            raise Refusal("lr_range_test", odd, "an array or a number", leaf, hint).error(TypeError)


@functools.partial(jax.jit, static_argnums=3)
def _run(
    step_fn: Any, carry: Any, batches: Any, num_steps: int, settings: list[jax.Array]
) -> RangeTest:
    low, high, smoothing, diverge_factor = settings
    rates = exponential(low, high, num_steps - 1)(jnp.arange(num_steps))
    dtype = rates.dtype

    def step(before: Any, rate_and_batch: tuple[jax.Array, Any]) -> Any:
        # The sum of the losses, each weighted by smoothing^age, that of the weights, the lowest mean so
        # far, and whether the run has not diverged yet.
        (carry, total, weight, best, going), (rate, batch) = before, rate_and_batch
        carry, loss = jax.lax.cond(
            going,
            lambda carry: _stepped(step_fn, carry, batch, weak(rate), dtype),
            lambda carry: (carry, jnp.full((), jnp.inf, dtype)),
            carry,
        )
        total, weight = smoothing * total + loss, smoothing * weight + 1
        smoothed = total / weight
        best = jnp.minimum(best, smoothed)
        too_high = smoothed - best > (diverge_factor - 1) * jnp.abs(best)
        going = going & jnp.isfinite(loss) & jnp.isfinite(smoothed) & ~too_high
        seen = (jnp.where(going, loss, jnp.inf), jnp.where(going, smoothed, jnp.inf), going)
        return (carry, total, weight, best, going), seen

    zero = jnp.zeros((), dtype)
    start = carry, zero, zero, jnp.full((), jnp.inf, dtype), jnp.array(True)
    _, (losses, smoothed, mask) = jax.lax.scan(step, start, (rates, batches))
    return RangeTest(rates, losses, smoothed, mask, *_suggestions(rates, smoothed, mask))


def _stepped(step_fn: Any, carry: Any, batch: Any, rate: jax.Array, dtype: Any) -> Any:
    """Run one step of the user's, and check what it returns."""
    result = step_fn(carry, batch, rate)
    if not isinstance(result, tuple) or len(result) != 2:
        raise Refusal("lr_range_test", "step_fn", f"{_RETURNS} (carry, loss)", result).error(TypeError)
    after, loss = result
    due, got = _types(carry), _types(after)
    structure = jax.tree.structure(after)
    if got != due or structure != jax.tree.structure(carry):
        rule = f"{_RETURNS} a carry of the structure, shapes and dtypes that it got"
        odd = {name: kind for name, kind in got.items() if due.get(name) != kind}
        raise Refusal("lr_range_test", "step_fn", rule, odd or structure).error(TypeError)
    return after, jnp.asarray(admit("lr_range_test", "step_fn", _LOSS, loss), dtype)


def _types(tree: Any) -> dict[str, str]:
    """Dtype and shape of each leaf, by its path."""
    return {
        jax.tree_util.keystr(path): f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _suggestions(rates: jax.Array, smoothed: jax.Array, mask: jax.Array) -> tuple[jax.Array, ...]:
    """Valley, steepest, minimum and slide. `mask` is True before some step and False from there on."""
    n, count = len(rates), mask.sum()
    first, stop = n // 10, jnp.minimum(count + 1, n) - _LEFT_OUT
    few = stop - first < 2
    first, stop = jnp.where(few, 0, first), jnp.where(few, count, stop)
    index = jnp.arange(n)
    inside = (index >= first) & (index < stop)
    curve = jnp.where(mask, smoothed, 0)  # finite, for the differences

    lengths = jnp.where(inside, _falling(jnp.where(inside, curve, -jnp.inf)), 0)
    length = lengths.max()
    valley = jnp.maximum(jnp.argmax(lengths) - length + length // 3 + length // 6, first)

    falls = jnp.where(inside[:-1] & inside[1:], jnp.diff(curve), jnp.inf)

    before, after = jnp.clip(index - 1, first, stop - 1), jnp.clip(index + 1, first, stop - 1)
    slope = (curve[after] - curve[before]) / jnp.maximum(after - before, 1).astype(curve.dtype)
    last = stop - 1 - _SLIDE_WIDTH
    alike = jnp.abs(jnp.roll(slope, -_SLIDE_WIDTH) - slope) <= _SLIDE_THRESHOLD
    halt = jnp.where(alike & (index >= first) & (index <= last), index, first - 1).max()
    slide = jnp.maximum(jnp.minimum(halt + 1, last), first)

    lowest, steepest = jnp.argmin(smoothed), jnp.argmin(falls)
    # Without a signal the rules would still name rates, which look like advice.
    highest_yet = jax.lax.cummax(jnp.where(mask, smoothed, -jnp.inf))
    rounding = 8 * jnp.finfo(curve.dtype).eps * jnp.abs(curve).max()
    is_signal = (count > 1) & jnp.any(mask & (highest_yet - curve > rounding))

    def rate_at(index: jax.Array) -> jax.Array:
        return jnp.where(is_signal, pick(rates, index), jnp.nan)

    return rate_at(valley), rate_at(steepest), rate_at(lowest) / 10, rate_at(slide)


def _falling(values: jax.Array) -> jax.Array:
    """For each value, the length of the longest strictly falling subsequence that ends there."""

    def place(ends: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array]:
        # `ends` holds for each length of a falling subsequence the negative of its highest end so far.
        position = (ends < -value).sum()
        return ends.at[position].set(-value), position + 1

    return jax.lax.scan(place, jnp.full(len(values), jnp.inf, values.dtype), values)[1]
