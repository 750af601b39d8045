"""Random compositions: settings for every builder, and trees of schedules, to draw with hypothesis.

The settings are such that no clock is rounded: slowed by powers of two, real lengths in eighths. Then
a staircase changes at the very step at which the interpreter's does, whatever stands around it, and
the tolerance is that of the formulas alone. Heights are not negative and floors not near 0 where a
formula may cancel, so relative errors add up along a path and over the factors of a product.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from tables.cases import BUILDERS, OWN, ROWS

import optax_sched as os
from optax_sched import Schedule


# Users' own: in arithmetic that a tracer and the interpreter's numbers both understand.
def hyperbola(step):
    return 2 / (1 + step / 8)


def square(step):
    return 0.25 + step * step / 64


OWN_FUNCTIONS = [hyperbola, square]
NAMES = {**vars(os), **{own.__name__: own for own in OWN_FUNCTIONS}}

# Every structure is a program to compile: few examples, each at many steps at once, and none made
# smaller when it fails, which would take minutes.
few = functools.partial(
    settings,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# ---- random settings ----

positive = st.sampled_from([0.1, 0.3, 1.0, 3]) | st.floats(2**-8, 4.0, width=32)
height = positive | st.sampled_from([0.0, 0])
length = st.integers(1, 40) | st.sampled_from([2.5, 8.0, 12.375, 64, 1000])
length_or_zero = st.just(0) | length
factor = st.sampled_from([0.5, 0.9, 0.99, 1.0])
SHAPES = ["linear", "cosine", "sqrt", "square", os.k_shape(0.5), os.power_shape(2.0)]
shape = st.sampled_from(range(6)).map(SHAPES.__getitem__)  # hypothesis minds strategies of a long repr
dyadic = st.sampled_from([0.125, 0.25, 0.375])
exact_clock = st.sampled_from(
    [
        os.linear(0.0, 64.0, 64),
        os.linear(0.0, 16.0, 64),
        os.linear(8.0, 0.0, 32),
        os.table([0, 2, 5, 9]),
    ]
)
clock_factor = st.sampled_from([0.5, 1.0, 2.0, 4, 8.0])


def increasing(n: int) -> st.SearchStrategy[list[int]]:
    return st.sets(st.integers(1, 60), min_size=n, max_size=n).map(sorted)


def values_and_boundaries(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.integers(0, 3).flatmap(
        lambda n: st.fixed_dictionaries(
            {"values": st.lists(values, min_size=n + 1, max_size=n + 1), "boundaries": increasing(n)}
        )
    )


@st.composite
def ordered(draw: Any, *names: str) -> dict[str, Any]:
    """Positive heights, each at least as high as the one before."""
    return dict(zip(names, sorted(draw(positive) for _ in names), strict=True))


@st.composite
def phases(draw: Any, *names: str, total: str, first: int = 0) -> dict[str, Any]:
    """Lengths of phases, and a total that holds them all; the first may be 0."""
    lengths = {name: draw(st.integers(first if i == 0 else 1, 40)) for i, name in enumerate(names)}
    return {**lengths, total: sum(lengths.values()) + draw(st.integers(1, 40))}


def both(*parts: Any) -> st.SearchStrategy[dict[str, Any]]:
    """One dictionary from several strategies for dictionaries."""
    return st.tuples(*parts).map(lambda dicts: functools.reduce(lambda a, b: a | b, dicts))


def given_by(**named: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(named)


# What each word of the vocabulary may be.
BY_WORD: dict[str, st.SearchStrategy[Any]] = {
    "Real": height,
    "Rate": height,
    "Positive": positive,
    "Negative": st.sampled_from([-0.5, -1, -0.75]),
    "Growth": st.sampled_from([1, 2.0, 32.0]),
    "Factor": factor,
    "Fraction": dyadic,
    "PartOfOne": st.sampled_from([0, 0.5, 0.9]),
    "Steps": length,
    "StepsOrZero": length_or_zero,
    "Count": st.integers(1, 4),
    "CountOrZero": st.integers(0, 4),
    "Reals": st.lists(height, min_size=1, max_size=5),
    "Rates": st.lists(height, min_size=1, max_size=5),
    "Boundaries": increasing(2),
    "ShapeName": shape,
    "Switch": st.booleans(),
}


def by_words(builder: Callable[..., Schedule]) -> st.SearchStrategy[dict[str, Any]]:
    drawn = {}
    for name, hyper in inspect.signature(builder).parameters.items():
        word, _, none = str(hyper.annotation).partition(" | ")
        drawn[name] = st.none() | BY_WORD[word] if none else BY_WORD[word]
    return given_by(**drawn)


decay = both(given_by(decay_steps=length), ordered("end_value", "init_value"))
floored = positive.flatmap(
    lambda x: given_by(init_value=st.just(x), decay_steps=length, end_value=st.just(x / 16))
)
# Settings that obey a relation, or that the tolerance above asks for.
CHOSEN: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "polynomial_decay": both(decay, given_by(power=st.sampled_from([0.5, 1, 1.0, 2.0, 3.5]))),
    "quarter_cosine_decay": decay,
    "log_decay": decay,
    "rex_decay": both(decay, given_by(beta=st.sampled_from([0, 0.5, 0.9]))),
    "cosine_decay": both(decay, given_by(exponent=st.sampled_from([1.0, 2, 0.5]))),
    # Its inner zeros are exact to the height only: none here.
    "cosine_waves": positive.flatmap(
        lambda x: given_by(
            init_value=st.just(x),
            decay_steps=length,
            half_waves=st.sampled_from([1, 2, 3.0, 1.5]),
            end_value=st.just(x / 2),
        )
    ),
    "exponential_decay": both(floored, given_by(decay_rate=factor)),
    "step_decay": both(floored, given_by(decay_rate=factor)),
    "multistep_decay": st.integers(0, 3).flatmap(
        lambda n: given_by(
            init_value=positive,
            boundaries=increasing(n),
            decay_rate=factor | st.lists(factor, min_size=n, max_size=n),
        )
    ),
    "inverse_time_decay": both(floored, given_by(decay_rate=st.sampled_from([0, 0.5, 2.0]))),
    "inverse_sqrt_decay": both(given_by(timescale=length), ordered("end_value", "init_value")),
    "power_law_decay": given_by(
        init_value=positive,
        scale=positive,
        exponent=st.sampled_from([-0.5, -1, -0.75]),
        units_per_step=st.sampled_from([1.0, 0.25, 2]),
    ),
    "tanh_decay": both(
        floored, given_by(lower=st.sampled_from([-7.0, -2]), upper=st.sampled_from([3.0, 5]))
    ),
    "k_decay": both(decay, given_by(k=st.sampled_from([1, 2.0, 0.5]), shape=shape)),
    "chebyshev": both(
        ordered("min_curvature", "max_curvature"), given_by(num_steps=st.sampled_from([1, 8, 64]))
    ),
    "piecewise_constant": values_and_boundaries(height),
    "piecewise_cubic": values_and_boundaries(positive),
    "piecewise_interpolate": both(values_and_boundaries(height), given_by(shape=shape)),
    "cyclic": given_by(
        base_value=height,
        peak_value=height,
        steps_up=length,
        steps_down=st.none() | length,
        cycle_scale=factor,
        step_scale=st.just(1.0) | factor,
    ),
    "cosine_restarts": both(
        ordered("end_value", "init_value"),
        given_by(period=length, period_mult=st.sampled_from([1, 2, 2.0, 3])),
        given_by(peak_mult=st.just(1.0) | factor, num_cycles=st.none() | st.integers(1, 4)),
    ),
    "one_cycle": given_by(
        peak_value=positive,
        total_steps=length,
        pct_start=dyadic,
        div_factor=st.sampled_from([25.0, 4]),
        final_div_factor=st.sampled_from([100.0, 10]),
        three_phase=st.booleans(),
        shape=shape,
    ),
    "slanted_triangular": given_by(
        peak_value=height, total_steps=length, cut_frac=dyadic, ratio=st.sampled_from([1, 32.0])
    ),
    "warmup_cosine_decay": both(
        phases("warmup_steps", total="total_steps"),
        ordered("init_value", "end_value", "peak_value"),
    ),
    "warmup_linear_decay": both(
        phases("warmup_steps", total="total_steps"),
        ordered("init_value", "end_value", "peak_value"),
    ),
    "warmup_inverse_sqrt_decay": both(
        ordered("init_value", "peak_value"),
        given_by(warmup_steps=length, timescale=st.none() | length),
    ),
    "noam": given_by(
        d_model=st.sampled_from([64, 512.0]), warmup_steps=st.integers(0, 40), scale=positive
    ),
    "wsd": both(
        phases("warmup_steps", "decay_steps", total="total_steps"),
        ordered("init_value", "end_value", "peak_value"),
        given_by(shape=shape),
    ),
    "wsd_cycles": both(
        ordered("end_value", "peak_value"),
        given_by(
            warmup_steps=st.integers(0, 10),
            budgets=st.sampled_from([[20], [16, 40], [20, 64, 1000]]),
            decay_fraction=dyadic,
            shape=shape,
        ),
    ),
    "infinite": both(
        phases("warmup_steps", "cooldown_steps", total="anneal_start"),
        ordered("end_value", "stable_value", "peak_value"),
        given_by(anneal_steps=length, shape=shape),
    ),
    "knee": both(
        phases("warmup_steps", "explore_steps", total="total_steps"), given_by(peak_value=height)
    ),
}

Trees = st.SearchStrategy[Any]


@st.composite
def many(draw: Any, deep: Trees, flat: Trees) -> list[Any]:
    """One deep operand among some that are not, so that trees stay small."""
    operands = draw(st.lists(flat, min_size=1, max_size=2))
    operands.insert(draw(st.integers(0, len(operands))), draw(deep))
    return operands


def _join(deep: Trees, flat: Trees) -> st.SearchStrategy[dict[str, Any]]:
    return many(deep, flat).flatmap(
        lambda schedules: given_by(
            schedules=st.just(schedules), boundaries=increasing(len(schedules) - 1)
        )
    )


def _select(deep: Trees, flat: Trees) -> st.SearchStrategy[dict[str, Any]]:
    return many(deep, flat).flatmap(
        lambda schedules: given_by(
            index=st.integers(0, len(schedules) - 1), schedules=st.just(schedules)
        )
    )


COMBINATORS: dict[str, Callable[[Trees, Trees], st.SearchStrategy[dict[str, Any]]]] = {
    "join": _join,
    **dict.fromkeys(
        ("add", "minimum", "maximum", "multiply"),
        lambda deep, flat: given_by(schedules=many(deep, flat)),
    ),
    "power": lambda deep, flat: given_by(schedule=deep, exponent=st.sampled_from([1, 0.5, 2.0])),
    "warmup": lambda deep, flat: given_by(
        schedule=deep, warmup_steps=length_or_zero, init_value=height, shape=shape
    ),
    "cooldown": lambda deep, flat: given_by(
        schedule=deep, start=length_or_zero, cooldown_steps=length, end_value=height, shape=shape
    ),
    "retime": lambda deep, flat: given_by(schedule=deep, clock=exact_clock),
    "delay": lambda deep, flat: given_by(schedule=deep, steps=length_or_zero),
    "shift": lambda deep, flat: given_by(schedule=deep, steps=length_or_zero),
    "stretch": lambda deep, flat: given_by(schedule=deep, factor=clock_factor),
    "every": lambda deep, flat: given_by(schedule=deep, interval=length),
    "repeat": lambda deep, flat: given_by(
        schedule=deep,
        period=length,
        period_mult=st.sampled_from([1, 1.0, 2.0, 2]),
        value_mult=st.just(1.0) | factor,
        num_cycles=st.none() | st.integers(1, 3),
    ),
    "clip": lambda deep, flat: both(given_by(schedule=deep), ordered("min_value", "max_value")),
    "noisy": lambda deep, flat: given_by(
        schedule=deep,
        key=st.integers(0, 99),
        scale=st.sampled_from([0.05, 0.01]),
        start=st.integers(0, 2),
        end=st.integers(3, 17) | st.none(),  # among the steps that are looked at
        kind=st.sampled_from(["normal", "uniform"]),
    ),
    "select": _select,
}


LEAVES = {
    name: CHOSEN[name] if name in CHOSEN else by_words(BUILDERS[name])
    for name in ROWS
    if not {"schedule", "schedules"} & inspect.signature(BUILDERS[name]).parameters.keys()
    and name not in OWN
}


def build(name: str, arguments: dict[str, Any]) -> Schedule:
    named, positional = dict(arguments), ()
    for hyper in inspect.signature(BUILDERS[name]).parameters.values():
        if hyper.kind is hyper.VAR_POSITIONAL:
            positional = named.pop(hyper.name)
    return BUILDERS[name](*positional, **named)


def built(table: dict[str, st.SearchStrategy[dict[str, Any]]]) -> st.SearchStrategy[Schedule]:
    """One of the builders that the interpreter knows."""
    known = [drawn.map(functools.partial(build, name)) for name, drawn in table.items() if name in ROWS]
    return st.one_of(known)


leaves = built(LEAVES)
operands = leaves | leaves | leaves | height | st.sampled_from(OWN_FUNCTIONS)


def trees(depth: int) -> st.SearchStrategy[Schedule]:
    """Schedules with so many combinators on top of one another."""
    deep = trees(depth - 1) if depth > 1 else operands
    return built({name: drawn(deep, operands) for name, drawn in COMBINATORS.items()})


inner_trees = st.one_of(trees(3), trees(2), trees(1))


def topped_by(name: str) -> st.SearchStrategy[Schedule]:
    return built({name: COMBINATORS[name](inner_trees, operands)})


some_trees = inner_trees | leaves
KNOWN = [name for name in COMBINATORS if name in ROWS]
