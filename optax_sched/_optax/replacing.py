"""Other schedules put into a running job."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.arguments import admit
from optax_sched._core.built import is_made_by
from optax_sched._core.domains import is_traced
from optax_sched._core.errors import in_a_word
from optax_sched._core.operands import OneSchedule, of_function
from optax_sched._optax.forms import (
    LABELLED,
    PARTITION,
    changed,
    field,
    found,
    is_a,
    with_fields,
    without_variables,
)
from optax_sched._optax.paths import as_dicts, flat
from optax_sched._optax.state import ScheduleState, owned, strong

State = TypeVar("State")


def replace_schedule(opt_state: State, schedule: Any, *, retrace: bool = False) -> State:
    """Put a new schedule into a running job; it goes on from the same count.

    A schedule of the same builders with other numbers needs no new trace: its numbers are cast to the
    dtypes of the old ones. Where parameter groups have several different schedules of that structure,
    one schedule for all of them is refused.

    Args:
      opt_state: the state of an optimizer that holds `scale_by_schedule`, `scale_by_learning_rate`,
        `live` or a closed loop: as optax makes it, `nnx.Optimizer.opt_state`, or as a checkpoint
        library restores it in dicts and lists.
      schedule: the new schedule, or a number; a dict of new ones by label of `optax.multi_transform`,
        or by name of a hyperparameter of `optax.inject_hyperparams` (what it leaves out stays as it
        is; a value may be a function or a dict, too); or a function `old -> new` that is called with
        each schedule. Wrap a function of the step in `schedule` first.
      retrace: whether a schedule of another structure may come instead, at the cost of one new trace.

    Returns:
      The state with the new schedule, in arrays of its own: it may be donated.

    Raises:
      TypeError, ValueError: `schedule` is none of these, `opt_state` holds no schedule of its
        structure or several different ones, a label is unknown, or a number would be cut to a whole
        one.

    To plan for a change without a new trace, build its structure in: of
    `cooldown(schedule, start=2**31 - 1, cooldown_steps=100)` the start can be moved at any time.

    >>> import jax.numpy as jnp, optax_sched
    >>> opt = optax_sched.scale_by_learning_rate(optax_sched.linear(0.1, 0.0, 10))
    >>> state = optax_sched.replace_schedule(opt.init(jnp.ones(2)), optax_sched.linear(0.2, 0.0, 10))
    >>> print(f"{opt.update(jnp.ones(2), state)[0][0]:.1f}")
    -0.2
    >>> state = replace_schedule(state, lambda old: old.replace(init_value=0.5 * old.init_value))
    >>> print(f"{opt.update(jnp.ones(2), state)[0][0]:.1f}")
    -0.1
    """
    plain, back = without_variables("replace_schedule", opt_state)
    return back(_replaced(plain, schedule, retrace, "schedule"))


def _replaced(tree: Any, wanted: Any, retrace: bool, name: str) -> Any:
    if isinstance(wanted, Mapping):
        return _replaced_by_label(tree, wanted, retrace, name)
    states = found(tree, ScheduleState)
    if not states:
        raise ValueError(
            "replace_schedule: opt_state must hold a schedule, such as scale_by_learning_rate, "
            "scale_by_schedule, live or plateau keeps; optax's own keep none: give them live(schedule)"
        )
    if _is_plain(wanted):
        return changed(
            tree, ScheduleState, lambda state: _put(state, _made_by(wanted, state, name), retrace)
        )
    new = admit("replace_schedule", name, OneSchedule(), wanted)
    olds = [field(state, "schedule") for state in states]
    fits = [old for old in olds if retrace or _fits(new, old)]
    if not fits:
        raise _misfit(new, olds[0])
    if not all(_equal(fits[0], other) for other in fits[1:]):
        shown = " and ".join(sorted({repr(old) for old in fits})[:2])
        raise ValueError(
            f"replace_schedule: opt_state must hold one schedule to replace, or equal ones, got {shown}"
            ": give a dict of schedules by label of optax.multi_transform or by name of a "
            "hyperparameter, or a function old -> new that returns unchanged what you want to keep"
        )

    def put(state: Any) -> Any:
        is_meant = retrace or _fits(new, field(state, "schedule"))
        return _put(state, new, retrace) if is_meant else state

    return changed(tree, ScheduleState, put)


def _replaced_by_label(tree: Any, wanted: Any, retrace: bool, name: str) -> Any:
    # A checkpoint gives labels back as strings.
    by_text = {str(label): schedule for label, schedule in wanted.items()}
    known = []

    def changed_inside(state: Any) -> Any:
        is_partition = is_a(PARTITION, state)
        where = "inner_states" if is_partition else "hyperparams_states"
        states = dict(field(state, where))
        for label, inner in states.items():
            if found(inner, ScheduleState):
                known.append(label)
                if str(label) in by_text:
                    here = f"{name}[{label!r}]"
                    states[label] = _replaced(inner, by_text[str(label)], retrace, here)
        state = with_fields(state, **{where: states})
        if is_partition:
            return state
        inside = changed(field(state, "inner_state"), LABELLED, changed_inside)
        return with_fields(state, inner_state=inside)

    result = changed(tree, LABELLED, changed_inside)
    for label in wanted:
        if str(label) not in map(str, known):
            there = ", ".join(map(repr, known)) or "of which opt_state has none (write live(schedule))"
            raise ValueError(
                f"replace_schedule: {name} must have labels of optax.multi_transform, or names of "
                f"hyperparameters, that hold a schedule, {there}, got {in_a_word(label)}"
            )
    return result


def _is_plain(function: Any) -> bool:
    return callable(function) and jax.tree_util.all_leaves([function])


def _made_by(function: Callable[[Any], Any], state: Any, name: str) -> Any:
    """What a function `old -> new` makes of the schedule in a state."""
    old = field(state, "schedule")
    if not callable(old):
        raise ValueError(
            f"replace_schedule: {name} must be a schedule where the old one is only a dict of numbers: "
            "for a function old -> new restore the state into jax.eval_shape(optimizer.init, params)"
        )
    if is_made_by(of_function, old) and old.function is function:
        return old  # the same function of the step as before
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


def _put(state: Any, new: Any, retrace: bool) -> Any:
    """The state with a new schedule, in the dtypes of the old one where it fits there."""
    old = field(state, "schedule")
    olds, news = flat(old), flat(new)
    fits = _fits(new, old)
    cut = fits and any(_is_cut(_as_held(leaf, olds[path]), olds[path]) for path, leaf in news.items())
    if not retrace and (cut or not fits):
        raise _misfit(new, old, cut)
    if fits and not cut:
        news = {path: _cast(_as_held(leaf, olds[path]), olds[path]) for path, leaf in news.items()}
    news = {path: owned(leaf) for path, leaf in news.items()}
    structure = jax.tree.structure(new)
    if callable(old):
        held = jax.tree.unflatten(structure, news.values())
    elif fits:
        held = jax.tree.unflatten(jax.tree.structure(old), [news[path] for path in olds])
    else:
        held = as_dicts(jax.tree.unflatten(structure, news.values()))
    count, value = (jnp.asarray(field(state, name)) for name in ("count", "value"))
    first = strong(new(count)).astype(value.dtype)
    return with_fields(state, value=jnp.where(count == 0, first, value), schedule=held)


def _misfit(new: Any, old: Any, cut: bool = False) -> ValueError:
    rule = "have whole numbers where the old one has" if cut else "be of the old one's structure"
    return ValueError(
        f"replace_schedule: schedule must {rule}, {old!r}, got {new!r}; retrace=True takes it, at the "
        "cost of one new trace; a cooldown(..., start=2**31 - 1) from the beginning needs no new trace"
    )


def _fits(new: Any, old: Any) -> bool:
    """Whether one schedule fits where the other is: a number for a number, a key for such a key."""
    olds, news = flat(old), flat(new)
    same = jax.tree.structure(old) == jax.tree.structure(new) if callable(old) else True
    return (
        same
        and olds.keys() == news.keys()
        and all(
            jnp.shape(leaf) == jnp.shape(olds[path])
            and (leaf.dtype == olds[path].dtype or not (_is_key(leaf) or _is_key(olds[path])))
            for path, leaf in ((path, _as_held(leaf, olds[path])) for path, leaf in news.items())
        )
    )


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _as_held(new: Any, old: Any) -> Any:
    """A leaf as an array, and a random key as its words where only these are held."""
    new = strong(new)
    return jax.random.key_data(new) if _is_key(new) and not _is_key(old) else new


def _is_cut(new: Any, old: Any) -> bool:
    """Whether a number that is known and not whole comes where whole ones are."""
    if not jnp.issubdtype(old.dtype, jnp.integer) or is_traced(new):
        return False
    number = np.asarray(new)
    return bool(np.any((number != np.round(number)) | (np.abs(number) > 2.0**31)))


def _cast(new: jax.Array, old: Any) -> jax.Array:
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _equal(a: Any, b: Any) -> bool:
    """Whether two schedules are the same, as far as one can know: traced numbers count as different."""
    first, second = flat(a), flat(b)
    if jax.tree.structure(a) != jax.tree.structure(b) or first.keys() != second.keys():
        return False
    return all(_same(leaf, second[path]) for path, leaf in first.items())


def _same(a: Any, b: Any) -> bool:
    if a is b or is_traced((a, b)):
        return a is b
    if _is_key(a) or _is_key(b):
        return a.dtype == b.dtype and _same(jax.random.key_data(a), jax.random.key_data(b))
    return np.array_equal(np.asarray(a), np.asarray(b))
