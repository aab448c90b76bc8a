"""The learner of the paper: principal and agents learn side by side (Algorithms 2 and 3).

`iterate` is the iteration. It acts (recommend, offer, respond, step), remembers (store, draw) and
learns (update all); `offer` is what the principal recommends and pays for in one state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl.config import Config
from jaxparl.learning import acting, replay, updates
from jaxparl.learning.acting import Behaviour
from jaxparl.learning.agent import Agent, make_agent
from jaxparl.learning.availability import only_available, only_available_outcomes
from jaxparl.learning.outcome_model import OUTCOME_MODELS, OutcomeModel
from jaxparl.learning.principal import Principal, make_principal
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.learning.state import Losses, RunState, Weights, online_weights, target_weights
from jaxparl.types import Contract, Offer, PyTree

# What networks compute for all follow sets of many agents at once would not fit into a cache.
_SETS_AT_ONCE = 16


class Lockstep(NamedTuple):
    """Agents, principal and outcome model that learn in lockstep; see `learner.Learner`.

    Attributes:
      problem: what they are built for.
      agent: the agents.
      principal: the principal.
      outcome_model: what the principal believes that actions lead to.
    """

    problem: Problem
    agent: Agent
    principal: Principal
    outcome_model: OutcomeModel

    def init(self, key: jax.Array) -> RunState:
        """The state before the first iteration; `key` is consumed."""
        config, env = self.problem.config, self.problem.env
        key_run, key_agent, key_principal, key_model, key_env = jax.random.split(key, 5)
        actor, observations = acting.init(self.problem, key_env)
        observation, env_state = jax.tree.map(lambda leaf: leaf[0], (observations, actor.env_state))
        agent = self.agent.init(key_agent, observation)
        return RunState(
            key=key_run,
            agent=agent,
            agent_average=_average(config, agent.params),
            principal=self.principal.init(key_principal, observation),
            outcome_model=self.outcome_model.init(key_model, observation),
            replay=replay.init(config, env, env_state),
            actor=actor,
            follows=jnp.ones((config.num_envs, env.num_agents), bool),
        )

    def iterate(self, state: RunState, iteration: jax.Array | int) -> tuple[RunState, Losses]:
        """One iteration: E environment steps, one gradient step of each (Algorithms 2, 3)."""
        config = self.problem.config
        key_explore, key_step, key_sample, key_follow = jax.random.split(
            jax.random.fold_in(state.key, iteration), 4
        )
        follows = self.draw_follows(state, key_follow)
        behaviour = self.behave(state, follows, key_explore, iteration)
        actor, transition = acting.step(self.problem, state.actor, behaviour, key_step)
        memory, batch = replay.remember(config, state.replay, transition, key_sample, iteration)
        learned, losses, error = self.learn(state, batch, iteration)
        memory = replay.update(config, memory, batch, error)
        return dataclasses.replace(learned, replay=memory, actor=actor, follows=follows), losses

    def draw_follows(self, state: RunState, key: jax.Array) -> jax.Array:
        """Which agents follow the principal, `[E, N]`: drawn when an episode begins."""
        share = self.problem.hyper_params.follow_share
        drawn = jax.random.bernoulli(key, share, state.follows.shape)
        return jnp.where(state.actor.starts[:, None], drawn, state.follows)

    def behave(
        self,
        state: RunState,
        follows: jax.Array,
        key: jax.Array,
        iteration: jax.Array | int,
    ) -> Behaviour:
        """What agents do: some follow, others do what is best for them unpaid; but all explore."""
        offers = jax.vmap(partial(self.offer, online_weights(state)))  # over E
        offered = offers(state.actor.env_state, follows)
        wanted = jnp.where(follows, offered.recommendation, offered.own_action)
        action, explores = acting.explore(self.problem, state.actor, wanted, key, iteration)
        return Behaviour(action, wanted, explores, follows)

    def learn(
        self, state: RunState, batch: Batch, iteration: jax.Array | int
    ) -> tuple[RunState, Losses, jax.Array]:
        """Updates all in lockstep on one batch; returns how wrong they were, `[B]`, too."""
        transition = batch.transition
        # What the next state is worth to each, under the contract that will be offered there.
        offers = jax.vmap(partial(self.offer, target_weights(state)))  # over B
        ahead = offers(transition.next_env_state, transition.follows)
        agent_next = transition.continues[:, None] * ahead.agent_value
        principal_next = transition.continues[:, None] * ahead.principal_value

        # What was done is priced as if all had followed.
        observation = jax.vmap(self.problem.observe)(transition.env_state)  # over B
        predict = jax.vmap(partial(self._outcome_probs, state.outcome_model.params))  # over B
        probs = predict(transition.env_state, observation)
        bits = jax.vmap(others_follow)  # over B
        value = jax.vmap(partial(self._q_values, state.agent.params))  # over B
        everybody = jnp.ones_like(transition.follows)
        q_truncated = value(transition.env_state, observation, everybody, probs)

        agent, agent_loss, agent_error = self.agent.update(
            updates.with_count(state.agent, iteration),
            batch,
            observation=observation,
            bits=bits(transition.follows),
            weight=batch.weight[:, None] * jax.vmap(as_conditioned)(transition.deviated),  # over B
            next_value=agent_next,
        )
        principal, principal_loss, joint_error = self.principal.update(
            updates.with_count(state.principal, iteration),
            batch,
            observation=observation,
            q_truncated=q_truncated,
            outcome_probs=probs,
            next_value=principal_next,
        )
        outcome_model, model_loss = self.outcome_model.update(
            state.outcome_model, batch, observation
        )
        error = jnp.mean(agent_error, axis=-1) + jnp.abs(joint_error)
        learned = dataclasses.replace(
            state, agent=agent, principal=principal, outcome_model=outcome_model
        )
        return learned, Losses(agent_loss, principal_loss, model_loss), error

    def move_targets(self, state: RunState, iteration: jax.Array | int) -> RunState:
        """Moves the target weights after `iteration`, once every `target_interval` iterations.

        Where the principal is all but indifferent between two actions, its recommendation would
        flip from copy to copy, and with it the agent's value of that state, which the contracts
        before it are made of. So it recommends by averages, of its own weights and of the agents';
        the agents value and are paid by their latest copy, and adapt.
        """
        config, average = self.problem.config, state.agent_average
        slow = config.principal_target_window
        if average is not None:
            average = updates.moved(config, average, state.agent.params, slow, iteration)
        return dataclasses.replace(
            state,
            agent=updates.move_target(config, state.agent, config.target_window, iteration),
            agent_average=average,
            principal=updates.move_target(config, state.principal, slow, iteration),
        )

    def offer(self, weights: Weights, env_state: PyTree, follows: jax.Array) -> Offer:
        """What the principal recommends and pays for in one state.

        It recommends what is best if all agents follow, and pays each for what the others really
        do: `follows` `[N]`.
        """
        observation = self.problem.observe(env_state)
        probs = self._outcome_probs(weights.outcome_model, env_state, observation)

        def q_truncated(agent: PyTree, follows: jax.Array) -> jax.Array:
            return self._q_values(agent, env_state, observation, follows, probs)

        return self.principal.offer(
            weights.principal,
            observation,
            q_truncated(weights.agent_average, jnp.ones_like(follows)),
            q_truncated(weights.agent, follows),
            probs,
            available=self.problem.available(env_state),
        )

    def standing_contracts(
        self, weights: Weights, env_state: PyTree, action: jax.Array, sets: jax.Array
    ) -> Contract:
        """The least contracts for actions `[N]` that are worthwhile under all `sets` at once.

        A set of these `[M, N]` says who follows, as `follows` in `offer`.
        """
        observation = self.problem.observe(env_state)
        probs = self._outcome_probs(weights.outcome_model, env_state, observation)

        def q_truncated(follows: jax.Array) -> jax.Array:
            return self._q_values(weights.agent, env_state, observation, follows, probs)

        q = over_follow_sets(q_truncated, sets)  # over M
        return self.principal.standing_contracts(weights.principal, observation, q, probs, action)

    def _outcome_probs(self, params: PyTree, env_state: PyTree, observation: PyTree) -> jax.Array:
        """`[N, A, O]`, what the principal believes that available actions lead to."""
        probs = self.outcome_model.probs(params, env_state, observation)
        return only_available_outcomes(probs, self.problem.available(env_state))

    def _q_values(
        self,
        params: PyTree,
        env_state: PyTree,
        observation: PyTree,
        follows: jax.Array,
        outcome_probs: jax.Array,
    ) -> jax.Array:
        """`[N, A]`, what available actions are worth if `follows` `[N]` follow."""
        q = self.agent.q_values(params, observation, others_follow(follows), outcome_probs)
        nudge = self.problem.hyper_params.nudge
        return only_available(q, self.problem.available(env_state), nudge)


def make_lockstep(problem: Problem) -> Lockstep:
    """Builds agents, principal and outcome model for a problem."""
    return Lockstep(
        problem=problem,
        agent=make_agent(problem, num_bits=problem.env.num_agents - 1),
        principal=make_principal(problem),
        outcome_model=OUTCOME_MODELS[problem.config.outcome_model](problem),
    )


def others_follow(follows: jax.Array) -> jax.Array:
    """f_{-i}: what each agent's Q-values depend on, `[N, N - 1]`, from bits `[N]`.

    Examples:
      >>> others_follow(jnp.array([True, False, False])).astype(int).tolist()
      [[0, 0], [0, 1], [1, 0]]
    """
    num_agents = follows.shape[0]
    # The next agent first, then the one after: the order is the same from everybody's side.
    others = (jnp.arange(num_agents)[:, None] + jnp.arange(1, num_agents)[None]) % num_agents
    return follows[others].astype(jnp.float32)


def over_follow_sets(of_set: Callable[[jax.Array], PyTree], sets: jax.Array) -> PyTree:
    """Applies a function of one set of followers to `[M, N]` of them; of many, to a few at a time.

    Examples:
      >>> over_follow_sets(jnp.sum, jnp.ones((40, 3), bool)).shape
      (40,)
    """
    if len(sets) <= _SETS_AT_ONCE:
        return jax.vmap(of_set)(sets)
    return jax.lax.map(of_set, sets, batch_size=_SETS_AT_ONCE)


def as_conditioned(deviated: jax.Array) -> jax.Array:
    """`[N]`, 1 where none of the others deviated, else 0; from bits `[N]`.

    Agent i's Q-values are those of a game in which the others do what f_{-i} says. A step in which
    another agent did something else was not of that game.
    """
    return 1.0 - jnp.max(others_follow(deviated), axis=-1, initial=0.0)


def _average(config: Config, params: PyTree) -> PyTree | None:
    """A copy of fresh weights, to become an average, unless the target weights are the same one."""
    if config.principal_target_window == config.target_window:
        return None
    return jax.tree.map(lambda leaf: leaf.copy(), params)
