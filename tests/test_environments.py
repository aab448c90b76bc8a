"""What every environment of the registry keeps to: shapes, ends of episodes, random numbers."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environment_play import ENVS, NAMES, STEPS, as_arrays, case_of, ravel, same
from scipy import stats

from jaxparl.environment import NO_TIME_LIMIT, Tabulation
from jaxparl.envs import REGISTRY


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    return case_of(request.param)


# --- Shapes -----------------------------------------------------------------------------------


def test_a_step_returns_six_values_with_an_axis_of_agents(case):
    env, key = case.env, jax.random.key(0)
    observation, state = env.reset(key, case.params)
    assert observation.shape[0] == env.num_agents
    assert state.time == 0
    action = jnp.zeros(env.num_agents, jnp.int32)
    _, _, reward, terminated, truncated, info = env.step(key, state, action, case.params)
    chex.assert_shape([reward, info["outcome"], info["principal_reward"]], (env.num_agents,))
    chex.assert_type([reward, info["principal_reward"]], float)
    chex.assert_type(info["outcome"], int)
    chex.assert_shape([terminated, truncated], ())
    chex.assert_type([terminated, truncated], bool)
    assert {"outcome", "principal_reward", "next_state", "final_observation"} <= set(info)


def test_state_and_observation_look_the_same_from_reset_and_from_every_step(case):
    env, params, key = case.env, case.params, jax.random.key(0)
    observation, state = jax.eval_shape(env.reset, key, params)
    action = jax.ShapeDtypeStruct((env.num_agents,), jnp.int32)
    next_observation, next_state, *_, info = jax.eval_shape(env.step, key, state, action, params)
    for later in (next_state, info["next_state"]):
        chex.assert_trees_all_equal_shapes_and_dtypes(state, later)
    for later in (next_observation, info["final_observation"]):
        chex.assert_trees_all_equal_shapes_and_dtypes(observation, later)
    # A weakly typed leaf would be traced a second time when it comes back from a step.
    leaves = jax.tree.leaves((observation, state, next_observation, next_state))
    assert not any(leaf.weak_type for leaf in leaves)


def test_every_observation_is_in_the_observation_space(case):
    space = case.env.observation_space(case.params)
    contains = jax.jit(jax.vmap(space.contains))  # over T, E and N
    for seen in (case.played.after_observation, case.played.info["final_observation"]):
        assert seen.dtype == space.dtype
        assert seen.shape == (STEPS, ENVS, case.env.num_agents, *space.shape)
        assert contains(seen.reshape(-1, *space.shape)).all()


def test_the_outcome_distributions_of_every_action_sum_to_one(case):
    env, states = case.env, ravel(case.played.state)
    probs = np.asarray(jax.vmap(env.outcome_probs, (0, None))(states, case.params))
    shape = (env.num_agents, env.num_actions, env.num_outcomes)
    assert probs.shape == (STEPS * ENVS, *shape) and (probs >= 0).all()
    np.testing.assert_allclose(probs.sum(axis=-1), 1, atol=1e-6)
    if env.observed_actions:
        identity = np.broadcast_to(np.eye(env.num_actions), probs.shape)
        np.testing.assert_array_equal(probs, identity)


# --- Ends -------------------------------------------------------------------------------------


def test_a_game_ends_by_its_rules_or_by_its_time_limit_and_says_which(case):
    steps = case.played
    assert steps.is_end.any()
    at_limit = steps.info["next_state"].time >= case.params.max_steps_in_episode
    np.testing.assert_array_equal(steps.truncated, at_limit)
    if case.params.max_steps_in_episode == NO_TIME_LIMIT:
        assert steps.terminated.any() and not steps.truncated.any()


def test_the_time_limit_truncates_and_does_not_terminate(case):
    steps = case.play(1, max_steps_in_episode=2)
    at_limit = steps.info["next_state"].time == 2
    np.testing.assert_array_equal(steps.truncated, at_limit)
    assert (steps.truncated & ~steps.terminated).any()


def test_after_an_end_the_next_episode_starts_and_otherwise_the_state_goes_on(case):
    for steps in (case.played, case.play(1, max_steps_in_episode=2)):
        end, before, after = steps.is_end, steps.info["next_state"], steps.after_state
        on = ~np.asarray(steps.terminated)
        np.testing.assert_array_equal(before.time[on], steps.state.time[on] + 1)
        np.testing.assert_array_equal(np.asarray(after.time)[end], 0)
        pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
        assert all(np.array_equal(leaf[~end], leaf_after[~end]) for leaf, leaf_after in pairs)


@functools.partial(jax.jit, static_argnums=0)
def observations(env, states, params):
    return jax.vmap(env.get_obs, (0, None))(states, params)  # over T and E


def test_the_last_observation_and_the_last_state_of_an_episode_are_not_lost(case):
    for steps in (case.played, case.play(1, max_steps_in_episode=2)):
        last = observations(case.env, ravel(steps.info["next_state"]), case.params)
        np.testing.assert_array_equal(ravel(steps.info["final_observation"]), last)
        shown = observations(case.env, ravel(steps.after_state), case.params)
        np.testing.assert_array_equal(ravel(steps.after_observation), shown)


@functools.partial(jax.jit, static_argnums=0)
def rules_alone(env, steps, params):
    """The rewards `[T E]` of agents and principal by the rules, without a reset."""

    def rewards(key, state, action):
        key_step, _ = jax.random.split(key)  # as gymnax' step splits it
        _, _, reward, _, info = env.step_env(key_step, state, action, params)
        return reward, info["principal_reward"]

    return jax.vmap(rewards)(steps.keys, steps.state, steps.action)  # over T and E


def test_the_reward_of_the_last_step_is_not_lost_to_the_reset(case):
    for steps in (case.played, case.play(1, max_steps_in_episode=2)):
        flat = ravel(steps)
        returned = flat.reward, flat.info["principal_reward"]
        assert same(rules_alone(case.env, flat, case.params), returned)
        assert any(np.asarray(reward)[steps.is_end.flatten()].any() for reward in returned)


# --- Random numbers ---------------------------------------------------------------------------


def has_no_chance(case):
    """Whether nothing in a game is random."""
    if not isinstance(case.env.exact, Tabulation) or not case.env.observed_actions:
        return False
    game = case.env.exact.joint_game(case.params)
    return all(np.isin(probs, (0, 1)).all() for probs in (game.successor_probs, game.start_probs))


def test_the_same_key_plays_the_same_game_and_another_key_another_one(case):
    def results(steps):
        return steps._replace(keys=None)

    assert same(results(case.play(1)), results(case.played))
    other = case.play(2)
    assert same(results(other), results(case.played)) == has_no_chance(case)
    if not case.env.observed_actions:
        differ = other.info["outcome"] != case.played.info["outcome"]
        assert 0 < differ.mean() < 1


def test_the_environments_of_a_batch_have_random_numbers_of_their_own(case):
    by_env = [jax.tree.map(lambda leaf, e=e: leaf[:, e], case.played.after_state) for e in (0, 1)]
    assert not same(*by_env)


def test_random_params_differ_between_keys_and_others_are_the_defaults(case):
    sample = jax.jit(case.env.sample_params)
    draws = [sample(jax.random.key(seed)) for seed in (0, 0, 1, 2)]
    assert same(draws[0], draws[1])
    if same(draws[0], draws[2]):
        assert same(draws[0], case.params) and same(draws[3], case.params)
    else:
        assert not same(draws[2], draws[3])
    chex.assert_trees_all_equal_shapes_and_dtypes(*draws, case.params)


@functools.partial(jax.jit, static_argnums=0)
def outcomes(env, keys, state, action, params):
    def drawn(key):
        return env.step(key, state, action, params)[-1]["outcome"]

    return jax.vmap(drawn)(keys)


def test_outcomes_are_as_frequent_as_their_probabilities(case):
    env, params, draws = case.env, case.params, 2000
    for number in range(3):
        state = jax.tree.map(lambda leaf, t=number: leaf[t, t], case.played.state)
        probs = np.float64(env.outcome_probs(state, params))
        for action in range(env.num_actions):
            keys = jax.random.split(jax.random.key(100 * number + action), draws)
            joint = jnp.full(env.num_agents, action)
            drawn = np.asarray(outcomes(env, keys, state, joint, params))
            for agent in range(env.num_agents):
                assert_frequent(drawn[:, agent], probs[agent, action])


def assert_frequent(drawn, probs):
    counts = np.bincount(drawn, minlength=len(probs))
    expected = len(drawn) * probs / probs.sum()
    possible = expected > 0
    assert not counts[~possible].any()
    if possible.sum() > 1:
        assert stats.chisquare(counts[possible], expected[possible]).pvalue > 1e-3


# --- Batches and compilation ------------------------------------------------------------------


def test_a_batch_over_keys_equals_its_members(case):
    steps = ravel(case.played)
    for member in (0, 7, STEPS * ENVS - 1):
        one = jax.tree.map(lambda leaf, i=member: leaf[i], steps)
        alone = case.env.step(one.keys, one.state, one.action, case.params)
        assert same(alone, tuple(one[3:]))


def test_a_batch_over_params_equals_its_members(case):
    env, runs = case.env, 3
    params = jax.jit(jax.vmap(env.sample_params))(jax.random.split(jax.random.key(5), runs))
    params = params.replace(max_steps_in_episode=jnp.array([1, 2, 50]))
    key, action = jax.random.key(6), jnp.full(env.num_agents, env.num_actions - 1, jnp.int32)

    def reset_and_step(params):
        _, state = env.reset(key, params)
        return env.step(key, state, action, params)

    together = jax.jit(jax.vmap(reset_and_step))(params)  # over R
    for run in range(runs):
        member, one = jax.tree.map(lambda leaf, run=run: leaf[run], (together, params))
        assert same(reset_and_step(one), member)


def test_new_values_and_an_equal_environment_compile_nothing_anew(case):
    env, action = case.env, jnp.zeros(case.env.num_agents, jnp.int32)
    programs = type(env).reset, type(env).step
    _, state = env.reset(jax.random.key(0), case.params)
    env.step(jax.random.key(0), state, action, case.params)
    compiled = [program._cache_size() for program in programs]

    entry = REGISTRY[case.name]
    twin = entry.environment(entry.settings())
    assert twin is not env and twin == env and hash(twin) == hash(env)
    assert twin.exact == env.exact and hash(twin.exact) == hash(env.exact)
    params = twin.sample_params(jax.random.key(3)).replace(max_steps_in_episode=5, discount=0.5)
    params = as_arrays(params)
    _, state = twin.reset(jax.random.key(1), params)
    twin.step(jax.random.key(1), state, action + 1, params)
    assert [program._cache_size() for program in programs] == compiled
