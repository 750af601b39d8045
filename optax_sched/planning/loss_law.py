"""Loss laws: what loss a training logs under a schedule, as pytrees of a few numbers."""

import dataclasses
import math
import typing
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.arguments import admit
from optax_sched._core.domains import default_float, is_traced
from optax_sched._core.hyperparameters import PartOfOne, Positive, Rate, domain_of
from optax_sched.planning.inputs import rates_of, whole_steps
from optax_sched.planning.pieces import (
    Pieces,
    constant_pieces,
    every_step,
    padded,
)


class LossLaw:
    """What the laws share: checked parameters, leaves in their order, a call."""

    def __init_subclass__(cls) -> None:
        jax.tree_util.register_pytree_with_keys(
            cls,
            lambda law: (_leaves(law, keys=True), None),
            cls._unflatten,
            lambda law: (_leaves(law), None),
        )

    @classmethod
    def _unflatten(cls, _: None, leaves: Any) -> Self:
        # Unchecked: JAX puts tracers, batches and placeholders where the numbers were.
        law = object.__new__(cls)
        for name, leaf in zip(parameter_names(cls), leaves, strict=True):
            object.__setattr__(law, name, leaf)
        return law

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self), include_extras=True)
        for name in parameter_names(type(self)):
            domain = domain_of(name, hints[name])
            value = admit(type(self).__name__, name, domain, getattr(self, name))
            object.__setattr__(self, name, value)

    def __call__(self, schedule: Any, steps: Any) -> jax.Array:
        """The loss logged at `steps`, an array of their shape. See the class for both arguments."""
        where = type(self).__name__
        at = whole_steps(where, steps)
        rates = rates_of(where, schedule, int(at.max(initial=0)) + 1, must_move=False)
        with jax.numpy_dtype_promotion("standard"):  # counts times rates
            if is_traced(rates):
                pieces = every_step(rates.astype(jnp.promote_types(rates.dtype, default_float())))
            else:
                pieces = padded(constant_pieces(rates))
            return _losses(self, pieces, at.astype(np.int32))

    def _drop_sums(self, pieces: Pieces, steps: jax.Array) -> Any:
        """For each of the steps, the sum of the rates so far and how much drops took off the loss."""
        raise NotImplementedError


@typing.no_type_check  # dataclass fields, which the base class has not
def parameter_names(law: Any) -> list[str]:
    """The names of a law's parameters, in their order."""
    return [field.name for field in dataclasses.fields(law)]


def _leaves(law: Any, keys: bool = False) -> tuple[Any, ...]:
    names = parameter_names(law)
    if keys:
        return tuple((jax.tree_util.GetAttrKey(name), getattr(law, name)) for name in names)
    return tuple(getattr(law, name) for name in names)


@jax.jit
def _losses(law: Any, pieces: Pieces, steps: jax.Array) -> jax.Array:
    spent, taken_off = law._drop_sums(pieces, steps.reshape(-1))
    has_moved = spent > 0
    power = jnp.where(has_moved, spent, 1.0) ** -jnp.asarray(law.alpha)
    losses = law.L0 + law.A * power - taken_off
    return jnp.where(has_moved, losses, jnp.inf).reshape(steps.shape)


def _spent(pieces: Pieces, step: Any) -> jax.Array:
    """For each piece, the rates of its steps up to `step`, added up."""
    return pieces.rates * jnp.clip(step + 1 - pieces.starts, 0, pieces.lengths)


@dataclasses.dataclass(frozen=True, eq=False)
class MultiPowerLaw(LossLaw):
    """The multi-power law: a power law in the rates spent, less what each drop of the rate gained.

    It assumes that the loss depends on the schedule alone: model, data, batch and optimizer stay as
    they were in the runs that it was fitted to. It was checked against public runs of Llama-like models
    (25M and 100M parameters, AdamW, up to 72,000 steps): fitted to three of nine runs by
    `fit_loss_law`, it met the six others within 0.0042 and 0.0040 in the mean. It is known to be wrong
    where a run becomes unstable, and it says nothing of rates above those of the fit. Do not trust it
    beyond about three times the longest run of the fit.

        L(t) = L0 + A S_0(t)^-alpha - B sum_(k = 1 ... t) (r_(k-1) - r_k) G_k(t)
        G_k(t) = 1 - (1 + C r_k^-gamma S_k(t))^-beta

    with r_k = the rate of update k and S_k(t) = r_k + ... + r_t. The warm-up counts: in S_0, and in the
    sum, where its rises have the other sign. A term with S_k = 0 is 0, one with r_k = 0 < S_k has its
    limit G_k = 1. Before any rate is spent the loss is inf.

    `law(schedule, steps)` is the loss logged at update `steps`:

    - schedule: a schedule, a function of the step that JAX can trace, a number (a constant), or a
      sequence of the rates that were used, one for each update from 0 on. It may be traced, mapped over
      and differentiated. Concrete rates must be finite and 0 or more.
    - steps: whole numbers of any shape, 0 or more, not traced, within the rates given.

    The cost is that of the drops up to each of the steps, one after another: where the rate is constant
    (and known) nothing is summed. The relative error is at most 3e-6 in float32 at 100,000 steps.

    Args:
      L0: the loss that is left in the end, 0 or more.
      A: the size of the power law, 0 or more.
      alpha: its exponent, positive.
      B: what a drop of the rate by 1 gains in the end, 0 or more.
      C: how fast it is gained, positive.
      beta: the exponent by which that slows down, positive.
      gamma: how much faster it is gained at a low rate, positive.

    Raises:
      TypeError, ValueError: a parameter, a rate or a step breaks its rule above.

    Elsewhere: github.com/thu-yao-01-luo/MultiPowerLaw, whose test figures count the warm-up's rises as
    here, and whose optimised losses leave them out.

    References: Luo et al., 2025, "A Multi-Power Law for Loss Curve Prediction Across Learning Rate
    Schedules", ICLR, https://arxiv.org/abs/2503.12811

    >>> import optax_sched
    >>> law = MultiPowerLaw(2.65, 0.6, 0.45, 440.0, 2.1, 0.6, 0.66)
    >>> flat = optax_sched.warmup(3e-4, 2000)
    >>> cooled = optax_sched.cooldown(flat, 20_000, 4000)
    >>> [f"{law(s, 23_999):.3f}" for s in (flat, cooled)]
    ['3.033', '2.925']
    """

    L0: Rate
    A: Rate
    alpha: Positive
    B: Rate
    C: Positive
    beta: Positive
    gamma: Positive

    def _drop_sums(self, pieces: Pieces, steps: jax.Array) -> Any:
        moves = pieces.rates > 0
        # In logs, so that no power of a small rate overflows.
        logs = jnp.log(self.C) - self.gamma * jnp.log(jnp.where(moves, pieces.rates, 1.0))

        @jax.checkpoint  # else the gradient holds a row of every piece for each of the steps
        def at(step: jax.Array) -> Any:
            # Added up from the end, masked: the difference of two long sums would be mostly rounding.
            since = jax.lax.cumsum(_spent(pieces, step), reverse=True)
            counts = since > 0
            log = logs + jnp.log(jnp.where(counts, since, 1.0))
            # log(1 + exp(log)) as jax.nn.softplus has it, without the cost of its care for NaN.
            grown = jnp.maximum(log, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(log)))
            gain = jnp.where(moves, -jnp.expm1(-self.beta * grown), 1.0)
            return since[0], _sum(pieces.drops * jnp.where(counts, gain, 0.0))

        spent, sums = jax.lax.map(at, steps)
        return spent, self.B * sums


def _sum(values: jax.Array) -> jax.Array:
    """The sum, in rows first: one long float32 sum would round too often."""
    width = 2 ** (max(len(values) - 1, 1).bit_length() // 2)
    return jnp.pad(values, (0, -len(values) % width)).reshape(-1, width).sum(axis=1).sum()


@dataclasses.dataclass(frozen=True, eq=False)
class AnnealingLaw(LossLaw):
    """The law with an annealing area: a power law in the rates spent, less a decaying memory of drops.

    It assumes what `MultiPowerLaw` assumes, and that a drop of the rate is felt for 1 / (1 - decay)
    updates whatever the rate is. On the same public runs it met the others within 0.0047 and 0.0038 in
    the mean: neither law is better everywhere. It is known to be wrong where the rate falls slowly to
    almost 0, since what a drop gains does not depend on the rate there.

        L(t) = L0 + A S(t)^-alpha - C sum_(i = 1 ... t) sum_(k = 1 ... i) (r_(k-1) - r_k) decay^(i-k)

    with r_k = the rate of update k and S(t) = r_0 + ... + r_t; the warm-up counts in both. Before any
    rate is spent the loss is inf. `law(schedule, steps)` is the loss logged at update `steps`: both are
    as in `MultiPowerLaw`. The cost is that of the steps alone; the relative error is at most 3e-6
    in float32 at 100,000 steps.

    Args:
      L0: the loss that is left in the end, 0 or more.
      A: the size of the power law, 0 or more.
      alpha: its exponent, positive.
      C: what a drop by 1 gains in each update while it is remembered, 0 or more.
      decay: how much of the memory is left after an update, in [0, 1); 0.99 to 0.999 is usual.

    Raises:
      TypeError, ValueError: a parameter, a rate or a step breaks its rule above.

    Elsewhere: the paper's S1 and S2 are S(t) and the double sum; its lambda is `decay`.

    References: Tissue et al., 2024, "Scaling Law with Learning Rate Annealing",
    https://arxiv.org/abs/2408.11029

    >>> import optax_sched
    >>> law = AnnealingLaw(2.6, 0.5, 0.5, 0.4, 0.999)
    >>> flat = optax_sched.warmup(3e-4, 2000)
    >>> cooled = optax_sched.cooldown(flat, 20_000, 4000)
    >>> [f"{law(s, 23_999):.3f}" for s in (flat, cooled)]
    ['2.910', '2.829']
    """

    L0: Rate
    A: Rate
    alpha: Positive
    C: Rate
    decay: PartOfOne

    def _drop_sums(self, pieces: Pieces, steps: jax.Array) -> Any:
        if len(steps) == 1:  # one sum, without the way there: what `best_schedule` asks for
            counts = jnp.clip(steps + 1 - pieces.starts, 0)
            _, echo = self._powers(jnp.maximum(counts - 1, 0))
            area = _sum(jnp.where(counts > 0, pieces.drops * (1.0 + echo), 0.0))
            return jax.lax.cumsum(_spent(pieces, steps[0]))[-1:], self.C * area

        def stretch(drops: jax.Array, count: jax.Array) -> Any:
            """`count` steps at one rate, reached by a drop at the first of them."""
            fade, echo = self._powers(count)
            left, sum_left = self._powers(count - 1)
            return fade, echo, drops * left, drops * (1.0 + sum_left)

        # What is whole before each piece, and then the part of the piece up to the step.
        whole = _prefixes(stretch(pieces.drops, jnp.maximum(pieces.lengths, 1)))
        mass = jax.lax.cumsum(pieces.rates * pieces.lengths)
        index = jnp.searchsorted(pieces.starts, steps, side="right") - 1
        count = steps + 1 - pieces.starts[index]
        before = [jnp.where(index > 0, item[index - 1], 0.0) for item in whole]
        *_, area = _joined(before, stretch(pieces.drops[index], count))
        spent = jnp.where(index > 0, mass[index - 1], 0.0) + pieces.rates[index] * count
        return spent, self.C * area

    def _powers(self, count: jax.Array) -> tuple[jax.Array, jax.Array]:
        """decay^count, and decay + ... + decay^count."""
        forgotten = 1.0 - jnp.asarray(self.decay)  # exact, and so are the logs of it
        log = jnp.log1p(-jnp.minimum(forgotten, 1.0 - 1e-7))
        fade = jnp.exp(count * log)
        return fade, -jnp.expm1(count * log) * (1.0 - forgotten) / forgotten


# Four numbers say what a stretch of steps does to the memory and the area before it: it multiplies the
# memory by `fade`, adds `echo` times the memory to the area, and adds its own memory and its own area.
_NOTHING = (1.0, 0.0, 0.0, 0.0)


def _joined(first: Any, then: Any) -> Any:
    """The four numbers of one stretch and then another."""
    fade, echo, memory, area = first
    fade2, echo2, memory2, area2 = then
    return (
        fade * fade2,
        echo + fade * echo2,
        memory2 + fade2 * memory,
        area + area2 + echo2 * memory,
    )


def _prefixes(stretches: Any) -> Any:
    """The numbers of the first stretch, of the first two, ...: in rows, and then the rows.

    One long float32 recurrence would stop short of its limit. There are as many rows as columns.
    """
    count = len(stretches[0])
    width = math.isqrt(count - 1) + 1
    rows = [
        jnp.pad(item, (0, -count % width), constant_values=nothing).reshape(-1, width)
        for item, nothing in zip(stretches, _NOTHING, strict=True)
    ]

    def step(before: Any, then: Any) -> Any:
        after = _joined(before, then)
        return after, after

    none = tuple(
        jnp.full_like(item[:, 0], nothing) for item, nothing in zip(rows, _NOTHING, strict=True)
    )
    ends, within = jax.lax.scan(step, none, tuple(item.T for item in rows))
    start = tuple(item[0] for item in none)
    _, through = jax.lax.scan(step, start, ends)
    before = [jnp.concatenate([a[None], b[:-1]])[None] for a, b in zip(start, through, strict=True)]
    return [item.T.reshape(-1)[:count] for item in _joined(before, within)]
