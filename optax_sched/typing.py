"""Words for hyperparameters: the annotations of formulas and rules.

A word says which values a hyperparameter may have, how they are stored and what an error says. The
builders' own parameters have these words, and those of your formulas may have them: `rate: Rate`, or
`rate: Rate | None` where it may be missing.

>>> from optax_sched import schedule
>>> from optax_sched.typing import Rate, Steps
>>> @schedule
... def halving(step, init_value: Rate, every: Steps):
...     return init_value * 0.5 ** (step // every)
>>> halving(0.1, every=-10)
Traceback (most recent call last):
ValueError: halving: every must be a positive finite number of steps, got -10

**Numbers**

- `Rate`: a learning rate or another value, 0 or more
- `Real`: any finite number
- `Positive`: a number above 0
- `Negative`: a number below 0
- `Factor`: in (0, 1]
- `Fraction`: in (0, 1)
- `PartOfOne`: in [0, 1)
- `Growth`: a factor of 1 or more
- `Count`: a whole number, 1 or more
- `CountOrZero`: a whole number, 0 or more

**Lengths in steps**

- `Steps`: above 0
- `StepsOrZero`: 0 or more

**Sequences**

- `Rates`: values, 0 or more
- `Reals`: any finite numbers
- `Boundaries`: increasing steps
- `FactorOrFactors`: one factor or a sequence of them

**Choices**

- `Switch`: True or False
- `ShapeName`: the shape of a phase
- `Noise`: the distribution of random factors
- `Key`: a random key or a seed

**Schedules inside others**

- `Operand`: a schedule
- `OperandOnOwnClock`: a schedule in other units than the steps outside
- `Operands`: several schedules

**Rules that react to the loss**

- `Cut`: in (0, 1)
- `Scale`: in [0, 1]
- `Mode`: "min" or "max"
- `ThresholdMode`: "rel" or "abs"
"""

from optax_sched._core import words as _words
from optax_sched._core.operands import Operand, OperandOnOwnClock, Operands
from optax_sched._core.shapes import ShapeName
from optax_sched._core.words import *  # noqa: F403
from optax_sched._optax.plateau import Cut, Mode, Scale, ThresholdMode

__all__ = ["Cut", "Mode", "Operand", "OperandOnOwnClock", "Operands", "Scale", "ShapeName"]
__all__ += ["ThresholdMode"]
__all__ += _words.__all__
