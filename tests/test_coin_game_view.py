"""What the agents of the Coin Game see."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from coin_games import build, place

from jaxparl.envs import make


@functools.partial(jax.jit, static_argnums=0)
def see(env, states):
    """What every agent sees in every state, `[S, N, H, W, 2 N]`."""
    return jax.vmap(env.get_obs)(states)  # over S


def see_one(env, state):
    return np.asarray(see(env, jax.tree.map(lambda leaf: leaf[None], state)))[0]


def test_the_planes_show_oneself_the_other_ones_own_coin_and_the_others():
    env, _ = build(2)
    state = place(env, ((0, 0), (1, 0)), (1, 1), colour=1)
    first, second = np.moveaxis(see_one(env, state), -1, 1)
    here, below, empty = [[1, 0], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [0, 0]]
    coin = [[0, 0], [0, 1]]
    np.testing.assert_array_equal(first, [here, below, empty, coin])
    np.testing.assert_array_equal(second, [below, here, coin, empty])


def test_the_planes_of_three_agents_begin_with_oneself_and_the_agent_after():
    env, params = make("coin_game", grid_size=2, num_agents=3)
    observation = see_one(env, place(env, ((0, 0), (0, 1), (0, 1)), (1, 0), colour=2))
    first, right, empty, coin = (
        [[1, 0], [0, 0]],
        [[0, 1], [0, 0]],
        np.zeros((2, 2)),
        [[0, 0], [1, 0]],
    )
    planes = np.moveaxis(observation, -1, 1)
    np.testing.assert_array_equal(planes[0], [first, right, right, empty, empty, coin])
    np.testing.assert_array_equal(planes[1], [right, right, first, empty, coin, empty])
    np.testing.assert_array_equal(planes[2], [right, first, right, coin, empty, empty])
    assert env.observation_space(params).contains(jnp.asarray(observation[0]))


def test_no_two_states_of_three_agents_look_the_same_to_any_of_them():
    env, _ = make("coin_game", grid_size=2, num_agents=3, view="centred")
    states = env.exact.states()
    seen = np.asarray(see(env, states))
    for agent in range(3):
        assert len(np.unique(seen[:, agent].reshape(len(seen), -1), axis=0)) == len(seen)


def test_agents_that_swap_places_and_colours_swap_what_they_see():
    env, _ = build(3)
    states = env.exact.states()
    swapped = states.replace(agents=states.agents[:, ::-1], colour=1 - states.colour)
    np.testing.assert_array_equal(see(env, swapped), see(env, states)[:, ::-1])


def test_a_centred_view_is_the_board_rolled_to_where_one_stands():
    board, _ = build(3)
    centred, _ = make("coin_game", grid_size=3, view="centred")
    states = board.exact.states()
    seen, lies = (np.asarray(see(env, states)) for env in (centred, board))
    places = np.asarray(states.agents)
    for state in range(0, board.exact.num_states, 7):
        for agent in range(2):
            row, column = divmod(int(places[state, agent]), 3)
            rolled = np.roll(lies[state, agent], (-row, -column), (0, 1))
            np.testing.assert_array_equal(seen[state, agent], rolled)
    # The other's place, the coin's, and its colour are all that is left to tell apart.
    assert len(np.unique(seen[:, 0].reshape(len(seen), -1), axis=0)) == 9 * 9 * 2
    assert centred != board
