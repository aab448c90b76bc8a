"""A training run: principal and agents learn in lockstep, and are evaluated; see `loop`."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from jaxparl import evaluation, lockstep, loop
from jaxparl.config import Config, Rates
from jaxparl.environment import Game, GameParams
from jaxparl.evaluation import Metrics
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


def learn(
    learner: Learner,
    game_params: GameParams,
    rates: Rates,
    state: RunState,
    stretch: jax.Array | int,
) -> tuple[RunState, Losses]:
    """Trains through one stretch; the losses are means over it. See `loop.learn`."""

    def iterate(state: RunState, iteration: jax.Array) -> tuple[RunState, Losses]:
        return lockstep.iterate(learner, game_params, rates, state, iteration)

    def move_targets(state: RunState, iteration: jax.Array) -> RunState:
        return lockstep.move_targets(learner, state, iteration)

    return loop.learn(learner.config, iterate, move_targets, state, stretch)


def make_train(config: Config, env: Game, env_params: GameParams) -> Callable[..., TrainResult]:
    """Makes `train(key, rates=config.rates) -> TrainResult`, a pure function of one run.

    `jax.jit` compiles it, `jax.vmap` over keys (and over rates, to sweep them) makes it many
    runs. The game is the one of `env_params`.
    """
    learner = lockstep.make_learner(config, env)

    def train(key: jax.Array, rates: Rates = config.rates) -> TrainResult:
        exact = evaluation.solve(env, env_params, rates)
        state = lockstep.init(learner, env_params, rates, key)

        def stretch(state: RunState, index: jax.Array) -> tuple[RunState, Losses]:
            return learn(learner, env_params, rates, state, index)

        def evaluate(state: RunState, losses: Losses) -> Metrics:
            return evaluation.evaluate(learner, env_params, rates, state, exact, losses)

        def chunk(state: RunState, index: jax.Array) -> tuple[RunState, Metrics]:
            return loop.chunk(config, stretch, evaluate, state, index)

        chunks = jnp.arange(config.iterations // config.evaluation_interval)
        state, metrics = jax.lax.scan(chunk, state, chunks)
        return TrainResult(state=state, metrics=metrics)

    return train
