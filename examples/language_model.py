"""Trains a small transformer on Python's own source code, and cools one trunk down at three horizons.

    python examples/language_model.py --steps 1000 --peak 0.004

The text is Python's standard library, character by character; every tenth file is held out. Cosine
decay and a straight line to zero must know their end before they begin, so that each horizon costs a
training of its own. With warm-up, stable rate and decay (WSD) one trunk serves all: where a horizon
comes near, its state is taken, `replace_schedule` puts a cooldown that starts now into it, and the
trunk goes on. A schedule rides in the optimizer's state, as data: JAX compiles once for each family.
At the end there are a table, a picture and a few lines that WSD's last model writes.
"""

import functools
import sysconfig
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from branch_cooldown import NEVER, History
from compare_schedules import WEIGHT_DECAY, parse_options, smoothed
from flax import nnx
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from optax_sched import (
    Schedule,
    cooldown,
    current_value,
    replace_schedule,
    scale_by_learning_rate,
    warmup,
    warmup_cosine_decay,
    warmup_linear_decay,
)

PARTS = 20  # of the longest training: the updates of one call, and the length of the warm-up
HORIZONS = (5, 10, 20)  # in parts; the last fifth of each is its cooldown
COLORS = {"cosine": "tab:blue", "linear to zero": "tab:red", "WSD": "tab:green"}

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))  # all else is left out of the text
MOST_BYTES = 50_000  # of one file, so that none outweighs the rest
WIDTH, LAYERS, HEADS, CONTEXT = 128, 2, 4, 64
BATCH_SIZE = 16
HELD_OUT_WINDOWS = 1024

programs: Counter[str] = Counter()


class Setup(NamedTuple):
    """What all trainings have in common."""

    graph: Any  # the model without its numbers
    params: Any
    text: jax.Array  # to train on: the characters' places in the alphabet
    starts: np.ndarray  # in the text, of shape (PARTS, updates in a part, BATCH_SIZE)
    held_out: np.ndarray  # windows, of shape (HELD_OUT_WINDOWS, CONTEXT + 1)


class Result(NamedTuple):
    family: str
    start: int  # its first update
    history: History
    params: Any
    held_out_loss: float | None  # None for the trunk, which has no horizon


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.before_attention = nnx.RMSNorm(WIDTH, rngs=rngs)
        self.qkv = nnx.Linear(WIDTH, 3 * WIDTH, use_bias=False, rngs=rngs)
        self.out = nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs)
        self.before_feedforward = nnx.RMSNorm(WIDTH, rngs=rngs)
        self.up = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
        self.down = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        heads = self.qkv(self.before_attention(x)).reshape(*x.shape[:2], 3 * HEADS, -1)
        attended = jax.nn.dot_product_attention(*jnp.split(heads, 3, axis=2), is_causal=True)
        x = x + self.out(attended.reshape(x.shape))
        return x + self.down(jax.nn.gelu(self.up(self.before_feedforward(x))))


class Transformer(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.characters = nnx.Embed(len(ALPHABET), WIDTH, rngs=rngs)
        self.positions = nnx.Embed(CONTEXT, WIDTH, rngs=rngs)
        self.blocks = nnx.Sequential(*(Block(rngs) for _ in range(LAYERS)))
        self.norm = nnx.RMSNorm(WIDTH, rngs=rngs)
        self.last = nnx.Linear(WIDTH, len(ALPHABET), rngs=rngs)

    def __call__(self, characters: jax.Array) -> jax.Array:
        """The logits of each next character; `characters` has shape (batch, CONTEXT)."""
        x = self.characters(characters) + self.positions(jnp.arange(CONTEXT))
        return self.last(self.norm(self.blocks(x)))


def mean_loss(graph: Any, params: Any, windows: Any) -> jax.Array:
    """In nats per character."""
    logits = nnx.merge(graph, params)(windows[:, :-1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, windows[:, 1:]).mean()


@functools.partial(jax.jit, static_argnames="graph")
def held_out_loss(graph: Any, params: Any, windows: Any) -> jax.Array:
    batches = windows.reshape(-1, BATCH_SIZE, CONTEXT + 1)
    return jax.lax.map(functools.partial(mean_loss, graph, params), batches).mean()


def optimizer(schedule: Any) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(b2=0.99),
        optax.add_decayed_weights(WEIGHT_DECAY),
        scale_by_learning_rate(schedule),
    )


@functools.partial(jax.jit, static_argnames="graph")
def train_part(graph: Any, state: Any, text: jax.Array, starts: Any) -> Any:
    """As many updates as `starts` has rows: the new state, and each update's loss and rate."""
    programs["train_part"] += 1  # Python comes here only when JAX traces a new program
    _, (*_, scheduled) = state
    opt = optimizer(scheduled.schedule)

    def train_step(state: Any, starts: jax.Array) -> Any:
        params, opt_state = state
        windows = text[starts[:, None] + jnp.arange(CONTEXT + 1)]
        loss, gradient = jax.value_and_grad(mean_loss, argnums=1)(graph, params, windows)
        updates, opt_state = opt.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), (loss, current_value(opt_state))

    return jax.lax.scan(train_step, state, starts)


def train(setup: Setup, state: Any, first: int, end: int, bar: tqdm) -> tuple[Any, History]:
    """The parts from the first to before the end."""
    histories = []
    for starts in setup.starts[first:end]:
        state, losses_and_rates = train_part(setup.graph, state, setup.text, starts)
        histories.append(np.stack(losses_and_rates))
        bar.update(len(starts))
    return state, History(*np.concatenate(histories, axis=1))


def from_scratch(
    setup: Setup, name: str, family: Callable[..., Schedule], peak: float, bar: tqdm
) -> Iterator[Result]:
    """A training for each horizon, with a schedule that ends there."""
    length = setup.starts.shape[1]  # of a part
    for end in HORIZONS:
        schedule = family(peak, length, end * length)
        bar.set_description(f"{name}, to {end * length}")
        state = setup.params, optimizer(schedule).init(setup.params)
        (params, _), history = train(setup, state, 0, end, bar)
        loss = held_out_loss(setup.graph, params, setup.held_out)
        yield Result(name, 0, history, params, float(loss))


def trunk_and_branches(setup: Setup, peak: float, bar: tqdm) -> Iterator[Result]:
    """One trunk, and off it a cooldown to each horizon."""
    length = setup.starts.shape[1]
    schedule = cooldown(warmup(peak, length), start=NEVER, cooldown_steps=length)
    trunk = setup.params, optimizer(schedule).init(setup.params)
    histories, done = [], 0
    for end in HORIZONS:
        start = end - end // 5
        bar.set_description(f"WSD, the trunk to {start * length}")
        trunk, history = train(setup, trunk, done, start, bar)
        histories.append(history)
        done = start
        bar.set_description(f"WSD, the cooldown to {end * length}")
        params, opt_state = trunk
        now = schedule.replace(start=start * length, cooldown_steps=(end - start) * length)
        branch = params, replace_schedule(opt_state, now)
        (params, _), history = train(setup, branch, start, end, bar)
        loss = held_out_loss(setup.graph, params, setup.held_out)
        yield Result("WSD", start * length, history, params, float(loss))
    yield Result("WSD", 0, History(*np.concatenate(histories, axis=1)), trunk[0], None)


def compare(setup: Setup, peak: float) -> list[Result]:
    length = setup.starts.shape[1]
    trunk, decays = max(HORIZONS) - max(HORIZONS) // 5, sum(end // 5 for end in HORIZONS)
    with tqdm(total=(2 * sum(HORIZONS) + trunk + decays) * length, unit="update") as bar:
        return [
            *from_scratch(setup, "cosine", warmup_cosine_decay, peak, bar),
            *from_scratch(setup, "linear to zero", warmup_linear_decay, peak, bar),
            *trunk_and_branches(setup, peak, bar),
        ]


def read_library() -> tuple[np.ndarray, np.ndarray]:
    """The text of the standard library's modules: to train on, and every tenth of them held out."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(folder.glob("[a-z]*.py"), key=lambda path: path.name)
    places = np.full(256, -1, np.int32)
    places[list(ALPHABET.encode())] = np.arange(len(ALPHABET))
    texts = [places[np.frombuffer(file.read_bytes()[:MOST_BYTES], np.uint8)] for file in files]
    train = np.concatenate([text for number, text in enumerate(texts) if number % 10 != 5])
    held_out = np.concatenate(texts[5::10])
    return train[train >= 0], held_out[held_out >= 0]


def prepare(steps: int, seed: int) -> tuple[Setup, np.ndarray]:
    """The setup, and the loss of a unigram and of a bigram model on the held-out windows."""
    train, rest = read_library()
    firsts = np.linspace(0, len(rest) - CONTEXT - 1, HELD_OUT_WINDOWS, dtype=int)
    held_out = rest[firsts[:, None] + np.arange(CONTEXT + 1)]
    graph, params = nnx.split(Transformer(nnx.Rngs(seed)), nnx.Param)
    shape = PARTS, steps // PARTS, BATCH_SIZE
    starts = np.random.default_rng(seed).integers(len(train) - CONTEXT, size=shape)
    setup = Setup(graph, params, jnp.asarray(train), starts.astype(np.int32), held_out)
    return setup, simple_losses(train, held_out)


def simple_losses(train: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """By the frequency of a character in the text, and of a character after another."""
    size = len(ALPHABET)
    pairs = np.bincount(train[:-1] * size + train[1:], minlength=size**2).reshape(size, size) + 1
    before, after = windows[:, :-1], windows[:, 1:]
    unigram = (pairs.sum(axis=0) / pairs.sum())[after]
    bigram = (pairs / pairs.sum(axis=1, keepdims=True))[before, after]
    return -np.log([unigram, bigram]).mean(axis=(1, 2))


@functools.partial(jax.jit, static_argnames=("graph", "length"))
def continued(graph: Any, params: Any, window: jax.Array, key: jax.Array, length: int) -> jax.Array:
    """The characters that the model draws after a window of CONTEXT."""

    def draw(window: jax.Array, key: jax.Array) -> Any:
        logits = nnx.merge(graph, params)(window[None])[0, -1]
        character = jax.random.categorical(key, logits / 0.8)  # a little likelier than as it learned
        return jnp.append(window[1:], character), character

    return jax.lax.scan(draw, window, jax.random.split(key, length))[1]


def print_sample(setup: Setup, params: Any, seed: int) -> None:
    beginning = setup.held_out[len(setup.held_out) // 2, 1:]
    places = continued(setup.graph, params, beginning, jax.random.key(seed), 240)
    before, after = ("".join(ALPHABET[place] for place in text) for text in (beginning, places))
    print(f"\nheld-out text:\n{textwrap.indent(before, '    ')}")
    print(f"WSD's model goes on:\n{textwrap.indent(after, '    ')}\n")


def grouped(results: list[Result]) -> dict[str, list[Result]]:
    return {name: [one for one in results if one.family == name] for name in COLORS}


def updates_spent(results: list[Result]) -> int:
    return sum(len(one.history.rates) for one in results)


def losses_at_horizons(results: list[Result]) -> list[float]:
    return [one.held_out_loss for one in results if one.held_out_loss is not None]


def print_table(results: list[Result], length: int) -> None:
    table = Table("held-out loss after updates")
    for end in HORIZONS:
        table.add_column(str(end * length), justify="right")
    table.add_column("updates spent", justify="right")
    for name, ones in grouped(results).items():
        losses = (f"{loss:.4f}" for loss in losses_at_horizons(ones))
        table.add_row(name, *losses, str(updates_spent(ones)))
    Console(width=100).print(table)


def save_picture(results: list[Result], length: int, path: str) -> None:
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    rates, losses, ends = figure.subplots(1, 3)
    for name, ones in grouped(results).items():
        *_, longest = ones  # of WSD this is the trunk
        for one in ones:
            steps = one.start + np.arange(len(one.history.rates))
            since_0 = np.concatenate([longest.history.losses[: one.start], one.history.losses])
            rates.plot(steps, one.history.rates, color=COLORS[name])
            shown = steps >= length  # the losses of the warm-up would make all others look alike
            losses.plot(
                steps[shown], np.array(smoothed(since_0, length))[steps[shown]], color=COLORS[name]
            )
        held_out = losses_at_horizons(ones)
        label = f"{held_out[-1]:.4f}  {name}, {updates_spent(ones)} updates"
        ends.plot([end * length for end in HORIZONS], held_out, "o-", color=COLORS[name], label=label)
    rates.set(title="learning rate", xlabel="step")
    losses.set(title="training loss, smoothed, nats per character", xlabel="step")
    losses.set_xlim(rates.get_xlim())
    ends.set(title="held-out loss, nats per character", xlabel="horizon in steps", xscale="log")
    ends.minorticks_off()
    ends.set_xticks([end * length for end in HORIZONS], [str(end * length) for end in HORIZONS])
    for axes in (rates, losses, ends):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    title = f"held-out loss at {max(HORIZONS) * length}, schedule, updates spent on all horizons"
    figure.legend(loc="outside lower center", title=title, frameon=False, ncols=len(COLORS))
    figure.savefig(path, dpi=150)


def main() -> None:
    options = parse_options(__doc__, steps=1000, peak=0.004, seed=0, out="language_model.png")
    setup, (unigram, bigram) = prepare(options.steps, options.seed)
    size = sum(leaf.size for leaf in jax.tree.leaves(setup.params))
    print(f"{size} parameters, {len(setup.text)} characters to train on")
    results = compare(setup, options.peak)
    print_table(results, setup.starts.shape[1])
    print(f"in nats per character; a unigram model has {unigram:.4f}, a bigram model {bigram:.4f}")
    count = programs["train_part"]
    print(f"{len(results)} trainings, {count} compiled programs: one for each family")
    print_sample(setup, results[-2].params, options.seed)
    save_picture(results, setup.starts.shape[1], options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
