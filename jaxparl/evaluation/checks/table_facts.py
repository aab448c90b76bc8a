"""What a table says and what the rules do: computed in one small program, to be compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxparl.environment import Environment, ExactTable, GameParams
from jaxparl.evaluation.checks.small_programs import NUM_STARTS, compiled_quickly, random_numbers
from jaxparl.types import PyTree, TabularGame

# Steps that are drawn in all, and at most from one state with one action and outcome.
_MOST_DRAWS, _MOST_REPEATS = 2**16, 256


class Facts(NamedTuple):
    """What the table says, and what the rules do. Steps `[n, A, O, D]` are drawn from n states.

    Outside of the program that computes them all are NumPy arrays.

    Attributes:
      places: `[n]`, of those states in the table.
      table: all of it.
      states: those of the table, `[S]`.
      starts: drawn first states.
      start_probs: declared, `[S]`; None where they are not.
      outcome_probs: `[n, 1, A, O]`.
      times: of `states`, and of `starts`.
      next_states: of the drawn steps.
      next_time: likewise.
      agent_reward: likewise.
      principal_reward: likewise.
      terminated: likewise.
    """

    places: Any
    table: TabularGame
    states: PyTree
    starts: PyTree
    start_probs: Any
    times: tuple[Any, Any]
    outcome_probs: Any
    next_states: PyTree
    next_time: Any
    agent_reward: Any
    principal_reward: Any
    terminated: Any


_OF_STEPS = ("next_states", "next_time", "agent_reward", "principal_reward", "terminated")


def find(env: Environment, env_params: GameParams, time: int = 0) -> Facts:
    """Computes the facts about a game of one agent; it must not be traced.

    Args:
      env: the game.
      env_params: its params.
      time: what is added to the time that states have in the table.
    """
    size, each = _table_of(env).num_states, env.num_actions * env.num_outcomes
    count = min(size, max(1, _MOST_DRAWS // each))
    places = np.unique(np.linspace(0, size - 1, count).astype(np.int32))
    repeats = min(_MOST_REPEATS, max(1, _MOST_DRAWS // (each * len(places))))
    shape = (len(places), env.num_actions, env.num_outcomes, repeats)
    row, action, outcome, _ = (number.ravel() for number in np.indices(shape, np.int32))
    numbers = random_numbers(NUM_STARTS), random_numbers(row.size)
    steps = (places[row], action, outcome)
    facts: Facts = jax.device_get(
        _find(env, env_params, places, steps, numbers, time=np.int32(time))
    )
    leaves = jax.tree.map(
        lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]),
        {name: getattr(facts, name) for name in _OF_STEPS},
    )
    return facts._replace(**leaves)


def select(facts: Facts, rows: np.ndarray) -> Facts:
    """The facts about some of the n states."""
    by_state = {name: getattr(facts, name) for name in ("places", "outcome_probs", *_OF_STEPS)}
    return facts._replace(**jax.tree.map(lambda leaf: leaf[rows], by_state))


@compiled_quickly
def _find(
    env: Environment,
    env_params: GameParams,
    places: jax.Array,
    steps: tuple[jax.Array, ...],
    numbers: tuple[jax.Array, jax.Array],
    *,
    time: jax.Array,
) -> Facts:
    """The facts; `steps` are places, actions and outcomes of all drawn steps, in one axis."""
    exact = _table_of(env)
    states = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf + time if jax.tree_util.keystr(path) == ".time" else leaf,
        exact.states(),
    )
    key_starts, key_steps = map(jax.random.wrap_key_data, numbers)

    def step(key: jax.Array, place: jax.Array, action: jax.Array, outcome: jax.Array):
        state = jax.tree.map(lambda leaf: leaf[place], states)
        return env.resolve(key, state, action[None], outcome[None], env_params)

    def probs(place: jax.Array) -> jax.Array:
        return env.outcome_probs(jax.tree.map(lambda leaf: leaf[place], states), env_params)

    done = jax.vmap(step)(key_steps, *steps)  # over all steps
    first = jax.vmap(lambda key: env.initial_state(key, env_params))  # over starts
    starts = first(key_starts)
    return Facts(
        places=places,
        table=exact.table(env_params),
        states=states,
        starts=starts,
        start_probs=exact.start_probs(env_params),
        times=(states.time, starts.time),
        outcome_probs=jax.vmap(probs)(places),  # over states
        next_states=done.state,
        next_time=done.state.time,
        agent_reward=done.agent_reward,
        principal_reward=done.principal_reward,
        terminated=done.terminated,
    )


def shapes(env: Environment, facts: Facts) -> Iterator[str]:
    """Complaints about arrays that do not have the shape that the environment asks for."""
    size, table = _table_of(env).num_states, facts.table
    actions, outcomes = env.num_actions, env.num_outcomes
    successors = np.shape(table.successor)[-1:]
    expected = {
        "agent_reward": (size, actions),
        "principal_reward": (size, outcomes),
        "outcome_probs": (size, actions, outcomes),
        "successor": (size, outcomes, *successors),
        "successor_probs": (size, outcomes, *successors),
        "discount": (),
    }
    for name, shape in expected.items():
        found = np.shape(getattr(table, name))
        if found != shape:
            yield f"the {name} of its table has the shape {found}, not {shape}"
    for name, shape in (
        ("agent_reward", (1,)),
        ("principal_reward", (1,)),
        ("terminated", ()),
    ):
        found = getattr(facts, name).shape[4:]
        if found != shape:
            yield f"the {name} of a step has the shape {found}, not {shape}"
    found = facts.outcome_probs.shape[1:]
    if found != (1, actions, outcomes):
        yield f"its outcome_probs have the shape {found}, not {(1, actions, outcomes)}"
    if jax.tree.structure(facts.states) != jax.tree.structure(facts.starts):
        yield "the states of its table have another form than the first state of an episode"
    for leaf, first in zip(*map(jax.tree.leaves, (facts.states, facts.starts)), strict=True):
        if leaf.shape != (size, *first.shape[1:]):
            yield f"the states of its table are {leaf.shape}, not {(size, *first.shape[1:])}"


def _table_of(env: Environment) -> ExactTable[Any, Any]:
    assert isinstance(env.exact, ExactTable)
    return env.exact
