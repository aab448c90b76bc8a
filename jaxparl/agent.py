"""The agents: they learn what their actions are worth before payments.

All agents share one network and see the game from their own side. The principal reads their
truncated Q-values to price its contracts (section 4 of the paper).
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
from jaxparl.critics import AGENT_CRITICS
from jaxparl.environment import Game
from jaxparl.networks import make_network
from jaxparl.types import PlayerState, Transition


class Agent(NamedTuple):
    """The agents' functions.

    Attributes:
      init: `(key, observation [N, ...], rates) -> PlayerState`.
      q_truncated: `(params, observation [N, ...], outcome_probs [N, A, O], discount) -> [N, A]`.
      update: one gradient step on Algorithm 2's loss, see `make_agent`.
    """

    init: Callable[..., PlayerState]
    q_truncated: Callable[..., jax.Array]
    update: Callable[..., tuple[PlayerState, jax.Array, jax.Array]]


def make_agent(config: Config, env: Game) -> Agent:
    """Builds the agents for a game: network, form of the critic, optimiser."""
    critic = AGENT_CRITICS[config.critic](env.num_actions, env.num_outcomes)
    network = make_network(
        env.observation_space(env.default_params), config.hidden_sizes, critic.num_outputs
    )

    def optimizer(rates: Rates) -> optax.GradientTransformation:
        last = rates.learning_rate_final
        return players.optimizer(rates.learning_rate, last, config.iterations)

    def init(key: jax.Array, observation: jax.Array, rates: Rates) -> PlayerState:
        params = network.init(key, observation)
        return players.init(params, optimizer(rates))

    def to_q(outputs, outcome_probs, discount):
        # over N
        return jax.vmap(critic.q_truncated, (0, 0, None))(outputs, outcome_probs, discount)

    def q_truncated(params, observation, outcome_probs, discount):
        return to_q(network.apply(params, observation), outcome_probs, discount)

    def update(
        state: PlayerState,
        observation: jax.Array,
        batch: Transition,
        outcome_probs: jax.Array,
        next_value: jax.Array,
        discount: ArrayLike,
        rates: Rates,
    ) -> tuple[PlayerState, jax.Array, jax.Array]:
        """Takes a step, and returns the loss and Q-bar(s, .), `[B, N, A]`, from before it."""

        def loss(params):
            outputs = network.apply(params, observation)
            # over N, then B
            errors = jax.vmap(jax.vmap(critic.errors, (0, 0, 0, 0, 0, None)), (0, 0, 0, 0, 0, None))
            error = errors(
                outputs, batch.action, batch.outcome, batch.agent_reward, next_value, discount
            )
            q = jax.vmap(to_q, (0, 0, None))(outputs, outcome_probs, discount)  # over B
            return jnp.mean(jnp.sum(optax.l2_loss(error), axis=-1)), q

        return players.gradient_step(state, optimizer(rates), loss)

    return Agent(init, q_truncated, update)
