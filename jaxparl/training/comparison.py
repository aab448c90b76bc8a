"""Trained principals compared with baselines: every run, under every scheme, in one program.

The paper's second half (section 5.2, Figures 2 and 4): the principals are frozen, and black-box
agents learn from scratch under their contracts, with and without a nudge, or under a baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment
from jaxparl.learning.components import STANDARD, Components
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.numbers import in_32_bits
from jaxparl.training.runs import RunId, ValidationRun, env_params_of, hyper_params_of
from jaxparl.training.sweep import (
    CompiledRuns,
    Contexts,
    check_games,
    compile_runs,
    draw_env_params,
    select_run,
)
from jaxparl.training.task import validation_task
from jaxparl.validation import schemes
from jaxparl.validation.black_boxes import check_principal
from jaxparl.validation.compared import compared_terms
from jaxparl.validation.requirements import check_can_validate
from jaxparl.validation.terms import ExactReference, OneAgentReference, Terms

# Black boxes take their keys from a root of their own, as games and training runs do.
_VALIDATION_ROOT = 2


def validation_runs(config: Config, env: Environment, runs: Sequence[RunId]) -> list[ValidationRun]:
    """Every run under every scheme of its game, the schemes of a run side by side."""
    names = schemes.scheme_names(env, config.schemes)
    return [ValidationRun(scheme, run) for run in runs for scheme in names]


@in_32_bits
def compile_validation(
    config: Config,
    env: Environment,
    runs: Sequence[RunId],
    weights: Weights,
    lanes: int | None = None,
    *,
    components: Components = STANDARD,
) -> CompiledRuns:
    """Compiles the validation of trained runs under every scheme, and computes nothing yet.

    All schemes of a run use the same random numbers.

    Args:
      config: of the training; black boxes learn with the same settings.
      env: the game.
      runs: which runs were trained.
      weights: theirs, `[R, ...]`, see `learning.state.target_weights`.
      lanes: see `devices.assign_runs`.
      components: of the training; black boxes have the same networks and optimisers.

    Raises:
      ValueError: the game cannot be validated, or the weights are of another one.
    """
    check_can_validate(env)
    check_games(env, runs)
    check_principal(config, env, select_run(weights, 0), components)

    def prepare(
        game_id: jax.Array, own: dict[str, jax.Array], hyper_params: HyperParams, weights: Weights
    ) -> Terms:
        """What the agents face under each scheme, `[K, ...]`."""
        env_params = draw_env_params(env, game_id, own)
        learner = make_learner(Problem(config, env, env_params, hyper_params, components))
        return compared_terms(learner, weights)

    names = validation_runs(config, env, runs)
    game_ids = np.array([run.game_id for run in runs], np.int32)
    given = game_ids, env_params_of(runs), hyper_params_of(config.hyper_params, runs), weights
    arguments = [select_run(given, number) for number in range(len(runs))]
    numbers = np.array([(name.run.game_id, name.run.seed) for name in names], np.int32)
    return compile_runs(
        config,
        partial(validation_task, config, env, components=components),
        Contexts(prepare, _exact, arguments, rows=np.arange(len(names))),
        runs=names,
        keys=(_VALIDATION_ROOT, numbers),
        lanes=lanes,
    )


def _exact(terms: Terms) -> dict[str, Any]:
    """The exact values that have to be numbers. Shares of nothing are not among them."""
    match terms.reference:
        case ExactReference(optimal_welfare=value):
            return {"optimal_welfare": value}
        case OneAgentReference(equilibrium_principal_utility=value):
            return {"equilibrium_principal_utility": value}
    return {}
