"""The state and the params of the Coin Game."""

from __future__ import annotations

import jax
from flax import struct
from jax.typing import ArrayLike

from jaxparl.environment import GameParams


@struct.dataclass
class CoinState:
    """Where everything is. Replay stores many states, so it is a few small integers.

    Attributes:
      agents: `[N]` int16, their cells.
      coin: `[]` int16, its cell, where no agent stands.
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
      other_reward: `[]`, for a coin of another agent's colour.
      stolen_reward: `[]`, for each agent that collects a coin of one's own colour. It is 0 in the
        paper; in the classical game (Lerer & Peysakhovich 2017, arXiv 1707.01068) it is -2, and
        every coin is worth 1 to whoever collects it.
      discount: `[]`, as in every environment; the paper's is 0.99.

    Examples:
      >>> CoinParams(max_steps_in_episode=20).other_reward
      0.2
      >>> classical = CoinParams(max_steps_in_episode=20, other_reward=1.0, stolen_reward=-2.0)
    """

    own_reward: ArrayLike = 1.0
    other_reward: ArrayLike = 0.2
    stolen_reward: ArrayLike = 0.0
    discount: ArrayLike = 0.99
