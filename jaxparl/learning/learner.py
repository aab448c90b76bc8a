"""All that learns in a run: what training, evaluation and validation ask of it."""

from __future__ import annotations

from typing import Protocol

import jax

from jaxparl.learning.lockstep import make_lockstep
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, RunState, Weights
from jaxparl.types import Contract, Offer, PyTree


class Learner(Protocol):
    """Everything that learns in one run, bound to its problem.

    `lockstep.Lockstep` is the one of the paper.
    """

    @property
    def problem(self) -> Problem:
        """What it learns."""
        ...

    def init(self, key: jax.Array) -> RunState:
        """The state before the first iteration; `key` is consumed."""
        ...

    def iterate(self, state: RunState, iteration: jax.Array) -> tuple[RunState, Losses]:
        """One iteration."""
        ...

    def move_targets(self, state: RunState, iteration: jax.Array) -> RunState:
        """What happens after `iteration`, once every `config.target_interval` iterations."""
        ...

    def offer(self, weights: Weights, env_state: PyTree, follows: jax.Array) -> Offer:
        """What the principal recommends and pays for in one state."""
        ...

    def standing_contracts(
        self, weights: Weights, env_state: PyTree, action: jax.Array, sets: jax.Array
    ) -> Contract:
        """The least contracts for actions `[N]` that are worthwhile whichever of `sets` follows."""
        ...


def make_learner(problem: Problem) -> Learner:
    """Builds what learns a problem: what was handed in, or else `lockstep`."""
    make = problem.components.make_learner or make_lockstep
    return make(problem)
