"""A learner that is made elsewhere: Q-learning in tables, without networks, replay or optimisers.

It asks of a game that its states are enumerated, and nothing else.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl.contracts import minimal_contract, observed_action_contract
from jaxparl.learning import acting
from jaxparl.learning.acting import Behaviour
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, RunState, Weights, online_weights, target_weights
from jaxparl.types import Contract, Offer, PyTree, TrainState


class TabularLearner(NamedTuple):
    """Tables `[S, N, A]`, of the agents' truncated and the principal's contractual Q-values."""

    problem: Problem

    def init(self, key: jax.Array) -> RunState:
        env = self.problem.env
        key_run, key_env = jax.random.split(key)
        actor, _ = acting.init(self.problem, key_env)
        table = jnp.zeros((env.exact.num_states, env.num_agents, env.num_actions))
        learned = TrainState(params=table, target_params=table.copy(), optimizer_state=())
        return RunState(
            key=key_run,
            agent=learned,
            agent_average=None,
            principal=jax.tree.map(jnp.copy, learned),
            outcome_model=TrainState(params=(), target_params=(), optimizer_state=()),
            replay=(),
            actor=actor,
            follows=(),
        )

    def iterate(self, state: RunState, iteration: jax.Array | int) -> tuple[RunState, Losses]:
        problem = self.problem
        key_explore, key_step = jax.random.split(jax.random.fold_in(state.key, iteration))
        everyone = jnp.ones(problem.env.num_agents, bool)
        ahead = partial(self.offer, follows=everyone)

        wanted = jax.vmap(partial(ahead, online_weights(state)))(state.actor.env_state)  # over E
        action, explores = acting.explore(
            problem, state.actor, wanted.recommendation, key_explore, iteration
        )
        follows = jnp.broadcast_to(everyone, action.shape)
        behaviour = Behaviour(action, wanted.recommendation, explores, follows)
        actor, step = acting.step(problem, state.actor, behaviour, key_step)

        after = jax.vmap(partial(ahead, target_weights(state)))(step.next_env_state)  # over E
        continues = problem.gamma * step.continues[:, None]
        place = jax.vmap(problem.env.state_index)(step.env_state)[:, None]
        index = place, jnp.arange(problem.env.num_agents)[None], step.action
        priced = jax.vmap(partial(self.price, state.agent.params))(step.env_state)  # over E
        paid = jnp.take_along_axis(priced.expected_payment, step.action[..., None], -1)[..., 0]
        worth = step.principal_reward - problem.hyper_params.alpha * paid
        rate = problem.hyper_params.learning_rate

        def learn(learned: TrainState, target: jax.Array) -> tuple[TrainState, jax.Array]:
            error = target - learned.params[index]
            params = learned.params.at[index].add(rate * error / len(error))
            return dataclasses.replace(learned, params=params), jnp.mean(error**2)

        agent, agent_loss = learn(state.agent, step.agent_reward + continues * after.agent_value)
        principal, principal_loss = learn(
            state.principal, worth + continues * after.principal_value
        )
        learned = dataclasses.replace(state, agent=agent, principal=principal, actor=actor)
        return learned, Losses(agent_loss, principal_loss, jnp.zeros(()))

    def move_targets(self, state: RunState, iteration: jax.Array | int) -> RunState:
        agent, principal = (
            dataclasses.replace(learned, target_params=learned.params)
            for learned in (state.agent, state.principal)
        )
        return dataclasses.replace(state, agent=agent, principal=principal)

    def price(self, table: jax.Array, env_state: PyTree) -> Contract:
        """The least contract for each action of each agent, `[N, A]`."""
        env, nudge = self.problem.env, self.problem.hyper_params.nudge

        def one(q: jax.Array, probs: jax.Array, action: jax.Array) -> Contract:
            if env.observed_actions:
                return observed_action_contract(q, action, nudge)
            return minimal_contract(q, probs, action, nudge)

        each = jax.vmap(jax.vmap(one, (None, None, 0)), (0, 0, None))  # over A, then N
        probs = env.outcome_probs(env_state, self.problem.env_params)
        return each(table[env.state_index(env_state)], probs, jnp.arange(env.num_actions))

    def offer(self, weights: Weights, env_state: PyTree, follows: jax.Array) -> Offer:
        place = self.problem.env.state_index(env_state)
        priced, q = self.price(weights.agent, env_state), weights.agent[place]
        worth = jnp.where(priced.implementable, weights.principal[place], -jnp.inf)
        asked = jnp.argmax(worth, axis=-1)
        agents = jnp.arange(self.problem.env.num_agents)
        contract = jax.tree.map(lambda leaf: leaf[agents, asked], priced)
        return Offer(
            recommendation=asked,
            contract=contract,
            own_action=jnp.argmax(q, axis=-1),
            agent_value=q[agents, asked] + contract.expected_payment,
            principal_value=worth[agents, asked],
        )

    def standing_contracts(
        self, weights: Weights, env_state: PyTree, action: jax.Array, sets: jax.Array
    ) -> Contract:
        # What its agents expect does not depend on who follows.
        priced = self.price(weights.agent, env_state)
        agents = jnp.arange(self.problem.env.num_agents)
        return jax.tree.map(lambda leaf: leaf[agents, action], priced)
