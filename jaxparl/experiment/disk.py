"""Whether there is room on the disk for what a run saves, before it is begun."""

from __future__ import annotations

import functools
import math
import shutil
from pathlib import Path

import jax

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.training.devices import key_data
from jaxparl.types import KEY_IMPL, PyTree

# A checkpoint is written before the one that it replaces is deleted.
_CHECKPOINTS = 2


def check_room(
    path: Path,
    config: Config,
    env: Environment,
    num_runs: int,
    components: Components = STANDARD,
) -> None:
    """Checks that the checkpoints of so many runs fit on the disk.

    Args:
      path: the folder of the runs, which need not exist yet.
      config: theirs.
      env: the game.
      num_runs: how many there are.
      components: what of the learner is made elsewhere.

    Raises:
      OSError: they do not fit.
    """
    place = next(each for each in (path, *path.absolute().parents) if each.exists())
    usage = shutil.disk_usage(place)
    needed = _CHECKPOINTS * num_runs * bytes_of_run(config, env, components)
    # What is no disk has no size; that nothing can be written there is found out by writing.
    if usage.total and needed > usage.free:
        raise OSError(
            f"there is no room for {path}: its disk has {usage.free / 1e6:,.0f} MB left, and the "
            f"checkpoints of {num_runs} runs take {needed / 1e6:,.0f} MB. Choose another --out, "
            "fewer runs, or a smaller --replay-capacity"
        )


@functools.cache
def bytes_of_run(config: Config, env: Environment, components: Components = STANDARD) -> int:
    """How many bytes a checkpoint has for each run: weights, optimisers, replay, environments.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, _ = make("game_tree", depth=3)
      >>> few, many = (bytes_of_run(Config(replay_capacity=size), env) for size in (800, 1600))
      >>> 0 < many - few < 800 * 100
      True
    """
    problem = Problem(config, env, env.default_params, HyperParams(), components)

    def start(key: jax.Array) -> PyTree:
        return key_data(make_learner(problem).init(key))

    shapes = jax.eval_shape(start, jax.random.key(0, impl=KEY_IMPL))
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
