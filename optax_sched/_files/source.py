"""Schedules from their source text: it is parsed, its names are looked up, nothing is executed."""

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.errors import Refusal, complaint, in_a_word, refusal_of
from optax_sched._core.formula import Formula
from optax_sched._files.builders import BUILT_IN, MAX_DEPTH, MAX_SCHEDULES, known_builders, names_like

_KEY = "jax.random.wrap_key_data"
_WHOLE = "a call of a builder, such as cosine_decay(0.1, 1000)"
_ARRAYS = ("jax.numpy.array", "jnp.array")


def from_source(text: str, builders: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """The schedule that a source text builds: `from_source(repr(s))` is `s` again.

    The text is a call of a builder, such as `warmup(cosine_decay(1e-3, 900), 100)`. Its arguments are
    numbers, strings, True, False, None, lists or tuples of them, further calls, and random keys as
    `repr` writes them. It is parsed: names are looked up among the built-in builders and yours, and
    nothing is evaluated, imported or called but these. There is no arithmetic: write 100, not 10 * 10.

    Args:
      text: the source, which may go over several lines; at most 30 calls deep and 10,000 in all.
        `optax_sched.` before a builder's name is allowed.
      builders: builders of your own, made by `schedule` or `feedback`, by the names that they have in
        the text. None may have the name of a built-in one.

    Raises:
      TypeError, ValueError: the text is no such call, a name is unknown, or a builder refuses an
        argument. The error is one line. It says in which line and column the mistake is.

    Elsewhere: none of the peers reads schedules from text without running it; Hydra and keras read
    dicts, for which there is `from_config`.

    >>> s = from_source("warmup(cosine_decay(1e-3, 900), warmup_steps=100)")
    >>> s.schedule.decay_steps, repr(from_source(repr(s))) == repr(s)
    (900, True)
    >>> from_source("cosine_decay(1e-3, decay_step=900)")
    Traceback (most recent call last):
    TypeError: from_source: line 1, column 1: cosine_decay: ...
    """
    if not isinstance(text, str):
        raise TypeError(complaint("from_source", "text", "a string", text))
    if not text.strip():
        raise ValueError(complaint("from_source", "text", _WHOLE, text))
    advice = "; give your own as builders={name: it}"
    return _Reader(text, known_builders("from_source", builders), advice).whole()


def read_call(text: str) -> Any:
    """The same from the command line, where nobody can give builders."""
    return _Reader(text, BUILT_IN, "").whole()


class _Reader:
    def __init__(self, text: str, known: Mapping[str, Formula], advice: str):
        self.advice = advice  # about a name that is like none
        self.text = text.strip()
        ahead = text[: len(text) - len(text.lstrip())].splitlines(keepends=True)
        self.lines_ahead = sum(line.endswith(("\n", "\r")) for line in ahead)
        self.indent = len("".join(ahead[self.lines_ahead :]))
        self.known = known
        self.count = 0

    def whole(self) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes in strings: the builders judge strings
                tree = ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            place = self.place(error.lineno or 1, (error.offset or 1) - 1)
            raise ValueError(f"from_source: {place}: this is not valid Python: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            reason = str(error) or "it is nested too deeply"
            raise ValueError(f"from_source: text must be {_WHOLE}: {reason}") from None
        if not isinstance(tree, ast.Call):
            self.refuse(tree, f"must be {_WHOLE}, got {self.excerpt(tree)}")
        return self.call(tree, 1)

    def call(self, node: ast.Call, depth: int) -> Any:
        name = self.dotted(node.func)
        if name == _KEY:
            return self.key(node)
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_SCHEDULES:
            self.refuse(node, f"must be at most {MAX_DEPTH} calls deep and {MAX_SCHEDULES} in all")
        formula = self.formula(node.func, name)
        args = [self.value(item, depth) for item in node.args]
        kwargs: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                self.refuse(keyword.value, "must be written out: ** is not read")
            if keyword.arg in kwargs:
                self.refuse(keyword.value, f"{keyword.arg} is given twice")
            kwargs[keyword.arg] = self.value(keyword.value, depth)
        try:
            return formula.builder(*args, **kwargs)
        except (TypeError, ValueError) as error:
            place = self.place_of(self.offender(node, formula, refusal_of(error)))
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"from_source: {place}: {error}") from None

    def formula(self, node: ast.expr, name: str | None) -> Formula:
        name = name and name.removeprefix("optax_sched.")
        if name is not None and name in self.known:
            return self.known[name]
        near = names_like(name or "", self.known)
        hint = f"; did you mean {near}?" if near else self.advice
        self.refuse(node, f"must be the name of a builder, got {self.excerpt(node)}{hint}")

    def value(self, node: ast.expr, depth: int) -> Any:
        if isinstance(node, ast.Call):
            return self.call(node, depth + 1)
        if isinstance(node, ast.List | ast.Tuple):
            for item in node.elts:
                if isinstance(item, ast.List | ast.Tuple):  # no builder takes a list in a list
                    self.refuse(item, "must be a number or a schedule, got a list in a list")
            return [self.value(item, depth) for item in node.elts]
        sign = 1
        literal: ast.expr = node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -1 if isinstance(node.op, ast.USub) else 1
            literal = node.operand
        if isinstance(literal, ast.Constant):
            value = literal.value
            if literal is node and (value is None or isinstance(value, bool | str)):
                return value
            if isinstance(value, int | float) and not isinstance(value, bool):
                return sign * value
        is_computed = isinstance(node, ast.BinOp | ast.Name)
        hint = "write its value" if is_computed else "only literals and calls are read"
        self.refuse(node, f"must be a number, a string or a call, got {self.excerpt(node)}; {hint}")

    def key(self, node: ast.Call) -> jax.Array:
        """A random key: `jax.random.wrap_key_data(jax.numpy.array([0, 1], 'uint32'), impl='rbg')`."""
        try:
            (array,) = node.args
            settings = {str(it.arg): ast.literal_eval(it.value) for it in node.keywords}
            assert isinstance(array, ast.Call) and self.dotted(array.func) in _ARRAYS
            assert settings.keys() <= {"impl"} and not array.keywords
            words, dtype = map(ast.literal_eval, array.args)
            assert dtype == "uint32" and all(type(word) is int for word in words)
            return jax.random.wrap_key_data(jnp.asarray(np.asarray(words, np.uint32)), **settings)
        except (AssertionError, TypeError, ValueError, OverflowError, RecursionError):
            self.refuse(node, f"must be a key: {_KEY}({_ARRAYS[0]}([word, ...], 'uint32'))")

    def offender(self, node: ast.Call, formula: Formula, refusal: Refusal | None) -> ast.expr:
        """The argument that the builder refuses, or the call where no single argument is at fault."""
        if refusal is not None and refusal.where == formula.name:
            offender = re.split(r"[.\[]", refusal.name)[0]  # it may lie within an operand
            for keyword in node.keywords:
                if keyword.arg == offender:
                    return keyword.value
            for name, argument in zip(formula.domains, node.args, strict=False):
                if name == offender:
                    return argument
        return node

    def dotted(self, node: ast.expr) -> str | None:
        """A name, or names with dots between them."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None

    def refuse(self, node: ast.expr, rule: str) -> NoReturn:
        raise ValueError(f"from_source: {self.place_of(node)}: {rule}")

    def place_of(self, node: ast.expr) -> str:
        # The parser counts in bytes of UTF-8.
        ahead = self.line(node).encode()[: node.col_offset]
        return self.place(node.lineno, len(ahead.decode(errors="ignore")))

    def place(self, line: int, characters_ahead: int) -> str:
        column = characters_ahead + 1 + (self.indent if line == 1 else 0)
        return f"line {line + self.lines_ahead}, column {column}"

    def excerpt(self, node: ast.expr) -> str:
        """The source of a node, in short."""
        end = node.end_col_offset if node.end_lineno == node.lineno else None
        return in_a_word(self.line(node).encode()[node.col_offset : end].decode(errors="ignore"))

    def line(self, node: ast.expr) -> str:
        return self.text.split("\n")[node.lineno - 1]
