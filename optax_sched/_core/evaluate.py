"""Calls a schedule: eagerly by one compiled program, under a trace as a part of that trace."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.built import bound_values, refuse_batch, stored
from optax_sched._core.domains import as_array, default_float, is_traced
from optax_sched._core.errors import NEEDS_NUMBERS, in_a_word
from optax_sched._math.phases import LAST_STEP, is_int


class Ready(NamedTuple):
    """What a schedule keeps from its first eager call on."""

    program: Callable[[list[jax.Array], object], jax.Array]
    leaves: list[jax.Array]
    x64: bool  # whether x64 was on when the leaves became arrays
    is_float_clock: bool


def call(schedule: object, step: object) -> jax.Array:
    """The value at a step as the user wrote it."""
    if isinstance(step, Tracer):
        return _evaluate(schedule, _as_clock(schedule, step, is_float_clock=False))
    ready: Ready | None = getattr(schedule, "_ready", None)
    if ready is None or ready.x64 is not _x64():
        if is_traced(schedule):  # caching a tracer would leak it
            return _evaluate(schedule, _as_clock(schedule, step, is_float_clock(schedule)))
        ready = _ready(schedule)
        object.__setattr__(schedule, "_ready", ready)
    return ready.program(ready.leaves, _as_clock(schedule, step, ready.is_float_clock))


def _ready(schedule: object) -> Ready:
    # Transfer the hyperparameters once: that is half the cost of an eager call.
    leaves, structure = jax.tree.flatten(schedule)
    leaves = [as_array(leaf) if isinstance(leaf, int | float) else leaf for leaf in leaves]
    with jax.ensure_compile_time_eval():
        arrays = jax.device_put(leaves)
    return Ready(_program(structure), arrays, _x64(), is_float_clock(schedule))


def _x64() -> bool:
    return jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # it has no stub


def float64() -> contextlib.AbstractContextManager[None]:
    """A context in which JAX computes in float64."""
    # Before jax 0.8 it is in jax.experimental.
    home: Any = jax if hasattr(jax, "enable_x64") else jax.experimental
    return home.enable_x64(True)


@functools.lru_cache(maxsize=4096)
def _program(structure: object) -> Callable[..., jax.Array]:
    """The program that all schedules of one structure share."""

    @functools.partial(jax.jit, inline=True)
    def evaluate(leaves: list[jax.Array], step: jax.Array) -> jax.Array:
        return _evaluate(jax.tree.unflatten(structure, leaves), step)

    return evaluate


def weak(value: jax.Array) -> jax.Array:
    """The value with a weak type, so that an array it multiplies keeps its own dtype."""
    # The public convert_element_type makes no weak types: bind the primitive under it.
    return jax.lax.convert_element_type_p.bind(
        value, new_dtype=value.dtype, weak_type=True, sharding=None
    )


def is_float_clock(schedule: object) -> bool:
    """Whether a length is a float, so that steps may exceed an int32."""
    return any(domain.is_float_clock(value) for _, domain, value in stored(schedule))


def _refuse_step(schedule: Any, got: str) -> NoReturn:
    raise TypeError(f"{schedule._formula.name}: step must be an integer or a float, got {got}")


def _as_clock(schedule: object, step: object, is_float_clock: bool) -> Any:
    """`step` as `jit` takes it: one dtype for all ways to write an integer, one for all floats."""
    if isinstance(step, int):
        if step > LAST_STEP and is_float_clock:
            return default_float().type(min(step, 2**1000))
        return np.int32(min(max(step, 0), LAST_STEP))
    if isinstance(step, jax.Array):
        if not jnp.issubdtype(step.dtype, jnp.number) or jnp.iscomplexobj(step):
            _refuse_step(schedule, str(step.dtype))
        if not is_float_clock or step.dtype.kind not in "iu" or jnp.iinfo(step.dtype).max <= LAST_STEP:
            return step
    array = np.asarray(step)
    if isinstance(step, list | tuple | str | bytes) or array.dtype.kind not in "iufV":
        _refuse_step(schedule, in_a_word(step))
    if array.dtype.kind not in "iu" or (is_float_clock and np.any(array > LAST_STEP)):
        return array.astype(default_float())
    # Only cap it here: an unsigned step must not be compared with a negative number.
    return np.minimum(array, min(LAST_STEP, np.iinfo(array.dtype).max)).astype(np.int32)


@functools.partial(jax.jit, inline=True)
def _evaluate(s: object, step: jax.Array) -> jax.Array:
    # An eager call runs this as one cached program; a trace inlines it. The formula mixes its
    # hyperparameters with the step by JAX's standard promotion, whatever mode the user has chosen.
    with jax.numpy_dtype_promotion("standard"):
        # Under jax.disable_jit the leaves arrive as Python numbers.
        s = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf), s)
        step = jnp.asarray(step)
        # The default float, or the wider one of a hyperparameter.
        dtypes = [leaf.dtype for leaf in jax.tree.leaves(s) if jnp.issubdtype(leaf.dtype, jnp.floating)]
        dtype = jnp.result_type(default_float(), *dtypes)
        if step.dtype == jnp.int64 and is_float_clock(s):
            step = step.astype(dtype)
        step = _as_computed(step, dtype)
        step = jnp.maximum(step, 0) if is_int(step) else jnp.clip(step, 0, jnp.finfo(dtype).max)
        s = jax.tree.map(functools.partial(_as_computed, dtype=dtype), s)
        value_at = functools.partial(_value_at, s, dtype=dtype)
        for _ in range(step.ndim):
            value_at = jax.vmap(value_at)
        return weak(value_at(step))


@contextlib.contextmanager
def advice_for_traced_code(name: str) -> Iterator[None]:
    """What JAX says where a user's formula needs a number, and what to write instead."""
    try:
        yield
    except NEEDS_NUMBERS as error:
        if not hasattr(error, "__notes__"):  # the innermost formula has said it
            error.add_note(
                f"{name}: JAX traces this function, so write it with jax.numpy: jnp.where for if, "
                "jnp.cos for math.cos, & for and, no int() or float() of an argument"
            )
        raise


def _value_at(s: Any, step: jax.Array, dtype: np.dtype) -> jax.Array:
    name = s._formula.name
    refuse_batch(name, s, "map over it, as in jax.vmap(lambda s: s(step))(batch)")
    with advice_for_traced_code(name):
        result = s._formula.value(step, bound_values(s))
    if result is None or jnp.shape(result) != ():
        got = "None" if result is None else f"shape {jnp.shape(result)}"
        raise ValueError(f"{name}: the formula must return a scalar for a scalar step, got {got}")
    return jnp.asarray(result).astype(dtype)


def _as_computed(leaf: jax.Array, dtype: np.dtype) -> jax.Array:
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf.astype(dtype)
    if not is_int(leaf):
        return leaf
    if jnp.iinfo(leaf.dtype).max > LAST_STEP:
        leaf = jnp.minimum(leaf, LAST_STEP)
    return leaf.astype(jnp.int32)
