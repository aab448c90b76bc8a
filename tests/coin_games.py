"""Coin Games for tests, and their states in the words of `coin_game_model`."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxparl.envs import make
from jaxparl.envs.coin_game import CoinState

RULES = [(shared, new) for shared in ("one", "all") for new in ("alternating", "random")]
RIGHT, LEFT, DOWN, UP = range(4)


def build(size, shared_coin="one", new_coin="alternating"):
    """An environment and params of 20 steps: what equal ones compile, they share."""
    return make(
        "coin_game",
        grid_size=size,
        max_steps_in_episode=20,
        shared_coin=shared_coin,
        new_coin=new_coin,
    )


def place(env, agents, coin, colour, time=0):
    """A state; cells are (row, column)."""

    def number(cell):
        return cell[0] * env.settings.grid_size + cell[1]

    return CoinState(
        agents=jnp.array([number(cell) for cell in agents], jnp.int16),
        coin=jnp.int16(number(coin)),
        colour=jnp.int16(colour),
        time=jnp.int32(time),
    )


def in_model(size, states):
    """The model's names of states with one leading axis."""
    cells = [divmod(cell, size) for cell in range(size**2)]
    leaves = (np.asarray(leaf).tolist() for leaf in (states.agents, states.coin, states.colour))
    return [
        (tuple(cells[agent] for agent in agents), cells[coin], colour)
        for agents, coin, colour in zip(*leaves, strict=True)
    ]


def in_decimals(rewards):
    """Rewards as the model has them: 0.2 and not what float32 makes of it."""
    return [tuple(pair) for pair in np.round(np.asarray(rewards, np.float64), 6).tolist()]
