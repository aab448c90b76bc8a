"""The principal: it recommends actions and offers the least payment that makes them worthwhile.

Its Q-values are *contractual*: q(s, a) is what it gets when action a is done at the least
price. With many agents they are added up before the loss (value decomposition, section 5.2 of
the paper); with one agent that is plain Q-learning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxparl import players
from jaxparl.config import Config, Rates
from jaxparl.contracts import minimal_contract, observed_action_contract
from jaxparl.critics import PRINCIPAL_CRITICS
from jaxparl.environment import Game
from jaxparl.networks import make_network
from jaxparl.types import Contract, Offer, PlayerState, Transition


class Principal(NamedTuple):
    """The principal's functions.

    Attributes:
      init: `(key, observation [N, ...], rates) -> PlayerState`.
      offer: `(params, observation [N, ...], q_expected [N, A], q_truncated [N, A], outcome_probs
        [N, A, O], rates) -> Offer`. The agents' Q-values come twice: the recommendation is for
        agents with `q_expected`, and its contract for agents with `q_truncated`.
      update: one gradient step on Algorithm 2's loss, see `make_principal`.
    """

    init: Callable[..., PlayerState]
    offer: Callable[..., Offer]
    update: Callable[..., tuple[PlayerState, jax.Array, jax.Array]]


def make_principal(config: Config, env: Game) -> Principal:
    """Builds the principal for a game: network, form of the critic, contracts, optimiser."""
    critic = PRINCIPAL_CRITICS[config.critic](env.num_actions, env.num_outcomes)
    network = make_network(
        env.observation_space(env.default_params), config.hidden_sizes, critic.num_outputs
    )

    penalty = players.LOSSES[config.loss]

    def optimizer(rates: Rates) -> optax.GradientTransformation:
        return players.optimizer(config, rates.learning_rate, rates.principal_learning_rate_final)

    def init(key: jax.Array, observation: jax.Array, rates: Rates) -> PlayerState:
        params = network.init(key, observation)
        return players.init(params, optimizer(rates))

    def contract(q_truncated, outcome_probs, action, nudge) -> Contract:
        if env.observed_actions:
            return observed_action_contract(q_truncated, action, nudge)
        return minimal_contract(q_truncated, outcome_probs, action, nudge)

    def offer_one(outputs, q_expected, q_truncated, outcome_probs, rates: Rates) -> Offer:
        actions = jnp.arange(env.num_actions)
        price = jax.vmap(contract, (None, None, 0, None))  # over A
        expected = price(q_expected, outcome_probs, actions, rates.nudge)
        q = critic.q_contractual(outputs, outcome_probs, expected.expected_payment, rates.alpha)
        recommendation = jnp.argmax(jnp.where(expected.implementable, q, jnp.finfo(q.dtype).min))
        offered = contract(q_truncated, outcome_probs, recommendation, rates.nudge)
        return Offer(
            recommendation=recommendation,
            contract=offered,
            own_action=jnp.argmax(q_truncated),
            agent_value=q_truncated[recommendation] + offered.expected_payment,
            principal_value=q[recommendation],
        )

    def offer(params, observation, q_expected, q_truncated, outcome_probs, rates):
        outputs = network.apply(params, observation)
        # over N
        each = jax.vmap(offer_one, (0, 0, 0, 0, None))
        return each(outputs, q_expected, q_truncated, outcome_probs, rates)

    def update(
        state: PlayerState,
        observation: jax.Array,
        batch: Transition,
        importance: jax.Array,
        q_truncated: jax.Array,
        outcome_probs: jax.Array,
        next_value: jax.Array,
        discount: ArrayLike,
        rates: Rates,
    ) -> tuple[PlayerState, jax.Array, jax.Array]:
        """Takes a step; returns the loss and the agents' joint error `[B]` from before it.

        `q_truncated` `[B, N, A]` prices what was done.
        """
        price = jax.vmap(jax.vmap(contract, (0, 0, 0, None)), (0, 0, 0, None))  # over N, then B
        offered = price(q_truncated, outcome_probs, batch.action, rates.nudge)
        payment = jnp.take_along_axis(offered.payments, batch.outcome[..., None], axis=-1)[..., 0]

        def loss(params):
            outputs = network.apply(params, observation)
            axes = (0, 0, 0, 0, 0, 0, None, None)
            errors = jax.vmap(jax.vmap(critic.error, axes), axes)  # over N, then B
            error = errors(
                outputs,
                batch.action,
                batch.outcome,
                batch.principal_reward,
                payment,
                next_value,
                discount,
                rates.alpha,
            )
            joint = jnp.sum(error, axis=-1)
            return jnp.mean(importance * penalty(joint)), joint

        return players.gradient_step(state, optimizer(rates), loss)

    return Principal(init, offer, update)
