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

    `lockstep.Lockstep` is the one of the paper. Another one is handed in as
    `Components(make_learner=...)`, a function of the `Problem`: the game, the settings, and the
    numbers of one run. If only a part is to be another, replace that one:
    `make_lockstep(problem)._replace(agent=...)`.

    All methods are pure functions that are traced for one run. The numbers among the problem's
    `env_params` and `hyper_params` may differ between runs that are computed side by side, so
    shapes must not depend on them. A state has the same structure, shapes and types from `init` on.
    Then a sweep, checkpoints, evaluations and validation work as they do for any learner.
    """

    @property
    def problem(self) -> Problem:
        """What it learns."""
        ...

    def init(self, key: jax.Array) -> RunState:
        """The state before the first iteration; `key` is consumed.

        What was learned are the `TrainState`s of agents, principal and outcome model, whose weights
        may have any structure; it is evaluated by `state.target_weights`. The state's `key` is for
        random numbers. Replay, actor and follows are the learner's own, and may hold anything.
        """
        ...

    def iterate(self, state: RunState, iteration: jax.Array | int) -> tuple[RunState, Losses]:
        """One iteration: usually a step of `config.num_envs` environments, and an update of all.

        Args:
          state: of one run.
          iteration: `[]` int, how many came before. All runs share it, so schedules depend on it,
            and random numbers are drawn by `fold_in(state.key, iteration)`.

        Returns:
          The state, and the losses of this iteration. A run with a loss that is not finite counts
          as diverged. What has no loss has 0.
        """
        ...

    def move_targets(self, state: RunState, iteration: jax.Array | int) -> RunState:
        """What happens after `iteration`, once every `config.target_interval` iterations.

        It makes the target weights, which are those that are evaluated, saved and validated.
        """
        ...

    def offer(self, weights: Weights, env_state: PyTree, follows: jax.Array) -> Offer:
        """What the principal recommends and pays for in one state.

        Args:
          weights: of a state, see `state.target_weights`.
          env_state: of the environment.
          follows: `[N]` bool, who follows. The recommendation must not depend on it. The contract
            is what makes following worthwhile for each agent if the others do so.

        Returns:
          What is offered to each agent. Evaluations and validation read the recommendation and the
          contract, whose payments are not negative.
        """
        ...

    def standing_contracts(
        self, weights: Weights, env_state: PyTree, action: jax.Array, sets: jax.Array
    ) -> Contract:
        """Contracts for actions `[N]` that are worthwhile under all `sets` `[M, N]` of followers.

        Only games of several agents with hidden actions ask for it: elsewhere the largest payments
        of `offer` are that.
        """
        ...


def make_learner(problem: Problem) -> Learner:
    """Builds what learns a problem: what was handed in, or else `lockstep`."""
    make = problem.components.make_learner or make_lockstep
    return make(problem)
