"""A training run: iterations, target copies and evaluations, nested scans in that order.

Targets are copied after every inner scan rather than by a condition on a counter, which under
`vmap` over runs would turn into a select over all the weights in every iteration.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl import evaluation, lockstep
from jaxparl.config import Config, Rates
from jaxparl.environment import Game, GameParams
from jaxparl.evaluation import Exact, Metrics
from jaxparl.lockstep import Learner
from jaxparl.run_state import Losses, RunState


@struct.dataclass
class TrainResult:
    """What a run leaves behind.

    Attributes:
      state: weights, optimisers, replay, games and key after the last iteration.
      metrics: one entry per evaluation, `[evaluations]` each.
    """

    state: RunState
    metrics: Metrics


def learn_chunk(
    learner: Learner,
    game_params: GameParams,
    rates: Rates,
    state: RunState,
    chunk: jax.Array | int,
) -> tuple[RunState, Losses]:
    """Trains until the next evaluation is due; the losses are means over that time.

    Args:
      chunk: `[]` int, how many chunks came before this one. It is shared by all runs, and
        everything that depends on progress is computed from it.
    """
    config = learner.config
    periods = config.evaluation_interval // config.target_interval

    def iterate(state: RunState, iteration: jax.Array):
        return lockstep.iterate(learner, game_params, rates, state, iteration)

    def period(state: RunState, first: jax.Array):
        iterations = first + jnp.arange(config.target_interval)
        state, losses = jax.lax.scan(iterate, state, iterations)
        return lockstep.move_targets(learner, state, iterations[-1]), losses

    starts = jnp.asarray(chunk) * config.evaluation_interval + config.target_interval * jnp.arange(
        periods
    )
    state, losses = jax.lax.scan(period, state, jnp.asarray(starts))
    return state, jax.tree.map(jnp.mean, losses)


def train_chunk(
    learner: Learner,
    game_params: GameParams,
    rates: Rates,
    exact: Exact,
    state: RunState,
    chunk: jax.Array | int,
) -> tuple[RunState, Metrics]:
    """Trains until the next evaluation, and evaluates; see `learn_chunk`."""
    state, losses = learn_chunk(learner, game_params, rates, state, chunk)
    return state, evaluation.evaluate(learner, game_params, rates, state, exact, losses)


def make_train(config: Config, env: Game, env_params: GameParams) -> Callable[..., TrainResult]:
    """Makes `train(key, rates=config.rates) -> TrainResult`, a pure function of one run.

    `jax.jit` compiles it, `jax.vmap` over keys (and over rates, to sweep them) makes it many
    runs. The game is the one of `env_params`.
    """
    learner = lockstep.make_learner(config, env)

    def train(key: jax.Array, rates: Rates = config.rates) -> TrainResult:
        exact = evaluation.solve(env, env_params, rates)
        state = lockstep.init(learner, env_params, rates, key)

        def chunk(state: RunState, index: jax.Array):
            return train_chunk(learner, env_params, rates, exact, state, index)

        chunks = jnp.arange(config.iterations // config.evaluation_interval)
        state, metrics = jax.lax.scan(chunk, state, chunks)
        return TrainResult(state=state, metrics=metrics)

    return train
