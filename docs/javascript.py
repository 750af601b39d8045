"""Translates the program of a schedule into JavaScript, so that a page can draw its curve.

JAX lowers a schedule to a list of simple operations (a jaxpr). Each becomes one line of JavaScript
with the same meaning on int32 and float32 numbers. What has no translation raises an error.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

# Helpers that the lines below call. M applies a scalar function to arrays and scalars together.
RUNTIME = """
const f = Math.fround;
const I = x => x >= 2147483647 ? 2147483647 : x <= -2147483648 ? -2147483648 : Math.trunc(x) | 0;
const away = x => Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
const shorter = (x, c) => { const t = c * x; return t - (t - x); };
const even = x => { const r = Math.round(x); return r - x === 0.5 && r % 2 ? r - 1 : r; };
const bits = x => { let n = 0; for (x >>>= 0; x; x &= x - 1) n++; return n; };
const isA = Array.isArray;
const M = (g, ...a) => a.find(isA).map((_, i) => g(...a.map(x => isA(x) ? x[i] : x)));
const near = new Float32Array(1), near_bits = new Int32Array(near.buffer);
const nextafter = (x, y) => {
  if (x === y || Number.isNaN(x + y)) return y;
  near[0] = x;
  if (x === 0) near_bits[0] = y > 0 ? 1 : -2147483647;
  else near_bits[0] += (x < y) === (x > 0) ? 1 : -1;
  return near[0];
};
const at = (a, i, n) => { i = Math.min(Math.max(i, 0), a.length - n); return a.slice(i, i + n); };
"""

BINARY = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "===", "ne": "!=="}
# Operations on floats, in terms of $0, $1, ...
FLOATS = {
    **{"add": "$0+$1", "sub": "$0-$1", "mul": "$0*$1", "div": "$0/$1", "neg": "-$0"},
    **{"max": "Math.max($0,$1)", "min": "Math.min($0,$1)", "pow": "Math.pow($0,$1)"},
    **{"rem": "$0%$1", "square": "$0*$0", "nextafter": "nextafter($0,$1)", "exp2": "Math.pow(2,$0)"},
    **{
        "rsqrt": "1/Math.sqrt($0)",
        "logistic": "1/(1+Math.exp(-$0))",
    },
    **{
        f"{name}": f"Math.{name}($0)" for name in ("abs", "sign", "floor", "ceil", "sqrt", "exp", "log")
    },
    **{f"{name}": f"Math.{name}($0)" for name in ("expm1", "log1p", "sin", "cos", "tan", "tanh")},
}
INTEGERS = {
    **{"add": "$0+$1|0", "sub": "$0-$1|0", "mul": "Math.imul($0,$1)", "div": "$0/$1|0", "neg": "-$0|0"},
    **{"max": "Math.max($0,$1)", "min": "Math.min($0,$1)", "rem": "$0%$1", "sign": "Math.sign($0)"},
    **{"abs": "Math.abs($0)", "and": "$0&$1", "or": "$0|$1", "xor": "$0^$1", "not": "~$0"},
    **{"shift_left": "$0<<$1", "shift_right_logical": "$0>>>$1|0", "shift_right_arithmetic": "$0>>$1"},
    **{"population_count": "bits($0)", "clamp": "Math.min(Math.max($1,$0),$2)"},
}
BOOLEANS = {"and": "$0&&$1", "or": "$0||$1", "xor": "$0!==$1", "not": "!$0"}
SAME = {"stop_gradient", "copy", "copy_p", "optimization_barrier"}
REDUCED = {"reduce_sum": "x+y", "reduce_max": "Math.max(x,y)", "reduce_min": "Math.min(x,y)"}
REDUCED |= {"reduce_or": "x||y", "reduce_and": "x&&y"}


def as_javascript(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    """The source of a JavaScript function with the arguments of a traced one, scalars and vectors."""
    closed = jax.make_jaxpr(function)(*arguments)
    translator = Translator()
    names = [translator.fresh() for _ in closed.jaxpr.invars]
    (result,) = translator.program(closed, names)
    lines = "".join(f"const {name}={text};" for name, text in translator.needed_for(result))
    return f"({','.join(names)})=>{{{lines}return {result}}}"


class Translator:
    """Collects the lines of one function."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, list[str]]] = []  # name, expression, the names in it
        self.count = 0

    def fresh(self) -> str:
        self.count += 1
        return f"_{np.base_repr(self.count, 36).lower()}"

    def needed_for(self, result: str) -> list[tuple[str, str]]:
        """The lines on which the result depends."""
        needed, kept = {result}, []
        for name, text, inputs in reversed(self.lines):
            if name in needed:
                kept.append((name, text))
                needed |= set(inputs)
        return kept[::-1]

    def program(self, closed: Any, names: Sequence[str]) -> list[str]:
        jaxpr = closed.jaxpr
        known = dict(zip(jaxpr.invars, names, strict=True))
        known |= {
            var: literal(value) for var, value in zip(jaxpr.constvars, closed.consts, strict=True)
        }
        read = lambda atom: literal(atom.val) if hasattr(atom, "val") else known[atom]  # noqa: E731
        for equation in jaxpr.eqns:
            inputs = list(map(read, equation.invars))
            if equation.primitive.name in ("jit", "pjit", "closed_call"):
                outputs = self.program(equation.params["jaxpr"], inputs)
            elif equation.primitive.name == "custom_jvp_call":
                outputs = self.program(equation.params["call_jaxpr"], inputs)
            elif equation.primitive.name in SAME:
                outputs = inputs
            elif equation.primitive.name == "unstack":
                outputs = [self.fresh() for _ in equation.outvars]
                self.lines += [(it, f"{inputs[0]}[{i}]", inputs) for i, it in enumerate(outputs)]
            else:
                text = expression(equation, inputs)
                outputs = [text if text in inputs else self.fresh()]
                if text not in inputs:
                    self.lines.append((outputs[0], text, inputs))
            known |= dict(zip(equation.outvars, outputs, strict=True))
        return list(map(read, jaxpr.outvars))


def literal(value: Any) -> str:
    """A number, a truth value, or a vector of them."""
    if np.ndim(value):
        return "[" + ",".join(map(literal, np.asarray(value))) + "]"
    item = np.asarray(value).item()
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, float):
        special = {"inf": "Infinity", "-inf": "(-Infinity)", "nan": "NaN"}.get(str(item))
        return special or (f"({item!r})" if item < 0 else repr(item))
    return f"({item})" if item < 0 else str(item)


def expression(equation: Any, inputs: list[str]) -> str:
    """One equation as an expression of JavaScript."""
    name, params = equation.primitive.name, equation.params
    avals = [atom.aval for atom in equation.invars]
    out = equation.outvars[0].aval
    if out.ndim > 1 or any(aval.ndim > 1 for aval in avals):
        raise NotImplementedError(f"{name} of a matrix")
    shaped = structural(name, params, inputs, avals, out)
    if shaped is not None:
        return shaped
    scalars = [f"x{i}" for i in range(len(inputs))] if out.ndim else inputs
    text = scalar(name, params, scalars, avals[-1].dtype, avals[0].dtype, out.dtype)
    return f"M(({','.join(scalars)})=>{text},{','.join(inputs)})" if out.ndim else text


def scalar(name: str, params: Any, inputs: list[str], dtype: Any, first: Any, out: Any) -> str:
    """An operation on scalars."""
    is_float = jnp.issubdtype(dtype, jnp.floating)
    rounded = (lambda text: f"f({text})") if jnp.issubdtype(out, jnp.floating) else str
    if name in BINARY:
        return f"{inputs[0]}{BINARY[name]}{inputs[1]}"
    if name == "select_n":
        if first.kind == "b":
            return f"{inputs[0]}?{inputs[2]}:{inputs[1]}"
        return f"[{','.join(inputs[1:])}][{inputs[0]}]"
    if name == "convert_element_type":
        if out.kind == "b":
            return f"{inputs[0]}!=0"
        if jnp.issubdtype(out, jnp.floating):
            return f"f({inputs[0]})" if not is_float else inputs[0]
        whole = f"I({inputs[0]})" if is_float else f"+{inputs[0]}"
        return f"({whole})>>>0" if out == np.uint32 else f"{whole}|0"
    if name == "integer_pow":
        return rounded(f"Math.pow({inputs[0]},{params['y']})")
    if name == "round":
        return f"{'even' if int(params['rounding_method']) else 'away'}({inputs[0]})"
    if name == "reduce_precision":  # by the split of Veltkamp, in the 52 bits of JavaScript's numbers
        return f"shorter({inputs[0]},{2 ** (52 - params['mantissa_bits']) + 1})"
    if name == "is_finite":
        return f"Number.isFinite({inputs[0]})"
    if name == "clamp":
        return f"Math.min(Math.max({inputs[1]},{inputs[0]}),{inputs[2]})"
    text = (FLOATS if is_float else BOOLEANS if dtype.kind == "b" else INTEGERS).get(name)
    if text is None:
        raise NotImplementedError(f"{name} of {dtype}")
    for i, value in enumerate(inputs):
        text = text.replace(f"${i}", f"({value})" if value.startswith("-") else value)
    return rounded(text) if is_float else f"({text})>>>0" if out == np.uint32 else f"({text})"


def structural(name: str, params: Any, inputs: list[str], avals: Any, out: Any) -> str | None:
    """An operation that moves numbers, or makes one of many; None for one that computes."""
    size = out.shape[0] if out.ndim else 1
    if name in ("broadcast_in_dim", "reshape", "squeeze"):
        if avals[0].ndim == out.ndim and avals[0].shape == out.shape:
            return inputs[0]
        if avals[0].ndim:
            return f"{inputs[0]}[0]" if not out.ndim else f"Array({size}).fill({inputs[0]}[0])"
        return f"Array({size}).fill({inputs[0]})" if out.ndim else inputs[0]
    if name == "iota":
        return f"Array.from({{length:{size}}},(_,i)=>i)"
    if name in ("concatenate", "stack"):
        return (
            f"[{','.join(f'...{it}' if a.ndim else it for it, a in zip(inputs, avals, strict=True))}]"
        )
    if name == "slice":
        (start,), (stop,) = params["start_indices"], params["limit_indices"]
        if params["strides"] not in (None, (1,)):
            raise NotImplementedError("slice with strides")
        return f"{inputs[0]}.slice({start},{stop})"
    if name == "dynamic_slice":
        return f"at({inputs[0]},{inputs[1]},{size})"
    if name == "rev":
        return f"{inputs[0]}.toReversed()"
    if name in REDUCED:
        step = REDUCED[name]
        step = f"f({step})" if jnp.issubdtype(out.dtype, jnp.floating) else step
        return f"{inputs[0]}.reduce((x,y)=>{step})"
    if name in ("argmax", "argmin"):
        best = "Math.max" if name == "argmax" else "Math.min"
        return f"{inputs[0]}.map(Number).indexOf({best}(...{inputs[0]}.map(Number)))"
    if name in ("cumsum",):
        return f"{inputs[0]}.map((s=>x=>s=f(s+x))(0))"
    return None
