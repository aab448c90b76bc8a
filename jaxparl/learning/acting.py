"""Acting: agents explore, and every environment takes a step."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl.learning.availability import random_action
from jaxparl.learning.problem import Problem
from jaxparl.types import PyTree, Transition


@struct.dataclass
class ActorState:
    """The environments of one run, and who explores in them.

    Attributes:
      env_state: the states of the environments, `[E]`.
      starts: `[E]` bool, whether an episode begins with the next step.
      explores: `[E, N]` bool, which agents act at random.
    """

    env_state: PyTree
    starts: jax.Array
    explores: jax.Array


class Behaviour(NamedTuple):
    """What all agents do in one step, `[E, N]` each.

    Attributes:
      action: what they do.
      wanted: what they would do without exploring.
      explores: which of them act at random.
      follows: which of them follow the principal.
    """

    action: jax.Array
    wanted: jax.Array
    explores: jax.Array
    follows: jax.Array


def init(problem: Problem, key: jax.Array) -> tuple[ActorState, jax.Array]:
    """Resets all environments; consumes `key`.

    Returns:
      The state, and what is observed in each environment, `[E, N, ...]`.
    """
    env, count = problem.env, problem.config.num_envs

    def reset(key: jax.Array) -> tuple[jax.Array, PyTree]:
        return env.reset_env(key, problem.env_params)

    observation, env_state = jax.vmap(reset)(jax.random.split(key, count))  # over E
    actor = ActorState(
        env_state=env_state,
        starts=jnp.ones(count, bool),
        explores=jnp.zeros((count, env.num_agents), bool),
    )
    return actor, observation


def explore(
    problem: Problem,
    actor: ActorState,
    wanted: jax.Array,
    key: jax.Array,
    iteration: jax.Array | int,
) -> tuple[jax.Array, jax.Array]:
    """Lets agents explore instead of doing what they want, `[E, N]`; consumes `key`.

    Each agent explores with probability epsilon. Per step, as in the paper, that is drawn anew
    every time; states that take many unwanted actions in a row are then soon never visited. Per
    episode it is drawn when one begins, and whoever explores acts at random until it ends.

    Returns:
      What is done, and who explores, `[E, N]` each.
    """
    config, hyper_params = problem.config, problem.hyper_params
    whether, which = jax.random.uniform(key, (2, *wanted.shape))
    first, last = hyper_params.epsilon, hyper_params.epsilon_final
    passed = jnp.asarray(iteration, jnp.float32)
    epsilon = first + (last - first) * passed / config.iterations
    explores = whether < epsilon
    if config.exploration == "per_episode":
        explores = jnp.where(actor.starts[:, None], explores, actor.explores)
    over_environments = jax.vmap(problem.available, axis_size=len(wanted))  # over E
    available = over_environments(actor.env_state)
    anything = random_action(which, problem.env.num_actions, available).astype(wanted.dtype)
    return jnp.where(explores, anything, wanted), explores


def step(
    problem: Problem, actor: ActorState, behaviour: Behaviour, key: jax.Array
) -> tuple[ActorState, Transition]:
    """Steps every environment; consumes `key`.

    Returns:
      The state to continue from, and the transitions `[E]`, payments not included.
    """
    env = problem.env
    keys = jax.random.split(key, problem.config.num_envs)

    def step_env(key: jax.Array, env_state: PyTree, action: jax.Array):
        return env.step(key, env_state, action, problem.env_params)

    _, env_state, agent_reward, terminated, truncated, info = jax.vmap(step_env)(  # over E
        keys, actor.env_state, behaviour.action
    )
    transition = Transition(
        env_state=actor.env_state,
        action=behaviour.action,
        outcome=info["outcome"],
        follows=behaviour.follows,
        deviated=behaviour.action != behaviour.wanted,
        agent_reward=agent_reward,
        principal_reward=info["principal_reward"],
        next_env_state=info["next_state"],
        continues=1.0 - terminated.astype(jnp.float32),
    )
    return ActorState(env_state, terminated | truncated, behaviour.explores), transition
