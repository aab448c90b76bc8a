"""The binary trees of the paper's first experiment: their rewards, their shape, their settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxparl.envs import make
from jaxparl.envs.game_tree import MAX_DEPTH, GameTree, Settings
from jaxparl.equilibrium import backward_induction


def depth_of(states):
    """The level of each state in heap order, in integers."""
    return np.array([int(state + 1).bit_length() - 1 for state in states])


# --- The rewards ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rewards():
    """Cost of the costly action and worth of outcome 1 in 32 trees, `[R, S]` each."""
    env, _ = make("game_tree", depth=10)
    trees = jax.jit(jax.vmap(env.sample_params))(jax.random.split(jax.random.key(0), 32))
    assert not trees.agent_reward[..., 0].any(), "the free action is free"
    assert not trees.principal_reward[..., 0].any(), "outcome 0 is worth nothing"
    return np.float64(-trees.agent_reward[..., 1]), np.float64(trees.principal_reward[..., 1])


@pytest.mark.parametrize(("which", "scale"), [(0, 1.0), (1, 2.0)])
def test_rewards_are_distributed_as_in_the_paper(rewards, which, scale):
    # u ~ U[0, scale - v] with v ~ U[0, scale] is scale times a product of two uniform numbers:
    # P(u <= x scale) = x (1 - ln x), mean 1/4, mean square 1/9.
    share = rewards[which].ravel() / scale
    assert share.min() >= 0 and share.max() <= 1 and share.max() > 0.95
    np.testing.assert_allclose(share.mean(), 1 / 4, atol=0.005)
    np.testing.assert_allclose((share**2).mean(), 1 / 9, atol=0.005)
    test = stats.kstest(share, lambda x: x * (1 - np.log(np.maximum(x, 1e-12))))
    assert test.pvalue > 1e-3


def test_rewards_are_independent_of_each_other_and_between_states_and_trees(rewards):
    cost, worth = rewards
    pairs = {
        "cost and worth": (cost, worth),
        "a state and the next": (cost[:, :-1], cost[:, 1:]),
        "a tree and the next": (worth[:-1], worth[1:]),
    }
    for name, (one, other) in pairs.items():
        test = stats.spearmanr(one.ravel(), other.ravel())
        assert test.pvalue > 1e-3, name


def test_the_costly_action_is_wanted_in_a_bit_more_than_half_of_the_states():
    # Some 58% in the paper; a tree of 1023 states is within a few points of it.
    env, _ = make("game_tree", depth=10)
    states = np.arange(env.num_states)
    trees = jax.vmap(env.sample_params)(jax.random.split(jax.random.key(1), 6))
    solve = jax.jit(jax.vmap(lambda params: backward_induction(env.tabular(params), env.horizon)))
    wanted = solve(trees).action[:, depth_of(states), states]
    np.testing.assert_allclose(wanted.mean(), 0.576, atol=0.025)
    np.testing.assert_allclose(wanted.mean(axis=1), 0.576, atol=0.06)


# --- The shape of the tree --------------------------------------------------------------------


def test_an_outcome_leads_to_its_child_in_heap_order():
    env, params = make("game_tree", depth=3)
    action = jnp.zeros(1, jnp.int32)

    def child(node, outcome):
        state = env.initial_state(jax.random.key(0), params).replace(node=node)
        return env.resolve(jax.random.key(0), state, action, outcome[None], params)

    over_outcomes = jax.vmap(child, (None, 0))
    over_states = jax.jit(jax.vmap(over_outcomes, (0, None)))
    result = over_states(jnp.arange(7), jnp.arange(2))
    np.testing.assert_array_equal(result.state.node[:3], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(result.terminated, np.arange(7)[:, None] >= [[3, 3]])
    # A game that is over stays where it ended, a state that the networks know.
    np.testing.assert_array_equal(result.state.node[3:], np.arange(3, 7)[:, None].repeat(2, 1))


@pytest.mark.parametrize("depth", [1, 3])
def test_every_episode_goes_from_the_root_to_the_last_level(depth):
    env, params = make("game_tree", depth=depth)

    def step(state, key):
        _, next_state, _, terminated, _, _ = env.step(key, state, jnp.ones(1, int), params)
        return next_state, (state, terminated)

    @jax.jit
    @jax.vmap
    def episode(key):
        _, state = env.reset(key, params)
        return jax.lax.scan(step, state, jax.random.split(key, depth))

    after, (states, terminated) = episode(jax.random.split(jax.random.key(0), 8))
    assert not states.node[:, 0].any() and not after.node.any()
    np.testing.assert_array_equal(depth_of(states.node.ravel()), np.tile(np.arange(depth), 8))
    np.testing.assert_array_equal(states.time, np.tile(np.arange(depth), (8, 1)))
    np.testing.assert_array_equal(terminated, np.tile(np.arange(depth) == depth - 1, (8, 1)))


@pytest.mark.parametrize("depth", [1, 10, MAX_DEPTH])
def test_the_states_of_the_table_know_their_depth(depth):
    env = GameTree(Settings(depth))
    states = env.exact.states()
    np.testing.assert_array_equal(states.node, np.arange(2**depth - 1))
    np.testing.assert_array_equal(states.time, depth_of(np.arange(2**depth - 1)))
    assert env.horizon == depth
    assert env.num_states == env.exact.num_states == 2**depth - 1


# --- The settings -----------------------------------------------------------------------------


def test_the_outcome_matrix_of_the_settings_is_the_one_that_is_played():
    env, params = make("game_tree", depth=3, outcome_probs=((0.7, 0.3), (0.0, 1.0)))
    state = env.initial_state(jax.random.key(0), params)
    np.testing.assert_allclose(env.outcome_probs(state, params), [[[0.7, 0.3], [0.0, 1.0]]])
    keys = jax.random.split(jax.random.key(0), 200)
    step = jax.jit(jax.vmap(env.step, (0, None, None, None)))
    # An outcome of probability 0 never comes out.
    assert step(keys, state, jnp.array([1]), params)[-1]["outcome"].all()
    assert 0.2 < step(keys, state, jnp.array([0]), params)[-1]["outcome"].mean() < 0.4


def test_the_default_is_the_tree_of_the_paper():
    env, params = make("game_tree")
    assert env.num_states == 1023
    np.testing.assert_allclose(params.outcome_probs, [[0.9, 0.1], [0.1, 0.9]])
    assert params.discount == 1


def test_trees_of_other_settings_are_other_environments():
    tree = GameTree(Settings(depth=3))
    assert tree == GameTree(Settings(depth=3))
    assert tree != GameTree(Settings(depth=4))
    assert tree != GameTree(Settings(3, ((0.8, 0.2), (0.2, 0.8))))
    assert tree != "a tree"


@pytest.mark.parametrize("depth", [0, MAX_DEPTH + 1, 40])
def test_a_depth_that_does_not_fit_is_refused_with_the_range(depth):
    with pytest.raises(ValueError, match=f"depth must be between 1 and {MAX_DEPTH}, not {depth}"):
        make("game_tree", depth=depth)


@pytest.mark.parametrize(
    ("outcome_probs", "complaint"),
    [
        (((0.9, 0.2), (0.1, 0.9)), "sum to 1"),
        (((0.9, 0.1), (0.0, 0.0)), "sum to 1"),
        (((1.1, -0.1), (0.1, 0.9)), "not negative"),
        (((float("nan"), 0.1), (0.1, 0.9)), "finite"),
        (((float("inf"), 0.1), (0.1, 0.9)), "finite"),
        (((0.9, 0.1),), "2 rows of 2"),
        (((0.8, 0.1, 0.1), (0.1, 0.8, 0.1)), "2 rows of 2"),
    ],
)
def test_an_outcome_matrix_that_is_none_is_refused_with_the_reason(outcome_probs, complaint):
    with pytest.raises(ValueError, match=complaint):
        make("game_tree", outcome_probs=outcome_probs)


def test_settings_take_lists_and_refuse_half_a_level():
    env, params = make("game_tree", depth=3, outcome_probs=[[0.7, 0.3], [0.2, 0.8]])
    same, _ = make("game_tree", depth=3, outcome_probs=((0.7, 0.3), (0.2, 0.8)))
    assert env == same
    assert hash(env) == hash(same)
    jax.eval_shape(env.reset, jax.random.key(0), params)  # env is static, and is hashed
    with pytest.raises(ValueError, match=r"depth must be a whole number, not 2\.5"):
        make("game_tree", depth=2.5)


def test_the_default_tree_is_the_same_whatever_jax_is_set_to():
    usual = GameTree(Settings(depth=3)).default_params
    with jax.threefry_partitionable(False), jax.default_prng_impl("rbg"):
        other = GameTree(Settings(depth=3)).default_params
    jax.tree.map(np.testing.assert_array_equal, usual, other)
