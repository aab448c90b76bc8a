"""All that learns in a run, put together for one problem, and what it offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl.config import Config
from jaxparl.learning import acting, replay
from jaxparl.learning.agent import Agent, make_agent
from jaxparl.learning.outcome_model import OUTCOME_MODELS, OutcomeModel
from jaxparl.learning.principal import Principal, make_principal
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import RunState, Weights
from jaxparl.types import Contract, Offer, PyTree

# What networks compute for all follow sets of many agents at once would not fit into a cache.
_SETS_AT_ONCE = 16


class Learner(NamedTuple):
    """The functions of all that learns, and the problem that they are built for."""

    problem: Problem
    agent: Agent
    principal: Principal
    outcome_model: OutcomeModel


def make_learner(problem: Problem) -> Learner:
    """Builds agents, principal and outcome model for a problem."""
    return Learner(
        problem=problem,
        agent=make_agent(problem, num_bits=problem.env.num_agents - 1),
        principal=make_principal(problem),
        outcome_model=OUTCOME_MODELS[problem.config.outcome_model](problem),
    )


def init(learner: Learner, key: jax.Array) -> RunState:
    """The state before the first iteration; `key` is consumed."""
    config, env = learner.problem.config, learner.problem.env
    key_run, key_agent, key_principal, key_model, key_env = jax.random.split(key, 5)
    actor, observations = acting.init(learner.problem, key_env)
    observation, env_state = jax.tree.map(lambda leaf: leaf[0], (observations, actor.env_state))
    agent = learner.agent.init(key_agent, observation)
    return RunState(
        key=key_run,
        agent=agent,
        agent_average=_average(config, agent.params),
        principal=learner.principal.init(key_principal, observation),
        outcome_model=learner.outcome_model.init(key_model, observation),
        replay=replay.init(config, env, env_state),
        actor=actor,
        follows=jnp.ones((config.num_envs, env.num_agents), bool),
    )


def _average(config: Config, params: PyTree) -> PyTree | None:
    """A copy of fresh weights, to become an average, unless the target weights are the same one."""
    if config.principal_target_window == config.target_window:
        return None
    return jax.tree.map(lambda leaf: leaf.copy(), params)


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


def offer(learner: Learner, weights: Weights, env_state: PyTree, follows: jax.Array) -> Offer:
    """What the principal recommends and pays for in one state.

    It recommends what is best if all agents follow, and pays each for what the others really
    do: `follows` `[N]`.
    """
    problem = learner.problem
    observation = problem.observe(env_state)
    probs = learner.outcome_model.probs(weights.outcome_model, env_state, observation)

    def q_truncated(agent: PyTree, follows: jax.Array) -> jax.Array:
        return learner.agent.q_values(agent, observation, others_follow(follows), probs)

    return learner.principal.offer(
        weights.principal,
        observation,
        q_truncated(weights.agent_average, jnp.ones_like(follows)),
        q_truncated(weights.agent, follows),
        probs,
    )


def standing_contracts(
    learner: Learner, weights: Weights, env_state: PyTree, action: jax.Array, sets: jax.Array
) -> Contract:
    """The least contracts for actions `[N]` that are worthwhile under all `sets` `[M, N]` at once.

    A set says who follows, as `follows` in `offer`.
    """
    observation = learner.problem.observe(env_state)
    probs = learner.outcome_model.probs(weights.outcome_model, env_state, observation)

    def q_truncated(follows: jax.Array) -> jax.Array:
        return learner.agent.q_values(weights.agent, observation, others_follow(follows), probs)

    q_by_set = over_follow_sets(q_truncated, sets)  # over M
    return learner.principal.standing_contracts(q_by_set, probs, action)


def over_follow_sets(of_set: Callable[[jax.Array], PyTree], sets: jax.Array) -> PyTree:
    """Applies a function of one set of followers to `[M, N]` of them; of many, to a few at a time.

    Examples:
      >>> over_follow_sets(jnp.sum, jnp.ones((40, 3), bool)).shape
      (40,)
    """
    if len(sets) <= _SETS_AT_ONCE:
        return jax.vmap(of_set)(sets)
    return jax.lax.map(of_set, sets, batch_size=_SETS_AT_ONCE)
