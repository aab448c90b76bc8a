"""The metrics of validation where the game has no table: estimates from episodes.

They are those of `metrics`, as far as they can be played, and the gain of a learned best response.
Each has its standard error over the episodes beside it, in a field that ends in `_se`. All mixes of
own and recommended policies are played with the same random numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxparl.evaluation.episodes import PlayEstimates, estimate_play, play_episodes
from jaxparl.evaluation.estimates import (
    Estimate,
    estimate_largest,
    estimate_mean_ratio,
    estimate_ratio,
)
from jaxparl.evaluation.rollouts import Decide, Episode
from jaxparl.learning.learner import Learner
from jaxparl.summaries import by_shape
from jaxparl.types import PyTree
from jaxparl.validation.metrics import Policy
from jaxparl.validation.mixes import Mixes, is_alone, is_needed, mixes
from jaxparl.validation.schemes import others_rewards
from jaxparl.validation.terms import NO_ACTION, Terms, offered


@struct.dataclass
class EstimatedMetrics:
    """One evaluation of one run of validation of a game without exact solutions, `[]` each.

    All are NaN where an episode does not end, see `rollouts.LONGEST_EPISODE`. The first five are
    NaN, too, where one agent at a time learns: they are of all agents' own policies.

    Attributes:
      principal_utility: the principal's rewards, less alpha times the payments.
      welfare: as of `ValidationMetrics`; so are those that follow.
      payment: contracts, nudges and the constant proportion.
      payment_share: payments over welfare.
      followed_share: the share of recommendations that are followed in an episode. It is NaN where
        nothing is recommended, and so are the next ones.
      own_over_recommended_following: utility by one's own policy over that of following, while the
        others follow.
      own_over_recommended_own: the same while the others play their own policies.
      deviation_gain: what the agent that gains most by its own policy gains over following, while
        the others follow: less than the most that can be gained, which no policy here need find,
        but for chance.
      episodes: how many came to their end, in every mix that was played.
      agent_loss: mean over the iterations since the last evaluation.
    """

    principal_utility: jax.Array
    principal_utility_se: jax.Array
    welfare: jax.Array
    welfare_se: jax.Array
    payment: jax.Array
    payment_se: jax.Array
    payment_share: jax.Array
    payment_share_se: jax.Array
    followed_share: jax.Array
    followed_share_se: jax.Array
    own_over_recommended_following: jax.Array
    own_over_recommended_following_se: jax.Array
    own_over_recommended_own: jax.Array
    own_over_recommended_own_se: jax.Array
    deviation_gain: jax.Array
    deviation_gain_se: jax.Array
    episodes: jax.Array
    agent_loss: jax.Array

    __repr__ = by_shape


class _Responses(NamedTuple):
    """What following is worth, compared with own policies."""

    followed_share: Estimate
    following: Estimate
    own: Estimate
    deviation_gain: Estimate


def evaluate(
    learner: Learner, terms: Terms, own_policy: Policy, *, key: jax.Array, agent_loss: jax.Array
) -> EstimatedMetrics:
    """Plays 80 episodes of each mix, with the same random numbers at every evaluation.

    Args:
      learner: of the principal's training.
      terms: what black boxes face.
      own_policy: what they do.
      key: of the run; not consumed.
      agent_loss: passed through.
    """
    mixed = mixes(learner.problem.env.num_agents)
    played = play_mixes(learner, terms, own_policy, key)
    is_over = jnp.all(played.is_over, axis=0)
    of_all = _own_play(learner, terms, jax.tree.map(lambda leaf: leaf[mixed.nobody], played))
    responses = _responses(mixed, played)
    is_known, is_offered = jnp.all(is_over), jnp.asarray(terms.scheme.contract_weight) > 0
    alone = is_alone(terms.scheme)
    of_all = _where(is_known & ~jnp.asarray(alone), of_all)
    responses = _where(is_known & is_offered, responses)
    responses = responses._replace(
        followed_share=_where(~jnp.asarray(alone), responses.followed_share),
        own=_where(~jnp.asarray(alone), responses.own),
    )
    return EstimatedMetrics(
        principal_utility=of_all.principal_utility.value,
        principal_utility_se=of_all.principal_utility.error,
        welfare=of_all.welfare.value,
        welfare_se=of_all.welfare.error,
        payment=of_all.payment.value,
        payment_se=of_all.payment.error,
        payment_share=of_all.payment_share.value,
        payment_share_se=of_all.payment_share.error,
        followed_share=responses.followed_share.value,
        followed_share_se=responses.followed_share.error,
        own_over_recommended_following=responses.following.value,
        own_over_recommended_following_se=responses.following.error,
        own_over_recommended_own=responses.own.value,
        own_over_recommended_own_se=responses.own.error,
        deviation_gain=responses.deviation_gain.value,
        deviation_gain_se=responses.deviation_gain.error,
        episodes=jnp.sum(is_over),
        agent_loss=agent_loss,
    )


def play_mixes(learner: Learner, terms: Terms, own_policy: Policy, key: jax.Array) -> Episode:
    """Episodes `[M, D]` of all mixes; those that a scheme does not need are over before they begin.

    An agent that does not follow takes the action of its own policy, given the recommendation. If
    that is the recommended action, it is paid. Without a principal all play their own policies.
    """
    mixed = mixes(learner.problem.env.num_agents)

    def play(follows: jax.Array) -> Episode:
        decide = _decide(learner, terms, own_policy, follows)
        # How they end makes no difference.
        return play_episodes(learner.problem, decide, key)._replace(env_state=())

    def play_if_needed(given: tuple[jax.Array, jax.Array]) -> Episode:
        follows, is_played = given
        shapes = jax.eval_shape(play, follows)
        over = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes)
        return jax.lax.cond(is_played, play, lambda _: over, follows)

    given = jnp.asarray(mixed.follows), is_needed(mixed, terms.scheme)
    # One after the other: the networks of many episodes at once need much memory.
    return jax.lax.map(play_if_needed, given)


def _decide(learner: Learner, terms: Terms, own_policy: Policy, follows: jax.Array) -> Decide:
    """Some agents `[N]` follow, the others play their own policies."""

    def decide(env_state: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        offers = offered(learner, terms, env_state)
        recommendation = offers.recommendation
        own = own_policy(env_state, recommendation)
        does_follow = follows & (recommendation != NO_ACTION)
        action = jnp.where(does_follow, recommendation, own)
        return recommendation, action, offers.settled(action)

    return decide


def _own_play(learner: Learner, terms: Terms, episodes: Episode) -> PlayEstimates:
    """What episodes `[D]` bring in which all play their own policies."""
    proportion = terms.scheme.proportion * others_rewards(episodes.agent_reward)
    paid = episodes._replace(payment=episodes.payment + proportion)
    return estimate_play(learner.problem, paid)


def _responses(mixed: Mixes, played: Episode) -> _Responses:
    """Compares own policies with following, by the episodes `[M, D]` of all mixes."""
    utility = played.utility  # [M, D, N]
    agents = np.arange(utility.shape[-1])
    deviating = utility[mixed.all_but, :, agents].T  # [D, N]
    following = utility[mixed.everyone]
    alone = utility[mixed.only, :, agents].T
    own = utility[mixed.nobody]
    recommendations = len(agents) * played.decisions[mixed.nobody]
    return _Responses(
        followed_share=estimate_ratio(
            jnp.sum(played.followed[mixed.nobody], axis=-1), recommendations
        ),
        following=estimate_mean_ratio(deviating, following),
        own=estimate_mean_ratio(own, alone),
        deviation_gain=estimate_largest(deviating - following),
    )


def _where(is_known: jax.Array, estimates: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.where(is_known, leaf, jnp.nan), estimates)
