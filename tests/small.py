"""The small tree and the small Coin Game that many tests share, and programs compiled once.

The same settings as a command line and as a `Config`: a test that trains through either compiles
nothing that another test has compiled.
"""

from __future__ import annotations

import functools

from jaxparl.config import Config, HyperParams
from jaxparl.envs import make
from jaxparl.learning.state import target_weights
from jaxparl.training.comparison import compile_validation
from jaxparl.training.devices import fetch
from jaxparl.training.runs import RunId, grid
from jaxparl.training.sweep import CompiledRuns, Progress, compile_training, run

#: Options of the command line for the small tree: two seeds, two evaluations.
TREE = (
    "game_tree --depth 4 --games 0:1 --seeds 0:2 --iterations 200 --target-interval 50 "
    "--evaluation-interval 100 --hidden-sizes 32 32 --replay-capacity 8000"
).split()
#: The same of the small Coin Game, which is validated unless told otherwise.
COIN_GAME = (
    "coin_game --preset quick --games 0:1 --seeds 0:2 --iterations 100 --target-interval 25 "
    "--evaluation-interval 50 --hidden-sizes 16 16 --replay-capacity 4000"
).split()

TREE_ENV, TREE_PARAMS = make("game_tree", depth=4)
TREE_CONFIG = Config(
    iterations=200,
    target_interval=50,
    evaluation_interval=100,
    hidden_sizes=(32, 32),
    replay_capacity=8000,
)
COIN_ENV, COIN_PARAMS = make("coin_game", grid_size=3, max_steps_in_episode=20, view="centred")
COIN_CONFIG = Config(
    iterations=100,
    target_interval=25,
    evaluation_interval=50,
    hidden_sizes=(16, 16),
    replay_capacity=4000,
    critic="per_action",
    exploration="per_step",
    loss="huber",
    max_gradient_norm=10.0,
    target_window=0.1,
    principal_target_window=0.1,
    hyper_params=HyperParams(
        learning_rate=5e-4,
        learning_rate_final=1e-4,
        principal_learning_rate_final=1e-4,
        epsilon=0.2,
        epsilon_final=0.0,
        validation_epsilon=0.05,
        follow_share=0.5,
        alpha=0.1,
        nudge=0.05,
    ),
)

#: One game, two seeds: the runs of the command lines above.
RUNS = tuple(grid([0], [0, 1]))


@functools.cache
def compiled_tree(
    runs: tuple[RunId, ...] = RUNS, lanes: int | None = None, config: Config = TREE_CONFIG
) -> CompiledRuns:
    """The training of small trees, compiled once for the whole session."""
    return compile_training(config, TREE_ENV, runs, lanes)


@functools.cache
def compiled_coin_game(
    runs: tuple[RunId, ...] = RUNS, lanes: int | None = None, config: Config = COIN_CONFIG
) -> CompiledRuns:
    """The training of small Coin Games, compiled once for the whole session."""
    return compile_training(config, COIN_ENV, runs, lanes)


def finish(compiled: CompiledRuns, config: Config) -> list[Progress]:
    """Runs from the beginning to the end; the runs of the last entry alone can still be read."""
    return list(run(config, compiled, compiled.start()))


@functools.cache
def trained_tree() -> list[Progress]:
    """The small trees, trained; read only."""
    return finish(compiled_tree(), TREE_CONFIG)


@functools.cache
def trained_coin_game() -> list[Progress]:
    """The small Coin Games, trained; read only."""
    return finish(compiled_coin_game(), COIN_CONFIG)


@functools.cache
def compiled_validation(lanes: int | None = None) -> CompiledRuns:
    """The validation of `trained_coin_game`, compiled once for the whole session."""
    trained = trained_coin_game()[-1].runs
    weights = fetch(compiled_coin_game().layout, target_weights(trained.state))
    return compile_validation(COIN_CONFIG, COIN_ENV, RUNS, weights, lanes)


@functools.cache
def validated_coin_game() -> list[Progress]:
    """The small Coin Games, validated under every scheme; read only."""
    return finish(compiled_validation(), COIN_CONFIG)
