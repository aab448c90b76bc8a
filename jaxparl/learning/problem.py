"""What a run learns: a game, and the settings to learn it with."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.learning import networks, updates
from jaxparl.learning.components import STANDARD, Components
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
      components: what of the learner is made elsewhere; static.
    """

    config: Config
    env: Environment
    env_params: GameParams
    hyper_params: HyperParams
    components: Components = STANDARD

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

    def observe(self, env_state: PyTree) -> PyTree:
        """What each agent observes in one state, `[N, ...]`."""
        return self.env.get_obs(env_state, self.env_params)

    def available(self, env_state: PyTree) -> jax.Array | None:
        """`[N, A]` bool, what each agent can do in one state; None where all can do everything."""
        found = self.env.available_actions(env_state, self.env_params)
        return None if found is None else found | ~jnp.any(found, axis=-1, keepdims=True)

    def with_number(self, bits: jax.Array) -> jax.Array:
        """Bits `[..., N, F]` of all agents, and behind them the number of each, one-hot.

        Agents share a network. They are told who they are unless there is but one of them, or the
        environment says that they need not be (`identifies_agents`); then bits stay as they are.
        """
        count = self.env.num_agents
        if count == 1 or not self.env.identifies_agents:
            return bits
        numbers = jnp.broadcast_to(jnp.eye(count, dtype=bits.dtype), (*bits.shape[:-1], count))
        return jnp.concatenate([bits, numbers], axis=-1)

    def numbers(self, *axes: int) -> jax.Array:
        """The numbers alone, `[*axes, N, F]`, F being 0 where agents are not told them."""
        return self.with_number(jnp.zeros((*axes, self.env.num_agents, 0)))

    def make_network(self, hidden_sizes: tuple[int, ...], num_outputs: int) -> nn.Module:
        """Makes a network `(observation, bits) -> [..., X]`, by whoever has a say in it.

        What is handed in comes first, then the environment's own, then that of the space.
        """
        if self.components.make_network is not None:
            space = self.observation_space()
            return self.components.make_network(space, hidden_sizes, num_outputs)
        own = self.env.make_network(hidden_sizes, num_outputs)
        if own is not None:
            return own
        return networks.make_network(
            self.observation_space(), hidden_sizes, num_outputs, self.env.wraps_around
        )

    def make_optimizer(self, first: ArrayLike, last: ArrayLike) -> optax.GradientTransformation:
        """Makes an optimiser whose step size falls from `first` to `last`."""
        make = self.components.make_optimizer or updates.adam
        return updates.optimizer(self.config, first, last, make)
