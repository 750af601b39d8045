"""The groups of the package's index, as the gallery and the reference use them."""

import re
from types import ModuleType


def groups(module: ModuleType) -> dict[str, dict[str, str]]:
    """For each group of a module's docstring its names, each with what is said of it.

    A module without groups has one, of all its public names.
    """
    _, *parts = re.split(r"^\*\*(.+?)\*\*", module.__doc__ or "", flags=re.MULTILINE)
    entries = [dict(re.findall(r"^- `(\w+)`: (.+)$", body, re.MULTILINE)) for body in parts[1::2]]
    names = getattr(module, "__all__", ())
    return dict(zip(parts[::2], entries, strict=True)) or {"Names": dict.fromkeys(names, "")}


def anchor(title: str) -> str:
    """What hosts of code make of a heading, to link to it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
