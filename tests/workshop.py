"""One right game, as somebody else may write it; tests make one mistake at a time in it.

It has everything that a game may have: several agents, hidden actions, states that come back again
and again, random starts, an end by its rules, a table, and steps of its own.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Resolution, Transitions


@dataclasses.dataclass(frozen=True)
class Settings:
    num_agents: int = 2
    worst: int = 2


@struct.dataclass
class State:
    wear: jax.Array
    time: jax.Array


@struct.dataclass
class Params(GameParams):
    cost: ArrayLike = 0.5
    breaks: ArrayLike = 0.25
    max_steps_in_episode: int = 20
    discount: ArrayLike = 0.9


class Workshop(PrincipalAgentEnvironment[State, Params]):
    """Agents who care keep a machine in shape; one that is worn out may break down."""

    num_actions = num_outcomes = 2

    def __init__(self, settings=Settings()):
        super().__init__(settings)
        self.num_agents = settings.num_agents

    @property
    def default_params(self):
        return Params()

    def initial_state(self, key, params):
        return State(jax.random.randint(key, (), 0, 2), jnp.int32(0))

    def start_probs(self, params):
        return jnp.array([0.5, 0.5, *(0.0 for _ in range(self.settings.worst - 1))])

    def outcome_probs(self, state, params):
        rows = jnp.array([[0.75, 0.25], [0.25, 0.75]])
        return jnp.broadcast_to(rows, (self.num_agents, 2, 2))

    def tabular_states(self):
        wear = jnp.arange(self.settings.worst + 1)
        return State(wear, jnp.zeros_like(wear))

    def transitions(self, state, action, outcome, params):
        wear = jnp.clip(state.wear + 1 - outcome.sum(), 0, self.settings.worst)
        breaks = params.breaks * (state.wear == self.settings.worst)
        return Transitions(
            agent_reward=-params.cost * action,
            principal_reward=1.0 * outcome,
            state=State(jnp.stack([wear, wear]), jnp.stack([state.time + 1, state.time + 1])),
            probs=jnp.stack([1 - breaks, breaks]),
            terminated=jnp.array([False, True]),
        )

    def resolve(self, key, state, action, outcome, params):
        wear = jnp.clip(state.wear + 1 - outcome.sum(), 0, self.settings.worst)
        breaks = jax.random.uniform(key) < params.breaks
        return Resolution(
            state=State(wear, state.time + 1),
            agent_reward=-params.cost * action,
            principal_reward=1.0 * outcome,
            terminated=breaks & (state.wear == self.settings.worst),
        )

    def get_obs(self, state, params=None, key=None):
        return jnp.broadcast_to(state.wear, (self.num_agents,))

    def observation_space(self, params=None):
        return spaces.Discrete(self.settings.worst + 1)
