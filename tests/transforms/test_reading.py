"""`current_value` reads the rate in an optimizer's state, however that is arranged."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.amount import one_in
from support.injected import FALL, PARAMS, close, cutting, inject, labelled, once, rate, two, with_value

import optax_sched
from optax_sched import (
    current_value,
    greedy,
    linear,
    observe,
    plateau,
    reduce_on_plateau,
    scale_by_schedule,
    warmup,
)

ONE = np.float32(1.0)
STUCK = [1.0, 1.0, 1.0, 1.0]  # with patience 0, scales of 1, 1/2, 1/4 and 1/8
FALLING = [0.4, 0.3, 0.2, 0.1]  # as FALL does
CUT = [0.4, 0.15, 0.05, 0.0125]  # FALL, times those scales
RAISED = [0.8, 0.3, 0.1, 0.025]  # the same, by greedy, which the first loss makes rise to 2


@pytest.fixture(autouse=True)
def standard_promotion():
    """optax's own arithmetic does not run under strict promotion, whatever a conftest may set."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def only(label: Any, rates: list[Any]) -> list[dict[Any, Any]]:
    return [{label: rate} for rate in rates]


# An optimizer that makes of a gradient of 1 minus its rate, and its rates at four losses of 1, by
# label where it has labels.
ARRANGEMENTS: dict[str, tuple[Any, list[Any]]] = {
    "alone": (rate(), FALLING),
    "a number": (rate(0.3), [0.3] * 4),
    "a lambda": (rate(lambda count: 0.1 * (count + 1)), [0.1, 0.2, 0.3, 0.4]),
    "scale_by_schedule, flipped": (optax.chain(scale_by_schedule(FALL), optax.scale(-1.0)), FALLING),
    "at the end of a chain": (optax.chain(optax.scale_by_sign(), optax.clip(1.0), rate()), FALLING),
    "in a named chain": (optax.named_chain(("adam", optax.identity()), ("rate", rate())), FALLING),
    "in a chain of chains": (optax.chain(optax.chain(optax.identity(), optax.chain(rate()))), FALLING),
    "two that multiply": (optax.chain(rate(), scale_by_schedule(FALL)), [v * v for v in FALLING]),
    "in MultiSteps": (optax.MultiSteps(rate(), 2), [0.4, 0.4, 0.4, 0.3]),
    "masked": (optax.masked(rate(), {"a": True, "b": False}), FALLING),
    "in apply_if_finite": (optax.apply_if_finite(rate(), 3), FALLING),
    "inject, a number": (inject(0.3), [0.3] * 4),
    "inject, an array": (inject(jnp.float32(0.3)), [0.3] * 4),
    "inject, a schedule": (inject(FALL), FALLING),
    "inject, optax's schedule": (inject(optax.linear_schedule(0.4, 0.0, 4)), FALLING),
    "inject, plateau": (inject(plateau(FALL, 0.5, 0)), CUT),
    "inject, greedy": (inject(greedy(FALL, 0.5, 0)), RAISED),
    "inject, plateau with a floor": (
        inject(plateau(FALL, 0.5, 0, min_value=0.1)),
        [0.4, 0.15, 0.1, 0.1],
    ),
    "inject in a chain": (optax.chain(optax.clip(1.0), inject(plateau(FALL, 0.5, 0))), CUT),
    "inject in MultiSteps": (optax.MultiSteps(inject(plateau(FALL, 0.5, 0)), 2), [0.4, 0.4, 0.4, 0.15]),
    "inject in inject": (
        optax.inject_hyperparams(
            lambda rate: inject(FALL, lambda learning_rate: optax.sgd(learning_rate))
        )(rate=1.0),
        FALLING,
    ),
    "inject with a plateau inside": (
        inject(FALL, lambda learning_rate: optax.chain(optax.sgd(learning_rate), cutting())),
        CUT,
    ),
    "a plateau that drives another number": (
        optax.inject_hyperparams(optax.sgd)(learning_rate=FALL, momentum=plateau(0.0, 0.5, 0)),
        FALLING,
    ),
    "reduce_on_plateau after": (optax.chain(rate(), cutting()), CUT),
    "reduce_on_plateau after inject": (optax.chain(inject(FALL), cutting()), CUT),
    "reduce_on_plateau before": (optax.chain(cutting(), inject(0.4)), [0.4, 0.2, 0.1, 0.05]),
    "two of them": (optax.chain(rate(), cutting(), cutting()), [0.4, 0.075, 0.0125, 0.1 / 64]),
    "reduce_on_plateau after plateau": (
        optax.chain(inject(plateau(1.0, 0.5, 0)), cutting()),
        [1, 1 / 4, 1 / 16, 1 / 64],
    ),
    "reduce_on_plateau after MultiSteps": (
        optax.chain(optax.MultiSteps(rate(), 2).gradient_transformation(), cutting()),
        [0.4, 0.2, 0.1, 0.0375],
    ),
    "multi_transform": (
        labelled(rate(), inject(plateau(1.0, 0.5, 0))),
        two(FALLING, [1, 0.5, 0.25, 0.125]),
    ),
    "partition": (
        optax.partition({"x": rate(), "y": inject(0.3)}, {"a": "x", "b": "y"}),
        two(FALLING, [0.3] * 4),
    ),
    "multi_transform, each with a plateau": (
        labelled(optax.chain(rate(), cutting()), optax.chain(inject(0.3), reduce_on_plateau())),
        two(CUT, [0.3] * 4),
    ),
    "multi_transform, a label without a rate": (
        labelled(rate(), optax.scale(-1.0)),
        only("x", FALLING),
    ),
    "multi_transform, a label with a count": (labelled(rate(), optax.adam(FALL)), only("x", FALLING)),
    "multi_transform, a label with a plateau alone": (labelled(rate(), cutting()), only("x", FALLING)),
    "multi_transform, numbers as labels": (
        optax.multi_transform({0: inject(0.3), 1: rate()}, {"a": 1, "b": 0}),
        [{0: 0.3, 1: v} for v in FALLING],
    ),
    "multi_transform before a plateau": (
        optax.chain(labelled(rate(), inject(0.4)), cutting()),
        two(CUT, [0.4, 0.2, 0.1, 0.05]),
    ),
    "multi_transform after a plateau": (
        optax.chain(cutting(), labelled(rate(), inject(0.4))),
        two(CUT, [0.4, 0.2, 0.1, 0.05]),
    ),
    "multi_transform beside a rate": (
        optax.chain(rate(), labelled(scale_by_schedule(0.5), optax.identity())),
        two([0.2, 0.15, 0.1, 0.05], FALLING),
    ),
    "multi_transform of plateaus": (
        optax.chain(rate(), labelled(cutting(), optax.identity())),
        two(CUT, FALLING),
    ),
    "multi_transform without either": (
        optax.chain(labelled(optax.scale_by_sign(), optax.identity()), rate()),
        FALLING,
    ),
    "two multi_transforms": (
        optax.chain(labelled(rate(), inject(0.4)), labelled(optax.identity(), cutting())),
        two(FALLING, [0.4, 0.2, 0.1, 0.05]),
    ),
    "multi_transform in MultiSteps": (
        optax.MultiSteps(labelled(rate(), inject(1.0)), 2),
        two([0.4, 0.4, 0.4, 0.3], [1] * 4),
    ),
    "multi_transform in apply_if_finite": (
        optax.apply_if_finite(optax.chain(labelled(rate(), inject(1.0))), 2),
        two(FALLING, [1] * 4),
    ),
    "multi_transform in multi_transform": (
        optax.multi_transform({"x": labelled(rate(), inject(1.0))}, {"a": "x", "b": "x"}),
        only("x", two(FALLING, [1] * 4)),
    ),
}
NAMES = pytest.mark.parametrize("name", ARRANGEMENTS)
# What is read of them is read in the same way of another one, so they are updated where all is asked.
LIKE_OTHERS = {
    "a number",
    "a lambda",
    "in a named chain",
    "two that multiply",
    "inject, an array",
    "inject, optax's schedule",
    "inject, greedy",
    "inject in a chain",
    "inject in MultiSteps",
    "reduce_on_plateau after inject",
    "two of them",
    "reduce_on_plateau after MultiSteps",
    "partition",
    "multi_transform, a label with a count",
    "multi_transform, numbers as labels",
    "multi_transform after a plateau",
    "multi_transform beside a rate",
    "two multi_transforms",
}
# Labels, where they are not the params' own, and what a mask or a count keeps from reading.
LEAVES = {"multi_transform, numbers as labels": {1: "a", 0: "b"}}


def rate_of_each_leaf(name: str, read: Any) -> dict[str, Any]:
    """What was read, by parameter."""
    if not isinstance(read, dict):
        return {"a": read} if name == "masked" else {"a": read, "b": read}
    if name == "multi_transform in multi_transform":
        read = read["x"]
    leaves = LEAVES.get(name, {"x": "a", "y": "b"})
    return {leaves[label]: value for label, value in read.items()}


@pytest.mark.parametrize(
    "name",
    [
        *one_in(2, [name for name in ARRANGEMENTS if name not in LIKE_OTHERS]),
        *(pytest.param(name, marks=pytest.mark.wide) for name in sorted(LIKE_OTHERS)),
    ],
)
def test_it_is_the_rate_that_every_update_uses_and_before_the_first_the_one_it_will_use(name: str):
    opt, wanted = ARRANGEMENTS[name]
    opt = with_value(opt)

    @once
    def update(state, loss):
        updates, state = opt.update(PARAMS, state, PARAMS, value=loss)
        return updates, state, current_value(state)

    state = opt.init(PARAMS)
    # Only a greedy's first loss can change the first rate.
    close(current_value(state), 0.4 if name == "inject, greedy" else wanted[0])
    updated = 0
    for loss, rates in zip(STUCK, wanted, strict=True):
        updates, state, read = update(state, np.float32(loss))
        close(read, rates)
        chex.assert_trees_all_equal(current_value(state), read)  # read from outside jit
        if any(jnp.any(leaf != 0) for leaf in updates.values()):  # MultiSteps has not waited
            updated += 1
            for leaf, used in rate_of_each_leaf(name, rates).items():
                np.testing.assert_allclose(updates[leaf], [-used] * 2, rtol=1e-6)
    assert updated == (2 if "MultiSteps" in name else 4)


@NAMES
def test_reading_changes_no_state_and_gives_scalars(name: str):
    opt, _ = ARRANGEMENTS[name]
    state = jax.eval_shape(opt.init, PARAMS)
    read = jax.eval_shape(current_value, state)
    assert {leaf.shape for leaf in jax.tree.leaves(read)} == {()}
    assert all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(read))


WITH_PLATEAU = {
    "inject, plateau": 0.5,
    "inject in MultiSteps": 0.5,
    "reduce_on_plateau after": 0.5,
    "reduce_on_plateau before": 0.5,
    "reduce_on_plateau after plateau": 0.25,
    "inject with a plateau inside": 0.5,
    "multi_transform": {"x": 1, "y": 0.5},
    "multi_transform, each with a plateau": {"x": 0.5, "y": 1},
    "multi_transform before a plateau": {"x": 0.5, "y": 0.5},
}


@pytest.mark.parametrize("name", WITH_PLATEAU)
def test_observe_changes_it_at_once(name: str):
    opt, wanted = ARRANGEMENTS[name]
    state = opt.init(PARAMS)
    for _ in range(2):
        state = observe(state, 1.0)
    first, change = wanted[0], WITH_PLATEAU[name]
    if isinstance(change, dict):
        close(current_value(state), {label: first[label] * change[label] for label in change})
    else:
        close(current_value(state), first * change)


def test_after_an_update_observe_scales_the_rate_that_it_used():
    opt = inject(plateau(FALL, 0.5, 0))
    state = opt.init(PARAMS)
    for loss in STUCK[:2]:
        _, state = opt.update(PARAMS, state, PARAMS, value=loss)
    close(current_value(state), 0.15)
    state = observe(state, 1.0)
    close(current_value(state), 0.075)
    updates, state = opt.update(PARAMS, state, PARAMS, value=None)
    close(current_value(state), 0.05)
    np.testing.assert_allclose(updates["a"], [-0.05] * 2, rtol=1e-6)


def test_a_number_that_is_set_by_hand_is_read():
    opt = inject(0.4)
    state = opt.init(PARAMS)
    state.hyperparams["learning_rate"] = 0.25
    assert current_value(state) == 0.25
    assert current_value(state).shape == ()
    updates, _ = opt.update(PARAMS, state, PARAMS)
    assert updates["a"][0] == -0.25


def test_a_rate_that_is_negative_or_0_is_read_as_it_is():
    assert current_value(scale_by_schedule(-0.5).init(PARAMS)) == -0.5
    assert current_value(rate(warmup(0.5, 2)).init(PARAMS)) == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_for_params_of_low_precision_it_is_the_rate_to_their_precision(dtype: str):
    params = jnp.ones(2, dtype)
    for opt in (inject(plateau(FALL, 0.5, 0)), rate(), optax.chain(inject(FALL), cutting())):
        opt = with_value(opt)
        updates, state = opt.update(params, opt.init(params), params, value=1.0)
        read = current_value(state)
        np.testing.assert_allclose(read, 0.4, rtol=float(jnp.finfo(dtype).eps))
        assert updates.dtype == dtype
        np.testing.assert_array_equal(updates, -jnp.full(2, read.astype(dtype)))


def test_a_batch_of_states_gives_a_batch_of_rates():
    @jax.jit
    def run(peaks):
        opts = lambda peak: inject(plateau(linear(peak, 0.0, 4), 0.5, 0))  # noqa: E731
        states = jax.vmap(lambda peak: opts(peak).init(ONE))(peaks)
        return current_value(states), jax.vmap(current_value)(states)

    peaks = np.array([0.1, 0.2], np.float32)
    for read in run(peaks):
        np.testing.assert_array_equal(read, peaks)


WITHOUT_RATE = {
    "adamw of a schedule": optax.adamw(FALL),
    "sgd of a number": optax.sgd(0.1),
    "optax's scale_by_schedule": optax.scale_by_schedule(FALL),
    "inject of something else": optax.inject_hyperparams(optax.scale_by_adam)(b1=FALL),
    "a plateau alone": optax.chain(optax.sgd(0.1), cutting()),
    "MultiSteps of one": optax.MultiSteps(optax.adamw(FALL), 2),
    "multi_transform without any": labelled(optax.adamw(FALL), optax.sgd(0.1)),
    "multi_transform with a plateau": labelled(optax.adamw(FALL), cutting()),
    "nothing": optax.identity(),
}


@pytest.mark.parametrize("name", WITHOUT_RATE)
def test_where_there_is_no_rate_one_line_says_what_to_use_instead(name: str):
    state = WITHOUT_RATE[name].init(PARAMS)
    for read in (current_value, functools.partial(jax.eval_shape, current_value)):
        with pytest.raises(
            ValueError,
            match=r"^current_value: opt_state holds no rate[^\n]*optax\.inject_hyperparams[^\n]*"
            r"optax_sched\.scale_by_learning_rate",
        ) as raised:
            read(state)
        if read is current_value:  # jit adds a remark of its own
            assert "\n" not in str(raised.value)


def test_the_remedies_that_the_error_names_are_remedies():
    for opt in (inject(FALL, optax.adamw), optax.chain(optax.scale_by_adam(), rate())):
        close(current_value(opt.init(PARAMS)), 0.4)


def test_an_optimizer_instead_of_its_state_is_named():
    o: Any = optax_sched  # type checkers refuse these calls
    opt = optax.chain(optax.identity(), o.scale_by_learning_rate(0.1))
    uses = {
        "current_value": lambda: o.current_value(opt),
        "replace_schedule": lambda: o.replace_schedule(opt, 0.1),
        "replace_feedback": lambda: o.replace_feedback(opt, patience=3),
        "observe": lambda: o.observe(opt, 0.1),
    }
    for where, use in uses.items():
        with pytest.raises(
            TypeError, match=rf"^{where}: opt_state must be an optimizer's state, .*itself$"
        ):
            use()
