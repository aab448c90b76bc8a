"""Evaluation with one agent: what learned contracts earn from an agent that responds optimally.

The learned contracts are offered in every state to an oracle agent, which best-responds to them by
dynamic programming. The principal's utility is compared with that in the subgame-perfect
equilibrium (section 5.1 of the paper). Nothing is sampled.

The equilibrium is not a strict upper bound. Offers in every state are a commitment. An offer that
the principal would rather not keep in one state can steer the agent in the states before it, and
thereby earn slightly more than any subgame-perfect offers.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.equilibrium import (
    Equilibrium,
    backward_induction,
    best_response,
    stationary_response,
    value_iteration,
)
from jaxparl.evaluation.offers import learned_offers
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, RunState, target_weights
from jaxparl.numbers import ratio
from jaxparl.summaries import by_shape
from jaxparl.types import Offer


@struct.dataclass
class OracleExact:
    """The equilibrium that learning is compared with, for one agent.

    Attributes:
      recommendation: `[S]`, the recommended action in each state.
      principal_utility: `[]`, from where episodes start, net of payments.
      agent_utility: `[]`, payments included.
    """

    recommendation: jax.Array
    principal_utility: jax.Array
    agent_utility: jax.Array


@struct.dataclass
class OracleMetrics:
    """One evaluation of one run with one agent, `[]` each.

    Attributes:
      principal_utility: what the learned contracts earn against the oracle agent.
      equilibrium_principal_utility: the principal's utility in equilibrium.
      utility_ratio: the first over the second; NaN where the second is not positive.
      agent_utility: the oracle agent's utility under the learned contracts.
      equilibrium_agent_utility: the agent's utility in equilibrium.
      recommendation_accuracy: share of the states where the equilibrium's action is recommended.
      obedience: share of the states where the oracle agent follows the recommendation.
      agent_loss: mean over the iterations since the last evaluation.
      principal_loss: likewise.
      outcome_model_loss: likewise; 0 where the outcome distribution is known.
    """

    principal_utility: jax.Array
    equilibrium_principal_utility: jax.Array
    utility_ratio: jax.Array
    agent_utility: jax.Array
    equilibrium_agent_utility: jax.Array
    recommendation_accuracy: jax.Array
    obedience: jax.Array
    agent_loss: jax.Array
    principal_loss: jax.Array
    outcome_model_loss: jax.Array

    __repr__ = by_shape


def solve(problem: Problem) -> OracleExact:
    """The subgame-perfect equilibrium of a game of one agent."""
    env = problem.env
    table = env.tabular(problem.env_params)
    if env.horizon is None:
        solution = value_iteration(table)
    else:
        solution = backward_induction(table, env.horizon)
    return OracleExact(
        recommendation=at_own_time(problem, solution.action),
        principal_utility=at_start(problem, solution.principal_value),
        agent_utility=at_start(problem, solution.agent_value),
    )


def at_start(problem: Problem, value: jax.Array) -> jax.Array:
    """What a value `[T, S]`, or `[S]` without a horizon, is where episodes start, `[]`."""
    start = problem.env.start_probs(problem.env_params)
    first = value if problem.env.horizon is None else value[0]
    return jnp.sum(start.astype(first.dtype) * first)


def at_own_time(problem: Problem, leaf: jax.Array) -> jax.Array:
    """What an array `[T, S]`, or `[S]` without a horizon, says of each state at its time, `[S]`."""
    if problem.env.horizon is None:
        return leaf
    states = problem.env.exact.states()  # type: ignore[union-attr]
    return leaf[states.time, jnp.arange(leaf.shape[1])]


def respond(problem: Problem, offered: Offer) -> Equilibrium:
    """The oracle agent's best response to offers `[S, 1]` that do not depend on time."""
    env = problem.env
    table = env.tabular(problem.env_params)
    contracts, recommended = offered.contract.payments[:, 0], offered.recommendation[:, 0]
    if env.horizon is None:
        return stationary_response(table, contracts, recommended)

    def at_every_step(leaf: jax.Array) -> jax.Array:
        return jnp.broadcast_to(leaf, (env.horizon or 0, *leaf.shape))

    return best_response(table, env.horizon, at_every_step(contracts), at_every_step(recommended))


def evaluate(
    learner: Learner, exact: OracleExact, state: RunState, losses: Losses
) -> OracleMetrics:
    """Offers the learned contracts to the oracle agent, and compares with the equilibrium."""
    offered = learned_offers(learner, target_weights(state))
    response = respond(learner.problem, offered)
    recommendation = offered.recommendation[:, 0]
    done = at_own_time(learner.problem, response.action)
    utility = at_start(learner.problem, response.principal_value)
    return OracleMetrics(
        principal_utility=utility,
        equilibrium_principal_utility=exact.principal_utility,
        utility_ratio=ratio(utility, exact.principal_utility),
        agent_utility=at_start(learner.problem, response.agent_value),
        equilibrium_agent_utility=exact.agent_utility,
        recommendation_accuracy=jnp.mean(recommendation == exact.recommendation),
        obedience=jnp.mean(done == recommendation),
        agent_loss=losses.agent,
        principal_loss=losses.principal,
        outcome_model_loss=losses.outcome_model,
    )
