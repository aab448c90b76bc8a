"""A game with the interface of JaxMARL, which need not be installed for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


class Discrete(NamedTuple):
    n: int


class Box(NamedTuple):
    low: Any
    high: Any
    shape: tuple[int, ...]


@struct.dataclass
class State:
    place: Any
    step: Any
    done: Any


ACTIONS = {"walker": 4, "guard": 2, "cook": 3}
SIZES = {"walker": 2, "guard": 1, "cook": 3}


class Unequal:
    """Three agents with different actions and observations; tired ones can only rest, action 0.

    A state has Python's numbers at first. An episode ends after `max_steps`, or where all are far.
    """

    name = "Unequal"
    agents = tuple(ACTIONS)
    num_agents = len(ACTIONS)

    def __init__(self, max_steps: int = 5, far: int = 9):
        self.max_steps = max_steps
        self.far = far

    def action_space(self, agent):
        return Discrete(ACTIONS[agent])

    def observation_space(self, agent):
        return Box(0.0, np.full(SIZES[agent], 20.0), (SIZES[agent],))

    def reset(self, key):
        place = jax.random.randint(key, (3,), 0, 3)
        state = State(place=place, step=0, done=False)
        return self.get_obs(state), state

    def step_env(self, key, state, actions):
        moved = jnp.stack([actions[agent] for agent in self.agents])
        noise = jax.random.uniform(key, (3,))
        place = jnp.minimum(state.place + moved, 20)
        step = state.step + 1
        done = (step >= self.max_steps) | (place >= self.far).all()
        after = State(place=place, step=step, done=done)
        rewards = {agent: moved[i] - 0.5 * noise[i] for i, agent in enumerate(self.agents)}
        dones = {**dict.fromkeys(self.agents, done), "__all__": done}
        return self.get_obs(after), after, rewards, dones, {}

    def get_obs(self, state):
        return {
            agent: jnp.full(SIZES[agent], state.place[i], jnp.int32)
            for i, agent in enumerate(self.agents)
        }

    def get_avail_actions(self, state):
        return {
            agent: (jnp.arange(ACTIONS[agent]) == 0) | (state.place[i] % 4 != 3)
            for i, agent in enumerate(self.agents)
        }


class Alike(Unequal):
    """Agents who all have as many actions and see boards, of which nothing is known."""

    def action_space(self, agent):
        return Discrete(4)

    def observation_space(self, agent):
        return Discrete(4)

    def get_obs(self, state):
        return {
            agent: jnp.full((2, 2, 1), state.place[i], jnp.int32)
            for i, agent in enumerate(self.agents)
        }

    def get_avail_actions(self, state):
        raise NotImplementedError


class Continuous(Alike):
    def action_space(self, agent):
        return Box(0, 1, (2,))


class Blind(Alike):
    def reset(self, key):
        return {}, Alike().reset(key)[1]

    def step_env(self, key, state, actions):
        return Alike().step_env(key, state, actions)

    def get_obs(self, state, old_state):
        raise AssertionError
