"""The escape room: who pays, who leaves, and the welfare of Yang et al. 2020."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.envs import make
from jaxparl.envs.escape_room import DOOR, LEVER, START, RoomState
from jaxparl.equilibrium import solutions_of


def step(sizes, places, action):
    """Rewards, whether the game is over, and where all are then."""
    env, params = make("escape_room", num_agents=sizes[0], num_pullers=sizes[1])
    state = RoomState(place=jnp.array(places, jnp.int8), time=jnp.int32(0))
    found = env.transitions(state, jnp.array(action), jnp.array(action), params)
    assert found.probs.tolist() == [1.0]
    np.testing.assert_array_equal(found.agent_reward, found.principal_reward)
    return found.agent_reward.tolist(), found.terminated.item(), found.state.place[0].tolist()


@pytest.mark.parametrize(
    ("sizes", "places", "action", "rewards", "is_over"),
    [
        # One pulls the lever, and the other leaves: from the start, and from where they are.
        ((2, 1), (START, START), (LEVER, DOOR), (-1, 10), True),
        ((2, 1), (LEVER, DOOR), (LEVER, DOOR), (0, 10), True),
        # Nobody holds the lever any more, or nobody is at the door.
        ((2, 1), (LEVER, START), (DOOR, DOOR), (-1, -1), False),
        ((2, 1), (LEVER, START), (LEVER, START), (0, 0), False),
        # One is not enough where two are needed.
        ((3, 2), (START, START, START), (LEVER, DOOR, DOOR), (-1, -1, -1), False),
        ((3, 2), (START, LEVER, DOOR), (LEVER, LEVER, DOOR), (-1, 0, 10), True),
        # All leave that are at the door.
        ((4, 2), (START,) * 4, (DOOR, LEVER, DOOR, LEVER), (10, -1, 10, -1), True),
    ],
)
def test_who_moves_pays_and_who_leaves_is_rewarded(sizes, places, action, rewards, is_over):
    assert step(sizes, places, action) == (list(rewards), is_over, list(action))


@pytest.mark.parametrize(("sizes", "best", "paid"), [((2, 1), 9, 1), ((3, 2), 8, 2)])
def test_the_best_welfare_is_that_of_the_paper_and_pullers_are_paid_what_it_costs(
    sizes, best, paid
):
    env, params = make("escape_room", num_agents=sizes[0], num_pullers=sizes[1])
    exact = solutions_of(env)
    assert exact.optimal_welfare(params) == best
    # Selfish agents stay where they are.
    assert exact.selfish_play(params).welfare == 0
    equilibrium = exact.equilibrium(params, gamma=params.discount)
    assert equilibrium.welfare == best
    np.testing.assert_allclose(equilibrium.payment, paid, rtol=1e-5)


def best_by_search(sizes, places, steps):
    """The best welfare of so many steps, by trying everything."""
    if not steps:
        return 0
    found = []
    for action in itertools.product(range(3), repeat=sizes[0]):
        is_open = action.count(LEVER) >= sizes[1]
        leaving = [is_open and place == DOOR for place in action]
        moved = [a != b for a, b in zip(places, action, strict=True)]
        reward = sum(10 if leaves else -cost for leaves, cost in zip(leaving, moved, strict=True))
        later = 0 if any(leaving) else best_by_search(sizes, action, steps - 1)
        found.append(reward + later)
    return max(found)


@pytest.mark.parametrize(("sizes", "steps"), [((2, 1), 3), ((3, 1), 2), ((3, 2), 2)])
def test_the_best_welfare_is_that_of_a_search(sizes, steps):
    env, params = make(
        "escape_room", num_agents=sizes[0], num_pullers=sizes[1], max_steps_in_episode=steps
    )
    expected = best_by_search(sizes, (START,) * sizes[0], steps)
    assert solutions_of(env).optimal_welfare(params) == expected


def test_a_lever_that_is_too_heavy_for_all_but_one_is_refused():
    with pytest.raises(ValueError, match="num_pullers must be between 1 and 1"):
        make("escape_room", num_pullers=2)


def test_an_episode_ends_when_somebody_leaves_or_after_five_steps():
    env, params = make("escape_room")

    def play(action):
        _, state = env.reset(jax.random.key(0), params)
        ends = []
        for _ in range(5):
            _, state, _, terminated, truncated, _ = env.step(
                jax.random.key(0), state, jnp.array(action), params
            )
            ends.append((bool(terminated), bool(truncated)))
        return ends

    assert play([LEVER, DOOR])[0] == (True, False)
    assert play([START, DOOR]) == [(False, False)] * 4 + [(False, True)]


def test_every_place_of_everybody_is_seen_as_a_number_of_its_own():
    env, _ = make("escape_room", num_agents=3)
    states = env.tabular_states()
    seen = jax.vmap(env.get_obs)(states)
    np.testing.assert_array_equal(seen, np.arange(27)[:, None].repeat(3, axis=1))
    assert env.observation_space().n == 27
