"""The environments of jaxparl.

A new one is a file or a folder here and an entry below: the command line, the conformance tests
and the benchmarks find it in `REGISTRY`.
"""

from jaxparl.envs import coin_game, commons, escape_room, game_tree, machine, matrix_game
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
register(
    "machine",
    Entry(
        environment=machine.Machine,
        settings=machine.Settings,
        presets=machine.PRESETS,
        label="game",
        summary="a machine and its operator, one agent, hidden effort, no horizon",
    ),
)
register(
    "escape_room",
    Entry(
        environment=escape_room.EscapeRoom,
        settings=escape_room.Settings,
        presets=escape_room.PRESETS,
        label="game",
        summary="some must hold a lever so that another may leave, observed actions",
    ),
)
register(
    "matrix_game",
    Entry(
        environment=matrix_game.MatrixGame,
        settings=matrix_game.Settings,
        presets=matrix_game.PRESETS,
        label="game",
        summary="repeated prisoner's dilemma, stag hunt or chicken, observed actions",
    ),
)
register(
    "commons",
    Entry(
        environment=commons.Commons,
        settings=commons.Settings,
        presets=commons.PRESETS,
        label="game",
        summary="a stock that regrows, 2 to 10 agents, observed or hidden actions",
    ),
)
