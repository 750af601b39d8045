"""A user's program: the wheel runs it, and a type checker in strict mode finds nothing to say."""

from typing import Any, assert_type

import jax
import numpy as np
import optax  # pyright: ignore[reportMissingTypeStubs]  # it ships no py.typed

from optax_sched import (
    ClosedLoop,
    LiveSchedule,
    RangeTest,
    Schedule,
    constant,
    cosine_decay,
    current_value,
    feedback,
    from_config,
    greedy,
    grid,
    join,
    live,
    lr_range_test,
    mix,
    multiply,
    noisy,
    observe,
    piecewise_constant,
    plateau,
    progress,
    reduce_on_plateau,
    remaining,
    replace_feedback,
    replace_schedule,
    scale_by_feedback,
    scale_by_learning_rate,
    scale_by_schedule,
    schedule,
    select,
    stack,
    sweep,
    to_config,
    unstack,
    warmup,
    wsd,
)
from optax_sched.typing import Growth, Operand, Positive, Rate, Steps


def root(step: jax.Array) -> jax.Array:
    return 0.1 / (1 + step)


# Schedules, and what they are at a step.
rate = warmup(cosine_decay(3e-4, decay_steps=900, end_value=np.float32(0.0)), 100, shape="sqrt")
parts = join([rate, 0.1, root], boundaries=[10, 20])
chosen = select(0, [multiply(rate, 0.5), piecewise_constant([0.1, 0.01], [100])])
noise = noisy(wsd(0.1, 10, 20, 100, shape="linear"), jax.random.key(0), 0.1, kind="uniform")
assert_type(rate, Schedule)
assert_type(rate.replace(warmup_steps=50), Schedule)
assert_type(rate(1000), jax.Array)
assert_type(rate(np.arange(10)), jax.Array)

# In optax.
params = {"w": np.ones(3, np.float32)}
adam = optax.adamw(rate)
chain = optax.chain(
    optax.scale_by_adam(), scale_by_learning_rate(rate), reduce_on_plateau(factor=0.5, patience=2)
)
assert_type(scale_by_schedule(root), optax.GradientTransformation)
state = chain.init(params)
updates, state = chain.update(params, state, params, value=0.5)
state = observe(state, 0.3)
state = replace_schedule(state, rate)
assert_type(current_value(state), Any)
cut = optax.inject_hyperparams(optax.adamw)(learning_rate=plateau(rate, factor=0.5))
raised = optax.inject_hyperparams(optax.adamw)(learning_rate=greedy(0.1))
told = optax.inject_hyperparams(optax.adamw)(learning_rate=live(rate))
assert_type(plateau(rate, 0.5, min_value=1e-5), ClosedLoop)
assert_type(plateau(rate, patience=2, observe_only=True).replace(factor=0.2), ClosedLoop)
assert_type(live(rate), LiveSchedule)
grouped = optax.multi_transform(
    {"x": scale_by_learning_rate(rate), "y": scale_by_learning_rate(0.1)}, {"w": "x"}
).init(params)
grouped = replace_schedule(grouped, {"x": rate, "y": 0.2}, retrace=True)
state = replace_feedback(state, reset=True, patience=3)


@feedback
def spike_guard(scale: jax.Array, value: jax.Array, limit: Positive, factor: Growth = 1.5) -> jax.Array:
    return scale / factor ** (value > limit)


adaptive = spike_guard(rate, limit=5.0, min_value=1e-6)
assert_type(adaptive, ClosedLoop)
assert_type(spike_guard(0.1, 0.01), ClosedLoop)
assert_type(scale_by_feedback(adaptive), optax.GradientTransformationExtraArgs)

# Many at once.
singles = unstack(stack([cosine_decay(0.1, 10), cosine_decay(0.2, 20)]))
batch, settings = grid(cosine_decay, init_value=[0.1, 0.2], decay_steps=[10, 20])
assert_type(batch, Schedule)


def half_way(schedule: Schedule) -> jax.Array:
    return schedule(5)


results = sweep(half_way, batch, chunk_size=2)
mapped: Schedule = jax.vmap(cosine_decay)(np.array([0.1, 0.2]), np.array([10, 20]))


# A range test.
def step_fn(x: jax.Array, target: jax.Array, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x - rate * (x - target), ((x - target) ** 2).sum()


found = lr_range_test(step_fn, np.ones(3, np.float32), np.zeros((20, 3), np.float32), num_steps=20)
assert_type(found, RangeTest)
assert_type(found.valley, jax.Array)

# Configs.
config = to_config(rate)
assert_type(config, dict[str, Any])
assert_type(from_config(config), Schedule)


# One's own.
@schedule
def mine(step: jax.Array, init_value: Rate, decay_steps: Steps, end_value: Rate = 0.0) -> jax.Array:
    return mix(end_value, init_value, remaining(step, decay_steps), progress(step, decay_steps))


@schedule(name="scaled")
def scaled(step: jax.Array, base: Operand, factor: Rate) -> jax.Array:
    return base(step) * factor


assert_type(mine(0.1, decay_steps=100), Schedule)
assert_type(scaled(mine(0.1, 100), factor=2.0), Schedule)
assert_type(scaled(constant(0.1), 2.0)(3), jax.Array)
