"""timm's schedulers without the rest of timm.

timm's package imports torchvision, which cannot be had beside the CPU build of torch. Its schedulers
need torch alone: they are loaded from its files, under their own names, without running the package's
`__init__`. The extra `peers` cannot install timm without what it depends on, so that the files
are looked for where timm is installed, else in the wheel that TIMM_WHEEL names: `.ci/run` fetches one
with `pip download --no-deps timm`. Without either the tests of timm are skipped with the command.
"""

import importlib
import importlib.machinery
import os
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

FETCH = "python -m pip download --no-deps timm, and set TIMM_WHEEL to the file"
NAMES = ("cosine", "multistep", "plateau", "poly", "step", "tanh", "wsd")


def timm_schedulers() -> Any:
    """A namespace of timm's scheduler classes, or a skip that says how to have it."""
    folder = _folder()
    if folder is None:
        pytest.skip(f"timm is not installed: {FETCH}", allow_module_level=True)
    for name, path in (("timm", folder), ("timm.scheduler", f"{folder}/scheduler")):
        # A package without the code of its __init__; with a spec, for which transformers looks.
        package = types.ModuleType(name)
        package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        package.__path__ = [path]
        # transformers asks the specification whether timm is there.
        package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        sys.modules.setdefault(name, package)
    found = types.SimpleNamespace()
    for name in NAMES:
        try:
            module = importlib.import_module(f"timm.scheduler.{name}_lr")
        except ModuleNotFoundError:  # an older timm has no wsd
            continue
        for key, value in vars(module).items():
            if key.endswith("LRScheduler"):
                setattr(found, key, value)
    return found


def _folder() -> str | None:
    wheel = os.environ.get("TIMM_WHEEL")
    if wheel:
        with zipfile.ZipFile(wheel):  # Python imports from a zip file as from a folder
            return f"{wheel}/timm"
    spec = importlib.machinery.PathFinder.find_spec("timm")
    places = spec.submodule_search_locations if spec else None
    return next((str(place) for place in places or [] if Path(place, "scheduler").is_dir()), None)
