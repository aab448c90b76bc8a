"""What one run does, assembled once: for training, and for validation.

`make_train` and `make_validate` run a task for one run; `sweep.compile_runs` compiles it for many,
and `plan` measures what that takes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl import evaluation
from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation import Exact
from jaxparl.learning import loop
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.types import PyTree
from jaxparl.validation.playing import BLACK_BOXES, evaluate
from jaxparl.validation.terms import Terms


class Task(NamedTuple):
    """What one run does.

    Attributes:
      init: `key -> state`, before the first iteration; the key is consumed.
      learn: `(state, segment) -> (state, losses)`, through one segment; see `loop.run_segment`.
      evaluate: `(state, mean losses) -> metrics`.
    """

    init: Callable[[jax.Array], PyTree]
    learn: Callable[[PyTree, jax.Array], tuple[PyTree, PyTree]]
    evaluate: Callable[[PyTree, PyTree], PyTree]


@struct.dataclass
class TrainingContext:
    """What a training run is given, and never changes.

    Attributes:
      env_params: the params of its game.
      hyper_params: its own.
      exact: the exact solution of its game, see `evaluation.solve`.
    """

    env_params: GameParams
    hyper_params: HyperParams
    exact: Exact


def solve_context(
    config: Config, env: Environment, env_params: GameParams, hyper_params: HyperParams
) -> TrainingContext:
    """Solves the game that a training run is given."""
    exact = evaluation.solve(Problem(config, env, env_params, hyper_params))
    return TrainingContext(env_params, hyper_params, exact)


def training_task(
    config: Config,
    env: Environment,
    context: TrainingContext,
    components: Components = STANDARD,
) -> Task:
    """Principal and agents learn side by side, in lockstep (`learning.lockstep`) or otherwise."""
    problem = Problem(config, env, context.env_params, context.hyper_params, components)
    learns = make_learner(problem)
    return Task(
        init=learns.init,
        learn=partial(
            loop.run_segment,
            config,
            learns.iterate,
            learns.move_targets,
        ),
        evaluate=partial(evaluation.evaluate, learns, context.exact),
    )


def validation_task(
    config: Config, env: Environment, terms: Terms, components: Components = STANDARD
) -> Task:
    """Black-box agents learn in the game of a frozen principal (`validation.black_boxes`)."""
    learns = BLACK_BOXES[config.black_boxes]
    agents = learns.make_black_boxes(config, env, terms, components)
    return Task(
        init=partial(learns.init, agents),
        learn=partial(
            loop.run_segment,
            config,
            partial(learns.iterate, agents),
            partial(learns.move_targets, agents),
        ),
        evaluate=partial(evaluate, agents, learns.policy),
    )


def run_task(config: Config, task: Task, key: jax.Array) -> tuple[PyTree, PyTree]:
    """Runs a task from beginning to end; consumes `key`.

    Returns:
      The state after the last iteration, and metrics `[evaluations]`.
    """
    interval = partial(loop.run_interval, config, task.learn, task.evaluate)
    return jax.lax.scan(interval, task.init(key), jnp.arange(config.num_evaluations))
