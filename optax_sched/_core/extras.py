"""Modules that only an extra installs, imported when they are needed."""

import importlib
from typing import Any


def imported(where: str, module: str) -> Any:
    """A module of the extra `plot`, or an error that says how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        command = 'python -m pip install "optax_sched[plot]"'
        raise ImportError(f"{where}: {module.partition('.')[0]} is not installed: {command}") from None
