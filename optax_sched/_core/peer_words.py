"""Other libraries' names and words, for the error about an unknown one; the table is in peers.toml."""

import difflib
import functools
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

SAID = "said"  # the part of the table with names that belong to no library


class Equivalent(NamedTuple):
    """A name of another library, its parameters, and the same here."""

    name: str
    here: str  # code in their parameters' names, with `lr` for the optimizer's rate
    takes: str = ""
    differs: str = ""  # what a reader of theirs would get wrong here
    port: bool = False  # whether `port` takes what it makes


class Peers(NamedTuple):
    """What peers.toml holds."""

    rows: dict[str, list[Equivalent]]  # by library
    words: dict[str, tuple[str, ...]]  # ours for one of theirs, the likeliest first


@functools.cache
def peers() -> Peers:
    """The table, read when the first name is asked."""
    import tomllib

    table = tomllib.loads(Path(__file__).with_name("peers.toml").read_text(encoding="utf-8"))
    words = {it: tuple(row["here"]) for row in table.pop("words") for it in row["theirs"]}
    rows = {peer: [Equivalent(it, **row) for it, row in part.items()] for peer, part in table.items()}
    return Peers(rows, words)


def translated(word: str, names: Collection[str]) -> str | None:
    """Which of the names is another library's word, or None."""
    return next((name for name in peers().words.get(word, ()) if name in names), None)


def meant_by(word: str, names: Collection[str]) -> str:
    """A hint which of the names an unknown word stands for: "; " and a question, or nothing."""
    known = translated(word, names)
    longer = [name for name in names if name.startswith(f"{word}_")]  # peak: peak_value
    near = [known] if known else longer or difflib.get_close_matches(word[:100], names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def called_here(name: str, names: Mapping[str, object]) -> str:
    """A hint what a name that is unknown here is called: "; " and the words, or nothing.

    It is another library's name, or one of ours in another spelling or like it. A value of `names` that
    is a text is how that name is written.
    """
    whole = name[:100]
    name = whole.rpartition(".")[2]
    rows = [(peer, row) for peer, part in peers().rows.items() for row in part]
    same, ours = [it for it in rows if it[1].name == name], []
    for spelt in (_letters, _plain):
        if not same and not ours:
            ours = [it for it in names if spelt(it) == spelt(name)]
            alike = [it for it in rows if spelt(it[1].name) == spelt(name) and not ours]
            same = [it for it in alike if it[0] == SAID] or alike
    if not same and not ours:  # a wrong hint is worse than none
        said = [row.name for peer, row in rows if peer == SAID]
        first = [it for it in [*names, *said] if it[0] == whole[:1].lower()]
        ours = difflib.get_close_matches(whole, first, n=1, cutoff=0.82 if len(whole) > 4 else 0.65)
        same = [it for it in rows if it[0] == SAID and it[1].name in ours]
    if not same:
        path = names[ours[0]] if ours else ""
        return f"; did you mean {path if isinstance(path, str) else ours[0]}?" if ours else ""
    told = "".join(dict.fromkeys(_told(peer, row) for peer, row in same))
    port = "; optax_sched.porting.port converts the object" if any(it.port for _, it in same) else ""
    return told + port


def told_of(peer: str, name: str) -> str:
    """The hint about a name of one library, or nothing."""
    return "".join(_told(peer, row) for row in peers().rows.get(peer, []) if row.name == name)


def _told(peer: str, row: Equivalent) -> str:
    differs = f" ({row.differs})" if row.differs else ""
    if peer == SAID:
        return f"; {row.name} is `{row.here}` here{differs}"
    whose = f"{peer}'" if peer.endswith("s") else f"{peer}'s"
    return f"; {whose} {row.name}({row.takes}) is `{row.here}` here{differs}"


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _plain(name: str) -> str:
    """The letters of a name without what only says that it is a schedule."""
    return re.sub(r"(?<=.)(schedule|scheduler|lr)+$", "", _letters(name).removeprefix("get"))
