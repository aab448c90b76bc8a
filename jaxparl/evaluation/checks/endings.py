"""Whether the episodes of a game end."""

from __future__ import annotations

from collections.abc import Iterator

import jax

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks.small_programs import compiled_quickly, random_numbers
from jaxparl.evaluation.rollouts import LONGEST_EPISODE
from jaxparl.types import PyTree

# Steps of random play that should come to an end, and how many plays there are.
_RANDOM_STEPS, _RANDOM_PLAYS = 4_096, 4


def complaints(env: Environment, env_params: GameParams) -> Iterator[str]:
    """What is wrong where neither a time limit nor the rules end an episode."""
    limit = int(env_params.max_steps_in_episode)
    if limit > LONGEST_EPISODE and not may_end(env, env_params):
        yield (
            f"it has no time limit, and nothing ended in {_RANDOM_STEPS:,} random steps: give its "
            f"params a max_steps_in_episode of at most {LONGEST_EPISODE:,}"
        )


def may_end(env: Environment, env_params: GameParams) -> bool:
    """Whether the game ends by its own rules in random play, before its time limit."""
    numbers = random_numbers(_RANDOM_PLAYS), random_numbers(_RANDOM_STEPS)
    return bool(_any_end(env, env_params, *numbers))


@compiled_quickly
def _any_end(
    env: Environment, env_params: GameParams, starts: jax.Array, steps: jax.Array
) -> jax.Array:
    states = jax.vmap(lambda key: env.initial_state(key, env_params))(  # over plays
        jax.random.wrap_key_data(starts)
    )

    def step(key: jax.Array, state: PyTree):
        key_action, key_step = jax.random.split(key)
        action = jax.random.randint(key_action, (env.num_agents,), 0, env.num_actions)
        _, state, _, terminated, _, _ = env.step(key_step, state, action, env_params)
        return state, terminated

    def steps_of_all(states: PyTree, key: jax.Array):
        return jax.vmap(step)(jax.random.split(key, _RANDOM_PLAYS), states)  # over plays

    return jax.lax.scan(steps_of_all, states, jax.random.wrap_key_data(steps))[1].any()
