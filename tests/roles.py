"""A game of several agents who observe the same, and are to do different things."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces

from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Transitions


@dataclasses.dataclass(frozen=True)
class Settings:
    """How many agents there are, what they are told, and whether the principal sees what they do.

    Attributes:
      observes: of whatever kind their observations are; all of them are blank.
    """

    num_agents: int = 2
    identifies_agents: bool = True
    observed_actions: bool = True
    observes: str = "vector"


BLANK = {
    "vector": spaces.Box(0, 1, (2,)),
    "table": spaces.Discrete(1),
    "parts": spaces.Dict({"view": spaces.Box(0, 1, (2, 2, 1)), "place": spaces.Discrete(1)}),
}


@struct.dataclass
class State:
    time: jax.Array


class Roles(PrincipalAgentEnvironment[State, GameParams]):
    """Agent i gets 1 for action i, and nothing else; hidden actions show themselves by chance.

    Of hidden actions the outcome is the action with a probability that depends on the agent.
    """

    def __init__(self, settings: Settings = Settings()):
        super().__init__(settings)
        self.num_agents = self.num_outcomes = settings.num_agents
        self.identifies_agents = settings.identifies_agents
        self.observed_actions = settings.observed_actions

    @property
    def num_actions(self):
        return self.num_agents

    @property
    def default_params(self):
        return GameParams(max_steps_in_episode=2)

    def initial_state(self, key, params):
        return State(time=jnp.int32(0))

    def tabular_states(self):
        return State(time=jnp.zeros(1, jnp.int32))

    def outcome_probs(self, state, params):
        if self.observed_actions:
            return super().outcome_probs(state, params)
        count = self.num_agents
        shown = 1 / (2 + jnp.arange(count))[:, None, None]
        return shown * jnp.eye(count) + (1 - shown) / count

    def transitions(self, state, action, outcome, params):
        reward = (action == jnp.arange(self.num_agents)).astype(float)
        worth = (outcome == jnp.arange(self.num_agents)).astype(float)
        after = jax.tree.map(lambda leaf: leaf[None], State(time=state.time + 1))
        return Transitions(
            agent_reward=reward,
            principal_reward=worth,
            state=after,
            probs=jnp.ones(1),
            terminated=jnp.zeros(1, bool),
        )

    def get_obs(self, state, params=None, key=None):
        def blank(space):
            return jnp.zeros((self.num_agents, *space.shape), space.dtype)

        space = BLANK[self.settings.observes]
        if isinstance(space, spaces.Dict):
            return {name: blank(part) for name, part in space.spaces.items()}
        return blank(space)

    def observation_space(self, params=None):
        return BLANK[self.settings.observes]
