"""Small games of a stock: agents harvest a stock that regrows, in every kind of game that there is.

With one agent or many, actions observed or hidden, with a table or without, with a horizon or
without, ending by itself or at the time limit.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces

from jaxparl.config import Config, HyperParams
from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Transitions
from jaxparl.envs import Entry, Preset

LEVELS = 6
RESTRAIN, HARVEST = range(2)
# How much the stock regrows in a step, and how likely.
_GROWTH, _PROBS = (0, 1, 2), (0.3, 0.4, 0.3)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which kind of game it is; with `ends`, it is over when nothing has regrown."""

    num_agents: int = 2
    is_observed: bool = True
    is_listed: bool = True
    has_horizon: bool = True
    ends: bool = False


@struct.dataclass
class Stock:
    level: jax.Array
    time: jax.Array


class StockGame(PrincipalAgentEnvironment[Stock, GameParams]):
    """Who harvests gets more the more there is, and leaves less to all."""

    num_actions, num_outcomes = 2, 2
    identifies_agents = False  # all see who they are

    def __init__(self, settings: Settings = Settings()):
        super().__init__(settings)
        self.num_agents = settings.num_agents
        self.observed_actions = settings.is_observed
        self.has_horizon = settings.has_horizon

    @property
    def default_params(self):
        return GameParams(max_steps_in_episode=12, discount=0.9)

    def initial_state(self, key, params):
        return Stock(level=jnp.int32(LEVELS - 2), time=jnp.int32(0))

    def tabular_states(self):
        if not self.settings.is_listed:
            return None
        return Stock(jnp.arange(LEVELS), jnp.zeros(LEVELS, jnp.int32))

    def outcome_probs(self, state, params):
        if self.settings.is_observed:
            return super().outcome_probs(state, params)
        seen = jnp.array([[0.9, 0.1], [0.2, 0.8]])
        return jnp.broadcast_to(seen, (self.num_agents, 2, 2))

    def transitions(self, state, action, outcome, params):
        worth = state.level / (LEVELS - 1)
        lost = 2 * jnp.sum(outcome) // self.num_agents
        level = jnp.clip(state.level - lost + jnp.array(_GROWTH), 0, LEVELS - 1)
        return Transitions(
            agent_reward=worth * action + 0.1,
            principal_reward=worth * outcome + 0.1,
            state=Stock(level, jnp.broadcast_to(state.time + 1, level.shape)),
            probs=jnp.array(_PROBS),
            terminated=(jnp.array(_GROWTH) == 0) & self.settings.ends,
        )

    def get_obs(self, state, params=None, key=None):
        return state.level * self.num_agents + jnp.arange(self.num_agents)

    def observation_space(self, params=None):
        return spaces.Discrete(LEVELS * self.num_agents)


CONFIG = Config(
    iterations=40,
    evaluation_interval=40,
    target_interval=20,
    batch_size=16,
    replay_capacity=800,
    hidden_sizes=(16,),
    exploration="per_step",
    loss="huber",
    hyper_params=HyperParams(
        learning_rate=5e-3, epsilon=0.5, follow_share=0.5, nudge=0.02, alpha=0.5
    ),
)


def registered() -> Entry:
    """What the registry knows of these games."""
    quick = Preset(
        summary="a small stock", settings=Settings(is_listed=False), config=CONFIG, validate=True
    )
    return Entry(
        environment=StockGame,
        settings=Settings,
        presets={"quick": quick},
        label="stock",
        summary="agents harvest a stock that regrows",
    )
