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
from optax_sched._files.source import from_source


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
        calls = {name: f"{name}({bare(it.signature)})" for name, it in BUILT_IN.items()}
        remedy = "a source text is a call, such as 'cosine_decay(0.1, 1000)'"
        hint = f"no such file{called_here(spec, calls)}; {remedy}"
        raise ValueError(f"must be a file or a source text, got {in_a_word(spec)}: {hint}")
    return _drawable(from_source(spec))


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
