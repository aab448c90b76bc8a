"""Games of JaxMARL as principal-agent environments; a small one that stands for them."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from foreign_games import ACTIONS, SIZES, Alike, Blind, Continuous, Unequal

import jaxparl
from jaxparl import cli
from jaxparl.envs.registry.presets import quick_preset
from jaxparl.evaluation.offers import standing_offer
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import target_weights
from jaxparl.training.task import TrainingContext, training_task
from jaxparl.validation.dqn import make_black_boxes, policy
from jaxparl.validation.frozen import freeze
from jaxparl.validation.schemes import Scheme
from jaxparl.validation.terms import make_terms
from jaxparl.wrappers import from_jaxmarl

ENV = from_jaxmarl(Unequal())
COUNTS = np.array(list(ACTIONS.values()))


@pytest.fixture(scope="module")
def states():
    """States `[P]` of random play."""

    def once(state, key):
        key_action, key_step = jax.random.split(key)
        action = jax.random.randint(key_action, (3,), 0, 4)
        return ENV.step(key_step, state, action)[1], state

    keys = jax.random.split(jax.random.key(0), 200)
    return jax.lax.scan(once, ENV.initial_state(keys[0], ENV.default_params), keys)[1]


def test_states_and_rewards_are_those_of_the_game():
    game = Unequal()
    key = jax.random.key(5)
    _, state = ENV.reset(key)
    _, own = game.reset(key)
    for number in range(12):
        key_step = jax.random.fold_in(key, number)
        by_agent = dict.fromkeys(game.agents, jnp.int32(number % 2))
        masks = game.get_avail_actions(own)
        by_agent = {name: action * masks[name][1] for name, action in by_agent.items()}
        # The two keys are those of JaxMARL's own step.
        key_game, key_reset = jax.random.split(key_step)
        seen, after, rewards, dones, _ = game.step_env(key_game, own, by_agent)
        own = game.reset(key_reset)[1] if dones["__all__"] else after
        action = jnp.stack(list(by_agent.values()))
        _, state, reward, _, truncated, info = ENV.step(key_step, state, action)
        np.testing.assert_array_equal(reward, list(rewards.values()))
        np.testing.assert_array_equal(info["principal_reward"], reward)
        jax.tree.map(np.testing.assert_array_equal, info["next_state"].game, after)
        jax.tree.map(np.testing.assert_array_equal, state.game, own)
        np.testing.assert_array_equal(info["final_observation"][1, :1], seen["guard"])
        assert truncated == dones["__all__"]


def test_what_the_game_ends_is_an_end_and_its_time_limit_is_none():
    env = from_jaxmarl(Unequal(max_steps=4, far=1))
    assert env.default_params.max_steps_in_episode == 4
    _, state = env.reset(jax.random.key(0))
    _, _, _, terminated, truncated, _ = env.step(jax.random.key(0), state, jnp.ones(3, int))
    assert (bool(terminated), bool(truncated)) == (True, False)
    longer = from_jaxmarl(Unequal(max_steps=1), max_steps_in_episode=3)
    _, _, _, terminated, truncated, _ = longer.step(jax.random.key(0), state, jnp.zeros(3, int))
    assert (bool(terminated), bool(truncated)) == (True, False)


def test_observations_are_padded_only_where_they_differ(states):
    state = states
    seen = jax.vmap(ENV.get_obs)(state)
    assert seen.shape == (200, 3, 3)
    for agent, size in enumerate(SIZES.values()):
        own = state.game.place[:, agent, None]
        np.testing.assert_array_equal(seen[:, agent, :size], np.repeat(own, size, axis=1))
        assert not seen[:, agent, size:].any()
    space = ENV.observation_space()
    assert (space.low, space.high, space.shape) == (0, 20, (3,))
    alike = from_jaxmarl(Alike())
    assert alike.observation_space().shape == (2, 2, 1)
    assert alike.observation_space().high == np.inf
    assert alike.available_actions(None, None) is None


def test_an_agent_has_the_actions_that_the_game_gives_it_in_a_state(states):
    available = jax.vmap(lambda state: ENV.available_actions(state, None))(states)
    rested = np.asarray(states.game.place % 4 != 3)
    assert 0 < rested.mean() < 1
    expected = (np.arange(4) < COUNTS[:, None]) & (rested[..., None] | (np.arange(4) == 0))
    np.testing.assert_array_equal(available, expected)


def test_a_step_with_what_an_agent_does_not_have_is_one_with_what_it_has():
    state = ENV.initial_state(jax.random.key(0), ENV.default_params)
    done = [
        ENV.step(jax.random.key(1), state, jnp.array(action))[2]
        for action in ([0, 3, 2], [0, 0, 2])
    ]
    np.testing.assert_array_equal(*done)


def config_of(env, **changes):
    small = {
        "iterations": 200,
        "evaluation_interval": 100,
        "target_interval": 50,
        "batch_size": 32,
        "replay_capacity": 3_200,
        "hidden_sizes": (16,),
    }
    return dataclasses.replace(quick_preset(env, None).config, **{**small, **changes})


def has(action, env_state):
    """Whether agents have the actions `[P, N]` in states `[P]`."""
    there = jax.vmap(lambda state: ENV.available_actions(state, None))(env_state)
    return np.take_along_axis(np.asarray(there), np.asarray(action)[..., None], axis=-1)[..., 0]


def learner_of(critic="per_action"):
    config = config_of(ENV, critic=critic)
    return make_learner(Problem(config, ENV, ENV.default_params, config.hyper_params))


def test_in_training_nobody_does_what_it_does_not_have():
    problem = learner_of().problem
    config = problem.config
    context = TrainingContext(problem.env_params, problem.hyper_params, exact=None)
    task = training_task(config, ENV, context)
    state = jax.jit(task.init)(jax.random.key(0))
    learn = jax.jit(task.learn)
    for segment in range(config.iterations // config.segment_length):
        state, _ = learn(state, segment)
    count = config.iterations * config.num_envs
    ring = jax.device_get(state.replay.ring)
    env_state, action = jax.tree.map(lambda leaf: leaf[:count], (ring.env_state, ring.action))
    assert has(action, env_state).all()
    assert [len(np.unique(action[:, agent])) for agent in range(3)] == list(COUNTS)


@pytest.mark.parametrize("critic", ["per_action", "per_outcome"])
def test_nobody_is_asked_to_do_what_it_does_not_have_nor_wants_to(critic, states):
    learner = learner_of(critic)

    @jax.jit
    @jax.vmap
    def offered_by(key):
        weights = jax.tree.map(lambda leaf: 4 * leaf, target_weights(learner.init(key)))
        return jax.vmap(functools.partial(standing_offer, learner, weights))(states)

    offered = offered_by(jax.random.split(jax.random.key(0), 16))
    for action in (offered.recommendation, offered.own_action):
        for of_one in action:
            assert has(of_one, states).all()
        assert [len(np.unique(action[..., agent])) for agent in range(3)] == list(COUNTS)
    assert np.isfinite(offered.contract.payments).all()
    # What an agent does not have is worth nothing, so nothing is paid for not doing it.
    alone = np.asarray(offered.own_action == offered.recommendation)
    assert (np.asarray(offered.contract.expected_payment)[~alone] > 0).all()


def test_black_boxes_do_not_want_what_they_do_not_have(states):
    learner = learner_of()
    weights = target_weights(learner.init(jax.random.key(0)))
    terms = make_terms(learner, freeze(learner, weights), Scheme(contract_weight=1.0))
    black_boxes = make_black_boxes(learner.problem.config, ENV, terms)
    observation, _ = ENV.reset(jax.random.key(0))

    @jax.jit
    @jax.vmap
    def done_by(key):
        fresh = black_boxes.agent.init(key, observation)
        own_policy = policy(black_boxes, jax.tree.map(lambda leaf: 4 * leaf, fresh.params))
        return jax.vmap(own_policy)(states, jnp.full((200, 3), -1))

    done = done_by(jax.random.split(jax.random.key(1), 16))
    for of_one in done:
        assert has(of_one, states).all()
    assert [len(np.unique(done[..., agent])) for agent in range(3)] == list(COUNTS)


def test_agents_that_are_equal_share_what_is_compiled():
    assert from_jaxmarl(Unequal()) == ENV
    assert from_jaxmarl(Unequal(far=8)) != ENV
    assert from_jaxmarl(Alike()) != ENV
    made_within = type("Local", (Unequal,), {"agents": tuple(ACTIONS)})()
    assert from_jaxmarl(made_within) == from_jaxmarl(made_within)
    assert from_jaxmarl(made_within) != from_jaxmarl(type(made_within)())


@pytest.mark.parametrize("game", [Unequal, Alike], ids=lambda game: game.__name__)
def test_nothing_is_wrong_with_them(game):
    assert jaxparl.check_env(from_jaxmarl(game())) == []


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (Continuous(), "Unequal: the actions of walker must be Discrete, not Box"),
        (Blind(), r"its get_obs\(state\) must say what each of its agents sees"),
        (Unequal(max_steps=-1), "max_steps_in_episode must be at least 1, not -1"),
    ],
    ids=["continuous", "blind", "no time"],
)
def test_what_cannot_be_had_is_said_in_one_line(game, message):
    with pytest.raises(ValueError, match=message) as error:
        from_jaxmarl(game)
    assert "\n" not in str(error.value)


def test_without_jaxmarl_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jaxmarl", None)
    with pytest.raises(ModuleNotFoundError) as error:
        from_jaxmarl("coin_game")
    assert str(error.value) == (
        "coin_game is a game of JaxMARL, which is not installed: pip install 'jaxparl[jaxmarl]'"
    )


@pytest.mark.slow
def test_a_file_that_makes_one_is_trained_by_one_command(tmp_path, monkeypatch, states):
    (tmp_path / "unequal.py").write_text(
        "from foreign_games import Unequal\n"
        "from jaxparl.wrappers import from_jaxmarl\n"
        "game = from_jaxmarl(Unequal(), discount=0.9)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sizes = "--iterations 200 --evaluation-interval 100 --target-interval 50 --hidden-sizes 16"
    options = f"{sizes} --replay-capacity 3200 --batch-size 32 --seeds 0:1 --out run"
    cli.main(["train", "./unequal.py:game", *options.split()])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert np.isfinite(summary["groups"][0]["metrics"]["welfare"]["mean"])
    principal = jaxparl.load(tmp_path / "run")
    asked = jax.vmap(principal.act)(states)
    assert has(asked, states).all()
