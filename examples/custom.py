"""Makes schedules of one's own: log decay as a lambda, and a ripple as a decorated function.

    python examples/custom.py

A formula takes the step first and then its hyperparameters. `schedule` turns it into a builder of
schedules that can be printed, changed, checked and mapped over, just as the built-in ones.
"""

import math

import jax
import jax.numpy as jnp

from optax_sched import log_decay, mix, progress, schedule
from optax_sched.typing import Factor, Operand, Steps

# As one writes it down first. It works, but nothing stops it at the end: there it turns negative.
naive_log_decay = schedule(
    lambda step, init_value, decay_steps: init_value * (1 - jnp.log1p(step) / jnp.log1p(decay_steps)),
    name="naive_log_decay",
)

# `progress` is exactly 0 at the start and exactly 1 from the end on, here on a logarithmic clock.
# `mix` gives both heights back to the bit. Only the built-in form is as exact just before the end.
own_log_decay = schedule(
    lambda step, init_value, decay_steps, end_value=0.0: mix(
        init_value, end_value, progress(jnp.log1p(step), jnp.log1p(decay_steps))
    ),
    name="own_log_decay",
)


# A name that the library knows, such as init_value or decay_steps, is checked as it is there. For
# others an annotation says what is admitted; `Operand` is any schedule, or a number.
@schedule
def rippled(step, base: Operand, period: Steps, depth: Factor = 0.5):
    """Another schedule that dips by `depth`, and comes back, once in every period."""
    return base(step) * (1 - depth * jnp.sin(jnp.pi * (step % period) / period) ** 2)


def compare(init_value: float, decay_steps: int) -> None:
    """Prints the three forms of log decay beside the formula in Python's float64."""
    builders = (naive_log_decay, own_log_decay, log_decay)
    forms = [builder(init_value, decay_steps) for builder in builders]
    print(f"{'step':>5}{'formula':>14}" + "".join(f"{builder.__name__:>18}" for builder in builders))
    for step in (0, 1, 10, 100, decay_steps - 1, decay_steps, 2 * decay_steps):
        elapsed = min(step, decay_steps)
        exact = init_value * (1 - math.log1p(elapsed) / math.log1p(decay_steps))
        print(f"{step:>5}{exact:>14.5e}" + "".join(f"{form(step):>18.5e}" for form in forms))


def listed(values: jax.Array) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def main() -> None:
    compare(0.1, 1000)

    print("\nIt prints as the source that builds it; its hyperparameters can be read and changed:")
    s = rippled(own_log_decay(0.1, 1000), period=100)
    print(f"  {s}")
    print(f"  {s.replace(depth=0.25)}")
    print(f"  depth {s.depth}, at steps 0, 25, 50: {listed(s(jnp.array([0, 25, 50])))}")

    print("\nEvery hyperparameter can be mapped over: the value at step 50 for three horizons")
    horizons = jnp.array([100, 1000, 10_000])
    print(f"  {listed(jax.vmap(lambda horizon: own_log_decay(0.1, horizon)(50))(horizons))}")

    print("\nA bad value is refused when the schedule is built:")
    for build in (lambda: own_log_decay(-0.1, 1000), lambda: rippled(0.1, period=100, depth=1.5)):
        try:
            build()
        except ValueError as error:
            print(f"  {error}")


if __name__ == "__main__":
    main()
