"""The Coin Game: the paper's second experiment (section 5.2, Figures 2 and 4).

Agents walk on a torus of `grid_size` x `grid_size` cells, one step right, left, down or up at a
time, all at once, and may share a cell. There is one coin, in the colour of one of them; its
owner gets more for it than the others do. A collected coin is replaced on a cell where nobody
stands. Cells are numbered row by row. Actions are observed: the outcome is the action.

Two rules are settings, because the implementations in use differ. Who gets a coin that several
agents reach at once: one of them, by a fair draw, or all of them. Of which colour the next coin
is: the next agent's, or anybody's. The defaults make the game of the paper; where all collect
there is hardly a dilemma.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Resolution
from jaxparl.envs import coin_game_exact, coin_game_picture
from jaxparl.envs.coin_game_settings import Settings
from jaxparl.types import PlayValue

DEFAULT_SETTINGS = Settings()

# Row and column of a step right, left, down and up.
_STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))
# Loops over a few agents are written out: a loop's own cost is that of many of their steps.
_UNROLLED = 4


def _pick(lot: jax.Array, count: ArrayLike) -> jax.Array:
    """One of 0 ... `count` - 1, int16, by a `lot` in [0, 1)."""
    return jnp.floor(lot * count).astype(jnp.int16)


@struct.dataclass
class CoinState:
    """Where everything is: a few small integers, because replay holds many of them.

    Attributes:
      agents: `[N]` int16, their cells.
      coin: `[]` int16, its cell; no agent's.
      colour: `[]` int16, the agent whose coin it is.
      time: `[]` int32, steps since the reset.
    """

    agents: jax.Array
    coin: jax.Array
    colour: jax.Array
    time: jax.Array


@struct.dataclass
class CoinParams(GameParams):
    """What a coin is worth.

    Attributes:
      own_reward: `[]`, for a coin of one's own colour.
      other_reward: `[]`, for a coin of another's.
      discount: `[]`, as in every game; the paper's is 0.99.
    """

    own_reward: ArrayLike = 1.0
    other_reward: ArrayLike = 0.2
    discount: ArrayLike = 0.99


class CoinGame(PrincipalAgentEnvironment[CoinState, CoinParams]):
    """Agents on a torus that collect coins of their own and of each other's colours.

    The principal's reward is the social welfare, one agent's reward per term.
    """

    num_outcomes: int = len(_STEPS)
    observed_actions = True
    can_draw: bool = True

    def __init__(self, settings: Settings = DEFAULT_SETTINGS):
        self.settings = settings
        self.num_agents: int = settings.num_agents
        self.is_solvable: bool = settings.num_agents == coin_game_exact.NUM_AGENTS

    def __eq__(self, other: object) -> bool:
        # Equal settings are the same rules, so compiled steps are shared between instances.
        return isinstance(other, CoinGame) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash((CoinGame, self.settings))

    @property
    def num_actions(self) -> int:
        """Four: 0 right, 1 left, 2 down, 3 up."""
        return len(_STEPS)

    @property
    def num_cells(self) -> int:
        """The cells C of the torus."""
        return self.settings.grid_size**2

    @property
    def default_params(self) -> CoinParams:
        """The paper's rewards and discount, and the time limit of the settings."""
        return CoinParams(max_steps_in_episode=self.settings.max_steps_in_episode)

    # --- The rules ----------------------------------------------------------------------------

    def initial_state(self, key: jax.Array, params: CoinParams) -> CoinState:
        """Agents and coin on different cells and a colour, all uniformly random."""
        del params
        *lots, lot_colour = jax.random.uniform(key, (self.num_agents + 2,))
        cells = self._different_cells(jnp.stack(lots))
        return CoinState(
            agents=cells[:-1],
            coin=cells[-1],
            colour=_pick(lot_colour, self.num_agents),
            time=jnp.int32(0),
        )

    def outcome_probs(self, state: CoinState, params: CoinParams) -> jax.Array:
        """`[N, A, A]`, the identity: the principal sees what was done."""
        del state, params
        identity = jnp.eye(self.num_actions)
        return jnp.broadcast_to(identity, (self.num_agents, *identity.shape))

    def moved(self, cell: jax.Array, action: jax.Array) -> jax.Array:
        """The cell that an action leads to, of the type of `cell`; both may be arrays."""
        size = self.settings.grid_size
        row, column = jnp.divmod(cell, size)
        down, right = jnp.asarray(_STEPS, cell.dtype).T
        return (row + down[action]) % size * size + (column + right[action]) % size

    def resolve(
        self,
        key: jax.Array,
        state: CoinState,
        action: jax.Array,
        outcome: jax.Array,
        params: CoinParams,
    ) -> Resolution[CoinState]:
        """All move, whoever reaches the coin collects it, and then a new one appears."""
        del action
        is_drawn = self.settings.new_coin == "random"
        lot_collects, lot_cell, *lot_colour = jax.random.uniform(key, (2 + is_drawn,))
        agents = self.moved(state.agents, outcome)
        reach = agents == state.coin
        collects = reach
        if self.settings.shared_coin == "one":
            drawn = _pick(lot_collects, reach.sum())
            collects = reach & (jnp.cumsum(reach) == drawn + 1)
        is_own = jnp.arange(self.num_agents) == state.colour
        reward = collects * jnp.where(is_own, params.own_reward, params.other_reward)

        cell = self._free_cell(lot_cell, agents)
        colour = (state.colour + 1) % self.num_agents
        if is_drawn:
            colour = _pick(lot_colour[0], self.num_agents)
        is_collected = reach.any()
        return Resolution(
            state=CoinState(
                agents=agents,
                coin=jnp.where(is_collected, cell, state.coin),
                colour=jnp.where(is_collected, colour, state.colour),
                time=state.time + 1,
            ),
            agent_reward=reward,
            principal_reward=reward,
            terminated=jnp.bool_(False),
        )

    def _free_cell(self, lot: jax.Array, taken: jax.Array) -> jax.Array:
        """One of the cells that are not `taken` `[k]`, uniformly, by a `lot` in [0, 1)."""
        # A cell that two have taken is one cell, and one beyond the last is none.
        again = jnp.tril(taken[:, None] == taken, -1).any(axis=1)
        counts = ~again & (taken < self.num_cells)
        rank = _pick(lot, self.num_cells - counts.sum())

        # The free cell number `rank` is that far behind the taken ones up to it: the least fixed
        # point, which is reached after as many steps as there are cells to be passed.
        def pass_taken(_: int, cell: jax.Array) -> jax.Array:
            return rank + jnp.sum(counts & (taken <= cell), dtype=jnp.int16)

        return jax.lax.fori_loop(0, len(taken), pass_taken, rank, unroll=_UNROLLED)

    def _different_cells(self, lots: jax.Array) -> jax.Array:
        """As many different cells as there are `lots` `[k]`, uniformly: one after the other."""

        def place(taken: jax.Array, which: tuple[jax.Array, jax.Array]):
            number, lot = which
            return taken.at[number].set(self._free_cell(lot, taken)), None

        # Nobody stands on the cell that comes after the last.
        nowhere = jnp.full(lots.shape, self.num_cells, jnp.int16)
        return jax.lax.scan(place, nowhere, (jnp.arange(len(lots)), lots), unroll=_UNROLLED)[0]

    def get_obs(self, state: CoinState, params: Any = None, key: Any = None) -> jax.Array:
        """`[N, H, W, 4]` float32, what each agent sees: itself, the others, its coin, another's.

        Where several others share a cell their plane counts them.
        """
        del params, key
        size, agents = self.settings.grid_size, jnp.arange(self.num_agents)
        # What there is, the agents and the coin, `[N, N + 1]` by who sees it: its plane, its place.
        plane = jnp.where(agents[:, None] == agents, 0, 1)
        plane = jnp.column_stack([plane, jnp.where(agents == state.colour, 2, 3)])
        cells = jnp.append(state.agents, state.coin)
        if self.settings.view == "centred":
            cells = self.seen(cells, state.agents[:, None])
        place = 4 * cells + plane
        is_there = place[:, :, None] == jnp.arange(4 * self.num_cells)
        return jnp.sum(is_there, axis=1, dtype=jnp.float32).reshape(-1, size, size, 4)

    def seen(self, cell: jax.Array, origin: jax.Array) -> jax.Array:
        """The number of a cell if `origin` were number 0."""
        size = self.settings.grid_size
        row, column = (
            (of_cell - of_origin) % size
            for of_cell, of_origin in zip(
                jnp.divmod(cell, size), jnp.divmod(origin, size), strict=True
            )
        )
        return row * size + column

    def observation_space(self, params: CoinParams | None = None) -> spaces.Box:
        """`[H, W, 4]`, of one agent."""
        del params
        size = self.settings.grid_size
        return spaces.Box(0.0, float(self.num_agents - 1), (size, size, 4), jnp.float32)

    @property
    def action_labels(self) -> tuple[str, ...]:
        """Arrows."""
        return ("→", "←", "↓", "↑")

    def draw(self, axes: Any, state: CoinState) -> None:
        """The board: agents are discs with their number, the coin is a ring of its colour."""
        coin_game_picture.draw(axes, self.settings.grid_size, state)

    # --- The states, enumerated ---------------------------------------------------------------

    @property
    def num_states(self) -> int:
        """S = C^(N + 1) N, those included, but never reached, with the coin under an agent."""
        return self.num_cells ** (self.num_agents + 1) * self.num_agents

    @property
    def _state_shape(self) -> tuple[int, ...]:
        return (self.num_cells,) * (self.num_agents + 1) + (self.num_agents,)

    def state_index(self, state: CoinState) -> jax.Array:
        """`[]` int32, the place of a state in `tabular_states`; its time does not matter."""
        digits = (*state.agents, state.coin, state.colour)
        return jnp.ravel_multi_index(
            tuple(digit.astype(jnp.int32) for digit in digits), self._state_shape, mode="clip"
        )

    def tabular_states(self) -> CoinState:
        """All states at time 0, with a leading axis `S`.

        They are ordered by the first agent's cell, then the second's, the coin's, the colour:
        with two agents, `((cell_0 C + cell_1) C + coin) 2 + colour`.
        """
        index = jnp.arange(self.num_states)
        *agents, coin, colour = jnp.unravel_index(index, self._state_shape)
        return CoinState(
            agents=jnp.stack(agents, axis=-1).astype(jnp.int16),
            coin=coin.astype(jnp.int16),
            colour=colour.astype(jnp.int16),
            time=jnp.zeros(self.num_states, jnp.int32),
        )

    # --- Exact solutions, of two agents (`coin_game_exact`) -----------------------------------

    def optimal_welfare(self, params: CoinParams) -> jax.Array:
        """`[]`, the most that both agents together can expect in an episode."""
        return coin_game_exact.optimal_welfare(self, params)

    def selfish_play(self, params: CoinParams) -> PlayValue:
        """What happens without a principal: a Nash equilibrium of every step's game."""
        return coin_game_exact.selfish_play(self, params)

    def equilibrium(
        self, params: CoinParams, alpha: ArrayLike = 0.1, discount: ArrayLike = 1.0
    ) -> PlayValue:
        """What happens in the subgame-perfect equilibrium of the paper's objective."""
        return coin_game_exact.equilibrium(self, params, alpha, discount)

    def play_values(self, params: CoinParams, actions: jax.Array, payments: jax.Array) -> PlayValue:
        """What happens where all play `actions` `[S, N]` and are paid `payments` `[S, N]`."""
        return coin_game_exact.play_values(self, params, actions, payments)

    def best_responses(
        self, params: CoinParams, actions: jax.Array, payments: jax.Array
    ) -> jax.Array:
        """`[N]`, the most each gets, paid `payments` `[S, N, A]`, while the other follows."""
        return coin_game_exact.best_responses(self, params, actions, payments)
