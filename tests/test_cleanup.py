"""Cleanup: who moves, who eats, what is cleaned and what grows, on boards made by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cleanup_boards import EVERYTHING, build, often, play_at_random, read, step
from scipy import stats

from jaxparl.envs import make
from jaxparl.envs.cleanup import CLEAN, DOWN, LEFT, RIGHT, UP


def is_likely(count, probability, of=4000):
    return stats.binomtest(int(count), of, probability).pvalue > 1e-4


# --- Moves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "after"),
    [
        (RIGHT, ['~...""', '~.0.""', '~...1"']),
        (LEFT, ['~...""', '0...""', '~...1"']),
        (DOWN, ['~...""', '~...""', '~0..1"']),
        (UP, ['~0..""', '~...""', '~...1"']),
        (CLEAN, ['~...""', '~0..""', '~...1"']),
    ],
)
def test_agents_move_by_one_cell_or_clean_where_they_are(action, after):
    assert step(['~...""', '~0..""', '~...1"'], action, CLEAN) == (after, [0, 0])


@pytest.mark.parametrize(
    ("board", "actions"),
    [
        (['0.""', '~.""', '~."1'], [(LEFT, RIGHT), (UP, DOWN)]),
        (['~."0', '~.""', '1.""'], [(RIGHT, LEFT), (UP, DOWN)]),
    ],
)
def test_there_are_walls_around_the_board(board, actions):
    for action in actions:
        assert step(board, *action) == (board, [0, 0])


def test_nobody_enters_a_cell_where_somebody_stands_even_if_that_one_leaves():
    board = ['~01.""', '~...""', '~...""']
    for others, row in ((CLEAN, '~01.""'), (RIGHT, '~0.1""'), (LEFT, '~01.""')):
        assert step(board, RIGHT, others)[0] == [row, *board[1:]]


@pytest.mark.parametrize("count", [2, 3])
def test_of_several_that_move_into_one_cell_a_fair_draw_lets_one_in(count):
    board = [['~0..""', '~.1.""', '~...""'], ['~0..""', '~.1.""', '~2..""']][count - 2]
    # All but agent 1 go to its left, it goes there too.
    actions = (DOWN, LEFT, UP)[:count]
    after, _ = often(board, *actions)
    is_in = np.asarray((after.agents == jnp.array([1, 1])).all(axis=-1))
    assert (is_in.sum(axis=1) == 1).all()
    for entered in is_in.sum(axis=0):
        assert is_likely(entered, 1 / count)


# --- Apples -----------------------------------------------------------------------------------


def test_whoever_steps_on_an_apple_eats_it_and_the_others_stay():
    board = ["~..0aa", '~...a"', '~...1"']
    assert step(board, RIGHT, UP) == (["~...0a", '~...1"', '~...""'], [1, 1])
    assert step(board, CLEAN, CLEAN) == (board, [0, 0])


def test_an_apple_that_two_want_is_eaten_by_one_of_them_by_a_fair_draw():
    after, reward = often(['~..0a"', '~...1"', '~...""'], RIGHT, UP)
    assert not after.apples.any()
    np.testing.assert_array_equal(reward.sum(axis=1), 1)
    stands = (after.agents == jnp.array([0, 4])).all(axis=-1)
    np.testing.assert_array_equal(stands, reward == 1)
    assert is_likely(reward[:, 0].sum(), 0.5)


def test_apples_grow_in_every_cell_of_the_orchard_where_nobody_stands():
    after, reward = step(['~...""', '~0..""', '~...1"'], CLEAN, CLEAN, **EVERYTHING)
    assert after == ["w...aa", "w0..aa", "w...1a"]
    assert reward == [0, 0]


@pytest.mark.parametrize(
    ("river", "growth"), [("~~~~", 0.4), ("w~~~", 0.325), ("ww~~", 0.25), ("wwww", 0.1)]
)
def test_apples_grow_the_faster_the_cleaner_the_river_is(river, growth):
    rows = ['..""', '01""', '..""', '..""']
    board = [start + row for start, row in zip(river, rows, strict=True)]
    after, _ = often(board, RIGHT, LEFT, growth_clean=0.4, growth_polluted=0.1)
    counts = np.asarray(after.apples).sum(axis=0)
    assert not counts[:, :3].any()
    for count in counts[:, 3:].ravel():
        assert is_likely(count, growth)
    # Cells are drawn apart from each other.
    grown = np.asarray(after.apples)[:, :, 3:]
    assert is_likely((grown[:, 0, 0] & grown[:, 0, 1]).sum(), growth**2)


def test_apples_are_conserved_but_for_those_that_are_eaten():
    env, params = build(num_agents=4)
    params = dataclasses.replace(params, pollution=0.5, growth_clean=0.3, growth_polluted=0.3)

    keys = jax.random.split(jax.random.key(0), 20)
    before, action, reward, after = jax.device_get(play_at_random(env, params, keys))
    river, orchard = np.asarray(env.river), np.asarray(env.orchard)
    assert not (after.waste & ~river).any() and not (after.apples & ~orchard).any()
    flat = after.agents[..., 0] * 7 + after.agents[..., 1]
    assert all(len(set(cells)) == 4 for cells in flat.reshape(-1, 4).tolist())
    there = (np.arange(35) == flat[..., None]).any(axis=2).reshape(after.apples.shape)
    assert not (after.apples & there).any()
    # What has gone was eaten, by whoever stands there now, and everything else is still there.
    gone = before.apples & ~after.apples
    np.testing.assert_array_equal(gone, before.apples & there)
    np.testing.assert_array_equal(gone.sum(axis=(2, 3)), reward.sum(axis=2))
    assert reward.sum() > 100
    # Waste goes only where somebody next to it cleans.
    cells = np.moveaxis(np.indices((5, 7)), 0, -1)
    distance = np.abs(before.agents[..., None, None, :] - cells).max(axis=-1)
    reached = ((distance <= 1) & (action == CLEAN)[..., None, None]).any(axis=2)
    cleaned = before.waste & ~after.waste
    assert cleaned.any() and not (cleaned & ~reached).any()


# --- The river --------------------------------------------------------------------------------


def test_whoever_cleans_removes_the_waste_around_itself_wherever_it_stands():
    board = ['w...""', 'w...""', 'w0..""', 'w...""', 'w.1.""']
    assert step(board, CLEAN, CLEAN)[0] == ['w...""', '~...""', '~0..""', '~...""', 'w.1.""']
    assert step(board, UP, CLEAN)[0] == ['w...""', 'w0..""', 'w...""', 'w...""', 'w.1.""']
    assert step(board, LEFT, LEFT)[0] == ['w...""', 'w...""', '0...""', 'w...""', 'w1..""']


def test_clean_cells_are_polluted_with_the_probability_that_the_params_say():
    after, _ = often(['~...""', '~0..""', 'w..1""'], RIGHT, CLEAN, pollution=0.3)
    counts = np.asarray(after.waste).sum(axis=0)
    assert counts[2, 0] == 4000 and not counts[:, 1:].any()
    assert is_likely(counts[0, 0], 0.3) and is_likely(counts[1, 0], 0.3)


def test_what_has_been_cleaned_may_be_polluted_in_the_same_step():
    after, _ = often(['w...""', 'w0..""', 'w..1""'], CLEAN, CLEAN, pollution=0.3)
    for count in np.asarray(after.waste).sum(axis=0)[:, 0]:
        assert is_likely(count, 0.3)


# --- Starts and views -------------------------------------------------------------------------


def test_episodes_start_at_random_with_waste_and_apples_in_a_share_of_the_cells():
    env, params = build(num_agents=3, height=3, width=4)
    keys = jax.random.split(jax.random.key(0), 4000)
    states = jax.vmap(env.initial_state, (0, None))(keys, params)
    assert not states.time.any()
    assert not states.waste[:, :, 1:].any() and not states.apples[:, :, :2].any()
    for count in np.asarray(states.waste).sum(axis=0)[:, 0]:
        assert is_likely(count, 0.5)
    # In three of four episodes an agent stands in such a cell of twelve, and there is no apple.
    for count in np.asarray(states.apples).sum(axis=0)[:, 2:].ravel():
        assert is_likely(count, 0.2 * 0.75)
    cells = np.asarray(states.agents[..., 0] * 4 + states.agents[..., 1])
    assert (np.diff(np.sort(cells, axis=1)) > 0).all()
    for agent in range(3):
        assert stats.chisquare(np.bincount(cells[:, agent], minlength=12)).pvalue > 1e-4


def test_the_planes_show_oneself_the_others_waste_and_apples():
    env, params, state = read(['w..a"', "~0.1a", '~.."2'])
    seen = np.asarray(env.get_obs(state))
    assert seen.shape == (3, 3, 5, 4)
    for agent in range(3):
        own, others, waste, apples = np.moveaxis(seen[agent], -1, 0)
        places = [tuple(cell) for cell in state.agents.tolist()]
        assert list(zip(*np.nonzero(own), strict=True)) == [places[agent]]
        rest = [place for other, place in enumerate(places) if other != agent]
        assert sorted(zip(*np.nonzero(others), strict=True)) == sorted(rest)
        np.testing.assert_array_equal(waste, state.waste)
        np.testing.assert_array_equal(apples, state.apples)
        assert env.observation_space(params).contains(jnp.asarray(seen[agent]))


def test_agents_that_change_places_change_what_happens_to_them():
    board, other = ['~..0a"', "w...1a", '~...""'], ['~..1a"', "w...0a", '~...""']
    after, reward = step(board, LEFT, RIGHT)
    assert step(other, RIGHT, LEFT) == (
        [row.translate(str.maketrans("01", "10")) for row in after],
        reward[::-1],
    )


# --- The dilemma ------------------------------------------------------------------------------


def toward(place, goal):
    down, right = np.subtract(goal, place)
    if right:
        return RIGHT if right > 0 else LEFT
    return CLEAN if not down else DOWN if down > 0 else UP


def eat(env, state, agent):
    """Goes to the nearest apple."""
    place = np.asarray(state.agents[agent], int)
    apples = np.argwhere(np.asarray(state.apples))
    if not len(apples):
        return CLEAN if env.orchard[tuple(place)] else RIGHT
    return toward(place, apples[np.abs(apples - place).sum(axis=1).argmin()])


def clean(env, state, agent):
    """Cleans from the middle of the river."""
    return toward(np.asarray(state.agents[agent], int), (env.settings.height // 2, 0))


def play_by_hand(*policies, episodes=6):
    """The mean rewards of each agent in an episode."""
    env, params = build()
    reward = np.zeros(2)
    for seed in range(episodes):
        _, state = env.reset(jax.random.key(seed))
        for time in range(50):
            action = [policy(env, state, agent) for agent, policy in enumerate(policies)]
            key = jax.random.fold_in(jax.random.key(seed), time)
            _, state, got, *_ = env.step(key, state, jnp.array(action), params)
            reward += got
    return reward / episodes


def test_it_is_best_if_one_cleans_for_the_other_and_nobody_wants_to_be_that_one():
    nobody_cleans, one_cleans = play_by_hand(eat, eat), play_by_hand(clean, eat)
    assert one_cleans.sum() > 2.5 * nobody_cleans.sum()
    assert one_cleans[0] == 0 < nobody_cleans[0]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"num_agents": 8}, "num_agents must be between 2 and 7, not 8"),
        ({"height": 2}, "height must be between 3 and 15, not 2"),
        ({"river": 7}, "river must be between 1 and 6 .there must be an orchard., not 7"),
        ({"orchard": 7}, "orchard must be between 1 and 6 .the river takes the rest., not 7"),
    ],
)
def test_settings_that_make_no_game_are_refused_with_what_would(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        make("cleanup", **wrong)
