"""What black-box agents face and cannot change: the game, the offers in it, and exact references."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.config import HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.learning.problem import Problem
from jaxparl.types import PyTree
from jaxparl.validation.schemes import FrozenPrincipal, Scheme

#: No recommendation. No action equals it, so it is never followed, and nothing is paid.
NO_ACTION = -1


@struct.dataclass
class ExactReference:
    """What black boxes are compared with, exact, `[]` each.

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
    """What black-box agents face and cannot change.

    Attributes:
      env_params: the params of the game.
      hyper_params: those that the agents learn with.
      principal: what it recommends and pays.
      scheme: which of its contracts are in force, and what is paid beside them.
      reference: what the agents are compared with.
    """

    env_params: GameParams
    hyper_params: HyperParams
    principal: FrozenPrincipal
    scheme: Scheme
    reference: ExactReference


def make_terms(problem: Problem, principal: FrozenPrincipal, scheme: Scheme) -> Terms:
    """What agents face under a scheme, and what it is exactly worth to do best or to follow."""
    env, env_params, hyper_params = problem.env, problem.env_params, problem.hyper_params
    recommendation = principal.recommendation
    payment = jnp.asarray(scheme.contract_weight) * principal.payment + scheme.nudge

    def best_over_following() -> jax.Array:
        followed = env.exact.play_values(env_params, recommendation, payment).utilities
        offered = payment[..., None] * jax.nn.one_hot(recommendation, env.num_actions)
        best = env.exact.best_responses(env_params, recommendation, offered)
        return jnp.mean(best / followed)

    equilibrium = env.exact.equilibrium(env_params, hyper_params.alpha)
    reference = ExactReference(
        optimal_welfare=env.exact.optimal_welfare(env_params),
        equilibrium_payment_share=equilibrium.payment_share,
        # Solving takes long in a large game: not where nothing is offered.
        best_response_over_following=jax.lax.cond(
            jnp.asarray(scheme.contract_weight) > 0,
            best_over_following,
            lambda: jnp.float32(jnp.nan),
        ),
    )
    return Terms(env_params, hyper_params, principal, scheme, reference)


def recommended(env: Environment, terms: Terms, env_state: PyTree) -> jax.Array:
    """`[N]` int, what is recommended in one state; `NO_ACTION` where there is no principal."""
    is_in_force = jnp.asarray(terms.scheme.contract_weight) > 0
    index = env.exact.state_index(env_state)
    recommendation = terms.principal.recommendation[index].astype(jnp.int32)
    return jnp.where(is_in_force, recommendation, NO_ACTION)


def paid(
    env: Environment,
    terms: Terms,
    env_state: PyTree,
    recommendation: jax.Array,
    action: jax.Array,
) -> jax.Array:
    """`[N]`, what the principal pays for actions `[N]` in one state, nudges included.

    Whoever follows gets its contract's payment. Nobody else gets anything.
    """
    follows = action == recommendation
    payment = terms.principal.payment[env.exact.state_index(env_state)]
    return follows * (terms.scheme.contract_weight * payment + terms.scheme.nudge)
