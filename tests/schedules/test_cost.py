"""Cost that does not grow with the number of parts, cycles or values, nor explode with depth."""

import cProfile
import functools
import pstats
from collections.abc import Callable
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.amount import at_most, one_in
from support.compilations import counted
from tables.cases import ROWS

import optax_sched as os
from optax_sched import Schedule

COSINE, LINE = os.cosine_decay(0.1, 1000), os.linear(0.1, 0.0, 10)


def equations(schedule: Schedule) -> int:
    """Those of the program for a traced step and traced settings, with those of programs within."""
    return count(jax.make_jaxpr(lambda s, t: s(t))(schedule, jnp.int32(3)))


def count(jaxpr: Any) -> int:
    total = len(jaxpr.eqns)
    for equation in jaxpr.eqns:
        inner = jax.tree.leaves(equation.params, is_leaf=lambda value: hasattr(value, "eqns"))
        total += sum(count(value) for value in inner if hasattr(value, "eqns"))
    return total


def lines(schedule: Schedule) -> int:
    """Of the program that XLA has to compile."""
    return len(jax.jit(lambda s, t: s(t)).lower(schedule, 3).as_text().splitlines())


def test_equations_are_counted_within_programs_too():
    two = jax.jit(lambda x: x + 1 + x)
    assert count(jax.make_jaxpr(two)(1.0)) == 3
    looped = jax.make_jaxpr(lambda x: jax.lax.fori_loop(0, 3, lambda i, c: c * x + i, x))(1.0)
    assert count(looped) > len(looped.eqns)
    assert count(jax.make_jaxpr(lambda x: jax.lax.cond(x > 0, jnp.sin, jnp.cos, x))(1.0)) >= 4


def chain_of_selects(jaxpr: Any, depths: list[int | None]) -> list[int | None]:
    """For each output the longest chain of selects from the step on; None where it does not matter.

    LLVM runs exponentially over long ones (jaxlib 0.11 and newer on a CPU).
    """
    known = dict(zip(jaxpr.invars, depths, strict=True))
    for equation in jaxpr.eqns:
        ins = [known.get(v) if isinstance(v, jax.extend.core.Var) else None for v in equation.invars]
        inner = [value for value in equation.params.values() if hasattr(value, "eqns")]
        if inner:
            program = getattr(inner[0], "jaxpr", inner[0])
            outs = chain_of_selects(program, ins[len(ins) - len(program.invars) :])
        else:
            deepest = max((depth for depth in ins if depth is not None), default=None)
            selects = equation.primitive.name == "select_n"
            outs = [None if deepest is None else deepest + selects] * len(equation.outvars)
        known.update(zip(equation.outvars, outs, strict=True))
    return [known.get(v) if isinstance(v, jax.extend.core.Var) else None for v in jaxpr.outvars]


@pytest.mark.parametrize("name", ROWS)
def test_no_builder_makes_a_long_chain_of_selects(name: str):
    for example in ROWS[name].examples[: at_most(1, 99)]:
        program = jax.make_jaxpr(example.schedule)(np.arange(50)).jaxpr
        (depth,) = chain_of_selects(program, [0])
        assert (depth or 0) <= 24


def test_chains_of_selects_are_seen_through_programs():
    def twice(x):
        return jnp.where(x > 1, jax.jit(lambda y: jnp.where(y > 2, y, 0.0))(x), 1.0)

    program = jax.make_jaxpr(twice)(2.0).jaxpr
    assert chain_of_selects(program, [0]) == [2]
    assert chain_of_selects(program, [None]) == [None]


def test_cycles_without_growth_have_a_formula_of_their_own():
    assert equations(os.cosine_restarts(0.1, 100)) <= 150


@pytest.mark.parametrize(
    "make",
    [lambda i: os.cosine_decay(0.1, i + 1), lambda i: os.warmup(os.linear(0.1, 0.0, i + 1), 3)],
)
def test_stacking_costs_as_much_as_there_are_schedules(make):
    def calls(number: int) -> int:
        schedules = [os.constant(0.1), *(make(i) for i in range(number))]
        profile = cProfile.Profile()
        profile.runcall(os.stack, schedules)
        return pstats.Stats(profile).total_calls  # pyright: ignore[reportAttributeAccessIssue]

    assert calls(800) < 2.1 * calls(400)


def joined(part: Callable[[int], Any], n: int) -> Schedule:
    return os.join([part(i) for i in range(n)], [10 * (i + 1) for i in range(n - 1)])


def selected(part: Callable[[int], Any], n: int) -> Schedule:
    return os.select(n - 1, [part(i) for i in range(n)])


def steps_of(n: int) -> list[int]:
    return [7 * (i + 1) for i in range(n - 1)]


PARTS = {
    "numbers": lambda i: 0.1 + i,
    "cosines": lambda i: os.cosine_decay(0.1 / (i + 1), 10 + i),
    "warmed": lambda i: os.warmup(os.clip(COSINE, 0.01 * i, 9.0), i),
    "joined": lambda i: os.join([os.linear(0.1, i, 10), COSINE, 0.1 * i], [i + 1, i + 3]),
    "tables": lambda i: os.table([0.1, 0.2, i]),
}
MANY = {
    **{f"join of {name}": functools.partial(joined, part) for name, part in PARTS.items()},
    **{f"select of {name}": functools.partial(selected, part) for name, part in PARTS.items()},
    "table": lambda n: os.table([0.1] * n),
    "piecewise_constant": lambda n: os.piecewise_constant([0.1] * n, steps_of(n)),
    "piecewise_interpolate": lambda n: os.piecewise_interpolate([0.1] * n, steps_of(n), "cosine"),
    "multistep_decay": lambda n: os.multistep_decay(0.1, steps_of(n), 0.5),
    "multistep_decay of many": lambda n: os.multistep_decay(0.1, steps_of(n), [0.9] * (n - 1)),
    "wsd_cycles": lambda n: os.wsd_cycles(0.1, 5, [100 * (i + 1) for i in range(n)], 1 / 512),
    "cosine_restarts": lambda n: os.cosine_restarts(0.1, 10, num_cycles=n),
    "repeat": lambda n: os.repeat(COSINE, 10, 1.5, 0.5, num_cycles=n),
    "chebyshev": lambda n: os.chebyshev(0.1, 1.0, 2 ** (n.bit_length() - 1)),
}


@pytest.mark.parametrize("many", one_in(2, MANY.values()), ids=MANY)
def test_256_cost_no_more_equations_than_2(many):
    assert equations(many(256)) <= equations(many(2))
    assert lines(many(256)) <= 1.02 * lines(many(2))  # by chance of shapes, two may share a helper


@pytest.mark.parametrize("ratio", [1, 2, 1.1])
def test_cycles_without_number_cost_no_more(ratio):
    counts = [equations(os.cosine_restarts(0.1, 10, 0.0, ratio, num_cycles=n)) for n in (1, 10, 10**6)]
    assert len(set(counts)) == 1
    assert equations(os.cosine_restarts(0.1, 10, 0.0, ratio)) < counts[0]


def test_parts_of_a_few_structures_cost_one_formula_for_each_structure():
    def mixed(n: int) -> Schedule:
        return joined(lambda i: (COSINE, LINE, 0.1)[i % 3], n)

    assert equations(mixed(256)) <= equations(mixed(6))


# Each takes one schedule, or it and another one.
NESTS: dict[str, Callable[[Any], Schedule]] = {
    "warmup": lambda s: os.warmup(s, 3),
    "cooldown": lambda s: os.cooldown(s, 900, 50),
    "delay": lambda s: os.delay(s, 2),
    "shift": lambda s: os.shift(s, 2),
    "stretch": lambda s: os.stretch(s, 2.0),
    "every": lambda s: os.every(s, 2),
    "retime": lambda s: os.retime(s, LINE),
    "repeat": lambda s: os.repeat(s, 100, 1.5, 0.5, 4),
    "clip": lambda s: os.clip(s, 0.0, 1.0),
    "noisy": lambda s: os.noisy(s, 0, 0.1),
    "multiply": lambda s: os.multiply(s, 0.5),
    "multiply by another": lambda s: os.multiply(s, LINE),
    "add": lambda s: os.add(s, 1e-5),
    "minimum": lambda s: os.minimum(s, LINE),
    "maximum": lambda s: os.maximum(s, 0.5),
    "power": lambda s: os.power(s, 0.9),
    "join first": lambda s: os.join([s, LINE], [50]),
    "join last": lambda s: os.join([LINE, s], [50]),
    "select": lambda s: os.select(1, [LINE, s]),
}


def nest(outer: Callable[[Any], Schedule], depth: int, inner: Any = COSINE) -> Schedule:
    for _ in range(depth):
        inner = outer(inner)
    return inner


@pytest.mark.parametrize("outer", NESTS.values(), ids=NESTS)
def test_flattening_a_nest_takes_steps_in_its_depth_squared_at_most(outer):
    def calls(depth: int) -> int:
        made, profile = nest(outer, depth), cProfile.Profile()
        profile.runcall(jax.tree.flatten, made)
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(20) <= 4.5 * calls(10)


@pytest.mark.parametrize(
    "outer",
    [
        pytest.param(
            outer, id=name, marks=() if name in ("warmup", "join last", "select") else pytest.mark.wide
        )
        for name, outer in NESTS.items()
    ],
)
def test_a_nest_costs_as_much_as_its_depth(outer):
    deep = at_most(10, 20)
    assert equations(nest(outer, deep)) <= 2.05 * equations(nest(outer, deep // 2))


@pytest.mark.slow
def test_a_nest_of_all_of_them_in_turn_costs_as_much_as_its_depth():
    def around(s: Any) -> Schedule:
        return functools.reduce(lambda inner, outer: outer(inner), NESTS.values(), s)

    once, twice = equations(around(COSINE)), equations(around(around(COSINE)))
    assert twice <= 2.05 * once
    assert np.isfinite(float(around(around(COSINE))(100)))


@pytest.mark.parametrize("outer", [NESTS["warmup"], NESTS["join first"]], ids=["warmup", "join"])
def test_a_users_function_is_evaluated_once_at_each_level_of_a_nest(outer):
    calls = []

    def own(step):
        calls.append(step)
        return 0.1 * jnp.exp(-step / 100.0)

    jax.make_jaxpr(nest(outer, 20, own))(3)
    assert len(calls) == 1


COMPOSITIONS = {
    "join of 256": lambda: joined(PARTS["warmed"], 256),
    "table of 1000": lambda: os.table(list(np.linspace(0.1, 0.2, 1000))),
    "nest": lambda: nest(NESTS["cooldown"], 8),
    "families": lambda: os.select(
        2, [0.1, LINE, os.warmup(os.join([COSINE, optax.constant_schedule(0.1), LINE], [5, 9]), 5)]
    ),
    "recipes": lambda: os.multiply(
        os.wsd(0.1, 10, 20, 100), os.noisy(os.infinite(1, 2, 3, 1, 9, 9), 7, 0.1)
    ),
    "users function": lambda: os.cooldown(lambda t: 0.1 / jnp.sqrt(t + 1.0), 50, 10),
}


@pytest.mark.parametrize("make", one_in(2, COMPOSITIONS.values()), ids=COMPOSITIONS)
def test_building_and_an_eager_call_are_one_program_together(make):
    with counted() as compiled:
        schedule = make()
        assert compiled == []
        schedule(5)
        assert len(compiled) == 1
        jax.tree.map(lambda x: x / 2 if isinstance(x, float) else x, schedule)(6)
        assert len(compiled) == 1
        schedule(np.arange(3))
        assert len(compiled) == 2


# Defined below its length only: the root is not a number beyond it, and its slope infinite at it.
root = os.schedule(lambda step, length: jnp.sqrt(length - step), name="root")


ENDING = [
    (os.join([root(10.0), root(20.0), root(5.0)], [10, 30]), 34),  # one family
    (os.join([root(10.0), os.clip(root(20.0), 0, 9), os.shift(root(8.0), 3)], [10, 30]), 34),
    (os.join([LINE, lambda t: jnp.log(20.0 - t), root(5.0)], [10, 30]), 34),
    (os.join([root(10.5), os.join([root(4.0), root(16.0)], [4]), 0.5], [10.5, 30.5]), 999),
    (os.cooldown(root(10.0), 9, 5), 999),
    (os.warmup(os.cooldown(root(10.0), 9, 5), 7, 0.3), 999),
    (os.delay(os.cooldown(root(10.0), 9, 5), 7), 999),
    (os.repeat(root(10.5), 10), 999),
    (os.every(os.join([root(5.0), 0.1], [5]), 4), 999),
    (os.select(1, [os.repeat(root(10.5), 10), LINE]), 999),
]


@pytest.mark.parametrize("clock", [pytest.param(np.int32, marks=pytest.mark.wide), np.float32])
@pytest.mark.parametrize(
    ("schedule", "last"),
    [pytest.param(*case, marks=pytest.mark.wide if i % 3 else ()) for i, case in enumerate(ENDING)],
    ids=lambda value: repr(value)[:50],
)
def test_a_part_that_ends_with_its_phase_leaks_no_nan_into_value_or_gradient(schedule, last, clock):
    steps = np.unique(np.minimum(np.arange(60) * 2 - 10, last)).astype(clock)
    leaves, structure = jax.tree.flatten(schedule)
    floats = [i for i, leaf in enumerate(leaves) if np.asarray(leaf).dtype.kind == "f"]

    def value(chosen, step):
        moved = list(leaves)
        for i, leaf in zip(floats, chosen, strict=True):
            moved[i] = leaf
        return jax.tree.unflatten(structure, moved)(step)

    chosen = [jnp.asarray(leaves[i]) for i in floats]

    @jax.jit
    def all_at_once(chosen, steps):
        found = jax.vmap(jax.value_and_grad(value), in_axes=(None, 0))(chosen, steps)
        return *found, jax.vmap(jax.grad(schedule))(steps) if clock is np.float32 else 0.0

    values, gradients, slopes = all_at_once(chosen, steps)
    assert np.all(np.isfinite(values))
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
    assert np.all(np.isfinite(slopes))


@pytest.mark.parametrize("clock", [np.int32, np.float32])
def test_a_users_function_is_asked_only_within_its_phase(clock):
    seen: dict[str, list[float]] = {"first": [], "middle": [], "last": [], "cooled": [], "repeated": []}

    def watched(name: str) -> Callable[[Any], Any]:
        def ask(asked):
            seen[name].extend(np.ravel(asked).tolist())
            return asked

        def own(step):  # all steps in one callback: XLA would compile one for each
            asked = jax.pure_callback(ask, step, step, vmap_method="expand_dims")
            return 1.0 / (1.0 + asked)

        return own

    joined = os.join([watched("first"), 0.3, watched("middle"), watched("last")], [10, 20, 50])
    others = os.multiply(os.cooldown(watched("cooled"), 25, 10), os.repeat(watched("repeated"), 7))
    steps = np.arange(80).astype(clock)
    jax.block_until_ready((joined(steps), others(steps)))
    assert set(seen["first"]) == set(range(10))
    assert set(seen["middle"]) == set(range(30))
    assert set(seen["last"]) == set(range(30))  # it goes on for ever: up to the last step asked
    assert set(seen["cooled"]) == set(range(26))
    assert set(seen["repeated"]) == set(range(7))


def test_a_traced_schedule_keeps_nothing_of_a_trace_within_its_own():
    def run(s: Schedule) -> jax.Array:
        return jax.lax.fori_loop(0, 3, lambda _, total: total + s(5), 0.0) + s(5)

    with jax.checking_leaks():
        np.testing.assert_allclose(jax.jit(run)(LINE), 4 * 0.05, rtol=1e-6)
        np.testing.assert_allclose(jax.grad(lambda v: run(LINE.replace(init_value=v)))(0.1), 2.0)
