"""Other schedules put into a running job."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.built import is_made_by, refuse_batch
from optax_sched._core.domains import is_key, is_traced
from optax_sched._core.errors import in_a_word
from optax_sched._core.formula import formula_of
from optax_sched._core.operands import OneSchedule, of_function
from optax_sched._core.words import CountOrZero, admit, domain_of
from optax_sched._optax.forms import Place, places
from optax_sched._optax.state import ScheduleState, flat, laid, refuse_many, refuse_zeros, same, strong

State = TypeVar("State")


def replace_schedule(
    opt_state: State, schedule: object = None, *, count: object = None, retrace: bool = False
) -> State:
    """Put a new schedule into a running job; it goes on from the same count.

    A schedule of the same builders with other numbers needs no new compilation: its numbers are cast to
    the dtypes of the old ones, and lie on the same devices.

    Args:
      opt_state: the state of an optimizer that holds `scale_by_schedule`, `scale_by_learning_rate`,
        `live` or a closed loop: as optax makes it, `nnx.Optimizer.opt_state`, or as a checkpoint
        library restores it in dicts and lists.
      schedule: the new schedule, or a number, or a function `old -> new`, for the rates alone: those of
        `scale_by_schedule`, `scale_by_learning_rate` and `scale_by_feedback`, and hyperparameters named
        `learning_rate` or `..._learning_rate`. The function is called with each rate; a schedule is
        refused where there are several different ones. A dict names other places, by label of
        `optax.multi_transform`, by name of a hyperparameter of `optax.inject_hyperparams`, or, nested,
        by both; what it does not name stays. Wrap a function of the step in `schedule` first.
      count: the number of updates from which the replaced schedules go on, 0 or more; without a
        `schedule`, all of them. A dict of such numbers, as for `schedule`, names some.
      retrace: whether a schedule of another structure may come instead, at the cost of one new trace.

    Returns:
      The state with the new schedule, in arrays of its own: it may be donated.

    Raises:
      TypeError, ValueError: `schedule` or `count` is none of these, `opt_state` holds no such schedule
        or several different ones, the structure is another, or a number would be cut to a whole one; or
        `opt_state` is a batch, over which `jax.vmap(replace_schedule)` goes.

    To plan for a change without a new trace, build its structure in: of
    `cooldown(schedule, start=2**31 - 1, cooldown_steps=100)` the start can be moved at any time.

    >>> import jax.numpy as jnp, optax_sched
    >>> opt = optax_sched.scale_by_learning_rate(optax_sched.linear(0.1, 0.0, 10))
    >>> state = optax_sched.replace_schedule(opt.init(jnp.ones(2)), optax_sched.linear(0.2, 0.0, 10))
    >>> print(f"{opt.update(jnp.ones(2), state)[0][0]:.1f}")
    -0.2
    >>> state = replace_schedule(state, lambda old: old.replace(init_value=0.5 * old.init_value))
    >>> state = replace_schedule(state, count=5)
    >>> print(f"{opt.update(jnp.ones(2), state)[0][0]:.2f}")
    -0.05
    """
    found, closed = places("replace_schedule", opt_state, ScheduleState)
    if not found:
        raise ValueError(
            "replace_schedule: opt_state must hold a schedule, such as scale_by_learning_rate, "
            "scale_by_schedule, live or plateau keeps; optax's own keep none: give them live(schedule)"
        )
    for place in found:
        refuse_many("replace_schedule", place.state.count)
    goes_on = found
    if schedule is not None or count is None:
        goes_on = []
        for name, wanted, level, inside in _meant(found, schedule, "schedule", 0):
            rates = [place for place in inside if place.is_rate or len(place.names) == level]
            if not rates:
                held = dict.fromkeys(repr(place.names[-1]) for place in inside)
                raise ValueError(
                    "replace_schedule: opt_state must hold a schedule of the rate, got one of "
                    f"{', '.join(held)}: name it, {{{next(iter(held))}: schedule}}, or give the rate "
                    "as live(schedule)"
                )
            _replace(rates, wanted, name, retrace)
            goes_on += rates
    if count is not None:
        for name, wanted, _, inside in _meant(found, count, "count", 0):
            number = admit("replace_schedule", name, domain_of("count", CountOrZero), wanted)
            for place in goes_on if inside is found else inside:
                state = place.state
                (new,) = laid([number], [state.count])
                place.state = _at_start(state._replace(count=new), state.count, state.schedule)
    for place in found:
        refuse_zeros("replace_schedule", place.state)
    return closed()


def _meant(
    inside: Sequence[Place], wanted: object, name: str, level: int
) -> Iterator[tuple[str, Any, int, Sequence[Place]]]:
    """What is wanted for which places: by its name in nested dicts, of which `level` are around it."""
    if not isinstance(wanted, Mapping):
        yield name, wanted, level, inside
        return
    inside = [place for place in inside if len(place.names) > level]
    for label, inner in wanted.items():
        # A checkpoint gives labels back as strings.
        named = [place for place in inside if str(place.names[level]) == str(label)]
        if not named:
            known = ", ".join(dict.fromkeys(repr(place.names[level]) for place in inside))
            known = known or "of which opt_state has none (write live(schedule))"
            raise ValueError(
                f"replace_schedule: {name} must have labels of optax.multi_transform, or names of "
                f"hyperparameters, that hold a schedule, {known}, got {in_a_word(label)}"
            )
        yield from _meant(named, inner, f"{name}[{label!r}]", level + 1)


def _replace(rates: Sequence[Place], wanted: object, name: str, retrace: bool) -> None:
    """One new schedule for all of some places, or what a function makes of each."""
    olds = [place.state.schedule for place in rates]
    if callable(wanted) and jax.tree_util.all_leaves([wanted]) and not formula_of(wanted):
        news = [_made_by(wanted, old, name) for old in olds]
    else:
        news = [admit("replace_schedule", name, OneSchedule(), wanted)] * len(olds)
        if not all(same(olds[0], other) for other in olds[1:]):
            shown = " and ".join(sorted({repr(old) for old in olds})[:2])
            raise ValueError(
                "replace_schedule: opt_state must hold one schedule to replace, or equal ones, got "
                f"{shown}: give a dict of schedules by label of optax.multi_transform or by name of a "
                "hyperparameter, or a function old -> new that returns unchanged what you want to keep"
            )
    for place, new in zip(rates, news, strict=True):
        place.state = _with(place.state, new, name, retrace)


def _made_by(function: Callable[[Any], Any], old: Any, name: str) -> Any:
    """What a function `old -> new` makes of a schedule."""
    if is_made_by(of_function, old) and old.function is function:
        return old  # the same function of the step as before
    if not callable(old):
        raise ValueError(
            f"replace_schedule: {name} must be a schedule where the old one is only a dict of numbers: "
            "for a function old -> new restore the state into jax.eval_shape(optimizer.init, params)"
        )
    try:
        new = function(old)
    except Exception as error:
        if not _is_of_the_step(function):
            raise
        raise TypeError(
            f"replace_schedule: {name} must be a schedule or a function old -> new, got a function of "
            "the step: wrap it, optax_sched.schedule(function)()"
        ) from error
    return admit("replace_schedule", f"what {name} returns", OneSchedule(), new)


def _is_of_the_step(function: Callable[[Any], Any]) -> bool:
    try:
        jax.eval_shape(function, jax.ShapeDtypeStruct((), jnp.int32))
    except Exception:  # whatever the user's function raises
        return False
    return True


def _with(state: ScheduleState, new: object, name: str, retrace: bool) -> ScheduleState:
    """The state with a new schedule, in the dtypes of the old one where it fits there."""
    refuse_batch(f"replace_schedule: {name}", new, "give one schedule")
    old, structure = state.schedule, jax.tree.structure(new)
    leaves, by_path = flat(new), flat(old)
    fits = structure == jax.tree.structure(old) if callable(old) else leaves.keys() == by_path.keys()
    olds = [by_path[path] if fits else state.value for path in leaves]
    # A random key is held as its words where only these are restored.
    pairs = zip(leaves.values(), olds, strict=True)
    news = [jax.random.key_data(a) if is_key(a) and not is_key(b) else a for a, b in pairs]
    rules = map(_broken_rule, news, olds) if fits else ["be of the old one's structure"]
    rule = next(filter(None, rules), None)
    if rule and not retrace:
        remedy = "retrace=True takes it, at the cost of one new trace"
        if repr(new).startswith("cooldown(") and not repr(old).startswith("cooldown("):
            remedy += "; a cooldown(..., start=2**31 - 1) from the beginning needs no new trace"
        raise ValueError(f"replace_schedule: {name} must {rule}, {old!r}, got {new!r}; {remedy}")
    if rule:  # the new numbers lie where the rate does
        news, olds = list(map(strong, leaves.values())), [state.value] * len(leaves)
    held = jax.tree.unflatten(structure, laid(news, olds, cast=not rule))
    return _at_start(state._replace(schedule=held), state.count, new)


def _broken_rule(new: Any, old: Any) -> str | None:
    """What a number breaks in the place of another, if anything."""
    if jnp.shape(new) != jnp.shape(old) or is_key(new) != is_key(old):
        return "be of the old one's structure"
    if is_key(old) or not jnp.issubdtype(old.dtype, jnp.integer) or is_traced(new):
        return None
    number, most = np.asarray(new), jnp.iinfo(old.dtype).max
    is_cut = np.any((number != np.round(number)) | (np.abs(number) > most))
    return "have whole numbers where the old one has" if is_cut else None


def _at_start(state: ScheduleState, before: Any, schedule: Any) -> ScheduleState:
    """The state, with the rate that it will use where no update was made."""
    if not callable(schedule):  # only the numbers of a schedule, as a checkpoint restores them
        return state
    is_known = not is_traced((before, state.count))
    if is_known and np.asarray(before) and np.asarray(state.count):
        return state
    (first,) = laid([schedule(state.count)], [state.value])
    if not is_known:
        first = jnp.where((before == 0) | (state.count == 0), first, state.value)
    return state._replace(value=first)
