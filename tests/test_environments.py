"""What every game keeps to, run on each game of the registry at its default settings."""

import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxparl.config import Config, Rates
from jaxparl.environment import NO_TIME_LIMIT, GameParams
from jaxparl.envs import REGISTRY, make
from jaxparl.tabular import check_game

STEPS, ENVS = 64, 16


class Play(NamedTuple):
    """Random play with auto-reset, `[T, E]`: what a step was given and what it returned."""

    keys: Any
    state: Any
    action: Any
    after_observation: Any
    after_state: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: Any


class Game(NamedTuple):
    """A game with default params and, so that it is compiled once, random play of it."""

    name: str
    env: Any
    params: GameParams
    played: Play

    def play(self, seed, **changes) -> Play:
        """Play with other luck, the same actions, and other params."""
        return play(self.env, jax.random.key(seed), self.params.replace(**changes))


@functools.partial(jax.jit, static_argnums=0)
def play(env, key, params):
    """Scans over `[T]` steps of `[E]` games; the actions are always the same."""
    key_reset, key_steps = jax.random.split(key)
    _, state = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, ENVS), params)
    shape = (STEPS, ENVS, env.num_agents)
    actions = jax.random.randint(jax.random.key(0), shape, 0, env.num_actions)

    def step(state, turn):
        action, key = turn
        keys = jax.random.split(key, ENVS)
        after = jax.vmap(env.step, (0, 0, 0, None))(keys, state, action, params)  # over E
        return after[1], Play(keys, state, action, *after)

    return jax.lax.scan(step, state, (actions, jax.random.split(key_steps, STEPS)))[1]


@pytest.fixture(scope="module", params=list(REGISTRY))
def game(request):
    env, params = make(request.param)
    return Game(request.param, env, params, play(env, jax.random.key(1), params))


def is_end(steps):
    return np.asarray(steps.terminated | steps.truncated)


def ravel(tree):
    """Joins the axes T and E."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)


def same(tree, other):
    """Whether two trees of one structure are equal to the bit."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(leaf, leaf_other) for leaf, leaf_other in pairs)


# --- Shapes -----------------------------------------------------------------------------------


def test_a_step_returns_six_values_with_an_axis_of_agents(game):
    env, params = game.env, game.params
    key = jax.random.key(0)
    observation, state = jax.jit(env.reset)(key, params)
    assert observation.shape[0] == env.num_agents
    assert state.time == 0
    result = jax.jit(env.step)(key, state, jnp.zeros(env.num_agents, jnp.int32), params)
    _, _, reward, terminated, truncated, info = result
    chex.assert_shape([reward, info["outcome"], info["principal_reward"]], (env.num_agents,))
    chex.assert_type([reward, info["principal_reward"]], float)
    chex.assert_type(info["outcome"], int)
    chex.assert_shape([terminated, truncated], ())
    chex.assert_type([terminated, truncated], bool)
    assert {"outcome", "principal_reward", "next_state", "final_observation"} <= set(info)


def test_state_and_observation_look_the_same_from_reset_and_from_every_step(game):
    env, params, key = game.env, game.params, jax.random.key(0)
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


def test_every_observation_is_in_the_observation_space(game):
    space = game.env.observation_space(game.params)
    for seen in (game.played.after_observation, game.played.info["final_observation"]):
        assert seen.dtype == space.dtype
        assert seen.shape == (STEPS, ENVS, game.env.num_agents, *space.shape)
        assert jax.vmap(space.contains)(seen.reshape(-1, *space.shape)).all()


def test_the_outcome_distributions_of_every_action_sum_to_one(game):
    env, states = game.env, ravel(game.played.state)
    probs = np.asarray(jax.vmap(env.outcome_probs, (0, None))(states, game.params))
    shape = (env.num_agents, env.num_actions, env.num_outcomes)
    assert probs.shape == (STEPS * ENVS, *shape) and (probs >= 0).all()
    np.testing.assert_allclose(probs.sum(axis=-1), 1, atol=1e-6)
    if env.observed_actions:
        identity = np.broadcast_to(np.eye(env.num_actions), probs.shape)
        np.testing.assert_array_equal(probs, identity)


# --- Ends -------------------------------------------------------------------------------------


def test_a_game_ends_by_its_rules_or_by_its_time_limit_and_says_which(game):
    steps = game.played
    assert is_end(steps).any()
    assert not (steps.terminated & steps.truncated).any()
    if game.params.max_steps_in_episode == NO_TIME_LIMIT:
        assert steps.terminated.any() and not steps.truncated.any()


def test_the_time_limit_truncates_and_does_not_terminate(game):
    steps = game.play(1, max_steps_in_episode=2)
    assert not steps.terminated.any()
    every_second = np.arange(STEPS) % 2 == 1
    np.testing.assert_array_equal(steps.truncated, every_second[:, None].repeat(ENVS, axis=1))
    np.testing.assert_array_equal(steps.info["next_state"].time[1], 2)


def test_after_an_end_the_next_episode_starts_and_otherwise_the_state_goes_on(game):
    for steps in (game.played, game.play(1, max_steps_in_episode=2)):
        end, before, after = is_end(steps), steps.info["next_state"], steps.after_state
        on = ~np.asarray(steps.terminated)
        np.testing.assert_array_equal(before.time[on], steps.state.time[on] + 1)
        np.testing.assert_array_equal(np.asarray(after.time)[end], 0)
        pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
        assert all(np.array_equal(leaf[~end], leaf_after[~end]) for leaf, leaf_after in pairs)


def test_the_last_observation_and_the_last_state_of_an_episode_are_not_lost(game):
    get_obs = jax.vmap(game.env.get_obs, (0, None))
    for steps in (game.played, game.play(1, max_steps_in_episode=2)):
        last = get_obs(ravel(steps.info["next_state"]), game.params)
        np.testing.assert_array_equal(ravel(steps.info["final_observation"]), last)
        shown = get_obs(ravel(steps.after_state), game.params)
        np.testing.assert_array_equal(ravel(steps.after_observation), shown)


def test_the_reward_of_the_last_step_is_not_lost_to_the_reset(game):
    for steps in (game.played, game.play(1, max_steps_in_episode=2)):
        end, flat = is_end(steps).flatten(), ravel(steps)

        def rules_alone(key, state, action):
            key_step, _ = jax.random.split(key)  # as gymnax' step splits it
            _, _, reward, _, info = game.env.step_env(key_step, state, action, game.params)
            return reward, info["principal_reward"]

        expected = jax.vmap(rules_alone)(flat.keys, flat.state, flat.action)
        returned = flat.reward, flat.info["principal_reward"]
        assert same(expected, returned)
        assert any(np.asarray(reward)[end].any() for reward in returned)


# --- Luck -------------------------------------------------------------------------------------


def test_the_same_key_plays_the_same_game_and_another_key_another_one(game):
    def results(steps):
        return steps._replace(keys=None)

    assert same(results(game.play(1)), results(game.played))
    other = game.play(2)
    assert not same(results(other), results(game.played))
    if not game.env.observed_actions:
        differ = other.info["outcome"] != game.played.info["outcome"]
        assert 0 < differ.mean() < 1


def test_the_games_of_a_batch_have_luck_of_their_own(game):
    by_env = [jax.tree.map(lambda leaf, e=e: leaf[:, e], game.played.after_state) for e in (0, 1)]
    assert not same(*by_env)


def test_random_params_differ_between_keys_and_others_are_the_defaults(game):
    sample = jax.jit(game.env.sample_params)
    draws = [sample(jax.random.key(seed)) for seed in (0, 0, 1, 2)]
    defaults = jax.tree.map(jnp.asarray, game.params)  # 0.99 as float32 has it
    assert same(draws[0], draws[1])
    if same(draws[0], draws[2]):
        assert same(draws[0], defaults) and same(draws[3], defaults)
    else:
        assert not same(draws[2], draws[3])
    chex.assert_trees_all_equal_shapes_and_dtypes(*draws, defaults)


def test_outcomes_are_as_frequent_as_their_probabilities(game):
    env, draws = game.env, 2000

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None, None))
    def outcomes(key, state, action):
        return env.step(key, state, action, game.params)[-1]["outcome"]

    for number in range(3):
        state = jax.tree.map(lambda leaf, t=number: leaf[t, t], game.played.state)
        probs = np.float64(env.outcome_probs(state, game.params))
        for action in range(env.num_actions):
            keys = jax.random.split(jax.random.key(100 * number + action), draws)
            drawn = np.asarray(outcomes(keys, state, jnp.full(env.num_agents, action)))
            for agent in range(env.num_agents):
                counts = np.bincount(drawn[:, agent], minlength=env.num_outcomes)
                expected = draws * probs[agent, action] / probs[agent, action].sum()
                possible = expected > 0
                assert not counts[~possible].any()
                if possible.sum() > 1:
                    test = stats.chisquare(counts[possible], expected[possible])
                    assert test.pvalue > 1e-3


# --- Batches and compilation ------------------------------------------------------------------


def test_a_batch_over_keys_equals_its_members(game):
    steps = ravel(game.played)
    for member in (0, 7, STEPS * ENVS - 1):
        one = jax.tree.map(lambda leaf, i=member: leaf[i], steps)
        alone = game.env.step(one.keys, one.state, one.action, game.params)
        assert same(alone, tuple(one[3:]))


def test_a_batch_over_params_equals_its_members(game):
    env, runs = game.env, 3
    params = jax.jit(jax.vmap(env.sample_params))(jax.random.split(jax.random.key(5), runs))
    params = params.replace(max_steps_in_episode=jnp.array([1, 2, 50]))
    key, action = jax.random.key(6), jnp.full(env.num_agents, env.num_actions - 1)

    @jax.jit
    def reset_and_step(key, params):
        _, state = env.reset(key, params)
        return env.step(key, state, action, params)

    together = jax.vmap(reset_and_step, (None, 0))(key, params)  # over R
    for run in range(runs):
        member, one = jax.tree.map(lambda leaf, run=run: leaf[run], (together, params))
        assert same(reset_and_step(key, one), member)


def test_new_values_and_an_equal_environment_trace_nothing_anew(game):
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def reset_and_step(env, key, action, params):
        traces.append(env)
        _, state = env.reset(key, params)
        return env.step(key, state, action, params)

    action = jnp.zeros(game.env.num_agents, jnp.int32)
    reset_and_step(game.env, jax.random.key(0), action, game.params)
    entry = REGISTRY[game.name]
    twin = entry.environment(entry.settings())
    assert twin is not game.env and twin == game.env and hash(twin) == hash(game.env)
    params = twin.sample_params(jax.random.key(3)).replace(max_steps_in_episode=5, discount=0.5)
    reset_and_step(twin, jax.random.key(1), action + 1, params)
    assert len(traces) == 1


# --- The exact table --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(game):
    try:
        return game.env.tabular(game.params)
    except NotImplementedError:
        # Then there is no horizon to solve it with, and nobody is led to think so. The states may
        # be enumerated all the same: a game of several agents has solutions of its own.
        with pytest.raises(NotImplementedError, match="no exact table"):
            _ = game.env.horizon
        pytest.skip(f"{game.name} has no exact table")


def is_state(state, other):
    """Whether two states are the same, `[]`; traceable."""
    equal = jax.tree.map(lambda leaf, leaf_other: (leaf == leaf_other).all(), state, other)
    return jnp.stack(jax.tree.leaves(equal)).all()


def test_the_table_is_a_game_that_can_be_solved(game, table):
    check_game(table)
    states = game.env.tabular_states()
    assert len(states.time) == table.agent_reward.shape[0]
    assert table.agent_reward.shape[1] == game.env.num_actions
    assert table.principal_reward.shape[1] == game.env.num_outcomes
    assert np.float32(game.params.discount) == table.discount
    chex.assert_trees_all_equal_dtypes(states, game.played.state)


def test_play_starts_in_a_state_of_the_table_and_is_over_within_the_horizon(game, table):
    states, steps = game.env.tabular_states(), game.played
    start = jax.tree.map(lambda leaf: leaf[0, 0], steps.state)
    assert jax.vmap(is_state, (0, None))(states, start).sum() == 1
    assert steps.info["next_state"].time.max() <= game.env.horizon


def test_the_table_agrees_with_every_step_from_every_state(game, table):
    env, params, draws = game.env, game.params, 128
    states = env.tabular_states()

    def compare(index, action, key):
        state = jax.tree.map(lambda leaf: leaf[index], states)
        *_, reward, terminated, _, info = env.step(key, state, action[None], params)
        outcome, probs = info["outcome"][0], env.outcome_probs(state, params)[0]
        successor_probs = table.successor_probs[index, outcome]
        successors = jax.tree.map(lambda leaf: leaf[table.successor[index, outcome]], states)
        is_reached = jax.vmap(is_state, (0, None))(successors, info["next_state"])  # over K
        goes_on = successor_probs.sum()
        principal_reward = info["principal_reward"][0]
        return outcome, {
            "outcome_probs": jnp.allclose(probs, table.outcome_probs[index]),
            "agent_reward": reward[0] == table.agent_reward[index, action],
            "principal_reward": principal_reward == table.principal_reward[index, outcome],
            "end": jnp.where(terminated, goes_on < 1 - 1e-6, goes_on > 0),
            "successor": terminated | (is_reached & (successor_probs > 0)).any(),
        }

    size, actions = table.agent_reward.shape
    over_draws = jax.vmap(compare, (None, None, 0))
    over_actions = jax.vmap(over_draws, (None, 0, None))
    over_states = jax.jit(jax.vmap(over_actions, (0, None, None)))
    keys = jax.random.split(jax.random.key(0), draws)
    outcome, agrees = over_states(jnp.arange(size), jnp.arange(actions), keys)
    wrong = {what: int((~np.asarray(holds)).sum()) for what, holds in agrees.items()}
    assert not any(wrong.values()), wrong
    # Every outcome that is not rare has come out in every state.
    seen = np.stack([(outcome == o).any(axis=(1, 2)) for o in range(env.num_outcomes)], axis=-1)
    assert seen[(table.outcome_probs > 0.05).any(axis=1)].all()


# --- The registry -----------------------------------------------------------------------------


def test_an_unknown_environment_is_refused_with_the_names_that_there_are():
    with pytest.raises(ValueError, match="'chess'") as error:
        make("chess")
    assert all(name in str(error.value) for name in REGISTRY)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_an_unknown_setting_is_refused_with_the_settings_that_there_are(name):
    with pytest.raises(ValueError, match="'colour'") as error:
        make(name, colour="red")
    fields = dataclasses.fields(REGISTRY[name].settings)
    assert all(field.name in str(error.value) for field in fields)


SIZES = [
    (name, field.name)
    for name, entry in REGISTRY.items()
    for field in dataclasses.fields(entry.settings)
    if type(field.default) is int
]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_a_size_below_zero_is_refused_by_its_name(name, size):
    with pytest.raises(ValueError, match=f"{size} .*-1"):
        make(name, **{size: -1})


@pytest.mark.parametrize("name", list(REGISTRY))
def test_make_gives_a_game_and_its_default_params(name):
    env, params = make(name)
    assert isinstance(params, GameParams)
    assert same(params, env.default_params)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_an_entry_describes_its_game(name):
    entry = REGISTRY[name]
    assert entry.settings.__dataclass_params__.frozen
    assert entry.label and entry.summary and "\n" not in entry.summary
    known = {field.name for kind in (Config, Rates) for field in dataclasses.fields(kind)}
    settings = {field.name for field in dataclasses.fields(entry.settings)}
    for preset in entry.presets.values():
        assert set(preset) <= known | settings | {"games", "seeds", "validate"}
