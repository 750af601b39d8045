"""Which schedule, which rate, how to continue: what is known about a schedule before any training.

The bounds, factors, weights and loss laws take any schedule, or a function of the step. They are pure:
`jax.jit`, `jax.vmap` over a batch of schedules and `jax.grad` with respect to the hyperparameters work.
`fit_loss_law`, `best_schedule`, `seesaw` and `refine` run outside `jit`, on known numbers. The second
paragraph of each docstring names the assumptions: what the theory assumes, and where real runs agree
with it.

How good a schedule is, and at which rate

- `convex_bound`: the last-iterate bound of convex optimisation, and the scale at which it is least.
- `least_squares_risk`: the exact expected risk of SGD on Gaussian least squares.

From short runs to a long one, from one tuned schedule to the next

- `fit_peaks`: the best peak of a long run (`BestPeak`), from short ones (`SweptRun`).
- `transfer_factor`: the rate for another shape or another length.
- `extend`: the best way to continue a running job to another end.
- `refine`: the schedule that the gradient norms of a logged run suggest.
- `seesaw`: the same training in fewer, larger updates (`BatchPlan`).

What a schedule makes of its updates

- `merge_weights`: averages of checkpoints that imitate a decay.
- `update_weights`: the share of each update in AdamW's last weights.

Which loss to expect

- `MultiPowerLaw`, `AnnealingLaw`: loss laws, which give the loss that a schedule will log.
- `fit_loss_law`: a law from a few runs (`LoggedRun`), and how sure it is (`LossFit`).
- `best_schedule`: the schedule that ends with the least loss under a law.
"""

from optax_sched.planning.best_schedule import best_schedule
from optax_sched.planning.bound import ConvexBound, convex_bound, extend, refine, transfer_factor
from optax_sched.planning.exact import least_squares_risk, merge_weights, update_weights
from optax_sched.planning.fit import LoggedRun, LossFit, fit_loss_law
from optax_sched.planning.loss_law import AnnealingLaw, LossLaw, MultiPowerLaw
from optax_sched.planning.peaks import BestPeak, PeakFit, SweptRun, fit_peaks
from optax_sched.planning.seesaw import BatchPlan, seesaw

__all__ = ["AnnealingLaw", "BatchPlan", "BestPeak", "ConvexBound", "LoggedRun", "LossFit", "LossLaw"]
__all__ += ["MultiPowerLaw", "PeakFit", "SweptRun", "best_schedule", "convex_bound", "extend"]
__all__ += ["fit_loss_law", "fit_peaks", "least_squares_risk", "merge_weights", "refine", "seesaw"]
__all__ += ["transfer_factor", "update_weights"]

for _name in __all__:  # pickles, help and the reference name no file of this folder
    globals()[_name].__module__ = __name__
