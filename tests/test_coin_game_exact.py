"""The exact solutions of the Coin Game, against a model that shares no idea with them."""

import functools

import coin_game_model as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from coin_game_model import Model
from coin_games import RULES, build, in_model, place
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxparl.environment import Tabulation
from jaxparl.envs import make
from jaxparl.envs.coin_game import CoinGame, Settings
from jaxparl.envs.coin_game.exact import CoinSolutions

# Each of the two rules both ways, where all four combinations would show nothing more: the rules
# are independent of each other.
BOTH_WAYS = [("one", "random"), ("all", "alternating")]


def random_tables(size, seed, num_actions=4):
    """Random actions `[S, N]`, and payments for each action `[S, N, A]` and for those `[S, N]`."""
    rng = np.random.default_rng(seed)
    num_states = 2 * size**6
    actions = rng.integers(0, num_actions, (num_states, 2), dtype=np.int32)
    payments = rng.uniform(0, 0.3, (num_states, 2, num_actions)).astype(np.float32)
    return actions, payments, np.take_along_axis(payments, actions[..., None], axis=2)[..., 0]


def assert_play(value, sums, tolerance=2e-5):
    """`sums` are the model's (reward, reward, payment, payment)."""
    reward, payment = np.array(sums[:2]), np.array(sums[2:])
    np.testing.assert_allclose(value.welfare, reward.sum(), atol=tolerance)
    np.testing.assert_allclose(value.payment, payment.sum(), atol=tolerance)
    np.testing.assert_allclose(value.utilities, reward + payment, atol=tolerance)


# --- The states -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3])
def test_the_index_of_a_state_is_its_place_among_all_states(size):
    exact = build(size)[0].exact
    states = exact.states()
    index = jax.jit(jax.vmap(exact.state_index))(states)  # over S
    np.testing.assert_array_equal(index, np.arange(exact.num_states))
    assert in_model(size, states) == Model(size).states()
    assert not states.time.any()


def test_the_states_are_ordered_as_documented():
    env, _ = make("coin_game")
    assert env.exact.num_states == 235_298
    state = place(env, ((1, 2), (3, 4)), (5, 6), colour=1, time=9)
    assert env.exact.state_index(state) == ((9 * 49 + 25) * 49 + 41) * 2 + 1


# --- The solutions ----------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "tolerance"), [(4, 2e-5), (20, 2e-4)])
@pytest.mark.parametrize(
    ("size", "rules"),
    [
        (3, ("one", "random")),
        (3, ("all", "alternating")),
        (2, ("one", "alternating")),
        (3, ("one", "alternating")),
        (3, ("all", "random")),
    ],
)
def test_the_solutions_are_those_of_all_that_may_happen(size, rules, steps, tolerance):
    env, params = build(size, *rules)
    params, model = params.replace(max_steps_in_episode=steps), Model(size, *rules)
    optimum = oracle.solve(model, steps, oracle.most_welfare)[:2].sum()
    np.testing.assert_allclose(env.exact.optimal_welfare(params), optimum, atol=tolerance)
    selfish = oracle.solve(model, steps, oracle.selfish)
    assert_play(env.exact.selfish_play(params), selfish, tolerance)
    expected = oracle.solve(model, steps, oracle.least_payment(0.1))
    found = env.exact.equilibrium(params)
    assert_play(found, expected, tolerance)
    share = expected[2:].sum() / expected[:2].sum()
    np.testing.assert_allclose(found.payment_share, share, atol=1e-5)


def test_the_equilibrium_follows_alpha_gamma_and_the_rewards():
    env, params = build(3)
    params = params.replace(max_steps_in_episode=4, own_reward=0.8, other_reward=0.5)
    model = Model(3, own_reward=0.8, other_reward=0.5)
    for alpha, gamma in ((1.0, 1.0), (0.4, 0.7)):
        expected = oracle.solve(model, 4, oracle.least_payment(alpha), gamma)
        assert_play(env.exact.equilibrium(params, alpha, gamma), expected)


@pytest.mark.parametrize("shared_coin", ["one", "all"])
def test_the_classical_payoffs_with_a_stay_action_are_solved_as_everything_else(shared_coin):
    """Every coin is worth 1, its owner loses 2 if another collects it, and agents may stay."""
    env, params = make("coin_game", grid_size=2, shared_coin=shared_coin, stay=True)
    params = params.replace(max_steps_in_episode=4, other_reward=1.0, stolen_reward=-2.0)
    model = Model(2, shared_coin=shared_coin, other_reward=1.0, stolen_reward=-2.0, num_actions=5)
    exact, (actions, payments, paid) = env.exact, random_tables(2, 2, num_actions=5)
    optimum = oracle.solve(model, 4, oracle.most_welfare)[:2].sum()
    np.testing.assert_allclose(exact.optimal_welfare(params), optimum, atol=2e-5)
    assert_play(exact.selfish_play(params), oracle.solve(model, 4, oracle.selfish))
    expected = oracle.solve(model, 4, oracle.least_payment(0.4), 0.7)
    assert_play(exact.equilibrium(params, 0.4, 0.7), expected)
    expected = oracle.solve(model, 4, oracle.given(actions, paid, num_actions=5))
    assert_play(exact.play_values(params, actions, paid), expected)
    found = exact.best_responses(params, actions, payments)
    for agent in (0, 1):
        sums = oracle.solve(model, 4, oracle.respond(agent, actions, payments))
        np.testing.assert_allclose(found[agent], sums[agent] + sums[2 + agent], atol=2e-5)


@pytest.mark.parametrize("rules", BOTH_WAYS)
def test_the_values_of_given_policies_are_those_of_all_that_may_happen(rules):
    env, params = build(3, *rules)
    actions, _, paid = random_tables(3, seed=0)
    expected = oracle.solve(Model(3, *rules), 4, oracle.given(actions, paid))
    params = params.replace(max_steps_in_episode=4)
    assert_play(env.exact.play_values(params, actions, paid), expected)


@pytest.mark.parametrize("rules", BOTH_WAYS)
def test_the_best_responses_are_those_of_all_that_may_happen(rules):
    env, params = build(3, *rules)
    actions, payments, _ = random_tables(3, seed=1)
    params = params.replace(max_steps_in_episode=4)
    found = env.exact.best_responses(params, actions, payments)
    for agent in (0, 1):
        sums = oracle.solve(Model(3, *rules), 4, oracle.respond(agent, actions, payments))
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
    env, params = build(3, *rules)
    equilibrium = env.exact.equilibrium(params)
    np.testing.assert_allclose(env.exact.optimal_welfare(params), optimum, atol=0.005)
    np.testing.assert_allclose(env.exact.selfish_play(params).welfare, selfish, atol=0.005)
    np.testing.assert_allclose(equilibrium.payment_share, share, atol=5e-5)
    np.testing.assert_allclose(equilibrium.welfare, optimum, atol=0.005)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(1, 12), other=st.floats(-1, 1))
def test_no_policy_beats_a_best_response_or_the_best_welfare(seed, steps, other):
    env, params = build(2)
    params = params.replace(max_steps_in_episode=steps, other_reward=other)
    actions, payments, paid = random_tables(2, seed)
    played = env.exact.play_values(params, actions, paid)
    response = env.exact.best_responses(params, actions, payments)
    assert (np.asarray(response) >= np.asarray(played.utilities) - 1e-5).all()
    assert played.welfare <= env.exact.optimal_welfare(params) + 1e-5
    np.testing.assert_allclose(played.utilities.sum(), played.welfare + played.payment, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(alpha=st.floats(0, 2), steps=st.integers(1, 12), other=st.floats(0, 1))
def test_the_equilibrium_pays_no_negative_amounts_and_welfare_has_its_bound(alpha, steps, other):
    env, params = build(2)
    params = params.replace(max_steps_in_episode=steps, other_reward=other)
    equilibrium, best = env.exact.equilibrium(params, alpha), env.exact.optimal_welfare(params)
    assert equilibrium.payment >= -1e-6 and equilibrium.payment_share >= -1e-6
    assert equilibrium.welfare <= best + 1e-4
    if alpha == 0:
        np.testing.assert_allclose(equilibrium.welfare, best, atol=1e-4)


# --- Exact solutions against play -------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=0, static_argnames=("episodes", "steps"))
def episodes_of(env, params, actions, paid, *, episodes, steps):
    """Sums over each of `[E]` simulated episodes: rewards and payments, `[E, N]` each."""

    def one_step(state, key):
        index = env.exact.state_index(state)
        _, after, reward, *_ = env.step_env(key, state, actions[index], params)
        return after, (reward, paid[index])

    def episode(key):
        key_reset, key_steps = jax.random.split(key)
        _, state = env.reset(key_reset, params)
        sums = jax.lax.scan(one_step, state, jax.random.split(key_steps, steps))[1]
        return jax.tree.map(lambda leaf: leaf.sum(axis=0), sums)

    return jax.vmap(episode)(jax.random.split(jax.random.key(7), episodes))  # over E


def check_simulation(size, rules, steps, episodes):
    env, params = build(size, *rules)
    params = params.replace(max_steps_in_episode=steps)
    actions, _, paid = random_tables(size, seed=2)
    value = env.exact.play_values(params, actions, paid)
    sums = episodes_of(env, params, actions, paid, episodes=episodes, steps=steps)
    reward, payment = map(np.asarray, sums)
    pairs = {
        "welfare": (reward.sum(axis=1), value.welfare),
        "payment": (payment.sum(axis=1), value.payment),
        "the first's utility": (reward[:, 0] + payment[:, 0], value.utilities[0]),
        "the second's utility": (reward[:, 1] + payment[:, 1], value.utilities[1]),
    }
    for name, (simulated, exact) in pairs.items():
        error = simulated.std() / np.sqrt(episodes)
        assert abs(simulated.mean() - exact) < 3 * error, name


@pytest.mark.parametrize("rules", BOTH_WAYS)
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
        return env.exact.equilibrium(params.replace(max_steps_in_episode=length), alpha)

    together = jax.jit(jax.vmap(solve))(alphas, lengths)
    for member, (alpha, length) in enumerate(zip(alphas, lengths, strict=True)):
        alone = solve(alpha, length)
        pairs = zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True)
        for leaf, leaf_alone in pairs:
            np.testing.assert_allclose(leaf[member], leaf_alone, atol=1e-5)


def test_an_equal_game_with_other_params_compiles_nothing_anew():
    env, params = build(2)
    env.exact.optimal_welfare(params)
    compiled = CoinSolutions.optimal_welfare._cache_size()
    twin = CoinGame(env.settings)
    twin.exact.optimal_welfare(params.replace(max_steps_in_episode=3, own_reward=2.0))
    assert CoinSolutions.optimal_welfare._cache_size() == compiled


def test_a_game_of_three_agents_is_tabulated_as_this_one_is_of_two():
    env, _ = make("coin_game", grid_size=2, num_agents=3)
    assert isinstance(env.exact, Tabulation)
    with pytest.raises(ValueError, match="of two agents, not of 3"):
        CoinSolutions(Settings(grid_size=2, num_agents=3))


def test_tables_of_a_wrong_shape_are_refused():
    env, params = build(2)
    actions, payments, paid = random_tables(2, seed=0)
    with pytest.raises(AssertionError, match="128"):
        env.exact.play_values(params, actions[:-1], paid[:-1])
    with pytest.raises(AssertionError, match="128"):
        env.exact.best_responses(params, actions, paid)
    with pytest.raises(AssertionError, match="128"):
        env.exact.best_responses(params, actions[:-1], payments)
