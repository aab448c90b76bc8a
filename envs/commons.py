"""A commons: agents that harvest a stock, which regrows from what they leave.

Every agent takes much of the stock, or spares it: then it takes little, and plants. What is left
grows, the most where half of the stock is left. Whoever takes much gains by it, and all bear the
loss together: a tragedy of the commons (Hardin 1968). Whoever plants pays for it, and all gain by
it: a public good. Actions are observed; or, as a setting, hidden, and the principal sees only
catches, which may be of either size whatever an agent tries.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.config import check_count
from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Transitions
from jaxparl.envs.registry.presets import SEVERAL_AGENTS, Preset

SPARE, TAKE = range(2)
MAX_AGENTS, MAX_STOCK = 10, 20


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sizes and rules of a commons.

    Attributes:
      num_agents: N.
      stock_per_agent: the largest stock is so many units for every agent.
      hidden: whether the principal does not see actions, but their outcomes, which are noisy.
      max_steps_in_episode: the time limit of episodes of training; the game has no end.

    Raises:
      ValueError: a size is out of range.

    Examples:
      >>> Settings(num_agents=5).capacity
      20
      >>> Settings(num_agents=1)
      Traceback (most recent call last):
      ...
      ValueError: num_agents must be between 2 and 10, not 1
    """

    num_agents: int = 3
    stock_per_agent: int = 4
    hidden: bool = False
    max_steps_in_episode: int = 50

    @property
    def capacity(self) -> int:
        """The largest stock."""
        return self.num_agents * self.stock_per_agent

    def __post_init__(self) -> None:
        check_count(self, "num_agents", 2, MAX_AGENTS)
        check_count(self, "stock_per_agent", 1, MAX_STOCK)
        check_count(self, "max_steps_in_episode")


@struct.dataclass
class CommonsState:
    """What is left.

    Attributes:
      stock: `[]` int32, in units.
      time: `[]` int32, steps since the reset.
    """

    stock: jax.Array
    time: jax.Array


@struct.dataclass
class CommonsParams(GameParams):
    """How much is taken, and how the rest grows.

    Attributes:
      little: `[]`, the units that an agent takes which spares the stock.
      much: `[]`, those that any other agent takes.
      growth: `[]`, the share by which a small stock grows in a step; a larger one grows less, and
        the largest not at all.
      planting: `[]`, the units by which the stock grows for every agent that spares it.
      planting_cost: `[]`, what that costs the agent.
      noise: `[]`, where actions are hidden, the probability that an agent does what it did not try.
      discount: `[]`, as in every environment.

    Examples:
      >>> tragedy = CommonsParams(planting=0.0, planting_cost=0.0)
      >>> public_good = CommonsParams(growth=0.0, planting=1.0)
    """

    little: ArrayLike = 0.5
    much: ArrayLike = 1.5
    growth: ArrayLike = 1.0
    planting: ArrayLike = 0.5
    planting_cost: ArrayLike = 0.2
    noise: ArrayLike = 0.2
    discount: ArrayLike = 0.9


class Commons(PrincipalAgentEnvironment[CommonsState, CommonsParams]):
    """A stock that several agents harvest.

    The principal's reward is the social welfare, one agent's reward per term.

    Examples:
      >>> env = Commons(Settings(num_agents=3))
      >>> _, state = env.reset(jax.random.key(0))
      >>> action = jnp.array([TAKE, TAKE, SPARE])
      >>> _, state, reward, *_ = env.step(jax.random.key(0), state, action)
      >>> print(reward, state.stock)  # 8.5 are left, grow by 2.5, and one agent has planted 0.5
      [1.5 1.5 0.3] 11
    """

    num_outcomes: int = 2
    has_horizon: bool = False
    can_draw: bool = True

    def __init__(self, settings: Settings = Settings()):
        super().__init__(settings)
        self.num_agents: int = settings.num_agents
        self.observed_actions: bool = not settings.hidden

    @property
    def num_actions(self) -> int:
        """Two: 0 spares the stock, 1 takes much."""
        return 2

    @property
    def default_params(self) -> CommonsParams:
        """A tragedy and a public good at once."""
        return CommonsParams(max_steps_in_episode=self.settings.max_steps_in_episode)

    def tabular_states(self) -> CommonsState:
        """All stocks."""
        stock = jnp.arange(self.settings.capacity + 1)
        return CommonsState(stock=stock, time=jnp.zeros_like(stock))

    def initial_state(self, key: jax.Array, params: CommonsParams) -> CommonsState:
        """The largest stock."""
        del key, params
        return CommonsState(stock=jnp.int32(self.settings.capacity), time=jnp.int32(0))

    def outcome_probs(self, state: CommonsState, params: CommonsParams) -> jax.Array:
        """`[N, A, O]`: what agents do is what they try, unless that is noisy."""
        if not self.settings.hidden:
            return super().outcome_probs(state, params)
        same = jnp.eye(2)
        noisy = (1 - params.noise) * same + params.noise * (1 - same)
        return jnp.broadcast_to(noisy, (self.num_agents, 2, 2))

    def transitions(
        self, state: CommonsState, action: jax.Array, outcome: jax.Array, params: CommonsParams
    ) -> Transitions[CommonsState]:
        """All harvest at once, and the rest grows, up to a fraction that is rounded at random."""
        del action
        spares = outcome == SPARE
        wanted = jnp.where(spares, params.little, params.much).astype(float)
        total = wanted.sum()
        # Where there is not enough for all, each gets its share.
        taken = jnp.minimum(total, state.stock)
        catch = wanted * jnp.where(total > 0, taken / jnp.maximum(total, 1e-6), 0.0)
        reward = catch - params.planting_cost * spares

        capacity = self.settings.capacity
        left = state.stock - taken
        grown = left + params.growth * left * (1 - left / capacity)
        grown = jnp.clip(grown + params.planting * spares.sum(), 0, capacity)
        below = jnp.floor(grown)
        stock = jnp.minimum(jnp.stack([below, below + 1]), capacity)
        return Transitions(
            agent_reward=reward,
            principal_reward=reward,
            state=CommonsState(
                stock=stock.astype(state.stock.dtype),
                time=jnp.broadcast_to(state.time + 1, (2,)),
            ),
            probs=jnp.stack([1 - (grown - below), grown - below]),
            terminated=jnp.zeros(2, bool),
        )

    def get_obs(self, state: CommonsState, params: Any = None, key: Any = None) -> jax.Array:
        """`[N]`, the stock."""
        del params, key
        return jnp.broadcast_to(state.stock, (self.num_agents,))

    def observation_space(self, params: CommonsParams | None = None) -> spaces.Discrete:
        """The stock."""
        del params
        return spaces.Discrete(self.settings.capacity + 1)

    @property
    def action_labels(self) -> tuple[str, ...]:
        """What agents do to the stock."""
        return ("spare", "take")

    def draw(self, axes: Any, state: CommonsState) -> None:
        """The stock, a square for every unit; it grows the most where it reaches the line."""
        columns, rows = self.settings.num_agents, self.settings.stock_per_agent
        axes.set(xlim=(0, columns), ylim=(0, rows), aspect="equal", xticks=[], yticks=[])
        for unit in range(self.settings.capacity):
            row, column = divmod(unit, columns)
            x, y = np.array([0.1, 0.9, 0.9, 0.1]), np.array([0.1, 0.1, 0.9, 0.9])
            is_left = unit < int(state.stock)
            axes.fill(column + x, row + y, color="C2" if is_left else "0.92")
        axes.plot([0, columns], [rows / 2, rows / 2], color="0.4", linestyle=":")


_CONFIG = dataclasses.replace(
    SEVERAL_AGENTS,
    iterations=8_000,
    num_envs=32,
    batch_size=64,
    replay_capacity=32_000,
    hidden_sizes=(32, 32),
    target_interval=50,
    evaluation_interval=800,
    hyper_params=dataclasses.replace(
        SEVERAL_AGENTS.hyper_params,
        learning_rate=1e-3,
        epsilon_final=0.1,
        follow_share=0.9,
        nudge=0.05,
    ),
)


def _preset(summary: str, num_agents: int) -> Preset:
    """So many agents, five seeds."""
    return Preset(
        summary=summary,
        settings=Settings(num_agents=num_agents),
        config=_CONFIG,
        games="0:1",
        seeds="0:5",
    )


#: By name.
PRESETS = {
    "quick": _preset("3 agents, 5 seeds", 3),
    "five": _preset("5 agents, 5 seeds", 5),
}
