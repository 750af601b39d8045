"""Evaluates a schedule's own formula in NumPy's float64: for many settings at once, and compiling nothing.

JAX traces the formula, and what it traced is carried out here, operation by operation. So there is no
second set of formulas, and a family costs milliseconds where a compilation costs a fifth of a second.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from optax_sched._core.schedule import Schedule

try:
    from jax import enable_x64
except ImportError:  # before jax 0.8
    from jax.experimental import enable_x64

Array = np.ndarray
BATCH = (1, 1)  # every value has the shape of its traced one and behind it two axes: settings, steps


def values_of(schedule: Schedule, steps: Array) -> Array:
    """The values at the steps in float64, whatever JAX's setting."""
    leaves, structure = jax.tree.flatten(schedule)
    return curve_of(structure, tuple(map(type, leaves)), steps.dtype.type)(leaves, steps)[0]


@functools.lru_cache(maxsize=1024)
def curve_of(structure: Any, kinds: tuple[type, ...], clock: type) -> Callable[[Sequence[Any], Array], Array]:
    """A function (leaves, steps [n]) -> values [k, n] of all schedules with this structure.

    A leaf is a number, or an array of the shape [k, 1] for k schedules at once.
    """
    with enable_x64(True):
        closed = jax.make_jaxpr(lambda leaves, step: jax.tree.unflatten(structure, leaves)(step))(
            [kind(1) for kind in kinds], clock(1)
        )

    def evaluate(leaves: Sequence[Any], steps: Array) -> Array:
        count = max(np.shape(leaf)[0] if np.ndim(leaf) else 1 for leaf in [0, *leaves])
        arguments = [np.asarray(leaf, aval.dtype) for leaf, aval in zip(leaves, closed.in_avals, strict=False)]
        with np.errstate(all="ignore"):
            (values,) = _run(closed.jaxpr, closed.consts, [*arguments, steps[None]])
        return np.broadcast_to(values, (count, len(steps)))

    return evaluate


def _run(jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Array]) -> list[Array]:
    known = dict(zip(jaxpr.constvars, map(_constant, consts), strict=True))
    known.update(zip(jaxpr.invars, arguments, strict=True))
    read = lambda atom: _constant(atom.val) if hasattr(atom, "val") else known[atom]  # noqa: E731
    for equation in jaxpr.eqns:
        values, settings = list(map(read, equation.invars)), equation.params
        inner = settings.get("jaxpr") or settings.get("call_jaxpr")
        if inner is None:
            results = [RULES[equation.primitive.name](*values, **settings)]
        else:
            results = _run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values)
        known.update(zip(equation.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


def _constant(value: Any) -> Array:
    value = np.asarray(value)
    return value.reshape(value.shape + BATCH) if value.ndim else value


def _plain(function: Callable[..., Any]) -> Callable[..., Array]:
    """The rule of an operation whose settings do not matter here."""
    return lambda *values, **_: function(*values)


def _reduced(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda value, *, axes, **_: function(value, axis=axes)


def _divide(a: Array, b: Array) -> Array:
    return np.divide(a, b) if a.dtype.kind == "f" else np.trunc(np.divide(a, b)).astype(a.dtype)


def _round(value: Array, rounding_method: Any) -> Array:
    if int(rounding_method):  # ties to even
        return np.rint(value)
    return np.trunc(value + np.copysign(0.5, value))


def _broadcast(value: Array, *_: Any, shape: Any, broadcast_dimensions: Any, **__: Any) -> Array:
    batch = value.shape[len(broadcast_dimensions) :] or BATCH
    kept = [1] * len(shape)
    for axis, size in zip(broadcast_dimensions, value.shape, strict=False):
        kept[axis] = size
    return np.broadcast_to(value.reshape((*kept, *batch)), (*shape, *batch))


def _stack(*values: Array, axis: int = 0, dimension: int = 0, **_: Any) -> Array:
    del axis, dimension
    return np.stack(np.broadcast_arrays(*(value if value.ndim else value.reshape(BATCH) for value in values)))


def _slice(value: Array, *, start_indices: Any, limit_indices: Any, strides: Any) -> Array:
    return value[tuple(map(slice, start_indices, limit_indices, strides or [1] * len(start_indices)))]


RULES: dict[str, Callable[..., Array]] = {
    **{
        name: _plain(getattr(np, name))
        for name in (
            *("abs", "floor", "ceil", "sqrt", "exp", "exp2", "log", "log1p", "expm1", "sin", "cos"),
            *("tan", "tanh", "sign", "square", "nextafter"),
        )
    },
    **{
        ours: _plain(getattr(np, theirs))
        for ours, theirs in {
            **{"add": "add", "add_any": "add", "sub": "subtract", "mul": "multiply", "neg": "negative"},
            **{"max": "maximum", "min": "minimum", "pow": "power", "rem": "fmod"},
            **{"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal"},
            **{"gt": "greater", "ge": "greater_equal", "and": "bitwise_and", "or": "bitwise_or"},
            **{"not": "invert", "xor": "bitwise_xor", "is_finite": "isfinite"},
        }.items()
    },
    **{
        f"reduce_{ours}": _reduced(function)
        for ours, function in {
            **{"sum": np.sum, "max": np.max, "min": np.min, "or": np.any, "and": np.all},
        }.items()
    },
    "div": _plain(_divide),
    "rsqrt": _plain(lambda value: 1 / np.sqrt(value)),
    "integer_pow": lambda value, y: value**y,
    "clamp": _plain(lambda low, value, high: np.minimum(np.maximum(value, low), high)),
    "select_n": _plain(lambda which, *cases: np.where(which, cases[1], cases[0])),
    "convert_element_type": lambda value, new_dtype, **_: value.astype(new_dtype),
    "stop_gradient": _plain(lambda value: value),
    "copy": _plain(lambda value: value),
    "round": _round,
    "iota": lambda dtype, shape, **_: np.arange(shape[0], dtype=dtype).reshape(*shape, *BATCH),
    "argmax": lambda value, axes, index_dtype: np.argmax(value, axis=axes[0]).astype(index_dtype),
    "squeeze": lambda value, dimensions: np.squeeze(value, axis=dimensions),
    "broadcast_in_dim": _broadcast,
    "stack": _stack,
    "concatenate": lambda *values, **_: np.concatenate(values),
    "slice": _slice,
}
