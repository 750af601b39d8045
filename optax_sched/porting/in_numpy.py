"""Evaluates a schedule's own formula in NumPy's float64: many settings at once, compiling nothing.

JAX traces the formula, and what it traced is carried out here, operation by operation. So there is no
second set of formulas, and a family costs milliseconds where a compilation costs a fifth of a second.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from optax_sched._core.evaluate import float64
from optax_sched._core.schedule import Schedule

Array = np.ndarray
Operation = tuple[Callable[..., Array], list[int], int]  # with the places of its values and its result
Curve = Callable[[Sequence[Any], Array], Array]
FLOAT = np.dtype(float)
BATCH = (1, 1)  # every value has the shape of its traced one and behind it two axes: settings, steps


def values_of(schedule: Schedule, steps: Array) -> Array:
    """The values at the steps in float64, whatever JAX's setting."""
    leaves, structure = jax.tree.flatten(schedule)
    arrays = [np.asarray(leaf) for leaf in leaves]
    kinds = tuple((leaf.shape, leaf.dtype.str) for leaf in arrays)
    return _curve_of(structure, kinds, steps.dtype.str)(arrays, steps)[0]


@functools.lru_cache(maxsize=1024)
def _curve_of(structure: Any, leaves: tuple[tuple[tuple[int, ...], str], ...], clock: str) -> Curve:
    examples = [jax.ShapeDtypeStruct(shape, np.dtype(dtype)) for shape, dtype in leaves]
    return traced(lambda values: jax.tree.unflatten(structure, values), examples, np.dtype(clock))


def traced(build: Callable[[Any], Schedule], examples: Any, clock: Any = FLOAT) -> Curve:
    """A function (numbers, steps [n]) -> values [k, n] of the schedules that `build` makes of numbers.

    Each number has the type of its example. It may be an array of the shape [k, 1], for k schedules.
    """
    with float64():
        step = jax.ShapeDtypeStruct((), clock)
        closed = jax.make_jaxpr(lambda numbers, step: build(numbers)(step))(examples, step)
    dtypes = [aval.dtype for aval in closed.in_avals]
    memory: list[Array] = [np.zeros(())] * len(dtypes)
    tape: list[Operation] = []
    (result,) = _record(closed.jaxpr, closed.consts, list(range(len(dtypes))), memory, tape)

    def curve(numbers: Sequence[Any], steps: Array) -> Array:
        arguments = [np.asarray(number, dtype) for number, dtype in zip(numbers, dtypes, strict=False)]
        arguments = [_constant(number) if number.ndim == 1 else number for number in arguments]
        known = [*arguments, steps[None], *memory[len(dtypes) :]]
        with np.errstate(all="ignore"):
            for rule, places, at in tape:
                known[at] = rule(*[known[place] for place in places])
        count = max((number.shape[0] for number in arguments if number.ndim == 2), default=1)
        return np.broadcast_to(known[result], (count, len(steps)))

    return curve


def _record(
    jaxpr: Any, consts: Sequence[Any], places: list[int], memory: list[Array], tape: list[Operation]
) -> list[int]:
    """Writes what JAX traced on the tape, functions inside it too; returns the results' places."""

    def new(value: Any = 0.0) -> int:
        memory.append(_constant(value))
        return len(memory) - 1

    known = dict(zip(jaxpr.invars, places, strict=True))
    known.update(zip(jaxpr.constvars, map(new, consts), strict=True))
    read = lambda atom: new(atom.val) if hasattr(atom, "val") else known[atom]  # noqa: E731
    for equation in jaxpr.eqns:
        places, settings, operation = (
            list(map(read, equation.invars)),
            equation.params,
            equation.primitive,
        )
        inner = settings.get("jaxpr") or settings.get("call_jaxpr")
        if inner is not None:
            inside, constants = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            results = _record(inside, constants, places, memory, tape)
        elif operation.name in SAME:
            results = places
        else:
            rule = RULES.get(operation.name) or functools.partial(_by_jax, operation)
            if not isinstance(rule, np.ufunc):
                rule = functools.partial(rule, **settings)
            tape.append((rule, places, whole := new()))
            results = [whole]
            if operation.multiple_results:
                results = [new() for _ in equation.outvars]
                tape += [(operator.itemgetter(i), [whole], at) for i, at in enumerate(results)]
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


def _by_jax(primitive: Any, *values: Array, **settings: Any) -> Array:
    """An operation that has no rule here, which must be one of each element."""
    with float64():
        return np.asarray(
            primitive.bind(*map(jax.numpy.asarray, np.broadcast_arrays(*values)), **settings)
        )


def _reduce_precision(value: Array, *, mantissa_bits: int, **_: Any) -> Array:
    scaled = value * (2.0 ** (np.finfo(value.dtype).nmant - mantissa_bits) + 1)
    return scaled - (scaled - value)  # Veltkamp's splitting


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
    return np.stack(
        np.broadcast_arrays(*(value if value.ndim else value.reshape(BATCH) for value in values))
    )


def _slice(value: Array, *, start_indices: Any, limit_indices: Any, strides: Any) -> Array:
    return value[tuple(map(slice, start_indices, limit_indices, strides or [1] * len(start_indices)))]


SAME = ("stop_gradient", "copy", "copy_p", "optimization_barrier")
RULES: dict[str, Callable[..., Array]] = {
    **{
        name: getattr(np, name)
        for name in (
            *("abs", "floor", "ceil", "sqrt", "exp", "exp2", "log", "log1p", "expm1", "sin", "cos"),
            *("tan", "tanh", "sign", "square", "nextafter"),
        )
    },
    **{
        ours: getattr(np, theirs)
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
    "reduce_precision": _reduce_precision,
    "rsqrt": _plain(lambda value: 1 / np.sqrt(value)),
    "integer_pow": lambda value, y: value**y,
    "clamp": _plain(lambda low, value, high: np.minimum(np.maximum(value, low), high)),
    "select_n": _plain(lambda which, *cases: np.where(which, cases[1], cases[0])),
    "convert_element_type": lambda value, new_dtype, **_: value.astype(new_dtype, copy=False),
    "round": _round,
    "iota": lambda dtype, shape, **_: np.arange(shape[0], dtype=dtype).reshape(*shape, *BATCH),
    "argmax": lambda value, axes, index_dtype: np.argmax(value, axis=axes[0]).astype(index_dtype),
    "squeeze": lambda value, dimensions: np.squeeze(value, axis=dimensions),
    "broadcast_in_dim": _broadcast,
    "stack": _stack,
    "unstack": lambda value, axis: np.moveaxis(value, axis, 0),
    "concatenate": lambda *values, **_: np.concatenate(values),
    "slice": _slice,
}
