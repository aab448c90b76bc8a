"""A trained principal that learns no more: its offers as a table, or the weights that make them."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.environment import Environment
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.episodes import play_episodes
from jaxparl.evaluation.offers import (
    learned_offers,
    payments_by_action,
    payments_for,
    standing_offer,
    standing_recommendation,
)
from jaxparl.evaluation.rollouts import all_follow
from jaxparl.learning.learner import Learner
from jaxparl.learning.state import Weights
from jaxparl.numbers import as_count
from jaxparl.types import PlayValue, PyTree, fixed_key

_FOLLOWED_SEED = 0


@struct.dataclass
class OfferTable:
    """Everything that a principal offers after training, state by state.

    Attributes:
      recommendation: `[S, N]` int, the actions that it recommends.
      payment: `[S, N]`, what it pays each agent that takes them; where actions are hidden
        `[S, N, O]`, what it pays for each outcome.
    """

    recommendation: jax.Array
    payment: jax.Array


@struct.dataclass
class Followed:
    """What an episode brings in which all agents follow a principal.

    Attributes:
      value: the expectation, or an estimate of it.
      recommendations: `[]`, how many recommendations there are, one for each agent and step; steps
        are discounted where episodes have no horizon.
    """

    value: PlayValue
    recommendations: jax.Array


#: As a table where the states of the game are enumerated, and otherwise as its weights.
FrozenPrincipal = OfferTable | Weights


def freeze(learner: Learner, weights: Weights) -> FrozenPrincipal:
    """A trained principal, as a table if its game has one."""
    env = learner.problem.env
    if env.exact is None:
        return weights
    offered = learned_offers(learner, weights)
    payment = offered.contract.payments
    if env.observed_actions:
        payment = payments_for(payment, offered.recommendation)
    is_small = env.num_actions <= jnp.iinfo(jnp.int8).max
    return OfferTable(
        recommendation=offered.recommendation.astype(jnp.int8 if is_small else jnp.int32),
        payment=payment,
    )


def recommended(learner: Learner, principal: FrozenPrincipal, env_state: PyTree) -> jax.Array:
    """What a frozen principal recommends in one state, `[N]` int."""
    if isinstance(principal, Weights):
        return standing_recommendation(learner, principal, env_state)
    index = solutions_of(learner.problem.env).state_index(env_state)
    return principal.recommendation[index].astype(jnp.int32)


def offered(
    learner: Learner, principal: FrozenPrincipal, env_state: PyTree
) -> tuple[jax.Array, jax.Array]:
    """What a frozen principal offers in one state: recommendations `[N]`, payments `[N, O]`.

    Args:
      learner: of the principal's training; its networks serve where the principal is its weights.
      principal: as from `freeze`.
      env_state: of the game.
    """
    env = learner.problem.env
    if isinstance(principal, Weights):
        offer = standing_offer(learner, principal, env_state)
        return offer.recommendation, offer.contract.payments
    index = solutions_of(env).state_index(env_state)
    return row_of(env, jax.tree.map(lambda leaf: leaf[index], principal))


def row_of(env: Environment, row: OfferTable) -> tuple[jax.Array, jax.Array]:
    """The same of one row of a table: recommendations `[N]`, payments `[N, O]`."""
    recommendation = row.recommendation.astype(jnp.int32)
    if not env.observed_actions:
        return recommendation, row.payment
    is_asked = jax.nn.one_hot(recommendation, env.num_outcomes, dtype=bool)
    return recommendation, jnp.where(is_asked, row.payment[:, None], 0.0)


def followed_play(learner: Learner, principal: FrozenPrincipal) -> Followed:
    """What an episode brings in which all agents follow: exactly, or by episodes without a table.

    The episodes are always played with the same random numbers.
    """
    problem = learner.problem
    if isinstance(principal, Weights):
        return _followed_episodes(learner, principal)
    action, payments = jax.vmap(partial(row_of, problem.env))(principal)  # over S
    payment = payments_for(payments_by_action(problem, payments), action)
    play = partial(solutions_of(problem.env).play_values, problem.env_params, action)
    return Followed(play(payment), as_count(play(jnp.ones_like(payment)).payment))


def _followed_episodes(learner: Learner, weights: Weights) -> Followed:
    problem = learner.problem
    episodes = play_episodes(problem, all_follow(learner, weights), fixed_key(_FOLLOWED_SEED))
    reward, payment, principal_reward = (
        jnp.mean(by_agent, axis=0)
        for by_agent in (episodes.agent_reward, episodes.payment, episodes.principal_reward)
    )
    value = PlayValue(reward.sum(), payment.sum(), reward + payment, principal_reward.sum())
    return Followed(value, problem.env.num_agents * jnp.mean(episodes.decisions))
