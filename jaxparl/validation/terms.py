"""What black-box agents face and cannot change: the game, its offers, and exact references."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.config import HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation import audit
from jaxparl.evaluation.offers import payments_by_action, payments_for
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.numbers import mean_ratio
from jaxparl.types import PlayValue, PyTree
from jaxparl.validation import frozen
from jaxparl.validation.frozen import FrozenPrincipal, Offered, OfferTable
from jaxparl.validation.schemes import Scheme

#: Stands for no recommendation. No action equals it, so it is never followed and nothing is paid.
NO_ACTION = -1


@struct.dataclass
class ExactReference:
    """The exact values that several black boxes are compared with, `[]` each.

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
class OneAgentReference:
    """The exact values that one black box is compared with, `[]` each.

    Attributes:
      equilibrium_principal_utility: in the subgame-perfect equilibrium of the paper's objective.
      equilibrium_agent_utility: likewise, payments included.
      best_response_over_following: the utility of the best response to the offers over that of
        following; NaN where nothing is offered.
      deviation_gain: the same as a difference.
    """

    equilibrium_principal_utility: jax.Array
    equilibrium_agent_utility: jax.Array
    best_response_over_following: jax.Array
    deviation_gain: jax.Array


#: Empty where the game has no exact solutions.
Reference = ExactReference | OneAgentReference | tuple[()]


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
    reference: Reference


def make_terms(learner: Learner, principal: FrozenPrincipal, scheme: Scheme) -> Terms:
    """Puts together what agents face under a scheme, and solves the game that results.

    Args:
      learner: of the principal's training.
      principal: as from `frozen.freeze`.
      scheme: how agents are rewarded.
    """
    problem = learner.problem
    terms = Terms(problem.env_params, problem.hyper_params, principal, scheme, ())
    if problem.env.exact is None:
        return terms
    solve = _one_agent if problem.env.num_agents == 1 else _several_agents
    return dataclasses.replace(terms, reference=solve(learner, terms))


def _several_agents(learner: Learner, terms: Terms) -> ExactReference:
    def best_over_following() -> jax.Array:
        followed, best = _responses(learner, terms)
        return mean_ratio(best, followed)

    solved = audit.solve(learner.problem)
    return ExactReference(
        optimal_welfare=solved.optimal_welfare,
        equilibrium_payment_share=solved.equilibrium_payment_share,
        # Solving a large game takes long, so it is skipped where nothing is offered.
        best_response_over_following=jax.lax.cond(
            jnp.asarray(terms.scheme.contract_weight) > 0,
            best_over_following,
            lambda: jnp.full((), jnp.nan, float),
        ),
    )


def _one_agent(learner: Learner, terms: Terms) -> OneAgentReference:
    problem = learner.problem
    exact, alpha = solutions_of(problem.env), problem.hyper_params.alpha
    solved = exact.equilibrium(problem.env_params, alpha, problem.gamma)
    followed, best = _responses(learner, terms)
    is_offered = jnp.asarray(terms.scheme.contract_weight) > 0
    return OneAgentReference(
        equilibrium_principal_utility=principal_utility(problem, solved),
        equilibrium_agent_utility=solved.utilities[0],
        best_response_over_following=jnp.where(is_offered, mean_ratio(best, followed), jnp.nan),
        deviation_gain=jnp.where(is_offered, (best - followed)[0], jnp.nan),
    )


def principal_utility(problem: Problem, value: PlayValue) -> jax.Array:
    """`[]`, the principal's rewards less alpha times the payments; NaN where these are unknown."""
    if value.principal_reward is None:
        return jnp.full((), jnp.nan, float)
    return value.principal_reward - problem.hyper_params.alpha * value.payment


def _responses(learner: Learner, terms: Terms) -> tuple[jax.Array, jax.Array]:
    """What each agent gets while the others follow, `[N]`: by following, and at most."""
    exact, env_params = solutions_of(learner.problem.env), terms.env_params
    offers = offered_in_every_state(learner, terms)
    action = offers.recommendation
    # Of an agent whose others follow; if it does something else, it is fined.
    by_action = offers.settled(action) - fines_of_one(terms.scheme, learner.problem.env, action)
    followed = exact.play_values(env_params, action, payments_for(by_action, action))
    return followed.utilities, exact.best_responses(env_params, action, by_action)


def recommended(learner: Learner, terms: Terms, env_state: PyTree) -> jax.Array:
    """What is recommended in one state, `[N]` int; `NO_ACTION` where there is no principal.

    Examples:
      >>> from jaxparl.config import Config
      >>> from jaxparl.envs import make
      >>> from jaxparl.learning.learner import make_learner
      >>> from jaxparl.validation.frozen import OfferTable
      >>> env, env_params = make("coin_game", grid_size=2)
      >>> learner = make_learner(Problem(Config(), env, env_params, HyperParams()))
      >>> principal = OfferTable(jnp.full((128, 2), 3, jnp.int8), payment=jnp.ones((128, 2)))
      >>> env_state = jax.tree.map(lambda leaf: leaf[5], env.exact.states())
      >>> for scheme in (Scheme(contract_weight=1.0), Scheme()):
      ...     terms = Terms(env_params, HyperParams(), principal, scheme, ())
      ...     print(recommended(learner, terms, env_state))
      [3 3]
      [-1 -1]
    """
    recommendation = frozen.recommended(learner, terms.principal, env_state)
    return _if_in_force(terms.scheme, recommendation)


def offered(learner: Learner, terms: Terms, env_state: PyTree) -> Offered:
    """What is recommended in one state, and paid for each outcome.

    Where actions are observed, agents that follow are paid by their contracts, and the nudge; the
    others get nothing. Where actions are hidden nobody sees who follows, and there is no nudge.

    Args:
      learner: of the principal's training.
      terms: what is offered.
      env_state: of the game.

    Examples:
      >>> from jaxparl.config import Config
      >>> from jaxparl.envs import make
      >>> from jaxparl.learning.learner import make_learner
      >>> from jaxparl.validation.frozen import OfferTable
      >>> env, env_params = make("coin_game", grid_size=2)
      >>> learner = make_learner(Problem(Config(), env, env_params, HyperParams()))
      >>> principal = OfferTable(jnp.full((128, 2), 3, jnp.int8), payment=jnp.ones((128, 2)))
      >>> half = Scheme(contract_weight=0.5, nudge=0.25)
      >>> terms = Terms(env_params, HyperParams(), principal, half, ())
      >>> env_state = jax.tree.map(lambda leaf: leaf[5], env.exact.states())
      >>> print(offered(learner, terms, env_state).payments)
      [[0.   0.   0.   0.75]
       [0.   0.   0.   0.75]]
    """
    is_conditional = terms.scheme.conditional is not None
    found = frozen.offered(learner, terms.principal, env_state, conditional=is_conditional)
    return _under(terms.scheme, learner.problem.env, found)


def offered_in_every_state(learner: Learner, terms: Terms) -> Offered:
    """What is recommended `[S, N]`, and paid for each action in expectation, `[S, N, A]`.

    The principal must be a table.
    """
    env, table = learner.problem.env, terms.principal
    assert isinstance(table, OfferTable)

    def of_row(row: OfferTable) -> Offered:
        return _under(terms.scheme, env, frozen.row_of(env, row))

    found = jax.vmap(of_row)(table)  # over S
    by_action = payments_by_action(learner.problem, found.payments)
    # Offers are conditional only where actions are observed: then they are by action already.
    return found._replace(payments=by_action)


def _if_in_force(scheme: Scheme, recommendation: jax.Array) -> jax.Array:
    return jnp.where(jnp.asarray(scheme.contract_weight) > 0, recommendation, NO_ACTION)


def _under(scheme: Scheme, env: Environment, offers: Offered) -> Offered:
    """What becomes of offers in one state under a scheme."""
    recommendation = _if_in_force(scheme, offers.recommendation)
    is_asked = jax.nn.one_hot(recommendation, env.num_outcomes, dtype=bool)

    def under(payments: jax.Array) -> jax.Array:
        total = jnp.asarray(scheme.contract_weight) * payments
        if not env.observed_actions:
            return total
        return jnp.where(is_asked, total + scheme.nudge, total)

    payments = under(offers.payments)
    if scheme.conditional is None or offers.together is None:
        return Offered(recommendation, payments, None)
    is_conditional = jnp.asarray(scheme.conditional) > 0
    together = jnp.where(is_conditional, under(offers.together), payments)
    return Offered(recommendation, payments, together)


def fines(scheme: Scheme, recommendation: jax.Array, action: jax.Array) -> jax.Array:
    """`[..., N]`, what agents lose by fines: their own, less their parts of the others'.

    Args:
      scheme: with its fine; None where no scheme has any.
      recommendation: `[..., N]` int, what they were asked for; `NO_ACTION` is never fined.
      action: `[..., N]` int, what they did.
    """
    deviates = (action != recommendation) & (recommendation != NO_ACTION)
    own = deviates.astype(jnp.float32)
    if scheme.fine is None or own.shape[-1] == 1:
        return jnp.zeros_like(own)
    others = jnp.sum(own, axis=-1, keepdims=True) - own
    return jnp.asarray(scheme.fine) * (own - others / (own.shape[-1] - 1))


def fines_of_one(scheme: Scheme, env: Environment, recommendation: jax.Array) -> jax.Array:
    """`[S, N, A]`, what an agent is fined for each of its actions, while all others follow."""
    asked = jax.nn.one_hot(recommendation, env.num_actions)
    fine = 0.0 if scheme.fine is None else scheme.fine
    is_asked_anything = (recommendation != NO_ACTION)[..., None]
    return jnp.where(is_asked_anything, fine * (1 - asked), 0.0)
