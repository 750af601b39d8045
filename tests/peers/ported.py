"""Agreement of `port` with the real objects: at random settings, at every update to the planned end.

A case is an object of the peer, fresh or already stepped, and what it gave at each update. Both
precisions have their own port of the same object. torch works out many rates by a chain of factors,
so that what means 0 may be a rounding error of the highest rate: that much is let pass.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from agreement import LENGTH, STEPS, Draw, library, precision, report, values, within
from support.amount import at_most

from optax_sched.porting import port

ROUNDING = 4e-15


class Case(NamedTuple):
    """An object, its rates at STEPS, and the last step that counts. `phase` is as in `Pair`.

    `late` are starts of pieces that the peer finds by the floor of a rounded quotient or logarithm:
    there it may still have the end of the piece before, and is not compared.
    """

    scheduler: Any
    theirs: np.ndarray
    last: int = LENGTH - 1
    phase: float = 0.0
    late: Sequence[float] = ()

    def counted(self) -> np.ndarray:
        counted = self.last >= STEPS
        for start in self.late:
            counted &= np.abs(STEPS - np.ceil(start - 1e-6)) > 0
        return counted


def ports(settings: int) -> Callable[[Callable[[Draw], Case]], Callable[[], None]]:
    """A test from a function that draws a setting and gives the object and what it did."""

    settings = at_most(settings // 4, settings)

    def decorate(case: Callable[[Draw], Case]) -> Callable[[], None]:
        def test() -> None:
            draw = Draw("port " + case.__name__)
            with precision(double=True):
                cases = [case(draw) for _ in range(settings)]
            double, single = _compare(cases, double=True), _compare(cases, double=False)
            report(case.__module__, case.__name__, settings, single, double)

        test.__name__, test.__doc__ = case.__name__, case.__doc__
        return test

    return decorate


def _compare(cases: list[Case], *, double: bool) -> float:
    with precision(double=double):
        schedules = [port(case.scheduler) for case in cases]
        ours = values(schedules)
    planned = np.array([case.counted() for case in cases])
    theirs = np.where(planned, np.array([case.theirs for case in cases], np.float64), ours)
    clock = 1e-12 if double else 4e-6
    phase = np.array([[case.phase] for case in cases])
    slack = clock * np.sqrt(np.abs(theirs) * phase) + clock**2 * phase
    slack = slack + ROUNDING * np.abs(np.where(planned, theirs, 0.0)).max(axis=1, keepdims=True)
    return within(ours, theirs, 1e-6 if double else 1e-5, slack, lambda index: repr(schedules[index]))


def stepped_object(
    draw: Draw, rate: float, build: Callable[[Any], Any], last: int = LENGTH - 1, phase: float = 0.0
) -> Case:
    """A torch scheduler and its rates; the object that is ported has been stepped, or it has not."""
    optimizer, scheduler = on_an_optimizer(rate, build)
    trace = [optimizer.param_groups[0]["lr"]]
    for _ in range(min(last, LENGTH - 1)):
        scheduler.step()
        trace.append(optimizer.param_groups[0]["lr"])
    if draw.pick(True, False):
        _, scheduler = on_an_optimizer(rate, build)
    theirs = np.array(trace + trace[-1:] * (LENGTH - len(trace)), np.float64)
    return Case(scheduler, theirs, last, phase)


def on_an_optimizer(rate: float, build: Callable[[Any], Any]) -> tuple[Any, Any]:
    torch = library("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)
    with warnings.catch_warnings():
        # torch's nested sequences step before the optimizer has; timm's plateau is deprecated.
        warnings.simplefilter("ignore")
        scheduler = build(optimizer)
    optimizer.step()  # torch warns where it does not come first
    return optimizer, scheduler
