"""All mistakes of a game that can be found in seconds, for its author."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxparl.environment import (
    Environment,
    ExactTable,
    GameParams,
    PrincipalAgentEnvironment,
)
from jaxparl.evaluation.checks import declarations, inspection
from jaxparl.evaluation.checks.failures import BrokenGameError, attempt, fails
from jaxparl.evaluation.rollouts import LONGEST_EPISODE


def check_env(env: Environment, env_params: GameParams | None = None) -> list[str]:
    """Says what is wrong with a game, each mistake in a sentence; a right game gets an empty list.

    What is declared is looked at, every method is traced, random play is compared with what the
    game says, and its exact side, if it has one, with its steps. It takes some seconds, most of
    them for compiling. A game that cannot be traced is not played before that is mended, so there
    may be more to say then. Nothing is raised, whatever the code of the game does.

    Args:
      env: the game.
      env_params: its params; by default those that it has by default.

    Examples:
      A game whose rewards of agents are one number, without an axis of agents:

      >>> import jax.numpy as jnp
      >>> from gymnax.environments import spaces
      >>> from gymnax.environments.environment import EnvState
      >>> import jaxparl
      >>> class Task(jaxparl.PrincipalAgentEnvironment):
      ...     num_agents, num_actions, num_outcomes = 1, 2, 2
      ...     default_params = jaxparl.GameParams(max_steps_in_episode=5)
      ...
      ...     def initial_state(self, key, params):
      ...         return EnvState(time=jnp.int32(0))
      ...
      ...     def outcome_probs(self, state, params):
      ...         return jnp.array([[[0.9, 0.1], [0.1, 0.9]]])
      ...
      ...     def resolve(self, key, state, action, outcome, params):
      ...         return jaxparl.Resolution(
      ...             state=EnvState(time=state.time + 1),
      ...             agent_reward=-0.5 * action[0],
      ...             principal_reward=2.0 * outcome,
      ...             terminated=jnp.bool_(True),
      ...         )
      ...
      ...     def get_obs(self, state, params=None, key=None):
      ...         return jnp.zeros(1, jnp.int32)
      ...
      ...     def observation_space(self, params=None):
      ...         return spaces.Discrete(1)
      >>> jaxparl.check_env(Task())
      ['Task: the agent_reward of its resolve has the shape (), not (1,), one an agent']
      >>> jaxparl.check_env(*jaxparl.make("game_tree", depth=2))
      []
    """
    if isinstance(env, type):
        return [f"{env.__name__} is a class: check an instance of it"]
    if not isinstance(env, PrincipalAgentEnvironment):
        return [f"{type(env).__name__} does not derive from PrincipalAgentEnvironment"]
    found = dict.fromkeys(_complaints(env, env_params))
    return [f"{type(env).__name__}: {each}" for each in found]


def _complaints(env: Environment, env_params: GameParams | None) -> list[str]:
    try:
        missing = list(declarations.essentials(env))
        usual = None if missing else attempt(env, "default_params", lambda: env.default_params)
    except BrokenGameError as error:
        return [str(error)]
    except Exception as error:  # a property that its author wrote
        return [fails(env, error)]
    if missing:
        return missing
    params: Any = usual if env_params is None else env_params
    return list(inspection.complaints(env, params, thorough=True))


def describe(env: Environment, env_params: GameParams) -> str:
    """What was checked in a game in which nothing is wrong.

    Examples:
      >>> from jaxparl.envs import make
      >>> describe(*make("game_tree", depth=3))
      'GameTree: 1 agent, hidden actions, 7 states enumerated, episodes of at most 3 steps'
    """
    agents = f"{env.num_agents} agent{'s' if env.num_agents > 1 else ''}"
    actions = "observed actions" if env.observed_actions else "hidden actions"
    exact = env.exact
    states = "states not enumerated"
    if exact is not None:
        states = f"{exact.num_states:,} states enumerated"
    limit = int(env_params.max_steps_in_episode)
    if isinstance(exact, ExactTable):
        limit = min(limit, exact.horizon)
    episodes = f"episodes of at most {limit:,} steps"
    if limit > LONGEST_EPISODE:
        episodes = "episodes end by the rules"
    if not env.has_horizon:
        episodes = f"no horizon, discounted by {np.asarray(env_params.discount):.6g}"
    return f"{env.name}: {agents}, {actions}, {states}, {episodes}"
