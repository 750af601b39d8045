"""Building schedules of known numbers starts no backend: `jax.distributed.initialize` may follow."""

import inspect
import subprocess
import sys
from pathlib import Path

import optax_sched


def build_everything() -> None:
    """One of each builder, by words or chosen settings, and what is done with schedules as data."""
    import copy
    import pickle

    import numpy as np
    from jax._src import xla_bridge

    import optax_sched as os

    cosine, line = os.cosine_decay(0.1, 900), os.linear(1, 0.0, 9)
    words = {
        **dict.fromkeys(("Real", "Rate", "Positive", "Factor"), 0.5),
        **dict.fromkeys(("Fraction", "PartOfOne"), 0.3),
        **dict.fromkeys(("Steps", "StepsOrZero"), 100),
        **dict.fromkeys(("Count", "Growth"), 2),
        "Reals": [1, 0.5, np.float32(0.1)],
        "Rates": [1, 0.5],
        "Negative": -0.5,
        "FactorOrFactors": [0.5, 0.25],
        "Boundaries": np.array([3, 9]),
        "Operand": cosine,
        "Operands": [cosine, line, line],
        "CountOrZero": 1,
        "Key": 7,
    }
    chosen = {
        "clip": {"max_value": 1.0},
        "chebyshev": {"max_curvature": 2.0},
        "wsd": {"total_steps": 300},
        "knee": {"total_steps": 300},
        "infinite": {"anneal_start": 300},
        "wsd_cycles": {"budgets": [200, 400]},
    }
    made = []
    for name in os.__all__:
        formula = getattr(getattr(os, name), "formula", None)
        if formula is None:
            continue
        given = {
            it.name: words[str(it.annotation).partition(" | ")[0]]
            for it in formula.signature.parameters.values()
            if it.default is it.empty and it.kind is not it.VAR_POSITIONAL
        }
        takes_many = any(it.kind is it.VAR_POSITIONAL for it in formula.signature.parameters.values())
        operands = words["Operands"] if takes_many else []
        made.append(getattr(os, name)(*operands, **{**given, **chosen.get(name, {})}))
    made += [
        os.wsd(1.0, 10, 20, 100, shape=os.k_shape(0.4)),
        os.warmup(cosine, 10, shape=np.sin),
        os.schedule(lambda step, a, b: a * b[0], name="own")(1.0, [2, 3]),
        os.stack([cosine, line]),
        os.grid(os.linear, init_value=[1, 2], end_value=[0], transition_steps=[9])[0],
        os.rounded(line),
        os.multiply(line, lambda step: step).replace(schedules=[line]),
    ]
    for one in made:
        repr(one)
        copy.deepcopy(one)
    pickle.loads(pickle.dumps(made[:20]))
    os.from_config(os.to_config(os.join([cosine, line], [5])))
    os.from_source(repr(os.join([cosine, line], [5])))
    os.unstack(os.stack([cosine, line]))
    os.count_updates(100, 10)
    assert not xla_bridge._backends, "a backend was started"
    cosine(3)
    assert xla_bridge._backends  # so that the question above means something
    print(len(made))


def test_nothing_public_starts_a_backend_while_it_is_built():
    done = subprocess.run(
        [sys.executable, "-c", inspect.getsource(build_everything) + "\nbuild_everything()"],
        capture_output=True,
        encoding="utf-8",
        cwd=Path(__file__).parents[2],
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    builders = [name for name in optax_sched.__all__ if hasattr(getattr(optax_sched, name), "formula")]
    assert int(done.stdout) == len(builders) + 7
