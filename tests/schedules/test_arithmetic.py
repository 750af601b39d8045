"""Operators: which builder they call with what, with which neighbours, and what they refuse."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_sched as os
from optax_sched import add, cosine_decay, inverse_time_decay, linear, multiply, power

A = linear(0.5, 0.1, 10)
B = cosine_decay(1.0, 20)


def own(step):
    return 0.1 * step


WRITTEN = [
    (A + B, add(A, B)),
    (A - B, add(A, multiply(-1.0, B))),
    (-A, multiply(-1.0, A)),
    (+A, A),
    (A * B, multiply(A, B)),
    (A / 4, multiply(A, 0.25)),
    (A**2, power(A, 2)),
    (1 - A, add(1.0, multiply(-1.0, A))),
    (A - 1, add(A, -1.0)),
    (A + B + 1, add(A, B, 1.0)),
    (A + (B + 1), add(A, B, 1.0)),
    (2 * A * B / 2, multiply(2.0, A, B, 0.5)),
    (-(A * B), multiply(-1.0, A, B)),
    (A * (B + 1), multiply(A, add(B, 1.0))),
    ((A**2) ** 0.5, power(power(A, 2), 0.5)),
    (add(add(A, B), 1.0) + 2, add(add(A, B), 1.0, 2.0)),  # what is written stays, and the chain grows
    (sum([A, B]), add(A, B)),
    (sum([A]), A),
    (own + A, add(own, A)),
    (A - own, add(A, multiply(-1.0, own))),
    (own * A, multiply(own, A)),
]


@pytest.mark.parametrize(("got", "want"), WRITTEN, ids=lambda s: repr(s)[:40])
def test_operators_build_what_the_builders_build(got, want):
    assert repr(got) == repr(want)
    assert jax.tree.structure(got) == jax.tree.structure(want)


@pytest.mark.parametrize(
    "two", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), jnp.float32(2), jnp.int32(2)], ids=repr
)
@pytest.mark.parametrize("promotion", ["standard", "strict"])
def test_numbers_of_any_type_stand_on_either_side(two, promotion):
    with jax.numpy_dtype_promotion(promotion):
        made = two * A, A * two, two + A, A + two, two - A, A - two, A / two, A**two
        assert all(isinstance(it, os.Schedule) for it in made)
        values = [float(it(5)) for it in made]
    np.testing.assert_allclose(values, [0.6, 0.6, 2.3, 2.3, 1.7, -1.7, 0.15, 0.09], rtol=1e-6)


def test_tracers_stand_on_either_side_in_one_trace():
    traces = []

    @jax.jit
    def value(schedule, x):
        traces.append(x)
        made = x * schedule + schedule / x - x + schedule**x
        assert isinstance(made, os.Schedule)
        return made(5)

    for x in (2.0, 3.0):
        assert float(value(A, x)) == pytest.approx(0.3 * x + 0.3 / x - x + 0.3**x, rel=1e-6)
    value(A.replace(init_value=0.7), 2.0)
    assert len(traces) == 1
    assert float(jax.grad(lambda x: (x * A)(5))(2.0)) == pytest.approx(0.3)


def test_a_function_of_the_step_may_be_optaxs():
    rate = optax.linear_schedule(1.0, 0.0, 4) * A + optax.constant_schedule(1.0)
    assert float(rate(2)) == pytest.approx(0.5 * 0.42 + 1, rel=1e-6)
    terms: list[Any] = [A, own]
    total: Any = sum(terms)
    assert float(total(10)) == pytest.approx(1.1)


def test_a_batch_is_mapped():
    batch = os.stack([A, A.replace(init_value=0.9)])
    for operation in (lambda s: 2 * s, lambda s: s - B, lambda s: s**2, lambda s: B - s, lambda s: -s):
        with pytest.raises(ValueError, match=r"^(add|multiply|power): .*jax\.vmap\(lambda s: 2 \* s\)"):
            operation(batch)
    doubled = jax.vmap(lambda s: 2 * s)(batch)
    np.testing.assert_allclose(jax.vmap(lambda s: s(0))(doubled), [1.0, 1.8], rtol=1e-6)


REFUSED = [
    (lambda: A / B, r"divide: divisor must be a finite number other than 0, got cosine.*a\(step\) / b"),
    (lambda: 1 / A, r"divide: divisor must be .*, got linear.*a / b\(step\)"),
    (lambda: own / A, r"divide: divisor must be .*, got linear.*a\(step\) / b\(step\)"),
    (lambda: A / own, r"divide: divisor must be .*, got <function own"),
    (lambda: A / 0, r"divide: divisor must be .*, got 0"),
    (lambda: A / jnp.float32(0), r"divide: divisor must be .*, got 0\.0"),
    (lambda: A / np.nan, r"divide: divisor must be .*, got nan"),
    (lambda: A**B, r"power: exponent must be a positive .*, got cosine.*a\(step\) \*\* b\(step\)"),
    (lambda: 2**A, r"power: exponent must be .*, got linear.*a \*\* b\(step\)"),
    (lambda: A**0, r"power: exponent must be .*, got 0"),
    (lambda: A**-0.5, r"power: exponent must be .*, got -0\.5.*a\(step\) \*\* b,"),
    (lambda: A + "1", r"add: schedules must be .*, got .*'1'"),
    (lambda: None - A, r"add: schedules must be .*, got .*None"),
    (lambda: A * np.ones(2), r"multiply: schedules must be .*, got .*array"),
    (lambda: A + cosine_decay, r"add: schedules must be .*it is a builder: call it"),
    (lambda: A * os.plateau(B), r"multiply: schedules must be .* closed loops go around a schedule"),
    (lambda: 0.1 * os.plateau(B), r"plateau: .* put it inside, plateau\(0\.1 \* s, \.\.\.\)"),
    (lambda: np.float32(2) / os.live(B), r"live: .* put it inside, live\(0\.1 \* s, \.\.\.\)"),
    (lambda: -os.greedy(B), r"greedy: .* put it inside"),
    (lambda: os.plateau(B) ** 2, r"plateau: .* put it inside"),
]


@pytest.mark.parametrize(("operation", "line"), REFUSED, ids=[line[:40] for _, line in REFUSED])
def test_what_has_no_meaning_is_refused_in_one_line(operation, line):
    with pytest.raises((TypeError, ValueError), match="^" + line) as caught:
        operation()
    assert "\n" not in str(caught.value)


def name(operand: Any) -> str:
    return getattr(operand, "__name__", None) or repr(operand)


def at_5(operand: Any) -> float:
    value: Any = operand(5) if callable(operand) else operand
    return float(value)


FORMULAS: list[tuple[Any, Any]] = [(A, it) for it in (B, own, -1, -0.5, np.int32(-2), jnp.float32(-2))]
FORMULAS += [(it, A) for it in (own, 2, 0.5, 0, np.int32(2), jnp.float32(2))]
NO_OPERANDS = [None, "1", [1.0], True, 1j, np.inf, np.nan, 0, cosine_decay, os.stack([A, A])]


@pytest.mark.parametrize("operate", [operator.truediv, operator.pow], ids=name)
@pytest.mark.parametrize(("a", "b"), FORMULAS, ids=name)
def test_the_formula_that_an_error_shows_runs_as_it_stands(operate, a, b):
    if operate is operator.truediv and not callable(b):
        made = a / b
    else:
        with pytest.raises((TypeError, ValueError), match=r"(divisor|exponent) must be") as caught:
            operate(a, b)
        formula = str(caught.value).partition(": write a formula, ")[2]
        made = eval(formula, {"schedule": os.schedule, "a": a, "b": b})
    assert at_5(made) == pytest.approx(operate(at_5(a), at_5(b)), rel=1e-6)


@pytest.mark.parametrize("other", NO_OPERANDS, ids=name)
def test_no_formula_is_shown_that_cannot_help(other):
    wrong = [lambda: A / other, lambda: A**other]
    if other != 0:  # a formula may divide 0
        wrong += [lambda: other / A, lambda: other**A]
    for operation in wrong:
        with pytest.raises((TypeError, ValueError), match=r"(divisor|exponent) must be") as caught:
            operation()
        assert "formula" not in str(caught.value)


def test_a_power_is_exact_at_0_and_1_and_its_gradient_is_finite():
    rising = linear(0.0, 1.0, 7)
    for exponent in (0.1, 0.5, 1.0, 2.0, 3.3):
        made = rising**exponent
        for value in (made, jax.jit(made)):
            assert float(value(0)) == 0.0 and float(value(7)) == 1.0
        for gradient in jax.tree.leaves(jax.grad(lambda s: s(0), allow_int=True)(made)):
            assert gradient.dtype == jax.dtypes.float0 or np.isfinite(gradient)


# Averages' decays and Adafactor's, as their libraries write them.
EMA = [
    (1 - inverse_time_decay(1.0, 1, 1.0), lambda t: t / (1 + t)),
    (1 - inverse_time_decay(0.9, 10, 1.0), lambda t: (1 + t) / (10 + t)),
    (1 - os.shift(os.power_law_decay(1.0, 1.0, -0.8), 1), lambda t: 1 - (t + 1) ** -0.8),
    (os.minimum(1 - inverse_time_decay(0.9, 10, 1.0), 0.999), lambda t: min((1 + t) / (10 + t), 0.999)),
]


@pytest.mark.parametrize(("decay", "formula"), EMA, ids=["mean", "from 0.1", "adafactor", "capped"])
def test_decays_of_averages_are_one_line_each(decay, formula):
    steps = np.arange(0, 10**5, 37)
    np.testing.assert_allclose(decay(steps), [formula(int(t)) for t in steps], rtol=1e-6, atol=1e-7)


def test_a_weight_that_is_tied_to_the_rate():
    rate, start, end = os.warmup_cosine_decay(0.3, 0, 100), 0.04, 0.4
    tied = end + (start - end) * rate / rate(0)
    assert float(tied(0)) == pytest.approx(start) and float(tied(100)) == pytest.approx(end)
    assert float(tied(50)) == pytest.approx(0.22)
