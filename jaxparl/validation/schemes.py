"""How black-box agents are rewarded: by a frozen principal, or by a baseline's rule.

A trained principal is compared with schemes that need none (section 5.2 of the paper, Figures 2
and 4): selfish agents, cooperative ones, and agents that are given a constant proportion of what
the others earn. A scheme is a few numbers, so that all of them run in one compiled program.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxparl.evaluation.offers import learned_offers, payments_for_following
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.types import PlayValue


@struct.dataclass
class Scheme:
    """How agents are rewarded; a float each, or arrays under `vmap`. The default is selfish.

    Attributes:
      contract_weight: the share of its contracts that the principal pays; with 0 there is no
        principal, and nothing is recommended.
      proportion: p, the share of the others' rewards that each agent gets beside its own; with 1
        agents are cooperative.
      nudge: what an agent gets for following a recommendation beside its contract, per step, in
        units of reward.
    """

    contract_weight: ArrayLike = 0.0
    proportion: ArrayLike = 0.0
    nudge: ArrayLike = 0.0


@struct.dataclass
class FrozenPrincipal:
    """All that a principal which learns no more will ever offer, as a table.

    Attributes:
      recommendation: `[S, N]` int8, the actions that it recommends.
      payment: `[S, N]`, what it pays each agent that takes them.
    """

    recommendation: jax.Array
    payment: jax.Array


def freeze(learner: Learner, weights: Weights) -> FrozenPrincipal:
    """Writes a trained principal out, state by state."""
    offered = learned_offers(learner, weights)
    return FrozenPrincipal(
        recommendation=offered.recommendation.astype(jnp.int8),
        payment=payments_for_following(offered),
    )


def followed_play(problem: Problem, principal: FrozenPrincipal) -> PlayValue:
    """What an episode brings, exactly, in which all agents follow a principal."""
    exact = problem.env.exact
    return exact.play_values(problem.env_params, principal.recommendation, principal.payment)


def comparable_schemes(
    problem: Problem, followed: PlayValue, nudge_share: ArrayLike
) -> dict[str, Scheme]:
    """The schemes that the paper compares with a principal, and the principal itself, by name.

    The nudge is worth `nudge_share` of the welfare of the principal's greedy play. Our agents get
    it in equal parts, for every recommendation that they follow: where all follow throughout an
    episode, which lasts as long as the time limit says, exactly that much is paid in all. A
    constant proportion that pays a share x of the welfare is x / (N - 1), as every reward is paid
    to the N - 1 others; x is what the principal pays if all follow, and the nudge, as a share of
    the welfare too, comes on top of it.

    Args:
      problem: of several agents.
      followed: `followed_play` of the principal.
      nudge_share: `[]`, the paper's is 0 or 0.1.
    """
    num_agents = problem.env.num_agents
    parts = problem.env_params.max_steps_in_episode * num_agents
    proportion = (followed.payment_share + nudge_share) / (num_agents - 1)
    return {
        "principal": Scheme(contract_weight=1.0, nudge=nudge_share * followed.welfare / parts),
        "constant": Scheme(proportion=proportion),
        "cooperative": Scheme(proportion=1.0),
        "selfish": Scheme(),
    }


def total_rewards(scheme: Scheme, agent_reward: jax.Array, payment: jax.Array) -> jax.Array:
    """`[N]`, what agents learn from: r_i + p sum_{j != i} r_j + what the principal pays.

    Examples:
      >>> rewards, payments = jnp.array([1.0, 0.0]), jnp.array([0.0, 0.25])
      >>> total_rewards(Scheme(proportion=0.5), rewards, payments).tolist()
      [1.0, 0.75]
    """
    others = jnp.sum(agent_reward) - agent_reward
    return agent_reward + scheme.proportion * others + payment
