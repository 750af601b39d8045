"""What every test runs under: several virtual devices, and strict promotion of our own code."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before JAX looks for devices.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"

OTHERS_CODE = ("examples", "house", "peers")  # folders whose tests run programs of users and peers


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
