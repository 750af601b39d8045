"""The schedules of transformers 5, which are functions for torch's `LambdaLR`.

All have a warm-up from 0. (`get_reduce_on_plateau_schedule` is torch's `ReduceLROnPlateau`.)
"""

from typing import Any

from agreement import Draw, Pair, agrees, held, library, stepped

import optax_sched as os

library("torch")
optimization: Any = library("transformers.optimization")


def phases(draw: Draw, least: int = 1) -> tuple[int, int]:
    """The length of a warm-up, maybe 0, and of the whole."""
    warm = draw.steps_or_zero(200)
    return warm, warm + draw.steps(300, least)


@agrees(settings=20)
def test_constant(draw: Draw) -> Pair:
    rate = draw.rate()
    return Pair(lambda: os.constant(rate), stepped(rate, optimization.get_constant_schedule))


@agrees(settings=40)
def test_constant_with_warmup(draw: Draw) -> Pair:
    rate, (warm, _) = draw.rate(), phases(draw)
    return Pair(
        lambda: os.warmup(rate, warm),
        stepped(rate, lambda opt: optimization.get_constant_schedule_with_warmup(opt, warm)),
    )


@agrees(settings=60)
def test_linear(draw: Draw) -> Pair:
    rate, (warm, total) = draw.rate(), phases(draw)
    return Pair(
        lambda: os.warmup_linear_decay(rate, warm, total),
        stepped(rate, lambda opt: optimization.get_linear_schedule_with_warmup(opt, warm, total)),
    )


@agrees(settings=60)
def test_cosine(draw: Draw) -> Pair:
    """transformers rises again after the end, ours holds it."""
    rate, (warm, total) = draw.rate(), phases(draw)
    theirs = stepped(rate, lambda opt: optimization.get_cosine_schedule_with_warmup(opt, warm, total))
    if total > warm + 1:
        assert theirs[total + 1] > theirs[total]
    return Pair(lambda: os.warmup_cosine_decay(rate, warm, total), held(theirs, total))


@agrees(settings=60)
def test_cosine_with_num_cycles(draw: Draw) -> Pair:
    """transformers' cycle is two half waves; it goes on after the end, ours holds what it has there."""
    rate, (warm, total) = draw.rate(), phases(draw)
    cycles = draw.pick(0.25, 1.0, 1.5, 2.0, draw.number(0.1, 5.0))
    theirs = stepped(
        rate, lambda opt: optimization.get_cosine_schedule_with_warmup(opt, warm, total, cycles)
    )
    return Pair(
        lambda: os.warmup(os.cosine_waves(rate, total - warm, 2 * cycles), warm),
        held(theirs, total),
        phase=rate,
    )


@agrees(settings=60)
def test_cosine_with_hard_restarts(draw: Draw) -> Pair:
    """Equal cycles, the last ends at 0. Where they are no whole steps, the clock is a real number."""
    rate, (warm, total) = draw.rate(), phases(draw)
    cycles, length = draw.pick(1, 2, 3, 4, 5), total - warm
    if draw.pick(True, False):
        total, length = warm + length * cycles, length * cycles
    build = optimization.get_cosine_with_hard_restarts_schedule_with_warmup
    theirs = stepped(rate, lambda opt: build(opt, warm, total, cycles))
    whole = length % cycles == 0
    period = length // cycles if whole else length / cycles
    return Pair(
        lambda: os.warmup(os.cosine_restarts(rate, period, num_cycles=cycles), warm),
        theirs,
        phase=0.0 if whole else rate,
    )


@agrees(settings=60)
def test_polynomial(draw: Draw) -> Pair:
    """transformers' end is 1e-7 where none is given."""
    rate, (warm, total), power = draw.rate(), phases(draw), draw.number(0.3, 4.0)
    end = draw.pick(None, draw.floor(rate))
    given = {} if end is None else {"lr_end": end}
    build = optimization.get_polynomial_decay_schedule_with_warmup
    theirs = stepped(rate, lambda opt: build(opt, warm, total, power=power, **given))
    end = 1e-7 if end is None else end
    return Pair(lambda: os.warmup(os.polynomial_decay(rate, total - warm, end, power), warm), theirs)


@agrees(settings=60)
def test_inverse_sqrt(draw: Draw) -> Pair:
    """transformers' timescale without a warm-up is 10000 where none is given, ours must be given."""
    rate, (warm, _), scale = draw.rate(), phases(draw), draw.pick(None, draw.steps(10_000))
    theirs = stepped(rate, lambda opt: optimization.get_inverse_sqrt_schedule(opt, warm, scale))
    ours = 10_000 if scale is None and warm == 0 else scale
    return Pair(lambda: os.warmup_inverse_sqrt_decay(rate, warm, timescale=ours), theirs)


@agrees(settings=60)
def test_cosine_with_min_lr(draw: Draw) -> Pair:
    """Given as a rate or as a fraction of the peak; it too goes on after the end."""
    rate, (warm, total), fraction = draw.rate(), phases(draw), draw.number(1e-3, 0.9)
    cycles = draw.pick(0.5, 0.5, 1.0, draw.number(0.1, 5.0))
    end = fraction * rate
    given = draw.pick({"min_lr": end}, {"min_lr_rate": fraction})
    build = optimization.get_cosine_with_min_lr_schedule_with_warmup
    theirs = stepped(rate, lambda opt: build(opt, warm, total, cycles, **given))

    def ours():
        if cycles == 0.5:
            return os.warmup_cosine_decay(rate, warm, total, end_value=end)
        return os.warmup(os.cosine_waves(rate, total - warm, 2 * cycles, end), warm)

    return Pair(ours, held(theirs, total), phase=0.0 if cycles == 0.5 else rate)


@agrees(settings=60)
def test_cosine_warmup_with_min_lr(draw: Draw) -> Pair:
    """transformers counts from 1 here: it begins at 1/W, ends at T - 1, and is never at rate 0.

    With a warmup_lr_rate it begins there and has its peak at W - 1 (for W = 1 it begins below it).
    """
    rate, fraction = draw.rate(), draw.number(1e-3, 0.9)
    warm = draw.steps(200, least=2)
    total, start = warm + draw.steps(300), draw.pick(None, draw.number(1e-3, 0.9))
    build = optimization.get_cosine_with_min_lr_schedule_with_warmup_lr_rate
    theirs = stepped(
        rate, lambda opt: build(opt, warm, total, min_lr_rate=fraction, warmup_lr_rate=start)
    )

    def ours():
        decay = os.cosine_decay(rate, total - warm, fraction * rate)
        if start is None:
            return os.shift(os.warmup(decay, warm), 1)
        return os.warmup(decay, warm - 1, start * rate)

    return Pair(ours, held(theirs, total - 1))


SHAPES: dict[str, Any] = {"linear": "linear", "cosine": "cosine", "1-sqrt": "sqrt"}


@agrees(settings=90)
def test_wsd(draw: Draw) -> Pair:
    """transformers warms up from its minimum. Where not on a line, ours is a composition."""
    rate, fraction = draw.rate(), draw.pick(0.0, draw.number(1e-3, 0.9))
    warm, stable, decay = draw.steps_or_zero(150), draw.steps_or_zero(150), draw.steps(200)
    rise, fall = draw.pick(*SHAPES), draw.pick(*SHAPES)
    total, low = warm + stable + decay, fraction * rate
    build = optimization.get_wsd_schedule
    theirs = stepped(
        rate,
        lambda opt: build(
            opt, warm, decay, total, warmup_type=rise, decay_type=fall, min_lr_ratio=fraction
        ),
    )

    def ours():
        if rise == "linear":
            return os.wsd(rate, warm, decay, total, low, low, SHAPES[fall])
        plain = os.warmup(rate, warm, low, SHAPES[rise])
        return os.cooldown(plain, warm + stable, decay, low, SHAPES[fall])

    return Pair(ours, theirs)


@agrees(settings=40)
def test_wsd_with_num_cycles(draw: Draw) -> Pair:
    """Its decay may be waves, from wherever they end it goes to the minimum at once."""
    rate, fraction, cycles = draw.rate(), draw.number(1e-3, 0.9), draw.number(0.1, 3.0)
    warm, stable, decay = draw.steps(150), draw.steps(150), draw.steps(200)
    low, start = fraction * rate, warm + stable
    build = optimization.get_wsd_schedule
    theirs = stepped(
        rate,
        lambda opt: build(
            opt, warm, decay, num_stable_steps=stable, min_lr_ratio=fraction, num_cycles=cycles
        ),
    )

    def ours():
        waves = os.cosine_waves(rate, decay, 2 * cycles, low)
        return os.join([os.warmup(rate, warm, low), waves, low], [start, start + decay])

    return Pair(ours, theirs, phase=rate)
