"""The rules of Cleanup, and what agents see."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.config import check_count
from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Resolution
from jaxparl.envs.cleanup import picture

RIGHT, LEFT, DOWN, UP, CLEAN = range(5)
# Row and column of what each action moves by.
_STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0), (0, 0))
# The shares of the river and of the orchard where something is when an episode begins.
_WASTE_AT_FIRST, _APPLES_AT_FIRST = 0.5, 0.2
MIN_SIDE, MAX_SIDE, MAX_AGENTS = 3, 15, 7


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sizes of the game.

    Attributes:
      num_agents: N.
      height: rows of the board.
      width: columns of the board.
      river: how many columns on the left are the river.
      orchard: how many columns on the right are the orchard.
      max_steps_in_episode: the time limit in the default params.

    Raises:
      ValueError: a size is out of range.

    Examples:
      >>> Settings(width=3, river=2, orchard=2)
      Traceback (most recent call last):
      ...
      ValueError: orchard must be between 1 and 1 (the river takes the rest), not 2
    """

    num_agents: int = 2
    height: int = 5
    width: int = 7
    river: int = 1
    orchard: int = 2
    max_steps_in_episode: int = 50

    def __post_init__(self) -> None:
        check_count(self, "num_agents", 2, MAX_AGENTS)
        check_count(self, "height", MIN_SIDE, MAX_SIDE)
        check_count(self, "width", MIN_SIDE, MAX_SIDE)
        check_count(self, "river", 1, self.width - 1, why=" (there must be an orchard)")
        left = self.width - self.river
        check_count(self, "orchard", 1, left, why=" (the river takes the rest)")
        check_count(self, "max_steps_in_episode")


@struct.dataclass
class CleanupState:
    """What is where on the board.

    Attributes:
      agents: `[N, 2]` int8, row and column of each; all are different.
      waste: `[H, W]` bool, where the river is polluted.
      apples: `[H, W]` bool, where there are apples.
      time: `[]` int32, steps since the reset.
    """

    agents: jax.Array
    waste: jax.Array
    apples: jax.Array
    time: jax.Array


@struct.dataclass
class CleanupParams(GameParams):
    """How fast the river is polluted, and apples grow.

    Attributes:
      pollution: `[]`, the probability that a clean cell of the river is polluted in a step.
      growth_clean: `[]`, the probability that an apple grows in an empty cell of the orchard in a
        step, if all of the river is clean.
      growth_polluted: `[]`, the same if all of it is polluted; in between it is in proportion.
      discount: `[]`, as in every environment.

    Examples:
      >>> CleanupParams().replace(growth_polluted=0.0).growth_polluted
      0.0
    """

    pollution: ArrayLike = 0.3
    growth_clean: ArrayLike = 0.1
    growth_polluted: ArrayLike = 0.01
    discount: ArrayLike = 0.9


class Cleanup(PrincipalAgentEnvironment[CleanupState, CleanupParams]):
    """Agents that eat the apples of an orchard, or clean the river that it needs.

    The principal's reward is the social welfare, one agent's reward per term.

    Examples:
      >>> env = Cleanup(Settings(height=3, width=4))
      >>> nowhere = jnp.zeros((3, 4), bool)
      >>> state = CleanupState(
      ...     agents=jnp.int8([[1, 0], [0, 1]]),
      ...     waste=nowhere.at[0, 0].set(True),
      ...     apples=nowhere.at[0, 2].set(True),
      ...     time=jnp.int32(0),
      ... )
      >>> params = env.default_params.replace(pollution=0.0)
      >>> action = jnp.array([CLEAN, RIGHT])
      >>> _, state, reward, *_ = env.step(jax.random.key(0), state, action, params)
      >>> reward.tolist(), state.agents.tolist(), state.waste.any().item()
      ([0.0, 1.0], [[1, 0], [0, 2]], False)
    """

    observed_actions: bool = True
    can_draw: bool = True

    def __init__(self, settings: Settings = Settings()):
        super().__init__(settings)
        self.num_agents: int = settings.num_agents

    @property
    def num_actions(self) -> int:
        """Five: 0 right, 1 left, 2 down, 3 up, and 4, to clean."""
        return len(_STEPS)

    @property
    def default_params(self) -> CleanupParams:
        """Two agents do best if one cleans and the other one eats."""
        return CleanupParams(max_steps_in_episode=self.settings.max_steps_in_episode)

    @property
    def river(self) -> jax.Array:
        """`[H, W]` bool, the cells that may be polluted."""
        return self._columns() < self.settings.river

    @property
    def orchard(self) -> jax.Array:
        """`[H, W]` bool, the cells where apples may grow."""
        return self._columns() >= self.settings.width - self.settings.orchard

    def _columns(self) -> jax.Array:
        return jnp.broadcast_to(jnp.arange(self.settings.width), self._board)

    @property
    def _board(self) -> tuple[int, int]:
        return self.settings.height, self.settings.width

    def initial_state(self, key: jax.Array, params: CleanupParams) -> CleanupState:
        """Agents on different cells, waste in half of the river, and some apples, all at random."""
        del params
        key_agents, key_board = jax.random.split(key)
        lots = jax.random.permutation(key_agents, self.settings.height * self.settings.width)
        cells = jnp.stack(jnp.divmod(lots[: self.num_agents], self.settings.width), axis=-1)
        agents = cells.astype(jnp.int8)
        drawn = jax.random.uniform(key_board, self._board)
        taken = jnp.any(self._within(agents, 0), axis=0)
        return CleanupState(
            agents=agents,
            waste=self.river & (drawn < _WASTE_AT_FIRST),
            apples=self.orchard & (drawn < _APPLES_AT_FIRST) & ~taken,
            time=jnp.int32(0),
        )

    def resolve(
        self,
        key: jax.Array,
        state: CleanupState,
        action: jax.Array,
        outcome: jax.Array,
        params: CleanupParams,
    ) -> Resolution[CleanupState]:
        """All act at once; then there is new waste, and then there are new apples."""
        del action
        key_moves, key_board = jax.random.split(key)
        agents = self._move(key_moves, state.agents, outcome)
        stands = self._within(agents, 0)  # [N, H, W]
        eats = jnp.any(stands & state.apples, axis=(1, 2))
        cleans = jnp.any(self._within(agents, 1) & (outcome == CLEAN)[:, None, None], axis=0)

        # No cell is both of the river and of the orchard.
        drawn = jax.random.uniform(key_board, self._board)
        waste = (state.waste & ~cleans) | (self.river & (drawn < params.pollution))
        polluted = jnp.sum(waste) / jnp.sum(self.river)
        growth = polluted * params.growth_polluted + (1 - polluted) * params.growth_clean
        taken = jnp.any(stands, axis=0)
        apples = (state.apples | (self.orchard & (drawn < growth))) & ~taken
        reward = eats.astype(float)
        return Resolution(
            state=CleanupState(agents=agents, waste=waste, apples=apples, time=state.time + 1),
            agent_reward=reward,
            principal_reward=reward,
            terminated=jnp.bool_(False),
        )

    def _move(self, key: jax.Array, agents: jax.Array, action: jax.Array) -> jax.Array:
        """`[N, 2]`, where agents are after their moves; consumes `key`.

        An agent stays where it is in front of a wall, and of a cell where somebody stood before the
        move, even if that one leaves. Of several that move into one cell a fair draw lets one in.
        """
        steps = jnp.asarray(_STEPS, agents.dtype)[action]
        last = jnp.asarray(self._board, agents.dtype) - 1
        wanted = jnp.clip(agents + steps, 0, last)
        is_taken = _same(wanted, agents).any(axis=1)
        rank = jax.random.permutation(key, self.num_agents)
        loses = (_same(wanted, wanted) & (rank[:, None] > rank[None])).any(axis=1)
        return jnp.where((is_taken | loses)[:, None], agents, wanted)

    def _within(self, agents: jax.Array, distance: int) -> jax.Array:
        """`[N, H, W]` bool, the cells at most so many rows and columns away from each agent."""
        rows, columns = (jnp.arange(size) for size in self._board)
        down = jnp.abs(rows - agents[:, :1]) <= distance  # [N, H]
        right = jnp.abs(columns - agents[:, 1:]) <= distance  # [N, W]
        return down[:, :, None] & right[:, None, :]

    def make_network(self, hidden_sizes: tuple[int, ...], num_outputs: int) -> nn.Module:
        """A perceptron on the whole board, which takes far less time than a convolution."""
        return _Perceptron(hidden_sizes, num_outputs)

    def get_obs(self, state: CleanupState, params: Any = None, key: Any = None) -> jax.Array:
        """`[N, H, W, 4]` float32, the board in four planes: oneself, others, waste, apples."""
        del params, key
        own = self._within(state.agents, 0)
        others = own.any(axis=0) & ~own
        common = (jnp.broadcast_to(plane, own.shape) for plane in (state.waste, state.apples))
        return jnp.stack([own, others, *common], axis=-1).astype(jnp.float32)

    def observation_space(self, params: CleanupParams | None = None) -> spaces.Box:
        """`[H, W, 4]`, of one agent."""
        del params
        return spaces.Box(0.0, 1.0, (*self._board, 4), jnp.float32)

    @property
    def action_labels(self) -> tuple[str, ...]:
        """Arrows, and a word for cleaning."""
        return ("→", "←", "↓", "↑", "clean")

    def draw(self, axes: Any, state: CleanupState) -> None:
        """The board: agents are discs with their number, waste is brown, apples are red."""
        picture.draw(axes, state, river=self.river, orchard=self.orchard)


class _Perceptron(nn.Module):
    """Hidden layers on all numbers of a board `[..., H, W, C]`; bits `[..., F]` enter the first."""

    hidden_sizes: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, observation: jax.Array, bits: jax.Array | None = None) -> jax.Array:
        x = observation.reshape(*observation.shape[:-3], -1)
        if bits is not None:
            x = jnp.concatenate([x, bits], axis=-1)
        for size in self.hidden_sizes:
            x = nn.relu(nn.Dense(size, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(self.num_outputs, kernel_init=nn.initializers.normal(0.01))(x)


def _same(cells: jax.Array, others: jax.Array) -> jax.Array:
    """`[N, N]` bool, whether two agents' cells `[N, 2]` are the same; False for oneself."""
    is_same = (cells[:, None] == others[None]).all(axis=-1)
    return is_same & ~jnp.eye(len(cells), dtype=bool)
