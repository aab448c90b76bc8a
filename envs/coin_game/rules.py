"""The rules of the Coin Game: the paper's second experiment (section 5.2, Figures 2 and 4).

Agents walk on a torus, one step right, left, down or up at a time, all at once, and may share a
cell. There is one coin, in the colour of one of them; its owner gets more for it than the others
do. A collected coin is replaced on a cell where nobody stands. Actions are observed: the outcome
is the action.

Some rules are settings, because existing implementations differ. Who gets a coin that several
agents reach at once: one of them, by a fair draw, or all of them. Of which colour the next coin
is: the next agent's, or anybody's. Whether agents may stay where they are. The defaults make the
game of the paper; where all collect there is hardly a dilemma.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.environment import (
    PrincipalAgentEnvironment,
    Resolution,
    Tabulation,
    Transitions,
)
from jaxparl.envs.coin_game import listing, picture
from jaxparl.envs.coin_game.decisions import NUM_AGENTS
from jaxparl.envs.coin_game.exact import CoinSolutions
from jaxparl.envs.coin_game.settings import Settings
from jaxparl.envs.coin_game.state import CoinParams, CoinState
from jaxparl.envs.coin_game.torus import Torus

DEFAULT_SETTINGS = Settings()

# XLA-15, see docs/xla.md.
# Loops over a few agents are unrolled: the overhead of a loop is that of many of their steps.
_UNROLLED = 4


def _pick(u: jax.Array, count: ArrayLike) -> jax.Array:
    """One of 0 ... `count` - 1, int16, by a number `u` in [0, 1)."""
    return jnp.floor(u * jnp.asarray(count, u.dtype)).astype(jnp.int16)


class CoinGame(PrincipalAgentEnvironment[CoinState, CoinParams]):
    """Agents on a torus that collect coins of their own and of each other's colours.

    The principal's reward is the social welfare, one agent's reward per term.

    Examples:
      >>> env = CoinGame(Settings(grid_size=3))
      >>> _, state = env.reset(jax.random.key(0))
      >>> state = state.replace(agents=jnp.int16([0, 8]), coin=jnp.int16(1), colour=jnp.int16(0))
      >>> env.step(jax.random.key(0), state, jnp.array([0, 3]))[2].tolist()  # right and up
      [1.0, 0.0]
    """

    observed_actions = True
    # Everybody sees the game from its own side, and nothing else tells agents apart.
    identifies_agents = False
    wraps_around = True
    can_draw: bool = True

    def __init__(self, settings: Settings = DEFAULT_SETTINGS):
        super().__init__(settings)
        self.num_agents: int = settings.num_agents
        self.torus: Torus = Torus(settings.grid_size)

    @property
    def num_actions(self) -> int:
        """Four: 0 right, 1 left, 2 down, 3 up; and 4, if agents may stay."""
        return self.settings.num_actions

    @property
    def default_params(self) -> CoinParams:
        """The paper's rewards and discount, and the time limit of the settings."""
        return CoinParams(max_steps_in_episode=self.settings.max_steps_in_episode)

    @property
    def exact(
        self,
    ) -> CoinSolutions | Tabulation[CoinState, CoinParams] | None:
        """Solutions of their own for two agents; of more, a table, if the board is small."""
        if self.num_agents == NUM_AGENTS:
            return CoinSolutions(self.settings)
        exact = super().exact
        assert exact is None or isinstance(exact, Tabulation)
        return exact

    def tabular_states(self) -> CoinState | None:
        """All states; None if they are too many."""
        return listing.list_states(self.settings)

    def state_index(self, state: CoinState) -> jax.Array:
        """`[]` int32, where a state is in the table."""
        return listing.state_index(self.settings, state)

    def start_probs(self, params: CoinParams) -> jax.Array:
        """`[S]`: agents and coin on different cells."""
        del params
        return listing.start_probs(self.settings)

    def transitions(
        self, state: CoinState, action: jax.Array, outcome: jax.Array, params: CoinParams
    ) -> Transitions[CoinState]:
        """All that may follow: where the next coin is."""
        del action
        return listing.transitions(self.settings, state, outcome, params)

    def initial_state(self, key: jax.Array, params: CoinParams) -> CoinState:
        """Agents and coin on different cells and a colour, all uniformly random."""
        del params
        *u_cells, u_colour = jax.random.uniform(key, (self.num_agents + 2,), jnp.float32)
        cells = self._different_cells(jnp.stack(u_cells))
        return CoinState(
            agents=cells[:-1],
            coin=cells[-1],
            colour=_pick(u_colour, self.num_agents),
            time=jnp.int32(0),
        )

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
        u_collects, u_cell, *u_colour = jax.random.uniform(key, (2 + is_drawn,), jnp.float32)
        agents = self.torus.move(state.agents, outcome)
        reach = agents == state.coin
        collects = reach
        if self.settings.shared_coin == "one":
            drawn = _pick(u_collects, reach.sum())
            collects = reach & (jnp.cumsum(reach, dtype=jnp.int16) == drawn + 1)
        is_own = jnp.arange(self.num_agents, dtype=jnp.int16) == state.colour
        worth = jnp.where(is_own, params.own_reward, params.other_reward)
        taken = collects.astype(jnp.float32)
        thieves = jnp.sum(taken) - taken
        stolen = jnp.where(is_own, thieves * params.stolen_reward, 0.0)
        reward = jnp.where(collects, worth, 0.0) + stolen

        cell = self._free_cell(u_cell, agents)
        colour = (state.colour + 1) % self.num_agents
        if is_drawn:
            colour = _pick(u_colour[0], self.num_agents)
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

    def _free_cell(self, u: jax.Array, taken: jax.Array) -> jax.Array:
        """One of the cells that are not `taken` `[k]`, uniformly, by a number `u` in [0, 1)."""
        # A cell that is taken twice counts once; a number beyond the last cell does not count.
        again = jnp.tril(taken[:, None] == taken[None], -1).any(axis=1)
        counts = ~again & (taken < self.torus.num_cells)
        rank = _pick(u, self.torus.num_cells - counts.sum())

        # The free cell of rank r has the number r + how many taken cells come before it: the least
        # fixed point of this function, which takes at most one iteration per taken cell.
        def pass_taken(_: int, cell: jax.Array) -> jax.Array:
            return rank + jnp.sum(counts & (taken <= cell), dtype=jnp.int16)

        return jax.lax.fori_loop(0, len(taken), pass_taken, rank, unroll=_UNROLLED)

    def _different_cells(self, u: jax.Array) -> jax.Array:
        """As many different cells as there are numbers `u` `[k]`, drawn one after the other."""

        def place(taken: jax.Array, which: tuple[jax.Array, jax.Array]):
            number, u = which
            return taken.at[number].set(self._free_cell(u, taken)), None

        # The number after the last cell's stands for cells that are not drawn yet.
        nowhere = jnp.full(u.shape, self.torus.num_cells, jnp.int16)
        return jax.lax.scan(place, nowhere, (jnp.arange(len(u)), u), unroll=_UNROLLED)[0]

    def get_obs(self, state: CoinState, params: Any = None, key: Any = None) -> jax.Array:
        """`[N, H, W, 2 N]` float32, what each agent sees: a plane per agent, and one per colour.

        The first plane shows the agent itself, the next one the agent after it, and so on; then
        come its own coin, that of the agent after it, and so on. Of two agents these are the
        agent itself, the other one, its own coin, the other's.
        """
        del params, key
        size, num_agents = self.settings.grid_size, self.num_agents
        agents, num_planes = jnp.arange(num_agents), 2 * num_agents
        # The plane and the cell of each agent and of the coin, `[N, N + 1]` by who sees it.
        plane = (agents[None] - agents[:, None]) % num_agents
        coin = num_agents + (state.colour.astype(agents.dtype) - agents) % num_agents
        plane = jnp.column_stack([plane, coin])
        cells = jnp.append(state.agents, state.coin)[None]
        if self.settings.view == "centred":
            cells = self.torus.relative_to(cells, state.agents[:, None])
        place = num_planes * cells.astype(plane.dtype) + plane
        is_there = place[:, :, None] == jnp.arange(num_planes * self.torus.num_cells)[None, None]
        return jnp.sum(is_there, axis=1, dtype=jnp.float32).reshape(-1, size, size, num_planes)

    def observation_space(self, params: CoinParams | None = None) -> spaces.Box:
        """`[H, W, 2 N]`, of one agent."""
        del params
        size = self.settings.grid_size
        return spaces.Box(0.0, 1.0, (size, size, 2 * self.num_agents), jnp.float32)

    @property
    def action_labels(self) -> tuple[str, ...]:
        """Arrows, and a dot for staying."""
        return ("→", "←", "↓", "↑", "·")[: self.num_actions]

    def draw(self, axes: Any, state: CoinState) -> None:
        """The board: agents are discs with their number, the coin is a ring of its colour."""
        picture.draw(axes, self.settings.grid_size, state)
