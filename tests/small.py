"""The small tree and the small Coin Game that many tests share, and runs that learn the tree.

What is compiled or learned here is kept until the session ends, and only read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.config import Config, HyperParams
from jaxparl.envs import make
from jaxparl.envs.game_tree import GameTree
from jaxparl.training import TrainResult, make_train
from jaxparl.training.runs import RunId
from jaxparl.training.sweep import CompiledRuns, Progress, compile_training, draw_env_params, run

COIN_ENV, COIN_PARAMS = make("coin_game", grid_size=3, max_steps_in_episode=20, view="centred")

TREE_ENV = GameTree(make("game_tree", depth=3)[0].settings)
#: The number of a game whose equilibrium is learned in less than a second.
TREE_GAME = 6
TREE_PARAMS = draw_env_params(TREE_ENV, TREE_GAME)
TREE_CONFIG = Config(
    iterations=600,
    evaluation_interval=200,
    target_interval=25,
    batch_size=64,
    replay_capacity=4_800,
    hidden_sizes=(32,),
    outcome_hidden_sizes=(16,),
    hyper_params=HyperParams(nudge=0.01, learning_rate=6e-3),
)


class TreeProgram(NamedTuple):
    """A compiled training program on the small tree.

    Attributes:
      train: `(key, hyper_params [2]) -> results [2]`.
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
def tree_program(config: Config = TREE_CONFIG) -> TreeProgram:
    """The training of two runs that differ in their hyper-parameters."""
    env = CountedTree()
    train = make_train(config, env, TREE_PARAMS)
    return TreeProgram(jax.jit(jax.vmap(train, (None, 0))), env.traces)  # over hyper-parameters


def tree_hyper_params(*nudges: float) -> HyperParams:
    """The hyper-parameters of runs that differ in their nudge."""
    runs = jax.tree.map(lambda x: jnp.full(len(nudges), x, jnp.float32), TREE_CONFIG.hyper_params)
    return runs.replace(nudge=jnp.array(nudges))


def finish(config: Config, compiled: CompiledRuns) -> Progress:
    """All runs as they are after their last iteration."""
    *_, last = run(config, compiled, compiled.start())
    return last


@functools.cache
def compiled_trees(config: Config, runs: tuple[RunId, ...], lanes: int) -> CompiledRuns:
    """The training of small trees in one sweep."""
    return compile_training(config, TREE_ENV, runs, lanes)


@functools.cache
def trained_trees(config: Config, runs: tuple[RunId, ...], lanes: int) -> Progress:
    """The same after their last iteration."""
    return finish(config, compiled_trees(config, runs, lanes))


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
