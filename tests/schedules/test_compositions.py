"""Composition is closed: random trees of schedules against a plain interpreter, and their algebra."""

import functools
import pickle
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.amount import at_most
from tables.cases import BUILDERS, OWN, expected
from tables.trees import COMBINATORS, KNOWN, LEAVES, NAMES, few, leaves, some_trees, topped_by, trees

import optax_sched as os
from optax_sched import Schedule

STEPS = np.array(
    [-2, *range(18), 24, 25, 31, 32, 33, 40, 47, 60, 63, 64, 65, 100, 128, 250, 999, 1000, 1001, 4096]
)


def test_every_builder_is_drawn():
    assert BUILDERS.keys() - OWN.keys() == LEAVES.keys() | COMBINATORS.keys()


# ---- against the interpreter ----


def roundings(schedule: Any) -> int:
    """How many formulas the value has gone through; the errors of a product add up."""
    if not isinstance(schedule, Schedule):
        return 1
    operands = [schedule.schedule] if "schedule" in dir(schedule) else []
    if "schedules" in dir(schedule):
        operands = schedule.schedules
    counts = [roundings(operand) for operand in operands] or [0]
    return 1 + (sum(counts) if repr(schedule).startswith("multiply(") else max(counts))


def limit(schedule: Schedule, steps: Sequence[Any], errors: np.ndarray) -> np.ndarray:
    """docs/numerics.md: 5e-7 for each formula, and 4 ulp of every float where that is not enough."""
    limits = np.full(len(steps), 5e-7 * roundings(schedule))
    for i in np.flatnonzero(errors > limits):
        limits[i] += 4 * 2.0**-23 * sensitivity(schedule, steps[int(i)])
    return limits


def sensitivity(schedule: Schedule, step: Any) -> float:
    """How many times over a small relative change of a float or of the step shows in the value."""
    h = 1e-12
    leaves, structure = jax.tree.flatten(schedule)
    moved = [(schedule, step * (1 - h))]
    for i, leaf in enumerate(leaves):
        if np.asarray(leaf).dtype.kind == "f":
            leaf = np.asarray(leaf, np.float64) * (1 - h)
            leaf = leaf if leaf.ndim else float(leaf)
            moved.append((jax.tree.unflatten(structure, [*leaves[:i], leaf, *leaves[i + 1 :]]), step))
    at = expected(schedule, step, rounded=False)
    changes = [abs(expected(s, t, rounded=False) / at - 1) for s, t in moved]
    return min(float(sum(changes) / h), 1e4)


def relative_error(got: Any, want: np.ndarray) -> np.ndarray:
    tiny = float(np.finfo(np.float32).tiny)
    got = np.asarray(got, np.float64)
    nothing = (np.abs(want) < tiny) & (np.abs(got) < tiny)
    return np.where(nothing, 0.0, np.abs(got - want) / np.maximum(np.abs(want), tiny))


@pytest.mark.parametrize(
    "outer", [pytest.param(name, marks=() if name == "join" else pytest.mark.wide) for name in KNOWN]
)
@few(max_examples=at_most(2, 5))
@given(data=st.data(), halves=st.booleans())
def test_a_tree_is_what_the_interpreter_says(outer, data, halves):
    schedule = data.draw(topped_by(outer))
    steps = (STEPS + 0.5 * halves).astype(np.float32 if halves else np.int32)
    got = schedule(steps)
    assert np.all(np.isfinite(got))
    assert np.all(np.asarray(got) >= 0)
    clock = steps.tolist()
    want = np.array([float(expected(schedule, t)) for t in clock])
    errors = relative_error(got, want)
    limits = limit(schedule, clock, errors)
    worst = np.argmax(errors - limits)
    assert errors[worst] <= limits[worst], f"step {clock[worst]}: {got[worst]} for {want[worst]}"


HEIGHTS = {"value", "init_value", "peak_value", "end_value", "base_value", "stable_value"}


@few(max_examples=at_most(2, 6))
@given(some_trees)
def test_a_batch_of_trees_is_a_loop_over_them(schedule):
    def scaled(path: Any, leaf: Any, by: float) -> Any:
        names = [getattr(key, "name", "") for key in path]
        return leaf * by if any(name in HEIGHTS for name in names) else leaf

    siblings = [
        jax.tree_util.tree_map_with_path(functools.partial(scaled, by=by), schedule)
        for by in (1.0, 0.5, 0.375)
    ]
    batch = jax.tree.map(lambda *leaves: jnp.stack(list(map(jnp.asarray, leaves))), *siblings)
    steps = STEPS.astype(np.int32)
    got = jax.jit(jax.vmap(lambda s: s(steps)))(batch)
    want = np.stack([np.asarray(sibling(steps), np.float64) for sibling in siblings])
    # Two programs: each may round once at every formula.
    assert np.all(relative_error(got, want) <= 2 * 5e-7 * roundings(schedule))


@few(max_examples=100)
@given(some_trees)
def test_its_repr_and_its_pickle_give_a_tree_back(schedule):
    for again in (eval(repr(schedule), NAMES), pickle.loads(pickle.dumps(schedule))):
        assert repr(again) == repr(schedule)
        assert jax.tree.structure(again) == jax.tree.structure(schedule)
        for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(schedule), strict=True):
            assert type(a) is type(b)
            assert np.array_equal(a, b)


# ---- the algebra ----

Law = tuple[Any, Any]


def laws(s: Schedule, other: Schedule, t: jax.Array, b: int) -> dict[str, Law]:
    """Pairs that are equal for every schedule, at steps t; b is a length or a boundary."""
    before, since = t < b, jnp.maximum(t - b, 0)
    at, clipped = s(t), os.clip(s, 0.125, 0.75)
    return {
        "join is its parts": (os.join([s, other], [b])(t), jnp.where(before, at, other(since))),
        "join of one is it": (os.join([s], [])(t), at),
        "join of itself, shifted": (os.join([s, os.shift(s, b)], [b])(t), at),
        "warmup of 0 steps": (os.warmup(s, 0)(t), at),
        "warmup then its own clock": (os.warmup(s, b)(jnp.maximum(t, 0) + b), at),
        "warmup from its start": (os.warmup(os.constant(2.0), b, 2.0)(t), 2.0),
        "repeat in its first period": (jnp.where(before, os.repeat(s, b)(t), at), at),
        "repeat comes back": (os.repeat(s, b)(jnp.maximum(t, 0) + b), os.repeat(s, b)(t)),
        "repeat once, then held": (os.repeat(s, b, num_cycles=1)(t), s(jnp.minimum(t, b))),
        "clip is idempotent": (os.clip(clipped, 0.125, 0.75)(t), clipped(t)),
        "clip is within": (jnp.clip(clipped(t), 0.125, 0.75), clipped(t)),
        "every step": (os.every(s, 1)(t), at),
        "every few, every few": (os.every(os.every(s, 2), 3)(t), os.every(s, 6)(t)),
        "shift after delay": (os.shift(os.delay(s, b), b)(t), at),
        "shifts add": (os.shift(os.shift(s, b), 2)(t), os.shift(s, b + 2)(t)),
        "delays add": (os.delay(os.delay(s, b), 2)(t), os.delay(s, b + 2)(t)),
        "delay of 0": (os.delay(s, 0)(t), at),
        "shift of 0": (os.shift(s, 0)(t), at),
        "stretch by 1": (os.stretch(s, 1)(t), at),
        "stretches multiply": (os.stretch(os.stretch(s, 2), 4)(t), os.stretch(s, 8)(t)),
        "times 1": (os.multiply(s, 1)(t), at),
        "the product": (os.multiply(s, other, 0.5)(t), at * other(t) * 0.5),
        "cooldown not begun": (jnp.where(before, os.cooldown(s, b, 5)(t), at), at),
        "cooldown to where it is": (
            os.cooldown(s, b, 5, s(b))(t),
            os.join([s, os.constant(s(b))], [b])(t),
        ),
        "cooldown at its end": (os.cooldown(s, b, 5, 0.5)(jnp.maximum(t, 0) + b + 5), 0.5),
        "the first": (os.select(0, [s, other])(t), at),
        "the second": (os.select(1, [s, other])(t), other(t)),
        "no noise": (os.noisy(s, 0, 0.0)(t), at),
        "noise not begun": (jnp.where(before, os.noisy(s, 0, 0.5, start=b)(t), at), at),
    }


@few(max_examples=at_most(1, 6))
@given(trees(1) | leaves, leaves, st.sampled_from([1, 7, 32]))
def test_the_algebra_of_combinators(schedule, other, b):
    steps = STEPS.astype(np.int32)
    program = jax.jit(laws, static_argnums=3).lower(schedule, other, steps, b)
    # Many formulas, run once: the compiler need not optimize them.
    pairs = program.compile({"xla_backend_optimization_level": "0"})(schedule, other, steps)
    for law, (left, right) in pairs.items():
        left, right = np.broadcast_arrays(left, np.asarray(right, np.float64))
        error = np.max(relative_error(left, right))
        # Two ways to compute the same: each may round once at every formula.
        assert error <= 2 * 5e-7 * (roundings(schedule) + 1), law


def test_the_gradient_of_whole_hyperparameters_prints():
    gradient = jax.grad(lambda s: s(3), allow_int=True)(os.linear(0.5, 0.0, 4))
    assert repr(gradient) == "linear(init_value=0.25, end_value=0.75, transition_steps=float0[])"
