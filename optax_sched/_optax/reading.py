"""What an optimizer's state tells of the rate."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_sched._optax.forms import INJECTED, PARTITION, TELLING, field, is_a, without_variables
from optax_sched._optax.state import FeedbackState, ScheduleState, rate_of


def current_value(opt_state: Any) -> Any:
    """The rate that the last update used; before the first, the one that it will use.

    The rate stands in the states of `scale_by_schedule`, `scale_by_learning_rate` and
    `scale_by_feedback`, and in the `learning_rate` of `optax.inject_hyperparams`. The scales of
    plateaus beside them multiply it. `current_value` looks into chains, MultiSteps, masked and
    apply_if_finite. After `observe` it has the new scale. You may call it under jit.

    Args:
      opt_state: the state of an optimizer: as optax makes it, `nnx.Optimizer.opt_state`, or as a
        checkpoint library restores it in dicts and lists.

    Returns:
      The rate, of shape (); for `optax.multi_transform` a dict of rates by label, without the labels
      that have none. A scale outside `multi_transform` multiplies the rate of every label.

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
    rate = _rate(_factor(without_variables("current_value", opt_state)[0]))
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


def _factor(tree: Any) -> Any:
    """The product of all factors in a state: None, one, or a dict of them by label."""
    product = None
    for node in jax.tree.leaves(tree, is_leaf=lambda node: is_a(TELLING, node)):
        if is_a((ScheduleState, FeedbackState), node):
            product = _times(product, _factor_of(node))
        elif is_a(PARTITION, node):
            states = field(node, "inner_states")
            by_label = {label: _factor(state) for label, state in states.items()}
            product = _times(product, by_label if any(by_label.values()) else None)
        elif is_a(INJECTED, node):
            product = _times(product, _factor(field(node, "inner_state")))
            states = field(node, "hyperparams_states") if is_a(INJECTED[0], node) else {}
            state, numbers = states.get("learning_rate"), field(node, "hyperparams")
            if is_a((ScheduleState, FeedbackState), state):
                product = _times(product, _factor_of(state))  # it may have been changed since
            elif "learning_rate" in numbers:
                product = _times(product, _Factor(jnp.asarray(numbers["learning_rate"]), True))
    return product


def _factor_of(node: Any) -> _Factor:
    if is_a(ScheduleState, node):
        return _Factor(jnp.asarray(field(node, "value")), True)
    schedule: Any
    schedule, memory, rule = (field(node, name) for name in FeedbackState._fields)
    if isinstance(node, dict):
        value = None if schedule is None else jnp.asarray(field(schedule, "value"))
        schedule = None if value is None else SimpleNamespace(value=value)
        memory = memory["scale"] if isinstance(memory, dict) else memory
        (floor,) = (number for path, number in rule.items() if path.endswith(".min_value"))
        rule = SimpleNamespace(min_value=jnp.asarray(floor))
    return _Factor(rate_of(FeedbackState(schedule, memory, rule)), schedule is not None)


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
