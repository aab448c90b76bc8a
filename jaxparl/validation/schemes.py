"""How black-box agents are rewarded: by a frozen principal, or by the rule of a baseline.

A trained principal is compared with schemes that need no principal (section 5.2 of the paper,
Figures 2 and 4): selfish agents, cooperative agents, and agents that get a constant proportion of
what the others earn. A scheme is a few numbers, so one compiled program runs all of them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.offers import for_following, learned_offers
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.types import PlayValue


@struct.dataclass
class Scheme:
    """How agents are rewarded; a float each, or arrays under `vmap`. The default is selfish.

    Attributes:
      contract_weight: the share of its contracts that the principal pays. With 0 there is no
        principal, and nothing is recommended.
      proportion: p, the share of the others' rewards that each agent gets in addition to its own.
        With 1 agents are cooperative.
      nudge: what an agent gets for following a recommendation, per step, in addition to its
        contract, in units of reward.
    """

    contract_weight: ArrayLike = 0.0
    proportion: ArrayLike = 0.0
    nudge: ArrayLike = 0.0


@struct.dataclass
class FrozenPrincipal:
    """Everything that a principal offers after training, as a table.

    Attributes:
      recommendation: `[S, N]` int8, the actions that it recommends.
      payment: `[S, N]`, what it pays each agent that takes them.
    """

    recommendation: jax.Array
    payment: jax.Array


def freeze(learner: Learner, weights: Weights) -> FrozenPrincipal:
    """Tabulates what a trained principal offers."""
    offered = learned_offers(learner, weights)
    return FrozenPrincipal(
        recommendation=offered.recommendation.astype(jnp.int8),
        payment=for_following(offered.contract.payments, offered.recommendation),
    )


def followed_play(problem: Problem, principal: FrozenPrincipal) -> PlayValue:
    """What an episode brings in which all agents follow a principal, exactly."""
    exact = solutions_of(problem.env)
    return exact.play_values(problem.env_params, principal.recommendation, principal.payment)


def comparable_schemes(
    problem: Problem, followed: PlayValue, nudge_share: ArrayLike
) -> dict[str, Scheme]:
    """The principal, and the schemes that the paper compares it with, by name.

    The nudge is worth `nudge_share` of the welfare if all follow the principal. Agents get it in
    equal parts, one for every recommendation that they follow. If all follow throughout an episode,
    which lasts until the time limit, this adds up to exactly that share.

    The constant proportion pays the same share of welfare as the principal does if all follow,
    nudges included. To pay a share x it is x / (N - 1), because every reward is paid to each of the
    N - 1 others. If following brings no welfare there is nothing to share: nudges are worth 0, and
    what the principal pays is no share of anything, and counts as 0.

    Args:
      problem: of several agents.
      followed: `followed_play` of the principal.
      nudge_share: `[]`, in the paper 0 or 0.1.

    Examples:
      >>> from jaxparl.config import Config, HyperParams
      >>> from jaxparl.envs import make
      >>> env, env_params = make("coin_game", max_steps_in_episode=20)
      >>> problem = Problem(Config(), env, env_params, HyperParams())
      >>> followed = PlayValue(welfare=8.0, payment=2.0, utilities=jnp.array([5.0, 5.0]))
      >>> schemes = comparable_schemes(problem, followed, nudge_share=0.1)
      >>> print(f"{schemes['principal'].nudge:.3f}, {schemes['constant'].proportion:.3f}")
      0.020, 0.350
    """
    num_agents = problem.env.num_agents
    welfare = jnp.maximum(followed.welfare, 0)
    parts = jnp.asarray(problem.env_params.max_steps_in_episode * num_agents, welfare.dtype)
    share = jnp.where(welfare > 0, followed.payment_share, 0)
    proportion = (share + nudge_share) / (num_agents - 1)
    return {
        "principal": Scheme(contract_weight=1.0, nudge=nudge_share * welfare / parts),
        "constant": Scheme(proportion=proportion),
        "cooperative": Scheme(proportion=1.0),
        "selfish": Scheme(),
    }


def total_rewards(scheme: Scheme, agent_reward: jax.Array, payment: jax.Array) -> jax.Array:
    """What agents learn from, `[N]`: r_i + p sum_{j != i} r_j + the principal's payment to i.

    Args:
      scheme: of which p is the proportion.
      agent_reward: `[N]`, the rewards of the game.
      payment: `[N]`, what the principal pays, nudges included.

    Examples:
      >>> rewards, payments = jnp.array([1.0, 0.0]), jnp.array([0.0, 0.25])
      >>> total_rewards(Scheme(proportion=0.5), rewards, payments).tolist()
      [1.0, 0.75]
    """
    others = jnp.sum(agent_reward) - agent_reward
    return agent_reward + scheme.proportion * others + payment
