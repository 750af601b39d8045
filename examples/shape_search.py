"""Searches for the best shape of a schedule: among named families, and then among all smooth curves.

    python examples/shape_search.py

The method is that of Naganuma, Agarwala, Kasimbeg and Dahl (2026, https://arxiv.org/abs/2603.10301):
draw shapes of each family, score each at its own best base rate, and go on near the best. The score is
the exact risk of SGD on least squares, so nothing is sampled but the shapes. All shapes of all families
at all base rates are one batch of one compiled program. Then gradient descent moves the knots of a
`piecewise_cubic`, from the best shape of each family on. At the end there is a table, and a picture.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from compare_schedules import parse_options
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from optax_sched import (
    Schedule,
    constant,
    cooldown,
    cosine_decay,
    exponential,
    k_shape,
    multiply,
    piecewise_cubic,
    polynomial_decay,
    rex_decay,
    stack,
    warmup,
    wsd,
)
from optax_sched.planning import least_squares_risk

STEPS = 400
EIGENVALUES = np.arange(1.0, 33.0) ** -1.3  # of the inputs' covariance
NOISE = 0.3  # the variance of the labels' noise; the risk is 1.3 at first
HIGHEST = 0.6  # a base rate of this diverges
NUM_RATES = 32


class Family(NamedTuple):
    """Shapes of height 1, by the length of a warm-up and two numbers from 0 to 1."""

    name: str
    color: str
    build: Callable[[float, float, float], Schedule]


def after(warmup_steps: float, decay: Callable[[float], Any]) -> Schedule:
    """A decay over the steps that a warm-up leaves."""
    return warmup(decay(STEPS - warmup_steps), warmup_steps)


def exponent(part: float) -> float:
    return 0.2 * 40.0**part


FAMILIES = [
    Family("constant", "black", lambda w, a, b: after(w, lambda T: constant(1.0))),
    Family(
        "exponential",
        "tab:red",
        lambda w, a, b: after(w, lambda T: exponential(1.0, 1e-3 ** (1 - a), T)),
    ),
    Family(
        "rex_decay", "tab:orange", lambda w, a, b: after(w, lambda T: rex_decay(1.0, T, beta=0.98 * a))
    ),
    Family(
        "polynomial_decay",
        "tab:green",
        lambda w, a, b: after(w, lambda T: polynomial_decay(1.0, T, power=exponent(a))),
    ),
    Family(
        "cosine_decay",
        "tab:purple",
        lambda w, a, b: after(w, lambda T: cosine_decay(1.0, T, exponent=exponent(a))),
    ),
    Family(
        "k_shape",
        "tab:brown",
        lambda w, a, b: after(w, lambda T: cooldown(1.0, 0.0, T, shape=k_shape(exponent(a)))),
    ),
    Family(
        "wsd",
        "tab:blue",
        lambda w, a, b: wsd(
            1.0, w, (0.02 + 0.97 * b) * (STEPS - w), float(STEPS), shape=k_shape(exponent(a))
        ),
    ),
]
SEARCHED = "piecewise_cubic"
PINK = "tab:pink"

programs: Counter[str] = Counter()


class Best(NamedTuple):
    numbers: np.ndarray  # shape (families, 3), each from 0 to 1
    rate: np.ndarray  # shape (families,)
    risk: np.ndarray


def risk_of(schedule: Any) -> jax.Array:
    return least_squares_risk(schedule, STEPS, EIGENVALUES, NOISE)


@jax.jit
def risks_of(shapes: Schedule, rates: jax.Array) -> jax.Array:
    """The risk of each shape at each of its base rates."""
    programs["risks_of"] += 1

    def at(shape: Schedule, rate: jax.Array) -> jax.Array:
        return risk_of(multiply(rate, shape))

    return jax.vmap(jax.vmap(at, (None, 0)))(shapes, rates)


def search(num_draws: int, num_rounds: int, seed: int) -> Best:
    """The best shape of each family: random numbers at first, then ever nearer to the best."""
    rng = np.random.default_rng(seed)
    size = len(FAMILIES)
    best = Best(np.full((size, 3), 0.5), np.full(size, 0.1), np.full(size, np.inf))
    for round_number in range(num_rounds):
        spread = 0.5**round_number
        moved = best.numbers[:, None] + spread * rng.uniform(-1, 1, (size, num_draws, 3))
        # The best so far stays among them: its base rate is looked for again, on a finer grid.
        draws = np.concatenate([best.numbers[:, None], np.clip(moved, 0, 1)], axis=1)
        shapes = [
            family.build(0.3 * STEPS * w, a, b)
            for family, settings in zip(FAMILIES, draws, strict=True)
            for w, a, b in settings.tolist()
        ]
        grid = np.geomspace(0.02**spread, (1 / 0.02) ** spread, NUM_RATES)
        rates = np.minimum(best.rate[:, None, None] * grid, HIGHEST)
        rates = np.broadcast_to(rates, (size, num_draws + 1, NUM_RATES))
        flat = jnp.asarray(rates.reshape(-1, NUM_RATES), jnp.float32)
        risks = np.asarray(risks_of(stack(shapes), flat)).reshape(size, -1)
        index = risks.argmin(1)
        family = np.arange(size)
        found = Best(
            draws[family, index // NUM_RATES],
            rates.reshape(size, -1)[family, index],
            risks[family, index],
        )
        better = found.risk < best.risk
        best = Best(
            np.where(better[:, None], found.numbers, best.numbers),
            np.where(better, found.rate, best.rate),
            np.where(better, found.risk, best.risk),
        )
    return best


def schedules_of(best: Best) -> list[Schedule]:
    """The best of each family, at its base rate."""
    return [
        multiply(float(rate), family.build(0.3 * STEPS * w, a, b))
        for family, (w, a, b), rate in zip(FAMILIES, best.numbers.tolist(), best.rate, strict=True)
    ]


def knots(num_knots: int) -> np.ndarray:
    """Steps, ever denser towards both ends, where a schedule bends most."""
    return STEPS * np.sin(np.pi / 2 * np.arange(1, num_knots) / (num_knots - 1)) ** 2


def curve(log_values: Any, boundaries: Any) -> Schedule:
    """The curve through knots that are given by their logarithms, so that no rate is negative."""
    return piecewise_cubic(jnp.exp(log_values), boundaries)


@jax.jit
def descend(log_values: jax.Array, boundaries: Any, num_descents: Any) -> tuple[jax.Array, jax.Array]:
    """Gradient descent on the knots of several curves; the risks on the way, for each."""
    programs["descend"] += 1
    optimizer = optax.adam(cosine_decay(0.1, num_descents))

    def one(log_values: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(_: Any, carry: Any) -> Any:
            best, least, values, state = carry
            risk, slope = jax.value_and_grad(lambda v: jnp.log(risk_of(curve(v, boundaries))))(values)
            better = risk < least
            best, least = jnp.where(better, values, best), jnp.where(better, risk, least)
            updates, state = optimizer.update(slope, state)
            return best, least, optax.apply_updates(values, updates), state

        start = log_values, jnp.asarray(jnp.inf), log_values, optimizer.init(log_values)
        best, least, *_ = jax.lax.fori_loop(0, num_descents, step, start)
        return best, jnp.exp(least)

    return jax.vmap(one)(log_values)


def print_table(best: Best, risk: float, table: Table) -> None:
    rows = sorted(
        zip(FAMILIES, best.numbers, best.rate, best.risk, strict=True), key=lambda row: -row[3]
    )
    for family, (w, _, _), rate, value in rows:
        table.add_row(
            family.name, f"{0.3 * STEPS * w:.0f}", f"{rate:.3f}", f"{value:.5f}", f"{value / risk:.3f}"
        )
    table.add_row(SEARCHED, "", "", f"{risk:.5f}", "1.000")
    Console(width=100).print(table)


def save_picture(
    schedules: list[Schedule], searched: Schedule, best: Best, risk: float, path: str
) -> None:
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    steps = np.arange(STEPS)
    for family, schedule in zip(FAMILIES, schedules, strict=True):
        left.plot(steps, schedule(steps), color=family.color, lw=1.2, label=family.name)
    left.plot(steps, searched(steps), color=PINK, lw=3, label=SEARCHED)
    left.set(title="the best schedule of each family", xlabel="step", ylabel="learning rate")
    left.set(xlim=(0, STEPS), ylim=(0, None))
    left.legend(frameon=False)
    order = [*np.argsort(-best.risk)]
    names = [FAMILIES[i].name for i in order] + [SEARCHED]
    values = np.array([*best.risk[order], risk]) / risk
    colors = [FAMILIES[i].color for i in order] + [PINK]
    right.barh(names, values - 1, left=1, color=colors)
    for row, value in enumerate(values):
        right.annotate(f"{value:.3f}", (value, row), (4, 0), textcoords="offset points", va="center")
    right.set(title="its risk, relative to the curve's", xlim=(1, 1 + 1.2 * (values.max() - 1)))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    options = parse_options(
        __doc__, draws=40, rounds=6, knots=20, descents=600, seed=0, out="shape_search.png"
    )
    best = search(options.draws, options.rounds, options.seed)
    schedules = schedules_of(best)
    boundaries = jnp.asarray(knots(options.knots), jnp.float32)
    starts = jnp.stack([s(jnp.append(0.0, boundaries)) for s in schedules])
    found, risks = descend(jnp.log(jnp.maximum(starts, 1e-4)), boundaries, options.descents)
    winner = int(jnp.argmin(risks))
    searched = curve(found[winner], boundaries)
    table = Table("family", "warm-up", "base rate", "risk", "relative")
    print_table(best, float(risks[winner]), table)
    tried = len(FAMILIES) * (options.draws + 1) * NUM_RATES * options.rounds
    print(f"{tried} schedules of {len(FAMILIES)} families, {programs.total()} compiled programs")
    save_picture(schedules, searched, best, float(risks[winner]), options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
