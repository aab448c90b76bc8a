"""Which states of a table are looked at, and what all agents do in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxparl.environment import Environment, GameParams, Tabulation
from jaxparl.evaluation.checks.failures import leaves
from jaxparl.evaluation.rollouts import LONGEST_EPISODE
from jaxparl.exact import enumeration, joint_choices

# Of one state, this many pairs are looked at before all states are.
_ENOUGH = 8


class Pairs(NamedTuple):
    """What happens in which states, `[P]`, in NumPy.

    Attributes:
      place: of the state in the table.
      later: what is added to its time.
      action: `[P, N]`.
      outcome: `[P, N]`, which that action may have.
    """

    place: np.ndarray
    later: np.ndarray
    action: np.ndarray
    outcome: np.ndarray

    def take(self, rows: np.ndarray) -> Pairs:
        """Some of them, by their numbers."""
        return Pairs(*(each[rows] for each in self))


def tabulation(env: Environment) -> Tabulation[Any, Any]:
    """The exact side of a game that is written out from its transitions."""
    assert isinstance(env.exact, Tabulation)
    return env.exact


def spread(size: int, most: int) -> np.ndarray:
    """Places in a table of this size: all, or as many as there may be."""
    return np.unique(np.linspace(0, size - 1, max(1, min(size, most))).astype(np.int32))


def places_of_pairs(env: Environment, most: int) -> np.ndarray:
    """The states that are looked at, where there may be so many pairs."""
    return spread(tabulation(env).num_states, most // _ENOUGH)


def choose_pairs(env: Environment, probs: np.ndarray | None, later: np.ndarray, most: int) -> Pairs:
    """Pairs of as many states as there are, or as can be looked at.

    Args:
      env: the game.
      probs: `[S', N, A, O]`, the outcome probabilities in `places_of_pairs`; None where actions
        are observed.
      later: `[X]`, what is added to the times of states. Pairs of the same time stand together.
      most: how many pairs there may be at one time.
    """
    rng, places = np.random.default_rng(0), places_of_pairs(env, most)
    joint = env.num_actions**env.num_agents
    # Outcomes are drawn: some draws of each action have nearly all that matter.
    wanted = joint if probs is None else joint * 4 * env.num_outcomes
    shape = (len(places), min(wanted, max(1, most // len(places))), env.num_agents)
    if shape[1] == joint:
        action = np.broadcast_to(joint_choices(env.num_agents, env.num_actions), shape)
    else:
        action = rng.integers(env.num_actions, size=shape)
    outcome = action
    if probs is not None:
        row = np.arange(len(places))[:, None, None], np.arange(env.num_agents), action
        sums = np.cumsum(probs[row], axis=-1)
        chance = rng.random((*shape[:-1], env.num_agents, 1)) * sums[..., -1:]
        outcome = np.minimum((sums <= chance).sum(axis=-1), env.num_outcomes - 1)
    place = np.tile(np.repeat(places, shape[1]), len(later))
    done = (
        np.tile(each.reshape(-1, env.num_agents).astype(np.int32), (len(later), 1))
        for each in (action, outcome)
    )
    return Pairs(place, np.repeat(later, len(place) // len(later)), *done)


def later_times(env: Environment, env_params: GameParams) -> np.ndarray:
    """0, and, where the table lists its states at one time alone, some that may come later."""
    times = leaves(enumeration(env)).get(".time")
    limit = int(env_params.max_steps_in_episode)
    if times is None or len(np.unique(times)) > 1 or limit == 1:
        return np.zeros(1, np.int32)
    return np.unique(np.array([0, 1, limit - 1 if limit <= LONGEST_EPISODE else 1], np.int32))
