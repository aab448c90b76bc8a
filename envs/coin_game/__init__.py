"""The Coin Game: agents on a torus collect coins of their own and of each other's colours."""

from jaxparl.envs.coin_game.presets import PRESETS as PRESETS
from jaxparl.envs.coin_game.rules import CoinGame as CoinGame
from jaxparl.envs.coin_game.settings import Settings as Settings
from jaxparl.envs.coin_game.state import CoinParams as CoinParams
from jaxparl.envs.coin_game.state import CoinState as CoinState

__all__ = ["PRESETS", "CoinGame", "CoinParams", "CoinState", "Settings"]
