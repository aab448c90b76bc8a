"""Evaluation with several agents: the exact value of learned contracts, and a certificate.

All agents follow the principal. What an episode then brings is computed, not sampled. So is the
most that any agent could gain by deviating, which measures how far the contracts are from being
incentive compatible. (Section 5.2 of the paper measures this with agents that learn.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.offers import learned_offers, payments_by_action, payments_for
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, RunState, target_weights
from jaxparl.numbers import ratio
from jaxparl.summaries import by_shape
from jaxparl.types import Offer, PlayValue


@struct.dataclass
class AuditExact:
    """What learning is compared with, for several agents, `[]` each.

    Attributes:
      optimal_welfare: the most that all agents together can expect in an episode.
      equilibrium_payment_share: what the subgame-perfect equilibrium of the paper's objective
        pays, as a share of its welfare.
    """

    optimal_welfare: jax.Array
    equilibrium_payment_share: jax.Array


@struct.dataclass
class AuditMetrics:
    """One evaluation of one run with several agents, `[]` each.

    Exact expectations of an episode in which all follow, see `PlayValue`.

    Attributes:
      welfare: the rewards of all agents, payments not included.
      optimal_welfare: the most that it can be.
      welfare_ratio: the first over the second; NaN where the most is not positive.
      payment_share: payments over welfare, see `PlayValue`.
      equilibrium_payment_share: the same in equilibrium.
      deviation_gain: the certificate, the most that one agent could gain by deviating while the
        others follow, in units of reward.
      relative_deviation_gain: the largest gain as a share of the agent's utility; NaN where that of
        some agent is not positive.
      agent_loss: mean over the iterations since the last evaluation.
      principal_loss: likewise.
      outcome_model_loss: likewise.
    """

    welfare: jax.Array
    optimal_welfare: jax.Array
    welfare_ratio: jax.Array
    payment_share: jax.Array
    equilibrium_payment_share: jax.Array
    deviation_gain: jax.Array
    relative_deviation_gain: jax.Array
    agent_loss: jax.Array
    principal_loss: jax.Array
    outcome_model_loss: jax.Array

    __repr__ = by_shape


@struct.dataclass
class Audit:
    """Exact expectations of an episode in which all follow the learned recommendations.

    Attributes:
      values: what it brings.
      best_responses: `[N]`, the most that each agent could get while the others follow.

    Examples:
      >>> values = PlayValue(jnp.float32(4.0), jnp.float32(1.0), utilities=jnp.array([3.0, 2.0]))
      >>> print(Audit(values, best_responses=jnp.array([3.25, 2.0])).deviation_gain)
      0.25
    """

    values: PlayValue
    best_responses: jax.Array

    @property
    def deviation_gain(self) -> jax.Array:
        """`[]`, the certificate: the most that one agent could gain by deviating."""
        return jnp.max(self.best_responses - self.values.utilities)

    @property
    def relative_deviation_gain(self) -> jax.Array:
        """`[]`, the largest gain as a share of the agent's utility.

        NaN where the utility of some agent is not positive.
        """
        return jnp.max(ratio(self.best_responses, self.values.utilities)) - 1.0


def audit(problem: Problem, offered: Offer) -> Audit:
    """Computes what offers in every state, `[S, N]`, are worth, by dynamic programming."""
    exact, env_params = solutions_of(problem.env), problem.env_params
    action = offered.recommendation
    by_action = payments_by_action(problem, offered.contract.payments)
    return Audit(
        values=exact.play_values(env_params, action, payments_for(by_action, action)),
        best_responses=exact.best_responses(env_params, action, by_action),
    )


def solve(problem: Problem) -> AuditExact:
    """The optimal welfare, and the equilibrium of the paper's objective in this game.

    Welfare and payments of an episode are undiscounted. What the players decide by in equilibrium
    is discounted as in the game that is learned.
    """
    exact, env_params = solutions_of(problem.env), problem.env_params
    equilibrium = exact.equilibrium(env_params, problem.hyper_params.alpha, problem.gamma)
    return AuditExact(
        optimal_welfare=exact.optimal_welfare(env_params),
        equilibrium_payment_share=equilibrium.payment_share,
    )


def evaluate(learner: Learner, exact: AuditExact, state: RunState, losses: Losses) -> AuditMetrics:
    """Audits the learned contracts."""
    offered = learned_offers(learner, target_weights(state))
    found = audit(learner.problem, offered)
    return AuditMetrics(
        welfare=found.values.welfare,
        optimal_welfare=exact.optimal_welfare,
        welfare_ratio=ratio(found.values.welfare, exact.optimal_welfare),
        payment_share=found.values.payment_share,
        equilibrium_payment_share=exact.equilibrium_payment_share,
        deviation_gain=found.deviation_gain,
        relative_deviation_gain=found.relative_deviation_gain,
        agent_loss=losses.agent,
        principal_loss=losses.principal,
        outcome_model_loss=losses.outcome_model,
    )
