"""Writes a hyperparameter as Python source."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def source(value: object) -> str:
    """The source text that builds a value made of numbers, sequences and named functions."""
    if isinstance(value, Tracer):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        data = np.asarray(jax.random.key_data(value)).tolist()
        impl = str(jax.random.key_impl(value))
        other = "" if impl == "threefry2x32" else f", impl={impl!r}"
        return f"jax.random.wrap_key_data(jax.numpy.array({data}, 'uint32'){other})"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        if value.dtype == jax.dtypes.float0:  # the gradient of an integer
            return f"float0{list(value.shape)}"
        if not value.ndim:  # the shortest digits that give the same number in its own precision
            return repr(value.item() if value.dtype.kind in "iu" else float(str(value)))
        value = list(np.asarray(value))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(source, value)) + "]"
    if isinstance(value, functools.partial) and not value.args and not value.keywords:
        value = value.func
    if inspect.isroutine(value):
        return value.__qualname__
    return repr(value)
