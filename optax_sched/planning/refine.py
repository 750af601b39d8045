"""The schedule that gradient norms of an earlier run suggest."""

import math

import numpy as np

from optax_sched._core.built import assembled
from optax_sched._core.domains import default_float, is_traced, read_only
from optax_sched._core.errors import Refusal
from optax_sched._core.schedule import Schedule
from optax_sched._core.words import PartOfOne, Rate, checked
from optax_sched._schedules.piecewise import table
from optax_sched.planning.inputs import ManyPositive, Size


@checked
def refine(
    grad_norms: ManyPositive,
    num_steps: Size | None = None,
    peak_value: Rate = 1.0,
    smoothing: PartOfOne = 0.02,
) -> Schedule:
    """The schedule for which the convex bound is least, for gradient norms as a run has logged them.

    It assumes what `convex_bound` assumes, and that the norms of the next run will be those of the log,
    whatever its rates. Where gradients grow it falls early, and where they are high at first it warms
    up. Defazio et al. report that it improves on linear decay; for an optimizer such as Adam their
    theory wants the l1 norms of the gradients. In public logs (AlgoPerf, NAdamW, l2) the norms at the
    end are 3.5 times as high as early in the run (ViT), about the same (WMT) or 14 times lower
    (fastMRI), so that the refined schedules bend either way; whether they train better there was not
    measured. Compare the result with `linear` before you trust it.

        r_t = G_t^-2 sum_(p >= t) G_p^-2, times what makes the highest r_t `peak_value`

    with G = the median of the norms around each, in a window of `smoothing` of the log (reflected at
    the ends), then read at `num_steps` points: the i-th of n norms stands for (i + 1/2) / n of the run,
    between two of them lies a straight line, and the first and the last are held.

    Args:
      grad_norms: the norms, positive, evenly spaced over the run; a sequence of one or more, known
        (not traced).
      num_steps: the length of the schedule; None for one step a norm.
      peak_value: its highest rate, 0 or more.
      smoothing: the window as a part of the log, in [0, 1); 0 for none. It is made an odd number of
        norms.

    Returns:
      A `table` of `num_steps` rates, which holds the last one. For constant norms it is
      `linear(peak_value, 0, num_steps)` at each of its steps.

    Raises:
      TypeError, ValueError: an argument is not as described.

    References: Defazio et al., 2023, "Optimal Linear Decay Learning Rate Schedules and Further
    Refinements", https://arxiv.org/abs/2310.07831

    >>> import numpy as np
    >>> [f"{refine(np.full(4, 2.5))(t):.2f}" for t in range(4)]
    ['1.00', '0.75', '0.50', '0.25']
    >>> grows = refine(np.linspace(1.0, 3.0, 100), num_steps=4)
    >>> [f"{grows(t):.2f}" for t in range(4)]
    ['1.00', '0.25', '0.08', '0.02']
    """
    if is_traced((grad_norms, smoothing)):
        name, value = ("grad_norms", grad_norms) if is_traced(grad_norms) else ("smoothing", smoothing)
        raise Refusal("refine", name, "known, not traced", value).error(TypeError)
    norms = np.asarray(grad_norms, np.float64)
    length = len(norms)
    window = 2 * (math.ceil(float(smoothing) * length) // 2) + 1
    if window > 1:
        from scipy.ndimage import median_filter

        norms = median_filter(norms, window, mode="reflect")
    if num_steps is not None:
        places = (np.arange(num_steps) + 0.5) / num_steps * length - 0.5
        norms = np.interp(places, np.arange(length), norms)
    weights = (norms.min() / norms) ** 2
    shape = weights * np.cumsum(weights[::-1])[::-1]
    shape = shape / shape.max()
    if isinstance(peak_value, float):
        return assembled(table, values=read_only((shape * peak_value).astype(default_float())))
    return assembled(table, values=peak_value * shape.astype(default_float()))
