"""What a run learns: a game, and the settings to learn it with."""

from __future__ import annotations

from typing import NamedTuple

import jax
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.types import PyTree


class Problem(NamedTuple):
    """The game and the settings of one run, which never change while it learns.

    Everything that learns or evaluates is built for a problem, and closes over it. Inside a
    compiled program of many runs, `env_params` and `hyper_params` are traced: each run has its own.

    Attributes:
      config: sizes, counts and choices; static.
      env: the rules of the game; static.
      env_params: the params of the game.
      hyper_params: the numbers that the learners use.
    """

    config: Config
    env: Environment
    env_params: GameParams
    hyper_params: HyperParams

    @property
    def gamma(self) -> ArrayLike:
        """`[]`, the discount factor of principal and agents."""
        return self.env_params.discount

    def observation_space(self) -> spaces.Space:
        """What an agent observes, by the game's default params, which are never traced.

        Networks are built for it, and have the same shape whatever game a run draws.
        """
        with jax.ensure_compile_time_eval():
            return self.env.observation_space(self.env.default_params)

    def observe(self, env_state: PyTree) -> jax.Array:
        """What each agent observes in one state, `[N, ...]`."""
        return self.env.get_obs(env_state, self.env_params)
