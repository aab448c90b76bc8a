"""The iteration of training with several agents, on the small Coin Game."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import COIN_ENV, COIN_PARAMS
from untrained import CONFIG, LEARNER, start

from jaxparl.learning import lockstep, replay, updates
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.replay import Batch
from jaxparl.learning.state import online_weights

LONG = dataclasses.replace(CONFIG, iterations=400, evaluation_interval=400, loss="huber")
SHARED = dataclasses.replace(LONG.hyper_params, epsilon=1.0, epsilon_final=0.0)
NOBODY_FOLLOWS = dataclasses.replace(SHARED, follow_share=1e-9)


@functools.cache
def iteration(sampler):
    """The compiled program `(hyper_params, state, iteration) -> (state, losses)`."""
    config = dataclasses.replace(LONG, replay=sampler)

    @jax.jit
    def iterate(hyper_params, state, number):
        problem = Problem(config, COIN_ENV, COIN_PARAMS, hyper_params)
        return make_learner(problem).iterate(state, number)

    return iterate


def fresh(sampler="prioritised"):
    """The state before the first iteration."""
    state, config = start(), dataclasses.replace(LONG, replay=sampler)
    first = jax.tree.map(lambda leaf: leaf[0], state.actor.env_state)
    return dataclasses.replace(state, replay=replay.init(config, COIN_ENV, first))


@pytest.fixture(scope="module")
def own_actions():
    """`[E, N]`, what the agents think best in the first iteration, if nobody follows."""
    state = fresh()
    offers = jax.jit(jax.vmap(LEARNER.offer, (None, 0, None)))  # over E
    offered = offers(online_weights(state), state.actor.env_state, jnp.zeros(2, bool))
    assert np.any(offered.own_action != offered.recommendation)
    return offered.own_action


def test_an_agents_bits_are_those_of_the_others_next_agent_first():
    follows = jnp.array([True, False, True])
    # Agent 0 sees 1 and 2, agent 1 sees 2 and 0, agent 2 sees 0 and 1.
    np.testing.assert_array_equal(lockstep.others_follow(follows), [[0, 1], [1, 1], [1, 0]])
    assert lockstep.others_follow(jnp.array([True])).shape == (1, 0)


@pytest.mark.parametrize("sampler", ["uniform", "prioritised"])
def test_several_agents_learn_from_the_same_iteration(sampler):
    state, losses = fresh(sampler), []
    for number in range(400):
        state, loss = iteration(sampler)(SHARED, state, number)
        losses.append(loss)
    for leaf in jax.tree.leaves((state.agent, state.principal, losses)):
        assert np.isfinite(leaf).all()
    # 200 iterations fill the ring, which has kept who followed.
    follows = np.asarray(state.replay.ring.follows)
    assert 0.3 < follows.mean() < 0.7
    # A time limit is bootstrapped through: nothing in the ring says that the game had ended.
    np.testing.assert_array_equal(state.replay.ring.continues, 1.0)


def test_who_does_not_follow_does_what_is_best_for_itself(own_actions):
    greedy = dataclasses.replace(NOBODY_FOLLOWS, epsilon=0.0)
    state, _ = iteration("prioritised")(greedy, fresh(), 0)
    np.testing.assert_array_equal(state.replay.ring.action[:8], own_actions)
    assert not state.replay.ring.deviated.any()


def test_exploration_is_stored_with_the_step(own_actions):
    random = dataclasses.replace(NOBODY_FOLLOWS, epsilon=1.0, epsilon_final=1.0)
    state, _ = iteration("prioritised")(random, fresh(), 0)
    ring = state.replay.ring
    np.testing.assert_array_equal(ring.deviated[:8], ring.action[:8] != own_actions)
    assert ring.deviated.any()


def test_who_follows_is_drawn_when_an_episode_begins_and_kept_until_it_ends():
    problem = Problem(LONG, COIN_ENV, COIN_PARAMS, dataclasses.replace(SHARED, follow_share=0.3))
    learns, state = make_learner(problem), fresh()
    actor = dataclasses.replace(state.actor, starts=jnp.ones(20_000, bool))
    state = dataclasses.replace(state, actor=actor, follows=jnp.ones((20_000, 2), bool))
    drawn = np.asarray(learns.draw_follows(state, jax.random.key(1)))
    assert drawn.mean() == pytest.approx(0.3, abs=0.01)
    # Agents are drawn independently of each other.
    assert np.mean(drawn[:, 0] & drawn[:, 1]) == pytest.approx(0.09, abs=0.01)
    actor = dataclasses.replace(actor, starts=jnp.zeros(20_000, bool))
    later = dataclasses.replace(state, actor=actor, follows=jnp.asarray(drawn))
    np.testing.assert_array_equal(learns.draw_follows(later, jax.random.key(2)), drawn)


def test_an_agent_learns_nothing_from_a_step_in_which_another_deviated():
    deviated = jnp.array([True, False, False])
    np.testing.assert_array_equal(lockstep.as_conditioned(deviated), [1, 0, 0])
    np.testing.assert_array_equal(lockstep.as_conditioned(~deviated), [0, 0, 0])
    np.testing.assert_array_equal(lockstep.as_conditioned(jnp.array([True])), [1])


def test_what_an_agent_expects_does_not_depend_on_how_much_the_other_explores():
    """The first agent's values, where the second always deviates: those that it began with."""
    learns, state = LEARNER, fresh()
    transition = jax.tree.map(lambda leaf: leaf[:4], state.replay.ring)
    transition = dataclasses.replace(
        transition,
        action=transition.action.astype(jnp.int32),
        deviated=jnp.broadcast_to(jnp.array([False, True]), (4, 2)),
        agent_reward=jnp.ones((4, 2)),
    )

    @jax.jit
    def update(agent):
        return learns.agent.update(
            agent,
            Batch(transition, indices=jnp.arange(4), weight=jnp.ones(4)),
            observation=jax.vmap(learns.problem.observe)(transition.env_state),  # over B
            bits=jnp.zeros((4, 2, 1)),
            weight=jax.vmap(lockstep.as_conditioned)(transition.deviated),  # over B
            next_value=jnp.zeros((4, 2)),
        )

    _, loss, error = update(state.agent)
    # The second agent's error counts, the first one's does not; both are returned.
    assert loss == pytest.approx(np.mean(0.5 * np.asarray(error)[:, 1] ** 2) / 2, rel=1e-5)
    assert np.all(np.asarray(error) > 0.5)


def test_optimisers_count_by_the_loops_counter_whatever_a_state_says():
    def after(count):
        state = fresh()
        state = dataclasses.replace(
            state,
            agent=updates.with_count(state.agent, count),
            principal=updates.with_count(state.principal, count),
        )
        return iteration("prioritised")(SHARED, state, 7)[0]

    right, wrong = after(7), after(999)
    jax.tree.map(np.testing.assert_array_equal, right.agent, wrong.agent)
    jax.tree.map(np.testing.assert_array_equal, right.principal, wrong.principal)
    # Adam's counter and its step size's.
    for learned in (right.agent, right.principal):
        leaves = jax.tree.leaves(learned.optimizer_state)
        assert [leaf for leaf in leaves if leaf.dtype == jnp.int32] == [8, 8]
