"""What an optimizer's state tells of the rate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_sched._optax.forms import INJECTED, PARTITION, TELLING, is_rate, opened
from optax_sched._optax.state import KEPT, ScheduleState, rate_of, refuse_zeros


def current_value(opt_state: object) -> Any:
    """The rate that the last update used; before the first, the one that it will use.

    The rate stands in the states of `scale_by_schedule`, `scale_by_learning_rate` and
    `scale_by_feedback`, and in hyperparameters of `optax.inject_hyperparams` that are named
    `learning_rate` or `..._learning_rate`. The scales of closed loops beside them multiply it.
    `current_value` looks into chains, MultiSteps, masked and apply_if_finite. After `observe` it has
    the new scale. You may call it under jit.

    Args:
      opt_state: the state of an optimizer: as optax makes it, `nnx.Optimizer.opt_state`, or as a
        checkpoint library restores it in dicts and lists.

    Returns:
      The rate, of shape (); for `optax.multi_transform` a dict of rates by label, without the labels
      that have none. A scale outside `multi_transform` multiplies the rate of every label. Several
      rates of one optimizer, such as the `learning_rate` and `adam_learning_rate` of
      `optax.contrib.muon`, are a dict by name.

    Raises:
      ValueError: the state holds no rate: `optax.adamw(schedule)` keeps only a count.

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> opt = optax.chain(
    ...     optax.scale_by_adam(), optax_sched.scale_by_learning_rate(optax_sched.linear(0.1, 0.0, 10)),
    ...     optax_sched.reduce_on_plateau(factor=0.5, patience=0))
    >>> state = opt.init(jnp.ones(2))
    >>> for loss in (1.0, 1.0):
    ...     updates, state = opt.update(jnp.ones(2), state, value=loss)
    >>> print(f"{current_value(state):.3f}")
    0.045
    """
    rate = _rate(_factor(opened("current_value", opt_state)[0]))
    if rate is None:
        raise ValueError(
            "current_value: opt_state holds no rate (optax.adamw(schedule) keeps only a count): use "
            "optax.inject_hyperparams(optax.adamw)(learning_rate=optax_sched.live(schedule)), or a "
            "chain that ends in optax_sched.scale_by_learning_rate(schedule)"
        )
    return rate


class _Factor(NamedTuple):
    """What a state multiplies the updates by, and whether a rate is in it or only a scale."""

    value: Any
    is_rate: bool


def _factor(tree: object) -> Any:
    """The product of all factors in a state: None, one, or a dict of them by label or by name."""
    product = None
    for node in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, TELLING)):
        if isinstance(node, KEPT):
            product = _times(product, _factor_of(node))
        elif isinstance(node, PARTITION):
            by_label = {label: _factor(state) for label, state in node.inner_states.items()}
            product = _times(product, by_label if any(by_label.values()) else None)
        elif isinstance(node, INJECTED):
            product = _times(product, _factor(node.inner_state))
            rates = {name: _injected(node, name) for name in sorted(filter(is_rate, node.hyperparams))}
            one = next(iter(rates.values()), None)
            product = _times(product, rates if len(rates) > 1 else one)
    return product


def _injected(node: Any, name: str) -> _Factor:
    state = node.hyperparams_states.get(name)
    if isinstance(state, KEPT):  # it may have been changed since
        return _factor_of(state)
    return _Factor(jnp.asarray(node.hyperparams[name]), True)


def _factor_of(state: Any) -> _Factor:
    refuse_zeros("current_value", state)
    return _Factor(rate_of(state), isinstance(state, ScheduleState) or state.schedule is not None)


def _times(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, dict):
        same = isinstance(b, dict) and a.keys() == b.keys()
        return {label: _times(factor, b[label] if same else b) for label, factor in a.items()}
    if isinstance(b, dict):
        return _times(b, a)
    return _Factor(a.value * b.value, a.is_rate or b.is_rate)


def _rate(factor: Any) -> Any:
    """The rate that a factor is, if it is one; by label, of those that have one."""
    if isinstance(factor, dict):
        rates = {label: _rate(of_label) for label, of_label in factor.items()}
        return {label: rate for label, rate in rates.items() if rate is not None} or None
    return factor.value if factor and factor.is_rate else None
