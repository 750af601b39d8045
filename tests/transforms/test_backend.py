"""Building starts no backend, and states share no arrays."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from support.amount import one_in
from support.injected import inject, labelled
from tables.cases import ROWS

import optax_sched as o

ROOT = Path(__file__).parents[2]

CODE = """
import sys
import jax, optax, optax_sched as o
from tables.loops import LOOPS

loops = [loop.make(0.1) for loop in LOOPS.values()]
names = {name: getattr(o, name) for name in o.__all__}
built = [
    *loops, *map(o.scale_by_feedback, loops), o.stack([o.plateau(0.1), o.plateau(0.2)]), o.live(0.1),
    o.reduce_on_plateau(), o.scale_by_schedule(0.1), o.scale_by_learning_rate(lambda step: 0.1),
    optax.inject_hyperparams(optax.adamw)(learning_rate=o.live(o.cosine_decay(0.1, 10))),
    optax.adamw(o.warmup(o.piecewise_constant([0.1, 0.01], [100]), 10)),
    o.from_source(repr(o.plateau(o.linear(0.1, 0.0, 10)))), o.from_config(o.to_config(loops[0])),
    *(eval(source, names) for source in sys.stdin.read().splitlines()),
]
print(*map(repr, built))
jax.config.update("jax_num_cpu_devices", 3)  # refused once a backend is there
assert len(jax.devices("cpu")) == 3
"""


def test_building_one_of_everything_starts_no_backend():
    sources = [repr(row.examples[0].schedule) for row in ROWS.values()]
    # Functions have no source, rows of the table's own builders are not public.
    calls = r"(\w+)\("
    sources = [s for s in sources if "<" not in s and {*re.findall(calls, s)} <= {*o.__all__}]
    sources += ["noisy(0.1, 3, 0.1)", "warmup(0.1, 5, shape=k_shape(0.5))", "select(0, [0.1, 0.2])"]
    assert len(sources) > 40
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE],
        cwd=ROOT,
        env={"PATH": "", "JAX_PLATFORMS": "cpu", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        input="\n".join(sources),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def loop(schedule: Any = 0.1) -> Any:
    return o.plateau(schedule, 0.5, 0)


SHARED = o.linear(0.1, 0.0, 10)
TRANSFORMATIONS: dict[str, Any] = {
    "scale_by_schedule": o.scale_by_schedule(SHARED),
    "scale_by_learning_rate": o.scale_by_learning_rate(o.linear(jnp.float32(0.1), 0.0, 10)),
    "reduce_on_plateau": o.reduce_on_plateau(),
    "scale_by_feedback": o.scale_by_feedback(loop(SHARED)),
    "plateau": inject(loop(jnp.float32(0.1))),
    "greedy": inject(o.greedy(SHARED)),
    "live": inject(o.live(SHARED), optax.adamw),
    "one object under two labels": labelled(inject(loop(SHARED)), inject(loop(SHARED))),
    "one transformation twice": optax.chain(
        *[o.reduce_on_plateau()] * 2, *[o.scale_by_schedule(SHARED)] * 2
    ),
    "in MultiSteps": optax.MultiSteps(optax.chain(optax.sgd(0.1), o.reduce_on_plateau()), 2),
}


@pytest.mark.promotes
@pytest.mark.parametrize("name", one_in(2, TRANSFORMATIONS))
def test_one_transformation_serves_two_trainings_with_donated_states(name: str):
    opt = TRANSFORMATIONS[name]
    opt = opt if isinstance(opt, optax.MultiSteps) else optax.with_extra_args_support(opt)
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    step = jax.jit(lambda state: opt.update(params, state, params, value=1.0)[1], donate_argnums=0)
    for _ in range(2):
        state = step(step(opt.init(params)))
        if "plateau" in name or "feedback" in name:
            state = step(o.replace_feedback(o.observe(state, 1.0), patience=3, reset=True))
            state = step(step(o.replace_feedback(state, patience=2)))
        jax.block_until_ready(state)


def test_the_users_own_arrays_are_not_donated_with_the_state():
    rate = jnp.float32(0.1)
    for opt in (o.scale_by_learning_rate(o.linear(rate, 0.0, 10)), inject(o.plateau(rate, rate))):
        opt = optax.with_extra_args_support(opt)
        step = jax.jit(
            lambda state, opt=opt: opt.update(1.0, state, 1.0, value=1.0)[1], donate_argnums=0
        )
        step(step(opt.init(jnp.ones(()))))
        assert float(rate) == jnp.float32(0.1)
