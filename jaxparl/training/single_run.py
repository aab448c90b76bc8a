"""One run as a pure function of its key: of training, or of validation."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import numpy as np
from flax import struct

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation import Metrics
from jaxparl.evaluation.checks import check_game
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import RunState, Weights
from jaxparl.numbers import in_32_bits, narrow
from jaxparl.summaries import by_range
from jaxparl.training.task import run_task, solve_context, training_task, validation_task
from jaxparl.types import PyTree
from jaxparl.validation.black_boxes import check_principal
from jaxparl.validation.estimated import EstimatedMetrics
from jaxparl.validation.frozen import freeze
from jaxparl.validation.metrics import OneAgentMetrics, ValidationMetrics
from jaxparl.validation.requirements import check_can_validate
from jaxparl.validation.schemes import Scheme
from jaxparl.validation.terms import make_terms


@struct.dataclass
class TrainResult:
    """What a training run leaves behind.

    Attributes:
      state: weights, optimisers, replay, environments and key after the last iteration.
      metrics: one entry per evaluation, `[evaluations]` each.
      evaluation_interval: iterations between two of them, static.

    Examples:
      Runs are batched by `vmap`, and each array then has a leading axis R:

      >>> from jaxparl.envs import make
      >>> env, env_params = make("game_tree", depth=2)
      >>> config = Config(iterations=200, evaluation_interval=100, hidden_sizes=(16,))
      >>> train = jax.vmap(make_train(config, env, env_params))
      >>> keys = jax.vmap(jax.random.key)(jax.numpy.arange(3))
      >>> jax.eval_shape(train, keys).metrics.utility_ratio.shape
      (3, 2)
    """

    state: RunState
    metrics: Metrics
    evaluation_interval: int = struct.field(pytree_node=False)

    def __repr__(self) -> str:
        return _summary(self)


@struct.dataclass
class ValidationResult:
    """What a run of validation leaves behind.

    Attributes:
      params: the agents' target weights after the last iteration: those that were evaluated.
      metrics: one entry per evaluation, `[evaluations]` each.
      evaluation_interval: iterations between two of them, static.
    """

    params: PyTree
    metrics: ValidationMetrics | OneAgentMetrics | EstimatedMetrics
    evaluation_interval: int = struct.field(pytree_node=False)

    def __repr__(self) -> str:
        return _summary(self)


def _summary(result: TrainResult | ValidationResult) -> str:
    """The last evaluation of all runs, whose values stand beside what is exact."""
    *runs, evaluations = np.shape(jax.tree.leaves(result.metrics)[0]) or (1,)
    count = f"{math.prod(runs)} runs" if runs else "1 run"
    title = f"{type(result).__name__} of {count}, the last of {evaluations} evaluations:"
    return f"{title}\n{by_range(result.metrics, is_history=True)}"


def make_train(
    config: Config,
    env: Environment,
    env_params: GameParams,
    *,
    components: Components = STANDARD,
) -> Callable[..., TrainResult]:
    """Makes `train(key, hyper_params=config.hyper_params) -> TrainResult`, a pure function.

    `jax.jit` compiles it; `jax.vmap` over keys, and over hyper-parameters to sweep them, makes it
    many runs (Algorithms 2 and 3 of the paper). It learns in float32, also if JAX may use float64.

    Args:
      config: how the run learns.
      env: the game.
      env_params: its params; every run plays this game.
      components: what of the learner is made elsewhere.

    Raises:
      ValueError: the game's exact solution is not of the game that is played, or its episodes do
        not end; see `evaluation.checks`.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, env_params = make("game_tree", depth=2)
      >>> config = Config(iterations=200, evaluation_interval=100, hidden_sizes=(16,))
      >>> train = jax.jit(make_train(config, env, env_params))
      >>> result = train(jax.random.key(0))
      >>> result.metrics.utility_ratio.shape  # one per evaluation
      (2,)
    """
    env_params = narrow(env_params)
    check_game(env, env_params)

    @in_32_bits
    def train(key: jax.Array, hyper_params: HyperParams = config.hyper_params) -> TrainResult:
        context = solve_context(config, env, env_params, hyper_params)
        task = training_task(config, env, context, components)
        state, metrics = run_task(config, task, key)
        return TrainResult(state, metrics, config.evaluation_interval)

    return train


def make_validate(
    config: Config,
    env: Environment,
    env_params: GameParams,
    *,
    components: Components = STANDARD,
) -> Callable[..., ValidationResult]:
    """Makes `validate(key, weights, hyper_params, scheme) -> ValidationResult`, a pure function.

    `jax.jit` compiles it; `jax.vmap` makes it many runs, over keys, principals or schemes
    (section 5.2 of the paper).

    Args:
      config: of the training that `weights` come from, by `learning.state.target_weights`.
      env: the game.
      env_params: its params; every run plays this game.
      components: of the training; black boxes have the same networks and optimisers.

    Raises:
      ValueError: the game cannot be validated, or its exact solutions are not of the game that is
        played; or, by `validate`, the weights are of another game.

    Examples:
      >>> from jaxparl.envs import make
      >>> from jaxparl.learning.state import target_weights
      >>> env, env_params = make("coin_game", grid_size=2, max_steps_in_episode=2)
      >>> config = Config(
      ...     iterations=4,
      ...     target_interval=2,
      ...     evaluation_interval=4,
      ...     replay_capacity=64,
      ...     hidden_sizes=(8,),
      ... )
      >>> key, scheme = jax.random.key(0), Scheme(contract_weight=1.0)
      >>> trained = jax.eval_shape(make_train(config, env, env_params), key)
      >>> weights = target_weights(trained.state)
      >>> validate = make_validate(config, env, env_params)
      >>> result = jax.eval_shape(validate, key, weights, config.hyper_params, scheme)
      >>> result.metrics.welfare.shape  # one per evaluation
      (1,)
    """
    check_can_validate(env)
    env_params = narrow(env_params)
    check_game(env, env_params)

    @in_32_bits
    def validate(
        key: jax.Array, weights: Weights, hyper_params: HyperParams, scheme: Scheme
    ) -> ValidationResult:
        check_principal(config, env, weights, components)
        learner = make_learner(Problem(config, env, env_params, hyper_params, components))
        principal = freeze(learner, weights, conditional=scheme.conditional is not None)
        terms = make_terms(learner, principal, scheme)
        task = validation_task(config, env, terms, components)
        state, metrics = run_task(config, task, key)
        params = state.agent.target_params
        return ValidationResult(params, metrics, config.evaluation_interval)

    return validate
