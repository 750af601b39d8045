"""Every name of the peers, and the AttributeError that translates one."""

import difflib
from collections.abc import Mapping

from optax_sched.porting.equivalent import Equivalent
from optax_sched.porting.names_in_jax import KERAS, KERAS_CALLBACK, OPTAX
from optax_sched.porting.names_in_torch import TIMM, TORCH, TRANSFORMERS
from optax_sched.porting.port import PORTERS

EQUIVALENTS: dict[str, tuple[Equivalent, ...]] = {
    "optax": OPTAX,
    "torch": TORCH,
    "transformers": TRANSFORMERS,
    "keras": (*KERAS, KERAS_CALLBACK),
    "timm": TIMM,
}
# Of what these make, or are, `port` converts the objects.
PORTED = {name for _, name in PORTERS} | {it.name for it in TRANSFORMERS if it.name.startswith("get_")}
PORTED -= {"MultiplicativeLR", "GreedyLR", "get_greedy_schedule"}


def hint(name: str) -> str:
    """What another library's name is called here; nothing for a name that none has."""
    found = [(peer, it) for peer, rows in EQUIVALENTS.items() for it in rows if it.name == name]
    text = ""
    for peer, it in found:
        whose = f"{peer}'" if peer.endswith("s") else f"{peer}'s"
        text += f"; {whose} {name}({it.parameters}) is `{it.code}` here"
        text += f" ({it.difference})" if it.difference else ""
    if found and name in PORTED:
        text += "; optax_sched.porting.port converts the object"
    return text


def missing(name: str, paths: Mapping[str, str]) -> AttributeError:
    """The error for a name that the package does not have: what it is called here, or names like it.

    `paths` are where the names of the package are.
    """
    near = difflib.get_close_matches(name[:100], paths, cutoff=0.65)
    meant = " or ".join(paths[it] for it in ([name] if name in paths else near))
    reason = hint(name) or (f"; did you mean {meant}?" if meant else "")
    return AttributeError(f"module 'optax_sched' has no attribute {name!r}{reason}", name=name)
