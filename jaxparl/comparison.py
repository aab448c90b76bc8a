"""Trained principals compared with baselines: every run, under every scheme, in one program.

The paper's second half (section 5.2, Figures 2 and 4): the principals are frozen, and black-box
agents learn from scratch under their contracts, with and without a nudge, or under a baseline.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxparl import schemes, sweep, validation
from jaxparl.chunk import FOR_ONCE, compile_chunk
from jaxparl.config import Config, Rates
from jaxparl.environment import Game
from jaxparl.layout import rows_of, spread
from jaxparl.panels import ValidationMetrics
from jaxparl.run_state import Weights
from jaxparl.runs import Entrant, RunId, rates_of
from jaxparl.schemes import Terms
from jaxparl.sweep import Sweep
from jaxparl.validation import ValidationState

#: What a nudge is worth, as a share of the welfare that the principal reaches; the paper's.
NUDGE_SHARE = 0.1

# The schemes of a run, in the order of the figure: which, and with what share as a nudge.
_SCHEMES = {
    "principal": ("principal", 0.0),
    "principal + nudge": ("principal", NUDGE_SHARE),
    "constant": ("constant", 0.0),
    "constant + nudge": ("constant", NUDGE_SHARE),
    "cooperative": ("cooperative", 0.0),
    "selfish": ("selfish", 0.0),
}

# Black boxes take their keys from a root of their own, as games and runs do.
_VALIDATION_ROOT = 2


@struct.dataclass
class ComparisonState:
    """All runs of validation, with a leading axis R."""

    terms: Terms
    run: ValidationState


def entrants(runs: Sequence[RunId]) -> list[Entrant]:
    """Every run under every scheme, the schemes of a run side by side."""
    return [Entrant(scheme, run) for run in runs for scheme in _SCHEMES]


def compile_comparison(
    config: Config, env: Game, runs: Sequence[RunId], weights: Weights, lanes: int | None = None
) -> Sweep:
    """Compiles the validation of trained runs under every scheme, and computes nothing yet.

    `sweep.train` runs it. All schemes of a run have the same luck.

    Args:
      config: of the training; black boxes learn with the same settings.
      env: the game.
      runs: which runs were trained.
      weights: theirs, `[R, ...]`, see `run_state.target_weights`.
      lanes: see `layout.spread`.

    Raises:
      ValueError: the game cannot be validated, see `validation.make_validator`, or the weights
        are of another game.
    """
    validator = validation.make_validator(config, env)
    validation.check_principal(validator, jax.tree.map(lambda leaf: leaf[0], weights))

    def enter(game: jax.Array, rates: Rates, weights: Weights) -> Terms:
        """What the agents face under each scheme, `[K, ...]`."""
        game_params = sweep.draw_game(env, game)
        principal = schemes.freeze(validator.learner, game_params, rates, weights)
        followed = schemes.followed_play(env, game_params, principal)
        each = [
            schemes.compared(env, game_params, followed, nudge)[name]
            for name, nudge in _SCHEMES.values()
        ]
        scheme = jax.tree.map(
            lambda *values: jnp.stack([jnp.float32(value) for value in values]), *each
        )
        # over K, one after the other: the tables of a large game are large.
        return jax.lax.map(
            lambda one: schemes.terms(env, game_params, rates, principal, one), scheme
        )

    def learn(state: ComparisonState, stretch: jax.Array) -> tuple[ComparisonState, jax.Array]:
        run, loss = validation.learn(validator, state.terms, state.run, stretch)
        return dataclasses.replace(state, run=run), loss

    def evaluate(state: ComparisonState, loss: jax.Array) -> ValidationMetrics:
        return validation.evaluate(validator, state.terms, state.run, loss)

    def init_run(terms: Terms, number: jax.Array) -> ComparisonState:
        key = jax.random.fold_in(jax.random.key(_VALIDATION_ROOT), number[0])
        key = jax.random.fold_in(key, number[1])
        return ComparisonState(terms, validation.init(validator, terms, key))

    began = time.perf_counter()
    names = entrants(runs)
    layout = spread(len(names), lanes)
    games = np.array([run.game for run in runs], np.int32)
    numbers = np.array([(name.run.game, name.run.seed) for name in names], np.int32)
    each = (games, rates_of(config.rates, runs), weights)
    with ThreadPoolExecutor() as pool:  # as in training
        facing = jax.jit(enter).lower(*sweep.select_run(each, 0))
        faced = pool.submit(facing.compile)
        one = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), facing.out_info
        )
        setting_up = jax.jit(jax.vmap(init_run), out_shardings=layout.place).lower(  # over R
            rows_of(layout, one), numbers[layout.rows]
        )
        set_up = pool.submit(setting_up.compile, compiler_options=FOR_ONCE)
        shapes = setting_up.out_info
        chunk = compile_chunk(layout, config.stretches, learn, evaluate, shapes, pool)
        face, init = faced.result(), set_up.result()

    def start() -> ComparisonState:
        # As NumPy arrays, which every process may lay out over the devices of all.
        terms_of_runs = [
            jax.device_get(face(*sweep.select_run(each, number))) for number in range(len(runs))
        ]
        terms = jax.tree.map(lambda *leaves: np.concatenate(leaves), *terms_of_runs)
        state: ComparisonState = init(*sweep.select_run((terms, numbers), layout.rows))
        return state

    seconds = time.perf_counter() - began
    return Sweep(names, layout, shapes, start, chunk, seconds)
