"""The runs that are stopped and continued, and the new process that continues them.

    python tests/support/resumed_runs.py FOLDER

is the new process. It knows the programs, and has all else from the checkpoints in the folder, orbax's
own.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optax_sched as o

sys.path.insert(0, str(Path(__file__).parents[1]))  # in the new process
from tables.loops import trend

STEPS = 120
CHANGE = 30  # the step at which a run gets another schedule, where it gets one


class TrainState(NamedTuple):
    step: jax.Array
    params: Any
    opt_state: Any


def anywhere(state: TrainState) -> bool:
    return 0 < int(state.step) < STEPS


def after_the_change(state: TrainState) -> bool:
    return CHANGE < int(state.step) < STEPS


def amid_a_window_and_a_cooldown(state: TrainState) -> bool:
    (plateau,) = plateaus(state)
    return bool(anywhere(state) and plateau.window_count > 0 and plateau.cooldown_count > 0)


def plateaus(state: Any) -> list[o.PlateauState]:
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, o.PlateauState))
    return [node for node in nodes if isinstance(node, o.PlateauState)]


class Run(NamedTuple):
    optimizer: Callable[[], optax.GradientTransformation]
    may_stop: Callable[[TrainState], bool] = anywhere
    new_schedule: Any = None


halving = o.schedule(
    lambda step, init_value, period: init_value * 0.5 ** (step // period), name="halving"
)

COSINE = o.warmup(o.cosine_decay(0.03, 100), 10)
EVERYTHING = o.join(
    [
        o.multiply(o.piecewise_interpolate([0.0, 0.03, 0.01], [10, 50]), o.cyclic(0.5, 1.0, 7)),
        o.noisy(o.cosine_restarts(0.03, 10, period_mult=1.5), jax.random.key(0), 0.2),
        o.select(1, [o.table([0.01, 0.02]), halving(0.03, 13), 0.02]),
        o.wsd(0.02, 2, 10, 30),
    ],
    [20, 50, 80],
)
RULE = {"factor": 0.5, "patience": 1, "cooldown": 3, "window": 4}


def adam(*links: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.chain(optax.scale_by_adam(), *links)


def injected(schedule: Any) -> optax.GradientTransformation:
    return optax.inject_hyperparams(optax.adamw)(learning_rate=schedule)


RUNS = {
    "scale_by_learning_rate": Run(lambda: adam(o.scale_by_learning_rate(COSINE))),
    "all kinds of schedules": Run(lambda: adam(o.scale_by_learning_rate(EVERYTHING))),
    "replaced schedule": Run(
        lambda: adam(o.scale_by_learning_rate(COSINE)),
        after_the_change,
        o.warmup(o.cosine_decay(0.06, 70), 10),
    ),
    "knots": Run(lambda: adam(o.scale_by_learning_rate(o.piecewise_interpolate([0.03, 0.0], [99])))),
    "the line": Run(lambda: adam(o.scale_by_learning_rate(o.linear(0.03, 0.01, 100)))),
    "optax.adamw": Run(lambda: optax.adamw(COSINE)),
    "inject_hyperparams": Run(lambda: injected(COSINE)),
    "reduce_on_plateau": Run(
        lambda: adam(o.scale_by_learning_rate(COSINE), o.reduce_on_plateau(**RULE)),
        amid_a_window_and_a_cooldown,
    ),
    "plateau": Run(lambda: injected(o.plateau(COSINE, **RULE)), amid_a_window_and_a_cooldown),
    "greedy": Run(lambda: injected(o.greedy(COSINE, **RULE)), amid_a_window_and_a_cooldown),
    "live": Run(lambda: injected(o.live(COSINE))),
    "own rule": Run(lambda: injected(trend(COSINE, first=2.0))),
}


class Misfit(NamedTuple):
    """A program that is given the checkpoint of another."""

    saved: str
    optimizer: Callable[[], optax.GradientTransformation]
    named: str  # a pattern in the error


PARTS = EVERYTHING.schedules

MISFITS = {
    "another schedule": Misfit(
        "scale_by_learning_rate",
        lambda: adam(o.scale_by_learning_rate(o.warmup(o.linear(0.03, 0.0, 100), 10))),
        r"'schedule', 'warmup\(linear\).schedule', 'linear.init_value'",
    ),
    "a formula of the same names": Misfit(
        "the line",
        lambda: adam(o.scale_by_learning_rate(o.exponential(0.03, 0.01, 100))),
        "'schedule', 'exponential.init_value'",
    ),
    "another shape": Misfit(
        "scale_by_learning_rate",
        lambda: adam(o.scale_by_learning_rate(o.warmup(o.cosine_decay(0.03, 100), 10, shape="cosine"))),
        r"'schedule', 'warmup\(cosine\).schedule'",
    ),
    "no warm-up": Misfit(
        "scale_by_learning_rate",
        lambda: adam(o.scale_by_learning_rate(o.cosine_decay(0.03, 100))),
        "'schedule', 'cosine_decay.init_value'",
    ),
    "one part less": Misfit(
        "all kinds of schedules",
        lambda: adam(o.scale_by_learning_rate(o.join(PARTS[:3], [20, 50]))),
        r"schedule\.join\.schedules",
    ),
    "one knot more": Misfit(
        "knots",
        lambda: adam(o.scale_by_learning_rate(o.piecewise_interpolate([0.0, 0.03, 0.0], [10, 99]))),
        # Orbax names whichever of the two it meets first.
        r"\(3,\) is not compatible with the stored shape: \(2,\)"
        r"|\(2,\) is not compatible with the stored shape: \(1,\)",
    ),
    "optax's own": Misfit("scale_by_learning_rate", lambda: optax.adamw(COSINE), "'opt_state', '2'"),
    "a plateau more": Misfit(
        "scale_by_learning_rate",
        lambda: adam(o.scale_by_learning_rate(COSINE), o.reduce_on_plateau(**RULE)),
        "'opt_state', '2', 'memory', 'scale'",
    ),
    "a plateau less": Misfit(
        "reduce_on_plateau", lambda: adam(o.scale_by_learning_rate(COSINE)), "opt_state"
    ),
    "no plateau inside": Misfit("plateau", lambda: injected(COSINE), "hyperparams_states"),
}


class Edited(NamedTuple):
    """A program whose config was edited since the checkpoint, and the line by which the edit counts."""

    saved: str
    optimizer: Callable[[], optax.GradientTransformation]
    line: Callable[[Any], Any]


LONGER = o.warmup(o.cosine_decay(0.03, 400), 10)
FALLING = o.warmup(o.linear(0.02, 0.005, 105), 5, shape="cosine")

EDITED = {
    "a longer horizon": Edited(
        "scale_by_learning_rate",
        lambda: adam(o.scale_by_learning_rate(LONGER)),
        lambda opt_state: o.replace_schedule(opt_state, LONGER, retrace=True),
    ),
    "another family": Edited(
        "scale_by_learning_rate",
        lambda: adam(o.scale_by_learning_rate(FALLING)),
        lambda opt_state: o.replace_schedule(opt_state, FALLING, retrace=True),
    ),
    "another family inside live": Edited(
        "live",
        lambda: injected(o.live(FALLING)),
        lambda opt_state: o.replace_schedule(opt_state, FALLING, retrace=True),
    ),
    "another plateau": Edited(
        "plateau",
        lambda: injected(o.plateau(COSINE, factor=0.7, patience=0, window=3)),
        lambda opt_state: o.replace_feedback(opt_state, factor=0.7, patience=0, cooldown=0, window=3),
    ),
}


def initial(optimizer: optax.GradientTransformation) -> TrainState:
    draw = np.random.default_rng(0)
    params = {"in": jnp.float32(draw.normal(size=(3, 8))), "out": jnp.float32(draw.normal(size=8))}
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def trainer(optimizer: optax.GradientTransformation) -> Callable[[TrainState], Any]:
    update = optax.with_extra_args_support(optimizer).update
    batches = jnp.float32(np.random.default_rng(1).normal(size=(STEPS, 16, 3)))

    def mean_loss(params: Any, step: jax.Array) -> jax.Array:
        x = batches[step]
        return jnp.mean((jnp.tanh(x @ params["in"]) @ params["out"] - jnp.sin(x.sum(axis=1))) ** 2)

    @jax.jit
    def train_step(state: TrainState) -> Any:
        loss, gradient = jax.value_and_grad(mean_loss)(state.params, state.step)
        updates, opt_state = update(gradient, state.opt_state, state.params, value=loss)
        return TrainState(state.step + 1, optax.apply_updates(state.params, updates), opt_state), loss

    return train_step


def resume(folder: Path) -> None:
    """What the new process does: it continues every checkpoint, and tries the misfits."""
    import orbax.checkpoint as orbax  # it has no wheels for the newest Python yet

    with orbax.StandardCheckpointer() as checkpointer:
        for name, run in RUNS.items():
            train_step = trainer(run.optimizer())
            for checkpoint in checkpoints(folder, name):
                save(checkpoint, *continued(checkpointer.restore(checkpoint, target(run)), train_step))
        for name, edited in EDITED.items():
            checkpoint = checkpoints(folder, edited.saved)[0]
            state = checkpointer.restore(checkpoint, target(RUNS[edited.saved]))
            state = state._replace(opt_state=edited.line(state.opt_state))
            save(folder / name, *continued(state, trainer(edited.optimizer())))
        complaints = {}
        for name, misfit in MISFITS.items():
            try:
                restored = checkpointer.restore(checkpoints(folder, misfit.saved)[0], target(misfit))
                complaints[name] = f"restored {restored}"
            except Exception as error:
                complaints[name] = f"{type(error).__name__}: {error}"
    (folder / "complaints.json").write_text(json.dumps(complaints), encoding="utf-8")


def continued(state: TrainState, train_step: Callable[[TrainState], Any]) -> tuple[TrainState, Any]:
    """The state at the end, and the losses until then."""
    losses = []
    while state.step < STEPS:
        state, loss = train_step(state)
        losses.append(loss)
    return state, np.stack(losses)


def save(place: Path, state: TrainState, losses: Any) -> None:
    np.savez(place.with_suffix(".npz"), losses, *arrays(state))


def target(program: Run | Misfit) -> TrainState:
    """What orbax restores into: the program's own state, shapes and dtypes only."""
    return jax.eval_shape(lambda: initial(program.optimizer()))


def checkpoints(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name).iterdir() if path.is_dir()]


def arrays(state: TrainState) -> list[np.ndarray]:
    keys = jax.dtypes.prng_key
    return [
        np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, keys) else leaf)
        for leaf in jax.tree.leaves(state)
    ]


if __name__ == "__main__":
    resume(Path(sys.argv[1]))
