"""`own_feedback.py`: the rules are short, follow plain Python, and train what a fixed rate does not."""

import inspect
import math
import random
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples/own_feedback.py"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.mark.slow
def test_it_trains_what_a_fixed_rate_does_not(tmp_path):
    command = [sys.executable, "-W", "error", str(SCRIPT), "--seed", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    policy, network = (part.splitlines()[1:] for part in done.stdout.strip().split("\n\n")[1:])
    rows = [list(map(float, line.split())) for line in policy]
    stands = {(rate, factor): steps for rate, factor, steps, _, _ in rows}
    kls = {(rate, factor): kl for rate, factor, _, _, kl in rows}
    assert stands[1e-5, 1.0] < 40 and kls[1e-5, 1.0] < 1e-5
    assert stands[1e-5, 1.5] > 90  # of 100
    for rate in (1e-5, 1e-3):  # it finds a rate at which the policy moves as it shall
        assert 0.00025 < kls[rate, 1.5] < 0.004  # the target is 0.001
    losses = {line.rsplit(maxsplit=3)[0].strip(): float(line.split()[-1]) for line in network}
    assert not losses["none"] < 0.1 and not losses["20 steps"] < 0.1  # diverged, to nan or far off
    assert losses["by loss"] < 0.01


def test_each_rule_has_under_ten_lines(example):
    for name in ("kl_adaptive", "warmup_by_loss"):
        _, _, code = inspect.getsource(example[name]).partition('"""')
        assert 1 < len(code.partition('"""')[2].strip().splitlines()) < 10


def test_the_warm_up_follows_its_formula_in_plain_python(example):
    draw = random.Random(2)
    for _ in range(20):
        start, target = draw.uniform(0.01, 0.9), draw.uniform(0.1, 1.0)
        loop = example["warmup_by_loss"](0.5, start=start, target=target)
        update = jax.jit(loop.update)
        state, turn, arrived = loop.init(), None, False
        loss = target + draw.uniform(1.0, 50.0)
        for _ in range(25):
            gap = loss - target
            # 2q / (1 + q^2) = start at the first loss.
            turn = turn or gap / ((1 + math.sqrt(1 - start**2)) / start)
            q = gap / turn
            arrived = arrived or q <= 1
            state = update(state, value=np.float32(loss))
            np.testing.assert_allclose(state.scale, 1 if arrived else 2 * q / (1 + q * q), rtol=1e-4)
            loss = target + gap * draw.uniform(0.5, 1.1)
