"""What changes while a run learns, and which of its weights act, value and are evaluated."""

from __future__ import annotations

import jax
from flax import struct

from jaxparl.learning.acting import ActorState
from jaxparl.learning.replay import ReplayState
from jaxparl.summaries import by_shape
from jaxparl.types import PyTree, TrainState


@struct.dataclass
class RunState:
    """Everything that changes: a run is a pure function of this and of the iteration.

    So it is for `lockstep`; `learner.Learner` says what of it another learner has to keep.

    Attributes:
      key: the run's key, never consumed; each iteration folds its number into it.
      agent: the agents' weights and optimiser.
      agent_average: an average of the agents' weights, by which the principal recommends; None
        where the agents' target weights serve.
      principal: the principal's weights and optimiser.
      outcome_model: the outcome model's.
      replay: the stored transitions.
      actor: the environments, `[E]`.
      follows: `[E, N]` bool, which agents follow the principal in this episode.
    """

    key: jax.Array
    agent: TrainState
    agent_average: PyTree | None
    principal: TrainState
    outcome_model: TrainState
    replay: ReplayState
    actor: ActorState
    follows: jax.Array


@struct.dataclass
class Weights:
    """One set of weights for everything that an offer depends on.

    Attributes:
      agent: the agents' weights, by which contracts are priced.
      agent_average: the agents' weights by which the principal recommends.
      principal: the principal's.
      outcome_model: the outcome model's.
    """

    agent: PyTree
    agent_average: PyTree
    principal: PyTree
    outcome_model: PyTree

    __repr__ = by_shape


@struct.dataclass
class Losses:
    """The losses of an iteration, `[]` each; in metrics, their means over many iterations."""

    agent: jax.Array
    principal: jax.Array
    outcome_model: jax.Array


def online_weights(state: RunState) -> Weights:
    """The weights that act and are trained."""
    agent = state.agent.params
    return Weights(agent, agent, state.principal.params, state.outcome_model.params)


def target_weights(state: RunState) -> Weights:
    """The weights that value the next state, and that are evaluated.

    The outcome model has no target network.
    """
    target, average = state.agent.target_params, state.agent_average
    return Weights(
        agent=target,
        # The very same arrays: what both evaluations have in common is then compiled once.
        agent_average=target if average is None else average,
        principal=state.principal.target_params,
        outcome_model=state.outcome_model.params,
    )
