"""The examples with Flax and Equinox, run as a user runs them, and `nnx.Optimizer` with plateaus."""

import re
import runpy
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.example_runs import EXAMPLES, assert_refuses, run

import optax_sched as o

nnx = pytest.importorskip("flax.nnx", reason="flax needs wheels that this Python has not yet")

FLAX = EXAMPLES / "flax_nnx_plateau.py"
EQUINOX = EXAMPLES / "equinox_sweep.py"
EPOCHS, RATE = 20, 0.03

BAD_OPTIONS = [
    (FLAX, "--epochs", "0"),
    (FLAX, "--rate", "0"),
    (FLAX, "--rate", "nan"),
    (FLAX, "--rate", "high"),
    (FLAX, "--patience", "-1"),
    (FLAX, "--patience", "two"),
    (FLAX, "--seed", "0.5"),
    (EQUINOX, "--epochs", "many"),
    (EQUINOX, "--peaks", "0"),
    (EQUINOX, "--horizons", "21"),
    (EQUINOX, "--seed", "-1"),
]


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Examples may import one another, as they do where a user runs them."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def printed(script: Path, *options: str, cwd: Path) -> str:
    """What the script prints, where it leaves nothing behind."""
    done = run(script, *options, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    assert list(cwd.iterdir()) == []
    return done.stdout


def rows(text: str) -> list[list[str]]:
    """The cells of the printed table."""
    lines = [line for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


@pytest.fixture(scope="module")
def flax_printed(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("flax")
    options = ("--epochs", str(EPOCHS), "--rate", str(RATE), "--patience", "0", "--seed", "1")
    return printed(FLAX, *options, cwd=folder)


def test_flax_learns(flax_printed):
    *_, (_, _, loss, accuracy) = rows(flax_printed)
    assert float(loss) < 0.3
    assert float(accuracy.rstrip("%")) > 90


def test_flax_prints_each_cut_and_a_row_for_each_rate(flax_printed):
    cuts = re.findall(r"^epoch (\d+): .* the rate is cut to (\S+)$", flax_printed, re.MULTILINE)
    assert len(cuts) >= 2
    rates = [float(rate) for _, rate in cuts]
    # Each is 0.3 of the one before, down to a hundredth of the first.
    want = [RATE * max(0.3**number, 0.01) for number in range(1, len(cuts) + 1)]
    assert rates == pytest.approx(want, rel=1e-2)
    spans = [f"{first} to {last}" for first, last in spans_between([int(epoch) for epoch, _ in cuts])]
    assert [row[0] for row in rows(flax_printed)] == spans
    assert [float(row[1]) for row in rows(flax_printed)] == [RATE, *rates][: len(spans)]


def spans_between(cuts: list[int]) -> list[tuple[int, int]]:
    firsts = [1, *(epoch + 1 for epoch in cuts if epoch < EPOCHS)]
    return list(zip(firsts, [*(first - 1 for first in firsts[1:]), EPOCHS], strict=True))


def test_equinox_prints_the_best_five_of_one_program(tmp_path):
    options = ("--epochs", "5", "--peaks", "4", "--horizons", "2", "--seed", "1")
    shown = printed(EQUINOX, *options, cwd=tmp_path)
    assert "\n8 settings, 1 compiled program\n" in shown
    best = rows(shown)
    assert len(best) == 5
    losses = [float(row[3]) for row in best]
    assert losses == sorted(losses)
    assert float(best[0][4].rstrip("%")) > 90
    assert {row[0] for row in best} <= {"0.0003", "0.003", "0.03", "0.3"}
    assert {row[1] for row in best} <= {"110", "220"}


def test_equinox_trains_each_network_as_it_does_alone():
    example = runpy.run_path(str(EQUINOX))
    data, held_out = example["load"](seed=0)
    batches = jnp.asarray(example["draw_batches"](len(data.labels), epochs=1, seed=0))
    model = example["eqx"].nn.MLP(64, 10, 16, depth=1, key=jax.random.key(0))
    settings = example["list_settings"](2, 2, len(batches))
    peaks, horizons = map(jnp.array, zip(*settings, strict=True))
    schedules = jax.vmap(example["make_schedule"])(peaks, horizons)
    together = example["train_all"](schedules, model, batches, data, held_out)
    # jax.jit, since to Equinox's filter_jit a number that is no array is a constant of the program.
    train = jax.jit(lambda schedule: example["train"](schedule, model, batches, data, held_out))
    for i, setting in enumerate(settings):
        alone = train(example["make_schedule"](*setting))
        for scores, score in zip(together, alone, strict=True):
            np.testing.assert_allclose(scores[i], score, rtol=1e-3)
    assert example["programs"]["train"] == 2


@pytest.mark.parametrize(("script", "option", "value"), BAD_OPTIONS)
def test_refuses(script, option, value, tmp_path, monkeypatch, capsys):
    assert_refuses(script, option, value, tmp_path, monkeypatch, capsys)


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
