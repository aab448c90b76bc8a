"""The Coin Game: its rules and its exact solutions, against a model written apart from them."""

import functools
from typing import NamedTuple

import coin_game_model as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from coin_game_model import Model
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxparl.envs import coin_game_exact, make
from jaxparl.envs.coin_game import CoinGame, CoinState, Settings

RULES = [(shared, new) for shared in ("one", "all") for new in ("alternating", "random")]
RIGHT, LEFT, DOWN, UP = range(4)


def build(size, shared_coin="one", new_coin="alternating", steps=20):
    return make(
        "coin_game",
        grid_size=size,
        max_steps_in_episode=steps,
        shared_coin=shared_coin,
        new_coin=new_coin,
    )


def place(env, agents, coin, colour, time=0):
    """A state; cells are (row, column)."""

    def number(cell):
        return cell[0] * env.settings.grid_size + cell[1]

    return CoinState(
        agents=jnp.array([number(cell) for cell in agents], jnp.int16),
        coin=jnp.int16(number(coin)),
        colour=jnp.int16(colour),
        time=jnp.int32(time),
    )


def in_model(size, agents, coin, colour):
    """The model's name for a state given in numbers."""
    cells = tuple(divmod(int(cell), size) for cell in agents)
    return cells, divmod(int(coin), size), int(colour)


def in_model_all(size, states):
    """As `in_model`, for states with one leading axis."""
    leaves = (np.asarray(leaf) for leaf in (states.agents, states.coin, states.colour))
    return [in_model(size, *state) for state in zip(*leaves, strict=True)]


def in_decimals(rewards):
    """Rewards as the model has them: 0.2 and not what float32 makes of it."""
    return [tuple(pair) for pair in np.round(np.asarray(rewards, np.float64), 6).tolist()]


# --- The rules --------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def random_play(env, params, episodes, steps):
    """Before, action, reward and after of `[T E]` random steps, resets left out."""
    key_reset, key_action, key_steps = jax.random.split(jax.random.key(0), 3)
    _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, episodes), params)
    shape = (steps, episodes, env.num_agents)
    actions = jax.random.randint(key_action, shape, 0, env.num_actions)

    def turn(state, now):
        action, key = now
        keys = jax.random.split(key, episodes)
        _, after, reward, _, _, info = jax.vmap(env.step, (0, 0, 0, None))(
            keys, state, action, params
        )  # over E
        return after, (state, action, reward, info["next_state"])

    played = jax.lax.scan(turn, state, (actions, jax.random.split(key_steps, steps)))[1]
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), played)


def check_rules(size, rules, episodes, steps):
    """Every step is one of those that the model allows; returns what happened how often."""
    env, params = build(size, *rules)
    before, action, reward, after = random_play(env, params, episodes, steps)
    np.testing.assert_array_equal(after.time, before.time + 1)
    model = Model(size, *rules)
    turns = zip(
        in_model_all(size, before),
        np.asarray(action).tolist(),
        in_decimals(reward),
        in_model_all(size, after),
        strict=True,
    )
    both_reach = one_cell = collected = 0
    for state, joint, rewards, following in turns:
        ways = model.step(state, tuple(joint))
        assert (rewards, following) in {way[1:] for way in ways}
        (agents, *_), coin = following, state[1]
        both_reach += agents[0] == agents[1] == coin
        one_cell += agents[0] == agents[1] != coin
        collected += coin in agents
    return both_reach, one_cell, collected


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("size", [3, 7])
def test_every_step_is_one_that_the_rules_allow(size, rules):
    both_reach, one_cell, collected = check_rules(size, rules, episodes=128, steps=24)
    assert one_cell > 10 and collected > 50
    assert both_reach > 0 or size == 7, "rare on the large torus"


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("size", [3, 7])
def test_every_one_of_many_steps_is_one_that_the_rules_allow(size, rules):
    assert min(check_rules(size, rules, episodes=1000, steps=100)) > 20


def test_a_step_off_the_edge_comes_back_on_the_other_side():
    env, _ = build(3)
    corners = jnp.array([0, 2, 6, 8])
    expected = {RIGHT: [1, 0, 7, 6], LEFT: [2, 1, 8, 7], DOWN: [3, 5, 0, 2], UP: [6, 8, 3, 5]}
    for action, cells in expected.items():
        np.testing.assert_array_equal(env.moved(corners, jnp.full(4, action)), cells)


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
    """Rewards and states after the same step with other luck."""
    step = jax.vmap(env.step, (0, None, None, None))  # over the draws
    _, _, reward, _, _, info = step(keys, state, action, params)
    return reward, info["next_state"]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("case", COLLECTIONS)
def test_the_draw_and_the_new_coin_are_as_likely_as_the_rules_say(case, rules):
    agents, coin, action = COLLECTIONS[case]
    env, params = build(3, *rules)
    draws = 8000

    for colour in (0, 1):
        state = place(env, agents, coin, colour)
        keys = jax.random.split(jax.random.key(colour), draws)
        reward, after = step_often(env, keys, state, jnp.array(action), params)
        ways = Model(3, *rules).step((agents, coin, colour), action)
        number = {way[1:]: place_of for place_of, way in enumerate(ways)}
        results = zip(in_decimals(reward), in_model_all(3, after), strict=True)
        drawn = [number[result] for result in results]
        counts = np.bincount(drawn, minlength=len(ways))
        test = stats.chisquare(counts, [draws * probability for probability, *_ in ways])
        assert test.pvalue > 1e-4


@pytest.mark.parametrize("size", [2, 3])
def test_every_first_state_is_as_likely_as_any_other(size):
    env, params = build(size)
    keys = jax.random.split(jax.random.key(0), 40_000)
    _, states = jax.vmap(env.reset, (0, None))(keys, params)
    counts = np.bincount(jax.vmap(env.state_index)(states), minlength=env.num_states)
    starts = set(Model(size).starts())
    is_start = [state in starts for state in in_model_all(size, env.tabular_states())]
    assert sum(is_start) == len(starts) and not counts[np.logical_not(is_start)].any()
    assert stats.chisquare(counts[is_start]).pvalue > 1e-3
    assert not states.time.any()


def test_the_last_step_counts_and_truncates_and_does_not_terminate():
    env, params = build(3, steps=5)
    state = place(env, ((0, 0), (2, 2)), (0, 1), colour=0, time=4)
    action = jnp.array([RIGHT, RIGHT])
    _, after, reward, terminated, truncated, info = env.step(
        jax.random.key(0), state, action, params
    )
    np.testing.assert_allclose(reward, [1, 0])
    assert truncated and not terminated
    assert info["next_state"].time == 5 and after.time == 0
    *_, truncated, _ = env.step(jax.random.key(0), state.replace(time=jnp.int32(3)), action, params)
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


def test_more_agents_are_a_number():
    env, params = make("coin_game", grid_size=3, num_agents=4, max_steps_in_episode=20)
    before, action, reward, after = random_play(env, params, 64, 32)
    agents = env.moved(before.agents, action)
    np.testing.assert_array_equal(after.agents, agents)
    reach = np.asarray(agents == before.coin[:, None])
    is_collected = reach.any(axis=1)
    np.testing.assert_array_equal((np.asarray(reward) > 0).sum(axis=1), is_collected)
    assert not np.asarray(reward)[~reach].any()
    own = np.arange(4) == np.asarray(before.colour)[:, None]
    won = np.asarray(reward)[is_collected].max(axis=1)
    np.testing.assert_allclose(won == 1, (np.asarray(reward) * own)[is_collected].any(axis=1))
    assert not (after.coin[:, None] == after.agents).any()
    colour = np.where(is_collected, (before.colour + 1) % 4, before.colour)
    np.testing.assert_array_equal(after.colour, colour)
    assert reach.sum(axis=1).max() >= 3


# --- What the agents see ----------------------------------------------------------------------


def test_the_planes_show_oneself_the_other_ones_own_coin_and_the_others():
    env, params = build(2)
    state = place(env, ((0, 0), (1, 0)), (1, 1), colour=1)
    first, second = np.moveaxis(env.get_obs(state, params), -1, 1)
    here, below, empty = [[1, 0], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [0, 0]]
    coin = [[0, 0], [0, 1]]
    np.testing.assert_array_equal(first, [here, below, empty, coin])
    np.testing.assert_array_equal(second, [below, here, coin, empty])


def test_the_plane_of_the_others_counts_them():
    env, params = make("coin_game", grid_size=2, num_agents=3)
    observation = env.get_obs(place(env, ((0, 0), (0, 1), (0, 1)), (1, 0), colour=2), params)
    np.testing.assert_array_equal(observation[0, ..., 1], [[0, 2], [0, 0]])
    np.testing.assert_array_equal(observation[1, ..., 1], [[1, 1], [0, 0]])
    assert env.observation_space(params).contains(observation[0])


def test_agents_that_swap_places_and_colours_swap_what_they_see():
    env, params = build(3)
    states = env.tabular_states()
    swapped = states.replace(agents=states.agents[:, ::-1], colour=1 - states.colour)
    see = jax.jit(jax.vmap(env.get_obs, (0, None)))
    np.testing.assert_array_equal(see(swapped, params), see(states, params)[:, ::-1])


def test_a_centred_view_is_the_board_rolled_to_where_one_stands():
    board, params = build(3)
    centred, _ = make("coin_game", grid_size=3, view="centred")
    states = board.tabular_states()
    seen, lies = (jax.vmap(env.get_obs, (0, None))(states, params) for env in (centred, board))
    for state in range(0, board.num_states, 7):
        for agent in range(2):
            row, column = divmod(int(states.agents[state, agent]), 3)
            rolled = np.roll(lies[state, agent], (-row, -column), (0, 1))
            np.testing.assert_array_equal(seen[state, agent], rolled)
    # The other's place, the coin's, and its colour are all that is left to tell apart.
    assert len(np.unique(np.asarray(seen)[:, 0].reshape(len(seen), -1), axis=0)) == 9 * 9 * 2
    assert centred != board


# --- The states -------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "agents"), [(2, 2), (3, 2), (7, 2), (2, 3)])
def test_the_index_of_a_state_is_its_place_in_the_table(size, agents):
    env, _ = make("coin_game", grid_size=size, num_agents=agents)
    states = env.tabular_states()
    np.testing.assert_array_equal(jax.vmap(env.state_index)(states), np.arange(env.num_states))
    assert not states.time.any()


def test_the_states_are_ordered_as_documented():
    env, _ = make("coin_game")
    assert env.num_states == 235_298
    state = place(env, ((1, 2), (3, 4)), (5, 6), colour=1, time=9)
    assert env.state_index(state) == ((9 * 49 + 25) * 49 + 41) * 2 + 1


# --- The exact solutions ----------------------------------------------------------------------


class Tables(NamedTuple):
    """Random policies and offers, as the solvers take them and as the model does."""

    actions: np.ndarray
    payments: np.ndarray
    policy: object
    offers: object

    @property
    def paid(self):
        """`[S, N]`, for the actions that are played."""
        return np.take_along_axis(self.payments, self.actions[..., None], axis=2)[..., 0]


def random_tables(env, seed):
    rng = np.random.default_rng(seed)
    actions = rng.integers(0, 4, (env.num_states, 2), dtype=np.int32)
    payments = rng.uniform(0, 0.3, (env.num_states, 2, 4)).astype(np.float32)
    size = env.settings.grid_size

    def index(state):
        (one, two), coin, colour = state
        one, two, coin = (row * size + column for row, column in (one, two, coin))
        return ((one * size**2 + two) * size**2 + coin) * 2 + colour

    return Tables(
        actions,
        payments,
        lambda state: tuple(actions[index(state)].tolist()),
        lambda state: payments[index(state)].tolist(),
    )


def assert_play(value, sums, tolerance=2e-5):
    """`sums` are the model's (reward, reward, payment, payment)."""
    reward, payment = np.array(sums[:2]), np.array(sums[2:])
    np.testing.assert_allclose(value.welfare, reward.sum(), atol=tolerance)
    np.testing.assert_allclose(value.payment, payment.sum(), atol=tolerance)
    np.testing.assert_allclose(value.utilities, reward + payment, atol=tolerance)


SMALL = [(2, 6), (3, 4)]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("size", "steps"), SMALL)
def test_the_solutions_are_those_of_a_recursion_over_everything_that_may_happen(size, steps, rules):
    env, params = build(size, *rules, steps)
    model = Model(size, *rules)
    optimum = sum(oracle.solve(model, steps, oracle.most_welfare)[:2])
    np.testing.assert_allclose(env.optimal_welfare(params), optimum, atol=2e-5)
    assert_play(env.selfish_play(params), oracle.solve(model, steps, oracle.selfish))
    equilibrium = oracle.solve(model, steps, oracle.least_payment(0.1))
    assert_play(env.equilibrium(params), equilibrium)
    share = sum(equilibrium[2:]) / sum(equilibrium[:2])
    np.testing.assert_allclose(env.equilibrium(params).payment_share, share, atol=1e-5)


def test_the_equilibrium_follows_alpha_the_discount_and_the_rewards():
    env, params = build(3, steps=4)
    params = params.replace(own_reward=0.8, other_reward=0.5)
    model = Model(3, own_reward=0.8, other_reward=0.5)
    for alpha, discount in ((1.0, 1.0), (0.4, 0.7)):
        expected = oracle.solve(model, 4, oracle.least_payment(alpha), discount)
        assert_play(env.equilibrium(params, alpha, discount), expected)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("size", "steps"), SMALL)
def test_the_values_of_given_policies_are_those_of_the_recursion(size, steps, rules):
    env, params = build(size, *rules, steps)
    model, tables = Model(size, *rules), random_tables(env, seed=0)
    expected = oracle.solve(model, steps, oracle.given(tables.policy, tables.offers))
    assert_play(env.play_values(params, tables.actions, tables.paid), expected)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("size", "steps"), SMALL)
def test_the_best_responses_are_those_of_the_recursion(size, steps, rules):
    env, params = build(size, *rules, steps)
    model, tables = Model(size, *rules), random_tables(env, seed=1)
    found = env.best_responses(params, tables.actions, tables.payments)
    for agent in (0, 1):
        response = oracle.respond(agent, tables.policy, tables.offers)
        sums = oracle.solve(model, steps, response)
        np.testing.assert_allclose(found[agent], sums[agent] + sums[2 + agent], atol=2e-5)


@pytest.mark.parametrize(
    ("rules", "optimum", "selfish", "share"),
    [
        (("one", "alternating"), 13.90, 10.90, 0.1858),
        (("one", "random"), 13.90, 10.92, 0.1545),
        (("all", "alternating"), 15.81, 15.68, 0.0101),
        (("all", "random"), 15.81, 15.68, 0.0108),
    ],
)
def test_only_where_one_collects_is_there_a_dilemma(rules, optimum, selfish, share):
    env, params = build(3, *rules, 20)
    equilibrium = env.equilibrium(params)
    np.testing.assert_allclose(env.optimal_welfare(params), optimum, atol=0.005)
    np.testing.assert_allclose(env.selfish_play(params).welfare, selfish, atol=0.005)
    np.testing.assert_allclose(equilibrium.payment_share, share, atol=5e-5)
    np.testing.assert_allclose(equilibrium.welfare, optimum, atol=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES)
def test_the_solutions_of_whole_episodes_are_those_of_the_recursion(rules):
    env, params = build(3, *rules, 20)
    model = Model(3, *rules)
    optimum = sum(oracle.solve(model, 20, oracle.most_welfare)[:2])
    np.testing.assert_allclose(env.optimal_welfare(params), optimum, atol=1e-4)
    assert_play(env.equilibrium(params), oracle.solve(model, 20, oracle.least_payment(0.1)), 2e-4)
    assert_play(env.selfish_play(params), oracle.solve(model, 20, oracle.selfish), 2e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(1, 12), other=st.floats(-1, 1))
def test_no_policy_beats_a_best_response_or_the_best_welfare(seed, steps, other):
    env, params = build(2)
    params = params.replace(max_steps_in_episode=steps, other_reward=other)
    tables = random_tables(env, seed)
    played = env.play_values(params, tables.actions, tables.paid)
    response = env.best_responses(params, tables.actions, tables.payments)
    assert (np.asarray(response) >= np.asarray(played.utilities) - 1e-5).all()
    assert played.welfare <= env.optimal_welfare(params) + 1e-5
    np.testing.assert_allclose(played.utilities.sum(), played.welfare + played.payment, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(alpha=st.floats(0, 2), steps=st.integers(1, 12), other=st.floats(0, 1))
def test_the_equilibrium_pays_no_negative_amounts_and_welfare_has_its_bound(alpha, steps, other):
    env, params = build(2)
    params = params.replace(max_steps_in_episode=steps, other_reward=other)
    equilibrium, best = env.equilibrium(params, alpha), env.optimal_welfare(params)
    assert equilibrium.payment >= -1e-6 and equilibrium.payment_share >= -1e-6
    assert equilibrium.welfare <= best + 1e-4
    if alpha == 0:
        np.testing.assert_allclose(equilibrium.welfare, best, atol=1e-4)


# --- Exact solutions against play -------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def episodes_of(env, params, actions, paid, episodes, steps):
    """Sums over each of `[E]` simulated episodes: rewards and payments, `[E, N]` each."""

    def episode(key):
        key_reset, key_steps = jax.random.split(key)
        _, state = env.reset(key_reset, params)

        def turn(state, key):
            index = env.state_index(state)
            _, after, reward, *_ = env.step(key, state, actions[index], params)
            return after, (reward, paid[index])

        sums = jax.lax.scan(turn, state, jax.random.split(key_steps, steps))[1]
        return jax.tree.map(lambda leaf: leaf.sum(axis=0), sums)

    return jax.vmap(episode)(jax.random.split(jax.random.key(7), episodes))  # over E


def check_simulation(size, rules, steps, episodes):
    env, params = build(size, *rules, steps)
    tables = random_tables(env, seed=2)
    value = env.play_values(params, tables.actions, tables.paid)
    reward, payment = map(
        np.asarray, episodes_of(env, params, tables.actions, tables.paid, episodes, steps)
    )
    pairs = {
        "welfare": (reward.sum(axis=1), value.welfare),
        "payment": (payment.sum(axis=1), value.payment),
        "the first's utility": (reward[:, 0] + payment[:, 0], value.utilities[0]),
        "the second's utility": (reward[:, 1] + payment[:, 1], value.utilities[1]),
    }
    for name, (simulated, exact) in pairs.items():
        error = simulated.std() / np.sqrt(episodes)
        assert abs(simulated.mean() - exact) < 3 * error, name


@pytest.mark.parametrize("rules", RULES)
def test_the_values_of_policies_are_the_means_of_simulated_episodes(rules):
    check_simulation(3, rules, steps=20, episodes=2000)


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("size", "steps"), [(3, 20), (7, 50)])
def test_the_values_of_policies_are_the_means_of_many_simulated_episodes(size, steps, rules):
    check_simulation(size, rules, steps, episodes=10_000)


# --- Compilation and limits -------------------------------------------------------------------


def test_a_batch_of_solutions_inside_jit_equals_its_members():
    env, params = build(2)
    alphas, lengths = jnp.array([0.1, 0.5, 1.0]), jnp.array([3, 7, 10])

    def solve(alpha, length):
        return env.equilibrium(params.replace(max_steps_in_episode=length), alpha)

    together = jax.jit(jax.vmap(solve))(alphas, lengths)
    for member, (alpha, length) in enumerate(zip(alphas, lengths, strict=True)):
        alone = solve(alpha, length)
        pairs = zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True)
        for leaf, leaf_alone in pairs:
            np.testing.assert_allclose(leaf[member], leaf_alone, atol=1e-5)


def test_an_equal_game_with_other_params_compiles_nothing_anew():
    env, params = build(2)
    env.optimal_welfare(params)
    compiled = coin_game_exact.optimal_welfare._cache_size()
    twin = CoinGame(env.settings)
    twin.optimal_welfare(params.replace(max_steps_in_episode=3, own_reward=2.0))
    assert coin_game_exact.optimal_welfare._cache_size() == compiled


def test_the_exact_solutions_refuse_a_third_agent_and_tables_of_a_wrong_shape():
    env, params = make("coin_game", grid_size=2, num_agents=3)
    with pytest.raises(ValueError, match="of two agents, not of 3"):
        env.optimal_welfare(params)
    env, params = build(2)
    tables = random_tables(env, seed=0)
    with pytest.raises(AssertionError, match="128"):
        env.play_values(params, tables.actions[:-1], tables.paid[:-1])
    with pytest.raises(AssertionError, match="128"):
        env.best_responses(params, tables.actions, tables.paid)


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
        ({"grid_size": 3.0}, "grid_size must be between 2 and 15, not 3.0"),
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
    _, state = env.reset(jax.random.key(0), params)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 5
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(state)) == 12
