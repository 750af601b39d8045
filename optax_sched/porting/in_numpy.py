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
FLOAT = np.dtype(float)
BATCH = (1, 1)  # every value has the shape of its traced one and behind it two axes: settings, steps


class Curve:
    """A function (numbers, steps [n]) -> values [k, n] of k schedules, as JAX traced one.

    A number may be an array of the shape [k, 1], for k schedules.
    """

    def __init__(self, closed: Any):
        self.dtypes = [aval.dtype for aval in closed.in_avals]
        self.memory, self.tape, self.result = _recorded(closed)

    def __call__(self, numbers: Sequence[Any], steps: Array) -> Array:
        arguments = [
            np.asarray(number, dtype) for number, dtype in zip(numbers, self.dtypes, strict=False)
        ]
        arguments = [_in_batch(number) if number.ndim == 1 else number for number in arguments]
        known = [*arguments, steps[None], *self.memory[len(self.dtypes) :]]
        with np.errstate(all="ignore"):
            for rule, places, at in self.tape:
                known[at] = rule(*[known[place] for place in places])
        count = max((number.shape[0] for number in arguments if number.ndim == 2), default=1)
        return np.broadcast_to(known[self.result], (count, len(steps)))


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
    """The curve of the schedules that `build` makes of numbers, each of the type of its example."""
    # What is made of constants is computed here, as in a call: also what is not selected.
    with float64(), np.errstate(all="ignore"):
        step = jax.ShapeDtypeStruct((), clock)
        return Curve(jax.make_jaxpr(lambda numbers, step: build(numbers)(step))(examples, step))


def _recorded(closed: Any) -> tuple[list[Array], list[Operation], int]:
    """A memory, what JAX traced as operations on its places, and the place of the result.

    What is computed twice stands there once. What only constants decide, and what the result does not
    need, is left out.
    """
    memory: list[Array] = [np.zeros(())] * len(closed.in_avals)
    tape: list[Operation] = []
    known: dict[Any, int] = {}  # where a constant or the result of an operation lies
    constants: set[int] = set()

    def constant(value: Any) -> int:
        value = np.asarray(value)
        key = (value.dtype, value.shape, value.tobytes())
        if key not in known:
            known[key] = len(memory)
            constants.add(len(memory))
            memory.append(value)
        return known[key]

    def operation(rule: Callable[..., Any], places: list[int], key: Any) -> int:
        if constants.issuperset(places):
            return constant(rule(*(memory[place] for place in places)))
        if (*places, key) not in known:
            known[*places, key] = len(memory)
            tape.append((rule, places, len(memory)))
            memory.append(np.zeros(()))
        return known[*places, key]

    def record(jaxpr: Any, consts: Sequence[Any], places: Sequence[int]) -> list[int]:
        at = dict(zip(jaxpr.invars, places, strict=True))
        at.update(
            (name, constant(_in_batch(it))) for name, it in zip(jaxpr.constvars, consts, strict=True)
        )
        read = lambda atom: constant(_in_batch(atom.val)) if hasattr(atom, "val") else at[atom]  # noqa: E731
        for equation in jaxpr.eqns:
            name, settings = str(equation.primitive.name), equation.params
            results = places = list(map(read, equation.invars))
            inner = settings.get("jaxpr") or settings.get("call_jaxpr")
            same = (
                name == "convert_element_type"
                and equation.invars[0].aval.dtype == settings["new_dtype"]
            )
            if same or name == "stop_gradient":
                pass  # the value as it is
            elif name == "select_n" and places[0] in constants and not memory[places[0]].ndim:
                results = [places[1 + int(memory[places[0]])]]
            elif inner is not None:
                results = record(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), places)
            else:
                rule = getattr(np, UFUNCS.get(name, name), None)
                if not isinstance(rule, np.ufunc):
                    rule = functools.partial(RULES[name], **settings)
                results = [operation(rule, places, f"{name} {settings}")]
                if equation.primitive.multiple_results:
                    items = map(operator.itemgetter, range(len(equation.outvars)))
                    results = [operation(item, results, str(item)) for item in items]
            at.update(zip(equation.outvars, results, strict=True))
        return list(map(read, jaxpr.outvars))

    (result,) = record(closed.jaxpr, closed.consts, range(len(memory)))
    needed = {result}
    for _, places, at in reversed(tape):
        needed.update(places if at in needed else ())
    return memory, [one for one in tape if one[2] in needed], result


def _in_batch(value: Any) -> Array:
    value = np.asarray(value)
    return value.reshape(value.shape + BATCH) if value.ndim else value


def _plain(function: Callable[..., Any]) -> Callable[..., Array]:
    """The rule of an operation whose settings do not matter here."""
    return lambda *values, **_: function(*values)


def _reduce_precision(value: Array, *, mantissa_bits: int, **_: Any) -> Array:
    scaled = value * (2.0 ** (np.finfo(value.dtype).nmant - mantissa_bits) + 1)
    return scaled - (scaled - value)  # Veltkamp's splitting


def _divide(a: Array, b: Array) -> Array:
    return np.divide(a, b) if a.dtype.kind == "f" else np.trunc(np.divide(a, b)).astype(a.dtype)


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


UFUNCS = {  # where JAX's name is another than NumPy's
    **{"add_any": "add", "sub": "subtract", "mul": "multiply", "neg": "negative", "pow": "power"},
    **{"max": "maximum", "min": "minimum", "eq": "equal", "ne": "not_equal", "lt": "less"},
    **{"le": "less_equal", "gt": "greater", "ge": "greater_equal", "and": "bitwise_and"},
    **{"or": "bitwise_or", "not": "invert", "xor": "bitwise_xor", "rem": "fmod"},
}
RULES: dict[str, Callable[..., Any]] = {
    "reduce_sum": lambda value, axes, **_: np.sum(value, axis=axes),
    "reduce_max": lambda value, axes, **_: np.max(value, axis=axes),
    "reduce_or": lambda value, axes, **_: np.any(value, axis=axes),
    "div": _plain(_divide),
    "reduce_precision": _reduce_precision,
    "integer_pow": lambda value, y: value**y,
    "select_n": _plain(lambda which, *cases: np.where(which, cases[1], cases[0])),
    "convert_element_type": lambda value, new_dtype, **_: value.astype(new_dtype, copy=False),
    "round": _plain(np.rint),  # ties to even, as `jnp.round`
    "iota": lambda dtype, shape, **_: np.arange(shape[0], dtype=dtype).reshape(*shape, *BATCH),
    "argmax": lambda value, axes, index_dtype: np.argmax(value, axis=axes[0]).astype(index_dtype),
    "squeeze": lambda value, dimensions: np.squeeze(value, axis=dimensions),
    "broadcast_in_dim": _broadcast,
    "stack": _stack,
    "unstack": lambda value, axis: np.moveaxis(value, axis, 0),
    "concatenate": lambda *values, **_: np.concatenate(values),
    "slice": lambda value, start_indices, limit_indices, strides: value[
        tuple(map(slice, start_indices, limit_indices, strides or [1] * len(start_indices)))
    ],
}
