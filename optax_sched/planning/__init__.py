"""Planning before training: which loss a schedule will log, and which schedule has the least.

- Loss laws: `MultiPowerLaw`, `AnnealingLaw`; fitted to logged runs: `LoggedRun`, `fit_loss_law`,
  `LossFit`; the schedule whose last loss is least: `best_schedule`.
"""

from optax_sched.planning.best_schedule import best_schedule
from optax_sched.planning.fit import LoggedRun, LossFit, fit_loss_law
from optax_sched.planning.loss_law import AnnealingLaw, MultiPowerLaw

__all__ = [
    "AnnealingLaw",
    "LoggedRun",
    "LossFit",
    "MultiPowerLaw",
    "best_schedule",
    "fit_loss_law",
]

for _name in __all__:  # pickles, help and the reference name no private file
    globals()[_name].__module__ = __name__
