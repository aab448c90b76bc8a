"""Episodes of greedy play: played to their end and summed up, or recorded step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl.evaluation.offers import payments_for_following, standing_offer
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.types import PyTree

#: What is recommended, done and paid in one state:
#: `env_state -> (recommendation, action, payment)`, `[N]` each.
Decide = Callable[[PyTree], tuple[jax.Array, jax.Array, jax.Array]]


class Episode(NamedTuple):
    """An episode, finished or not; its sums are `[N]`, undiscounted.

    Attributes:
      env_state: the state after the last step.
      is_over: `[]` bool.
      principal_reward: the principal's rewards so far, payments not included.
      agent_reward: the agents' rewards so far, payments not included.
      payment: what the agents were paid so far.
    """

    env_state: PyTree
    is_over: jax.Array
    principal_reward: jax.Array
    agent_reward: jax.Array
    payment: jax.Array


def play_episode(learner: Learner, weights: Weights, key: jax.Array) -> Episode:
    """Plays one episode in which all agents follow the standing offers; consumes `key`."""
    env, env_params = learner.problem.env, learner.problem.env_params
    key_reset, key_steps = jax.random.split(key)
    nothing = jnp.zeros(env.num_agents)

    def step(episode: Episode) -> Episode:
        offered = standing_offer(learner, weights, episode.env_state)
        _, _, reward, terminated, truncated, info = env.step(
            jax.random.fold_in(key_steps, episode.env_state.time),
            episode.env_state,
            offered.recommendation,
            env_params,
        )
        outcome = info["outcome"][:, None]
        paid = jnp.take_along_axis(offered.contract.payments, outcome, axis=-1)[:, 0]
        return Episode(
            env_state=info["next_state"],
            is_over=terminated | truncated,
            principal_reward=episode.principal_reward + info["principal_reward"],
            agent_reward=episode.agent_reward + reward,
            payment=episode.payment + paid,
        )

    _, env_state = env.reset_env(key_reset, env_params)
    start = Episode(env_state, jnp.bool_(False), nothing, nothing, nothing)
    return jax.lax.while_loop(lambda episode: ~episode.is_over, step, start)


class Step(NamedTuple):
    """One step of a recorded episode, `[N]` each beside the state.

    Attributes:
      env_state: the state before the step.
      recommendation: the recommended actions; negative where there is no recommendation.
      action: the actions that were taken.
      payment: what was paid for them.
      reward: the agents' rewards, payments not included.
    """

    env_state: PyTree
    recommendation: jax.Array
    action: jax.Array
    payment: jax.Array
    reward: jax.Array


def record_episode(problem: Problem, decide: Decide, key: jax.Array, length: int) -> Step:
    """Plays the first `length` steps of an episode and returns all of them, with a leading axis T.

    Args:
      problem: whose environment is played.
      decide: what happens in a state, see `Decide`.
      key: consumed.
      length: T, static; at most the length of an episode.
    """
    env, env_params = problem.env, problem.env_params
    key_reset, key_steps = jax.random.split(key)

    def step(env_state: PyTree, key: jax.Array) -> tuple[PyTree, Step]:
        recommendation, action, payment = decide(env_state)
        _, _, reward, _, _, info = env.step(key, env_state, action, env_params)
        return info["next_state"], Step(env_state, recommendation, action, payment, reward)

    _, env_state = env.reset_env(key_reset, env_params)
    return jax.lax.scan(step, env_state, jax.random.split(key_steps, length))[1]


def all_follow(learner: Learner, weights: Weights) -> Decide:
    """All agents do what these weights recommend: a `Decide` for `record_episode`."""

    def decide(env_state: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        offered = standing_offer(learner, weights, env_state)
        recommendation = offered.recommendation
        return recommendation, recommendation, payments_for_following(offered)

    return decide
