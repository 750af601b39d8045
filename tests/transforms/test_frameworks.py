"""`nnx.Optimizer` with plateaus."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_sched as o

nnx = pytest.importorskip("flax.nnx", reason="flax needs wheels that this Python has not yet")

OPTIMIZERS = {
    "reduce_on_plateau": lambda: optax.chain(
        optax.scale_by_adam(),
        o.scale_by_learning_rate(o.linear(0.1, 0.0, 10)),
        o.reduce_on_plateau(factor=0.5, patience=0),
    ),
    "plateau": lambda: optax.inject_hyperparams(optax.adamw)(
        learning_rate=o.plateau(o.linear(0.1, 0.0, 10), factor=0.5, patience=0)
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nnx_optimizer_reads_value(name):
    """Cut, read, observed and replaced as without Flax, all with one trace."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer: Any = nnx.Optimizer(model, OPTIMIZERS[name](), wrt=nnx.Param)
    traces = []

    @nnx.jit
    def train_step(model, optimizer, value):
        traces.append(name)
        gradient = nnx.grad(lambda model: model(jnp.ones((1, 2))).sum())(model)
        optimizer.update(model, gradient, value=value)

    rates = []
    for value in (1.0, 1.0, 0.5, 0.5):
        train_step(model, optimizer, jnp.float32(value))
        rates.append(float(o.current_value(optimizer.opt_state)))
    np.testing.assert_allclose(rates, [0.1, 0.09 / 2, 0.08 / 2, 0.07 / 4], rtol=1e-6)

    # NNX holds the state in Variables; the functions that change it take and give plain arrays.
    state = o.observe(plain(optimizer), 0.5)
    state = o.replace_schedule(state, o.linear(0.3, 0.0, 10))
    nnx.update(optimizer.opt_state, nnx.state(state))
    train_step(model, optimizer, jnp.float32(0.25))
    np.testing.assert_allclose(o.current_value(plain(optimizer)), 0.3 * 0.6 / 8, rtol=1e-6)
    assert traces == [name]


def plain(optimizer: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf[...], optimizer.opt_state, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)
    )
