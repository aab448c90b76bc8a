"""What learned contracts are worth: the paper's numbers, with exact values where they exist.

A game of one agent that has a table is evaluated by an oracle agent (`oracle`), a game of several
agents that has exact solutions by an audit (`audit`), and any other game by episodes (`episodes`).
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
    """Solves a game exactly, before learning; an empty tuple where it cannot be solved.

    Examples:
      >>> from jaxparl.config import Config, HyperParams
      >>> from jaxparl.envs import make
      >>> env, env_params = make("coin_game", num_agents=3)
      >>> solve(Problem(Config(), env, env_params, HyperParams()))
      ()
    """
    if problem.env.exact is None:
        return ()
    if problem.env.num_agents == 1:
        return oracle.solve(problem)
    return audit.solve(problem)


def evaluate(learner: Learner, exact: Any, state: RunState, losses: Losses) -> Metrics:
    """Evaluates what was learned.

    Args:
      learner: of a problem.
      exact: what `solve` returned for that problem.
      state: whose target weights are evaluated.
      losses: means since the last evaluation, which become part of the metrics.
    """
    env = learner.problem.env
    if env.exact is None:
        return episodes.evaluate(learner, state, losses)
    if env.num_agents == 1:
        return oracle.evaluate(learner, exact, state, losses)
    return audit.evaluate(learner, exact, state, losses)
