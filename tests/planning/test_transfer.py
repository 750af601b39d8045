"""`transfer_factor` and `extend`: the next rate, and the way on, from a tuned schedule."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.planned import rates
from tables.planning_oracles import best_jump, bound

from optax_sched import constant, cosine_decay, join, linear, multiply, stack, warmup_cosine_decay, wsd
from optax_sched.planning import convex_bound, extend, transfer_factor

PEAK = 0.0161627  # the best one of the next, to its digits
PLANNED = wsd(PEAK, 0, 200, 1000, shape="linear")


def jump_of(s: Any) -> float:
    return float(s.schedules[1].init_value)


# ---- transfer_factor ----


@pytest.mark.parametrize(("steps", "exponent"), [(400, None), (400, 0.3), (1600, 0.0), (1600, 0.32)])
def test_the_factor_is_the_formula(steps, exponent):
    tuned, other = cosine_decay(3e-4, 400), wsd(0.1, 10, steps // 5, steps)
    got = transfer_factor(tuned, 400, other, steps, exponent)
    own, others = bound(rates(tuned, 400))[1] * 400**0.5, bound(rates(other, steps))[1] * steps**0.5
    assert float(got) == pytest.approx(others / own * (steps / 400) ** -(exponent or 0.0), rel=1e-5)


def test_the_scaled_schedule_is_as_well_tuned():
    tuned, other = cosine_decay(1.0, 400), wsd(5.0, 0, 80, 400, shape="linear")
    best = multiply(tuned, convex_bound(tuned, 400).best_scale)
    scaled = multiply(other, transfer_factor(best, 400, other))
    assert float(convex_bound(scaled, 400).best_scale) == pytest.approx(1.0, rel=1e-6)
    # Cosine may have almost twice the rate: literature's 1.901.
    peak_ratio = convex_bound(tuned, 400).best_scale / (scaled(0))
    assert float(peak_ratio) == pytest.approx(1.901, abs=5e-4)


def test_the_exponent_of_the_theory_is_that_of_the_bound_itself():
    tuned, other = linear(0.1, 0.0, 1000), linear(0.1, 0.0, 8000)
    own = convex_bound(other, 8000).best_scale / convex_bound(tuned, 1000).best_scale
    assert float(transfer_factor(tuned, 1000, other, 8000, 0.5)) == pytest.approx(float(own), rel=1e-6)


def test_the_same_schedule_needs_no_factor():
    s = warmup_cosine_decay(3e-4, 50, 400)
    assert float(transfer_factor(s, 400, s)) == 1.0
    assert float(transfer_factor(multiply(s, 4.0), 400, s)) == pytest.approx(4.0, rel=1e-6)


def test_factors_of_a_batch_and_of_a_traced_exponent():
    tuned = cosine_decay(3e-4, 400)
    others = [wsd(0.1, 0, length, 400) for length in (40, 80, 160)]
    got = jax.vmap(lambda s: transfer_factor(tuned, 400, s))(stack(others))
    want = [float(transfer_factor(tuned, 400, s)) for s in others]
    np.testing.assert_allclose(got, want, rtol=1e-6)
    longer = linear(1.0, 0.0, 1600)
    slope = jax.jit(jax.grad(lambda e: transfer_factor(tuned, 400, longer, 1600, e)))(0.3)
    factor = transfer_factor(tuned, 400, longer, 1600, 0.3)
    assert float(slope) == pytest.approx(-np.log(4.0) * float(factor), rel=1e-5)


def test_the_missing_exponent_is_asked_for_with_what_was_found():
    s = cosine_decay(3e-4, 400)
    with pytest.raises(ValueError, match="must be a number where the horizons differ") as caught:
        transfer_factor(s, 400, s, 800)
    text = str(caught.value)
    assert text.startswith("transfer_factor: horizon_exponent must be") and text.endswith("got None")
    for found in ("0.5", "0.32 Bjorck et al. and HyperP", "0.1 to 0.3 Schaipp", "0 Step Law"):
        assert found in text
    assert "\n" not in text


# ---- extend ----


@pytest.mark.parametrize(
    ("total", "jump"), [(1500, 0.8271), (2000, 0.8695), (4000, 0.7670), (8000, 0.6041)]
)
def test_the_jumps_of_a_constant_rate(total, jump):
    assert jump_of(extend(PLANNED, 800, total, 1000, 0.5)) / PEAK == pytest.approx(jump, abs=5e-5)


def test_what_it_returns_is_data():
    got = extend(PLANNED, 800, 2000, 1000, 0.5)
    jump = got.schedules[1].init_value
    assert repr(got) == f"join(schedules=[{PLANNED!r}, {linear(jump, 0.0, 1200)!r}], boundaries=[800])"
    assert isinstance(jump, float)


SPENT = {
    "a constant": (PLANNED, 800, 2000),
    "one step left": (PLANNED, 800, 801),
    "one step spent": (PLANNED, 1, 500),
    "a warm-up only": (wsd(PEAK, 200, 200, 1000), 100, 1000),
    "a cosine": (warmup_cosine_decay(PEAK, 50, 1000), 700, 3000),
    "all of a decay": (linear(PEAK, 0.0, 1000), 1000, 2000),
    "a tail of zeros": (linear(PEAK, 0.0, 300), 1000, 1100),
    "a rise": (join([PEAK / 100, PEAK], [500]), 700, 1000),
    "a function": (lambda step: PEAK / (1.0 + step / 100), 800, 2000),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("a cosine", "a tail of zeros") else pytest.mark.wide)
        for name in SPENT
    ],
)
def test_the_jump_is_where_the_bound_is_least(name):
    s, spent, total = SPENT[name]
    distance = 1 / bound(rates(s, 1000))[1]
    want = best_jump(rates(s, spent), distance, total - spent)
    got = extend(s, spent, total, 1000, 0.5)
    assert jump_of(got) == pytest.approx(want, rel=1e-3)
    line = want * (1 - np.arange(total - spent) / (total - spent))
    least = bound(np.concatenate([rates(s, spent), line]), 1.0, distance)[0]
    assert bound(rates(got, total), 1.0, distance)[0] == pytest.approx(least, rel=1e-6)


def test_twice_the_length_is_almost_as_good_as_a_tuned_start_over():
    got = extend(PLANNED, 800, 2000, 1000, 0.5)
    over = convex_bound(linear(1.0, 0.0, 2000), 2000).best_value
    kept = wsd(PEAK, 0, 200, 2000, shape="linear")
    distance = 1 / convex_bound(PLANNED, 1000).best_scale
    assert float(distance) == pytest.approx(1.0, rel=1e-5)  # tuned for D = G = 1
    assert float(over) < float(convex_bound(got, 2000).value) < 1.006 * float(over)
    assert float(convex_bound(kept, 2000).value) > 1.1 * float(over)


def test_rates_in_other_units_jump_by_the_same_factor():
    one = jump_of(extend(PLANNED, 800, 2000, 1000, 0.5))
    other = jump_of(extend(multiply(PLANNED, 1e-8), 800, 2000, 1000, 0.5))
    assert other == pytest.approx(1e-8 * one, rel=1e-5)


@pytest.mark.wide
def test_a_traced_batch_is_extended_in_one_program():
    peaks = np.geomspace(0.002, 0.1, 5).astype(np.float32)

    @jax.jit
    @jax.vmap
    def longer(peak):
        return extend(wsd(peak, 20, 200, 1000), 700, 3000, 1000, 0.5)

    got: Any = longer(peaks)
    one = [jump_of(extend(wsd(float(peak), 20, 200, 1000), 700, 3000, 1000, 0.5)) for peak in peaks]
    np.testing.assert_allclose(got.schedules[1].init_value, one, rtol=1e-5)


@pytest.mark.wide
def test_the_jump_can_be_differentiated():
    def jump(peak, floor):
        s = wsd(peak, 20, 200, 1000, end_value=floor)
        return extend(s, 900, 3000, 1000, 0.5)(900)

    got = jax.jit(jax.grad(jump, argnums=(0, 1)))(0.02, 0.005)

    def formula(peak, floor):
        s = wsd(peak, 20, 200, 1000, end_value=floor)
        return best_jump(rates(s, 900), 1 / bound(rates(s, 1000))[1], 2100)

    # The height scales with all rates, exactly; the slope of one of them by differences.
    slope = (formula(0.0202, 0.005) - formula(0.0198, 0.005)) / 4e-4
    assert float(got[0]) == pytest.approx(slope, rel=2e-2)
    whole = 0.02 * got[0] + 0.005 * got[1]
    assert float(whole) == pytest.approx(formula(0.02, 0.005), rel=1e-3)


def test_a_spent_part_of_no_rate_is_refused():
    with pytest.raises(ValueError, match="a rate above 0 before step 10") as caught:
        extend(join([0.0, constant(0.1)], [20]), 10, 100, 50, 0.5)
    assert str(caught.value).startswith("extend: schedule must be ")


def test_the_exponent_says_how_the_best_rates_fall_with_the_end():
    jumps = [jump_of(extend(PLANNED, 800, 4000, 1000, e)) for e in (0.0, 0.1, 0.5)]
    assert jumps[0] > jumps[1] > jumps[2]
    want = best_jump(
        np.asarray(PLANNED(np.arange(800))), 4**0.4 / bound(PLANNED(np.arange(1000)))[1], 3200
    )
    assert jumps[1] == pytest.approx(want, rel=1e-3)
    assert jump_of(extend(PLANNED, 800, 1000, 1000)) == jump_of(extend(PLANNED, 800, 1000, 1000, 0.3))


def test_rates_in_an_array_are_taken_wherever_a_schedule_is():
    rates = np.asarray(PLANNED(np.arange(1000)))
    on = extend(rates, 800, 2000, 1000, 0.1)
    np.testing.assert_allclose(
        on(np.array([0, 799, 800, 1500])),
        extend(PLANNED, 800, 2000, 1000, 0.1)(np.array([0, 799, 800, 1500])),
        rtol=1e-5,
    )
    other = rates[::-1].copy()
    factor = transfer_factor(rates, 1000, other)
    assert float(factor) == pytest.approx(bound(other)[1] / bound(rates)[1], rel=1e-4)
    by_rate = jax.grad(lambda r: transfer_factor(r, 1000, other))(jnp.asarray(rates))
    assert by_rate.shape == (1000,) and np.all(np.isfinite(by_rate))
