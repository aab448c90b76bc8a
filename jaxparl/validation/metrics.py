"""The metrics of validation where the game has a table, as in the paper's Figures 2 and 4.

The paper plays 80 episodes. Here the agents' greedy policies are tabulated, state by state, and the
expectation of what an episode brings is computed exactly: undiscounted where episodes have a
horizon, discounted where they have none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.offers import in_every_state, payments_for
from jaxparl.learning.learner import Learner
from jaxparl.numbers import as_count, mean_ratio, ratio
from jaxparl.summaries import by_shape
from jaxparl.types import PlayValue, PyTree
from jaxparl.validation.mixes import is_needed, mixes
from jaxparl.validation.terms import (
    NO_ACTION,
    ExactReference,
    OneAgentReference,
    Terms,
    fines,
    offered_in_every_state,
    principal_utility,
    recommended,
)

#: `(env_state, recommendation [N]) -> action [N]`.
Policy = Callable[[PyTree, jax.Array], jax.Array]

# What is paid in a play: contracts; or a unit for every recommendation that is followed, or for
# every one that there is, so that payments count them.
_CONTRACTS, _FOLLOWED, _RECOMMENDATIONS = range(3)


@struct.dataclass
class ValidationMetrics:
    """One evaluation of one run of validation of several agents, `[]` each.

    Attributes:
      welfare: panels a and b, the rewards of all agents, payments not included.
      payment: what all are paid from outside: contracts, nudges and the constant proportion; less
        taxes, and not what they pay each other.
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

    __repr__ = by_shape


@struct.dataclass
class OneAgentMetrics:
    """One evaluation of one run of validation of one agent, `[]` each.

    Attributes:
      principal_utility: the principal's rewards, less alpha times the payments.
      utility_ratio: the same over that in equilibrium; NaN where that is not positive.
      agent_utility: the agent's rewards and payments.
      payment: what it is paid.
      followed_share: the share of recommendations that it follows in an episode. It is NaN where
        nothing is recommended, and so is the next one.
      own_over_recommended_following: its utility of its own policy over that of following.
      equilibrium_principal_utility: a reference, see `terms.OneAgentReference`.
      equilibrium_agent_utility: likewise.
      best_response_over_following: likewise.
      deviation_gain: likewise.
      agent_loss: mean over the iterations since the last evaluation.
    """

    principal_utility: jax.Array
    equilibrium_principal_utility: jax.Array
    utility_ratio: jax.Array
    agent_utility: jax.Array
    equilibrium_agent_utility: jax.Array
    payment: jax.Array
    followed_share: jax.Array
    own_over_recommended_following: jax.Array
    best_response_over_following: jax.Array
    deviation_gain: jax.Array
    agent_loss: jax.Array

    __repr__ = by_shape


class Plays(NamedTuple):
    """What the mixes bring, in expectation; NaN where a scheme does not tell them apart.

    Attributes:
      values: `[M, ...]`.
      followed_share: `[]`, where all play their own policies.
      following: `[]`, an agent's utility of its own policy over that of following, while the others
        follow; a mean over agents.
      own: `[]`, the same while the others play their own policies.
    """

    values: PlayValue
    followed_share: jax.Array
    following: jax.Array
    own: jax.Array


def evaluate(
    learner: Learner, terms: Terms, own_policy: Policy, agent_loss: jax.Array
) -> ValidationMetrics | OneAgentMetrics:
    """Computes the metrics of black boxes.

    Args:
      learner: of the principal's training.
      terms: what black boxes face, in a game that has a table.
      own_policy: what they do.
      agent_loss: passed through.
    """
    problem = learner.problem
    plays = play_out(learner, terms, own_policy)
    value = jax.tree.map(lambda leaf: leaf[mixes(problem.env.num_agents).nobody], plays.values)
    if isinstance(terms.reference, OneAgentReference):
        utility = principal_utility(problem, value)
        return OneAgentMetrics(
            principal_utility=utility,
            utility_ratio=ratio(utility, terms.reference.equilibrium_principal_utility),
            agent_utility=value.utilities[0],
            payment=value.payment,
            followed_share=plays.followed_share,
            own_over_recommended_following=plays.following,
            **vars(terms.reference),
            agent_loss=agent_loss,
        )
    assert isinstance(terms.reference, ExactReference)
    others = problem.env.num_agents - 1
    # What agents hand over of their own they do not get from outside.
    proportion = (
        jnp.asarray(terms.scheme.proportion) * others - (1 - jnp.asarray(terms.scheme.own_share))
    ) * value.welfare
    value = PlayValue(value.welfare, value.payment + proportion, value.utilities)
    return ValidationMetrics(
        welfare=value.welfare,
        payment=value.payment,
        payment_share=value.payment_share,
        followed_share=plays.followed_share,
        own_over_recommended_following=plays.following,
        own_over_recommended_own=plays.own,
        **vars(terms.reference),
        agent_loss=agent_loss,
    )


def play_out(learner: Learner, terms: Terms, own_policy: Policy) -> Plays:
    """Plays the mixes out.

    An agent that does not follow takes the action of its own policy, given the recommendation. If
    that is the recommended action, it is paid. Without a principal all play their own policies.
    """
    env, env_params = learner.problem.env, terms.env_params
    mixed = mixes(env.num_agents)

    def of_state(env_state: PyTree) -> jax.Array:
        return own_policy(env_state, recommended(learner, terms, env_state))

    own = in_every_state(env, of_state)
    offers = offered_in_every_state(learner, terms)
    recommendation = offers.recommendation

    def play(given: tuple[jax.Array, jax.Array, jax.Array]) -> PlayValue:
        follows, counted, is_played = given
        action = jnp.where(follows[None] & (recommendation != NO_ACTION), recommendation, own)
        paid_for = [
            payments_for(offers.settled(action), action)
            - fines(terms.scheme, recommendation, action),
            (action == recommendation).astype(offers.payments.dtype),
            jnp.ones_like(offers.payments[..., 0]),
        ]
        payment = jax.lax.select_n(counted, *paid_for)
        value = partial(solutions_of(env).play_values, env_params)
        shapes = jax.eval_shape(value, action, payment)
        nothing = jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), shapes)
        return jax.lax.cond(is_played, value, lambda *_: nothing, action, payment)

    is_played = is_needed(mixed, terms.scheme)
    is_offered = jnp.asarray(terms.scheme.contract_weight) > 0
    counting = np.array([_FOLLOWED, _RECOMMENDATIONS])
    all_own = np.repeat(mixed.follows[mixed.nobody][None], len(counting), axis=0)
    # One after the other, because the tables of a large game are large.
    found = jax.lax.map(
        play,
        (
            jnp.asarray(np.concatenate([mixed.follows, all_own])),
            jnp.asarray(np.append(np.full(len(mixed.follows), _CONTRACTS), counting), jnp.int32),
            jnp.append(is_played, jnp.broadcast_to(is_offered, counting.shape)),
        ),
    )
    followed, recommendations = found.payment[len(mixed.follows) :]
    values = jax.tree.map(lambda leaf: leaf[: len(mixed.follows)], found)
    agents = np.arange(env.num_agents)
    by_agent = values.utilities
    return Plays(
        values=values,
        followed_share=ratio(followed, as_count(recommendations)),
        following=mean_ratio(by_agent[mixed.all_but, agents], by_agent[mixed.everyone, agents]),
        own=mean_ratio(by_agent[mixed.nobody, agents], by_agent[mixed.only, agents]),
    )
