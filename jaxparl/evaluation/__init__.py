"""What learned contracts are worth: the paper's numbers, beside exact values where they exist.

A game with one agent and a table gets an oracle agent (`oracle`), a game with several agents and
exact solutions an audit (`audit`), any other game episodes (`episodes`).
"""

from __future__ import annotations

from typing import Any

from jaxparl.evaluation import audit, episodes, oracle
from jaxparl.evaluation.audit import AuditExact, AuditMetrics
from jaxparl.evaluation.episodes import EpisodeMetrics
from jaxparl.evaluation.oracle import OracleExact, OracleMetrics
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, RunState

__all__ = ["Exact", "Metrics", "evaluate", "solve"]

Exact = OracleExact | AuditExact | tuple[()]
Metrics = OracleMetrics | AuditMetrics | EpisodeMetrics


def solve(problem: Problem) -> Exact:
    """Solves the game once, before learning; an empty tuple where it cannot be solved."""
    if problem.env.exact is None:
        return ()
    if problem.env.num_agents == 1:
        return oracle.solve(problem)
    return audit.solve(problem)


def evaluate(learner: Learner, exact: Any, state: RunState, losses: Losses) -> Metrics:
    """Evaluates what was learned; `exact` is what `solve` returned for the game."""
    env = learner.problem.env
    if env.exact is None:
        return episodes.evaluate(learner, state, losses)
    if env.num_agents == 1:
        return oracle.evaluate(learner, exact, state, losses)
    return audit.evaluate(learner, exact, state, losses)
