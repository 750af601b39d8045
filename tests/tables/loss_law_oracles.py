"""The loss laws from their formulas: double loops in plain Python floats."""

import math
from collections.abc import Sequence


def multi_power(parameters: Sequence[float], rates: Sequence[float], step: int) -> float:
    L0, A, alpha, B, C, beta, gamma = parameters
    total = math.fsum(rates[: step + 1])
    if total == 0:
        return math.inf
    gained = 0.0
    for k in range(1, step + 1):
        since = 0.0
        for j in range(step, k - 1, -1):
            since += rates[j]
        if since > 0:
            grown = (1 + C * rates[k] ** -gamma * since) ** -beta if rates[k] > 0 else 0.0
            gained += (rates[k - 1] - rates[k]) * (1 - grown)
    return L0 + A * total**-alpha - B * gained


def annealing(parameters: Sequence[float], rates: Sequence[float], step: int) -> float:
    L0, A, alpha, C, decay = parameters
    total = math.fsum(rates[: step + 1])
    if total == 0:
        return math.inf
    area = 0.0
    for i in range(1, step + 1):
        for k in range(1, i + 1):
            area += (rates[k - 1] - rates[k]) * decay ** (i - k)
    return L0 + A * total**-alpha - C * area
