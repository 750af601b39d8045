"""The one table: every public builder, and a user's own, with examples to try it on."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest
from tables.oracles import LAST
from tables.rows import Example, Row
from tables.rows import expected as expected  # re-exported: the tests read both here

import optax_sched as os
from optax_sched import Schedule

# A user's own, made at module level so that it pickles.
halving = os.schedule(
    lambda step, init_value, period: init_value * 0.5 ** (step // period), name="halving"
)
gained = os.schedule(lambda step, inner, gains: inner(step) * gains[1], name="gained")

COSINE = os.cosine_decay(0.1, 1000)
LONG = os.cosine_decay(0.3, LAST, 0.001)
LINE = os.linear(0.1, 0.01, 100)

ROWS: dict[str, Row] = {
    "constant": Row(
        Example(os.constant(0.1), start=0.1, end=0.1),
        Example(os.constant(-2), start=-2, end=-2),
    ),
    "linear": Row(
        Example(os.linear(0.1, 0.0, 1000), [1000], 0.1, 0.0),
        Example(os.linear(0.0, 0.3, 41), [41], 0.0, 0.3),
        Example(os.linear(3e-4, 1e-5, 7), [7], 3e-4, 1e-5),
        Example(os.linear(-1.0, -0.25, 3), [3], -1.0, -0.25),
        Example(os.linear(0.0, 1.0, LAST), [LAST], 0.0, 1.0),
        Example(os.linear(1.0, 0.0, 2**24 + 1), [2**24 + 1], 1.0, 0.0),
        Example(os.linear(1.0, 0.0, 1), [1], 1.0, 0.0),
    ),
    "exponential": Row(
        Example(os.exponential(0.1, 1e-5, 1000), [1000], 0.1, 1e-5),
        Example(os.exponential(1e-6, 0.3, 10**6), [10**6], 1e-6, 0.3),
        Example(os.exponential(1.0, 0.5, LAST), [LAST], 1.0, 0.5),
        sensitive=True,
    ),
    "polynomial_decay": Row(
        Example(os.polynomial_decay(0.1, 1000, power=0.9), [1000], 0.1, 0.0),
        Example(os.polynomial_decay(0.1, 250, 0.01, 2.5), [250], 0.1, 0.01),
        Example(os.polynomial_decay(1.0, 10**5, 1.0, 2.0), [10**5], 1.0, 1.0),
        Example(os.polynomial_decay(1.0, 41, power=0.5), [41], 1.0, 0.0),
        sensitive=True,
    ),
    "cosine_decay": Row(
        Example(COSINE, [1000], 0.1, 0.0),
        Example(LONG, [LAST], 0.3, 0.001),
        Example(os.cosine_decay(1.0, 10**6, 0.1), [10**6], 1.0, 0.1),
        Example(os.cosine_decay(0.3, 10**5, 0.3), [10**5], 0.3, 0.3),
        Example(os.cosine_decay(0.1, 3), [3], 0.1, 0.0),
    ),
    "cosine_waves": Row(
        Example(os.cosine_waves(0.1, 1000, 3), [333, 667, 1000], 0.1, 0.0),
        Example(os.cosine_waves(0.3, 10**5, 2, 0.01), [10**5 // 2, 10**5], 0.3, 0.3),
        Example(os.cosine_waves(0.0, LAST, 2.5, 0.1), [LAST], 0.0),
        Example(os.cosine_waves(1, 777, 7), [111, 333, 555, 777], 1.0, 0.0),
        sensitive=True,
        inner_zeros=True,
    ),
    "quarter_cosine_decay": Row(
        Example(os.quarter_cosine_decay(0.1, 1000), [1000], 0.1, 0.0),
        Example(os.quarter_cosine_decay(0.3, LAST, 0.2), [LAST], 0.3, 0.2),
        Example(os.quarter_cosine_decay(1.0, 3, 0.1), [3], 1.0, 0.1),
    ),
    "exponential_decay": Row(
        Example(os.exponential_decay(0.1, 100, 0.96), [100, 1000], 0.1),
        Example(os.exponential_decay(0.1, 3, 0.5, 1e-5), [40], 0.1, 1e-5),
        Example(os.exponential_decay(0.1, 7, 1), [7], 0.1, 0.1),
        sensitive=True,
    ),
    "step_decay": Row(
        Example(os.step_decay(0.1, 1000, 0.5, 1e-6), [1000, 2000, 10775000, 30000], 0.1, 1e-6),
        Example(os.step_decay(0.1, 2**24 + 3, 0.9), [k * (2**24 + 3) for k in (1, 2, 77)], 0.1),
        Example(os.step_decay(1, 1, 0.999), [1, 2], 1.0),
        sensitive=True,
    ),
    "multistep_decay": Row(
        Example(os.multistep_decay(0.1, [30, 60, 90], 0.1), [30, 60, 90], 0.1),
        Example(os.multistep_decay(0.1, [2**24 + 1, 2**30 + 1], [0.5, 0.25]), [2**24 + 1, 2**30 + 1]),
        Example(os.multistep_decay(0.1, np.array([5]), 0.5), [5], 0.1, 0.05),
        sensitive=True,
    ),
    "inverse_time_decay": Row(
        Example(os.inverse_time_decay(0.1, 100, 0.5, 1e-3), [100, 19801], 0.1, 1e-3),
        Example(os.inverse_time_decay(1.0, 2**24 + 1, 30), [2**24 + 1], 1.0),
        Example(os.inverse_time_decay(0.3, 7, 0.0), [7], 0.3, 0.3),
    ),
    "inverse_sqrt_decay": Row(
        Example(os.inverse_sqrt_decay(0.1, 1000, 0.01), [1000, 99001], 0.1, 0.01),
        Example(os.inverse_sqrt_decay(1, 1), [1], 1.0),
        Example(os.inverse_sqrt_decay(0.3, LAST), [LAST], 0.3),
    ),
    "power_law_decay": Row(
        Example(os.power_law_decay(0.1, 2.0, -0.5), [400], 0.1),
        Example(os.power_law_decay(3e-3, 40.0, -0.51, 512 * 4096), [59], 3e-3),
        sensitive=True,
    ),
    "tanh_decay": Row(
        Example(os.tanh_decay(0.1, 1000), [1000], 0.1, 0.0),
        Example(os.tanh_decay(0.3, LAST, 0.0), [LAST], 0.3, 0.0),
        Example(os.tanh_decay(1.0, 41, 0.01, -20.0, 20.0), [41], 1.0, 0.01),
        sensitive=True,
    ),
    "log_decay": Row(
        Example(os.log_decay(0.1, 1000), [1000], 0.1, 0.0),
        Example(os.log_decay(0.1, LAST, 0.01), [LAST], 0.1, 0.01),
        Example(os.log_decay(0.3, 1), [1], 0.3, 0.0),
    ),
    "rex_decay": Row(
        Example(os.rex_decay(0.1, 1000), [1000], 0.1, 0.0),
        Example(os.rex_decay(0.3, 2**24 + 1, 0.0, 0.9), [2**24 + 1], 0.3, 0.0),
        Example(os.rex_decay(1.0, 7, 0.01, 0), [7], 1.0, 0.01),
    ),
    "k_decay": Row(
        Example(os.k_decay(0.1, 1000, 1.5), [1000], 0.1, 0.0),
        Example(os.k_decay(0.3, LAST, 3, 0.01, "linear"), [LAST], 0.3, 0.01),
        Example(os.k_decay(0.1, 100, 0.5, 0.01, "sqrt"), [100], 0.1, 0.01),
        Example(os.k_decay(0.1, 10**5, 2, shape="square"), [10**5], 0.1, 0.0),
        Example(os.k_decay(0.1, 1000, 1.5, shape=os.k_shape(0.4)), [1000], 0.1, 0.0),
        sensitive=True,
    ),
    "chebyshev": Row(
        Example(os.chebyshev(0.1, 10.0, 64), [64, 128]),
        Example(os.chebyshev(1e-4, 1.0, 1024), [1024, LAST // 1024 * 1024]),
        Example(os.chebyshev(1, 2, 1), [1]),
    ),
    "silver": Row(Example(os.silver(10.0), [2**16 - 1, 2**20 - 1, 2**30 - 1, LAST])),
    "piecewise_constant": Row(
        Example(os.piecewise_constant([0.1, 0.01, 0.001], [30, 60]), [30, 60], 0.1, 0.001),
        Example(
            os.piecewise_constant([1, -1, 0.5], [2**24 + 1, 2**30 + 1]),
            [2**24 + 1, 2**30 + 1],
            1.0,
            0.5,
        ),
        Example(os.piecewise_constant(np.array([3.0, 2.0]), [2.5]), [3], 3.0, 2.0),
    ),
    "piecewise_interpolate": Row(
        Example(
            os.piecewise_interpolate([0.0, 0.1, 0.1, 0.01], [100, 500, 1000]),
            [100, 500, 1000],
            0.0,
            0.01,
        ),
        Example(
            os.piecewise_interpolate([0.3, 1, 0.2], [2**24 + 1, LAST], "sqrt"),
            [2**24 + 1, LAST],
            0.3,
            0.2,
        ),
        Example(os.piecewise_interpolate([-1, -3], [7], "square"), [7], -1.0, -3.0),
        Example(
            os.piecewise_interpolate([0.3, 1, 0.2], [100, LAST], os.power_shape(2.5)),
            [100, LAST],
            0.3,
            0.2,
            sensitive=True,
        ),
    ),
    "piecewise_cubic": Row(
        Example(
            os.piecewise_cubic([0.0, 0.1, 0.07, 0.07, 0.01, 0.0], [100, 200, 500, 900, 1000]),
            [100, 200, 500, 900, 1000],
            0.0,
            0.0,
        ),
        Example(os.piecewise_cubic([0.3, 1, 0.2], [2**24 + 1, LAST]), [2**24 + 1, LAST], 0.3, 0.2),
        Example(os.piecewise_cubic([-1, -3, -2.5, -2.25], [7, 10, 16.5]), [7, 10, 17], -1.0, -2.25),
        Example(os.piecewise_cubic([1, 0], [41]), [41], 1.0, 0.0),
        Example(os.piecewise_cubic([0.5], []), [], 0.5, 0.5),
        sensitive=True,
    ),
    "table": Row(
        Example(os.table([0.3, 0.2, 0.1]), [2], 0.3, 0.1),
        Example(os.table(np.linspace(-1.0, 1.0, 500)), [499], -1.0, 1.0),
    ),
    "cyclic": Row(
        Example(os.cyclic(0.01, 0.1, 101), [101, 202, 303], 0.01),
        Example(os.cyclic(1e-3, 0.1, 30, 71, 0.5), [30, 101, 131, 202], 1e-3),
        Example(os.cyclic(0.0, 0.3, 2000, step_scale=0.9999), [2000, 4000], 0.0),
        Example(os.cyclic(0.3, 0.1, 2**24 + 1, 5), [2**24 + 1, 2**24 + 6], 0.3),
        sensitive=True,
    ),
    "cosine_restarts": Row(
        Example(os.cosine_restarts(0.1, 10, period_mult=3), [10, 40, 130, 1210, 3640], 0.1),
        Example(os.cosine_restarts(0.1, 7), [7, 14, 7 * 2**21, LAST // 7 * 7], 0.1),
        Example(os.cosine_restarts(0.1, 1, 0.01, 10, 0.5, 4), [1, 11, 111, 1111], 0.1, 0.01),
        Example(os.cosine_restarts(0.1, 100, 0.0, 1.1, num_cycles=5), [100, 210, 331, 611], 0.1, 0.0),
        Example(os.cosine_restarts(0.1, 10, period_mult=1.5, num_cycles=12), [10, 25, 2575], 0.1, 0.0),
        sensitive=True,
    ),
    "one_cycle": Row(
        Example(os.one_cycle(0.1, 1000), [300, 1000]),
        Example(os.one_cycle(1.0, LAST, 0.25, 10, 100, shape="linear"), [2**29, LAST]),
        Example(
            os.one_cycle(0.1, 1001, 0.3, 25, 1000, three_phase=True, shape="sqrt"),
            [300, 301, 600, 601, 1001],
        ),
        Example(os.one_cycle(0.1, 1000, 0.25, shape=os.k_shape(1.5)), [250, 1000]),
        sensitive=True,
    ),
    "slanted_triangular": Row(
        Example(os.slanted_triangular(0.1, 1005), [100, 1005]),
        Example(os.slanted_triangular(1.0, LAST, 0.7, 4), [LAST // 10 * 7, LAST]),
        Example(os.slanted_triangular(0.1, 10, 0.7), [7, 10]),
        Example(os.slanted_triangular(0.1, 1), [1]),
    ),
    "join": Row(
        Example(os.join([os.linear(0.0, 0.1, 100), COSINE], [100]), [100, 1100], 0.0, 0.0),
        Example(
            os.join([os.linear(1.0, 0.5, 9), os.linear(0.4, 0.2, 5), os.linear(0.1, 0.1, 3)], [9, 20]),
            [9, 20, 23],
            1.0,
            0.1,
        ),
        Example(os.join([0.3, LONG, halving(0.1, 9)], [10, 2**24 + 1]), [10, 2**24 + 1], 0.3),
        Example(os.join([optax.constant_schedule(0.5), COSINE], [5]), [5, 1005], 0.5, 0.0),
    ),
    "multiply": Row(
        Example(os.multiply(2, COSINE, LINE), [100, 1000], end=0.0),
        Example(os.multiply(LONG, LONG, halving(2.0, 9), optax.constant_schedule(0.5)), [9, 18]),
    ),
    "add": Row(
        Example(os.add(COSINE, LINE), [100, 1000], 0.2, 0.01),
        Example(1e-5 + 2 * LONG + halving(2.0, 9), [9, 18]),
        Example(1 - os.shift(os.power_law_decay(1.0, 1.0, -0.8), 1), start=0.0),  # Adafactor's decay
        Example(os.add(optax.constant_schedule(0.5), -0.25), start=0.25, end=0.25),
        Example(os.add(os.linear(0, LAST, LAST)), [LAST], 0.0, 2.0**31),
        inner_zeros=True,
    ),
    "minimum": Row(
        Example(os.minimum(COSINE, LINE, 0.07), [100, 1000], 0.07, 0.0),
        Example(os.minimum(LONG, os.linear(0.0, 1.0, LAST)), [LAST], 0.0, 0.001),
        Example(os.minimum(-1, 0.5), start=-1.0, end=-1.0),
    ),
    "maximum": Row(
        Example(os.maximum(LINE, COSINE, 0.005), [100, 1000], 0.1, 0.01),
        Example(
            os.maximum(os.exponential_decay(1.0, 5, 0.5), optax.constant_schedule(0.25)), [10], 1.0
        ),
    ),
    "power": Row(
        Example(os.power(COSINE, 2.0), [1000], end=0.0),
        Example(os.power(os.linear(0.0, 1.0, 10**6), 0.3), [10**6], 0.0, 1.0),
        Example(os.power(os.linear(1.0, -1.0, 10), 1.5), [5, 10], 1.0, 0.0),
        Example(LONG**3, [LAST]),
        sensitive=True,
    ),
    "warmup": Row(
        Example(os.warmup(COSINE, 100), [100, 1100], 0.0, 0.0),
        Example(os.warmup(COSINE, 0), [1000], 0.1, 0.0),
        Example(os.warmup(0.1, 10**6, 0.01, "cosine"), [10**6], 0.01, 0.1),
        Example(os.warmup(LONG, 1000, 0.001, "sqrt"), [1000], 0.001),
        Example(
            os.warmup(os.linear(1.0, 0.0, 9), 2**24 + 1, shape="square"),
            [2**24 + 1, 2**24 + 10],
            0.0,
            0.0,
        ),
        Example(os.warmup(COSINE, 300, 0.01, os.k_shape(0.4)), [300, 1300], 0.01, 0.0, True),
        Example(os.warmup(0.3, 10**6, shape=os.power_shape(1.5)), [10**6], 0.0, 0.3, True),
    ),
    "cooldown": Row(
        Example(os.cooldown(COSINE, 500, 301, 0.001, "sqrt"), [500, 801], 0.1, 0.001),
        Example(os.cooldown(LONG, 2**24 + 1, 2**30), [2**24 + 1, 2**24 + 1 + 2**30], 0.3, 0.0),
        Example(os.cooldown(0.1, 0, 10, 0.3, "square"), [10], 0.1, 0.3),
        Example(
            os.cooldown(COSINE, 500, 10**6, shape=os.k_shape(0.4)), [500, 10**6 + 500], 0.1, 0.0, True
        ),
        Example(os.cooldown(0.3, 7, LAST - 7, 0.01, os.power_shape(0.3)), [7, LAST], 0.3, 0.01, True),
    ),
    "retime": Row(
        Example(os.retime(COSINE, os.linear(0.0, 1000.0, 700)), [700], 0.1, 0.0),
        Example(
            os.retime(os.step_decay(0.1, 3, 0.5), os.linear(0.0, 7.0, 49)), [21, 42, 49], 0.1, 0.025
        ),
        Example(os.retime(LINE, os.linear(-5.0, 200.0, 82)), [2, 42, 82], 0.1, 0.01),
        Example(
            os.retime(os.cosine_decay(0.3, 0.5, 0.01), os.linear(0.0, 0.5, LAST)), [LAST], 0.3, 0.01
        ),
        sensitive=True,
    ),
    "delay": Row(
        Example(os.delay(COSINE, 101), [101, 1101], 0.1, 0.0),
        Example(os.delay(os.join([0.3, LONG], [5]), 2**24 + 1), [2**24 + 1, 2**24 + 6], 0.3),
        Example(os.delay(LINE, 0), [100], 0.1, 0.01),
    ),
    "shift": Row(
        Example(os.shift(COSINE, 101), [899], end=0.0),
        Example(os.shift(os.linear(0.0, 1.0, LAST), 2**24 + 1), [LAST - 2**24 - 1], end=1.0),
    ),
    "stretch": Row(
        Example(os.stretch(COSINE, 2.0), [2000], 0.1, 0.0),
        Example(os.stretch(os.step_decay(0.1, 10, 0.5, 1e-3), 3), [30, 60, 90, 120, 210], 0.1, 1e-3),
        Example(os.stretch(LINE, 0.25), [25], 0.1, 0.01),
        sensitive=True,
    ),
    "every": Row(
        Example(os.every(COSINE, 11), [11, 22, 11000], 0.1, 0.0),
        Example(os.every(os.table([0.3, 0.2, 0.1]), 2**24 + 1), [2**24 + 1, 2**25 + 2], 0.3, 0.1),
        Example(os.every(halving(1.0, 2), 2.5), [3, 5, 8, 10], 1.0),
    ),
    "repeat": Row(
        Example(os.repeat(LINE, 101), [101, 202, LAST // 101 * 101], 0.1),
        Example(os.repeat(COSINE, 1000, 2, 0.5, 4), [1000, 3000, 7000, 15000], 0.1, 0.0),
        Example(os.repeat(LINE, 10, 1.1, 0.9, 5), [10, 21, 34, 47, 62], 0.1),
        sensitive=True,
    ),
    "clip": Row(
        Example(os.clip(COSINE, 0.01, 0.075), [333, 795, 1000], 0.075, 0.01),
        Example(os.clip(os.linear(-1.0, -3.0, 7), -2, -1.5), [7], -1.5, -2.0),
    ),
    "noisy": Row(
        Example(os.noisy(COSINE, 0, 0.1), [1000], end=0.0),
        Example(os.noisy(0.3, 42, 0.5, 10, 1000, "uniform"), [10, 1000], 0.3, 0.3),
        Example(os.noisy(LINE, jax.random.key(7), 0.2, 2**24 + 1), [100, 2**24 + 1], 0.1),
    ),
    "select": Row(
        Example(os.select(1, [0.1, COSINE, LINE]), [100, 1000], 0.1, 0.0),
        Example(os.select(0, [LONG, optax.constant_schedule(0.5)]), [LAST], 0.3, 0.001),
    ),
    "warmup_cosine_decay": Row(
        Example(os.warmup_cosine_decay(0.1, 101, 1000), [101, 1000], 0.0, 0.0),
        Example(
            os.warmup_cosine_decay(0.3, 2**24 + 1, LAST, 0.01, 0.001),
            [2**24 + 1, LAST],
            0.01,
            0.001,
        ),
        Example(os.warmup_cosine_decay(0.1, 0, 3), [3], 0.1, 0.0),
    ),
    "warmup_linear_decay": Row(
        Example(os.warmup_linear_decay(0.1, 101, 1000), [101, 1000], 0.0, 0.0),
        Example(os.warmup_linear_decay(0.3, 7, LAST, 0.1, 0.2), [7, LAST], 0.1, 0.2),
        Example(os.warmup_linear_decay(0.1, 7, 7, end_value=0.05), [7], 0.0, 0.05),
    ),
    "warmup_inverse_sqrt_decay": Row(
        Example(os.warmup_inverse_sqrt_decay(0.1, 101), [101], 0.0),
        Example(os.warmup_inverse_sqrt_decay(0.3, 2**24 + 1, 0.01, 10**6), [2**24 + 1], 0.01),
        Example(os.warmup_inverse_sqrt_decay(0.1, 0, timescale=7), [7], 0.1),
    ),
    "noam": Row(
        Example(os.noam(512, 4000), [3999]),
        Example(os.noam(256, 0, 2)),
        Example(os.noam(1024, 2**24 + 1), [2**24]),
        sensitive=True,
    ),
    "wsd": Row(
        Example(os.wsd(0.1, 101, 201, 1000), [101, 799, 1000], 0.0, 0.0),
        Example(
            os.wsd(0.3, 7, 2**24 + 1, LAST, 0.01, 0.001, "cosine"),
            [7, LAST - 2**24 - 1, LAST],
            0.01,
            0.001,
        ),
        Example(os.wsd(0.1, 0, 10, 10, shape="linear"), [10], 0.1, 0.0),
        Example(os.wsd(0.1, 101, 201, 1000, shape=os.k_shape(0.4)), [101, 799, 1000], 0.0, 0.0, True),
    ),
    "wsd_cycles": Row(
        Example(os.wsd_cycles(0.1, 11, [101, 401, 1001]), [11, 91, 101, 361, 401, 901, 1001], 0.0, 0.0),
        Example(
            os.wsd_cycles(0.3, 0, [7, 2**24 + 1, LAST], 0.25, 0.01, "sqrt"),
            [7, 2**24 + 1, LAST],
            0.3,
            0.01,
        ),
        Example(
            os.wsd_cycles(0.1, 11, [101, 401], 0.2, 0.01, os.power_shape(1.7)),
            [11, 101, 401],
            0.0,
            0.01,
        ),
        sensitive=True,
    ),
    "infinite": Row(
        Example(os.infinite(0.1, 101, 201, 0.03, 501, 301), [101, 302, 501, 802], 0.0, 0.0),
        Example(
            os.infinite(0.3, 0, 2**24 + 1, 0.1, 2**25 + 3, 10**6, 0.01, "sqrt"),
            [2**24 + 1, 2**25 + 3, 2**25 + 3 + 10**6],
            0.3,
            0.01,
        ),
        Example(
            os.infinite(0.1, 11, 201, 0.03, 501, 301, shape=os.k_shape(2.5)),
            [11, 212, 501, 802],
            0.0,
            0.0,
            True,
        ),
    ),
    "tri_stage": Row(
        Example(os.tri_stage(0.1, 101, 201, 301), [101, 302, 603]),
        Example(os.tri_stage(0.3, 0, 0, 2**24 + 1, final_scale=0.5), [2**24 + 1], 0.3, 0.15),
        Example(os.tri_stage(1, 7, 2**30, 2**30, 0.0), [7, 2**30 + 7, LAST], 0.0),
        sensitive=True,
    ),
    "knee": Row(
        Example(os.knee(0.1, 101, 201, 1001), [101, 302, 1001], 0.0, 0.0),
        Example(os.knee(0.3, 0, 2**24 + 1, LAST), [2**24 + 1, LAST], 0.3, 0.0),
        Example(os.knee(0.1, 3, 7, 10), [3, 10], 0.0, 0.0),
    ),
    "halving": Row(
        Example(halving(init_value=0.1, period=1000), [1000, 2000], 0.1),
    ),
    "gained": Row(
        Example(gained(COSINE, [1.0, 3.0]), [1000], 0.3, 0.0),
    ),
}

OWN = {"halving": halving, "gained": gained}
BUILDERS: dict[str, Callable[..., Schedule]] = {
    name: builder
    for name, builder in {**vars(os), **OWN}.items()
    if inspect.isfunction(builder) and getattr(vars(builder).get("formula"), "made", None) is Schedule
}

CASES = [
    (name, f"{name}-{i}", example)
    for name, row in ROWS.items()
    for i, example in enumerate(row.examples)
]

# They answer for all rows what is asked of `evaluate.py` and not of a formula.
# A line, an array as a leaf, a random key, a user's own and a composition.
REPRESENTATIVES = {"linear", "table", "noisy", "halving", "join"}


def wide(name: str) -> Any:
    """The marks of a row for which a representative answers."""
    return () if name in REPRESENTATIVES else pytest.mark.wide
