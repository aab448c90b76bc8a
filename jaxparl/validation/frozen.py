"""A trained principal that learns no more: its offers as a table, or the weights that make them."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.environment import Environment
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.episodes import play_episodes
from jaxparl.evaluation.offers import (
    in_every_state,
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
      payment: `[S, N]`, what it pays each agent that takes them; or `[S, N, O]`, what it pays for
        each outcome, as it does where actions are hidden.
      together: of the same shape, what it pays instead to agents all of whose others do as asked.
        None where that is no different.
    """

    recommendation: jax.Array
    payment: jax.Array
    together: jax.Array | None = None


class Offered(NamedTuple):
    """What is offered in one state, or in many.

    Attributes:
      recommendation: `[..., N]` int.
      payments: `[..., N, O]`, for each outcome.
      together: `[..., N, O]`, what is paid instead to agents all of whose others do as asked; None
        where that is no different.
    """

    recommendation: jax.Array
    payments: jax.Array
    together: jax.Array | None

    def settled(self, action: jax.Array) -> jax.Array:
        """What is paid for each outcome, `[..., N, O]`, where the agents do `action` `[..., N]`.

        Examples:
          >>> payments, together = jnp.array([[1.0], [2.0]]), jnp.array([[0.5], [0.75]])
          >>> offered = Offered(jnp.array([0, 3]), payments, together)
          >>> offered.settled(jnp.array([0, 2])).tolist()  # only the first does as asked
          [[1.0], [0.75]]
        """
        if self.together is None:
            return self.payments
        follows = action == self.recommendation
        missing = jnp.sum(~follows, axis=-1, keepdims=True) - ~follows
        return jnp.where((missing == 0)[..., None], self.together, self.payments)


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


def freeze(learner: Learner, weights: Weights, *, conditional: bool = False) -> FrozenPrincipal:
    """A trained principal, as a table if its game has one.

    Args:
      learner: of its training.
      weights: its own.
      conditional: whether the table says, too, what it pays where all others do as asked.

    Raises:
      ValueError: that is asked for where actions are hidden, and nobody sees what others do.
    """
    env = learner.problem.env
    if conditional and not env.observed_actions:
        raise ValueError(f"{env.name} has hidden actions: no payment can depend on the others'")
    if env.exact is None:
        return weights
    offered = learned_offers(learner, weights)
    payment = offered.contract.payments
    if env.observed_actions:
        payment = payments_for(payment, offered.recommendation)
    together = None
    if conditional:
        by_outcome = in_every_state(env, partial(offered_together, learner, weights))
        together = payments_for(by_outcome, offered.recommendation)
    is_small = env.num_actions <= jnp.iinfo(jnp.int8).max
    return OfferTable(
        recommendation=offered.recommendation.astype(jnp.int8 if is_small else jnp.int32),
        payment=payment,
        together=together,
    )


def offered_together(learner: Learner, weights: Weights, env_state: PyTree) -> jax.Array:
    """What a trained principal pays in one state if all follow, `[N, O]`."""
    everybody = jnp.ones(learner.problem.env.num_agents, bool)
    return learner.offer(weights, env_state, everybody).contract.payments


def recommended(learner: Learner, principal: FrozenPrincipal, env_state: PyTree) -> jax.Array:
    """What a frozen principal recommends in one state, `[N]` int."""
    if isinstance(principal, Weights):
        return standing_recommendation(learner, principal, env_state)
    index = solutions_of(learner.problem.env).state_index(env_state)
    return principal.recommendation[index].astype(jnp.int32)


def offered(
    learner: Learner, principal: FrozenPrincipal, env_state: PyTree, *, conditional: bool = False
) -> Offered:
    """What a frozen principal offers in one state.

    Args:
      learner: of the principal's training; its networks serve where the principal is its weights.
      principal: as from `freeze`.
      env_state: of the game.
      conditional: whether to say, too, what it pays where all others do as asked.
    """
    env = learner.problem.env
    if isinstance(principal, Weights):
        offer = standing_offer(learner, principal, env_state)
        together = offered_together(learner, principal, env_state) if conditional else None
        return Offered(offer.recommendation, offer.contract.payments, together)
    index = solutions_of(env).state_index(env_state)
    return row_of(env, jax.tree.map(lambda leaf: leaf[index], principal))


def row_of(env: Environment, row: OfferTable) -> Offered:
    """The same of one row of a table."""
    recommendation = row.recommendation.astype(jnp.int32)
    is_asked = jax.nn.one_hot(recommendation, env.num_outcomes, dtype=bool)

    def by_outcome(payment: jax.Array | None) -> jax.Array | None:
        if payment is None or payment.ndim == 2:
            return payment
        return jnp.where(is_asked, payment[:, None], 0.0)

    payments = by_outcome(row.payment)
    assert payments is not None
    return Offered(recommendation, payments, by_outcome(row.together))


def followed_play(learner: Learner, principal: FrozenPrincipal) -> Followed:
    """What an episode brings in which all follow standing offers: exactly where there is a table.

    Where there is none it is estimated by episodes, always played with the same random numbers.
    """
    problem = learner.problem
    if isinstance(principal, Weights):
        return _followed_episodes(learner, principal)
    offers = jax.vmap(partial(row_of, problem.env))(principal)  # over S
    action = offers.recommendation
    payment = payments_for(payments_by_action(problem, offers.payments), action)
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
