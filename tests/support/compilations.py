"""How often XLA compiles."""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def counted() -> Iterator[list[str]]:
    """A list that gets an entry for each compilation; nothing is compiled at its start."""
    compiled: list[str] = []

    def listen(event: str, duration_secs: float, **_: str | int | float) -> None:
        del duration_secs
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.clear_event_listeners()
