"""What every environment of the registry keeps to: shapes, ends of episodes, random numbers.

The promises of `jaxparl.testing` are those of all games. These environments keep some more.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environment_play import NAMES, case_of, same

from jaxparl.environment import NO_TIME_LIMIT, Tabulation
from jaxparl.envs import REGISTRY
from jaxparl.testing import PROMISES
from jaxparl.testing.case import ENVS, STEPS, as_arrays, ravel


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def case(name):
    return case_of(name)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_an_environment_keeps_the_promises_of_every_game(case, promise):
    promise(case)


# --- Shapes -----------------------------------------------------------------------------------


def test_no_leaf_is_weakly_typed(case):
    # It would be traced a second time when it comes back from a step.
    env, params, key = case.env, case.env_params, jax.random.key(0)
    first = jax.eval_shape(env.reset, key, params)
    action = jax.ShapeDtypeStruct((env.num_agents,), jnp.int32)
    after = jax.eval_shape(env.step, key, first[1], action, params)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves((first, after[:2])))


# --- Ends -------------------------------------------------------------------------------------


def test_a_game_ends_by_its_rules_or_by_its_time_limit_and_says_which(case):
    steps = case.played
    assert steps.is_end.any()
    if case.env_params.max_steps_in_episode == NO_TIME_LIMIT:
        assert steps.terminated.any() and not steps.truncated.any()


def test_the_time_limit_does_not_terminate(case):
    steps = case.played_short
    assert (steps.truncated & ~steps.terminated).any()


def test_rewards_come_with_the_last_step_too(case):
    # There may be few ends, and few rewards: then it is played again.
    for plays in (map(case.play, range(4)), [case.played_short]):
        assert any(
            np.asarray(reward)[steps.is_end].any()
            for steps in plays
            for reward in (steps.reward, steps.info["principal_reward"])
        )


# --- Random numbers ---------------------------------------------------------------------------


def has_no_chance(case):
    """Whether nothing in a game is random."""
    if not isinstance(case.env.exact, Tabulation) or not case.env.observed_actions:
        return False
    game = case.env.exact.joint_game(case.env_params)
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
        assert same(draws[0], case.env_params) and same(draws[3], case.env_params)
    else:
        assert not same(draws[2], draws[3])
    chex.assert_trees_all_equal_shapes_and_dtypes(*draws, case.env_params)


# --- Batches and compilation ------------------------------------------------------------------


def test_a_batch_over_keys_equals_its_members_to_the_bit(case):
    steps = ravel(case.played)
    for member in (0, 7, STEPS * ENVS - 1):
        one = jax.tree.map(lambda leaf, i=member: leaf[i], steps)
        alone = case.env.step(one.keys, one.state, one.action, case.env_params)
        assert same(alone, tuple(one[3:]))


def test_new_values_and_an_equal_environment_compile_nothing_anew(case, name):
    env, action = case.env, jnp.zeros(case.env.num_agents, jnp.int32)
    programs = type(env).reset, type(env).step
    _, state = env.reset(jax.random.key(0), case.env_params)
    env.step(jax.random.key(0), state, action, case.env_params)
    compiled = [program._cache_size() for program in programs]

    entry = REGISTRY[name]
    twin = entry.environment(entry.settings())
    assert twin is not env and twin == env and hash(twin) == hash(env)
    assert twin.exact == env.exact and hash(twin.exact) == hash(env.exact)
    params = twin.sample_params(jax.random.key(3)).replace(max_steps_in_episode=5, discount=0.5)
    params = as_arrays(params)
    _, state = twin.reset(jax.random.key(1), params)
    twin.step(jax.random.key(1), state, action + 1, params)
    assert [program._cache_size() for program in programs] == compiled
