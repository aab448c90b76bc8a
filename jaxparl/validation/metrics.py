"""The metrics of validation, as in the paper's Figures 2 and 4.

The paper plays 80 episodes. Here the agents' greedy policies are tabulated, state by state, and the
expectation of what an episode brings is computed exactly, undiscounted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.environment import Environment
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.offers import follow_sets, in_every_state
from jaxparl.numbers import mean_ratio
from jaxparl.types import PlayValue, PyTree
from jaxparl.validation.terms import NO_ACTION, Terms, paid, recommended


@struct.dataclass
class ValidationMetrics:
    """One evaluation of one run of validation, `[]` each.

    Attributes:
      welfare: panels a and b, the rewards of all agents, payments not included.
      payment: what all are paid: contracts, nudges and the constant proportion.
      payment_share: panel c, payments over welfare.
      followed_share: panel d, the share of recommendations that are followed in an episode. It is
        NaN where nothing is recommended, and so are the next two.
      own_over_recommended_following: panel e, an agent's utility of its own policy over that of
        following, while the others follow; a mean over agents. If it is near 1, following the
        recommendations is an equilibrium.
      own_over_recommended_own: panel f, the same while the others play their own policies. If it is
        near 1, following is worthwhile whatever the others do.
      optimal_welfare: a reference, see `terms.ExactReference`.
      equilibrium_payment_share: likewise.
      best_response_over_following: likewise.
      agent_loss: mean over the iterations since the last evaluation.
    """

    welfare: jax.Array
    optimal_welfare: jax.Array
    payment: jax.Array
    payment_share: jax.Array
    equilibrium_payment_share: jax.Array
    followed_share: jax.Array
    own_over_recommended_following: jax.Array
    best_response_over_following: jax.Array
    own_over_recommended_own: jax.Array
    agent_loss: jax.Array


class Mixes(NamedTuple):
    """All M = 2^N mixes of own and recommended policies. Bit i of m says that agent i follows.

    Attributes:
      action: `[M, S, N]` int, what is done in every state.
      payment: `[M, S, N]`, what the principal pays for it.
      follows: `[M, S, N]` bool, whether it is what is recommended.
    """

    action: jax.Array
    payment: jax.Array
    follows: jax.Array


def mixes(
    env: Environment, terms: Terms, own_policy: Callable[[PyTree, jax.Array], jax.Array]
) -> Mixes:
    """Tabulates the mixes, given `own_policy(env_state, recommendation [N]) -> action [N]`.

    An agent that does not follow takes the action of its own policy, given the recommendation. If
    that is the recommended action, it is paid. Without a principal all play their own policies.
    """
    sets = follow_sets(env.num_agents)

    def of_state(env_state: PyTree) -> Mixes:
        recommendation = recommended(env, terms, env_state)
        own = own_policy(env_state, recommendation)
        can_follow = recommendation != NO_ACTION
        action = jnp.where(sets & can_follow[None], recommendation[None], own[None])
        pay = jax.vmap(partial(paid, env, terms, env_state, recommendation))  # over M
        return Mixes(action, pay(action), action == recommendation[None])

    by_state = in_every_state(env, of_state)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), by_state)


def evaluate(
    env: Environment,
    terms: Terms,
    own_policy: Callable[[PyTree, jax.Array], jax.Array],
    agent_loss: jax.Array,
) -> ValidationMetrics:
    """Computes the metrics for `own_policy(env_state, recommendation [N]) -> action [N]`."""
    env_params = terms.env_params
    mixed = mixes(env, terms, own_policy)

    def play_out(mix: Mixes) -> PlayValue:
        return solutions_of(env).play_values(env_params, mix.action, mix.payment)

    # Over M, one after the other, because the tables of a large game are large.
    values = jax.lax.map(play_out, mixed)
    own = jax.tree.map(lambda leaf: leaf[0], values)
    proportion = terms.scheme.proportion * (env.num_agents - 1) * own.welfare
    own = dataclasses.replace(own, payment=own.payment + proportion)

    # Paid one unit for every recommendation that is followed, the payments count them.
    units = mixed.follows[0].astype(jnp.float32)
    followed = solutions_of(env).play_values(env_params, mixed.action[0], units)
    recommendations = jnp.asarray(env_params.max_steps_in_episode * env.num_agents, units.dtype)

    def if_recommended(value: jax.Array) -> jax.Array:
        return jnp.where(jnp.asarray(terms.scheme.contract_weight) > 0, value, jnp.nan)

    agents = jnp.arange(env.num_agents)
    everyone, alone = 2**env.num_agents - 1, 2**agents
    by_agent = values.utilities
    return ValidationMetrics(
        welfare=own.welfare,
        payment=own.payment,
        payment_share=own.payment_share,
        followed_share=if_recommended(followed.payment / recommendations),
        own_over_recommended_following=if_recommended(
            mean_ratio(by_agent[everyone - alone, agents], by_agent[everyone, agents])
        ),
        own_over_recommended_own=if_recommended(
            mean_ratio(by_agent[0, agents], by_agent[alone, agents])
        ),
        **vars(terms.reference),
        agent_loss=agent_loss,
    )
