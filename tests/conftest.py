"""What every test runs under: several virtual devices, strict promotion, one cache of programs."""

import gc
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before JAX looks for devices.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
# XLA compiles in two thirds of the time without its fusion emitters. A newer jaxlib refuses this flag.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"


def pytest_configure(config: pytest.Config) -> None:
    """No two workers, and none of the programs that a test starts, compile the same thing twice.

    The cache goes with the run, unless JAX_COMPILATION_CACHE_DIR names one to keep.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="optax_sched-programs-")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder  # the workers start later, and inherit it
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    if not config.option.markexpr:
        os.environ["OPTAX_SCHED_TESTS_ASK_EVERYTHING"] = "1"  # what tests/support/amount.py reads
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


# They hold no tests and no doctests: `--doctest-modules` would run them as it collects.
collect_ignore = ["support", "tables"]
SLOW_DOCTESTS = (
    "optax_sched/planning/",
    "optax_sched/porting/",
)  # half a minute, and README shows some
OTHERS_CODE = ("examples", "house", "peers")  # folders whose tests run programs of users and peers
# Whose programs LLVM optimizes, as a user's.
TO_THE_BIT = ("schedules", "test_seesaw.py", "test_resume.py", "test_sweep_processes.py")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Iterator[None]:
    """Below this folder no docstring holds an example, so that none is looked for."""
    found: Any = yield
    return [collector for collector in found if type(collector).__name__ != "DoctestModule"]


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The workers of pytest-xdist must find the same names, and an address is another in each.

    Files with slow tests come first, so that no worker is alone with one at the end.
    """
    wrong = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if wrong:
        raise pytest.UsageError(f"a test's id holds an address: give parametrize ids= there: {wrong}")
    for item in items:
        if item.nodeid.startswith(SLOW_DOCTESTS):
            item.add_marker("slow")
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow_files)


def pytest_collection_finish() -> None:
    """What is imported stays: it need not be searched for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before the fixtures of a whole file
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leaves out most of XLA's optimizations, except where a test compares values to the last bit."""
    import jax

    fewer = not any(part in TO_THE_BIT for part in item.path.parts)
    if jax.config.read("jax_disable_most_optimizations") != fewer:
        jax.config.update("jax_disable_most_optimizations", fewer)
        jax.clear_caches()  # no folder gets programs of the other kind


@pytest.fixture(autouse=True)
def strict_promotion(request: pytest.FixtureRequest) -> Iterator[None]:
    """Our code promotes no dtype or rank silently. Where optax does, a test is marked `promotes`."""
    import jax

    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    if folder in OTHERS_CODE or "promotes" in request.keywords:
        yield
    else:
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            yield
