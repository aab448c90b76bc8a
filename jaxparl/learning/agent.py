"""The agents: they learn what their actions are worth.

All agents share one network, and each observes the game from its own side. In training they learn
truncated Q-values, without payments, which the principal reads to price its contracts (section 4
of the paper). In validation they learn from everything they receive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl.learning import updates
from jaxparl.learning.critics import AGENT_CRITICS
from jaxparl.learning.networks import make_network
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.types import PyTree, TrainState


class Agent(NamedTuple):
    """The agents' functions.

    Attributes:
      init: `(key, observation [N, ...]) -> TrainState`.
      q_values: `(params, observation [N, ...], bits [N, F], outcome_probs [N, A, O]) -> [N, A]`.
      update: one gradient step on the loss of Algorithm 2, see `make_agent`.
    """

    init: Callable[[jax.Array, jax.Array], TrainState]
    q_values: Callable[[PyTree, jax.Array, jax.Array, jax.Array], jax.Array]
    update: Callable[..., tuple[TrainState, jax.Array, jax.Array]]


def make_agent(problem: Problem, num_bits: int) -> Agent:
    """Builds the agents for a problem: network, form of the critic, optimiser.

    Besides its observation each agent is told `num_bits` bits, F: which of the others follow the
    principal, or what is recommended to it.
    """
    config, env = problem.config, problem.env
    critic = AGENT_CRITICS[config.critic](env.num_actions, env.num_outcomes, problem.gamma)
    space = env.observation_space(problem.env_params)
    network = make_network(space, config.hidden_sizes, critic.num_outputs)
    penalty = updates.LOSSES[config.loss]
    rates = problem.hyper_params
    optimizer = updates.optimizer(config, rates.learning_rate, rates.learning_rate_final)

    def init(key: jax.Array, observation: jax.Array) -> TrainState:
        bits = jnp.zeros((env.num_agents, num_bits))
        return updates.init(network.init(key, observation, bits), optimizer)

    def q_values(params, observation, bits, outcome_probs):
        outputs = network.apply(params, observation, bits)
        return jax.vmap(critic.q_values)(outputs, outcome_probs)  # over N

    def update(
        state: TrainState,
        batch: Batch,
        *,
        observation: jax.Array,
        bits: jax.Array,
        weight: jax.Array,
        next_value: jax.Array,
    ) -> tuple[TrainState, jax.Array, jax.Array]:
        """Takes a step; returns the loss, and every agent's error `[B, N]` from before it.

        `observation` is `[B, N, ...]` and `bits` `[B, N, F]`; `weight` `[B, N]` is what each error
        counts; `next_value` `[B, N]` is what the next state is worth, 0 where the game ended.
        """
        transition = batch.transition

        def loss(params):
            outputs = network.apply(params, observation, bits)
            errors = jax.vmap(jax.vmap(critic.errors))  # over N, then B
            error = errors(
                outputs,
                transition.action,
                transition.outcome,
                transition.agent_reward,
                next_value,
            )
            penalties = weight * jnp.sum(penalty(error), axis=-1)
            return jnp.mean(penalties), jnp.sum(jnp.abs(error), axis=-1)

        return updates.gradient_step(state, optimizer, loss)

    return Agent(init, q_values, update)
