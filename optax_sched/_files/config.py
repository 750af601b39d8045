"""Schedules as plain dicts, for JSON and YAML, and back: names are looked up, nothing is executed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.built import Built, formula_behind, hyperparameters, refuse_batch
from optax_sched._core.domains import default_float, is_key
from optax_sched._core.errors import Refusal
from optax_sched._core.operands import as_number
from optax_sched._core.printing import source
from optax_sched._core.schedule import Schedule
from optax_sched._files.reader import BUILT_IN, Path, Reader, Walk, known_builders


def to_config(schedule: Built) -> dict[str, Any]:
    """A schedule as a plain dict, which JSON and YAML can hold and `from_config` reads.

    The dict is flat: `"builder"` is the builder's name, and the other keys are its hyperparameters.
    Schedules inside become dicts of the same form, and sequences and `*schedules` become lists. A
    random key becomes `{"impl": ..., "key_data": [...]}`, or the seed if you gave a seed. Of a builder
    of your own the dict holds only the name: pass that builder to `from_config`.

    The way back is exact: `from_config` gives the same numbers, the same values to the bit and the same
    `repr`. `to_config` writes a float32 with the shortest digits that give it back, and an array as the
    Python number or list that it equals.

    Args:
      schedule: one schedule, not a batch, whose numbers are known, not traced; at most 30 schedules
        deep and 10,000 in all.

    Returns:
      A dict of strings, numbers, lists, dicts, True, False and None.

    Raises:
      TypeError, ValueError: it is not a schedule, or a batch, traced, too deep or not finite; it holds
        a function (a shape, an operand), which a dict cannot hold; or two of its builders have the same
        name. The error names the place.

    Elsewhere: keras' `serialize`. Not to be confused with `repr`, the source text, which
    `from_source` reads.

    >>> import json, optax_sched
    >>> s = optax_sched.warmup(optax_sched.linear(0.1, 0.0, 1000), 100)
    >>> config = to_config(s)
    >>> config["builder"], config["schedule"]["init_value"]
    ('warmup', 0.1)
    >>> from_config(json.loads(json.dumps(config)))
    warmup(schedule=linear(init_value=0.1, end_value=0.0, transition_steps=1000), ...)
    """
    if not isinstance(schedule, Built):
        raise Refusal("to_config", "schedule", "a Schedule", schedule).error(TypeError)
    refuse_batch("to_config", schedule, "write [to_config(s) for s in unstack(batch)]")
    return _Writer().schedule(schedule, ())


class Keyed(Protocol):
    """A mapping of any kind: a dict, OmegaConf's DictConfig, ml_collections' ConfigDict."""

    __module__ = "optax_sched"  # as `help` shows it

    def keys(self) -> Iterable[Any]: ...
    def __getitem__(self, key: Any, /) -> Any: ...


def from_config(
    config: Keyed, builders: Mapping[str, Callable[..., Schedule]] | None = None
) -> Schedule:
    """The schedule that a plain dict describes, written by `to_config` or by hand.

    You may leave out hyperparameters that have a default. Each builder checks its hyperparameters as it
    always does. `from_config` looks names up among the built-in builders and yours; it evaluates and
    imports nothing, and calls nothing else.

    It reads the configs of OmegaConf and ml_collections as they are. One line changes a few settings,
    such as those from a command line: `from_config(config).replace(**{"schedule.init_value": 0.2})`.

    YAML reads `1e-5` as text: write `1.0e-5`.

    Args:
      config: a dict of the form that `to_config` describes, with the types that JSON has, or any other
        mapping, with any sequences in it; at most 30 deep and 10,000 schedules in all.
      builders: builders of your own, made by `schedule`, by their names in the config. No name of a
        built-in builder is allowed.

    Returns:
      The schedule.

    Raises:
      TypeError, ValueError: a builder's name is missing or unknown, a key is missing or unknown, or a
        value has the wrong type or its builder refuses it. The error is one line with the path inside
        the config, as in `schedules[1].decay_steps`.

    Elsewhere: keras' `deserialize`; Hydra's `_target_`, which imports whatever the config names.

    >>> from_config({"builder": "cosine_decay", "init_value": 0.1, "decay_steps": 1000})
    cosine_decay(init_value=0.1, decay_steps=1000, end_value=0.0, exponent=1.0)
    >>> from_config({"builder": "warmup", "schedule": {"builder": "cosin_decay"}})
    Traceback (most recent call last):
    ValueError: from_config: schedule.builder must be the name of a builder, got 'cosin_decay'; ...
    """
    known = known_builders("from_config", builders)
    return Reader("from_config", "config", known).schedule(config)


class _Writer(Walk):
    def __init__(self):
        super().__init__("to_config")
        self.names = dict(BUILT_IN)

    def schedule(self, schedule: Built, path: Path) -> dict[str, Any]:
        self.enter(path)
        formula = formula_behind(schedule)
        here = f"to_config: {self.text(path)}"
        if self.names.setdefault(formula.name, formula) is not formula:
            raise ValueError(f"{here} is of a second builder called {formula.name!r}: rename one")
        if "builder" in formula.domains:
            why = "has a hyperparameter called 'builder', which is the key of its name: rename it"
            raise ValueError(f"{here}: {formula.name} {why}")
        values = hyperparameters(schedule).items()
        return {"builder": formula.name} | {name: self.plain(it, (*path, name)) for name, it in values}

    def plain(self, value: Any, path: Path) -> Any:
        if isinstance(value, Built):
            return self.schedule(value, path)
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, list):
            return [self.plain(item, (*path, i)) for i, item in enumerate(value)]
        if isinstance(value, Tracer):
            raise self.refused(path, "a known number", value).error(TypeError)
        if is_key(value):
            words = np.asarray(jax.random.key_data(value)).tolist()
            return {"impl": str(jax.random.key_impl(value)), "key_data": words}
        if isinstance(value, jax.Array | np.ndarray | np.generic):
            value = _as_python(np.asarray(value))
        if not isinstance(value, int | float | list):
            rule = "plain data (a schedule, a number, a name), which no function is"
            raise TypeError(f"to_config: {self.text(path)} must be {rule}, got {source(value)}")
        if not np.all(np.isfinite(value)):
            raise self.refused(path, "finite", value).error()
        return value


def _as_python(array: np.ndarray) -> Any:
    """The number or numbers of an array, with the fewest digits that JAX's default precision needs."""
    if array.dtype.kind not in "iu":
        with jax.numpy_dtype_promotion("standard"):
            array = array.astype(jnp.promote_types(array.dtype, default_float()))
    return list(map(as_number, array)) if array.ndim else as_number(array)
