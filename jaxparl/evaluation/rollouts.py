"""Episodes of greedy play: played to their end and summed up, or recorded step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.evaluation.offers import payments_for, standing_offer
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.types import PyTree

#: What is recommended and done in one state, and what is paid for each outcome of it:
#: `env_state -> (recommendation [N], action [N], payments [N, O])`.
Decide = Callable[[PyTree], tuple[jax.Array, jax.Array, jax.Array]]

#: Steps after which an episode is given up, if no time limit has ended it before.
LONGEST_EPISODE = 100_000

#: A game without a horizon is played until a step counts less than this. What is left out is at
#: most this share of what the largest reward would bring in every step.
NEGLIGIBLE = 1e-5


class Episode(NamedTuple):
    """An episode, finished or not.

    Its sums are undiscounted where episodes have a horizon, and discounted where they have none.

    Attributes:
      env_state: the state after the last step.
      steps: `[]` int, how many there were.
      is_over: `[]` bool; without a horizon also where all that follows is `NEGLIGIBLE`.
      weight: `[]`, what the next step counts.
      decisions: `[]`, the sum of what the steps counted.
      followed: `[N]`, the same of those steps in which an agent did what was recommended.
      principal_reward: `[N]`, the principal's rewards, payments not included.
      agent_reward: `[N]`, the agents' rewards, payments not included.
      payment: `[N]`, what the agents were paid.
    """

    env_state: PyTree
    steps: jax.Array
    is_over: jax.Array
    weight: jax.Array
    decisions: jax.Array
    followed: jax.Array
    principal_reward: jax.Array
    agent_reward: jax.Array
    payment: jax.Array

    @property
    def utility(self) -> jax.Array:
        """`[..., N]`, the agents' rewards and payments."""
        return self.agent_reward + self.payment


def play_episode(problem: Problem, decide: Decide, key: jax.Array) -> Episode:
    """Plays one episode to its end; consumes `key`.

    One that is not over after `LONGEST_EPISODE` steps is left as it stands then.

    Args:
      problem: whose environment is played.
      decide: what happens in a state, see `Decide`.
      key: consumed.
    """
    env, env_params = problem.env, problem.env_params
    key_reset, key_steps = jax.random.split(key)
    gamma = 1.0 if env.has_horizon else problem.gamma

    def step(episode: Episode) -> Episode:
        recommendation, action, payments = decide(episode.env_state)
        key_step = jax.random.fold_in(key_steps, episode.steps)
        _, _, reward, terminated, truncated, info = env.step(
            key_step, episode.env_state, action, env_params
        )
        weight, later = episode.weight, episode.weight * gamma
        steps = episode.steps + 1
        # Counted here as well, for a game whose states do not keep the time. A time limit ends
        # nothing where there is no horizon.
        is_cut = truncated | (steps >= env_params.max_steps_in_episode)
        return Episode(
            env_state=info["next_state"],
            steps=steps,
            is_over=terminated | (is_cut if env.has_horizon else later < NEGLIGIBLE),
            weight=later,
            decisions=episode.decisions + weight,
            followed=episode.followed + jnp.where(action == recommendation, weight, 0.0),
            principal_reward=episode.principal_reward + weight * info["principal_reward"],
            agent_reward=episode.agent_reward + weight * reward,
            payment=episode.payment + weight * payments_for(payments, info["outcome"]),
        )

    def goes_on(episode: Episode) -> jax.Array:
        return ~episode.is_over & (episode.steps < LONGEST_EPISODE)

    _, env_state = env.reset_env(key_reset, env_params)
    nothing = jnp.zeros(env.num_agents)
    start = Episode(
        env_state=env_state,
        steps=jnp.int32(0),
        is_over=jnp.bool_(False),
        weight=jnp.ones(()),
        decisions=jnp.zeros(()),
        followed=nothing,
        principal_reward=nothing,
        agent_reward=nothing,
        payment=nothing,
    )
    return jax.lax.while_loop(goes_on, step, start)


class Step(NamedTuple):
    """One step of a recorded episode, `[N]` each beside the state.

    Attributes:
      env_state: the state before the step.
      recommendation: the recommended actions; negative where there is no recommendation.
      action: the actions that were taken.
      payment: what was paid for their outcomes.
      reward: the agents' rewards, payments not included.
      was_over: `[]` bool, whether the episode had ended before this step.
      next_env_state: the state after the step.
    """

    env_state: PyTree
    recommendation: jax.Array
    action: jax.Array
    payment: jax.Array
    reward: jax.Array
    was_over: jax.Array
    next_env_state: PyTree


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
        payment = payments_for(payments, info["outcome"])
        following = info["next_state"]
        recorded = Step(env_state, recommendation, action, payment, reward, was_over, following)
        return (following, was_over | terminated | truncated), recorded

    _, env_state = env.reset_env(key_reset, env_params)
    start = env_state, jnp.bool_(False)
    return jax.lax.scan(step, start, jax.random.split(key_steps, length))[1]


def all_follow(learner: Learner, weights: Weights) -> Decide:
    """All agents do what these weights recommend: a `Decide` for an episode."""

    def decide(env_state: PyTree) -> tuple[jax.Array, jax.Array, jax.Array]:
        offered = standing_offer(learner, weights, env_state)
        return offered.recommendation, offered.recommendation, offered.contract.payments

    return decide
