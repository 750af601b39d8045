"""Learning-rate schedules for JAX: pure functions of the step that are also data.

A builder makes a schedule. A schedule is called with the step, prints as the source that builds it, and
is a pytree whose leaves are its hyperparameters. Every optax optimizer takes it as its learning rate.

>>> rate = warmup(cosine_decay(0.1, 900), 100)
>>> [f"{rate(step):.3f}" for step in (0, 50, 100, 550, 1000)]
['0.000', '0.050', '0.100', '0.050', '0.000']
>>> rate.replace(warmup_steps=200).warmup_steps
200

Step 0 is the first update, lengths are in steps, and `X_steps` is the length of that phase alone (only
`total_steps` counts everything). `help(optax_sched.NAME)` explains each name of this index. The loss
laws and bounds are in `optax_sched.planning`, other libraries' schedulers go through
`optax_sched.porting`, and `optax_sched.typing` has the annotations for formulas of your own.

**Decays to an end**, over a given number of steps

- `linear`: a straight line, up or down
- `polynomial_decay`: a power of what remains
- `cosine_decay`: half a cosine wave
- `quarter_cosine_decay`: a quarter of a cosine wave, flat at first
- `cosine_waves`: any number of half cosine waves, down and up
- `exponential`: a straight line in log space between two values
- `log_decay`: steep at first, then ever slower
- `tanh_decay`: flat, one smooth fall, flat
- `rex_decay`: stays high for long, then falls fast
- `k_decay`: any of these shapes with its progress raised to a power

**Decays without an end**

- `constant`: the same value at every step
- `exponential_decay`: the same fraction lost at every step
- `step_decay`: a factor at equal intervals
- `multistep_decay`: a factor at each step of a list
- `inverse_time_decay`: one over time
- `inverse_sqrt_decay`: one over the square root of time
- `power_law_decay`: a negative power of steps or tokens, under a ceiling

**Through given values**

- `piecewise_constant`: flat between boundaries
- `piecewise_interpolate`: from knot to knot in a given shape
- `piecewise_cubic`: a smooth curve through the knots that never overshoots
- `table`: one value per step

**Cycles**

- `cosine_restarts`: cosine waves, each from a fresh peak (SGDR)
- `cyclic`: a triangle wave
- `one_cycle`: one rise and one long fall (super-convergence)
- `slanted_triangular`: a short rise and a long fall (ULMFiT)

**Recipes**, composed of the others

- `warmup_cosine_decay`: a rise, then half a cosine wave
- `warmup_linear_decay`: a rise, then a straight fall (D2Z)
- `warmup_inverse_sqrt_decay`: a rise, then one over the square root of time
- `noam`: the same with the Transformer's own peak
- `wsd`: warmup, stable phase, decay
- `wsd_cycles`: a stable phase with a decay at each of several budgets (WSD-S)
- `infinite`: a stable phase of any length below the peak, a decay when wanted
- `tri_stage`: rise, hold, exponential fall
- `knee`: explore at the peak, then go straight down

**Step sizes from theory**

- `chebyshev`: fractal order, for quadratics
- `silver`: for smooth convex functions

**Combinators**: schedules in, schedule out

- `warmup`: a rise before a schedule
- `cooldown`: a fall that ends a schedule
- `join`: one schedule after another
- `select`: one of several, by number
- `add`: the sum, `a + b`
- `multiply`: the product, `a * b`
- `power`: a power, `a ** 2`
- `minimum`: the least
- `maximum`: the greatest
- `clip`: between two bounds
- `noisy`: random factors, the same for the same key and step
- `delay`: begins later
- `shift`: begins at a later step of the schedule
- `stretch`: slower, or in other units than steps
- `every`: changes only once in an interval, such as an epoch
- `repeat`: again and again
- `retime`: on another clock, such as examples or seconds

**Shapes with a number**, for `shape=`

- `power_shape`: a power of the progress
- `k_shape`: one minus a power of what remains
- `Shape`: what these make

**Your own**

- `schedule`: the decorator that makes a builder of a formula
- `recipe`: the decorator that makes a builder of a composition
- `Schedule`: what builders make
- `progress`: the fraction of a phase that is done
- `remaining`: the fraction that is left
- `mix`: a blend that is exact at both ends

**Closed loop**: rates that react to the loss

- `plateau`: cuts a schedule when the loss stops improving
- `greedy`: cuts it, and raises it while the loss improves
- `kl_adaptive`: keeps a metric near a target, as PPO does with the KL divergence
- `reduce_on_plateau`: the cuts as an optax transformation
- `feedback`: the decorator that makes a closed loop of your own rule
- `scale_by_feedback`: any closed loop as an optax transformation
- `observe`: gives a loss outside `update`
- `replace_feedback`: changes the settings of a running closed loop

**In optax**

- `live`: any optax optimizer with a rate that can be read and changed
- `scale_by_schedule`: keeps the schedule in the optimizer's state
- `scale_by_learning_rate`: the same with the sign of descent
- `current_value`: reads the rate from an optimizer's state
- `replace_schedule`: changes the schedule of a running job
- `rounded`: a schedule of whole numbers, for `optax.MultiSteps`
- `count_updates`: how many updates a training makes
- `count_examples`: how many examples they take
- `examples_seen`: the same as a clock for `retime`
- `ScheduleState`: the state of a schedule
- `LiveSchedule`: what `live` makes
- `ClosedLoop`: what `plateau`, `greedy` and your own rules make
- `FeedbackState`: the state of a closed loop
- `PlateauState`: what a plateau rule remembers

**Many at once**

- `stack`: several schedules as one batch
- `unstack`: a batch as a list
- `grid`: all combinations of settings as one batch
- `sweep`: runs a function for every schedule of a batch, in one program
- `lr_range_test`: trains at ever higher rates, and suggests one
- `RangeTest`: what that test returns

**Looking and saving**

- `plot`: draws schedules with matplotlib
- `to_config`: a schedule as a dict for JSON or YAML
- `from_config`: a schedule from such a dict
- `from_source`: a schedule from its source text
"""

import importlib
import typing as _typing  # `typing` is a module of this package, too

from optax_sched._core.arithmetic import add, multiply, power
from optax_sched._core.operands import constant
from optax_sched._core.recipe import recipe
from optax_sched._core.schedule import Schedule, schedule
from optax_sched._core.shapes import Shape, k_shape, power_shape
from optax_sched._math.phases import mix, progress, remaining
from optax_sched._optax.feedback import ClosedLoop, LiveSchedule, feedback, live
from optax_sched._optax.plateau import PlateauState, greedy, kl_adaptive, plateau, reduce_on_plateau
from optax_sched._optax.state import FeedbackState, ScheduleState
from optax_sched._optax.transform import scale_by_feedback, scale_by_learning_rate, scale_by_schedule
from optax_sched._schedules.batches import grid, stack, unstack
from optax_sched._schedules.by_factors import exponential_decay, multistep_decay, step_decay
from optax_sched._schedules.combine import clip, cooldown, join, maximum, minimum, noisy, select, warmup
from optax_sched._schedules.counts import count_examples, count_updates, examples_seen, rounded
from optax_sched._schedules.cyclic import cosine_restarts, cyclic, one_cycle, slanted_triangular
from optax_sched._schedules.decays import (
    cosine_decay,
    cosine_waves,
    exponential,
    k_decay,
    linear,
    log_decay,
    polynomial_decay,
    quarter_cosine_decay,
    rex_decay,
    tanh_decay,
)
from optax_sched._schedules.gradient_descent import chebyshev, silver
from optax_sched._schedules.piecewise import (
    piecewise_constant,
    piecewise_cubic,
    piecewise_interpolate,
    table,
)
from optax_sched._schedules.power_laws import inverse_sqrt_decay, inverse_time_decay, power_law_decay
from optax_sched._schedules.retime import delay, every, repeat, retime, shift, stretch
from optax_sched._schedules.stable_recipes import infinite, knee, tri_stage, wsd, wsd_cycles
from optax_sched._schedules.warmup_recipes import (
    noam,
    warmup_cosine_decay,
    warmup_inverse_sqrt_decay,
    warmup_linear_decay,
)

if _typing.TYPE_CHECKING:
    from optax_sched._files.config import from_config, to_config
    from optax_sched._files.source import from_source
    from optax_sched._optax.observing import observe, replace_feedback
    from optax_sched._optax.reading import current_value
    from optax_sched._optax.replacing import replace_schedule
    from optax_sched._runs.range_test import RangeTest, lr_range_test
    from optax_sched._runs.sweep import sweep
    from optax_sched._view.plot import plot

__version__ = "0.1.0"

__all__ = ["ClosedLoop", "FeedbackState", "LiveSchedule", "PlateauState", "RangeTest", "Schedule"]
__all__ += ["ScheduleState", "Shape", "add", "chebyshev", "clip", "constant", "cooldown"]
__all__ += ["cosine_decay", "cosine_restarts", "cosine_waves", "count_examples", "count_updates"]
__all__ += ["current_value", "cyclic", "delay", "every", "examples_seen", "exponential"]
__all__ += ["exponential_decay", "feedback", "from_config", "from_source", "greedy", "grid", "infinite"]
__all__ += ["inverse_sqrt_decay", "inverse_time_decay", "join", "k_decay", "k_shape", "kl_adaptive"]
__all__ += ["knee", "linear", "live", "log_decay", "lr_range_test", "maximum", "minimum", "mix"]
__all__ += ["multiply", "multistep_decay", "noam", "noisy", "observe", "one_cycle"]
__all__ += ["piecewise_constant", "piecewise_cubic", "piecewise_interpolate", "plateau", "plot"]
__all__ += ["polynomial_decay", "power", "power_law_decay", "power_shape", "progress"]
__all__ += ["quarter_cosine_decay", "recipe", "reduce_on_plateau", "remaining", "repeat"]
__all__ += ["replace_feedback", "replace_schedule", "retime", "rex_decay", "rounded"]
__all__ += ["scale_by_feedback", "scale_by_learning_rate", "scale_by_schedule", "schedule", "select"]
__all__ += ["shift", "silver", "slanted_triangular", "stack", "step_decay", "stretch", "sweep", "table"]
__all__ += ["tanh_decay", "to_config", "tri_stage", "unstack", "warmup", "warmup_cosine_decay"]
__all__ += ["warmup_inverse_sqrt_decay", "warmup_linear_decay", "wsd", "wsd_cycles"]

for _name in __all__:  # pickles, help and the reference name no private file
    if getattr(globals().get(_name), "__module__", "").startswith("optax_sched._"):
        globals()[_name].__module__ = __name__

if not _typing.TYPE_CHECKING:  # type checkers are to know which names there are
    _LATER = {  # what no step of a training needs is imported when it is asked for
        **dict.fromkeys(("from_config", "to_config"), "_files.config"),
        "from_source": "_files.source",
        "current_value": "_optax.reading",
        **dict.fromkeys(("observe", "replace_feedback"), "_optax.observing"),
        "replace_schedule": "_optax.replacing",
        **dict.fromkeys(("RangeTest", "lr_range_test"), "_runs.range_test"),
        "sweep": "_runs.sweep",
        "plot": "_view.plot",
    }

    def __getattr__(name: str) -> object:
        if name.startswith("__"):  # Python, or a tool such as pytest, looks for what need not be there
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        if name in _LATER:
            found = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
            found.__module__ = __name__
            return globals().setdefault(name, found)
        parts = ("planning", "porting", "typing")
        if name in parts:  # imported when they are needed
            return importlib.import_module(f"{__name__}.{name}")
        paths = {it: it for it in __all__}
        for part in parts:
            inner = importlib.import_module(f"{__name__}.{part}").__all__
            paths |= {it: f"{part}.{it}" for it in inner}
        hint = importlib.import_module(f"{__name__}._core.peer_words").called_here(name, paths)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}", name=name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
