"""The principal: it recommends actions and offers the least payment that makes them worthwhile.

Its Q-values are *contractual*: q(s, a) is what it gets when action a is done at the least
price. With many agents they are added up before the loss (value decomposition, section 5.2 of
the paper); with one agent that is plain Q-learning.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl.contracts import minimal_contract, observed_action_contract
from jaxparl.learning import td_targets, updates
from jaxparl.learning.critics import PRINCIPAL_CRITICS, PrincipalCritic
from jaxparl.learning.networks import make_network
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.types import Contract, Offer, TrainState


class Principal(NamedTuple):
    """The principal's functions.

    Attributes:
      init: `(key, observation [N, ...]) -> TrainState`.
      offer: `(params, observation [N, ...], q_expected [N, A], q_truncated [N, A], outcome_probs
        [N, A, O]) -> Offer`. The agents' Q-values come twice: the recommendation is for agents
        with `q_expected`, and its contract for agents with `q_truncated`.
      update: one gradient step on the loss of Algorithm 2, see `make_principal`.
    """

    init: Callable[[jax.Array, jax.Array], TrainState]
    offer: Callable[..., Offer]
    update: Callable[..., tuple[TrainState, jax.Array, jax.Array]]


def least_payment(
    problem: Problem, q_truncated: jax.Array, outcome_probs: jax.Array, action: jax.Array
) -> Contract:
    """The contract for one agent's `action`, by the program that the game needs.

    Args:
      problem: whether actions are observed, and the nudge.
      q_truncated: `[A]`.
      outcome_probs: `[A, O]`.
      action: `[]` int.
    """
    nudge = problem.hyper_params.nudge
    if problem.env.observed_actions:
        return observed_action_contract(q_truncated, action, nudge)
    return minimal_contract(q_truncated, outcome_probs, action, nudge)


def offer_one(
    problem: Problem,
    critic: PrincipalCritic,
    outputs: jax.Array,
    *,
    q_expected: jax.Array,
    q_truncated: jax.Array,
    outcome_probs: jax.Array,
) -> Offer:
    """The offer to one agent, `[]` each, given the network's `outputs` `[X]`; see `Principal`."""
    contract = partial(least_payment, problem)
    price = jax.vmap(partial(contract, q_expected, outcome_probs))  # over A
    expected = price(jnp.arange(problem.env.num_actions))
    q = critic.q_contractual(outputs, outcome_probs, expected.expected_payment)
    recommendation = jnp.argmax(jnp.where(expected.implementable, q, jnp.finfo(q.dtype).min))
    offered = contract(q_truncated, outcome_probs, recommendation)
    return Offer(
        recommendation=recommendation,
        contract=offered,
        own_action=jnp.argmax(q_truncated),
        agent_value=td_targets.agent_next_value(
            q_truncated[recommendation], offered.expected_payment
        ),
        principal_value=q[recommendation],
    )


def make_principal(problem: Problem) -> Principal:
    """Builds the principal for a problem: network, form of the critic, contracts, optimiser."""
    config, env, rates = problem.config, problem.env, problem.hyper_params
    make_critic = PRINCIPAL_CRITICS[config.critic]
    critic = make_critic(env.num_actions, env.num_outcomes, problem.gamma, rates.alpha)
    space = env.observation_space(problem.env_params)
    network = make_network(space, config.hidden_sizes, critic.num_outputs)
    penalty = updates.LOSSES[config.loss]
    optimizer = updates.optimizer(config, rates.learning_rate, rates.principal_learning_rate_final)

    def init(key: jax.Array, observation: jax.Array) -> TrainState:
        return updates.init(network.init(key, observation), optimizer)

    def offer(params, observation, q_expected, q_truncated, outcome_probs):
        outputs = jnp.asarray(network.apply(params, observation))
        return jax.vmap(partial(offer_one, problem, critic))(  # over N
            outputs, q_expected=q_expected, q_truncated=q_truncated, outcome_probs=outcome_probs
        )

    def update(
        state: TrainState,
        batch: Batch,
        *,
        observation: jax.Array,
        q_truncated: jax.Array,
        outcome_probs: jax.Array,
        next_value: jax.Array,
    ) -> tuple[TrainState, jax.Array, jax.Array]:
        """Takes a step; returns the loss, and the agents' joint error `[B]` from before it.

        `q_truncated` `[B, N, A]` prices what was done; `next_value` `[B, N]` is what the next
        state is worth, 0 where the game ended.
        """
        transition = batch.transition
        price = jax.vmap(jax.vmap(partial(least_payment, problem)))  # over N, then B
        offered = price(q_truncated, outcome_probs, transition.action)
        outcome = transition.outcome[..., None]
        payment = jnp.take_along_axis(offered.payments, outcome, axis=-1)[..., 0]

        def loss(params):
            outputs = network.apply(params, observation)
            error = jax.vmap(jax.vmap(critic.error))(  # over N, then B
                outputs,
                action=transition.action,
                outcome=transition.outcome,
                reward=transition.principal_reward,
                payment=payment,
                next_value=next_value,
            )
            joint = jnp.sum(error, axis=-1)
            return jnp.mean(batch.weight * penalty(joint)), joint

        return updates.gradient_step(state, optimizer, loss)

    return Principal(init, offer, update)
