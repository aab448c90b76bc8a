"""The paper's numbers, held against exact solutions where the game has them."""

from __future__ import annotations

from typing import Any

from jaxparl import audit as auditing
from jaxparl import episodes, oracle
from jaxparl.audit import AuditExact, AuditMetrics, audit
from jaxparl.config import Rates
from jaxparl.environment import Game, GameParams
from jaxparl.episodes import EpisodeMetrics
from jaxparl.lockstep import Learner
from jaxparl.oracle import OracleExact, OracleMetrics
from jaxparl.run_state import Losses, RunState

__all__ = ["Exact", "Metrics", "audit", "evaluate", "solve"]

Exact = OracleExact | AuditExact | tuple[()]
Metrics = OracleMetrics | AuditMetrics | EpisodeMetrics


def solve(env: Game, game_params: GameParams, rates: Rates) -> Exact:
    """Solves the game once, before learning, if it can be solved."""
    if not env.is_solvable:
        return ()
    if env.num_agents == 1:
        return oracle.solve(env, game_params)
    return auditing.solve(env, game_params, rates)


def evaluate(
    learner: Learner,
    game_params: GameParams,
    rates: Rates,
    state: RunState,
    exact: Any,
    losses: Losses,
) -> Metrics:
    """Evaluates what was learned; `exact` is what `solve` returned for the game."""
    if not learner.env.is_solvable:
        return episodes.evaluate(learner, game_params, rates, state, losses)
    if learner.env.num_agents == 1:
        return oracle.evaluate(learner, game_params, rates, state, exact, losses)
    return auditing.evaluate(learner, game_params, rates, state, exact, losses)
