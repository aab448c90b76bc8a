"""The principal: it recommends actions and offers the least payment that makes them worthwhile.

Its Q-values are *contractual*: q(s, a) is what it gets when action a is done at the least
price. With many agents they are added up before the loss (value decomposition, section 5.2 of
the paper); with one agent that is plain Q-learning.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxparl.contracts import minimal_contract, observed_action_contract
from jaxparl.learning import td_targets, updates
from jaxparl.learning.critics import PRINCIPAL_CRITICS, PrincipalCritic
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.numbers import in_proportion
from jaxparl.types import Contract, Offer, PyTree, TrainState


class Principal(NamedTuple):
    """The principal of a problem, see `make_principal`.

    Attributes:
      problem: the game and the settings that it learns with.
      critic: how outputs of the network become Q-values, and what they are regressed on.
      network: `(params, observation, bits) -> outputs [..., X]`; the bits are agents' numbers.
      optimizer: of the network's weights.
    """

    problem: Problem
    critic: PrincipalCritic
    network: nn.Module
    optimizer: optax.GradientTransformation

    def init(self, key: jax.Array, observation: PyTree) -> TrainState:
        """Fresh weights; consumes `key`. Of `observation` `[N, ...]` only the shape counts."""
        fresh = self.network.init(key, observation, self.problem.numbers())
        return updates.init(fresh, self.optimizer)

    def offer(
        self,
        params: PyTree,
        observation: PyTree,
        q_expected: jax.Array,
        q_truncated: jax.Array,
        outcome_probs: jax.Array,
        *,
        available: jax.Array | None = None,
    ) -> Offer:
        """What is recommended and paid in one state, observed as `[N, ...]`.

        The agents' Q-values `[N, A]` come twice: the recommendation is for agents with
        `q_expected`, and its contract for agents with `q_truncated`. `outcome_probs` is
        `[N, A, O]`. Only what is `available`, `[N, A]`, is recommended.
        """
        outputs = jnp.asarray(self.network.apply(params, observation, self.problem.numbers()))
        return jax.vmap(self._offer_one)(  # over N
            outputs, q_expected, q_truncated, outcome_probs, available
        )

    def standing_contracts(
        self,
        params: PyTree,
        observation: PyTree,
        q_truncated: jax.Array,
        outcome_probs: jax.Array,
        action: jax.Array,
    ) -> Contract:
        """One contract for each agent's `action` `[N]` that implements it under M Q-values at once.

        Every Q-value `[M, N, A]` asks for the same lifts of the expected payment, by amounts of its
        own. So all programs together are one, which asks for the largest amounts.
        """
        outputs = jnp.asarray(self.network.apply(params, observation, self.problem.numbers()))

        def largest_gaps(q: jax.Array, action: jax.Array) -> jax.Array:
            return jnp.max(q - q[:, action, None], axis=0)

        gaps = jax.vmap(largest_gaps, in_axes=(1, 0))(q_truncated, action)  # over N
        return jax.vmap(self._contract)(gaps, outcome_probs, outputs, action)  # over N

    def update(
        self,
        state: TrainState,
        batch: Batch,
        *,
        observation: PyTree,
        q_truncated: jax.Array,
        outcome_probs: jax.Array,
        next_value: jax.Array,
    ) -> tuple[TrainState, jax.Array, jax.Array]:
        """Takes a gradient step on the loss of Algorithm 2.

        Args:
          state: what is trained.
          batch: the transitions `[B]`.
          observation: `[B, N, ...]`, of the states before.
          q_truncated: `[B, N, A]`, which prices what was done.
          outcome_probs: `[B, N, A, O]`.
          next_value: `[B, N]`, what the next state is worth; 0 where the game ended.

        Returns:
          The new state, the loss `[]`, and the agents' joint error `[B]` from before the step.
        """
        transition = batch.transition
        penalty = updates.LOSSES[self.problem.config.loss]
        price = jax.vmap(jax.vmap(self._contract))  # over N, then B
        numbers = self.problem.numbers(*q_truncated.shape[:-2])

        def loss(params: PyTree) -> tuple[jax.Array, jax.Array]:
            outputs = jnp.asarray(self.network.apply(params, observation, numbers))
            # What was done is paid for as the principal sees it now; that is no part of the loss.
            seen = jax.lax.stop_gradient(outputs)
            offered = price(q_truncated, outcome_probs, seen, transition.action)
            outcome = transition.outcome[..., None]
            payment = jnp.take_along_axis(offered.payments, outcome, axis=-1)[..., 0]
            error = jax.vmap(jax.vmap(self.critic.error))(  # over N, then B
                outputs,
                action=transition.action,
                outcome=transition.outcome,
                reward=transition.principal_reward,
                payment=payment,
                next_value=next_value,
            )
            joint = jnp.sum(error, axis=-1)
            return jnp.mean(batch.weight * penalty(joint)), joint

        return updates.gradient_step(state, self.optimizer, loss)

    def _contract(
        self,
        q_truncated: jax.Array,
        outcome_probs: jax.Array,
        outputs: jax.Array,
        action: jax.Array,
    ) -> Contract:
        """The contract for one agent's `action` `[]`, by the program that the game needs.

        `outputs` `[X]` are those of the network, for that agent.
        """
        nudge = self._nudges(outputs, outcome_probs, action)
        if self.problem.env.observed_actions:
            return observed_action_contract(q_truncated, action, nudge)
        return minimal_contract(q_truncated, outcome_probs, action, nudge)

    def _nudges(self, outputs: jax.Array, outcome_probs: jax.Array, action: jax.Array) -> jax.Array:
        """`[A]`, by how much `action` is to be better for the agent than each of its actions.

        By the nudge where the principal would lose `nudge_scale` or more, and in proportion where
        it would lose less. With a scale of 0 it is the nudge throughout. What it would lose is
        before payments. Critics per action know no such thing, and compare what is left after them.
        """
        rates = self.problem.hyper_params
        unpaid = jnp.zeros(outcome_probs.shape[:1], outputs.dtype)
        worth = self.critic.q_contractual(outputs, outcome_probs, unpaid)
        return in_proportion(rates.nudge, worth[action] - worth, rates.nudge_scale)

    def _offer_one(
        self,
        outputs: jax.Array,
        q_expected: jax.Array,
        q_truncated: jax.Array,
        outcome_probs: jax.Array,
        available: jax.Array | None,
    ) -> Offer:
        """The offer to one agent, given the network's outputs `[X]`."""

        def price(q: jax.Array, action: jax.Array) -> Contract:
            return self._contract(q, outcome_probs, outputs, action)

        expected = jax.vmap(partial(price, q_expected))(jnp.arange(self.problem.env.num_actions))
        q = self.critic.q_contractual(outputs, outcome_probs, expected.expected_payment)
        score = jnp.where(expected.implementable, q, jnp.finfo(q.dtype).min)
        if available is not None:
            score = jnp.where(available, score, -jnp.inf)
        recommendation = jnp.argmax(score)
        offered = price(q_truncated, recommendation)
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
    """Builds the principal for a problem: network, form of the critic, optimiser."""
    config, env, rates = problem.config, problem.env, problem.hyper_params
    make_critic = PRINCIPAL_CRITICS[config.critic]
    critic = make_critic(env.num_actions, env.num_outcomes, problem.gamma, rates.alpha)
    return Principal(
        problem=problem,
        critic=critic,
        network=problem.make_network(config.hidden_sizes, critic.num_outputs),
        optimizer=problem.make_optimizer(rates.learning_rate, rates.principal_learning_rate_final),
    )
