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
      q_truncated: `(params, observation [N, ...], bits [N, F], outcome_probs [N, A, O], discount)
        -> [N, A]`; the bits say which of the others follow the principal.
      update: one gradient step on Algorithm 2's loss, see `make_agent`.
    """

    init: Callable[..., PlayerState]
    q_truncated: Callable[..., jax.Array]
    update: Callable[..., tuple[PlayerState, jax.Array, jax.Array]]


def make_agent(config: Config, env: Game, num_bits: int) -> Agent:
    """Builds the agents for a game: network, form of the critic, optimiser.

    Besides its observation each is told `num_bits` bits, F.
    """
    critic = AGENT_CRITICS[config.critic](env.num_actions, env.num_outcomes)
    network = make_network(
        env.observation_space(env.default_params), config.hidden_sizes, critic.num_outputs
    )

    penalty = players.LOSSES[config.loss]

    def optimizer(rates: Rates) -> optax.GradientTransformation:
        return players.optimizer(config, rates.learning_rate, rates.learning_rate_final)

    def init(key: jax.Array, observation: jax.Array, rates: Rates) -> PlayerState:
        bits = jnp.zeros((env.num_agents, num_bits))
        params = network.init(key, observation, bits)
        return players.init(params, optimizer(rates))

    def q_truncated(params, observation, bits, outcome_probs, discount):
        outputs = network.apply(params, observation, bits)
        # over N
        return jax.vmap(critic.q_truncated, (0, 0, None))(outputs, outcome_probs, discount)

    def update(
        state: PlayerState,
        observation: jax.Array,
        bits: jax.Array,
        batch: Transition,
        weight: jax.Array,
        next_value: jax.Array,
        discount: ArrayLike,
        rates: Rates,
    ) -> tuple[PlayerState, jax.Array, jax.Array]:
        """Takes a step; returns the loss and every agent's error `[B, N]` from before it.

        `weight` `[B, N]` is what each error counts.
        """

        def loss(params):
            outputs = network.apply(params, observation, bits)
            # over N, then B
            errors = jax.vmap(jax.vmap(critic.errors, (0, 0, 0, 0, 0, None)), (0, 0, 0, 0, 0, None))
            error = errors(
                outputs, batch.action, batch.outcome, batch.agent_reward, next_value, discount
            )
            penalties = weight * jnp.sum(penalty(error), axis=-1)
            return jnp.mean(penalties), jnp.sum(jnp.abs(error), axis=-1)

        return players.gradient_step(state, optimizer(rates), loss)

    return Agent(init, q_truncated, update)
