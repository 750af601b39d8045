"""Moves a PyTorch recipe's learning rates to JAX: `port` reads the scheduler objects themselves.

    python examples/port_a_recipe.py --out recipes.png

Two recipes as one finds them in training scripts: a straight warm-up and half a cosine put together
by torch's `SequentialLR`, and transformers' `get_cosine_schedule_with_warmup`. Each is ported, its
source is printed, and its curve is drawn beside the original's. The largest difference is relative to
the original's rate, from the first update to the last. Needs torch and transformers; without them it
says so and does nothing.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from optax_sched import Schedule
from optax_sched.porting import port

STEPS = 1000
WARMUP = 100
RATE = 3e-4


def torchs_recipe(optimizer: Any) -> Any:
    from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

    rise = LinearLR(optimizer, start_factor=0.01, total_iters=WARMUP)
    fall = CosineAnnealingLR(optimizer, T_max=STEPS - WARMUP, eta_min=1e-5)
    return SequentialLR(optimizer, [rise, fall], milestones=[WARMUP])


def transformers_recipe(optimizer: Any) -> Any:
    from transformers import get_cosine_schedule_with_warmup

    return get_cosine_schedule_with_warmup(optimizer, WARMUP, STEPS)


def original(recipe: Callable[[Any], Any]) -> tuple[Any, np.ndarray]:
    """The scheduler object, and the rate that it sets for each update."""
    import torch

    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler = recipe(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return scheduler, np.array(rates)


def draw(curves: list[tuple[str, np.ndarray, Schedule]], out: Path) -> None:
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(curves), figsize=(10, 4), layout="constrained", sharey=True)
    for panel, (name, rates, schedule) in zip(panels, curves, strict=True):
        panel.plot(rates, linewidth=6, color="lightgray", label="the original")
        panel.plot(schedule(np.arange(STEPS)), color="tab:blue", label="ported")
        panel.set_title(name)
        panel.set_xlabel("update")
        panel.legend()
    panels[0].set_ylabel("learning rate")
    figure.savefig(out, dpi=130)
    print(f"picture: {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Port two recipes of learning rates to JAX.")
    parser.add_argument("--out", type=Path, help="a picture of the curves to write, if one is wanted")
    options = parser.parse_args()
    curves = []
    for name, recipe in (("torch", torchs_recipe), ("transformers", transformers_recipe)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's own, about its own calls
                scheduler, rates = original(recipe)
        except ModuleNotFoundError as error:
            print(f"skipped: {error.name} is not installed: python -m pip install {error.name}")
            return
        schedule = port(scheduler)  # it has been stepped: that does not matter
        ours = np.asarray(schedule(np.arange(STEPS)), np.float64)
        apart = np.max(np.abs(ours - rates) / np.where(rates == 0, 1.0, rates))
        print(f"{name}: {schedule}\n  largest difference: {apart:.1e} of the rate")
        curves.append((name, rates, schedule))
    if options.out:
        draw(curves, options.out)


if __name__ == "__main__":
    main()
