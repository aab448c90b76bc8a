"""What changes while a run learns, and which of its weights act, value and are played."""

from __future__ import annotations

from typing import Protocol

import jax
from flax import struct

from jaxparl.types import PlayerState, PyTree, Transition


@struct.dataclass
class RunState:
    """Everything that changes: a run is a pure function of this and of the iteration.

    Attributes:
      key: the run's key, never consumed; each iteration folds its number into it.
      agent: the agents' learning state.
      agent_average: an average of the agents' weights, by which the principal recommends; None
        where that is the agents' targets.
      principal: the principal's.
      outcome_model: the outcome model's.
      replay: the ring of transitions, `[capacity, ...]`.
      sampler: what is known of the ring's items, for drawing from it.
      game: the states of the environments, `[E]`.
      starts: `[E]` bool, whether an episode begins with the next step.
      explores: `[E, N]` bool, who acts at random.
      follows: `[E, N]` bool, who follows the principal in this episode.
    """

    key: jax.Array
    agent: PlayerState
    agent_average: PyTree | None
    principal: PlayerState
    outcome_model: PlayerState
    replay: Transition
    sampler: PyTree
    game: PyTree
    starts: jax.Array
    explores: jax.Array
    follows: jax.Array


class Playing(Protocol):
    """Any state whose environments are played with exploration, as those of a `RunState`."""

    @property
    def starts(self) -> jax.Array:
        """`[E]` bool, whether an episode begins with the next step."""
        ...

    @property
    def explores(self) -> jax.Array:
        """`[E, N]` bool, who acts at random."""
        ...


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


@struct.dataclass
class Losses:
    """The losses of an iteration, `[]` each; a mean over iterations in the metrics."""

    agent: jax.Array
    principal: jax.Array
    outcome_model: jax.Array


def online_weights(state: RunState) -> Weights:
    """The weights that act and are trained."""
    agent = state.agent.params
    return Weights(agent, agent, state.principal.params, state.outcome_model.params)


def target_weights(state: RunState) -> Weights:
    """The weights that value the next state, and are played in the end.

    The outcome model has no targets.
    """
    target, average = state.agent.target_params, state.agent_average
    return Weights(
        agent=target,
        # The very same arrays: what both evaluations have in common is then compiled once.
        agent_average=target if average is None else average,
        principal=state.principal.target_params,
        outcome_model=state.outcome_model.params,
    )
