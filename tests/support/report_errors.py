"""Prints the greatest relative error of each builder over all steps of its examples.

PYTHONPATH=tests python tests/support/report_errors.py | sort -gr
"""

import jax
import numpy as np
from support.precision import oracle_values, relative_error
from tables.cases import ROWS


def main() -> None:
    for name, row in ROWS.items():
        worst = 0.0
        for example in row.examples:
            got = jax.jit(lambda s, steps: s(steps))(example.schedule, example.steps())
            worst = max(worst, float(np.max(relative_error(row, got, oracle_values(example)))))
        print(f"{worst:.1e}  {name}{'  (sensitive)' if row.sensitive else ''}")


if __name__ == "__main__":
    main()
