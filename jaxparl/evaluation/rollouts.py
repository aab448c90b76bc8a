"""Episodes of greedy play: played to their end and summed up, or recorded step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.evaluation.offers import standing_offer
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.types import PyTree

#: What is recommended and done in one state, and what is paid for each outcome of it:
#: `env_state -> (recommendation [N], action [N], payments [N, O])`.
Decide = Callable[[PyTree], tuple[jax.Array, jax.Array, jax.Array]]

#: Steps after which an episode is given up, if no time limit has ended it before.
LONGEST_EPISODE = 100_000


class Episode(NamedTuple):
    """An episode, finished or not; its sums are `[N]`, undiscounted.

    Attributes:
      env_state: the state after the last step.
      steps: `[]` int, how many there were.
      is_over: `[]` bool.
      principal_reward: the principal's rewards so far, payments not included.
      agent_reward: the agents' rewards so far, payments not included.
      payment: what the agents were paid so far.
    """

    env_state: PyTree
    steps: jax.Array
    is_over: jax.Array
    principal_reward: jax.Array
    agent_reward: jax.Array
    payment: jax.Array


def play_episode(learner: Learner, weights: Weights, key: jax.Array) -> Episode:
    """Plays one episode in which all agents follow the standing offers; consumes `key`.

    One that is not over after `LONGEST_EPISODE` steps is left as it stands then.
    """
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
        paid = _paid(offered.contract.payments, info["outcome"])
        steps = episode.steps + 1
        # Counted here as well, for a game whose states do not keep the time.
        truncated |= steps >= env_params.max_steps_in_episode
        return Episode(
            env_state=info["next_state"],
            steps=steps,
            is_over=terminated | truncated,
            principal_reward=episode.principal_reward + info["principal_reward"],
            agent_reward=episode.agent_reward + reward,
            payment=episode.payment + paid,
        )

    _, env_state = env.reset_env(key_reset, env_params)
    start = Episode(env_state, jnp.int32(0), jnp.bool_(False), nothing, nothing, nothing)

    def goes_on(episode: Episode) -> jax.Array:
        return ~episode.is_over & (episode.steps < LONGEST_EPISODE)

    return jax.lax.while_loop(goes_on, step, start)


def _paid(payments: jax.Array, outcome: jax.Array) -> jax.Array:
    """What payments `[N, O]` come to for outcomes `[N]`."""
    return jnp.take_along_axis(payments, outcome[:, None], axis=-1)[:, 0]


class Step(NamedTuple):
    """One step of a recorded episode, `[N]` each beside the state.

    Attributes:
      env_state: the state before the step.
      recommendation: the recommended actions; negative where there is no recommendation.
      action: the actions that were taken.
      payment: what was paid for their outcomes.
      reward: the agents' rewards, payments not included.
      was_over: `[]` bool, whether the episode had ended before this step.
    """

    env_state: PyTree
    recommendation: jax.Array
    action: jax.Array
    payment: jax.Array
    reward: jax.Array
    was_over: jax.Array


def play_back(problem: Problem, decide: Decide, key: jax.Array, length: int) -> Step:
    """The steps of an episode up to its end, `length` at most: `record_episode`, without the rest.

    It is compiled here, and not for use inside `jit`.
    """
    record = jax.jit(lambda key: record_episode(problem, decide, key, length))
    steps = jax.device_get(record(key))
    return jax.tree.map(lambda leaf: leaf[: np.sum(~steps.was_over)], steps)


def record_episode(problem: Problem, decide: Decide, key: jax.Array, length: int) -> Step:
    """Plays `length` steps of an episode and returns all of them, with a leading axis T.

    Args:
      problem: whose environment is played.
      decide: what happens in a state, see `Decide`.
      key: consumed.
      length: T, static; what comes after the end of the episode has no meaning, see `was_over`.
    """
    env, env_params = problem.env, problem.env_params
    key_reset, key_steps = jax.random.split(key)

    def step(now: tuple[PyTree, jax.Array], key: jax.Array):
        env_state, was_over = now
        recommendation, action, payments = decide(env_state)
        _, _, reward, terminated, truncated, info = env.step(key, env_state, action, env_params)
        payment = _paid(payments, info["outcome"])
        recorded = Step(env_state, recommendation, action, payment, reward, was_over)
        return (info["next_state"], was_over | terminated | truncated), recorded

    _, env_state = env.reset_env(key_reset, env_params)
    start = env_state, jnp.bool_(False)
    return jax.lax.scan(step, start, jax.random.split(key_steps, length))[1]


def all_follow(learner: Learner, weights: Weights) -> Decide:
    """All agents do what these weights recommend: a `Decide` for `record_episode`."""

    def decide(env_state: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        offered = standing_offer(learner, weights, env_state)
        return offered.recommendation, offered.recommendation, offered.contract.payments

    return decide
