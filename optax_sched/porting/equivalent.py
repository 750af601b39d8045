"""One line of another library, and ours."""

from typing import NamedTuple


class Equivalent(NamedTuple):
    """A name of theirs, its parameters, and the same here."""

    name: str
    parameters: str
    code: str
    difference: str = ""  # what a reader of theirs would get wrong here
