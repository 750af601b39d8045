"""Schedules as plain dicts, for JSON and YAML, and back: names are looked up, nothing is executed."""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optax_sched._core.arguments import admit
from optax_sched._core.built import Built, formula_behind, stored
from optax_sched._core.domains import (
    Domain,
    KeyDomain,
    Numbers,
    OneOrMany,
    Optional,
    default_float,
)
from optax_sched._core.errors import complaint, in_a_word, refusal_of
from optax_sched._core.formula import Formula
from optax_sched._core.operands import ManySchedules, OneSchedule
from optax_sched._core.peer_words import meant_by
from optax_sched._core.printing import source
from optax_sched._core.schedule import Schedule
from optax_sched._files.builders import BUILT_IN, MAX_DEPTH, MAX_SCHEDULES, known_builders

ARRAYS = (jax.Array, np.ndarray, np.generic)
Path = tuple[Any, ...]  # keys and indices, from the whole config to a value in it


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
        raise TypeError(complaint("to_config", "schedule", "a Schedule", schedule))
    return _Writer().schedule(schedule, ())


class Keyed(Protocol):
    """A mapping of any kind: a dict, OmegaConf's DictConfig, ml_collections' ConfigDict."""

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
    return _Reader(known).schedule(config, ())


class _Walk:
    """A walk through nested schedules that stops at the limits of depth and number."""

    where: str

    def __init__(self):
        self.count = 0

    def enter(self, path: Path) -> None:
        self.count += 1
        depth = sum(isinstance(part, str) for part in path)
        if depth >= MAX_DEPTH or self.count > MAX_SCHEDULES:
            raise ValueError(
                f"{self.where}: config must be at most {MAX_DEPTH} schedules deep and "
                f"{MAX_SCHEDULES} in all, got more from {_text(path[:3])} on"
            )

    def refusal(self, path: Path, rule: str, value: Any) -> str:
        return complaint(self.where, _text(path), rule, value)


class _Writer(_Walk):
    where = "to_config"

    def __init__(self):
        super().__init__()
        self.names = dict(BUILT_IN)

    def schedule(self, schedule: Built, path: Path) -> dict[str, Any]:
        self.enter(path)
        formula = formula_behind(schedule)
        if self.names.setdefault(formula.name, formula) is not formula:
            raise ValueError(
                f"to_config: {_text(path)} is of a second builder called {formula.name!r}: rename one"
            )
        if "builder" in formula.domains:
            raise ValueError(
                f"to_config: {_text(path)}: {formula.name} has a hyperparameter called 'builder', "
                "which is the key of its name: rename it"
            )
        config: dict[str, Any] = {"builder": formula.name}
        for name, domain, value in stored(schedule):
            public = domain.public(value)
            if isinstance(public, ARRAYS) and domain.has_batch_axis(value):
                raise self._batch((*path, name))
            config[name] = self.plain(public, (*path, name))
        return config

    def _batch(self, path: Path) -> ValueError:
        return ValueError(
            f"to_config: {_text(path)} has a leading axis, so this is a batch of schedules: "
            "write one at a time, as in [to_config(s) for s in unstack(batch)]"
        )

    def plain(self, value: Any, path: Path) -> Any:
        if isinstance(value, Built):
            return self.schedule(value, path)
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, list):
            return [self.plain(item, (*path, i)) for i, item in enumerate(value)]
        if isinstance(value, Tracer):
            raise TypeError(self.refusal(path, "a known number", value))
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            words = np.asarray(jax.random.key_data(value)).tolist()
            return {"impl": str(jax.random.key_impl(value)), "key_data": words}
        if isinstance(value, ARRAYS):
            value = _as_python(np.asarray(value))
        if not isinstance(value, int | float | list):
            rule = "plain data (a schedule, a number, a name), which no function is"
            raise TypeError(f"to_config: {_text(path)} must be {rule}, got {source(value)}")
        if not all(map(math.isfinite, value if isinstance(value, list) else [value])):
            raise ValueError(self.refusal(path, "finite", value))
        return value


def _as_python(array: np.ndarray) -> Any:
    """The number or numbers of an array, with the fewest digits that JAX's default precision needs."""
    if array.dtype.kind in "iu":
        return array.tolist()
    with jax.numpy_dtype_promotion("standard"):
        array = array.astype(jnp.promote_types(array.dtype, default_float()))
    return [float(str(item)) for item in array] if array.ndim else float(str(array))


class _Reader(_Walk):
    where = "from_config"

    def __init__(self, known: dict[str, Formula]):
        super().__init__()
        self.known = known

    def schedule(self, config: Any, path: Path) -> Schedule:
        self.enter(path)
        if not _is_mapping(config):
            raise TypeError(self.refusal(path, "a dict with the key 'builder'", config))
        formula = self.formula(config, path)
        parameters = formula.signature.parameters
        takes = f"{formula.name} takes {', '.join(parameters) or 'nothing'}"
        settings = {}
        for key in config.keys():  # noqa: SIM118  # ml_collections' dicts have no other order
            if key == "builder":
                continue
            if key not in parameters:
                hint = meant_by(str(key), parameters)
                raise TypeError(f"from_config: {_text((*path, key))} is unknown{hint}; {takes}")
            value = config[key]
            settings[key] = self.value(formula.domains[key], value, (*path, key), formula.name)
        for name, parameter in parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                if not _is_sequence(settings.get(name, [])):
                    raise TypeError(self.refusal((*path, name), "a list", settings[name]))
            elif name not in settings and parameter.default is parameter.empty:
                raise TypeError(f"from_config: {_text((*path, name))} is missing; {takes}")
        bound = inspect.BoundArguments(formula.signature, settings)  # pyright: ignore[reportArgumentType]
        bound.apply_defaults()
        try:
            return formula.build(dict(bound.arguments))
        except (TypeError, ValueError) as error:
            raise self.refused(error, path, formula.name) from None

    def refused(self, error: Exception, path: Path, builder: str) -> Exception:
        """The builder's own error, with the place in the config and what YAML may have done to it."""
        kind = TypeError if isinstance(error, TypeError) else ValueError
        refusal = refusal_of(error)
        if refusal is None:  # from a check of the user's own
            return kind(f"from_config: {_text(path)}: {error}")
        name = f"{_text(path)}.{refusal.name}" if path and refusal.name else refusal.name or _text(path)
        hint = f"{refusal.hint}{_text_for_number(refusal.value)} (in {builder})"
        return refusal._replace(where="from_config", name=name, hint=hint).error(kind)

    def formula(self, config: dict[Any, Any], path: Path) -> Formula:
        rule = "the name of a builder"
        here = (*path, "builder")
        if "builder" not in config:
            raise TypeError(f"from_config: {_text(here)} is missing: {rule}")
        name = config["builder"]
        if not isinstance(name, str):
            raise TypeError(
                f"from_config: {_text(here)} must be {rule}, got a value of type {type(name).__name__}"
            )
        if name not in self.known:
            close = difflib.get_close_matches(name[:100], self.known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "give your own as builders={name: it}"
            raise ValueError(f"{self.refusal(here, rule, name)}; {hint}")
        return self.known[name]

    def value(self, domain: Domain, value: Any, path: Path, builder: str) -> Any:
        if isinstance(domain, Optional) and value is not None:
            domain = domain.of
        given: Any = value
        if _is_mapping(given):
            read = self.key if isinstance(domain, KeyDomain) else self.schedule
            return read(given, path)
        if _is_sequence(given):
            return self.items(_domain_of_items(domain), list(given), path, builder)
        if value is not None and not isinstance(value, bool | int | float | str):
            rule = "a dict, a list, a string, a number, True, False or None"
            raise TypeError(f"{self.refusal(path, rule, value)} (in {builder})")
        if isinstance(value, int) and value.bit_length() > 1024:
            # YAML reads hexadecimals of any length, and Python does not print all of them.
            rule = f"a finite number, got an integer of {value.bit_length()} bits"
            raise ValueError(f"from_config: {_text(path)} must be {rule} (in {builder})")
        return value

    def items(self, domain: Domain | None, values: list[Any], path: Path, builder: str) -> list[Any]:
        if domain is None:  # the builder takes no list here, and says so
            return values
        items = []
        for i, value in enumerate(values):
            here = (*path, i)
            # No builder takes a list in a list: not gone into, however deep it is.
            item = value if _is_sequence(value) else self.value(domain, value, here, builder)
            try:
                admit("from_config", "", domain, item)
            except (TypeError, ValueError) as error:
                raise self.refused(error, here, builder) from None
            items.append(item)
        return items

    def key(self, value: Any, path: Path) -> jax.Array:
        try:
            words = value["key_data"]
            if len(value) != 2 or not all(type(word) is int for word in words):
                raise TypeError
            return jax.random.wrap_key_data(
                jnp.asarray(np.asarray(words, np.uint32)), impl=value["impl"]
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            rule = "a seed, or a key as {'impl': its kind, 'key_data': a list of its words}"
            raise TypeError(self.refusal(path, rule, value)) from None


def _is_mapping(value: Any) -> bool:
    # ml_collections' ConfigDict is not registered as a Mapping.
    kind = type(value)
    return isinstance(value, Mapping) or (hasattr(kind, "keys") and hasattr(kind, "__getitem__"))


def _is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _text_for_number(value: Any) -> str:
    """A hint, where a text would be a number if YAML had read it as one."""
    try:
        number = float(value if isinstance(value, str) else "nan")
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    mantissa, e, exponent = value.lower().partition("e")
    point = "" if "." in mantissa or not e else ".0"
    sign = "" if exponent[:1] in ("+", "-", "") else "+"
    written = mantissa + point + e + sign + exponent
    return f": YAML reads {value} as text, write {written}" if e else f": write {value} without quotes"


def _domain_of_items(domain: Domain) -> Domain | None:
    if isinstance(domain, ManySchedules):
        return OneSchedule()
    vector = domain.many if isinstance(domain, OneOrMany) else domain
    return vector.of if isinstance(vector, Numbers) else None


def _text(path: Path, whole: str = "config") -> str:
    """A path as a user writes it: `schedules[1].decay_steps`."""
    text = "".join(
        f".{part}" if isinstance(part, str) and part.isidentifier() else f"[{in_a_word(part)}]"
        for part in path
    )
    return text.removeprefix(".") or whole
