"""The rules of the Coin Game, against a model written apart from them, and its settings."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from coin_game_model import Model
from coin_games import DOWN, LEFT, RIGHT, RULES, UP, build, in_decimals, in_model, place
from scipy import stats

from jaxparl.envs import make
from jaxparl.envs.coin_game import CoinGame, Settings

# --- Random play ------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def random_play(env, params, episodes, steps):
    """Before, action, reward and after of `[T E]` random steps, without automatic resets."""
    key_reset, key_action, key_steps = jax.random.split(jax.random.key(0), 3)
    _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, episodes), params)
    shape = (steps, episodes, env.num_agents)
    actions = jax.random.randint(key_action, shape, 0, env.num_actions)

    def one_step(state, now):
        action, key = now
        keys = jax.random.split(key, episodes)
        step = jax.vmap(env.step_env, (0, 0, 0, None))  # over E
        _, after, reward, *_ = step(keys, state, action, params)
        return after, (state, action, reward, after)

    played = jax.lax.scan(one_step, state, (actions, jax.random.split(key_steps, steps)))[1]
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), played)


def check_rules(size, rules, episodes, steps):
    """Every step is one of those that the model allows; returns what happened how often."""
    env, params = build(size, *rules)
    before, action, reward, after = random_play(env, params, episodes, steps)
    np.testing.assert_array_equal(after.time, before.time + 1)
    model = Model(size, *rules)
    played = zip(
        in_model(size, before),
        np.asarray(action).tolist(),
        in_decimals(reward),
        in_model(size, after),
        strict=True,
    )
    both_reach = one_cell = collected = 0
    for state, joint, rewards, following in played:
        ways = model.step(state, tuple(joint))
        assert (rewards, following) in {way[1:] for way in ways}
        (agents, *_), coin = following, state[1]
        both_reach += agents[0] == agents[1] == coin
        one_cell += agents[0] == agents[1] != coin
        collected += coin in agents
    return both_reach, one_cell, collected


# Each combination of rules once, on the small board or on the paper's.
@pytest.mark.parametrize(
    ("size", "rules"),
    [
        (3, ("one", "random")),
        (3, ("all", "alternating")),
        (7, ("one", "alternating")),
        (7, ("all", "random")),
    ],
)
def test_every_step_is_one_that_the_rules_allow(size, rules):
    both_reach, one_cell, collected = check_rules(size, rules, episodes=128, steps=20)
    assert one_cell > 10 and collected > 50
    assert both_reach > 0 or size == 7, "rare on the large torus"


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("size", [3, 7])
def test_every_one_of_many_steps_is_one_that_the_rules_allow(size, rules):
    assert min(check_rules(size, rules, episodes=1000, steps=100)) > 20


@pytest.mark.slow
def test_more_agents_are_a_number():
    env, params = make("coin_game", grid_size=3, num_agents=3, max_steps_in_episode=20)
    before, action, reward, after = random_play(env, params, 128, 20)
    agents = env.torus.move(before.agents, action)
    np.testing.assert_array_equal(after.agents, agents)
    reach = np.asarray(agents == before.coin[:, None])
    is_collected = reach.any(axis=1)
    np.testing.assert_array_equal((np.asarray(reward) > 0).sum(axis=1), is_collected)
    assert not np.asarray(reward)[~reach].any()
    own = np.arange(3) == np.asarray(before.colour)[:, None]
    won = np.asarray(reward)[is_collected].max(axis=1)
    np.testing.assert_allclose(won == 1, (np.asarray(reward) * own)[is_collected].any(axis=1))
    assert not (after.coin[:, None] == after.agents).any()
    colour = np.where(is_collected, (before.colour + 1) % 3, before.colour)
    np.testing.assert_array_equal(after.colour, colour)
    assert reach.sum(axis=1).max() == 3


# --- One step ---------------------------------------------------------------------------------


def test_a_step_off_the_edge_comes_back_on_the_other_side():
    env, _ = build(3)
    corners = jnp.array([0, 2, 6, 8])
    expected = {RIGHT: [1, 0, 7, 6], LEFT: [2, 1, 8, 7], DOWN: [3, 5, 0, 2], UP: [6, 8, 3, 5]}
    for action, cells in expected.items():
        np.testing.assert_array_equal(env.torus.move(corners, jnp.full(4, action)), cells)


# The cells of the agents, the coin and what they do: one of them reaches the coin, both do, or
# both go to one cell, that of the coin, from one side.
COLLECTIONS = {
    "one": (((0, 0), (2, 2)), (0, 1), (RIGHT, RIGHT)),
    "the other": (((0, 0), (2, 2)), (1, 2), (RIGHT, UP)),
    "both": (((0, 0), (0, 2)), (0, 1), (RIGHT, LEFT)),
    "both from one cell": (((1, 1), (1, 1)), (0, 1), (UP, UP)),
}


@functools.partial(jax.jit, static_argnums=0)
def step_often(env, keys, state, action, params):
    """Rewards and states after the same step with other random numbers."""
    step = jax.vmap(env.step_env, (0, None, None, None))  # over the draws
    _, after, reward, *_ = step(keys, state, action, params)
    return reward, after


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("case", COLLECTIONS)
def test_the_draw_and_the_new_coin_are_as_likely_as_the_rules_say(case, rules):
    agents, coin, action = COLLECTIONS[case]
    env, params = build(3, *rules)
    draws = 4000

    for colour in (0, 1):
        state = place(env, agents, coin, colour)
        keys = jax.random.split(jax.random.key(colour), draws)
        reward, after = step_often(env, keys, state, jnp.array(action), params)
        ways = Model(3, *rules).step((agents, coin, colour), action)
        number = {way[1:]: place_of for place_of, way in enumerate(ways)}
        results = zip(in_decimals(reward), in_model(3, after), strict=True)
        drawn = [number[result] for result in results]
        counts = np.bincount(drawn, minlength=len(ways))
        test = stats.chisquare(counts, [draws * probability for probability, *_ in ways])
        assert test.pvalue > 1e-4


@pytest.mark.parametrize(("size", "agents"), [(3, 2), (2, 3)])
def test_every_first_state_is_as_likely_as_any_other(size, agents):
    env, params = make("coin_game", grid_size=size, num_agents=agents)
    keys = jax.random.split(jax.random.key(0), 40_000)
    _, states = jax.vmap(env.reset, (0, None))(keys, params)
    everything = itertools.permutations(range(size**2), agents + 1)
    number = {start: place_of for place_of, start in enumerate(everything)}
    cells = np.column_stack([states.agents, states.coin]).tolist()
    drawn = np.array([number[tuple(of_state)] for of_state in cells])
    counts = np.bincount(drawn * agents + states.colour, minlength=len(number) * agents)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert not states.time.any()


def test_the_last_step_counts_and_truncates_and_does_not_terminate():
    env, params = build(3)
    state = place(env, ((0, 0), (2, 2)), (0, 1), colour=0, time=19)
    action = jnp.array([RIGHT, RIGHT])
    _, after, reward, terminated, truncated, info = env.step(
        jax.random.key(0), state, action, params
    )
    np.testing.assert_allclose(reward, [1, 0])
    assert truncated and not terminated
    assert info["next_state"].time == 20 and after.time == 0
    earlier = state.replace(time=jnp.int32(18))
    *_, truncated, _ = env.step(jax.random.key(0), earlier, action, params)
    assert not truncated


def test_the_principal_gets_what_the_agents_get():
    env, params = build(3)
    state = place(env, ((0, 0), (2, 2)), (0, 1), colour=1)
    *_, reward, _, _, info = env.step(jax.random.key(0), state, jnp.array([RIGHT, UP]), params)
    np.testing.assert_allclose(reward, [0.2, 0])
    np.testing.assert_array_equal(info["principal_reward"], reward)


def test_coins_are_worth_what_the_params_say():
    env, params = build(3)
    params = params.replace(own_reward=3.0, other_reward=-2.0)
    for colour, worth in ((0, 3), (1, -2)):
        state = place(env, ((0, 0), (2, 2)), (0, 1), colour)
        *_, reward, _, _, _ = env.step(jax.random.key(0), state, jnp.array([RIGHT, UP]), params)
        np.testing.assert_allclose(reward, [worth, 0])


def test_whoever_steals_a_coin_costs_its_owner_what_the_params_say():
    env, params = build(3)
    params = params.replace(other_reward=1.0, stolen_reward=-2.0)
    for colour, worth in ((0, [1, 0]), (1, [1, -2])):
        state = place(env, ((0, 0), (2, 2)), (0, 1), colour)
        *_, reward, _, _, info = env.step(jax.random.key(0), state, jnp.array([RIGHT, UP]), params)
        np.testing.assert_allclose(reward, worth)
        np.testing.assert_allclose(info["principal_reward"], worth)


def test_of_three_agents_each_thief_costs_the_owner():
    env, params = make("coin_game", grid_size=3, num_agents=3, shared_coin="all")
    params = params.replace(other_reward=1.0, stolen_reward=-2.0)
    state = place(env, ((0, 0), (0, 2), (1, 1)), (0, 1), colour=2)
    action = jnp.array([RIGHT, LEFT, UP])
    _, _, reward, *_ = env.step(jax.random.key(0), state, action, params)
    np.testing.assert_allclose(reward, [1, 1, 1 - 4])


def test_whoever_stays_is_where_it_was():
    env, params = make("coin_game", grid_size=3, stay=True)
    assert env.num_actions == env.num_outcomes == len(env.action_labels) == 5
    state = place(env, ((0, 0), (2, 2)), (0, 1), colour=0)
    *_, info = env.step(jax.random.key(0), state, jnp.array([4, 4]), params)
    np.testing.assert_array_equal(info["next_state"].agents, state.agents)
    before, action, reward, after = random_play(env, params, 64, 20)
    model = Model(3, num_actions=5)
    played = zip(
        in_model(3, before),
        np.asarray(action).tolist(),
        in_decimals(reward),
        in_model(3, after),
        strict=True,
    )
    for state, joint, rewards, following in played:
        ways = model.step(state, tuple(joint))
        assert (rewards, following) in {way[1:] for way in ways}


# --- The settings -----------------------------------------------------------------------------


def test_the_default_is_the_game_of_the_paper():
    env, params = make("coin_game")
    assert env == CoinGame(Settings(7, 50, 2, "one", "alternating"))
    assert (params.max_steps_in_episode, params.discount) == (50, 0.99)
    assert (params.own_reward, params.other_reward) == (1.0, 0.2)
    assert env != CoinGame(Settings(grid_size=3)) and env != "coins"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"grid_size": 1}, "grid_size must be between 2 and 15, not 1"),
        ({"grid_size": 16}, "grid_size must be between 2 and 15, not 16"),
        ({"grid_size": 3.0}, "grid_size must be a whole number, not 3.0"),
        ({"max_steps_in_episode": 0}, "max_steps_in_episode must be at least 1, not 0"),
        ({"num_agents": 1}, "num_agents must be between 2 and 48"),
        ({"grid_size": 2, "num_agents": 4}, "num_agents must be between 2 and 3"),
        ({"shared_coin": "none"}, "shared_coin must be one of one, all, not 'none'"),
        ({"new_coin": "red"}, "new_coin must be one of alternating, random, not 'red'"),
        ({"view": "torus"}, "view must be one of board, centred, not 'torus'"),
    ],
)
def test_settings_that_make_no_game_are_refused_with_what_would(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        make("coin_game", **wrong)


def test_a_state_is_small():
    env, params = make("coin_game")
    state = jax.eval_shape(env.reset, jax.random.key(0), params)[1]
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 5
    assert sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) == 12
