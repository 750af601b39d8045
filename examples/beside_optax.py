"""Does the same six things with optax's schedules and with these, and prints the README's table.

    python examples/beside_optax.py

Nothing here is a time. What a processor rounds may differ: the third row is NaN on most.
"""

import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import optax_sched as o

PEAKS = [1e-4 * (i + 1) for i in range(8)]
theirs, ours = optax.cosine_decay_schedule, o.cosine_decay


def result(attempt: Callable[[], Any]) -> str:
    """What it gives, or the name of the error that it raises."""
    try:
        return str(attempt())
    except Exception as error:  # whatever it raises, a user sees that it does not work
        return f"`{type(error).__name__}`"


def programs(schedules: list[Any]) -> int:
    """How often a jitted step that takes the schedule is compiled for these."""
    traces = 0

    @jax.jit
    def step(schedule: Any, count: Any) -> Any:
        nonlocal traces
        traces += 1
        return schedule(count)

    for schedule in schedules:
        step(schedule, 5)
    return traces


def values_of_lengths(of_length: Callable[[Any], Any]) -> str:
    """A map over two lengths of the decay."""
    values = jax.vmap(lambda length: of_length(length)(5))(jnp.array([10, 20]))
    return " and ".join(f"{value:.3f}" for value in values)


def accepted(schedule: Callable[[Any], Any]) -> str:
    return f"accepted: {float(schedule(5)):.3g} at step 5"


def rows() -> list[tuple[str, str, str]]:
    ratio: Any = 0.1  # where optax says that it wants an int
    power = optax.polynomial_schedule(0.1, 0.0, 0.9, 1000), o.polynomial_decay(0.1, 1000, power=0.9)
    return [
        (
            "a jitted step at 8 peak rates: programs compiled",
            # A closure is no data: `jit` takes it as a constant of the program.
            str(programs([jax.tree_util.Partial(theirs(peak, 100)) for peak in PEAKS])),
            str(programs([ours(peak, 100) for peak in PEAKS])),
        ),
        (
            "`jax.vmap` over the length of a cosine, 10 and 20, at step 5",
            result(lambda: values_of_lengths(lambda length: theirs(0.1, length))),
            result(lambda: values_of_lengths(lambda length: ours(0.1, length))),
        ),
        (
            "a decay to 0 with power 0.9: its last value, jitted",
            result(lambda: float(jax.jit(power[0])(1000))),
            result(lambda: float(jax.jit(power[1])(1000))),
        ),
        (
            "a line over -10 steps",
            result(lambda: accepted(optax.linear_schedule(0.1, 0.0, -10))),
            result(lambda: accepted(o.linear(0.1, 0.0, -10))),
        ),
        (
            "a ratio as a length: a warm-up of 0.1 steps in 100",
            result(lambda: accepted(optax.warmup_cosine_decay_schedule(0.0, 0.1, ratio, 100))),
            result(lambda: accepted(o.warmup_cosine_decay(0.1, ratio, 100))),
        ),
        (
            "`pickle.loads(pickle.dumps(schedule))`",
            result(lambda: pickle.loads(pickle.dumps(theirs(0.1, 100)))),
            result(lambda: f"`{pickle.loads(pickle.dumps(o.linear(0.1, 0.0, 9)))}`"),
        ),
    ]


def main() -> None:
    print(f"| | optax {optax.__version__} | here |")
    print("| --- | --- | --- |")
    for row in rows():
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
