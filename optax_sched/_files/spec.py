"""A schedule as the command line takes it: a JSON or YAML file, or a source text."""

import json
import os
from pathlib import Path
from typing import Any

from optax_sched._core.errors import imported, in_a_word
from optax_sched._core.peer_words import called_here
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import bare
from optax_sched._files.config import from_config
from optax_sched._files.reader import BUILT_IN
from optax_sched._files.source import read_call


def read_spec(spec: str) -> Schedule:
    """The schedule that a file describes, if there is a file of that name, else a source text.

    A file that ends in .yaml or .yml is read as YAML, any other as JSON. Raises ValueError or
    TypeError, with one line, and ImportError where YAML needs a module that is not installed.
    """
    if os.path.exists(spec):  # which a text that can be no name does not
        config = data_in(spec)
        try:
            return _drawable(from_config(config))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{spec}: {error}") from None
    if "(" not in spec:
        raise ValueError(f"must be a file or a source text, got {in_a_word(spec)}: {_remedy(spec)}")
    return _drawable(read_call(spec))


def _remedy(spec: str) -> str:
    """What to write instead of a text without a call, which names no file."""
    if spec in BUILT_IN:
        return f"call the builder: {spec}({bare(BUILT_IN[spec].signature)})"
    try:
        return f"for a constant write constant({float(spec)!r})"
    except ValueError:
        hint = called_here(spec, BUILT_IN)
        return f"no such file{hint}; a source text is a call, such as 'cosine_decay(0.1, 1000)'"


def _drawable(built: object) -> Schedule:
    if not isinstance(built, Schedule):
        inside = ": write the schedule inside it alone" if hasattr(built, "schedule") else ""
        raise TypeError(f"must be a schedule, got {in_a_word(built)}{inside}")
    return built


def data_in(name: str) -> Any:
    """What a JSON or YAML file holds."""
    path = Path(name)
    yaml = imported("read_spec", "yaml") if path.suffix.lower() in (".yaml", ".yml") else None
    wrong = yaml.YAMLError if yaml else ValueError
    try:
        text = path.read_text(encoding="utf-8-sig")
        return yaml.safe_load(text) if yaml else json.loads(text)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"must be a file, got {in_a_word(name)}: {reason}") from None
    except (wrong, ValueError, RecursionError) as error:
        form = "YAML" if yaml else "JSON (a YAML file ends in .yaml or .yml)"
        raise ValueError(f"must be {form}, {name} is not: {' '.join(str(error).split())}") from None
