"""What black-box agents face and cannot change: the game, its offers, and exact references."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.config import HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation import audit
from jaxparl.learning.problem import Problem
from jaxparl.numbers import mean_ratio
from jaxparl.types import PyTree
from jaxparl.validation.schemes import FrozenPrincipal, Scheme

#: Stands for no recommendation. No action equals it, so it is never followed and nothing is paid.
NO_ACTION = -1


@struct.dataclass
class ExactReference:
    """The exact values that black boxes are compared with, `[]` each.

    Attributes:
      optimal_welfare: the most that all agents together can expect in an episode.
      equilibrium_payment_share: what the subgame-perfect equilibrium of the paper's objective
        pays, as a share of its welfare.
      best_response_over_following: while the others follow, an agent's utility of the best
        response to its offers over that of following; a mean over agents. NaN where nothing is
        offered.
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
      principal: what is recommended and paid in every state.
      scheme: how much of it is in force, and what is paid besides.
      reference: the exact values that the agents are compared with.
    """

    env_params: GameParams
    hyper_params: HyperParams
    principal: FrozenPrincipal
    scheme: Scheme
    reference: ExactReference


def make_terms(problem: Problem, principal: FrozenPrincipal, scheme: Scheme) -> Terms:
    """Puts together what agents face under a scheme, and solves the game that results."""
    env, env_params, hyper_params = problem.env, problem.env_params, problem.hyper_params
    exact = solutions_of(env)
    recommendation = principal.recommendation
    payment = jnp.asarray(scheme.contract_weight) * principal.payment + scheme.nudge

    def best_over_following() -> jax.Array:
        followed = exact.play_values(env_params, recommendation, payment).utilities
        offered = payment[..., None] * jax.nn.one_hot(recommendation, env.num_actions)
        best = exact.best_responses(env_params, recommendation, offered)
        return mean_ratio(best, followed)

    solved = audit.solve(problem)
    reference = ExactReference(
        optimal_welfare=solved.optimal_welfare,
        equilibrium_payment_share=solved.equilibrium_payment_share,
        # Solving a large game takes long, so it is skipped where nothing is offered.
        best_response_over_following=jax.lax.cond(
            jnp.asarray(scheme.contract_weight) > 0,
            best_over_following,
            lambda: jnp.full((), jnp.nan, float),
        ),
    )
    return Terms(env_params, hyper_params, principal, scheme, reference)


def recommended(env: Environment, terms: Terms, env_state: PyTree) -> jax.Array:
    """What is recommended in one state, `[N]` int; `NO_ACTION` where there is no principal.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, env_params = make("coin_game", grid_size=2)
      >>> nothing = ExactReference(0.0, 0.0, 0.0)
      >>> principal = FrozenPrincipal(jnp.full((128, 2), 3, jnp.int8), payment=jnp.ones((128, 2)))
      >>> env_state = jax.tree.map(lambda leaf: leaf[5], env.exact.states())
      >>> for scheme in (Scheme(contract_weight=1.0), Scheme()):
      ...     terms = Terms(env_params, HyperParams(), principal, scheme, nothing)
      ...     print(recommended(env, terms, env_state))
      [3 3]
      [-1 -1]
    """
    is_in_force = jnp.asarray(terms.scheme.contract_weight) > 0
    index = solutions_of(env).state_index(env_state)
    recommendation = terms.principal.recommendation[index].astype(jnp.int32)
    return jnp.where(is_in_force, recommendation, NO_ACTION)


def paid(
    env: Environment,
    terms: Terms,
    env_state: PyTree,
    recommendation: jax.Array,
    action: jax.Array,
) -> jax.Array:
    """What the principal pays in one state, `[N]`, nudges included.

    Agents that follow get the payment of their contract. The others get nothing.

    Args:
      env: of several agents, with exact solutions.
      terms: what is offered.
      env_state: of `env`.
      recommendation: `[N]`, as from `recommended`.
      action: `[N]`, what the agents do.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, env_params = make("coin_game", grid_size=2)
      >>> nothing = ExactReference(0.0, 0.0, 0.0)
      >>> principal = FrozenPrincipal(jnp.full((128, 2), 3, jnp.int8), payment=jnp.ones((128, 2)))
      >>> half = Scheme(contract_weight=0.5, nudge=0.25)
      >>> terms = Terms(env_params, HyperParams(), principal, half, nothing)
      >>> env_state = jax.tree.map(lambda leaf: leaf[5], env.exact.states())
      >>> asked = recommended(env, terms, env_state)
      >>> print(paid(env, terms, env_state, asked, action=jnp.array([3, 0])))
      [0.75 0.  ]
    """
    follows = action == recommendation
    payment = terms.principal.payment[solutions_of(env).state_index(env_state)]
    offered = terms.scheme.contract_weight * payment + terms.scheme.nudge
    return jnp.where(follows, offered, 0.0)
