"""The environments of jaxparl.

A new one is a file or a folder here and a registration below: the command line, the conformance
tests and the benchmarks find it in `REGISTRY`. Those of others need neither: see `register`.
"""

from jaxparl.envs import (
    cleanup,
    coin_game,
    commons,
    escape_room,
    game_tree,
    machine,
    matrix_game,
)
from jaxparl.envs.registry import GROUP as GROUP
from jaxparl.envs.registry import REGISTRY as REGISTRY
from jaxparl.envs.registry import Entry as Entry
from jaxparl.envs.registry import Game as Game
from jaxparl.envs.registry import Preset as Preset
from jaxparl.envs.registry import build as build
from jaxparl.envs.registry import find as find
from jaxparl.envs.registry import make as make
from jaxparl.envs.registry import names as names
from jaxparl.envs.registry import refused as refused
from jaxparl.envs.registry import register as register

__all__ = [
    "GROUP",
    "REGISTRY",
    "Entry",
    "Game",
    "Preset",
    "build",
    "find",
    "make",
    "names",
    "refused",
    "register",
]

register(
    "game_tree",
    game_tree.GameTree,
    game_tree.Settings,
    game_tree.PRESETS,
    label="tree",
    summary="random binary trees, one agent, hidden actions (Figure 3)",
)
register(
    "coin_game",
    coin_game.CoinGame,
    coin_game.Settings,
    coin_game.PRESETS,
    label="game",
    summary="the Coin Game, several agents, observed actions (Figures 2 and 4)",
)
register(
    "machine",
    machine.Machine,
    machine.Settings,
    machine.PRESETS,
    label="game",
    summary="a machine and its operator, one agent, hidden effort, no horizon",
)
register(
    "escape_room",
    escape_room.EscapeRoom,
    escape_room.Settings,
    escape_room.PRESETS,
    label="game",
    summary="some hold a lever so that another may leave, observed actions",
)
register(
    "matrix_game",
    matrix_game.MatrixGame,
    matrix_game.Settings,
    matrix_game.PRESETS,
    label="game",
    summary="prisoner's dilemma, stag hunt or chicken, observed actions",
)
register(
    "commons",
    commons.Commons,
    commons.Settings,
    commons.PRESETS,
    label="game",
    summary="a stock that regrows, 2 to 10 agents, observed or hidden actions",
)
register(
    "cleanup",
    cleanup.Cleanup,
    cleanup.Settings,
    cleanup.PRESETS,
    label="game",
    summary="an orchard and a river to keep clean, 2 to 7 agents, no table",
)
