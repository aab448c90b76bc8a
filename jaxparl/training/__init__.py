"""Whole runs: one of them, or many in one compiled program.

`task` assembles what one run does. `single_run` makes it a pure function of a key; `sweep` and
`comparison` compile it for many `runs` on all `devices`; `plan` says what that takes.
"""

from jaxparl.training.single_run import (
    TrainResult,
    ValidationResult,
    make_train,
    make_validate,
)

__all__ = ["TrainResult", "ValidationResult", "make_train", "make_validate"]
