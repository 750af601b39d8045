"""Schedules from their source text: it is parsed, its names are looked up, nothing is executed."""

import ast
import contextlib
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeGuard

from optax_sched._core.errors import Refusal
from optax_sched._core.formula import Formula
from optax_sched._files.reader import Arithmetic, Reader, known_builders

_KEY = "jax.random.wrap_key_data"
_WHOLE = "a call of a builder, such as cosine_decay(0.1, 1000)"
_ARRAYS = ("jax.numpy.array", "jnp.array")


def from_source(text: str, builders: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """The schedule that a source text builds: `from_source(repr(s))` is `s` again.

    The text is a call of a builder, such as `warmup(cosine_decay(1e-3, 900), 100)`, or arithmetic of
    calls and numbers, `0.1 * cosine_decay(1.0, 900) + 1e-5`. Arguments are numbers, strings, True,
    False, None, lists or tuples of them, further calls, arithmetic, and random keys as `repr` writes
    them. The text is parsed: names are looked up among the built-in builders and yours, and nothing is
    evaluated, imported or called but these and `+ - * / **`.

    Args:
      text: the source, which may go over several lines; at most 30 calls deep and 10,000 in all.
        `optax_sched.` before a builder's name is allowed.
      builders: builders of your own, made by `schedule` or `feedback`, by the names that they have in
        the text. None may have the name of a built-in one.

    Raises:
      TypeError, ValueError: the text is no such call, a name is unknown, or a builder refuses an
        argument. The error is one line. It shows what cannot be read, and gives the path of what a
        builder refuses, as in `schedules[1].decay_steps`.

    Elsewhere: none of the peers reads schedules from text without running it; Hydra and keras read
    dicts, for which there is `from_config`.

    >>> s = from_source("warmup(cosine_decay(1e-3, 900), warmup_steps=100)")
    >>> s.schedule.decay_steps, repr(from_source(repr(s))) == repr(s)
    (900, True)
    >>> from_source("constant(0.1) / 4 - 0.02")
    add(multiply(constant(value=0.1), constant(value=0.25)), constant(value=-0.02))
    >>> from_source("warmup(cosine_decay(1e-3, decay_step=900), 100)")
    Traceback (most recent call last):
    TypeError: from_source: schedule.decay_step is unknown; did you mean decay_steps?; ...
    """
    if not isinstance(text, str):
        raise Refusal("from_source", "text", "a string", text).error(TypeError)
    known = known_builders("from_source", builders)
    return Reader("from_source", "text", known).schedule(_Parser(text, known).whole())


def _power(base: Any, exponent: Any) -> Any:
    """A power; of two numbers only where a float holds it, so that no text fills the memory."""
    if _is_number(base) and _is_number(exponent):
        _ = float(base) ** exponent  # raises an OverflowError before an integer grows
    return base**exponent


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: _power,
}


class _Parser:
    """A text as the nested dicts that `from_config` reads."""

    def __init__(self, text: str, known: Mapping[str, Formula]):
        self.known = known
        code = text.lstrip("\ufeff \t\r\n\f")  # Python takes no blanks ahead, but empty lines
        self.text = "\n" * (text.count("\n") - code.count("\n")) + code

    def whole(self) -> Any:
        if not self.text.strip():
            raise Refusal("from_source", "text", _WHOLE, "").error()
        try:
            with warnings.catch_warnings(action="ignore"):  # of escapes: the builders judge strings
                tree = ast.parse(self.text, mode="eval").body
            made = self.value(tree) if isinstance(tree, ast.Call | ast.BinOp | ast.UnaryOp) else None
        except SyntaxError as error:
            where = f"from_source: line {error.lineno or 1}"
            raise ValueError(f"{where} is not valid Python: {error.msg}") from None
        except (UnicodeError, RecursionError, MemoryError) as error:
            reason = str(error) or "it is nested too deeply"
            raise ValueError(f"from_source: text must be {_WHOLE}: {reason}") from None
        if not isinstance(made, dict | Arithmetic):
            self.refuse(tree, _WHOLE)
        return made

    def call(self, node: ast.Call) -> dict[str, Any]:
        name = ast.unparse(node.func)
        if name == _KEY:
            return self.key(node)
        name = name.removeprefix("optax_sched.")
        call: dict[str, Any] = {"builder": name}
        if name in self.known:
            call |= self.by_position(node, self.known[name])
            for keyword in node.keywords:
                if keyword.arg is None:
                    self.refuse(keyword.value, "written out: ** is not read")
                if keyword.arg in call:
                    raise ValueError(f"from_source: {name}: {keyword.arg} is given twice")
                call[keyword.arg] = self.value(keyword.value)
        return call  # with a name that is unknown, which the reader refuses

    def by_position(self, node: ast.Call, formula: Formula) -> dict[str, Any]:
        values = [self.value(item) for item in node.args]
        try:
            bound = formula.signature.bind_partial(*values).arguments
        except TypeError as error:
            takes = f"it takes {', '.join(formula.domains)}"
            raise TypeError(f"from_source: {formula.name}: {error}; {takes}") from None
        return {name: list(it) if isinstance(it, tuple) else it for name, it in bound.items()}

    def value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(item) for item in node.elts]
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
            return node.value
        if isinstance(node, ast.UnaryOp | ast.BinOp) and type(node.op) in _OPERATORS:
            return self.combined(node, _OPERATORS[type(node.op)])
        self.refuse(node, "a number, a string, a call or arithmetic")

    def combined(self, node: ast.UnaryOp | ast.BinOp, compute: Callable[..., Any]) -> Any:
        """A number, if the operands are numbers."""
        parts = [node.operand] if isinstance(node, ast.UnaryOp) else [node.left, node.right]
        operands = [self.value(part) for part in parts]
        for part, operand in zip(parts, operands, strict=True):
            if not _is_number(operand) and not isinstance(operand, dict | Arithmetic):
                self.refuse(part, "a number or a call")
        if not all(map(_is_number, operands)):
            return Arithmetic(compute, operands)
        with contextlib.suppress(ArithmeticError):
            result = compute(*operands)
            if _is_number(result):
                return result
        self.refuse(node, "a finite number")

    def key(self, node: ast.Call) -> dict[str, Any]:
        """A random key: `jax.random.wrap_key_data(jax.numpy.array([0, 1], 'uint32'), impl='rbg')`."""
        match node.args:
            case [ast.Call(args=[words, ast.Constant("uint32")], keywords=[]) as array]:
                if ast.unparse(array.func) in _ARRAYS and {it.arg for it in node.keywords} <= {"impl"}:
                    settings = {str(it.arg): self.value(it.value) for it in node.keywords}
                    return {"impl": "threefry2x32", "key_data": self.value(words)} | settings
        self.refuse(node, f"a key: {_KEY}({_ARRAYS[0]}([word, ...], 'uint32'))")

    def refuse(self, node: ast.expr, rule: str) -> NoReturn:
        found = ast.get_source_segment(self.text, node)
        raise Refusal("from_source", f"line {node.lineno}", rule, found).error()
