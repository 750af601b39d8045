"""Prints what the package costs: lines, import time, equations and compile time of ten schedules.

PYTHONPATH=. python tests/support/report_costs.py optax_sched
"""

import ast
import io
import subprocess
import sys
import time
import tokenize
from pathlib import Path
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp

import optax_sched as o

SCHEDULES = {
    "constant": lambda: o.constant(0.1),
    "linear": lambda: o.linear(0.1, 0.0, 1000),
    "cosine_decay": lambda: o.cosine_decay(0.1, 1000),
    "polynomial_decay": lambda: o.polynomial_decay(0.1, 1000, power=0.9),
    "step_decay": lambda: o.step_decay(0.1, 100, 0.5),
    "chebyshev": lambda: o.chebyshev(0.7, 2.3, 16),
    "cosine_restarts": lambda: o.cosine_restarts(0.1, 100),
    "cosine_restarts, period_mult=2": lambda: o.cosine_restarts(0.1, 100, period_mult=2),
    "warmup_cosine_decay": lambda: o.warmup_cosine_decay(0.1, 100, 1000),
    "repeat": lambda: o.repeat(o.linear(0.1, 0.0, 50), 100),
}


def lines_of_code(source: str) -> int:
    """Lines with a token that is neither a comment nor part of a docstring."""
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*layout, tokenize.ENDMARKER):
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def equations(jaxpr: Any) -> int:
    """Its own and those of the programs inside."""
    inner = [
        sub for equation in jaxpr.eqns for sub in jax.extend.core.jaxprs_in_params(equation.params)
    ]
    return len(jaxpr.eqns) + sum(map(equations, inner))


def main() -> None:
    files = sorted(Path(sys.argv[1]).rglob("*.py"))
    counts = {file: lines_of_code(file.read_text(encoding="utf-8")) for file in files}
    print(f"{sum(counts.values())} lines of code in {len(files)} files, at most {max(counts.values())}")
    for module in ("jax, optax", "jax, optax, optax_sched"):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
            times.append(time.perf_counter() - start)
        print(f"import {module}: {1e3 * min(times):.0f} ms")
    for name, make in SCHEDULES.items():
        times = []
        for _ in range(3):
            jax.clear_caches()
            at, step = jax.jit(lambda schedule, step: schedule(step)), jnp.arange(8)
            start = time.perf_counter()
            at.lower(make(), step).compile()
            times.append(time.perf_counter() - start)
        jaxpr = jax.make_jaxpr(lambda schedule, step: schedule(step))(make(), jnp.int32(5)).jaxpr
        print(f"{name}: {equations(jaxpr)} equations, {1e3 * min(times):.0f} ms to compile")


if __name__ == "__main__":
    main()
