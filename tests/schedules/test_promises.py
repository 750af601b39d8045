"""What docs/design.md promises of every schedule: one test a promise, over the one table."""

import copy
import functools
import pickle
import re
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.amount import EVERYTHING
from support.compilations import counted
from support.op_by_op import op_by_op
from support.precision import (
    at_each_once,
    compiled_gradient,
    derivative,
    gradient,
    oracle_values,
    relative_error,
    slopes,
    tolerance,
)
from tables.cases import (
    BUILDERS,
    CASES,
    LAST,
    OWN,
    REPRESENTATIVES,
    ROWS,
    Example,
    expected,
    wide,
)
from tables.rows import COUNTS, is_float, numbers, other_value

import optax_sched

NAMES = {**vars(optax_sched), **OWN, "jax": jax}
EXAMPLES = pytest.mark.parametrize(
    "example", [pytest.param(example, id=label) for _, label, example in CASES]
)
NAMED = pytest.mark.parametrize(("name", "example"), [pytest.param(n, e, id=i) for n, i, e in CASES])
FIRST = pytest.mark.parametrize(
    "example", [pytest.param(row.examples[0], id=name) for name, row in ROWS.items()]
)
# What `evaluate.py` answers, whatever the formula is.
REPRESENTATIVE = pytest.mark.parametrize(
    "example",
    [pytest.param(row.examples[0], id=name, marks=wide(name)) for name, row in ROWS.items()],
)


def in_full(name: str) -> bool:
    """Whether this row is asked in every way, or a representative answers for some of them."""
    return EVERYTHING or name in REPRESENTATIVES


def is_representative(example: Example) -> bool:
    return any(example is ROWS[name].examples[0] for name in REPRESENTATIVES)


def called(example: Example, step: Any) -> jax.Array:
    """The value: of a representative as users call it, of another row op by op."""
    if is_representative(example):
        return example.schedule(step)
    return op_by_op(lambda: example.schedule(step))


@jax.jit
def by_both_clocks(schedule, steps, floats):
    """With the settings traced: compiled once for all examples of one structure."""
    return schedule(steps), schedule(floats)


def by_traced_settings(name: str, example: Example, steps: Any, floats: Any) -> tuple[jax.Array, ...]:
    """The values by either clock; of most rows single steps answer, unless everything is asked."""
    return by_both_clocks(example.schedule, steps, floats) if in_full(name) else ()


@jax.jit
def values_at_each(batch, steps):
    """Mapped over the settings and over the steps."""
    return jax.vmap(jax.vmap(lambda s, t: s(t), (None, 0)), (0, None))(batch, steps)


@functools.cache
def with_constants(name: str) -> Callable[..., list[jax.Array]]:
    """All examples of a row in one program, with their settings as constants of it."""
    return jax.jit(lambda steps: [example.schedule(steps) for example in ROWS[name].examples])


def value_with_constants(name: str, example: Example, steps: np.ndarray) -> jax.Array:
    return with_constants(name)(steps)[ROWS[name].examples.index(example)]


def like_the_steps(steps: Any, dtype: Any = np.int32) -> np.ndarray:
    """Some steps, repeated to the number of an example's: that many have been compiled for."""
    return np.resize(steps, 80).astype(dtype)


def test_every_public_builder_has_a_row():
    assert set(BUILDERS) == set(ROWS)


# Whose gradients are asked in every run: a formula of each kind, with ends, floors, jumps and parts.
BENT = REPRESENTATIVES | {
    *("cosine_decay", "polynomial_decay", "exponential_decay", "step_decay", "piecewise_cubic"),
    *("cosine_restarts", "repeat", "retime", "wsd", "warmup"),
}


@NAMED
def test_value_is_the_formulas_with_constant_and_with_traced_settings(name, example):
    steps, want, limit = example.steps(), oracle_values(example), tolerance(ROWS[name], example)
    traced = by_traced_settings(name, example, steps, steps.astype(np.float32))
    for got in (value_with_constants(name, example, steps), *traced[:1]):
        error = relative_error(ROWS[name], got, want)
        worst = np.argmax(error - limit)
        assert error[worst] <= limit[worst], f"step {steps[worst]}: {got[worst]} for {want[worst]}"


@NAMED
def test_ends_are_the_requested_values_to_the_bit(name, example):
    end = max(example.marks, default=0)
    for value, steps, floats in (
        (example.start, [0, -1, -LAST], [0.0, -0.5, -1e12]),
        (example.end, [end, min(end + 1, LAST), LAST], [end, 2.0**32, 1e12]),
    ):
        if value is not None:
            clocks = like_the_steps(steps), like_the_steps(floats, np.float32)
            constant = value_with_constants(name, example, clocks[0])
            for got in (constant, *by_traced_settings(name, example, *clocks)):
                assert np.all(got == np.float32(value))


@pytest.mark.parametrize(
    ("name", "example"), [pytest.param(name, row.examples[0], id=name) for name, row in ROWS.items()]
)
def test_single_steps_are_the_formulas_and_meet_the_ends_too(name, example):
    got = at_each_once(example, lambda step: float(example.schedule(step)))
    error, limit = (
        relative_error(ROWS[name], got, oracle_values(example)),
        tolerance(ROWS[name], example),
    )
    assert np.all(error <= limit), f"steps {example.steps()[error > limit]}"
    end = max(example.marks, default=0)
    for value, steps in (
        (example.start, (0, -1, -LAST, np.int8(-5))),
        (example.end, (end, end + 1, LAST, 2**32)),
    ):
        for step in steps if value is not None else ():
            assert float(example.schedule(step)) == np.float32(value)


@REPRESENTATIVE
def test_single_float_steps_meet_the_ends_too(example):
    for value, steps in ((example.start, (0.0, -0.5)), (example.end, (1e12,))):
        for step in steps if value is not None else ():
            assert float(example.schedule(step)) == np.float32(value)


@NAMED
def test_never_nan_never_negative_never_outside_the_heights(name, example):
    schedule = example.schedule
    steps = np.unique(np.concatenate([example.steps(), np.arange(0, 400), np.arange(LAST - 50, LAST)]))
    parts = np.resize(steps, (8, 80)).astype(np.int32)
    values = np.array(
        [
            (
                value_with_constants(name, example, part),
                *by_traced_settings(name, example, part, part.astype(np.float32)),
            )
            for part in parts
        ]
    )
    assert np.all(np.isfinite(values))
    settings = [leaf for leaf in jax.tree.leaves(schedule) if is_float(leaf)]
    if min(np.min(leaf) for leaf in settings) >= 0:
        assert np.all(values >= 0)
    heights = [value for name, value in numbers(schedule).items() if name.endswith("_value")]
    if {"init_value", "end_value"} <= numbers(schedule).keys():
        assert np.all((values >= np.float32(min(heights))) & (values <= np.float32(max(heights))))


@pytest.mark.parametrize(
    ("name", "example"),
    [
        pytest.param(
            n, e, id=label, marks=() if n in BENT and e is ROWS[n].examples[0] else pytest.mark.wide
        )
        for n, label, e in CASES
    ],
)
def test_gradients_are_finite_and_the_formulas(name, example):
    """By reverse mode at every step; and against 50 digits of the oracle where it does not jump.

    Of each row one example is compiled, by both clocks where everything is asked. The others run op
    by op.
    """
    schedule, is_first = example.schedule, example is ROWS[name].examples[0]
    some, floats = steps_to_differentiate(example), real_numbers(schedule)
    steps, one_by_one = to_differentiate(example), functools.partial(op_by_op, gradient)
    gradients = (compiled_gradient if is_first else one_by_one)(schedule, steps)
    by_floats = ()
    if in_full(name):
        differentiate = compiled_gradient if is_first and EVERYTHING else one_by_one
        by_floats = differentiate(schedule, steps.astype(np.float32))
    for each in jax.tree.leaves((gradients, by_floats)):
        assert each.dtype == jax.dtypes.float0 or np.all(np.isfinite(each))
    by_schedule, _ = gradients
    if len(some) and floats:
        assert_slopes(schedule, {name: getattr(by_schedule, name) for name in floats}, some)


@REPRESENTATIVE
def test_lengths_have_gradients_as_floats_by_forward_mode(example):
    schedule, some = example.schedule, steps_to_differentiate(example)
    lengths = {name: float(value) for name, value in numbers(schedule).items() if name not in COUNTS}
    if not len(some) or not lengths:
        pytest.skip("no number of its own, or nothing happens at a step that float32 tells apart")
    is_compiled = EVERYTHING and any(example is row.examples[0] for row in ROWS.values())
    found = slopes(schedule, lengths, to_differentiate(example), is_compiled)
    assert_slopes(schedule, found, some)


def steps_to_differentiate(example: Example) -> list[int]:
    """Some within the curve, that float32 tells apart."""
    end = max(example.marks, default=1000)
    some = (1, end // 4, end // 2, end - 2)
    return [t for t in some if 0 < t < 10**5 and t not in example.marks]


def to_differentiate(example: Example) -> np.ndarray:
    """They first, and then the example's own: one length, for which all operations are compiled."""
    some = steps_to_differentiate(example) or [1]
    return np.concatenate([np.resize(some, 4), example.steps()]).astype(np.int32)


def real_numbers(schedule: Any) -> list[str]:
    """The names of the hyperparameters that are floats."""
    return [name for name, value in numbers(schedule).items() if type(value) is float]


def assert_slopes(schedule: Any, found: dict[str, Any], steps: list[int]) -> None:
    values = np.array([float(expected(schedule, t)) for t in steps])
    for name, got in found.items():
        at = float(numbers(schedule)[name])
        want = np.array([derivative(schedule, name, at, t) for t in steps])
        # In float32 a gradient is no more exact than the value that it belongs to.
        limit = 1e-3 * np.abs(want) + 1e-6 * np.abs(values) / max(abs(at), 1e-3)
        fine = np.isnan(want) | (np.abs(got[: len(steps)] - want) <= limit)
        assert np.all(fine), f"{name} at {steps}: {got} for {want}"


@FIRST
def test_any_hyperparameter_may_be_traced(example):
    schedule = example.schedule
    for name, value in numbers(schedule).items():
        rate = jax.eval_shape(lambda number, name=name: schedule.replace(**{name: number})(7), value)
        assert rate.shape == ()


@REPRESENTATIVE
def test_a_traced_hyperparameter_gives_what_a_number_gives(example):
    schedule = example.schedule

    def value_with(name, number):
        return schedule.replace(**{name: number})(7)

    @jax.jit
    def traced(values):
        """By vmap and scan under jit, in one program for all names."""
        got = {}
        for name, pair in values.items():
            value = functools.partial(value_with, name)
            _, scanned = jax.lax.scan(lambda _, number, value=value: (None, value(number)), None, pair)
            got[name] = jax.vmap(value)(pair), scanned
        return got

    settings = {name: (number, other_value(name, number)) for name, number in numbers(schedule).items()}
    got = traced({name: jnp.asarray(pair) for name, pair in settings.items()})
    for name, pair in settings.items():
        for values in got[name]:
            np.testing.assert_allclose(values, [value_with(name, x) for x in pair], rtol=1e-6)


@FIRST
def test_a_jitted_function_is_traced_once_for_all_values(example):
    def at(schedule, step):
        return schedule(step)

    abstract = jax.jit(chex.assert_max_traces(at, n=1)).eval_shape
    schedule = example.schedule
    for name, value in numbers(schedule).items():
        same = (
            (np.float64(value), np.float32(value)) if isinstance(value, float) else (np.int64(value),)
        )
        for other in (*same, other_value(name, value)):
            abstract(schedule.replace(**{name: other}), 3)
        if value == 1:
            abstract(schedule.replace(**{name: 1}), 3)
    abstract(schedule, 3)
    chex.clear_trace_counter()


@REPRESENTATIVE
def test_a_batch_is_one_pytree_and_vmap_over_it_is_a_loop(example):
    schedule = example.schedule
    siblings = [
        jax.tree.map(lambda x, f=f: x * f if isinstance(x, float) else x, schedule)
        for f in (1.0, 0.5, 0.25)
    ]
    batch = jax.tree.map(lambda *leaves: jnp.stack(jnp.asarray(leaves)), *siblings)
    steps = like_the_steps([0, 1, 50])
    got = values_at_each(batch, steps)
    want = [by_both_clocks(s, steps, steps.astype(np.float32))[0] for s in siblings]
    np.testing.assert_allclose(got, want, rtol=1e-6)


@REPRESENTATIVE
def test_a_batch_called_without_vmap_says_so(example):
    batch = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 2), example.schedule)
    with pytest.raises(ValueError, match=r"jax\.vmap|got shape \(2,\)") as caught:
        batch(3)
    assert "\n" not in str(caught.value.args[0])


@REPRESENTATIVE
def test_step_may_be_of_any_number_type(example):
    want = float(expected(example.schedule, 5))
    for step in (
        *(5, 5.0, np.array(5), np.int8(5), np.uint8(5), np.int16(5), np.uint32(5), np.int64(5)),
        *(np.uint64(5), np.float16(5), jnp.int8(5), jnp.uint32(5), jnp.float32(5), jnp.bfloat16(5)),
        jnp.bfloat16(5).dtype.type(5),
    ):
        value = called(example, step)
        assert (value.shape, value.dtype) == ((), jnp.float32), repr(step)
        assert float(value) == pytest.approx(want, rel=1e-6), repr(step)


@REPRESENTATIVE
def test_result_has_the_steps_shape(example):
    want = np.array([float(expected(example.schedule, t)) for t in range(6)])
    whole = [np.arange(np.prod(shape)).reshape(shape) for shape in ((0,), (1, 2, 3))]
    forms: list[Any] = [
        form for steps in whole for form in (steps, jnp.asarray(steps), steps.astype(np.uint32))
    ]
    forms.append(whole[-1].astype(np.float32))
    for form in forms:
        assert jax.eval_shape(example.schedule, form).shape == form.shape
    for form in forms if EVERYTHING or is_representative(example) else forms[-2:]:
        got = example.schedule(form)
        assert got.shape == form.shape
        np.testing.assert_allclose(np.ravel(got), want[: form.size], rtol=1e-6)


@REPRESENTATIVE
def test_steps_that_an_integer_type_cannot_hold_saturate(example):
    counts_tokens = "power_law_decay" in repr(example.schedule)  # its steps count as floats then
    for step in (2**31, 2**63, 2**100, np.uint32(2**32 - 1), np.uint64(2**63), jnp.uint32(2**32 - 1)):
        counted = np.float32(float(step)) if counts_tokens else LAST
        assert float(example.schedule(step)) == float(example.schedule(counted))


@REPRESENTATIVE
def test_step_that_is_no_number_is_refused_in_one_line(example):
    for step in ("3", None, [1, 2], 1j, np.array(["a"]), object):
        with pytest.raises(TypeError, match=r"^\w+: step must be an integer or a float, got [^\n]*$"):
            example.schedule(step)


@FIRST
def test_results_are_weakly_typed(example):
    rate = example.schedule(3)
    assert rate.weak_type and (jnp.bfloat16(1) * rate).dtype == jnp.bfloat16


@REPRESENTATIVE
def test_results_are_weakly_typed_whatever_the_hyperparameters_are(example):
    """By their abstract values."""
    schedule, steps = example.schedule, like_the_steps(3)
    arrays = jax.tree.map(jnp.asarray, schedule)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), arrays)
    changed = [
        schedule.replace(**{name: dtype(other_value(name, value))})
        for name, value in numbers(schedule).items()
        for dtype in (jnp.float32, jnp.bfloat16)
        if isinstance(value, float)
    ]
    for got in (
        *jax.eval_shape(by_both_clocks, arrays, steps, steps.astype(np.float32)),
        jax.eval_shape(values_at_each, batch, steps),
        *(jax.eval_shape(other, 3) for other in (arrays, *changed)),
    ):
        assert got.weak_type and got.dtype == jnp.float32


@REPRESENTATIVE
def test_float64_under_x64_is_exact_to_its_own_precision(example):
    jax.config.update("jax_enable_x64", True)
    try:
        schedule = eval(repr(example.schedule), NAMES)
        got = schedule(example.steps()[:20])
        assert got.dtype == jnp.float64
        want = [float(expected(schedule, int(t), rounded=False)) for t in example.steps()[:20]]
        np.testing.assert_allclose(got, want, rtol=1e-12)
    finally:
        jax.config.update("jax_enable_x64", False)


@EXAMPLES
def test_repr_is_the_source_that_builds_it(example):
    schedule = example.schedule
    if "<locals>" in repr(schedule):
        pytest.skip("somebody else's closure has no source")
    again = eval(repr(schedule), NAMES)
    assert repr(again) == repr(schedule)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(schedule), strict=True):
        assert np.all(a == b)


@FIRST
def test_repr_of_arrays_is_short_and_evaluates_to_the_same_number(example):
    schedule = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float) else x, example.schedule)
    again = eval(repr(schedule), NAMES)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(schedule), strict=True):
        assert np.all(np.float32(a) == np.float32(b))


@FIRST
def test_hyperparameters_read_and_replace(example):
    schedule = example.schedule
    for name, value in numbers(schedule).items():
        other = other_value(name, value)
        changed = schedule.replace(**{name: other})
        assert getattr(changed, name) == other
        assert getattr(schedule, name) == value
        assert jax.tree.structure(changed) == jax.tree.structure(schedule)
        with pytest.raises(ValueError, match=name):
            schedule.replace(**{name: float("nan")})
    with pytest.raises(TypeError, match="nonsense"):
        schedule.replace(nonsense=1)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = schedule.nonsense


@FIRST
def test_it_is_immutable_and_has_no_value_equality(example):
    schedule = example.schedule
    with pytest.raises(AttributeError, match="replace"):
        schedule.value = 1
    with pytest.raises(AttributeError, match="replace"):
        del schedule.value
    assert schedule != schedule.replace()
    assert hash(schedule) != hash(schedule.replace())


@FIRST
def test_it_pickles_and_copies(example):
    if "<locals>" in repr(example.schedule):
        pytest.skip("a closure of somebody else's does not pickle")
    for again in (
        pickle.loads(pickle.dumps(example.schedule)),
        copy.copy(example.schedule),
        copy.deepcopy(example.schedule),
    ):
        assert repr(again) == repr(example.schedule)
        assert jax.tree.structure(again) == jax.tree.structure(example.schedule)
        assert float(again(3)) == float(example.schedule(3))
        assert again(3).weak_type


@FIRST
def test_optax_takes_it_for_a_schedule_and_not_a_stateful_one(example):
    """How it then behaves is asked in tests/transforms/test_transform.py."""
    assert callable(example.schedule)
    assert not hasattr(example.schedule, "init")
    assert not hasattr(example.schedule, "update")


@REPRESENTATIVE
def test_it_is_sharded_like_any_pytree(example):
    mesh = jax.make_mesh((4,), ("x",))
    batch = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 8), example.schedule)
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    batch = jax.device_put(batch, spread)
    got = jax.jit(jax.vmap(lambda s: s(3)))(batch)
    assert got.sharding.is_equivalent_to(spread, 1)
    np.testing.assert_allclose(got, [float(example.schedule(3))] * 8, rtol=1e-6)


@FIRST
def test_paths_name_the_formula_and_its_hyperparameters(example):
    paths = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(example.schedule)
    ]
    for name in numbers(example.schedule):
        formula = repr(example.schedule).partition("(")[0]
        assert any(re.fullmatch(rf"\.{formula}(\(.*\))?\.{name}", path) for path in paths)


@pytest.fixture(scope="module")
def compiled():
    with counted() as compilations:
        yield compilations


@REPRESENTATIVE
def test_a_new_value_compiles_nothing_and_an_eager_call_is_one_program(example, compiled):
    """It comes last: `counted` forgets what the other tests share."""
    before = len(compiled)
    example.schedule(5)
    assert len(compiled) == before + 1
    halved = jax.tree.map(lambda x: x / 2 if isinstance(x, float) else x, example.schedule)
    halved(6)
    assert len(compiled) == before + 1
