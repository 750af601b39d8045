"""`merge_weights` and `update_weights`: identities that hold exactly."""

from typing import Any

import jax
import numpy as np
import optax
import pytest
from support.planned import rates
from tables.planning_oracles import shares

from optax_sched import (
    constant,
    cosine_decay,
    linear,
    multiply,
    polynomial_decay,
    stack,
    warmup_cosine_decay,
)
from optax_sched.planning import merge_weights, update_weights


@pytest.mark.parametrize(
    "decay", [linear(1.0, 0.0, 6), cosine_decay(1.0, 6), polynomial_decay(0.8, 6, 0.1), 1.0, 0.0]
)
def test_merged_checkpoints_are_the_decayed_run_for_frozen_gradients(decay):
    updates = np.random.default_rng(0).standard_normal((6, 3))
    first = np.array([1.0, -2.0, 0.5])
    checkpoints = first + np.concatenate([np.zeros((1, 3)), np.cumsum(updates, axis=0)])
    factors = rates(decay, 6)
    decayed = first + factors @ updates
    weights = merge_weights(decay, 6)
    np.testing.assert_allclose(np.asarray(weights, np.float64) @ checkpoints, decayed, atol=1e-6)
    assert weights.shape == (7,) and float(weights.sum()) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 10, 1000])
def test_a_line_gives_the_plain_mean(count):
    weights = merge_weights(linear(1.0, 0.0, count), count)
    assert weights[0] == 0.0
    np.testing.assert_allclose(weights[1:], np.full(count, 1 / count), atol=2e-7)


@pytest.mark.wide
def test_merge_weights_of_a_batch_and_their_gradient():
    members = [linear(1.0, 0.0, 6), linear(1.0, 0.5, 3)]
    got = jax.vmap(lambda s: merge_weights(s, 6))(stack(members))
    np.testing.assert_array_equal(got, [merge_weights(s, 6) for s in members])
    slope = jax.jacobian(lambda end: merge_weights(linear(1.0, end, 3), 4))(0.2)
    np.testing.assert_allclose(slope, [0, -1 / 3, -1 / 3, -1 / 3, 1], atol=1e-6)


SCHEDULE = warmup_cosine_decay(0.3, 5, 40)


@pytest.mark.promotes
def test_the_shares_are_those_of_a_simulated_run_of_adamw():
    decay, first = 0.4, np.array([2.0, -1.0, 3.0], np.float32)
    gradients = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    optimizer = optax.adamw(SCHEDULE, weight_decay=decay)
    directions = optax.scale_by_adam()
    params: Any = first
    state, own = optimizer.init(params), directions.init(params)
    seen = []
    for gradient in gradients:
        direction, own = directions.update(gradient, own, params)
        seen.append(np.asarray(direction))
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    weights = np.asarray(update_weights(SCHEDULE, 40, decay), np.float64)
    averaged = weights @ -np.array(seen) / decay + (1 - weights.sum()) * first
    np.testing.assert_allclose(params, averaged, rtol=2e-5, atol=2e-6)


def test_the_shares_are_the_formula():
    want = shares(rates(SCHEDULE, 40), 0.4)
    np.testing.assert_allclose(update_weights(SCHEDULE, 40, 0.4), want, rtol=2e-6)


@pytest.mark.parametrize("s", [linear(3e-3, 0.0, 10**5), constant(3e-3), linear(0.0, 1e-2, 10**5)])
def test_all_shares_add_up_to_one_at_a_hundred_thousand_steps(s):
    kept = 1 - rates(s, 10**5) * 0.1
    first = np.prod(kept)
    total = np.sum(np.asarray(update_weights(s, 10**5, 0.1), np.float64))
    assert total + first == pytest.approx(1.0, abs=1e-5)
    # Nor is one of them wrong by itself: the first has the longest product.
    one = (1 - kept[0]) * np.prod(kept[1:])
    assert float(update_weights(s, 10**5, 0.1)[0]) == pytest.approx(one, rel=1e-4)


def test_no_decay_and_no_rate_leave_the_first_weights():
    assert not np.any(update_weights(SCHEDULE, 40, 0.0))
    assert not np.any(update_weights(0.0, 40, 0.1))


def test_update_weights_of_a_batch_and_their_gradient():
    members = [linear(0.3, 0.0, 40), cosine_decay(0.1, 40)]
    got = jax.jit(jax.vmap(lambda s: update_weights(s, 40, 0.1)))(stack(members))
    want = [shares(rates(s, 40), 0.1) for s in members]
    np.testing.assert_allclose(got, want, rtol=3e-6)

    def total(scale, decay):
        return update_weights(multiply(members[1], scale), 40, decay).sum()

    slopes = jax.grad(total, argnums=(0, 1))(1.0, 0.1)
    r = rates(members[1], 40)
    want = (shares(1.001 * r, 0.1).sum() - shares(0.999 * r, 0.1).sum()) / 2e-3
    assert float(slopes[0]) == pytest.approx(want, rel=1e-3)
    assert float(slopes[1]) == pytest.approx(want / 0.1, rel=1e-3)  # only their product counts


def test_a_step_may_forget_all_and_under_a_trace_more_than_all():
    np.testing.assert_array_equal(update_weights(constant(1.0), 3, 1.0), [0.0, 0.0, 1.0])
    traced = jax.jit(lambda decay: update_weights([0.5, 2.0, 1.5, 0.25], 4, decay))(1.0)
    np.testing.assert_allclose(
        traced, [0.5 * -1 * -0.5 * 0.75, 2 * -0.5 * 0.75, 1.5 * 0.75, 0.25], rtol=1e-6
    )
    slope = jax.grad(lambda decay: update_weights([0.5, 1.0, 0.25], 3, decay)[2])(1.0)
    assert float(slope) == pytest.approx(0.25)
