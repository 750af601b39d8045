"""Schedules from their source text: it is parsed, its names are looked up, nothing is executed."""

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from optax_sched._core.errors import complaint, in_a_word
from optax_sched._core.formula import Formula
from optax_sched._files.builders import BUILT_IN, known_builders
from optax_sched._files.reader import Arithmetic, Reader

_KEY = "jax.random.wrap_key_data"
_WHOLE = "a call of a builder, such as cosine_decay(0.1, 1000)"
_DEEP = "it is nested too deeply"
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
        argument. The error is one line. It gives the line and column of what cannot be read, and the
        path of what a builder refuses, as in `schedules[1].decay_steps`.

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
        raise TypeError(complaint("from_source", "text", "a string", text))
    known = known_builders("from_source", builders)
    return Reader("from_source", "text", known).schedule(_Parser(text, known).whole())


def read_call(text: str) -> Any:
    """The same from the command line, where nobody can give builders."""
    return Reader("from_source", "text", BUILT_IN, advice="").schedule(_Parser(text, BUILT_IN).whole())


def _power(base: Any, exponent: Any) -> Any:
    """Of two numbers by way of floats: no text is to fill the memory with an integer."""
    if not (_is_number(base) and _is_number(exponent)):
        return base**exponent
    value = float(base) ** exponent
    is_whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0
    return int(value) if is_whole and abs(value) < 2**53 else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_BINARY: dict[type[ast.operator], Callable[..., Any]] = {
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
        self.text = text.lstrip("\ufeff \t\r\n\f")
        ahead = text[: len(text) - len(self.text)]
        self.lines_ahead = ahead.count("\n")
        self.indent = len(ahead) - ahead.rfind("\n") - 1

    def whole(self) -> Any:
        if not self.text:
            raise ValueError(complaint("from_source", "text", _WHOLE, self.text))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes in strings: the builders judge strings
                tree = ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            place = self.place(error.lineno or 1, (error.offset or 1) - 1)
            raise ValueError(f"from_source: {place}: this is not valid Python: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"from_source: text must be {_WHOLE}: {str(error) or _DEEP}") from None
        if isinstance(tree, ast.Call | ast.BinOp | ast.UnaryOp):
            try:
                made = self.value(tree)
            except RecursionError:
                raise ValueError(f"from_source: text must be {_WHOLE}: {_DEEP}") from None
            if not _is_number(made):
                return made
        self.refuse(tree, f"must be {_WHOLE}, got {self.excerpt(tree)}")

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
                    self.refuse(keyword.value, "must be written out: ** is not read")
                if keyword.arg in call:
                    self.refuse(keyword.value, f"{keyword.arg} is given twice")
                call[keyword.arg] = self.value(keyword.value)
        return call  # with a name that is unknown, which the reader refuses

    def by_position(self, node: ast.Call, formula: Formula) -> dict[str, Any]:
        values = [self.value(item) for item in node.args]
        try:
            bound = formula.signature.bind_partial(*values).arguments
        except TypeError as error:
            takes = f"{formula.name} takes {', '.join(formula.domains)}"
            self.refuse(node, f"{formula.name}: {error}; {takes}")
        return {name: list(it) if isinstance(it, tuple) else it for name, it in bound.items()}

    def value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(item) for item in node.elts]
        if isinstance(node, ast.Constant):
            value = node.value
            if value is None or isinstance(value, bool | str | int | float):
                return value
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            return self.combined(node, _UNARY[type(node.op)], [node.operand])
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self.combined(node, _BINARY[type(node.op)], [node.left, node.right])
        hint = "write its value" if isinstance(node, ast.Name) else "only literals and calls are read"
        self.refuse(node, f"must be a number, a string or a call, got {self.excerpt(node)}; {hint}")

    def combined(self, node: ast.expr, compute: Callable[..., Any], parts: list[ast.expr]) -> Any:
        """A number, if the operands are numbers."""
        operands = [self.value(part) for part in parts]
        for part, operand in zip(parts, operands, strict=True):
            if not _is_number(operand) and not isinstance(operand, dict | Arithmetic):
                self.refuse(part, f"must be a number or a call, got {self.excerpt(part)}")
        if not all(map(_is_number, operands)):
            return Arithmetic(compute, operands)
        try:
            result = compute(*operands)
            if _is_number(result):
                return result
        except ArithmeticError:
            pass
        self.refuse(node, f"must be a finite number, got {self.excerpt(node)}")

    def key(self, node: ast.Call) -> dict[str, Any]:
        """A random key: `jax.random.wrap_key_data(jax.numpy.array([0, 1], 'uint32'), impl='rbg')`."""
        try:
            (array,) = node.args
            settings = {str(it.arg): ast.literal_eval(it.value) for it in node.keywords}
            assert isinstance(array, ast.Call) and ast.unparse(array.func) in _ARRAYS
            assert settings.keys() <= {"impl"} and not array.keywords
            words, dtype = map(ast.literal_eval, array.args)
            assert dtype == "uint32"
            return {"impl": "threefry2x32", "key_data": words} | settings
        except (AssertionError, TypeError, ValueError, RecursionError):
            self.refuse(node, f"must be a key: {_KEY}({_ARRAYS[0]}([word, ...], 'uint32'))")

    def refuse(self, node: ast.expr, rule: str) -> NoReturn:
        # The parser counts in bytes of UTF-8.
        ahead = self.text.split("\n")[node.lineno - 1].encode()[: node.col_offset]
        raise ValueError(f"from_source: {self.place(node.lineno, len(ahead.decode()))}: {rule}")

    def place(self, line: int, characters_ahead: int) -> str:
        column = characters_ahead + 1 + (self.indent if line == 1 else 0)
        return f"line {line + self.lines_ahead}, column {column}"

    def excerpt(self, node: ast.expr) -> str:
        """The source of a node, in short."""
        return in_a_word(ast.get_source_segment(self.text, node))
