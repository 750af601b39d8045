"""What is done to the closed loops in an optimizer's state: a metric fed, settings changed."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from optax_sched._core.built import assembled, formula_behind, stored_values
from optax_sched._core.operands import constant
from optax_sched._optax.feedback import ClosedLoop, first_memory, metric, remembered, without_schedule
from optax_sched._optax.forms import places
from optax_sched._optax.state import FeedbackState, laid, refuse_many, refuse_zeros, same

State = TypeVar("State")


def observe(opt_state: State, value: object) -> State:
    """Feed a metric to every closed loop in an optimizer's state, outside `update`.

    The scale changes immediately.

    Args:
      opt_state: the state of an optimizer that holds `plateau`, `reduce_on_plateau` or another
        closed loop: as optax makes it, `nnx.Optimizer.opt_state`
        (`optimizer.opt_state = observe(optimizer.opt_state, loss)`), or as a checkpoint library
        restores it in dicts and lists, though there without rules of your own.
      value: the metric, a number of shape (). On several devices every replica must see the same one:
        average it first.

    Returns:
      The state after the observation, of the same form, structure and dtypes.

    Raises:
      TypeError: `value` is not a number.
      ValueError: there is no closed loop in `opt_state`, or one that was restored without its rule.

    >>> import optax, optax_sched
    >>> opt = optax_sched.reduce_on_plateau(factor=0.5, patience=0)
    >>> state = opt.init({"w": 1.0})
    >>> for validation_loss in (1.0, 1.0):
    ...     state = optax_sched.observe(state, validation_loss)
    >>> print(f"{state.scale:.1f}")
    0.5
    """
    number = metric("observe", value)
    loops, closed = _loops("observe", opt_state)
    for loop in loops:
        state = loop.state
        loop.state = state._replace(memory=remembered(state.rule, state.memory, number))
    return closed()


def replace_feedback(opt_state: State, *, reset: bool = False, **settings: object) -> State:
    """Give a running closed loop, such as a plateau, other settings: nothing compiles again.

    Args:
      opt_state: the state of an optimizer with a closed loop, in any form that `observe` takes.
      reset: whether each loop forgets what it has seen, so that its scale is 1 again.
      **settings: new values for hyperparameters of the rule and for `min_value`, by name; for
        `reduce_on_plateau`, `min_scale` too. Where several loops have such a setting, their rules must
        be equal.

    Returns:
      The state with the new settings, in arrays of its own. Schedules and counts go on.

    Raises:
      TypeError, ValueError: no loop has such a setting, or several different ones have it; a builder
        refuses a value; `opt_state` holds no closed loop, or is a batch, over which `jax.vmap` goes.

    >>> import jax.numpy as jnp, optax_sched
    >>> opt = optax_sched.reduce_on_plateau(factor=0.5, patience=10)
    >>> state = opt.init(jnp.ones(2))
    >>> state = optax_sched.replace_feedback(state, patience=0)
    >>> for loss in (1.0, 1.0):
    ...     state = optax_sched.observe(state, loss)
    >>> print(f"{state.scale:.1f}")
    0.5
    """
    loops, closed = _loops("replace_feedback", opt_state)
    known = [_names(loop.state) for loop in loops]
    for name in settings:
        rules = [loop.state.rule for loop, names in zip(loops, known, strict=True) if name in names]
        if not rules:
            raise TypeError(
                f"replace_feedback: no closed loop in opt_state has the setting {name}; "
                f"there are {', '.join(sorted(set().union(*known)))}"
            )
        if not all(same(rules[0], other) for other in rules[1:]):
            shown = sorted({repr(rule).replace("schedule=None, ", "") for rule in rules})[:2]
            raise ValueError(
                f"replace_feedback: opt_state must hold one rule with {name}, or equal ones, got "
                f"{' and '.join(shown)}: change the state inside one of them alone, such as "
                "opt_state.inner_states[label] of optax.multi_transform"
            )
    for loop, names in zip(loops, known, strict=True):
        state, own = loop.state, {name: settings[name] for name in settings if name in names}
        refuse_many("replace_feedback", state.rule.min_value)
        rule = _changed(state.rule, own) if own else state.rule
        memory = _as_laid(first_memory(rule), state.memory) if reset else state.memory
        loop.state = FeedbackState(state.schedule, memory, rule)
    return closed()


def _names(state: FeedbackState) -> set[str]:
    """The settings that a loop takes; where its schedule is only a number, its floor has two names."""
    names = set(formula_behind(state.rule).domains) - {"schedule", "observe_only"}
    return names | {"min_scale"} if state.schedule is None else names


def _changed(rule: ClosedLoop, settings: dict[str, Any]) -> Any:
    """The rule with other settings, which its builder checks, in the dtypes that it had."""
    values = stored_values(rule)
    given = {name if name in values else "min_value": value for name, value in settings.items()}
    # The builder wants some schedule there.
    whole = assembled(formula_behind(rule).builder, **values | {"schedule": constant(1.0)})
    new = without_schedule(whole.replace(**given))
    forms = [(jax.tree.structure(it), list(map(jnp.shape, jax.tree.leaves(it)))) for it in (new, rule)]
    if forms[0] != forms[1]:
        raise ValueError(
            f"replace_feedback: {', '.join(settings)} must keep the structure of the rule, {rule!r}, "
            f"got {new!r}"
        )
    return _as_laid(new, rule)


def _as_laid(new: object, old: object) -> Any:
    leaves, structure = jax.tree.flatten(new)
    return jax.tree.unflatten(structure, laid(leaves, jax.tree.leaves(old)))


def _loops(where: str, opt_state: object) -> Any:
    """The closed loops in an optimizer's state, and that state with what has become of them."""
    loops, closed = places(where, opt_state, FeedbackState)
    if not loops:
        raise ValueError(
            f"{where}: opt_state must hold a closed loop, such as plateau or reduce_on_plateau makes"
        )
    for loop in loops:
        if not isinstance(loop.state.rule, ClosedLoop):
            raise ValueError(
                f"{where}: opt_state holds the closed loop {loop.state.rule.name} as a dict, and no "
                "checkpoint holds its rule: restore it into jax.eval_shape(optimizer.init, params)"
            )
        refuse_zeros(where, loop.state)
    return loops, closed
