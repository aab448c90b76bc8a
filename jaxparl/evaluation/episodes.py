"""Evaluation of games that cannot be solved: what an episode brings, averaged over many."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.evaluation.rollouts import play_episode
from jaxparl.learning.learner import Learner
from jaxparl.learning.state import Losses, RunState, target_weights

#: Episodes per evaluation, as many as in the paper.
NUM_EPISODES = 80

# Folded into the run's key. Iterations count from 0, and none of them gets this far.
_EPISODES_STREAM = 2**31 - 1


@struct.dataclass
class EpisodeMetrics:
    """One evaluation of one run of a game without exact solutions, `[]` each.

    Means over undiscounted episodes in which all follow the recommendations of the target weights.
    They are NaN where an episode does not end, see `rollouts.LONGEST_EPISODE`.

    Attributes:
      principal_utility: the principal's rewards, net of payments.
      welfare: the rewards of all agents, payments not included.
      payment: what all are paid.
      agent_loss: mean over the iterations since the last evaluation.
      principal_loss: likewise.
      outcome_model_loss: likewise.
    """

    principal_utility: jax.Array
    welfare: jax.Array
    payment: jax.Array
    agent_loss: jax.Array
    principal_loss: jax.Array
    outcome_model_loss: jax.Array


def evaluate(learner: Learner, state: RunState, losses: Losses) -> EpisodeMetrics:
    """Plays 80 episodes, as in the paper, with the same random numbers at every evaluation."""
    keys = jax.random.split(jax.random.fold_in(state.key, _EPISODES_STREAM), NUM_EPISODES)
    play = jax.vmap(partial(play_episode, learner, target_weights(state)))  # over episodes
    episodes = play(keys)

    def mean(by_agent: jax.Array) -> jax.Array:
        total = jnp.mean(jnp.sum(by_agent, axis=-1))
        return jnp.where(jnp.all(episodes.is_over), total, jnp.nan)

    payment = mean(episodes.payment)
    return EpisodeMetrics(
        principal_utility=mean(episodes.principal_reward) - payment,
        welfare=mean(episodes.agent_reward),
        payment=payment,
        agent_loss=losses.agent,
        principal_loss=losses.principal,
        outcome_model_loss=losses.outcome_model,
    )
