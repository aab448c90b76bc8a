"""All states of the Coin Game, and all that may follow, for any number of agents.

`exact` is faster for two agents, and is of them alone.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxparl.environment import Transitions
from jaxparl.envs.coin_game.decisions import NUM_AGENTS
from jaxparl.envs.coin_game.settings import Settings
from jaxparl.envs.coin_game.state import CoinParams, CoinState
from jaxparl.envs.coin_game.torus import Torus

# What may follow in all states after all joint actions, at most.
_MOST_ENTRIES = 2**27


def list_states(settings: Settings) -> CoinState | None:
    """All states at time 0, with a leading axis `S`; None if there are too many to be solved.

    In a centred view of more than two agents all positions of the first one look the same, and it
    is on cell 0.
    """
    axes = _axes(settings)
    size = math.prod(axes)
    if size * settings.num_actions**settings.num_agents * _num_successors(settings) > _MOST_ENTRIES:
        return None
    *agents, coin, colour = jnp.unravel_index(jnp.arange(size), axes)
    return CoinState(
        agents=jnp.stack(agents, axis=-1).astype(jnp.int16),
        coin=coin.astype(jnp.int16),
        colour=colour.astype(jnp.int16),
        time=jnp.zeros(size, jnp.int32),
    )


def state_index(settings: Settings, state: CoinState) -> jax.Array:
    """`[]` int32, the position of a state in the list; its time does not matter."""
    agents, coin = state.agents, state.coin
    if _is_folded(settings):
        torus = Torus(settings.grid_size)
        agents, coin = (torus.relative_to(cell, state.agents[0]) for cell in (agents, coin))
    digits = (*agents, coin, state.colour)
    digits = tuple(digit.astype(jnp.int32) for digit in digits)
    return jnp.ravel_multi_index(digits, _axes(settings), mode="clip")


def start_probs(settings: Settings) -> jax.Array:
    """`[S]`: an episode starts with agents and coin on different cells, all equally likely."""
    states = list_states(settings)
    assert states is not None
    cells = jnp.concatenate([states.agents, states.coin[:, None]], axis=1)
    is_same = cells[:, :, None] == cells[:, None]
    may_start = is_same.sum(axis=(1, 2)) == cells.shape[1]
    return may_start / may_start.sum()


def transitions(
    settings: Settings, state: CoinState, action: jax.Array, params: CoinParams
) -> Transitions[CoinState]:
    """All that may follow a joint action `[N]`: the cells and colours of a new coin."""
    torus = Torus(settings.grid_size)
    agents = torus.move(state.agents, action)
    reach = agents == state.coin
    chance = reach.astype(float)
    if settings.shared_coin == "one":
        chance = chance / jnp.maximum(chance.sum(), 1.0)
    is_own = jnp.arange(settings.num_agents) == state.colour
    worth = jnp.where(is_own, params.own_reward, params.other_reward)
    stolen = jnp.where(is_own, (chance.sum() - chance) * params.stolen_reward, 0.0)
    reward = chance * worth + stolen

    cell = jnp.arange(torus.num_cells, dtype=state.coin.dtype)
    is_free = ~(cell[:, None] == agents).any(axis=1)
    of_cell = is_free / is_free.sum()
    colour = ((state.colour + 1) % settings.num_agents)[None]
    if settings.new_coin == "random":
        colour = jnp.arange(settings.num_agents, dtype=state.colour.dtype)
    new_coin, new_colour = (
        grid.ravel() for grid in jnp.meshgrid(cell, colour, indexing="ij")
    )  # [K]
    probs = jnp.repeat(of_cell / len(colour), len(colour))
    is_first = jnp.arange(len(new_coin)) == 0
    is_collected = reach.any()
    return Transitions(
        agent_reward=reward,
        principal_reward=reward,
        state=CoinState(
            agents=jnp.broadcast_to(agents, (len(new_coin), *agents.shape)),
            coin=jnp.where(is_collected, new_coin, state.coin),
            colour=jnp.where(is_collected, new_colour, state.colour),
            time=jnp.broadcast_to(state.time + 1, new_coin.shape),
        ),
        probs=jnp.where(is_collected, probs, is_first.astype(probs.dtype)),
        terminated=jnp.zeros(len(new_coin), bool),
    )


def _is_folded(settings: Settings) -> bool:
    """Whether states that differ by a shift of the board are one.

    Those of two agents are never: they are in the order of `CoinSolutions.states`, and offers that
    are looked up by a state's position serve both solutions.
    """
    return settings.view == "centred" and settings.num_agents > NUM_AGENTS


def _axes(settings: Settings) -> tuple[int, ...]:
    cells = Torus(settings.grid_size).num_cells
    first = 1 if _is_folded(settings) else cells
    return (first, *(cells for _ in range(settings.num_agents)), settings.num_agents)


def _num_successors(settings: Settings) -> int:
    """K: the cells of a new coin, and its colours where these are random."""
    colours = settings.num_agents if settings.new_coin == "random" else 1
    return Torus(settings.grid_size).num_cells * colours
