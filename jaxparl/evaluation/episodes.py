"""Evaluation of games that cannot be solved: what an episode brings, estimated from many.

Every estimate has its standard error over the episodes beside it, in a field that ends in `_se`.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.evaluation.estimates import Estimate, estimate_mean, estimate_ratio
from jaxparl.evaluation.rollouts import Decide, Episode, all_follow, play_episode
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, RunState, target_weights
from jaxparl.summaries import by_shape

#: Episodes per evaluation, as many as in the paper.
NUM_EPISODES = 80

# Folded into the run's key. Iterations count from 0, and none of them gets this far.
_EPISODES_STREAM = 2**31 - 1


@struct.dataclass
class EpisodeMetrics:
    """One evaluation of one run of a game without exact solutions, `[]` each.

    Estimates of what an episode brings in which all agents follow the recommendations of the target
    weights: undiscounted where episodes have a horizon, discounted where they have none. They are
    NaN where an episode does not end, see `rollouts.LONGEST_EPISODE`.

    Attributes:
      principal_utility: the principal's rewards, less alpha times the payments.
      welfare: the rewards of all agents, payments not included.
      payment: what all are paid.
      payment_share: payments over welfare; 0 where nothing is paid, and NaN where something is, but
        the welfare is not positive.
      episodes: how many came to their end.
      agent_loss: mean over the iterations since the last evaluation.
      principal_loss: likewise.
      outcome_model_loss: likewise.
    """

    principal_utility: jax.Array
    principal_utility_se: jax.Array
    welfare: jax.Array
    welfare_se: jax.Array
    payment: jax.Array
    payment_se: jax.Array
    payment_share: jax.Array
    payment_share_se: jax.Array
    episodes: jax.Array
    agent_loss: jax.Array
    principal_loss: jax.Array
    outcome_model_loss: jax.Array

    __repr__ = by_shape


class PlayEstimates(NamedTuple):
    """What an episode brings, see `EpisodeMetrics`."""

    principal_utility: Estimate
    welfare: Estimate
    payment: Estimate
    payment_share: Estimate


def play_episodes(problem: Problem, decide: Decide, key: jax.Array) -> Episode:
    """Plays `NUM_EPISODES` episodes, with a leading axis D; `key` is that of a run, not consumed.

    The same key plays with the same random numbers, whatever is decided.
    """
    keys = jax.random.split(jax.random.fold_in(key, _EPISODES_STREAM), NUM_EPISODES)
    return jax.vmap(partial(play_episode, problem, decide))(keys)  # over D


def estimate_play(problem: Problem, episodes: Episode) -> PlayEstimates:
    """Estimates what an episode brings from episodes `[D]`."""
    principal_reward, welfare, payment = (
        jnp.sum(by_agent, axis=-1)
        for by_agent in (episodes.principal_reward, episodes.agent_reward, episodes.payment)
    )
    alpha = problem.hyper_params.alpha
    share = estimate_ratio(payment, welfare)
    is_paid = jnp.any(payment != 0)
    return PlayEstimates(
        principal_utility=estimate_mean(principal_reward - alpha * payment),
        welfare=estimate_mean(welfare),
        payment=estimate_mean(payment),
        payment_share=Estimate(*(jnp.where(is_paid, each, 0.0) for each in share)),
    )


def evaluate(learner: Learner, state: RunState, losses: Losses) -> EpisodeMetrics:
    """Plays 80 episodes, as in the paper, with the same random numbers at every evaluation."""
    decide = all_follow(learner, target_weights(state))
    episodes = play_episodes(learner.problem, decide, state.key)
    found = estimate_play(learner.problem, episodes)
    is_known = jnp.all(episodes.is_over)
    found = jax.tree.map(lambda leaf: jnp.where(is_known, leaf, jnp.nan), found)
    return EpisodeMetrics(
        principal_utility=found.principal_utility.value,
        principal_utility_se=found.principal_utility.error,
        welfare=found.welfare.value,
        welfare_se=found.welfare.error,
        payment=found.payment.value,
        payment_se=found.payment.error,
        payment_share=found.payment_share.value,
        payment_share_se=found.payment_share.error,
        episodes=jnp.sum(episodes.is_over),
        agent_loss=losses.agent,
        principal_loss=losses.principal,
        outcome_model_loss=losses.outcome_model,
    )
