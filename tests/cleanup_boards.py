"""Boards of Cleanup made by hand, and steps from them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.envs.cleanup import Cleanup, CleanupParams, CleanupState, Settings

# With these nothing happens but by what agents do; with those everything that may happen does.
NOTHING = {"pollution": 0.0, "growth_clean": 0.0, "growth_polluted": 0.0}
EVERYTHING = {"pollution": 1.0, "growth_clean": 1.0, "growth_polluted": 1.0}


def build(**settings) -> tuple[Cleanup, CleanupParams]:
    """A game and its params."""
    env = Cleanup(Settings(**settings))
    return env, env.default_params


@functools.partial(jax.jit, static_argnums=0)
def play_at_random(env, params, keys):
    """Before, action, reward and after of 50 steps, with a leading axis for the keys."""

    def one(state, key):
        key_action, key_step = jax.random.split(key)
        action = jax.random.randint(key_action, (env.num_agents,), 0, env.num_actions)
        after, reward = env.step_env(key_step, state, action, params)[1:3]
        return after, (state, action, reward, after)

    def play(key):
        key_reset, key_steps = jax.random.split(key)
        start = env.initial_state(key_reset, params)
        return jax.lax.scan(one, start, jax.random.split(key_steps, 50))[1]

    return jax.vmap(play)(keys)


def read(board):
    """A game and its state: `~` clean river, `w` waste, `"` orchard, `a` apple, digits agents.

    Agents hide what is in their cells: there it is clean and empty.
    """
    cells = np.array([list(row) for row in board])
    height, width = cells.shape
    agents = sorted((cell, place) for place, cell in np.ndenumerate(cells) if cell.isdigit())
    env, params = build(num_agents=len(agents), height=height, width=width)
    state = CleanupState(
        agents=jnp.array([place for _, place in agents], jnp.int8),
        waste=jnp.asarray(cells == "w"),
        apples=jnp.asarray(cells == "a"),
        time=jnp.int32(0),
    )
    return env, params, state


def write(env, state):
    """The board of a state, as `read` takes it."""
    cells = np.full(state.waste.shape, ".")
    cells[np.asarray(env.river)], cells[np.asarray(env.orchard)] = "~", '"'
    cells[np.asarray(state.waste)], cells[np.asarray(state.apples)] = "w", "a"
    for agent, (row, column) in enumerate(state.agents):
        cells[row, column] = str(agent)
    return ["".join(row) for row in cells]


def step(board, *action, **changes):
    """The board and the rewards after a step, in which by default nothing grows."""
    env, params, state = read(board)
    _, after, reward, terminated, _, info = env.step(
        jax.random.key(0),
        state,
        jnp.array(action),
        dataclasses.replace(params, **(NOTHING | changes)),
    )
    np.testing.assert_array_equal(reward, info["principal_reward"])
    assert not terminated and after.time == 1
    return write(env, after), reward.tolist()


def often(board, *action, **changes):
    """States and rewards after 4,000 of the same step, with other random numbers."""
    env, params, state = read(board)
    params = dataclasses.replace(params, **(NOTHING | changes))

    @jax.jit
    @jax.vmap
    def one(key):
        _, after, reward, *_ = env.step(key, state, jnp.array(action), params)
        return after, reward

    return one(jax.random.split(jax.random.key(0), 4000))
