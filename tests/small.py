"""The small games that many tests share, and programs that learn them.

What is compiled or learned here is kept until the session ends, and only read.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment
from jaxparl.envs import make
from jaxparl.envs.game_tree import GameTree
from jaxparl.evaluation.checks.small_programs import quick_to_compile
from jaxparl.training import TrainResult, make_train
from jaxparl.training.runs import RunId, grid
from jaxparl.training.sweep import CompiledRuns, Progress, compile_training, draw_env_params, run

COIN_ENV, COIN_PARAMS = make("coin_game", grid_size=3, max_steps_in_episode=20, view="centred")

TREE_ENV = GameTree(make("game_tree", depth=3)[0].settings)
#: The number of a game whose equilibrium is learned in less than a second.
TREE_GAME = 6
TREE_PARAMS = draw_env_params(TREE_ENV, TREE_GAME)
#: As long as the trial that a plan makes: so the same programs serve its tests, too.
TREE_CONFIG = Config(
    iterations=200,
    evaluation_interval=200,
    target_interval=10,
    batch_size=64,
    replay_capacity=4_800,
    hidden_sizes=(32,),
    outcome_hidden_sizes=(16,),
    hyper_params=HyperParams(nudge=0.01, learning_rate=2e-2),
)
#: Two games and two seeds of each; on more than two devices, more seeds. The last waits its turn.
TREE_RUNS = tuple(grid([TREE_GAME - 1, TREE_GAME], range(max(2, jax.device_count()))))

#: The smallest Coin Game. Two agents learn to share in a thousand iterations.
BOARD_ENV, BOARD_PARAMS = make("coin_game", grid_size=2, max_steps_in_episode=8)
BOARD_CONFIG = Config(
    iterations=1_000,
    evaluation_interval=500,
    target_interval=25,
    batch_size=32,
    replay_capacity=8_000,
    hidden_sizes=(32,),
    critic="per_action",
    loss="huber",
    exploration="per_step",
    hyper_params=HyperParams(
        learning_rate=4e-3,
        principal_learning_rate_final=1e-4,
        nudge=0.0,
        alpha=0.1,
        follow_share=0.5,
        epsilon=0.4,
        epsilon_final=0.0,
    ),
)


class TreeProgram(NamedTuple):
    """A compiled training program on the small tree.

    Attributes:
      train: `(key, hyper_params) -> result`.
      traces: has an item for every time that the rules of the game were traced.
    """

    train: Callable[[jax.Array, HyperParams], TrainResult]
    traces: list[None]


class CountedTree(GameTree):
    """A tree that counts how often its rules are traced; it is equal to no other."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self) -> None:
        super().__init__(TREE_ENV.settings)
        self.traces: list[None] = []

    def resolve(self, *arguments):
        self.traces.append(None)
        return super().resolve(*arguments)


@functools.cache
def tree_program(config: Config = TREE_CONFIG, *, runs_once: bool = False) -> TreeProgram:
    """The training of one run; what is quick to compile is slow to run."""
    env = CountedTree()
    train = make_train(config, env, TREE_PARAMS)
    options = quick_to_compile() if runs_once else None
    return TreeProgram(jax.jit(train, compiler_options=options), env.traces)


def numbers(hyper_params: HyperParams) -> HyperParams:
    """Hyper-parameters as a program takes them."""
    return jax.tree.map(jnp.float32, hyper_params)


def finish(config: Config, compiled: CompiledRuns) -> Progress:
    """All runs as they are after their last iteration."""
    *_, last = run(config, compiled, compiled.start())
    return last


@functools.cache
def compiled_trees(runs: tuple[RunId, ...] = TREE_RUNS, lanes: int = 1) -> CompiledRuns:
    """The training of small trees in one sweep."""
    return _compiled(TREE_CONFIG, TREE_ENV, runs, lanes)


@functools.cache
def trained_trees(runs: tuple[RunId, ...] = TREE_RUNS, lanes: int = 1) -> Progress:
    """The same after their last iteration."""
    return finish(TREE_CONFIG, compiled_trees(runs, lanes))


@functools.cache
def compiled_boards() -> CompiledRuns:
    """The training of eight runs on the smallest Coin Game, in lanes of two."""
    return _compiled(BOARD_CONFIG, BOARD_ENV, tuple(grid([0], range(8))), lanes=2)


def _compiled(
    config: Config, env: Environment, runs: tuple[RunId, ...], lanes: int
) -> CompiledRuns:
    """Compiles runs; seconds are those of the processors, which other load does not prolong."""
    began = time.process_time()
    compiled = compile_training(config, env, runs, lanes)
    return compiled._replace(compile_seconds=time.process_time() - began)


def row(tree, number: int):
    """One run of many, `[R, ...]`."""
    return jax.tree.map(lambda leaf: leaf[number], tree)


def largest_difference(one, other) -> float:
    """The largest difference between two pytrees of numbers (keys left out)."""
    gaps = [
        np.max(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
        if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key)
    ]
    return float(max(gaps))
