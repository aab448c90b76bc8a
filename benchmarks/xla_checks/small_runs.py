"""Small runs of both games, compiled as `jaxparl train` does it."""

from __future__ import annotations

from unittest import mock

import jax
import numpy as np

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment
from jaxparl.envs import make
from jaxparl.learning.learner import Learner, make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import RunState
from jaxparl.training import sweep
from jaxparl.training.devices import fetch
from jaxparl.training.runs import grid
from jaxparl.training.sweep import CompiledRuns

#: Trees, whose runs have the same bits at any number of lanes.
TREE = Config(
    iterations=20,
    target_interval=10,
    evaluation_interval=20,
    hidden_sizes=(32, 32),
    replay_capacity=800,
)
#: The Coin Game, with what the paper has there.
BOARD = Config(
    iterations=20,
    target_interval=10,
    evaluation_interval=20,
    hidden_sizes=(16, 16),
    replay_capacity=800,
    critic="per_action",
    exploration="per_step",
    loss="huber",
    max_gradient_norm=10.0,
    target_window=0.1,
    principal_target_window=0.1,
    hyper_params=HyperParams(follow_share=0.5, alpha=0.1),
)


def tree() -> Environment:
    return make("game_tree", depth=4)[0]


def board() -> Environment:
    return make("coin_game", grid_size=3, max_steps_in_episode=20)[0]


def one_run(config: Config, env: Environment) -> tuple[Learner, RunState]:
    """A learner, and the state of a run before the first iteration."""
    learns = make_learner(Problem(config, env, env.default_params, config.hyper_params))
    return learns, jax.jit(learns.init)(jax.random.key(0))


def compile_runs(
    config: Config, env: Environment, *, runs: int, lanes: int, devices: int
) -> CompiledRuns:
    """Compiles runs for so many devices of this process."""
    present = jax.devices()[:devices]
    with mock.patch.object(jax, "devices", return_value=present):
        return sweep.compile_training(config, env, grid([0], range(runs)), lanes)


def trained_weights(
    config: Config, env: Environment, *, lanes: int, devices: int = 1
) -> list[np.ndarray]:
    """The weights of four runs after the last iteration."""
    compiled = compile_runs(config, env, runs=4, lanes=lanes, devices=devices)
    *_, last = sweep.run(config, compiled, compiled.start())
    state = fetch(compiled.layout, last.runs.state)
    return jax.tree.leaves((state.agent.params, state.principal.params))


def differing(one: list[np.ndarray], other: list[np.ndarray]) -> int:
    """How many numbers differ."""
    return sum(int((a != b).sum()) for a, b in zip(one, other, strict=True))
