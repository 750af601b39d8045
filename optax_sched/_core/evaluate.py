"""What happens when a schedule is called: one compiled program, or a part of the program around it."""

import collections
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.domains import as_array, default_float, in_a_word, is_traced, weak_flags
from optax_sched._math.phases import LAST_STEP


def stored_values(schedule: Any) -> dict[str, Any]:
    """The stored hyperparameters by name, in the order of the signature."""
    leaves, static = iter(schedule._leaves), iter(schedule._structure[1:])
    kinds = schedule._formula.kinds
    return {name: next(static if kind.static else leaves) for name, kind in kinds.items()}


class Ready(NamedTuple):
    """What a schedule keeps from its first eager call on."""

    program: Callable[[tuple[Any, ...], Any], jax.Array]
    leaves: tuple[jax.Array, ...]
    x64: bool  # whether it was on when the leaves became arrays


def call(schedule: Any, step: Any) -> jax.Array:
    """The value at a step that the user wrote."""
    clock = _as_clock(schedule._formula.name, step)
    if isinstance(clock, Tracer):
        return _evaluate(schedule, clock)
    ready = schedule._ready
    if ready is None or ready.x64 is not _x64():
        if is_traced(schedule):  # to keep what is made of a tracer would leak it from its trace
            return _evaluate(schedule, clock)
        ready = _ready(schedule)
        object.__setattr__(schedule, "_ready", ready)
    return ready.program(ready.leaves, clock)


def _ready(schedule: Any) -> Ready:
    # Numbers become arrays on a device but once: to do so is half the time of a call.
    leaves, structure = jax.tree.flatten(schedule)
    are_numbers = tuple(isinstance(leaf, int | float) for leaf in leaves)
    pairs = zip(leaves, are_numbers, strict=True)
    with jax.ensure_compile_time_eval():
        arrays = tuple(jax.device_put([as_array(x) if number else x for x, number in pairs]))
    return Ready(_program(structure, are_numbers), arrays, _x64())


def _x64() -> bool:
    return jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # it has no stub


@functools.lru_cache(maxsize=4096)
def _program(structure: Any, are_numbers: tuple[bool, ...]) -> Callable[..., jax.Array]:
    """The one program of all schedules of a structure."""

    @functools.partial(jax.jit, inline=True)
    def evaluate(leaves: tuple[Any, ...], step: jax.Array) -> jax.Array:
        pairs = zip(leaves, are_numbers, strict=True)
        leaves = tuple(retyped(leaf, weak=True) if number else leaf for leaf, number in pairs)
        return _evaluate(jax.tree.unflatten(structure, leaves), step)

    return evaluate


def retyped(value: jax.Array, weak: bool) -> jax.Array:
    """The value with a weak type or a strong one."""
    # The public convert_element_type makes no weak types: this is the operation under it.
    return jax.lax.convert_element_type_p.bind(
        value, new_dtype=value.dtype, weak_type=weak, sharding=None
    )


def _as_clock(name: str, step: Any) -> Any:
    """`step` as something `jit` takes, with the same type for all ways to write a number."""
    if isinstance(step, int):
        return np.int32(min(max(step, 0), LAST_STEP))
    if isinstance(step, jax.Array):
        if not jnp.issubdtype(step.dtype, jnp.number) or jnp.iscomplexobj(step):
            raise TypeError(f"{name}: step must be an integer or a float, got {step.dtype}")
        return step
    array = np.asarray(step)
    if isinstance(step, list | tuple | str | bytes) or array.dtype.kind not in "iufV":
        raise TypeError(f"{name}: step must be an integer or a float, got {in_a_word(step)}")
    if array.dtype.kind in "iu":
        # min before max: an unsigned step must not be compared with a negative one.
        return np.minimum(array, min(LAST_STEP, np.iinfo(array.dtype).max)).astype(np.int32)
    return array.astype(default_float())


@functools.partial(jax.jit, inline=True)
def _evaluate(s: Any, step: jax.Array) -> jax.Array:
    # An eager call is this one cached program; under a trace it is inlined. Hyperparameters mix with
    # the step by JAX's usual promotion, whatever mode the user's own program runs in.
    with jax.numpy_dtype_promotion("standard"):
        # Under jax.disable_jit the leaves arrive as they are stored.
        s = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf), s)
        step = jnp.asarray(step)
        dtype, weak = _result_type(s)
        if jnp.issubdtype(step.dtype, jnp.integer):
            step = jnp.maximum(_saturated(step), 0)
        else:
            step = jnp.clip(step.astype(dtype), 0, jnp.finfo(dtype).max)
        s = jax.tree.map(functools.partial(_as_computed, dtype=dtype), s)
        value_at = functools.partial(_value_at, s, dtype=dtype)
        for _ in range(step.ndim):
            value_at = jax.vmap(value_at)
        value = value_at(step)
        return retyped(value, weak)


def _value_at(s: Any, step: jax.Array, dtype: Any) -> jax.Array:
    formula = s._formula
    values: dict[str, Any] = {}
    for name, value in stored_values(s).items():
        kind = formula.kinds[name]
        values[name] = kind.read(value)
        if kind.rank is not None and value is not None and jnp.ndim(values[name]) != kind.rank:
            raise ValueError(
                f"{formula.name}: {name} has shape {jnp.shape(values[name])}, so this is a batch of "
                "schedules: map over it, as in jax.vmap(lambda s: s(step))(batch)"
            )
    # By position where that can be: one before *schedules could not go by name.
    bound = inspect.BoundArguments(formula.signature, collections.OrderedDict(values))
    result = formula.function(step, *bound.args, **bound.kwargs)
    if jnp.shape(result) != ():
        raise ValueError(
            f"{formula.name}: the formula must return a scalar for a scalar step, "
            f"got shape {jnp.shape(result)}"
        )
    return jnp.asarray(result).astype(dtype)


def _result_type(s: Any) -> tuple[Any, bool]:
    """The default float, wider if a hyperparameter is; weak where all are Python numbers."""
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(s)]
    floats = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]
    return jnp.result_type(default_float(), *floats), all(weak_flags(s))


def _as_computed(leaf: Any, dtype: Any) -> Any:
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf.astype(dtype)
    if jnp.issubdtype(leaf.dtype, jnp.integer):
        return _saturated(leaf)
    return leaf


def _saturated(integer: Any) -> Any:
    if jnp.iinfo(integer.dtype).max > LAST_STEP:
        integer = jnp.minimum(integer, LAST_STEP)
    return integer.astype(jnp.int32)
