"""What the transitions of a game say, and what its steps do: computed to be compared.

W  0: after the actions that were taken; 1: after action 0 of every agent, with their outcomes
P  pairs of a state and what all agents do in it, with what comes of it
D  draws of one step
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import keystr, tree_map_with_path

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks import methods
from jaxparl.evaluation.checks.failures import is_written
from jaxparl.evaluation.checks.methods import in_batches
from jaxparl.evaluation.checks.pairs import Pairs, later_times, spread, tabulation
from jaxparl.evaluation.checks.small_programs import NUM_STARTS, random_numbers
from jaxparl.exact import enumeration
from jaxparl.lookup import NOWHERE
from jaxparl.types import PyTree

# Pairs that are looked at, all their successors, and draws of steps, at most.
_MOST_PAIRS, _MOST_SUCCESSORS, _MOST_DRAWS = 2**12, 2**16, 2**15
# Draws of one step.
_FEWEST_REPEATS, _MOST_REPEATS = 16, 256


class Listed(NamedTuple):
    """What the transitions say, `[W, P]`.

    Attributes:
      agent_reward: `[W, P, N]`.
      principal_reward: `[W, P]`, of all agents together.
      probs: `[W, P, K]`.
      terminated: likewise.
      time: likewise, of the successors.
    """

    agent_reward: Any
    principal_reward: Any
    probs: Any
    terminated: Any
    time: Any


class Drawn(NamedTuple):
    """What steps do, `[P, D]`.

    Attributes:
      agent_reward: `[P, D, N]`.
      principal_reward: `[P, D]`, of all agents together.
      terminated: likewise.
      time: likewise, of the next state.
    """

    agent_reward: Any
    principal_reward: Any
    terminated: Any
    time: Any


class Facts(NamedTuple):
    """All that is compared, in NumPy. Places in the table are `NOWHERE` where it has no such state.

    Attributes:
      pairs: what happens in which states.
      listed: what the transitions say.
      listed_place: `[W, P, K]`, of the states that may follow.
      drawn: what steps do; None where these are drawn from the transitions.
      drawn_place: `[P, D]`, likewise.
      own: some places.
      own_place: what `state_index` says of the states there.
      start: the first states of drawn episodes.
      start_place: `[NUM_STARTS]`, of these.
      start_time: likewise, their times.
      successor: the states that may follow, `[W, P, K, ...]`.
    """

    pairs: Pairs
    listed: Listed
    listed_place: np.ndarray
    drawn: Drawn | None
    drawn_place: np.ndarray | None
    own: np.ndarray
    own_place: np.ndarray
    start: PyTree
    start_place: np.ndarray
    start_time: np.ndarray
    successor: PyTree


def most_pairs(env: Environment, env_params: GameParams, num_successors: int) -> int:
    """How many pairs are looked at, at one time, where there are K successors."""
    most = min(_MOST_PAIRS, _MOST_SUCCESSORS // num_successors)
    if is_written(env, "resolve"):
        most = min(most, _MOST_DRAWS // _FEWEST_REPEATS)
    return max(1, most // len(later_times(env, env_params)))


def probe(env: Environment, env_params: GameParams, places: np.ndarray) -> np.ndarray | None:
    """`[S', N, A, O]`, the outcome probabilities in these states; None where they are not needed.

    They are not where actions are observed.
    """
    if env.observed_actions:
        return None
    probs: np.ndarray = in_batches(methods.outcome_probs, env, env_params, _at(env, places))
    return probs


def find(env: Environment, env_params: GameParams, pairs: Pairs) -> Facts:
    """Computes the facts about some pairs of a game with transitions; it must not be traced."""
    listed, successor = _list(env, env_params, pairs)
    numbers = random_numbers(NUM_STARTS)
    start, start_time = in_batches(methods.first_states, env, env_params, numbers)
    own = spread(tabulation(env).num_states, NUM_STARTS)
    own_place, _ = in_batches(methods.places, env, env_params, _at(env, own))
    states = [successor, start]
    drawn = None
    if is_written(env, "resolve"):
        repeats = max(1, min(_MOST_REPEATS, _MOST_DRAWS // len(pairs.place)))
        drawn, after = draw(env, env_params, pairs, repeats)
        states.append(after)
    found = [_places(env, env_params, tree) for tree in states]
    return Facts(
        pairs=pairs,
        listed=listed,
        listed_place=found[0],
        drawn=drawn,
        drawn_place=found[2] if drawn else None,
        own=own,
        own_place=own_place,
        start=start,
        start_place=found[1],
        start_time=start_time,
        successor=successor,
    )


def draw(
    env: Environment, env_params: GameParams, pairs: Pairs, repeats: int
) -> tuple[Drawn, PyTree]:
    """Draws each step so many times; returns also the states that it leads to, `[P, D]`."""
    size = len(pairs.place)
    each = pairs.take(np.repeat(np.arange(size), repeats))
    given = random_numbers(size * repeats), _states(env, each), each.action, each.outcome
    found = in_batches(methods.steps, env, env_params, *given)
    total = found.principal_reward.sum(axis=-1)
    drawn = Drawn(found.agent_reward, total, found.terminated, found.time)
    both: tuple[Drawn, PyTree] = jax.tree.map(
        lambda leaf: leaf.reshape(size, repeats, *leaf.shape[1:]), (drawn, found.state)
    )
    return both


def _list(env: Environment, env_params: GameParams, pairs: Pairs) -> tuple[Listed, PyTree]:
    """What the transitions say, and the states that may follow, `[W, P, K]`."""
    actions = [pairs.action]
    if not env.observed_actions:
        actions.append(np.zeros_like(pairs.action))
    state, said = _states(env, pairs), []
    for action in actions:
        given = state, action, pairs.outcome
        found, time = in_batches(methods.transitions, env, env_params, *given)
        total = found.principal_reward.sum(axis=-1)
        listed = Listed(found.agent_reward, total, found.probs, found.terminated, time)
        said.append((listed, found.state))
    both: tuple[Listed, PyTree] = jax.tree.map(lambda *leaves: np.stack(leaves), *said)
    return both


def _states(env: Environment, pairs: Pairs) -> PyTree:
    """The states of pairs."""

    def later(path: Any, leaf: np.ndarray) -> np.ndarray:
        return leaf + pairs.later.astype(leaf.dtype) if keystr(path) == ".time" else leaf

    return tree_map_with_path(later, _at(env, pairs.place))


def _at(env: Environment, place: np.ndarray) -> PyTree:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[place], enumeration(env))


def _places(env: Environment, env_params: GameParams, states: PyTree) -> np.ndarray:
    """Where states are in the table, with any axes in front; `NOWHERE` if they are not there."""
    axes = [np.ndim(leaf) - 1 for leaf in jax.tree.leaves(enumeration(env))]
    leaves, structure = jax.tree.flatten(states)
    front = leaves[0].shape[: leaves[0].ndim - axes[0]]
    flat = [
        leaf.reshape(-1, *leaf.shape[leaf.ndim - own :])
        for leaf, own in zip(leaves, axes, strict=True)
    ]
    rows = jax.tree.unflatten(structure, flat)
    place, is_there = in_batches(methods.places, env, env_params, rows)
    return np.where(is_there, place, NOWHERE).reshape(front)
