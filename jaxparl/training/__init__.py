"""Whole runs: one of them, or many in one compiled program.

`task` assembles what one run does. `single_run` makes it a pure function of a key; `sweep` and
`comparison` compile it for many `runs` on all `devices`; `plan` says what that takes. `sweep.run`
yields after each evaluation, and is the place for logging of one's own.
"""

from jaxparl.training.comparison import compile_validation
from jaxparl.training.runs import RunId, grid
from jaxparl.training.single_run import (
    TrainResult,
    ValidationResult,
    make_train,
    make_validate,
)
from jaxparl.training.sweep import compile_training, run

__all__ = [
    "RunId",
    "TrainResult",
    "ValidationResult",
    "compile_training",
    "compile_validation",
    "grid",
    "make_train",
    "make_validate",
    "run",
]
