"""The agents: they learn what their actions are worth.

All agents share one network, and each observes the game from its own side. In training they learn
truncated Q-values, without payments, which the principal reads to price its contracts (section 4
of the paper). In validation they learn from everything they receive.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxparl.learning import updates
from jaxparl.learning.critics import AGENT_CRITICS, AgentCritic
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.types import PyTree, TrainState


class Agent(NamedTuple):
    """The agents of a problem, see `make_agent`.

    Attributes:
      problem: the game and the settings that they learn with.
      num_bits: F, how many bits each agent is told besides its observation and its number.
      critic: how outputs of the network become Q-values, and what they are regressed on.
      network: `(params, observation, bits) -> outputs [..., X]`, its bits followed by the number.
      optimizer: of the network's weights.
    """

    problem: Problem
    num_bits: int
    critic: AgentCritic
    network: nn.Module
    optimizer: optax.GradientTransformation

    def init(self, key: jax.Array, observation: PyTree) -> TrainState:
        """Fresh weights; consumes `key`. Of `observation` `[N, ...]` only the shape counts."""
        bits = jnp.zeros((self.problem.env.num_agents, self.num_bits))
        fresh = self.network.init(key, observation, self.problem.with_number(bits))
        return updates.init(fresh, self.optimizer)

    def q_values(
        self, params: PyTree, observation: PyTree, bits: jax.Array, outcome_probs: jax.Array
    ) -> jax.Array:
        """`[N, A]` from observations `[N, ...]`, bits `[N, F]` and probabilities `[N, A, O]`."""
        outputs = self.network.apply(params, observation, self.problem.with_number(bits))
        return jax.vmap(self.critic.q_values)(outputs, outcome_probs)  # over N

    def update(
        self,
        state: TrainState,
        batch: Batch,
        *,
        observation: PyTree,
        bits: jax.Array,
        weight: jax.Array,
        next_value: jax.Array,
    ) -> tuple[TrainState, jax.Array, jax.Array]:
        """Takes a gradient step on the loss of Algorithm 2.

        Args:
          state: what is trained.
          batch: the transitions `[B]`.
          observation: `[B, N, ...]`, of the states before.
          bits: `[B, N, F]`.
          weight: `[B, N]`, what each error counts.
          next_value: `[B, N]`, what the next state is worth; 0 where the game ended.

        Returns:
          The new state, the loss `[]`, and every agent's error `[B, N]` from before the step.
        """
        transition = batch.transition
        penalty = updates.LOSSES[self.problem.config.loss]
        bits = self.problem.with_number(bits)

        def loss(params: PyTree) -> tuple[jax.Array, jax.Array]:
            outputs = self.network.apply(params, observation, bits)
            errors = jax.vmap(jax.vmap(self.critic.errors))  # over N, then B
            error = errors(
                outputs,
                transition.action,
                transition.outcome,
                transition.agent_reward,
                next_value,
            )
            penalties = weight * jnp.sum(penalty(error), axis=-1)
            return jnp.mean(penalties), jnp.sum(jnp.abs(error), axis=-1)

        return updates.gradient_step(state, self.optimizer, loss)


def make_agent(problem: Problem, num_bits: int) -> Agent:
    """Builds the agents for a problem: network, form of the critic, optimiser.

    Besides its observation each agent is told `num_bits` bits, F: which of the others follow the
    principal, or what is recommended to it. Who it is comes on top, where the game asks for that.
    """
    config, env, rates = problem.config, problem.env, problem.hyper_params
    critic = AGENT_CRITICS[config.critic](env.num_actions, env.num_outcomes, problem.gamma)
    return Agent(
        problem=problem,
        num_bits=num_bits,
        critic=critic,
        network=problem.make_network(config.hidden_sizes, critic.num_outputs),
        optimizer=problem.make_optimizer(rates.learning_rate, rates.learning_rate_final),
    )
