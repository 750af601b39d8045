"""A plugin that shows what each test costs in CPU seconds, its programs too: tests/README.md."""

import resource
from collections.abc import Iterator
from typing import Any

import pytest

BEFORE = pytest.StashKey[float]()
COSTS: list[tuple[float, str]] = []


def spent() -> float:
    """CPU seconds of this process and of those that it started and that ended."""
    by = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in by)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    item.stash[BEFORE] = spent()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    # The report carries it from a worker to the process that sums up.
    item.user_properties.append(("cpu_seconds", spent() - item.stash[BEFORE]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, cost in report.user_properties:
        if name == "cpu_seconds" and isinstance(cost, float):
            COSTS.append((cost, report.nodeid))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    total = sum(cost for cost, _ in COSTS)
    terminalreporter.section(f"{total:.0f} CPU s in {len(COSTS)} tests, of which the most")
    for cost, name in sorted(COSTS, reverse=True)[:30]:
        terminalreporter.write_line(f"{cost:6.1f} s  {name}")
