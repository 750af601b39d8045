"""Runs what JAX traces one operation after the other, so that no program as a whole is compiled.

XLA compiles an operation once for all programs that have it. That is a fifth of the time where each
of a hundred formulas is asked once.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp

# Programs within a program; `jit` was `pjit` before jax 0.7.
WITHIN = {"jit", "pjit", "closed_call", "custom_jvp_call"}


def op_by_op(function: Callable[..., Any], *args: Any) -> Any:
    """What `function` returns for these trees of arrays, which it sees as traced."""
    closed, out = jax.make_jaxpr(function, return_shape=True)(*args)
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(args)]
    return jax.tree.unflatten(jax.tree.structure(out), run(closed.jaxpr, closed.consts, leaves))


def run(jaxpr: Any, consts: Any, args: Any) -> list[Any]:
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def value(atom: Any) -> Any:
        return known[atom] if isinstance(atom, jax.extend.core.Var) else atom.val

    for equation in jaxpr.eqns:
        ins, params = list(map(value, equation.invars)), equation.params
        if equation.primitive.name in WITHIN:
            program = params["jaxpr" if "jaxpr" in params else "call_jaxpr"]
            outs = run(program.jaxpr, program.consts, ins)
        else:
            outs = equation.primitive.bind(*ins, **params)
        known.update(
            zip(equation.outvars, outs if equation.primitive.multiple_results else [outs], strict=True)
        )
    return list(map(value, jaxpr.outvars))
