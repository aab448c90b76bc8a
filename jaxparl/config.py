"""The settings of a training run, in two kinds.

`Config` is static: sizes, counts and choices that shape the compiled program. Its
`hyper_params` are a pytree of numbers that the program takes as arguments, so that `vmap` can
give every run its own. Both are frozen, and checked when they are created.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from flax import struct

#: The largest number that counts may reach, and the least size of a number other than 0.
MOST = np.iinfo(np.int32).max
_LEAST_FLOAT32 = float(np.finfo(np.float32).tiny)

# XLA-07, see docs/xla.md.
# Iterations of a segment, at most; `learning.loop` says why there is a limit.
_LONGEST_SEGMENT = 200


@struct.dataclass
class HyperParams:
    """Numbers that may differ between the runs of one compiled program.

    A float each, or an array under `vmap` over runs.

    Attributes:
      learning_rate: step size in the first iteration.
      learning_rate_final: the agents' step size in the last iteration; it decays exponentially.
      principal_learning_rate_final: the principal's step size in the last iteration. It is smaller,
        so that recommendations settle first.
      outcome_learning_rate: step size of the learned outcome model in the first iteration; it
        decays to a tenth.
      epsilon: probability of a random action in the first iteration.
      epsilon_final: the same in the last iteration; it decays linearly.
      validation_epsilon: the same in the first iteration of validation; it decays to epsilon_final.
      nudge: xi, the margin in reward that a contract leaves the agent above its next best
        action (section 4 of the paper); 0 is the exact game.
      nudge_scale: what the principal has to lose by another action for the full nudge against it;
        if it would lose less, the margin is in proportion. With 0 it is the nudge throughout.
        Critics per action compare what is left after the least payments.
      introductory_nudge: what black boxes get for following the principal in the first iteration
        of validation, in addition to what they are paid; it falls linearly to 0 until half of all
        iterations. Only where there are several agents, and actions are observed.
      alpha: weight of payments in the principal's objective.
      follow_share: probability that an agent follows the principal in an episode of training;
        otherwise it does what is best for it unpaid (Algorithm 3). With 1 all follow (Algorithm 2).

    Raises:
      ValueError: a number is out of its range, or float32 cannot hold it.

    Examples:
      >>> HyperParams(nudge=0.02).nudge
      0.02
      >>> HyperParams(follow_share=0.0)
      Traceback (most recent call last):
      ValueError: follow_share must be > 0 and at most 1, not 0.0
    """

    learning_rate: float = 1e-3
    learning_rate_final: float = 1e-4
    principal_learning_rate_final: float = 2e-5
    outcome_learning_rate: float = 1e-2
    epsilon: float = 1.0
    epsilon_final: float = 0.5
    validation_epsilon: float = 0.4
    nudge: float = 0.006
    nudge_scale: float = 0.0
    introductory_nudge: float = 0.0
    alpha: float = 1.0
    follow_share: float = 1.0

    def __post_init__(self) -> None:
        for name in (
            "learning_rate",
            "learning_rate_final",
            "principal_learning_rate_final",
            "outcome_learning_rate",
            "alpha",
        ):
            self._check_number(name, lambda x: 0 < x < math.inf, "> 0")
        for name in ("epsilon", "epsilon_final", "validation_epsilon"):
            self._check_number(name, lambda x: 0 <= x <= 1, "between 0 and 1")
        # Contracts are priced for agents that follow: some have to.
        self._check_number("follow_share", lambda x: 0 < x <= 1, "> 0 and at most 1")
        for name in ("nudge", "nudge_scale", "introductory_nudge"):
            self._check_number(name, lambda x: 0 <= x < math.inf, ">= 0")

    def _check_number(self, name: str, holds: Callable[[Any], bool], rule: str) -> None:
        # Inside a transformation the values are tracers; they were checked when they were numbers.
        if isinstance(getattr(self, name), bool | numbers.Real):
            check_float(self, name, holds, rule)


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes, counts and choices of a training run.

    Attributes:
      iterations: gradient steps of each learner.
      num_envs: environments E, each stepped once per iteration.
      batch_size: transitions B per gradient step.
      replay_capacity: transitions kept; a multiple of num_envs.
      replay: how transitions are drawn: `uniform`, or `prioritised` by their last error.
      priority_exponent: how much the error counts; 0 draws uniformly.
      importance_exponent: how much the losses correct for prioritised draws; 0 not at all.
      priority_floor: added to every error, so that every transition can be drawn again.
      hidden_sizes: widths of the hidden layers of the Q-networks.
      critic: what the Q-networks predict: `per_outcome`, or `per_action` as in the paper.
      outcome_model: whether the outcome distribution is `known`, or `learned` from replay.
      outcome_hidden_sizes: widths of the hidden layers of the learned outcome model.
      loss: loss of an error, `squared` or `huber` (linear above 1).
      max_gradient_norm: longer gradients are clipped to this norm; none are by default.
      exploration: whether exploration is drawn `per_step`, as in the paper, or `per_episode`.
      target_interval: iterations between two updates of the target networks.
      target_window: the share of all iterations over which the agents' target weights are
        averaged in the end, and less before; 0 copies the online weights, as in the paper.
      principal_target_window: the same for the weights by which the principal recommends: its own
        target weights, and an average of the agents' weights.
      evaluation_interval: iterations between two evaluations.
      black_boxes: how black-box agents learn in validation: by `dqn`, deep Q-learning as in the
        paper, or by `ppo`, proximal policy optimisation.
      payments_told: whether black boxes are told what is paid for each outcome, and not only what
        is recommended, as in the paper. They are not told of fines or introductory nudges.
      schemes: what black boxes are rewarded by in validation, by name; by default the paper's
        schemes that the game has. Besides those there are `conditional`, `exchange`, `fine` and
        `pigovian`.
      hyper_params: the numbers that may differ between runs.

    Raises:
      ValueError: a setting is out of its range, of another kind, or not a multiple of what it has
        to be.

    Examples:
      >>> config = Config(iterations=2_000, hyper_params=HyperParams(nudge=0.02))
      >>> config.num_evaluations
      5
      >>> Config(iterations=2_100)
      Traceback (most recent call last):
      ValueError: iterations must be a multiple of evaluation_interval (400); 2100 is not, 2000 is
    """

    iterations: int = 20_000
    num_envs: int = 8
    batch_size: int = 128
    replay_capacity: int = 120_000
    replay: Literal["uniform", "prioritised"] = "uniform"
    priority_exponent: float = 0.4
    importance_exponent: float = 0.0
    priority_floor: float = 1e-7
    hidden_sizes: tuple[int, ...] = (256, 256)
    critic: Literal["per_outcome", "per_action"] = "per_outcome"
    outcome_model: Literal["known", "learned"] = "known"
    outcome_hidden_sizes: tuple[int, ...] = (64, 64)
    loss: Literal["squared", "huber"] = "squared"
    max_gradient_norm: float | None = None
    exploration: Literal["per_step", "per_episode"] = "per_episode"
    target_interval: int = 100
    target_window: float = 0.0
    principal_target_window: float = 0.4
    evaluation_interval: int = 400
    black_boxes: Literal["dqn", "ppo"] = "dqn"
    payments_told: bool = False
    schemes: tuple[str, ...] = ()
    hyper_params: HyperParams = dataclasses.field(default_factory=HyperParams)

    def __post_init__(self) -> None:
        for name in (
            "iterations",
            "num_envs",
            "batch_size",
            "replay_capacity",
            "target_interval",
            "evaluation_interval",
        ):
            check_count(self, name)
        if self.max_gradient_norm is not None:
            check_float(self, "max_gradient_norm", lambda x: 0 < x < math.inf, "> 0")
        for name in ("priority_exponent", "importance_exponent"):
            check_float(self, name, lambda x: 0 <= x <= 1, "between 0 and 1")
        check_float(self, "priority_floor", lambda x: 0 < x < math.inf, "> 0")
        for name in ("target_window", "principal_target_window"):
            check_float(self, name, lambda x: 0 <= x < 1, "in [0, 1)")
        for name in ("hidden_sizes", "outcome_hidden_sizes"):
            sizes = getattr(self, name)
            is_tuple = isinstance(sizes, tuple | list) and bool(sizes)
            if not is_tuple or not all(map(is_whole, sizes)) or not 1 <= min(sizes) <= MOST:
                raise ValueError(f"{name} must be one or more positive widths, not {sizes}")
        _check_kinds(self)
        _check_multiple(self, "evaluation_interval", of="target_interval")
        _check_multiple(self, "iterations", of="evaluation_interval")
        _check_multiple(self, "replay_capacity", of="num_envs")

    @property
    def segment_length(self) -> int:
        """Iterations of one segment, which one call of a compiled program runs.

        An evaluation interval is a whole number of segments.
        """
        periods = self.evaluation_interval // self.target_interval
        fitting = [
            count
            for count in range(1, periods + 1)
            if periods % count == 0 and count * self.target_interval <= _LONGEST_SEGMENT
        ]
        return self.target_interval * max(fitting, default=1)

    @property
    def segments_per_evaluation(self) -> int:
        """Segments between two evaluations."""
        return self.evaluation_interval // self.segment_length

    @property
    def num_evaluations(self) -> int:
        """Evaluations of a whole run."""
        return self.iterations // self.evaluation_interval


def is_whole(value: Any) -> bool:
    """Whether a value is an integer, of Python or NumPy; True and False are none.

    Examples:
      >>> [is_whole(value) for value in (3, np.int64(3), 3.0, True)]
      [True, True, False, False]
    """
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_count(
    settings: Any, name: str, least: int = 1, most: int = MOST, *, why: str = ""
) -> None:
    """Checks a setting that is an integer within bounds.

    Raises:
      ValueError: it is none, or out of bounds.
    """
    value = getattr(settings, name)
    rule = f"at least {least}" if most == MOST else f"between {least} and {most}{why}"
    if not is_whole(value):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if value > most == MOST:
        rule = f"at most {most}"
    if not least <= value <= most:
        raise ValueError(f"{name} must be {rule}, not {value}")


def check_float(settings: Any, name: str, holds: Callable[[Any], bool], rule: str) -> None:
    """Checks a setting that is a number, for which a rule must hold in float32, too.

    Raises:
      ValueError: it is none, or the rule does not hold, or float32 cannot hold it.
    """
    value = getattr(settings, name)
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number, not {value!r}")
    if not holds(value):
        raise ValueError(f"{name} must be {rule}, not {value}")
    rounded = as_float32(value)
    if not holds(rounded) or (rounded == 0) != (value == 0):
        raise ValueError(f"{name} must be {rule}, not {value}, which is {rounded} in float32")


def as_float32(value: Any) -> float:
    """A number as programs compute with it: the nearest float32, and 0 where that is subnormal.

    Examples:
      >>> as_float32(1e-38), as_float32(1 - 1e-9), as_float32(1e39)
      (0.0, 1.0, inf)
    """
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(np.float32(value))
    return 0.0 if abs(rounded) < _LEAST_FLOAT32 else rounded


def _check_kinds(config: Config) -> None:
    for name, kind in (("payments_told", bool), ("hyper_params", HyperParams)):
        if not isinstance(getattr(config, name), kind):
            raise ValueError(f"{name} must be {kind.__name__}, not {getattr(config, name)}")
    names = config.schemes
    is_tuple = isinstance(names, tuple | list) and all(isinstance(name, str) for name in names)
    if not is_tuple or len(set(names)) < len(names):
        raise ValueError(f"schemes must be names, each of them once, not {names}")
    for name, choices in _CHOICES.items():
        if getattr(config, name) not in choices:
            raise ValueError(f"{name} must be one of {choices}, not {getattr(config, name)!r}")


def _check_multiple(config: Config, name: str, of: str) -> None:
    value, unit = getattr(config, name), getattr(config, of)
    if value % unit:
        near = max(unit, round(value / unit) * unit)
        raise ValueError(f"{name} must be a multiple of {of} ({unit}); {value} is not, {near} is")


# The fields of `Config` that are one of a few words, and those words.
_CHOICES = {
    name: get_args(hint)
    for name, hint in get_type_hints(Config).items()
    if get_origin(hint) is Literal
}
