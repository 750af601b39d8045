"""Two feedback rules of one's own: PPO's rate by the KL divergence, and a warm-up by the loss.

    python examples/own_feedback.py

`feedback` turns a rule into a builder of closed loops, as `schedule` turns a formula into one of
schedules. The first rule trains a policy that balances a pole (the dynamics are written here, in JAX);
the second one a network whose rate is too high for its first steps.
"""

import argparse
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_sched import current_value, feedback, grid, linear, live, observe, sweep, warmup
from optax_sched.typing import Fraction, Growth, Positive


@feedback
def kl_adaptive(scale, kl, target: Positive, factor: Growth = 1.5):
    """PPO's rule, as the built-in `kl_adaptive` without its bounds: a metric stays near a target."""
    too_far, too_near = kl > 2 * target, kl < target / 2
    return scale * jnp.where(too_far, 1 / factor, jnp.where(too_near, factor, 1.0))


class WarmUp(NamedTuple):
    scale: Any
    turn: Any = 0.0  # the gap to the target at which the scale is 1; unknown at first


@feedback(init=lambda start: WarmUp(scale=start))
def warmup_by_loss(memory, loss, start: Fraction, target: Positive):
    """2q / (1 + q^2) with q the gap to the target over the one where it is 1 (arXiv 2602.05813)."""
    gap = loss - target
    from_start = gap * start / (1 + jnp.sqrt(1 - start**2))  # the first loss gives the scale `start`
    turn = jnp.where(memory.turn > 0, memory.turn, from_start)
    q = gap / turn
    arrived = (q <= 1) | (memory.scale == 1)
    return WarmUp(jnp.where(arrived, 1.0, 2 * q / (1 + q * q)), turn)


# --- A pole on a cart ----------------------------------------------------------------------------

POLES, LENGTH, EPOCHS, TARGET = 64, 100, 4, 0.001


def moved(state: jax.Array, action: jax.Array) -> jax.Array:
    """The state (place, speed, angle, its speed) a fiftieth of a second later."""
    _, dx, angle, turning = state
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    push = (20.0 * action - 10.0 + 0.05 * turning**2 * sine) / 1.1
    turn = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    pull = push - 0.05 * turn * cosine / 1.1
    return state + 0.02 * jnp.stack([dx, pull, turning, turn])


def scores(params: Any, state: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The log probabilities of both actions, and the value of the state."""
    hidden = jnp.tanh(state @ params["in"] + params["bias"])
    out = hidden @ params["out"]
    return jax.nn.log_softmax(out[..., :2]), out[..., 2]


def played(params: Any, key: jax.Array) -> Any:
    """What the policy meets: states, actions, and how long each pole still stood."""

    def step(carry, key):
        state, stands = carry
        action = jax.random.categorical(key, scores(params, state)[0])
        after = jax.vmap(moved)(state, action)
        stands &= (jnp.abs(after[:, 2]) < 0.21) & (jnp.abs(after[:, 0]) < 2.4)
        return (after, stands), (state, action, stands * 1.0)

    start, *keys = jax.random.split(key, LENGTH + 1)
    first = jax.random.uniform(start, (POLES, 4), minval=-0.05, maxval=0.05)
    stood = jnp.ones(POLES, bool)
    _, (states, actions, alive) = jax.lax.scan(step, (first, stood), jnp.stack(keys))
    returns = jax.lax.scan(
        lambda after, now: (now + 0.98 * after,) * 2, jnp.zeros(POLES), alive, reverse=True
    )[1]
    return states, actions, alive, returns


def balanced(rate: Any, updates: int = 60, seed: int = 0) -> Any:
    """How long the poles stand at the end, the rates of all updates, and their KL divergences."""
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=rate)
    first, second, play = jax.random.split(jax.random.key(seed), 3)
    params = {
        "in": jax.random.normal(first, (4, 32)),
        "bias": jnp.zeros(32),
        "out": 0.01 * jax.random.normal(second, (32, 3)),
    }

    def loss(params, states, actions, returns, old, weight):
        log_probs, value = scores(params, states)
        taken = jnp.take_along_axis(log_probs - old, actions[..., None], -1)[..., 0]
        ratio, gain = jnp.exp(taken), jax.lax.stop_gradient(returns - 10 * value)
        gain = gain / jnp.sqrt(jnp.average(gain**2, weights=weight) + 1e-6)
        clipped = jnp.minimum(ratio * gain, jnp.clip(ratio, 0.8, 1.2) * gain)
        missed = (returns / 10 - value) ** 2
        return jnp.average(0.5 * missed - clipped, weights=weight)

    def update(carry, key):
        params, state = carry
        states, actions, alive, returns = played(params, key)
        old, _ = scores(params, states)
        weight = alive + 1e-6

        def epoch(carry, _):
            params, state = carry
            new, _ = scores(params, states)
            kl = jnp.average(jnp.sum(jnp.exp(old) * (old - new), -1), weights=weight)
            gradient = jax.grad(loss)(params, states, actions, returns, old, weight)
            steps, state = optimizer.update(gradient, state, params, value=None)
            return (optax.apply_updates(params, steps), state), kl

        carry, _ = jax.lax.scan(epoch, (params, state), length=EPOCHS)
        params, state = carry
        new, _ = scores(params, states)
        kl = jnp.average(jnp.sum(jnp.exp(old) * (old - new), -1), weights=weight)
        state = observe(state, kl)
        return (params, state), (alive.sum(0).mean(), current_value(state), kl)

    keys = jax.random.split(play, updates)
    return jax.lax.scan(update, (params, optimizer.init(params)), keys)[1]


# --- A network that a high rate throws off its course ----------------------------------------------

STEPS, PEAK, START, FLOOR = 400, 0.08, 0.02, 0.05


def trained(rate: Any, seed: int = 0) -> tuple[jax.Array, jax.Array]:
    """The losses and the rates of a deep network that learns what another one computes."""
    layers = jax.random.split(jax.random.key(seed), 10)
    sizes = [8, *[64] * 7, 1]

    def network(params, x):
        for weights in params[:-1]:
            x = jax.nn.relu(x @ weights)
        return x @ params[-1]

    def drawn(key, gain):
        keys = jax.random.split(key, len(sizes))
        shapes = zip(keys, sizes[:-1], sizes[1:], strict=False)
        return [gain * (2 / n) ** 0.5 * jax.random.normal(key, (n, m)) for key, n, m in shapes]

    x = jax.random.normal(layers[0], (256, 8))
    y = jnp.sin(x[:, :1] + x[:, 1:2]) + 0.5 * x[:, 2:3]
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=rate)
    params = drawn(layers[1], gain=1.25)

    def step(carry, _):
        params, state = carry
        loss, gradient = jax.value_and_grad(lambda p: jnp.mean((network(p, x) - y) ** 2))(params)
        updates, state = optimizer.update(gradient, state, params, value=loss)
        return (optax.apply_updates(params, updates), state), (loss, current_value(state))

    return jax.lax.scan(step, (params, optimizer.init(params)), length=STEPS)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--updates", type=int, default=60, help="updates of the policy")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    # A factor of 1 is a fixed rate, so all four runs are one batch and one compiled program.
    batch, settings = grid(kl_adaptive, schedule=[1e-5, 1e-3], target=[TARGET], factor=[1.0, 1.5])
    print(batch)
    stood, rates, kls = sweep(lambda rate: balanced(rate, options.updates, options.seed), batch)
    print(f"\n{'rate':>8}{'factor':>8}{'stands':>8}{'last rate':>12}{'median KL':>12}")
    for i, setting in enumerate(settings):
        stands, kl = stood[i, -10:].mean(), jnp.median(kls[i, -10:])
        shown = f"{stands:>8.1f}{rates[i, -1]:>12.1e}{kl:>12.1e}"
        print(f"{setting['schedule']:>8.0e}{setting['factor']:>8.1f}{shown}")

    print(f"\n{'warm-up':>10}{'first rate':>12}{'steps up':>10}{'last loss':>12}")
    fall = linear(PEAK, 0.0, STEPS)
    for name, rate in {
        "none": live(fall),
        "20 steps": live(warmup(fall, 20)),
        "by loss": warmup_by_loss(fall, start=START, target=FLOOR),
    }.items():
        losses, rates = jax.jit(trained, static_argnums=1)(rate, options.seed)
        up = int(jnp.argmax(rates >= 0.999 * jax.vmap(fall)(jnp.arange(STEPS))))
        print(f"{name:>10}{rates[0]:>12.1e}{up:>10}{losses[-1]:>12.1e}")


if __name__ == "__main__":
    main()
