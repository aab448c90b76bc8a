"""Whether exact solutions of several agents are of the game that is played.

Each function yields complaints. A sound game has none.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.checks import methods, value_checks
from jaxparl.evaluation.checks.failures import is_written
from jaxparl.evaluation.checks.methods import in_batches
from jaxparl.evaluation.checks.pairs import spread
from jaxparl.evaluation.checks.small_programs import NUM_STARTS, random_numbers

# Of the states of several agents, how many are looked at.
_MOST_STATES = 512


def complaints(env: Environment, env_params: GameParams) -> Iterator[str]:
    """What is wrong with the solutions of a game of several agents."""
    size = solutions_of(env).num_states
    if not isinstance(size, int) or size < 1:
        yield f"the num_states of its solutions must be a positive int, not {size!r}"
        return
    wrong = next(_forms(env, env_params), None)
    if wrong:
        yield wrong
        return
    try:
        jax.eval_shape(lambda key: _index_of_start(env, env_params, key), jax.random.key(0))
    except NotImplementedError:
        return  # only validation needs it, and asks for it
    found = [*_places(env, env_params), *_outcomes(env, env_params)]
    yield from found
    if not found:
        yield from value_checks.complaints(env, env_params)


def _places(env: Environment, env_params: GameParams) -> Iterator[str]:
    """Whether states are where `state_index` says: those enumerated, and those of episodes."""
    size = solutions_of(env).num_states
    own = spread(size, _MOST_STATES)
    states = jax.tree.map(lambda leaf: np.asarray(leaf)[own], solutions_of(env).states())
    index, _ = in_batches(methods.places, env, env_params, states)
    for row in np.flatnonzero(index != own)[:1]:
        yield f"the state_index of state {own[row]} is {index[row]}"
    starts, steps = np.split(random_numbers(2 * NUM_STARTS), 2)
    start, _ = in_batches(methods.first_states, env, env_params, starts)
    shape = (NUM_STARTS, env.num_agents)
    action = np.random.default_rng(0).integers(env.num_actions, size=shape, dtype=np.int32)
    done = in_batches(methods.steps, env, env_params, steps, start, action, action)
    for when, state, goes_on in (
        ("an episode starts in", start, np.ones(NUM_STARTS, bool)),
        ("a first step leads to", done.state, ~done.terminated),
    ):
        place, is_there = in_batches(methods.places, env, env_params, state)
        for row in np.flatnonzero(goes_on & ~is_there)[:1]:
            yield (
                f"{when} a state of which state_index says {place[row]}, but that is another one, "
                "or none"
            )
            return


def _outcomes(env: Environment, env_params: GameParams) -> Iterator[str]:
    if not is_written(env, "outcome_probs"):
        return
    numbers = random_numbers(NUM_STARTS)
    start, _ = in_batches(methods.first_states, env, env_params, numbers)
    probs = in_batches(methods.outcome_probs, env, env_params, start)
    if not (probs == np.eye(env.num_actions)).all():
        yield "its actions are observed, but its outcome_probs are not the identity"


def _index_of_start(env: Environment, env_params: GameParams, key: jax.Array) -> jax.Array:
    return solutions_of(env).state_index(env.initial_state(key, env_params))


def _forms(env: Environment, env_params: GameParams) -> Iterator[str]:
    """Compares the form of the enumerated states with that of a first state."""
    size = solutions_of(env).num_states
    first = jax.eval_shape(env.initial_state, jax.random.key(0), env_params)
    states = jax.eval_shape(solutions_of(env).states)
    if jax.tree.structure(states) != jax.tree.structure(first):
        yield "the states of its solutions have another form than the first state of an episode"
        return
    for leaf, one in zip(*map(jax.tree.leaves, (states, first)), strict=True):
        shape = (size, *one.shape)
        if leaf.shape != shape:
            yield f"the states of its solutions have the shape {leaf.shape}, not {shape}"
