"""Whether exact solutions of several agents are of the game that is played.

Each function yields complaints. A sound game has none.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.table_facts import NUM_STARTS, QUICK_TO_COMPILE, random_numbers
from jaxparl.types import PyTree

# Of the states of several agents, how many are looked at.
_MOST_STATES = 512
# Episodes that are compared with the values of a policy, by its mean's standard errors; no more
# than so many states and steps are solved for that.
_EPISODES, _MOST_ERRORS, _TOLERANCE, _LONGEST_TABLE = 1_024, 6.0, 1e-4, 2_000_000


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
    places = np.unique(np.linspace(0, size - 1, min(size, _MOST_STATES)).astype(np.int32))
    numbers = np.split(random_numbers(2 * NUM_STARTS), 2)
    actions = np.random.default_rng(0).integers(
        env.num_actions, size=(NUM_STARTS, env.num_agents), dtype=np.int32
    )
    found = jax.device_get(_places(env, env_params, places, actions, numbers))
    index, (seen, again, is_on), probs = found
    for row in np.flatnonzero(index != places)[:1]:
        yield f"the state_index of state {places[row]} is {index[row]}"
    for step, number in np.argwhere(is_on & ~((seen >= 0) & (seen < size) & again))[:1]:
        when = ("an episode starts in", "a first step leads to")[step]
        yield (
            f"{when} a state of which state_index says {seen[step, number]}, but that is another "
            "one, or none"
        )
    if not (probs == np.eye(env.num_actions)).all():
        yield "its actions are observed, but its outcome_probs are not the identity"
        return
    yield from _values(env, env_params)


def _values(env: Environment, env_params: GameParams) -> Iterator[str]:
    """Compares what the solutions say that a policy earns with episodes of it."""
    limit = int(env_params.max_steps_in_episode)
    if limit * solutions_of(env).num_states > _LONGEST_TABLE:
        return
    shape = (solutions_of(env).num_states, env.num_agents)
    actions = np.random.default_rng(1).integers(env.num_actions, size=shape, dtype=np.int32)
    said = solutions_of(env).play_values(env_params, jnp.asarray(actions), jnp.zeros(shape))
    own = np.asarray(said.utilities, float)
    numbers = np.split(random_numbers(2 * _EPISODES), 2)
    played = np.asarray(_earned(env, env_params, actions, numbers, length=limit), float)
    mean = played.mean(axis=0)
    slack = _TOLERANCE * np.maximum(1, np.abs(own))
    slack = slack + _MOST_ERRORS * played.std(axis=0) / np.sqrt(_EPISODES)
    for agent in np.flatnonzero(~(np.abs(mean - own) <= slack))[:1]:
        yield (
            f"by its play_values, a policy brings agent {agent} {own[agent]:.6g} an episode, but "
            f"in {_EPISODES:,} episodes the mean is {mean[agent]:.6g}"
        )


@functools.partial(
    jax.jit, static_argnums=0, static_argnames="length", compiler_options=QUICK_TO_COMPILE
)
def _earned(
    env: Environment,
    env_params: GameParams,
    actions: jax.Array,
    numbers: tuple[jax.Array, jax.Array],
    *,
    length: int,
) -> jax.Array:
    """What each agent earns in episodes of a policy `[S, N]`, `[episodes, N]`."""
    episode = functools.partial(_episode, env, env_params, actions=actions, length=length)
    return jax.vmap(episode)(*map(jax.random.wrap_key_data, numbers))  # over episodes


def _episode(
    env: Environment,
    env_params: GameParams,
    key_start: jax.Array,
    key_steps: jax.Array,
    *,
    actions: jax.Array,
    length: int,
) -> jax.Array:
    """What each agent earns in one episode of a policy `[S, N]`, `[N]`."""

    def step(now: tuple[PyTree, jax.Array, jax.Array], number: jax.Array):
        state, is_over, total = now
        action = actions[solutions_of(env).state_index(state)]
        key = jax.random.fold_in(key_steps, number)
        _, state, reward, terminated, _ = env.step_env(key, state, action, env_params)
        return (state, is_over | terminated, total + jnp.where(is_over, 0, reward)), None

    start = env.initial_state(key_start, env_params)
    first = (start, jnp.bool_(False), jnp.zeros(env.num_agents))
    return jax.lax.scan(step, first, jnp.arange(length))[0][2]


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


@functools.partial(jax.jit, static_argnums=0, compiler_options=QUICK_TO_COMPILE)
def _places(
    env: Environment,
    env_params: GameParams,
    places: jax.Array,
    actions: jax.Array,
    numbers: tuple[jax.Array, jax.Array],
):
    """What `state_index` says: of the states at `places`, of first states, and of those after them.

    Returns:
      The indices of `places`; of first states and of those that follow `actions` `[starts, N]` the
      indices, `[2, starts]`, whether these are theirs, and whether the game is on in them; and the
      outcome probabilities in first states.
    """
    exact = solutions_of(env)
    states = exact.states()
    index = jax.vmap(exact.state_index)
    key_start, key_step = map(jax.random.wrap_key_data, numbers)

    def play(key_start: jax.Array, key_step: jax.Array, action: jax.Array):
        state = env.initial_state(key_start, env_params)
        done = env.resolve(key_step, state, action, action, env_params)
        both = jax.tree.map(lambda *leaves: jnp.stack(leaves), state, done.state)
        is_on = jnp.stack([jnp.ones_like(done.terminated), ~done.terminated])
        return both, is_on, env.outcome_probs(state, env_params)

    played, is_on, probs = jax.vmap(play, out_axes=(1, 1, 0))(key_start, key_step, actions)
    place = jax.vmap(index)(played)
    there = jax.tree.map(lambda leaf: leaf[place], states)
    # The same state may come at several times, and need not hold anything else.
    same = [jnp.ones(place.shape, bool)]
    same += [
        (leaf == other).reshape(*place.shape, -1).all(axis=-1)
        for (path, leaf), other in zip(
            jax.tree_util.tree_flatten_with_path(played)[0], jax.tree.leaves(there), strict=True
        )
        if jax.tree_util.keystr(path) != ".time"
    ]
    is_same = jnp.stack(same).all(axis=0)
    return index(jax.tree.map(lambda leaf: leaf[places], states)), (place, is_same, is_on), probs
