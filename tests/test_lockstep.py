"""The parts of an iteration, each against numbers made by other means."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl import lockstep, players, run_state
from jaxparl.config import Config, Rates
from jaxparl.contracts import minimal_contract
from jaxparl.envs import game_tree, make
from jaxparl.envs.game_tree import GameTree
from jaxparl.training import make_train

KEY = jax.random.key(5)

CONFIG = Config(
    iterations=400,
    evaluation_interval=200,
    target_interval=50,
    replay_capacity=1_600,
    hidden_sizes=(32, 32),
    outcome_hidden_sizes=(16,),
)


def started(config: Config = CONFIG, depth: int = 3):
    env, params = make("game_tree", depth=depth)
    learner = lockstep.make_learner(config, env)
    return learner, params, lockstep.init(learner, params, config.rates, jax.random.key(0))


def iterated(config: Config, count: int):
    """The state after `count` iterations, and the last losses."""
    config = dataclasses.replace(config, iterations=count, replay_capacity=8 * count)
    learner, params, state = started(config)

    def iterate(state, iteration):
        return lockstep.iterate(learner, params, config.rates, state, iteration)

    state, losses = jax.jit(lambda s: jax.lax.scan(iterate, s, jnp.arange(count)))(state)
    return state, losses


def explored(exploration: str, starts: bool, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Who explores and what is done, of 20,000 that were asked for action 1 and follow so far."""
    config = dataclasses.replace(
        CONFIG, num_envs=20_000, replay_capacity=20_000, exploration=exploration
    )
    learner, _, state = started(config, depth=2)
    state = dataclasses.replace(state, starts=jnp.full(20_000, starts))
    rates = Rates(epsilon=epsilon, epsilon_final=epsilon)
    asked = jnp.ones((20_000, 1), jnp.int32)
    explores, action = lockstep.explore(learner, rates, state, jax.random.key(1), asked, 0)
    return np.asarray(explores), np.asarray(action)


@pytest.mark.parametrize("exploration", ["per_step", "per_episode"])
def test_exploration_begins_as_often_as_epsilon_says(exploration):
    for epsilon in (0.0, 0.3, 1.0):
        explores, action = explored(exploration, True, epsilon)
        assert np.mean(explores) == pytest.approx(epsilon, abs=0.01)
        # Half of the random actions are the recommended one.
        assert np.mean(action == 0) == pytest.approx(epsilon / 2, abs=0.01)
        assert np.all(action[~explores] == 1)


def test_within_an_episode_only_exploration_per_step_is_drawn_anew():
    assert not explored("per_episode", False, 1.0)[0].any()
    assert explored("per_step", False, 1.0)[0].all()


@pytest.mark.parametrize("critic", ["per_outcome", "per_action"])
def test_an_offer_is_the_best_contractual_q_and_its_least_contract(critic):
    config = dataclasses.replace(CONFIG, critic=critic)
    learner, params, state = started(config)
    weights = run_state.online_weights(state)
    game = learner.env.tabular_states()
    offers = jax.vmap(lockstep.offer, (None, None, None, None, 0, None))
    found = offers(learner, params, config.rates, weights, game, jnp.ones(1, bool))
    for index in range(7):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], game)
        observation, probs = learner.env.get_obs(one), learner.env.outcome_probs(one, params)
        q = learner.agent.q_truncated(
            weights.agent, observation, jnp.zeros((1, 0)), probs, params.discount
        )[0]
        action = found.recommendation[index, 0]
        least = minimal_contract(q, probs[0], action, config.rates.nudge)
        np.testing.assert_allclose(found.contract.payments[index, 0], least.payments, atol=1e-6)
        value = q[action] + least.expected_payment
        np.testing.assert_allclose(found.agent_value[index, 0], value, atol=1e-6)


def test_a_transition_is_stored_as_it_was_played():
    state, _ = iterated(CONFIG, 200)
    _, params, _ = started()
    ring = jax.tree.map(lambda leaf: np.asarray(leaf)[: 200 * CONFIG.num_envs], state.replay)
    node, action, outcome = ring.state.node, ring.action[:, 0], ring.outcome[:, 0]
    np.testing.assert_array_equal(ring.agent_reward[:, 0], params.agent_reward[node, action])
    np.testing.assert_array_equal(
        ring.principal_reward[:, 0], params.principal_reward[node, outcome]
    )
    child = 2 * node + 1 + outcome
    np.testing.assert_array_equal(ring.discount, child < 7)
    np.testing.assert_array_equal(ring.next_state.node[child < 7], child[child < 7])


def test_losses_fall_and_stay_finite():
    for critic in ("per_outcome", "per_action"):
        for outcome_model in ("known", "learned"):
            config = dataclasses.replace(CONFIG, critic=critic, outcome_model=outcome_model)
            state, losses = iterated(config, 600)
            for leaf in jax.tree.leaves((state.agent, state.principal, losses)):
                assert np.isfinite(leaf).all()
            assert losses.agent[-50:].mean() < losses.agent[:5].mean() / 2


def test_a_learned_outcome_model_finds_the_matrix():
    count = 1600
    config = dataclasses.replace(
        CONFIG, outcome_model="learned", iterations=count, replay_capacity=8 * count
    )
    learner, params, _ = started(config)
    game = learner.env.tabular_states()
    observation = jax.vmap(learner.env.get_obs)(game)
    probs = jax.vmap(learner.outcome_model.probs, (None, 0, 0, None))

    @jax.jit
    @jax.vmap
    def found(key):
        def iterate(state, iteration):
            return lockstep.iterate(learner, params, config.rates, state, iteration)

        state = lockstep.init(learner, params, config.rates, key)
        state, _ = jax.lax.scan(iterate, state, jnp.arange(count))
        return probs(state.outcome_model.params, game, observation, params)

    # An action that was done 370 times somewhere has shown its outcomes to within 0.016 (one
    # standard error), so one of many is further off than that; on the whole they are not.
    error = np.abs(found(jax.random.split(jax.random.key(0), 4)) - params.outcome_probs)
    assert error.mean() < 0.02
    assert error.max() < 0.1


def test_optimisers_count_by_the_loops_counter_whatever_a_state_says():
    learner, params, state = started()

    @jax.jit
    def after(state, count):
        state = dataclasses.replace(
            state,
            agent=players.counted(state.agent, count),
            principal=players.counted(state.principal, count),
        )
        return lockstep.iterate(learner, params, CONFIG.rates, state, 7)[0]

    right, wrong = after(state, 7), after(state, 999)
    jax.tree.map(np.testing.assert_array_equal, right.agent, wrong.agent)
    jax.tree.map(np.testing.assert_array_equal, right.principal, wrong.principal)
    # Adam's counter and its step size's.
    for player in (right.agent, right.principal):
        leaves = jax.tree.leaves(player.optimizer_state)
        assert [leaf for leaf in leaves if leaf.dtype == jnp.int32] == [8, 8]


# --- Several agents ---------------------------------------------------------------------------


def test_an_agents_bits_are_those_of_the_others_next_agent_first():
    follows = jnp.array([True, False, True])
    # Agent 0 sees 1 and 2, agent 1 sees 2 and 0, agent 2 sees 0 and 1.
    np.testing.assert_array_equal(lockstep.others_follow(follows), [[0, 1], [1, 1], [1, 0]])
    assert lockstep.others_follow(jnp.array([True])).shape == (1, 0)


def test_an_agent_learns_nothing_from_a_step_in_which_another_explored():
    explores = jnp.array([True, False, False])
    np.testing.assert_array_equal(lockstep.as_conditioned(explores), [1, 0, 0])
    np.testing.assert_array_equal(lockstep.as_conditioned(~explores), [0, 0, 0])
    np.testing.assert_array_equal(lockstep.as_conditioned(jnp.array([True])), [1])


def test_what_an_agent_expects_does_not_depend_on_how_much_the_other_explores():
    """The first agent's values, where the second always explores: those that it began with."""
    always = Rates(alpha=0.1, follow_share=1e-9, epsilon=1.0, epsilon_final=1.0)
    learner, params, state = coin_game(rates=always)
    ring = dataclasses.replace(
        state.replay, explores=jnp.broadcast_to(jnp.array([False, True]), state.replay.action.shape)
    )
    batch = jax.tree.map(lambda leaf: leaf[:4], ring)
    batch = dataclasses.replace(batch, agent_reward=jnp.ones((4, 2)))
    see = jax.vmap(learner.env.get_obs, (0, None))
    weight = jax.vmap(lockstep.as_conditioned)(batch.explores)
    observation, bits = see(batch.state, params), jnp.zeros((4, 2, 1))
    arguments = (batch, weight, jnp.zeros((4, 2)), params.discount, always)
    _, loss, error = learner.agent.update(state.agent, observation, bits, *arguments)
    # The second agent's error counts, the first one's does not; both are told.
    assert loss == pytest.approx(np.mean(0.5 * np.asarray(error)[:, 1] ** 2) / 2, rel=1e-5)
    assert np.all(np.asarray(error) > 0.5)


def coin_game(**changes):
    env, params = make("coin_game", grid_size=3, max_steps_in_episode=6)
    config = dataclasses.replace(CONFIG, critic="per_action", hidden_sizes=(16, 16), **changes)
    learner = lockstep.make_learner(config, env)
    return learner, params, lockstep.init(learner, params, config.rates, jax.random.key(0))


def test_who_follows_is_drawn_when_an_episode_begins_and_kept_until_it_ends():
    rates = Rates(follow_share=0.3)
    learner, _, state = coin_game(num_envs=20_000, replay_capacity=20_000, rates=rates)
    del learner
    drawn = np.asarray(lockstep.draw_follows(rates, state, jax.random.key(1)))
    assert drawn.mean() == pytest.approx(0.3, abs=0.01)
    # Agents are drawn independently of each other.
    assert np.mean(drawn[:, 0] & drawn[:, 1]) == pytest.approx(0.09, abs=0.01)
    later = dataclasses.replace(state, starts=jnp.zeros(20_000, bool), follows=jnp.asarray(drawn))
    np.testing.assert_array_equal(lockstep.draw_follows(rates, later, jax.random.key(2)), drawn)


@pytest.mark.parametrize("replay", ["uniform", "prioritised"])
def test_several_agents_learn_from_the_same_iteration(replay):
    rates = Rates(alpha=0.1, follow_share=0.5, epsilon_final=0.0)
    learner, params, state = coin_game(replay=replay, loss="huber", rates=rates)

    def iterate(state, iteration):
        return lockstep.iterate(learner, params, rates, state, iteration)

    run = jax.jit(lambda s: jax.lax.scan(iterate, s, jnp.arange(400)))
    state, losses = run(state)
    for leaf in jax.tree.leaves((state.agent, state.principal, losses)):
        assert np.isfinite(leaf).all()
    # 200 iterations fill the ring: whose turn it was to follow is in it.
    follows = np.asarray(state.replay.follows)
    assert 0.3 < follows.mean() < 0.7
    # A time limit is bootstrapped through: nothing in the ring says that the game had ended.
    np.testing.assert_array_equal(state.replay.discount, 1.0)


def test_who_does_not_follow_does_what_is_best_for_itself():
    rates = Rates(alpha=0.1, follow_share=1e-9, epsilon=0.0, epsilon_final=0.0)
    learner, params, state = coin_game(rates=rates)
    weights, games = run_state.online_weights(state), state.game
    offers = jax.vmap(lockstep.offer, (None, None, None, None, 0, None))
    offered = offers(learner, params, rates, weights, games, jnp.zeros(2, bool))
    state, _ = lockstep.iterate(learner, params, rates, state, 0)
    np.testing.assert_array_equal(state.replay.action[:8], offered.own_action)
    assert not state.replay.explores.any()
    assert np.any(offered.own_action != offered.recommendation)


def test_exploration_is_stored_with_the_step():
    rates = Rates(alpha=0.1, follow_share=1e-9, epsilon=1.0, epsilon_final=1.0)
    learner, params, state = coin_game(rates=rates)
    offers = jax.vmap(lockstep.offer, (None, None, None, None, 0, 0))
    follows = jnp.zeros((8, 2), bool)
    weights = run_state.online_weights(state)
    own = offers(learner, params, rates, weights, state.game, follows).own_action
    state, _ = lockstep.iterate(learner, params, rates, state, 0)
    np.testing.assert_array_equal(state.replay.explores[:8], state.replay.action[:8] != own)
    assert state.replay.explores.any()


class ObservedTree(GameTree):
    """Trees whose principal sees the actions themselves."""

    observed_actions = True


@pytest.mark.parametrize("critic", ["per_outcome", "per_action"])
def test_one_agent_whose_actions_are_seen_learns_the_same_by_both_roads(critic):
    """Identity outcomes: the closed form of many agents' games against the linear program."""
    config = dataclasses.replace(CONFIG, critic=critic)
    curves = []
    for tree in (GameTree, ObservedTree):
        env = tree(game_tree.Settings(depth=3))
        params = dataclasses.replace(env.sample_params(KEY), outcome_probs=jnp.eye(2))
        curves.append(jax.jit(make_train(config, env, params))(KEY).metrics)
    assert jax.tree.leaves(curves[0])[0].shape == (2,)
    for one, other in zip(*map(jax.tree.leaves, curves), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert curves[0].principal_utility[-1] > 0.1
