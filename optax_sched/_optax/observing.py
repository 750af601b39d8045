"""What is done to the rules in an optimizer's state from outside: a metric fed, settings changed."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from optax_sched._core.built import assembled, formula_behind, stored_values
from optax_sched._core.operands import constant
from optax_sched._optax.feedback import first_memory, metric, remembered, without_schedule
from optax_sched._optax.forms import changed, found, without_variables
from optax_sched._optax.paths import flat
from optax_sched._optax.plateau import greedy, plateau
from optax_sched._optax.plateau_rule import PlateauState
from optax_sched._optax.state import FeedbackState

State = TypeVar("State")

_KNOWN = {"plateau": plateau, "greedy": greedy}


def observe(opt_state: State, value: Any) -> State:
    """Feed a metric to every closed loop in an optimizer's state, outside `update`.

    The scale changes immediately.

    Args:
      opt_state: the state of an optimizer that holds `reduce_on_plateau`, `plateau`, `greedy` or a
        closed loop of your own: as optax makes it, `nnx.Optimizer.opt_state`
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

    def seen(state: FeedbackState) -> FeedbackState:
        return state._replace(memory=remembered(state.rule, state.memory, number))

    return _each_loop("observe", opt_state, seen)


def replace_feedback(opt_state: State, *, reset: bool = False, **settings: Any) -> State:
    """Give a running plateau, or another closed loop, other settings: no new trace.

    Args:
      opt_state: the state of an optimizer with a closed loop, in any form that `observe` takes.
      reset: whether each loop forgets what it has seen, so that its scale is 1 again.
      **settings: new values for hyperparameters of the rule and for `min_value`, by name; for
        `reduce_on_plateau`, `min_scale` too. Each loop in the state takes those that it has.

    Returns:
      The state with the new settings. Schedules and counts go on.

    Raises:
      TypeError, ValueError: no loop has such a setting, a builder refuses a value, or `opt_state`
        holds no closed loop.

    >>> import jax.numpy as jnp, optax_sched
    >>> opt = optax_sched.reduce_on_plateau(factor=0.5, patience=10)
    >>> state = opt.init(jnp.ones(2))
    >>> state = optax_sched.replace_feedback(state, patience=0)
    >>> for loss in (1.0, 1.0):
    ...     state = optax_sched.observe(state, loss)
    >>> print(f"{state.scale:.1f}")
    0.5
    """
    taken: set[str] = set()
    known: set[str] = set()

    def replaced(state: FeedbackState) -> FeedbackState:
        names = set(formula_behind(state.rule).domains) - {"schedule", "observe_only"}
        own = {name: value for name, value in settings.items() if name in names}
        if "min_scale" in settings and "min_scale" not in names and state.schedule is None:
            own |= {"min_value": settings["min_scale"]}  # as reduce_on_plateau calls it
            taken.add("min_scale")
        taken.update(own)
        known.update(names)
        rule = _changed(state.rule, own)
        return FeedbackState(state.schedule, first_memory(rule) if reset else state.memory, rule)

    result = _each_loop("replace_feedback", opt_state, replaced)
    for name in settings:
        if name not in taken:
            raise TypeError(
                f"replace_feedback: no closed loop in opt_state has the setting {name}; "
                f"there are {', '.join(sorted(known))}"
            )
    return result


def _changed(rule: Any, settings: dict[str, Any]) -> Any:
    """The rule with other settings, which its builder checks, in the dtypes that it had."""
    # The builder wants some schedule there.
    whole = assembled(formula_behind(rule).builder, **stored_values(rule) | {"schedule": constant(1.0)})
    new = without_schedule(whole.replace(**settings))
    if _form(new) != _form(rule):
        raise ValueError(
            f"replace_feedback: {', '.join(settings)} must keep the structure of the rule, {rule!r}, "
            f"got {new!r}"
        )
    return jax.tree.map(lambda leaf, old: leaf.astype(old.dtype), new, rule)


def _form(rule: Any) -> Any:
    return jax.tree.structure(rule), list(map(jnp.shape, jax.tree.leaves(rule)))


def _each_loop(where: str, opt_state: Any, change: Callable[[FeedbackState], FeedbackState]) -> Any:
    """The optimizer's state, in its form, with every closed loop's state changed."""
    plain, back = without_variables(where, opt_state)
    if not found(plain, FeedbackState):
        raise ValueError(
            f"{where}: opt_state must hold a plateau, such as reduce_on_plateau makes, or another "
            "closed loop"
        )

    def changed_in_form(node: Any) -> Any:
        if isinstance(node, FeedbackState):
            return change(node)
        state = change(_from_dict(where, node))
        memory, rule = state.memory._asdict(), node["rule"] | flat(state.rule)
        return {"schedule": state.schedule, "memory": memory, "rule": rule}

    return back(changed(plain, FeedbackState, changed_in_form))


def _from_dict(where: str, node: Any) -> FeedbackState:
    """The state of one of our own loops that came back as a dict, where no rule can be."""
    label = next(iter(node["rule"])).rpartition(".")[0]  # plateau, or plateau(True) if observe_only
    name, _, words = label.partition("(")
    if name not in _KNOWN:
        raise ValueError(
            f"{where}: opt_state holds the closed loop {name} as a dict, and no checkpoint holds its "
            "rule: restore it into jax.eval_shape(optimizer.init, params)"
        )
    builder = _KNOWN[name]
    numbers = {path.rpartition(".")[2]: number for path, number in node["rule"].items()}
    numbers |= {"schedule": None, "observe_only": bool(words)}
    rule = jax.tree.map(jnp.asarray, assembled(builder, **numbers))
    return FeedbackState(node["schedule"], PlateauState(**node["memory"]), rule)
