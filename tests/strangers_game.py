"""A game as a stranger writes it: tests copy this file to a folder outside of the package."""

from __future__ import annotations

import dataclasses
import sys

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces

from jaxparl import GameParams, PrincipalAgentEnvironment
from jaxparl.environment import Transitions

# A careless author: this array fixes the devices, if nobody has set them before.
NOTHING = jnp.zeros(2)
print(f"{jax.device_count()} devices", file=sys.stderr)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The size of the pond.

    Attributes:
      most: how many fish it holds.
    """

    most: int = 3


@struct.dataclass
class State:
    fish: jax.Array
    time: jax.Array


@struct.dataclass
class Params(GameParams):
    """What a fish is worth, and how they grow.

    Attributes:
      price: `[]`, of a fish that is caught.
      growth: `[]`, the probability that a fish is born.
    """

    max_steps_in_episode: int = 4
    discount: float = 0.9
    price: float = 1.0
    growth: float = 0.7


class Pond(PrincipalAgentEnvironment[State, Params]):
    """Two fishers, one pond: whoever waits lets the fish grow."""

    num_agents, num_actions = 2, 2
    observed_actions = True
    settings_class = Settings
    default_params = Params()

    def initial_state(self, key: jax.Array, params: Params) -> State:
        return State(jnp.int32(self.settings.most), jnp.int32(0))

    def tabular_states(self) -> State:
        fish = jnp.arange(self.settings.most + 1)
        return State(fish, jnp.zeros_like(fish))

    def transitions(
        self, state: State, action: jax.Array, outcome: jax.Array, params: Params
    ) -> Transitions[State]:
        caught = action * (state.fish >= jnp.arange(1, 3))  # the first one gets the last fish
        worth = params.price * caught
        left = state.fish - caught.sum()
        born = jnp.minimum(left + jnp.where(left > 0, jnp.array([0, 1]), 0), self.settings.most)
        return Transitions(
            agent_reward=worth,
            principal_reward=worth,  # it cares for both
            state=State(born.astype(jnp.int32), jnp.full(2, state.time + 1)),
            probs=jnp.array([1 - params.growth, params.growth]),
            terminated=jnp.zeros(2, bool),
        )

    def get_obs(self, state: State, params: Params | None = None, key: object = None) -> jax.Array:
        return jnp.array([0, self.settings.most + 1]) + state.fish

    def observation_space(self, params: Params | None = None) -> spaces.Discrete:
        return spaces.Discrete(2 * (self.settings.most + 1))
