"""The formulas of all builders in plain Python, at 50 decimal digits: what the tests hold ours to.

An oracle takes the step (a whole or real number, 0 or more) and the hyperparameters by name. Numbers
come as mpf or int, sequences as lists, schedules as functions of the step. Each was written from
the formula and its sources, not from our code.
"""

import functools
import itertools
import math

import mpmath
import numpy as np
from mpmath import cos, floor, log, mp, mpf, pi, sin, sqrt, tanh

mp.dps = 50
LAST = 2**31 - 1


def done(t, T):
    """The fraction of a phase of length T that is done at t; a phase of no length is done at once."""
    return mpf(1) if t >= T else mpf(t) / T


def whole(t, T):
    """How many whole phases of length T lie before t."""
    return int(floor(mpf(t) / T))


def meant(ratio):
    """A ratio such as 1.1 is meant in decimals, where 100 (1 + 1.1) is 210 and a boundary."""
    single = np.float32(float(ratio))
    return mpf(str(single if float(single) == ratio else float(ratio)))


# Between two decimals in 50 digits, and less than any step that a test takes.
EPSILON = mpf(10) ** -25


def cycle(t, period, mult):
    """The cycle that t is in, when it began, and how many times as long as the first one it is."""
    if mult == 1:
        return whole(t, period), mpf(period) * whole(t, period), mpf(1)
    mult = meant(mult)
    index = int(floor(log(1 + t * (mult - 1) / period) / log(mult) + EPSILON))
    start = min(period * (mult**index - 1) / (mult - 1), mpf(t))
    return index, start, mult**index


def waved(z):
    """From 1 at z = 0 to 0 at z = 1."""
    return (1 + cos(pi * z)) / 2


SHAPES = {
    "linear": lambda x: x,
    "cosine": lambda x: sin(pi * x / 2) ** 2,
    "sqrt": lambda x: 1 - sqrt(1 - x),
    "square": lambda x: 1 - (1 - x) ** 2,
}


def power_shape(x, exponent):
    return x**exponent


def k_shape(x, k):
    return 1 - (1 - x) ** k


def shaped(shape, x):
    """A name, an oracle with its numbers bound, or a function of the user's in floats."""
    if isinstance(shape, str):
        return SHAPES[shape](x)
    return shape(mpf(x)) if isinstance(shape, functools.partial) else mpf(float(shape(float(x))))


def risen(t, T, low, high, shape="linear"):
    return low + (high - low) * shaped(shape, done(t, T))


def fallen(t, T, high, low, shape="linear"):
    return low + (high - low) * shaped(shape, 1 - done(t, T))


def constant(t, value):
    return value


def linear(t, init_value, end_value, transition_steps):
    return risen(t, transition_steps, init_value, end_value)


def exponential(t, init_value, end_value, transition_steps):
    return mpmath.exp(risen(t, transition_steps, log(init_value), log(end_value)))


def polynomial_decay(t, init_value, decay_steps, end_value, power):
    return end_value + (init_value - end_value) * (1 - done(t, decay_steps)) ** power


def cosine_decay(t, init_value, decay_steps, end_value, exponent):
    return end_value + (init_value - end_value) * waved(done(t, decay_steps)) ** exponent


def cosine_waves(t, init_value, decay_steps, half_waves, end_value):
    return end_value + (init_value - end_value) * waved(half_waves * done(t, decay_steps))


def quarter_cosine_decay(t, init_value, decay_steps, end_value):
    return end_value + (init_value - end_value) * cos(pi * done(t, decay_steps) / 2)


def exponential_decay(t, init_value, decay_steps, decay_rate, end_value):
    return max(init_value * decay_rate ** (mpf(t) / decay_steps), end_value)


def step_decay(t, init_value, decay_steps, decay_rate, end_value):
    return max(init_value * decay_rate ** whole(t, decay_steps), end_value)


def multistep_decay(t, init_value, boundaries, decay_rate):
    rates = decay_rate if isinstance(decay_rate, list) else [decay_rate] * len(boundaries)
    passed = [rate for boundary, rate in zip(boundaries, rates, strict=True) if t >= boundary]
    return math.prod(passed, start=init_value)


def inverse_time_decay(t, init_value, decay_steps, decay_rate, end_value):
    return max(init_value / (1 + decay_rate * t / decay_steps), end_value)


def inverse_sqrt_decay(t, init_value, timescale, end_value):
    return max(init_value * sqrt(timescale / (mpf(t) + timescale)), end_value)


def power_law_decay(t, init_value, scale, exponent, units_per_step):
    return init_value if t == 0 else min(init_value, scale * (t * units_per_step) ** exponent)


def tanh_decay(t, init_value, decay_steps, end_value, lower, upper):
    z = done(t, decay_steps)
    if z in (0, 1):
        return end_value if z else init_value
    return end_value + (init_value - end_value) * (1 - tanh(lower * (1 - z) + upper * z)) / 2


def log_decay(t, init_value, decay_steps, end_value):
    left = 1 - log(1 + min(t, decay_steps)) / log(1 + decay_steps)
    return end_value + (init_value - end_value) * left


def rex_decay(t, init_value, decay_steps, end_value, beta):
    u = 1 - done(t, decay_steps)
    return end_value + (init_value - end_value) * u / ((1 - beta) + beta * u)


def k_decay(t, init_value, decay_steps, k, end_value, shape):
    z = done(t, decay_steps)
    return end_value + (init_value - end_value) * shaped(shape, 1 - z**k)


def chebyshev(t, min_curvature, max_curvature, num_steps):
    order = [0]
    while len(order) < num_steps:
        order = [x for i in order for x in (i, 2 * len(order) - 1 - i)]
    angle = (order[int(t) % num_steps] + mpf(1) / 2) * pi / num_steps
    mean, spread = (max_curvature + min_curvature) / 2, (max_curvature - min_curvature) / 2
    return 1 / (mean - spread * cos(angle))


def silver(t, smoothness):
    n = int(t) + 1
    twos = max(k for k in range(32) if n % 2**k == 0)
    return (1 + (1 + sqrt(mpf(2))) ** (twos - 1)) / smoothness


def piecewise_constant(t, values, boundaries):
    return values[sum(t >= boundary for boundary in boundaries)]


def piecewise_interpolate(t, values, boundaries, shape):
    knots, i = [0, *boundaries], sum(t >= boundary for boundary in boundaries)
    if i == len(boundaries):
        return values[i]
    part = risen if values[i + 1] > values[i] else fallen
    return part(t - knots[i], knots[i + 1] - knots[i], values[i], values[i + 1], shape)


def piecewise_cubic(t, values, boundaries):
    """Fritsch and Butland's slopes, and Hermite's cubic through them, as in the paper."""
    knots, i = [mpf(0), *map(mpf, boundaries)], sum(t >= boundary for boundary in boundaries)
    if i == len(boundaries):
        return values[i]
    h = [b - a for a, b in itertools.pairwise(knots)]
    mean = [(b - a) / length for (a, b), length in zip(itertools.pairwise(values), h, strict=True)]

    def at_end(h0, h1, mean0, mean1):
        slope = ((2 * h0 + h1) * mean0 - h0 * mean1) / (h0 + h1)
        if slope * mean0 <= 0:
            return 0
        return 3 * mean0 if mean0 * mean1 <= 0 and abs(slope) > 3 * abs(mean0) else slope

    def at(k):
        if len(h) == 1:
            return mean[0]
        if k in (0, len(h)):
            return at_end(
                *((h[0], h[1], mean[0], mean[1]) if k == 0 else (h[-1], h[-2], mean[-1], mean[-2]))
            )
        if mean[k - 1] * mean[k] <= 0:
            return 0
        weight, other = 2 * h[k] + h[k - 1], h[k] + 2 * h[k - 1]
        return (weight + other) / (weight / mean[k - 1] + other / mean[k])

    x = (t - knots[i]) / h[i]
    rise, tangents = values[i + 1] - values[i], h[i] * (at(i) * (1 - x) - at(i + 1) * x)
    return values[i] + rise * x**2 * (3 - 2 * x) + tangents * x * (1 - x)


def table(t, values):
    return values[min(int(t), len(values) - 1)]


def cyclic(t, base_value, peak_value, steps_up, steps_down, cycle_scale, step_scale):
    steps_down = steps_up if steps_down is None else steps_down
    index, start, _ = cycle(t, steps_up + steps_down, 1)
    at = t - start
    height = at / steps_up if at < steps_up else (steps_up + steps_down - at) / steps_down
    return base_value + (peak_value - base_value) * height * cycle_scale**index * step_scale**t


def cosine_restarts(t, init_value, period, end_value, period_mult, peak_mult, num_cycles):
    index, start, scale = cycle(t, period, 1 if period_mult is None else period_mult)
    if num_cycles is not None and index >= num_cycles:
        return end_value
    wave = waved((t - start) / (period * scale))
    return end_value + (init_value * peak_mult**index - end_value) * wave


def one_cycle(t, peak_value, total_steps, pct_start, div_factor, final_div_factor, three_phase, shape):
    low, top = peak_value / div_factor, pct_start * total_steps
    last = low / final_div_factor
    if t < top:
        return risen(t, top, low, peak_value, shape)
    if not three_phase:
        return fallen(t - top, total_steps - top, peak_value, last, shape)
    if t < 2 * top:
        return fallen(t - top, top, peak_value, low, shape)
    return fallen(t - 2 * top, total_steps - 2 * top, low, last, shape)


def slanted_triangular(t, peak_value, total_steps, cut_frac, ratio):
    cut = max(1, int(floor(meant(cut_frac) * total_steps + EPSILON)))
    p = mpf(t) / cut if t < cut else 1 - done(t - cut, total_steps - cut)
    return peak_value * (1 + p * (ratio - 1)) / ratio


def join(t, schedules, boundaries):
    index = sum(t >= boundary for boundary in boundaries)
    return schedules[index](t - [0, *boundaries][index])


def multiply(t, schedules):
    return math.prod(schedule(t) for schedule in schedules)


def add(t, schedules):
    return sum(schedule(t) for schedule in schedules)


def minimum(t, schedules):
    return min(schedule(t) for schedule in schedules)


def maximum(t, schedules):
    return max(schedule(t) for schedule in schedules)


def power(t, schedule, exponent):
    return mpf(max(schedule(t), 0)) ** exponent


def warmup(t, schedule, warmup_steps, init_value, shape):
    if t >= warmup_steps:
        return schedule(t - warmup_steps)
    return risen(t, warmup_steps, init_value, schedule(0), shape)


def cooldown(t, schedule, start, cooldown_steps, end_value, shape):
    if t < start:
        return schedule(t)
    return fallen(t - start, cooldown_steps, schedule(start), end_value, shape)


def retime(t, schedule, clock):
    return schedule(max(clock(t), 0))


def delay(t, schedule, steps):
    return schedule(max(t - steps, 0))


def shift(t, schedule, steps):
    return schedule(min(t + steps, LAST))


def stretch(t, schedule, factor):
    return schedule(t / factor)


def every(t, schedule, interval):
    return schedule(whole(t, interval))


def repeat(t, schedule, period, period_mult, value_mult, num_cycles):
    index, start, scale = cycle(t, period, 1 if period_mult is None else period_mult)
    if num_cycles is not None and index >= num_cycles:
        return schedule(period) * value_mult ** (num_cycles - 1)
    return schedule((t - start) / scale) * value_mult**index


def clip(t, schedule, min_value, max_value):
    return max(min(schedule(t), max_value), min_value)


def select(t, index, schedules):
    return schedules[index](t)


def warmup_cosine_decay(t, peak_value, warmup_steps, total_steps, init_value, end_value):
    if t < warmup_steps:
        return risen(t, warmup_steps, init_value, peak_value)
    return fallen(t - warmup_steps, total_steps - warmup_steps, peak_value, end_value, "cosine")


def warmup_linear_decay(t, peak_value, warmup_steps, total_steps, init_value, end_value):
    if t < warmup_steps:
        return risen(t, warmup_steps, init_value, peak_value)
    return fallen(t - warmup_steps, total_steps - warmup_steps, peak_value, end_value)


def warmup_inverse_sqrt_decay(t, peak_value, warmup_steps, init_value, timescale):
    if t < warmup_steps:
        return risen(t, warmup_steps, init_value, peak_value)
    timescale = warmup_steps if timescale is None else timescale
    return inverse_sqrt_decay(t - warmup_steps, peak_value, timescale, 0)


def noam(t, d_model, warmup_steps, scale):
    n = mpf(t) + 1
    rising = n * mpf(warmup_steps) ** mpf(-1.5) if warmup_steps else mp.inf
    return scale / sqrt(d_model) * min(1 / sqrt(n), rising)


def wsd(t, peak_value, warmup_steps, decay_steps, total_steps, init_value, end_value, shape):
    if t < warmup_steps:
        return risen(t, warmup_steps, init_value, peak_value)
    return fallen(max(t - (total_steps - decay_steps), 0), decay_steps, peak_value, end_value, shape)


def wsd_cycles(t, peak_value, warmup_steps, budgets, decay_fraction, end_value, shape):
    if t < warmup_steps:
        return risen(t, warmup_steps, 0, peak_value)
    for budget in budgets:
        if t < budget:
            decay_steps = decay_fraction * budget
            return fallen(max(t - (budget - decay_steps), 0), decay_steps, peak_value, end_value, shape)
    return end_value


def infinite(
    t,
    peak_value,
    warmup_steps,
    cooldown_steps,
    stable_value,
    anneal_start,
    anneal_steps,
    end_value,
    shape,
):
    if t < warmup_steps:
        return risen(t, warmup_steps, 0, peak_value)
    if t < anneal_start:
        return fallen(t - warmup_steps, cooldown_steps, peak_value, stable_value, shape)
    return fallen(t - anneal_start, anneal_steps, stable_value, end_value, shape)


def tri_stage(t, peak_value, warmup_steps, hold_steps, decay_steps, init_scale, final_scale):
    if t < warmup_steps:
        return risen(t, warmup_steps, init_scale * peak_value, peak_value)
    return peak_value * final_scale ** done(max(t - warmup_steps - hold_steps, 0), decay_steps)


def knee(t, peak_value, warmup_steps, explore_steps, total_steps):
    if t < warmup_steps:
        return risen(t, warmup_steps, 0, peak_value)
    falls_from = warmup_steps + explore_steps
    if t < falls_from:
        return peak_value
    return fallen(t - falls_from, total_steps - falls_from, peak_value, 0)


def halving(t, init_value, period):
    return init_value * mpf(0.5) ** whole(t, period)


def gained(t, inner, gains):
    return inner(t) * gains[1]
