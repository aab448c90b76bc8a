"""Whether exact values are those of the game that is played: a policy is valued, and played."""

from __future__ import annotations

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.checks import methods
from jaxparl.evaluation.checks.draws import MOST_ERRORS
from jaxparl.evaluation.checks.methods import in_batches
from jaxparl.evaluation.checks.play import draw_outcomes, said_probs
from jaxparl.evaluation.checks.small_programs import NUM_STARTS, compiled_quickly, random_numbers

# No more than so many steps are played where there is no horizon.
_LONGEST = 1_000
# Of the value of an episode without a horizon, all but this share is played.
_REST = 1e-3
# No more than so many states and steps are solved for.
_LARGEST = 2_000_000
_TOLERANCE = 1e-4


def complaints(env: Environment, env_params: GameParams) -> Iterator[str]:
    """Compares what the solutions say that a random policy earns with episodes of it."""
    size, gamma = solutions_of(env).num_states, float(np.asarray(env_params.discount))
    length = int(env_params.max_steps_in_episode)
    if env.has_horizon:
        gamma = 1.0
    else:
        length = 1 if gamma == 0 else math.ceil(math.log(_REST) / math.log(gamma))
    if length * size > _LARGEST:
        return
    shape = (size, env.num_agents)
    actions = np.random.default_rng(1).integers(env.num_actions, size=shape, dtype=np.int32)
    own = np.asarray(_said(env, env_params, actions), float)
    length = length if env.has_horizon else min(length, _LONGEST)
    played, largest = _earned(env, env_params, actions, gamma, length)
    rest = 0.0 if env.has_horizon else gamma**length / (1 - gamma) * largest.max(axis=0)
    mean = played.mean(axis=0)
    slack = rest + _TOLERANCE * np.maximum(1, np.abs(own))
    slack = slack + MOST_ERRORS * played.std(axis=0) / np.sqrt(NUM_STARTS)
    for agent in np.flatnonzero(~(np.abs(mean - own) <= slack))[:1]:
        yield (
            f"by its play_values, a policy brings agent {agent} {own[agent]:.6g} an episode, but "
            f"in {NUM_STARTS:,} episodes the mean is {mean[agent]:.6g}"
        )


@compiled_quickly
def _said(env: Environment, env_params: GameParams, actions: jax.Array) -> jax.Array:
    """`[N]`, what the solutions say that an episode brings each agent, which is not paid."""
    paid = jnp.zeros(actions.shape)
    said: jax.Array = solutions_of(env).play_values(env_params, actions, paid).utilities
    return said


def _earned(
    env: Environment,
    env_params: GameParams,
    actions: np.ndarray,
    gamma: float,
    length: int,
) -> tuple[np.ndarray, np.ndarray]:
    """What each agent earns in episodes of a policy `[S, N]`, and its largest reward there.

    Both are `[episodes, N]`.
    """
    rng = np.random.default_rng(2)
    numbers = random_numbers(NUM_STARTS, seed=1)
    state, _ = in_batches(methods.first_states, env, env_params, numbers)
    total = np.zeros((NUM_STARTS, env.num_agents))
    largest, is_over = total, np.zeros(NUM_STARTS, bool)
    for number in range(length):
        place, _ = in_batches(methods.places, env, env_params, state)
        action = actions[place]
        probs = said_probs(env, env_params, state)
        outcome = draw_outcomes(env, probs, action, rng)
        keys = random_numbers(NUM_STARTS, seed=2 + number)
        done = in_batches(methods.steps, env, env_params, keys, state, action, outcome)
        reward = np.where(is_over[:, None], 0, done.agent_reward)
        total = total + gamma**number * reward
        largest = np.maximum(largest, np.abs(reward))
        state, is_over = done.state, is_over | done.terminated
        if is_over.all():
            break
    return total, largest
