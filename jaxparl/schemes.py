"""What black-box agents are paid, and by whom: a frozen principal, or a baseline's rule.

A trained principal is held against schemes that need none (section 5.2 of the paper, Figures 2
and 4): selfish agents, cooperative ones, and agents that are given a constant proportion of what
the others earn. A scheme is a few numbers, so that all of them run in one compiled program.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxparl import play
from jaxparl.config import Rates
from jaxparl.environment import Game, GameParams
from jaxparl.lockstep import Learner
from jaxparl.run_state import Weights
from jaxparl.types import PlayValue, PyTree

#: The recommendation of nobody: no action equals it, so it is never followed, and nothing is paid.
NO_ACTION = -1


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
    """All that a principal which learns no more will ever say: a table, so that nobody asks twice.

    Attributes:
      recommendation: `[S, N]` int8, the actions that it asks for.
      payment: `[S, N]`, what it pays each agent that does them.
    """

    recommendation: jax.Array
    payment: jax.Array


@struct.dataclass
class Yardstick:
    """What black boxes are held against, exact, `[]` each.

    Attributes:
      optimal_welfare: the most that all agents together can expect in an episode.
      equilibrium_payment_share: what the subgame-perfect equilibrium of the paper's objective
        pays, as a share of its welfare.
      best_response_over_following: the utility of an agent that best-responds to what it is
        offered over that of following, while the others follow; a mean over agents. NaN where
        nothing is offered.
    """

    optimal_welfare: jax.Array
    equilibrium_payment_share: jax.Array
    best_response_over_following: jax.Array


@struct.dataclass
class Terms:
    """What black-box agents face and cannot change: the game, and who pays in it.

    Attributes:
      game_params: the game.
      rates: those that the agents learn with.
      principal: what it asks for and pays.
      scheme: which of its contracts are in force, and what is paid beside them.
      yardstick: what they are held against.
    """

    game_params: GameParams
    rates: Rates
    principal: FrozenPrincipal
    scheme: Scheme
    yardstick: Yardstick


def freeze(
    learner: Learner, game_params: GameParams, rates: Rates, weights: Weights
) -> FrozenPrincipal:
    """Writes a trained principal out, state by state."""
    offered = play.learned_offers(learner, game_params, rates, weights)
    return FrozenPrincipal(
        recommendation=offered.recommendation.astype(jnp.int8),
        payment=play.asked_payments(offered),
    )


def followed_play(env: Game, game_params: GameParams, principal: FrozenPrincipal) -> PlayValue:
    """What an episode brings, exactly, in which all follow a principal of several agents."""
    return env.play_values(game_params, principal.recommendation, principal.payment)


def compared(
    env: Game, game_params: GameParams, followed: PlayValue, nudge_share: ArrayLike
) -> dict[str, Scheme]:
    """The schemes that the paper compares with a principal, and the principal itself, by name.

    The nudge is worth `nudge_share` of the welfare of the principal's greedy play. Our agents get
    it in equal parts, for every recommendation that they follow: where all follow throughout an
    episode, which lasts as long as the time limit says, exactly that much is paid in all. A
    constant proportion that pays a share x of the welfare is x / (N - 1), as every reward is paid
    to the N - 1 others; x is what the principal pays if all follow, and the nudge, as a share of
    the welfare too, comes on top of it.

    Args:
      env: the game, of several agents.
      game_params: its params.
      followed: `followed_play` of the principal.
      nudge_share: `[]`, the paper's is 0 or 0.1.
    """
    parts = game_params.max_steps_in_episode * env.num_agents
    proportion = (followed.payment_share + nudge_share) / (env.num_agents - 1)
    return {
        "principal": Scheme(contract_weight=1.0, nudge=nudge_share * followed.welfare / parts),
        "constant": Scheme(proportion=proportion),
        "cooperative": Scheme(proportion=1.0),
        "selfish": Scheme(),
    }


def terms(
    env: Game, game_params: GameParams, rates: Rates, principal: FrozenPrincipal, scheme: Scheme
) -> Terms:
    """What agents face under a scheme, and what it is exactly worth to do best or to follow."""
    asked = principal.recommendation
    paid = jnp.asarray(scheme.contract_weight) * principal.payment + scheme.nudge

    def best_over_following() -> jax.Array:
        followed = env.play_values(game_params, asked, paid).utilities
        offered = paid[..., None] * jax.nn.one_hot(asked, env.num_actions)
        return jnp.mean(env.best_responses(game_params, asked, offered) / followed)

    yardstick = Yardstick(
        optimal_welfare=env.optimal_welfare(game_params),
        equilibrium_payment_share=env.equilibrium(game_params, rates.alpha).payment_share,
        # Solving takes long in a large game: not where nothing is offered.
        best_response_over_following=jax.lax.cond(
            jnp.asarray(scheme.contract_weight) > 0,
            best_over_following,
            lambda: jnp.float32(jnp.nan),
        ),
    )
    return Terms(game_params, rates, principal, scheme, yardstick)


def recommended(env: Game, terms: Terms, game: PyTree) -> jax.Array:
    """`[N]` int, the actions asked for in one state; `NO_ACTION` where there is no principal."""
    is_in_force = jnp.asarray(terms.scheme.contract_weight) > 0
    asked = terms.principal.recommendation[env.state_index(game)].astype(jnp.int32)
    return jnp.where(is_in_force, asked, NO_ACTION)


def paid(
    env: Game, terms: Terms, game: PyTree, recommendation: jax.Array, action: jax.Array
) -> jax.Array:
    """`[N]`, what the principal pays for actions `[N]` in one state, nudges included.

    Whoever follows gets its contract's payment. Nobody else gets anything.
    """
    follows = action == recommendation
    payment = terms.principal.payment[env.state_index(game)]
    return follows * (terms.scheme.contract_weight * payment + terms.scheme.nudge)


def total_rewards(scheme: Scheme, agent_reward: jax.Array, payment: jax.Array) -> jax.Array:
    """`[N]`, what agents learn from: r_i + p sum_{j != i} r_j + what the principal pays."""
    others = jnp.sum(agent_reward) - agent_reward
    return agent_reward + scheme.proportion * others + payment
