"""`reduce_on_plateau`: the rule against hand-written tables and the oracle, dtypes, bad input."""

import functools
import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tables.plateau_oracle import HALF, LENGTH, TABLES, Plateau, inf, nan, random_cases

from optax_sched import observe, reduce_on_plateau

ONE = np.float32(1.0)

# To optax's types a state is any tree, so a checker does not know the fields of this one.
plateau: Any = reduce_on_plateau

# One program a mode and threshold mode runs all settings and all losses, tables and random ones.
LANES = 160
SETTINGS: dict[str, Any] = {
    "factor": np.float32,
    "patience": np.int32,
    "threshold": np.float32,
    "cooldown": np.int32,
    "min_scale": np.float32,
    "window": np.int32,
}


@functools.cache
def program(mode: str, threshold_mode: str) -> Any:
    """From traced settings and losses to the update, the scale and the best after every loss."""

    def run(settings, losses):
        opt = plateau(mode=mode, threshold_mode=threshold_mode, **settings)

        def step(state, loss):
            updates, state = opt.update(ONE, state, value=loss)
            return state, (updates, state.scale, state.best)

        return jax.lax.scan(step, opt.init(ONE), losses)[1]

    return jax.jit(jax.vmap(run))


def ours(cases: Any) -> tuple[np.ndarray, np.ndarray]:
    """The scales and the bests of up to LANES cases that share their two modes."""
    settings_of, losses = zip(*(cases[min(lane, len(cases) - 1)] for lane in range(LANES)), strict=True)
    settings = {
        name: np.array([getattr(case, name) for case in settings_of], dtype)
        for name, dtype in SETTINGS.items()
    }
    values = np.full((LANES, LENGTH), np.nan, np.float32)
    for lane, row in enumerate(losses):
        values[lane, : len(row)] = row
    compiled = program(settings_of[0].mode, settings_of[0].threshold_mode)
    updates, scales, bests = compiled(settings, values)
    np.testing.assert_array_equal(updates, scales)  # the update was 1
    return np.asarray(scales), np.asarray(bests)


def scales(losses: list[Any], **settings: Any) -> list[float]:
    """The scale after each loss; a None among them is an update without observation."""
    opt = plateau(**settings)
    state, seen = opt.init(ONE), []
    for loss in losses:
        update, state = opt.update(ONE, state, value=loss)
        seen.append(float(update))
        assert seen[-1] == state.scale
    return seen


# --- Tables and random sequences ------------------------------------------------------------------

in_tables = pytest.mark.parametrize("name", TABLES)


@in_tables
def test_the_scale_follows_the_table_written_by_hand(name: str):
    settings, losses, expected = TABLES[name]
    actual, _ = ours([(Plateau(**{**HALF, **settings}), losses)])
    np.testing.assert_array_equal(actual[0, : len(losses)], np.array(expected, np.float32))


@in_tables
def test_the_oracle_follows_the_table_written_by_hand(name: str):
    settings, losses, expected = TABLES[name]
    assert Plateau(**{**HALF, **settings}).scales(losses) == np.array(expected, np.float32).tolist()


def test_the_table_holds_in_a_plain_python_loop_too():
    settings, losses, expected = TABLES["torch: patience 2, cooldown 1"]
    assert scales(losses, **{**HALF, **settings}) == expected


def test_the_defaults_ignore_ten_observations_and_cut_to_a_tenth():
    assert scales([1.0] * 12) == [1.0] * 11 + [float(np.float32(0.1))]


def test_the_defaults_take_a_fall_of_a_ten_thousandth_as_no_improvement():
    assert scales([1.0, 0.99995, 0.9998], patience=0, factor=0.5) == [1, 0.5, 0.5]


def test_value_none_is_no_observation():
    assert scales([1, None, None, 1, None, 1], patience=0, factor=0.5) == [1, 1, 1, 0.5, 0.5, 0.25]
    in_windows = scales([1, None, 1, 1, None, 1], patience=0, factor=0.5, window=2)
    assert in_windows == [1, 1, 1, 1, 1, 0.5]


@pytest.mark.parametrize(
    "value",
    [3, 3.0, np.float64(3), np.float16(3), np.int64(3), np.array(3.0), jnp.int8(3), jnp.bfloat16(3)],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_any_kind_of_number_is_a_metric(value: Any):
    state = plateau().init(ONE)
    assert float(plateau().update(ONE, state, value=value)[1].best) == 3.0


@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_160_random_sequences_agree_with_the_oracle_at_every_step(mode: str, threshold_mode: str):
    cases = random_cases(LANES, mode, threshold_mode)
    actual_scales, actual_bests = ours(cases)
    for lane, (case, losses) in enumerate(cases):
        settings = repr(case)
        for step, loss in enumerate(losses):
            case.observe(loss)
            where = f"{settings} on {losses[: step + 1]}"
            assert actual_scales[lane, step] == case.scale, where
            if case.best is None:
                assert not math.isfinite(actual_bests[lane, step]), where
            else:
                assert actual_bests[lane, step] == case.best, where
    # Cases that tell nothing are the exception.
    assert sum(case.scale < 1 for case, _ in cases) > LANES / 2


def test_the_longest_patience_does_not_wrap():
    opt = plateau(patience=2**31 - 1)
    state = opt.init(ONE)._replace(best=ONE, bad_count=np.int32(2**31 - 1))
    after = opt.update(ONE, state, value=1.0)[1]
    assert (after.scale, after.bad_count) == (1, 2**31 - 1)


# --- Precision and dtypes ------------------------------------------------------------------------

TREES: dict[str, Any] = {
    "float32": {"w": jnp.ones(2, jnp.float32)},
    "bfloat16": {"w": jnp.ones(2, jnp.bfloat16)},
    "float16": {"w": jnp.ones(2, jnp.float16)},
    "with int32": {"w": jnp.ones(2, jnp.float32), "steps": jnp.zeros((), jnp.int32)},
    "mixed": {
        "w": jnp.ones(2, jnp.float32),
        "b": jnp.ones((), jnp.bfloat16),
        "h": jnp.ones(3, jnp.float16),
        "steps": jnp.zeros((), jnp.int32),
    },
}
in_trees = pytest.mark.parametrize("params", TREES.values(), ids=TREES)


@functools.cache
def after_losses(**settings: Any) -> Any:
    """The last updates and state after losses in order; one program for each tree and length."""
    opt = plateau(**settings)

    def run(updates, losses):
        def step(carry, loss):
            return opt.update(updates, carry[1], updates, value=loss), None

        return jax.lax.scan(step, (updates, opt.init(updates)), losses)[0]

    return jax.jit(run)


@in_trees
def test_600_losses_falling_by_a_fiftieth_of_a_percent_are_no_plateau(params: Any):
    losses = (0.9998 ** np.arange(600)).astype(np.float32)
    updates, state = after_losses()(params, losses)
    assert state.scale == 1
    assert state.best == losses[-1]
    chex.assert_trees_all_equal(updates, params)


@in_trees
def test_losses_beyond_the_params_dtype_are_seen(params: Any):
    losses = (7e4 * 0.9998 ** np.arange(600)).astype(np.float32)  # float16 ends at 65504
    _, state = after_losses()(params, losses)
    assert state.scale == 1
    assert state.best == losses[-1]


@in_trees
def test_the_state_is_float32_and_int32_and_updates_keep_their_dtypes(params: Any):
    losses = np.ones(600, np.float32)
    updates, state = after_losses(factor=0.7, patience=198)(params, losses)
    scale = np.float32(0.7) * np.float32(0.7) * np.float32(0.7)
    assert state.scale == scale
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {"float32", "int32"}
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    # Ones, or integer zeros, times the scale as that dtype holds it.
    chex.assert_trees_all_equal(updates, jax.tree.map(lambda g: g * scale.astype(g.dtype), params))


def test_the_scale_of_fifty_cuts_is_exact_to_float32_for_bfloat16_updates():
    losses = np.ones(600, np.float32)
    _, state = after_losses(factor=0.9, patience=10)(TREES["bfloat16"], losses)
    np.testing.assert_allclose(state.scale, 0.9**54, rtol=1e-5)


def test_a_window_as_long_as_training_observes_the_true_mean():
    losses = np.linspace(2.0, 1.0, 600, dtype=np.float32)
    _, state = after_losses(window=600)(TREES["bfloat16"], losses)
    np.testing.assert_allclose(state.best, 1.5, rtol=1e-5)


# --- Bad input -----------------------------------------------------------------------------------

TWO, TINY, BIG = np.array([0.5, 0.5], np.float32), 1e-40, 1e39  # to float32, 0 and inf
COUNT = "a whole number, 0 or more"
# What the rule says, what breaks it, and what is not a number, or word, at all.
REFUSED: dict[str, tuple[str, list[Any], list[Any]]] = {
    "factor": (
        "a factor above 0 and below 1",
        [0, 0.0, 1, 1.5, -0.5, nan, inf, 0.99999999, TINY, np.float32(2), jnp.float32(2)],
        ["a", None, True, 0.5j, TWO, jnp.array(TWO), [0.5]],
    ),
    "patience": (
        COUNT,
        [-1, 2.5, np.float64(2.5), jnp.float32(2.5), nan, inf, 2**31],
        [None, "3", False, TWO],
    ),
    "threshold": ("a finite number, 0 or more", [-1, -1e-4, nan, inf, BIG], [None, "1e-4", True]),
    "threshold_mode": ("one of 'rel', 'abs'", ["x", "REL", ""], [None, 3, True]),
    "mode": ("one of 'min', 'max'", ["x", "auto", "MIN"], [None, min, True]),
    "cooldown": (COUNT, [-1, 1.5, np.int64(-1)], [None, True, {}]),
    "min_scale": ("a number from 0 to 1", [-1, 2, nan, -TINY, 1.001], ["0", None, True]),
    "window": ("a whole number, 1 or more", [0, -1, 1.5, nan], [None, True, TWO]),
}
# What is said of numbers that seem to obey the rule.
HINTS = {
    0.99999999: ": in float32 JAX takes 0.99999999 for 1.0",
    TINY: ": in float32 JAX takes 1e-40 for 0.0",
    BIG: ": in float32 JAX takes 1e+39 for inf",
    2**31: ": an integer is at most 2147483647",
}
BAD = [
    pytest.param(parameter, rule, value, error, id=f"{parameter}-{str(value).replace(' ', '')}")
    for parameter, (rule, wrong, not_one) in REFUSED.items()
    for error, values in ((ValueError, wrong), (TypeError, not_one))
    for value in values
]


@pytest.mark.parametrize(("parameter", "rule", "value", "error"), BAD)
def test_a_bad_setting_raises_one_line_with_function_parameter_rule_and_value(
    parameter: str, rule: str, value: Any, error: type[Exception]
):
    with pytest.raises(error) as raised:
        plateau(**{parameter: value})
    shown = (
        "an array of shape (2,)"
        if np.shape(value) == (2,)
        else repr(getattr(value, "item", lambda: value)())
    )
    hint = HINTS.get(value, "") if isinstance(value, int | float) else ""
    assert str(raised.value) == f"reduce_on_plateau: {parameter} must be {rule}, got {shown}{hint}"


def test_a_traced_setting_of_a_wrong_shape_raises():
    def build(patience):
        return plateau(patience=patience).init(ONE)

    with pytest.raises(TypeError, match=r"^reduce_on_plateau: patience must be .*, got a traced"):
        jax.eval_shape(build, np.zeros(2, np.int32))


def test_an_unknown_setting_raises():
    with pytest.raises(TypeError, match="patients"):
        plateau(patients=3)


def test_value_left_out_at_update_raises_a_line_that_names_observe():
    opt = plateau()
    for arguments in ((ONE, opt.init(ONE)), (ONE, opt.init(ONE), ONE)):
        with pytest.raises(TypeError, match=r"^reduce_on_plateau: .*value=.*observe[^\n]*$"):
            opt.update(*arguments)
    chained = optax.chain(optax.sgd(0.1), opt)
    with pytest.raises(TypeError, match=r"^reduce_on_plateau: .*value=.*observe.*"):
        jax.eval_shape(chained.update, ONE, chained.init(ONE), ONE)


class Wordy:
    def __repr__(self) -> str:
        return "two\nlines"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        (np.zeros(3, np.float32), r"an array of shape \(3,\)"),
        (jnp.zeros(3, jnp.float32), r"an array of shape \(3,\)"),
        (jnp.zeros((1,), jnp.float32), r"an array of shape \(1,\)"),
        (object(), "<object"),
        ([1.0], r"\[1.0\]"),
        (True, "True"),
        (np.bool_(True), "True"),
        (1j, "1j"),
        (jnp.complex64(1), r"\(1\+0j\)"),
        (Wordy(), "two lines"),
    ],
)
def test_a_value_that_is_not_a_number_raises_one_line_at_update_and_at_observe(value: Any, shown: str):
    opt = plateau()
    state = opt.init(ONE)
    with pytest.raises(
        TypeError, match=f"^reduce_on_plateau: value must be a number.*, got {shown}[^\n]*$"
    ):
        opt.update(ONE, state, value=value)
    with pytest.raises(TypeError, match=f"^observe: value must be a number.*, got {shown}[^\n]*$"):
        observe(state, value)


def test_a_traced_array_as_value_raises():
    opt = plateau()
    with pytest.raises(TypeError, match=r"^reduce_on_plateau: value must be a number.*, got a traced"):
        jax.eval_shape(lambda loss: opt.update(ONE, opt.init(ONE), value=loss), np.zeros(3, np.float32))
