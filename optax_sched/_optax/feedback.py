"""Closed loops: a rule that reads a metric is to the metric what a schedule is to the step."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, NoReturn, ParamSpec, Protocol, overload

import jax
import jax.numpy as jnp
import numpy as np

from optax_sched._core.built import Built, bound_values, formula_behind, refuse_batch, stored_values
from optax_sched._core.domains import as_scalar
from optax_sched._core.errors import Refusal, in_a_word
from optax_sched._core.evaluate import advice_for_traced_code, weak
from optax_sched._core.formula import Checks, Formula
from optax_sched._core.operands import Operand
from optax_sched._core.words import Rate, Switch
from optax_sched._optax.state import KEPT, FeedbackState, advanced, evaluated, rate_of, single, start

MISSING: Any = object()

P = ParamSpec("P")
Rule = Callable[Concatenate[Any, Any, P], Any]  # of the memory, the value and hyperparameters


class LiveSchedule(Built):
    """A schedule as `optax.inject_hyperparams` takes it, whose state carries the schedule itself.

    `live` makes it. Its methods are those of an optax *stateful schedule*.
    """

    __slots__ = ()

    def init(self) -> Any:
        """The state before the first update."""
        refuse_batch(formula_behind(self).name, self, "map over it, as in sweep(train, batch)")
        return start(stored_values(self)["schedule"])

    def update(self, state: object, **extra: object) -> Any:
        """The state after an update; a closed loop needs its metric as `value`."""
        return advanced(self._at_this_update(state, extra.get("value", MISSING)))

    def __call__(self, state: object, **extra: object) -> jax.Array:
        """The rate of the update that is being made; of a closed loop without `value`, as it stands."""
        name = formula_behind(self).name
        if not isinstance(state, KEPT):
            raise TypeError(
                f"{name}: write optax.inject_hyperparams(optax.adamw)(learning_rate={name}(...)), "
                f"which keeps its state; it was called with {in_a_word(state)}, as optax.adamw calls a "
                "function of the step, or after optax.tree.set(state, learning_rate=...): for that "
                "write replace_schedule(state, ...)"
            )
        return weak(rate_of(self._at_this_update(state, extra.get("value"))))

    def _at_this_update(self, state: Any, value: object, where: str | None = None) -> Any:
        return evaluated(state)

    def _no_arithmetic(self, _: object = None) -> NoReturn:
        name = formula_behind(self).name
        raise TypeError(f"{name}: a closed loop has no arithmetic: put it inside, {name}(0.1 * s, ...)")

    __array_ufunc__ = None  # so that NumPy's numbers, when they stand on the left, leave it to us
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _no_arithmetic
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __neg__ = _no_arithmetic


def _builder(function: Callable[P, Any]) -> Callable[P, LiveSchedule]:
    return Formula(function, function.__name__, (), LiveSchedule, skip=[]).builder


@_builder
def live(schedule: Operand):
    """A schedule whose rate can be read and replaced, inside any optax optimizer.

    `optax.adamw(schedule)` keeps only a count. The state of
    `optax.inject_hyperparams(optax.adamw)(learning_rate=live(schedule))` carries the schedule itself:
    `current_value` reads the rate, and `replace_schedule` puts another schedule there in a running job.
    It is an optax *stateful schedule* without a rule, so `update` takes no metric.

    A checkpoint of the state holds the schedule. A restored state continues with that schedule, even if
    the program now says another. This line fixes it:

        opt_state = replace_schedule(opt_state, schedule, retrace=True)

    Args:
      schedule: a schedule, any function of the step, or a number.

    Raises:
      TypeError, ValueError: `schedule` is none of these.

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> rate = live(optax_sched.cosine_decay(0.1, 100))
    >>> rate
    live(schedule=cosine_decay(init_value=0.1, decay_steps=100, end_value=0.0, exponent=1.0))
    >>> opt = optax.inject_hyperparams(optax.adamw)(learning_rate=rate)
    >>> state = opt.init(jnp.ones(3))
    >>> print(f"{optax_sched.current_value(state):.1f}")
    0.1
    """


class ClosedLoop(LiveSchedule):
    """A schedule times a scale that a rule draws from a metric: an optax *stateful schedule*.

    `plateau`, `greedy` and the builders that `feedback` makes give it. It is an immutable pytree of its
    hyperparameters, as a `Schedule` is: `repr` gives its source, `replace` changes it, it pickles, and
    it may be stacked, swept and traced.

    >>> import optax_sched
    >>> optax_sched.plateau(0.1, patience=2).replace(patience=5).patience
    5
    """

    __slots__ = ()

    def init(self) -> FeedbackState:
        """The state before the first update."""
        schedule, rule = super().init(), without_schedule(self)
        return FeedbackState(schedule, first_memory(rule), rule)

    def _at_this_update(self, state: Any, value: Any, where: str | None = None) -> FeedbackState:
        where = where or formula_behind(self).name
        if value is MISSING and not self.observe_only:
            raise TypeError(
                f"{where}: update needs value=, the metric to watch; pass value=None and call "
                "optax_sched.observe where it is known only now and then, or set observe_only=True"
            )
        if state.schedule is not None:
            state = state._replace(schedule=evaluated(state.schedule))
        if value is None or self.observe_only:
            return state
        return state._replace(memory=remembered(state.rule, state.memory, metric(where, value)))


def _every_loop(schedule: Operand, *, min_value: Rate = 0.0, observe_only: Switch = False) -> None:
    """The hyperparameters of every closed loop; its own stand after the schedule."""


_OF_EVERY_LOOP = inspect.signature(_every_loop).parameters


class _Rule(Formula):
    """A rule with its hyperparameters, and what it remembers before it has seen anything."""

    reserved = Formula.reserved | {"reset"}  # a keyword of `replace_feedback`
    before, after = list(_OF_EVERY_LOOP.values())[:1], list(_OF_EVERY_LOOP.values())[1:]

    def __init__(self, rule: Callable[..., Any], name: str, check: Checks, memory: object):
        super().__init__(rule, name, check, ClosedLoop, ["memory", "value"])
        self.memory = memory
        self.memory_names = list(inspect.signature(memory).parameters) if callable(memory) else []
        for it in self.memory_names:
            if it not in self.domains.keys() - _OF_EVERY_LOOP.keys():
                words = f"init asks for {it}, which is no hyperparameter of the rule"
                if inspect.isclass(memory):
                    words = f"init must be a NamedTuple, got its class: write {memory.__name__}()"
                raise TypeError(f"{name}: {words}")


class LoopBuilder(Protocol[P]):
    """What `feedback` makes, for type checkers: it takes the schedule, then the hyperparameters."""

    __name__: str

    @overload
    def __call__(self, schedule: object, *args: P.args, **kwargs: P.kwargs) -> ClosedLoop: ...

    # Checkers know no keyword between P.args and P.kwargs.
    @overload
    def __call__(
        self, schedule: object, *args: object, min_value: object, **_: object
    ) -> ClosedLoop: ...

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]  # both may be given
        self, schedule: object, *args: object, observe_only: bool, **_: object
    ) -> ClosedLoop: ...


@overload
def feedback(
    rule: Rule[P], *, init: object = None, name: str | None = None, check: Checks = ()
) -> LoopBuilder[P]: ...


@overload
def feedback(
    rule: None = None, *, init: object = None, name: str | None = None, check: Checks = ()
) -> Callable[[Rule[P]], LoopBuilder[P]]: ...


def feedback(
    rule: Callable[..., Any] | None = None,
    *,
    init: object = None,
    name: str | None = None,
    check: Checks = (),
) -> Any:
    """Turn a rule `(memory, value, *hyperparameters) -> memory` into a builder of closed loops.

    A rule is to the metric what a formula is to the step: a pure function that JAX can trace. It gets
    what it remembers and the newest value of the metric, and returns what it remembers from now on.
    The builder takes the schedule first, then the rule's hyperparameters. The rate is

        max(s scale, min(s, min_value)),    s = the schedule at the step

    where `scale` is the memory, or its field of that name. A schedule below `min_value` stays as it
    is, a negative one too. The rule sees scalars in float32 and int32, and what it returns is cast to
    the types that the memory has. All that holds of `plateau` holds of every rule: one compilation,
    a state of fixed types in float32 and int32 whatever the parameters' dtype, `observe`,
    `current_value`, `replace_schedule` and `replace_feedback`, sweeps over its hyperparameters.

    Args:
      rule: the rule, a function or a lambda. Its annotations say what each hyperparameter may be, as
        in `schedule`.
      init: what the rule remembers at first: None for a scale of 1.0; a NamedTuple of numbers or
        arrays with a field `scale`; or a function of some of the rule's hyperparameters, by their
        names, that makes one.
      name: the builder's name, for `repr` and errors; by default the name of the function.
      check: a relation between hyperparameters, as in `schedule`.

    Returns:
      The builder, `(schedule, *hyperparameters, *, min_value=0.0, observe_only=False) -> ClosedLoop`.
      With `observe_only=True`, `update` takes no metric and `observe` alone feeds the rule.

    Raises:
      TypeError: `rule` is not callable or does not take two arguments; a hyperparameter is called
        `init`, `update`, `replace`, `step`, `reset`, `schedule`, `min_value`, `observe_only` or `_...`,
        or hides behind `**`; or `init` or `check` asks for another name than a hyperparameter's.

    On several devices every replica must see the same metric: average it first.

    >>> import jax.numpy as jnp, optax, optax_sched
    >>> from optax_sched.typing import Growth, Positive
    >>> @optax_sched.feedback
    ... def spike_guard(scale, value, limit: Positive, factor: Growth = 2.0):
    ...     return jnp.where(value > limit, scale / factor, jnp.minimum(scale * factor**0.1, 1.0))
    >>> rate = spike_guard(0.4, limit=5.0)
    >>> rate
    spike_guard(schedule=constant(value=0.4), limit=5.0, factor=2.0, min_value=0.0, observe_only=False)
    >>> optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=rate)
    >>> state = optimizer.init(jnp.ones(2))
    >>> updates, state = optimizer.update(jnp.ones(2), state, value=9.0)
    >>> print(f"{optax_sched.current_value(state):.1f}")
    0.2
    """
    if rule is None:
        return functools.partial(feedback, init=init, name=name, check=check)
    if not callable(rule):
        raise TypeError(f"feedback: rule must be a function or a lambda, got {in_a_word(rule)}")
    name = name or rule.__name__
    memory = 1.0 if init is None else init
    if not (init is None or callable(init)):
        _check_memory(name, init)
    return _Rule(rule, name, check, memory).builder


def without_schedule(loop: ClosedLoop) -> Any:
    """The loop as a state carries it: its own arrays, and the schedule left to its neighbour."""
    values = stored_values(loop) | {"schedule": None}
    return jax.tree.map(single, ClosedLoop._make(formula_behind(loop), list(values.values())))


def first_memory(rule: ClosedLoop) -> Any:
    """What the rule remembers before it has seen anything, as arrays of its own."""
    formula: Any = formula_behind(rule)
    memory, values = formula.memory, stored_values(rule)
    if callable(memory):
        memory = memory(**{name: values[name] for name in formula.memory_names})
        _check_memory(formula.name, memory)
    return jax.tree.map(single, memory)


def _check_memory(name: str, memory: Any) -> None:
    fields = getattr(memory, "_fields", ())
    if "scale" not in fields or jnp.shape(memory.scale):
        rule = "a NamedTuple with a field scale, a number"
        raise Refusal(name, "init", rule, memory).error(TypeError)


# An eager call runs this as one cached program; a trace inlines it.
@functools.partial(jax.jit, inline=True)
def remembered(rule: Any, memory: Any, value: jax.Array) -> Any:
    """What a rule remembers once it has seen one more value."""
    formula: Any = formula_behind(rule)
    rule, memory, value = jax.tree.map(jnp.asarray, (rule, memory, value))  # for jax.disable_jit
    bound = bound_values(rule)  # the schedule, the rule's own hyperparameters, those of every loop
    named = {name: it for name, it in bound.kwargs.items() if name not in _OF_EVERY_LOOP}
    with jax.numpy_dtype_promotion("standard"):
        with advice_for_traced_code(formula.name):
            new = formula.function(memory, value, *bound.args[1:], **named)
        given, got = (jax.tree.map(jnp.shape, tree) for tree in (memory, new))
        if jax.tree.structure(new) != jax.tree.structure(memory) or given != got:
            raise TypeError(
                f"{formula.name}: the rule must return what it was given, of the shapes "
                f"{in_a_word(given)}, got {in_a_word(got)}"
            )
        return jax.tree.map(lambda new, old: jnp.asarray(new).astype(old.dtype), new, memory)


def metric(where: str, value: object) -> jax.Array:
    """A value to observe as float32; not finite is allowed, not a number is not."""
    try:
        number = as_scalar(value)
    except (TypeError, OverflowError):
        rule = "a number, the metric to watch (None where there is no observation)"
        raise Refusal(where, "value", rule, value).error(TypeError) from None
    if not isinstance(number, jax.Array):
        with np.errstate(over="ignore"):  # beyond float32 is not finite
            number = np.float32(np.clip(number, -1e300, 1e300))
    return jnp.asarray(number, jnp.float32)
