"""The settings of a training run, in two kinds.

`Config` is static: sizes, counts and choices that shape the compiled program. Its `rates` are
a pytree of numbers that the program takes as arguments, so that `vmap` may give every run its
own. Both are frozen and checked when they are made.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from flax import struct

# Iterations of a stretch, at most: see `loop`.
_AT_ONCE = 200


@struct.dataclass
class Rates:
    """Numbers that may differ between the runs of one compiled program.

    A float each, or an array under `vmap` over runs.

    Attributes:
      learning_rate: Adam's step size in the first iteration.
      learning_rate_final: the agents' step size in the last; it falls exponentially in between.
      principal_learning_rate_final: the principal's in the last; it comes to rest sooner.
      outcome_learning_rate: step size of the learned outcome model in the first iteration; it
        falls to a tenth.
      epsilon: chance of a random action instead of the recommended one, in the first iteration.
      epsilon_final: the same in the last; it falls linearly in between.
      validation_epsilon: the same in the first iteration of validation; it falls to epsilon_final.
      nudge: xi, the margin in reward that a contract leaves the agent above its next best
        action (section 4 of the paper); 0 is the exact game.
      alpha: weight of payments in the principal's objective.
      follow_share: chance that an agent follows the principal in an episode of training; otherwise
        it does what is best for itself (Algorithm 3). With 1 all follow (Algorithm 2).
    """

    learning_rate: float = 1e-3
    learning_rate_final: float = 1e-4
    principal_learning_rate_final: float = 2e-5
    outcome_learning_rate: float = 1e-2
    epsilon: float = 1.0
    epsilon_final: float = 0.5
    validation_epsilon: float = 0.4
    nudge: float = 0.006
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
            _check(name, getattr(self, name), lambda x: 0 < x < math.inf, "> 0")
        for name in ("epsilon", "epsilon_final", "validation_epsilon"):
            _check(name, getattr(self, name), lambda x: 0 <= x <= 1, "between 0 and 1")
        # Contracts are priced for agents that follow: somebody has to.
        _check("follow_share", self.follow_share, lambda x: 0 < x <= 1, "> 0 and at most 1")
        _check("nudge", self.nudge, lambda x: 0 <= x < math.inf, ">= 0")


def _check(name, value, holds, rule):
    # Inside a transformation the values are tracers; they were checked when they were numbers.
    if isinstance(value, int | float) and not holds(value):
        raise ValueError(f"{name} must be {rule}, not {value}")


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes, counts and choices.

    Attributes:
      iterations: gradient steps of each player.
      num_envs: environments E, each stepped once per iteration.
      batch_size: transitions B per gradient step.
      replay_capacity: transitions kept; a multiple of num_envs.
      replay: how transitions are drawn, `uniform` or `prioritised`, by their last error.
      priority_exponent: how much the error counts; 0 draws uniformly.
      importance_exponent: how much the losses make up for it; 0 not at all.
      priority_floor: what every error is raised by, so that nothing is never drawn again.
      hidden_sizes: widths of the hidden layers of both players' networks.
      critic: what the Q-networks predict: `per_outcome`, or `per_action` as in the paper.
      outcome_model: whether the outcome distribution is `known`, or `learned` from replay.
      outcome_hidden_sizes: widths of the hidden layers of the learned outcome model.
      loss: what errors are fitted by, `squared` or `huber` (linear above 1).
      max_gradient_norm: longer gradients are cut to this length; none are by default.
      exploration: whether acting at random is drawn `per_step`, as in the paper, or `per_episode`.
      target_interval: iterations between two updates of the target networks.
      target_window: the agents' targets are an average over this share of all iterations in the
        end, and over less before; 0 makes them copies, as in the paper.
      principal_target_window: the same for what the principal recommends by: its own targets, and
        an average of the agents' weights.
      evaluation_interval: iterations between two evaluations.
      rates: the numbers that may differ between runs.
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
    rates: Rates = dataclasses.field(default_factory=Rates)

    def __post_init__(self) -> None:
        for name in (
            "iterations",
            "num_envs",
            "batch_size",
            "replay_capacity",
            "target_interval",
            "evaluation_interval",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.max_gradient_norm is not None and not 0 < self.max_gradient_norm < math.inf:
            raise ValueError(f"max_gradient_norm must be > 0, not {self.max_gradient_norm}")
        for name in ("priority_exponent", "importance_exponent"):
            _check(name, getattr(self, name), lambda x: 0 <= x <= 1, "between 0 and 1")
        _check("priority_floor", self.priority_floor, lambda x: 0 < x < math.inf, "> 0")
        for name in ("target_window", "principal_target_window"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        for name in ("hidden_sizes", "outcome_hidden_sizes"):
            sizes = getattr(self, name)
            if not sizes or min(sizes) < 1:
                raise ValueError(f"{name} must be one or more positive widths, not {sizes}")
        for name, options in (
            ("critic", ("per_outcome", "per_action")),
            ("outcome_model", ("known", "learned")),
            ("exploration", ("per_step", "per_episode")),
        ):
            if getattr(self, name) not in options:
                raise ValueError(f"{name} must be one of {options}, not {getattr(self, name)!r}")
        _check_multiple("evaluation_interval", self.evaluation_interval, "target_interval", self)
        _check_multiple("iterations", self.iterations, "evaluation_interval", self)
        _check_multiple("replay_capacity", self.replay_capacity, "num_envs", self)

    @property
    def stretch(self) -> int:
        """Iterations of one call of a compiled program; evaluations fall between such calls."""
        periods = self.evaluation_interval // self.target_interval
        fitting = [
            count
            for count in range(1, periods + 1)
            if periods % count == 0 and count * self.target_interval <= _AT_ONCE
        ]
        return self.target_interval * max(fitting, default=1)

    @property
    def stretches(self) -> int:
        """How many of these there are between two evaluations."""
        return self.evaluation_interval // self.stretch


def _check_multiple(name: str, value: int, of: str, config: Config) -> None:
    unit = getattr(config, of)
    if value % unit:
        near = max(unit, round(value / unit) * unit)
        raise ValueError(f"{name} must be a multiple of {of} ({unit}); {value} is not, {near} is")
