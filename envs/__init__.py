"""The environments of jaxparl.

A new one is a file or a folder here and an entry below: the command line, the conformance tests
and the benchmarks find it in `REGISTRY`.
"""

from jaxparl.envs import coin_game, game_tree
from jaxparl.envs.registry import REGISTRY as REGISTRY
from jaxparl.envs.registry import Entry as Entry
from jaxparl.envs.registry import Preset as Preset
from jaxparl.envs.registry import make as make
from jaxparl.envs.registry import register as register

__all__ = ["REGISTRY", "Entry", "Preset", "make", "register"]

register(
    "game_tree",
    Entry(
        environment=game_tree.GameTree,
        settings=game_tree.Settings,
        presets=game_tree.PRESETS,
        label="tree",
        summary="random binary trees, one agent, hidden actions (Figure 3)",
    ),
)
register(
    "coin_game",
    Entry(
        environment=coin_game.CoinGame,
        settings=coin_game.Settings,
        presets=coin_game.PRESETS,
        label="game",
        summary="the Coin Game, several agents, observed actions (Figures 2 and 4)",
    ),
)
