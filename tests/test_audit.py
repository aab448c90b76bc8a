"""What the audit says of learned contracts, against episodes that are played."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl import audit, evaluation, lockstep, play, run_state
from jaxparl.config import Config, Rates
from jaxparl.envs import make
from jaxparl.types import Contract, Offer

CONFIG = Config(
    iterations=200,
    evaluation_interval=100,
    target_interval=50,
    replay_capacity=1_600,
    hidden_sizes=(16, 16),
    critic="per_action",
    rates=Rates(alpha=0.1, follow_share=0.5, nudge=0.05),
)


def noisy(grid_size: int, steps: int):
    """A game and a principal whose untrained networks stand for contracts of every kind."""
    env, params = make("coin_game", grid_size=grid_size, max_steps_in_episode=steps)
    learner = lockstep.make_learner(CONFIG, env)
    state = lockstep.init(learner, params, CONFIG.rates, jax.random.key(3))

    def louder(player):
        target = jax.tree.map(lambda leaf: 5 * leaf, player.target_params)
        return dataclasses.replace(player, target_params=target)

    state = dataclasses.replace(state, agent=louder(state.agent), principal=louder(state.principal))
    return learner, params, state


def test_audited_values_are_the_means_of_episodes_that_are_played():
    learner, params, state = noisy(3, 10)
    weights = run_state.target_weights(state)
    offered = play.learned_offers(learner, params, CONFIG.rates, weights)
    found = audit.audit(learner.env, params, offered)

    @jax.jit
    def episodes(keys):
        weights = run_state.target_weights(state)
        one = jax.vmap(play.play_episode, (None, None, None, None, 0))
        return one(learner, params, CONFIG.rates, weights, keys)

    played = episodes(jax.random.split(jax.random.key(0), 4000))
    utilities = np.asarray(played.agent_reward + played.payment)
    for sampled, exact in (
        (np.asarray(played.agent_reward).sum(axis=1), found.values.welfare),
        (np.asarray(played.payment).sum(axis=1), found.values.payment),
        *zip(utilities.T, found.values.utilities, strict=True),
    ):
        error = sampled.std() / np.sqrt(len(sampled))
        assert abs(sampled.mean() - exact) < 3 * error
        assert error > 0


def test_nobody_does_better_by_following_than_by_the_best_response():
    learner, params, state = noisy(2, 8)
    weights = run_state.target_weights(state)
    offered = play.learned_offers(learner, params, CONFIG.rates, weights)
    found = audit.audit(learner.env, params, offered)
    assert np.all(found.best_responses >= found.values.utilities - 1e-4)
    assert found.deviation_gain > 0.01  # contracts of noise leave something to gain


def test_what_is_paid_beyond_any_gain_leaves_nothing_to_deviate_for():
    env, params = make("coin_game", grid_size=2, max_steps_in_episode=8)
    action = jnp.zeros((env.num_states, 2), jnp.int32)
    # More than all coins of an episode: no deviation gets as much.
    payments = jnp.zeros((env.num_states, 2, 4)).at[..., 0].set(10.0)
    nothing = jnp.zeros((env.num_states, 2))
    offered = Offer(
        recommendation=action,
        contract=Contract(payments, nothing, nothing == 0),
        own_action=action,
        agent_value=nothing,
        principal_value=nothing,
    )
    found = audit.audit(env, params, offered)
    np.testing.assert_allclose(found.best_responses, found.values.utilities, rtol=1e-5)
    assert found.values.payment == pytest.approx(2 * 8 * 10.0)


def test_a_game_that_nobody_solved_is_evaluated_by_episodes():
    env, params = make("coin_game", grid_size=3, max_steps_in_episode=5, num_agents=3)
    learner = lockstep.make_learner(CONFIG, env)
    state = lockstep.init(learner, params, CONFIG.rates, jax.random.key(0))
    exact = evaluation.solve(env, params, CONFIG.rates)
    assert exact == ()
    losses = run_state.Losses(jnp.zeros(()), jnp.zeros(()), jnp.zeros(()))
    found = evaluation.evaluate(learner, params, CONFIG.rates, state, exact, losses)
    # Per episode of 5 steps: at most a coin a step, worth 1 to its owner.
    assert 0 < found.welfare < 5
    assert found.payment >= 0
    np.testing.assert_allclose(found.principal_utility, found.welfare - found.payment, rtol=1e-5)


def test_an_episode_ends_with_its_last_reward_at_the_time_limit():
    learner, params, state = noisy(2, 7)
    weights = run_state.target_weights(state)
    one = play.play_episode(learner, params, CONFIG.rates, weights, jax.random.key(1))
    assert one.game.time == 7
    longer = params.replace(max_steps_in_episode=8)
    # The same luck: a step more brings no less.
    more = play.play_episode(learner, longer, CONFIG.rates, weights, jax.random.key(1))
    assert np.all(more.agent_reward >= one.agent_reward)
