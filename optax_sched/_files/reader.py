"""The one reader: from nested plain data, of a file or a parsed text, to a schedule by its builders."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optax_sched._schedules as families
from optax_sched._core.domains import Domain, KeyDomain, Optional, is_sequence
from optax_sched._core.errors import Refusal, in_a_word, refusal_of, uncalled
from optax_sched._core.formula import Formula, formula_of
from optax_sched._core.peer_words import called_here, meant_by
from optax_sched._core.words import admit
from optax_sched._optax import feedback, plateau

Path = tuple[str | int, ...]  # keys and indices, from the whole to a value in it
_OWN = "; give your own as builders={name: it}"
_ELSEWHERE = ("type", "_target_", "name", "class_name")  # where other libraries have the name

# Python's recursion limit stops an evaluation at 45 to 60 levels; whatever a file describes should be
# evaluated, differentiated and drawn. MAX_SCHEDULES stops YAML alias bombs: a few lines that refer to
# one another until they mean more schedules than fit in memory.
MAX_DEPTH = 30
MAX_SCHEDULES = 10_000

BUILT_IN = {
    formula.name: formula
    for module in (families, plateau, feedback)
    for formula in map(formula_of, vars(module).values())
    if formula is not None
}


def known_builders(where: str, builders: Mapping[str, Callable[..., Any]] | None) -> dict[str, Formula]:
    """The built-in builders and the user's, by name."""
    builders = {} if builders is None else builders
    if not isinstance(builders, Mapping):
        raise Refusal(where, "builders", "a dict of builders by name", builders).error(TypeError)
    known = dict(BUILT_IN)
    for name, builder in builders.items():
        formula = formula_of(builder)
        if formula is None:
            rule = "made by schedule or feedback"
            raise Refusal(where, f"builders[{name!r}]", rule, builder).error(TypeError)
        if known.setdefault(name, formula) is not formula:
            raise ValueError(f"{where}: builders[{name!r}] has the name of a built-in: rename it")
    return known


class Walk:
    """A walk through nested schedules that stops at the limits of depth and number."""

    def __init__(self, where: str, whole: str = "config"):
        self.where = where
        self.whole = whole
        self.count = 0

    def enter(self, path: Path) -> None:
        self.count += 1
        depth = sum(isinstance(part, str) for part in path)
        if depth >= MAX_DEPTH or self.count > MAX_SCHEDULES:
            raise ValueError(
                f"{self.where}: {self.whole} must be at most {MAX_DEPTH} schedules deep and "
                f"{MAX_SCHEDULES} in all, got more from {self.text(path[:3])} on"
            )

    def refused(self, path: Path, rule: str, value: object, hint: str = "") -> Refusal:
        return Refusal(self.where, self.text(path), rule, value, hint)

    def text(self, path: Path) -> str:
        """A path as a user writes it: `schedules[1].decay_steps`."""
        text = "".join(
            f".{part}" if isinstance(part, str) and part.isidentifier() else f"[{in_a_word(part)}]"
            for part in path
        )
        return text.removeprefix(".") or self.whole


class Arithmetic:
    """Numbers and what describes schedules under one of Python's operators, as a text may have them."""

    def __init__(self, compute: Callable[..., Any], operands: Sequence[Any]):
        self.compute, self.operands = compute, operands


class Reader(Walk):
    """Nested mappings with the key "builder", each read by the domains of its builder."""

    def __init__(self, where: str, whole: str, known: Mapping[str, Formula]):
        super().__init__(where, whole)
        self.known = known

    def schedule(self, config: Any, path: Path = ()) -> Any:
        if isinstance(config, Arithmetic):
            read = [
                it if isinstance(it, int | float) else self.schedule(it, path) for it in config.operands
            ]
            try:
                return config.compute(*read)
            except (OverflowError, TypeError, ValueError) as error:
                raise type(error)(f"{self.where}: {error}") from None
        self.enter(path)
        if not is_mapping(config):
            rule = "a dict with the key 'builder'"
            raise self.refused(path, rule, config, _as_a_dict(config)).error(TypeError)
        formula = self.formula(config, path)
        parameters = formula.signature.parameters
        takes = f"{formula.name} takes {', '.join(parameters) or 'nothing'}"
        settings: dict[str, Any] = {}
        for key in config.keys():  # noqa: SIM118  # ml_collections' dicts have no other order
            if key == "builder":
                continue
            if key not in parameters:
                hint = meant_by(str(key), parameters)
                raise TypeError(f"{self.where}: {self.text((*path, key))} is unknown{hint}; {takes}")
            settings[key] = self.value(formula, formula.domains[key], config[key], (*path, key))
        for name, it in parameters.items():
            is_needed = it.default is it.empty and it.kind is not it.VAR_POSITIONAL
            if is_needed and name not in settings:
                raise TypeError(f"{self.where}: {self.text((*path, name))} is missing; {takes}")
        bound = inspect.BoundArguments(formula.signature, settings)  # pyright: ignore[reportArgumentType]
        bound.apply_defaults()
        return self.told(path, formula, lambda: formula.build(dict(bound.arguments)))

    def formula(self, config: Any, path: Path) -> Formula:
        rule = "the name of a builder"
        here = (*path, "builder")
        if "builder" not in config:
            theirs = "".join(
                f"; {self.text((*path, key))} is {in_a_word(name)}{called_here(name, self.known)}"
                for key in _ELSEWHERE
                if key in config and isinstance(name := config[key], str)
            )
            groups = [in_a_word(key) for key in config.keys() if is_mapping(config[key])]  # noqa: SIM118
            several = f"; read each group, such as config[{groups[0]}]" if groups and not path else ""
            raise TypeError(f"{self.where}: {self.text(here)} is missing: {rule}{theirs}{several}")
        name = config["builder"]
        if not isinstance(name, str):
            raise self.refused(here, rule, name).error(TypeError)
        if name not in self.known:
            raise self.refused(here, rule, name, called_here(name, self.known) or _OWN).error()
        return self.known[name]

    def value(self, formula: Formula, domain: Domain, value: object, path: Path) -> Any:
        if isinstance(domain, Optional) and value is not None:
            domain = domain.of
        if isinstance(domain, KeyDomain) and is_mapping(value):
            return self.key(value, path)
        if is_mapping(value) or isinstance(value, Arithmetic):
            return self.schedule(value, path)
        if is_sequence(value):
            return self.items(formula, domain.item, value, path)
        if value is not None and not isinstance(value, bool | int | float | str):
            rule = "a dict, a list, a string, a number, True, False or None"
            hint = f"{uncalled(value)} (in {formula.name})"
            raise self.refused(path, rule, value, hint).error(TypeError)
        return value

    def items(
        self, formula: Formula, domain: Domain | None, values: Iterable[Any], path: Path
    ) -> list[Any]:
        if domain is None:  # the builder takes no list here, and says so
            return list(values)
        items: list[Any] = []
        for i, value in enumerate(values):
            here = (*path, i)
            # No builder takes a list in a list: not gone into, however deep it is.
            item = value if is_sequence(value) else self.value(formula, domain, value, here)
            # The builder would refuse the whole list: this names the item.
            self.told(here, formula, lambda item=item: admit(self.where, "", domain, item))
            items.append(item)
        return items

    def told(self, path: Path, formula: Formula, build: Callable[[], Any]) -> Any:
        """What is built, or the builder's own error with the place, and what YAML may have done."""
        try:
            return build()
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            refusal = refusal_of(error)
            if refusal is None:  # from a check of the user's own
                raise kind(f"{self.where}: {self.text(path)}: {error}") from None
            name = ".".join(filter(None, [self.text(path) if path else "", refusal.name]))
            written = _text_for_number(refusal.value, self.whole == "config")
            hint = f"{refusal.hint}{written} (in {formula.name})"
            told = refusal._replace(where=self.where, name=name or self.whole, hint=hint)
            raise told.error(kind) from None

    def key(self, value: Any, path: Path) -> jax.Array:
        try:
            words = value["key_data"]
            if len(value) != 2 or not all(type(word) is int for word in words):
                raise TypeError
            data = jnp.asarray(np.asarray(words, np.uint32))
            return jax.random.wrap_key_data(data, impl=value["impl"])
        except (KeyError, TypeError, ValueError, OverflowError):
            rule = "a seed, or a key as {'impl': its kind, 'key_data': a list of its words}"
            raise self.refused(path, rule, value).error(TypeError) from None


def is_mapping(value: object) -> bool:
    # ml_collections' ConfigDict is not registered as a Mapping.
    kind = type(value)
    return isinstance(value, Mapping) or (hasattr(kind, "keys") and hasattr(kind, "__getitem__"))


def _as_a_dict(value: object) -> str:
    """How to make a dict of a config object that is none."""
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return ": give dataclasses.asdict(config)"
    if hasattr(kind, "model_dump"):  # pydantic's
        return ": give config.model_dump()"
    return ": give vars(config)" if kind.__name__ in ("Namespace", "SimpleNamespace") else ""


def _text_for_number(value: object, may_be_yaml: bool) -> str:
    """A hint, where a text would be a number if YAML had read it as one."""
    try:
        if not isinstance(value, str) or not math.isfinite(float(value)):
            return ""
    except ValueError:
        return ""
    if "e" not in value.lower() or not may_be_yaml:
        return f": write {value} without quotes"
    number = str(float(value))
    written = number if "." in number else number.replace("e", ".0e")
    return f": YAML reads {value} as text, write {written}"
