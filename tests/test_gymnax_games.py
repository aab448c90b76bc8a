"""Games of gymnax as principal-agent environments: the same games, with somebody who pays."""

from __future__ import annotations

import dataclasses

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.bsuite.catch import Catch

import jaxparl
from jaxparl.envs.registry.presets import quick_preset
from jaxparl.wrappers import from_gymnax

STEPS = 40


def play(step, key, state, actions):
    """Steps `[T]`, by whichever of the two games."""

    def once(state, now):
        after = step(now[0], state, now[1])
        return after[1], after

    return jax.lax.scan(once, state, (jax.random.split(key, STEPS), actions))[1]


@pytest.mark.parametrize("name", ["Catch-bsuite", "CartPole-v1", "FrozenLake-v1"])
def test_states_and_rewards_are_those_of_the_game_through_the_ends_of_episodes(name):
    game, inner = gymnax.make(name) if name != "FrozenLake-v1" else frozen_lake()
    env = from_gymnax(game, inner)
    key_reset, key_steps = jax.random.split(jax.random.key(3))
    actions = jax.random.randint(jax.random.key(4), (STEPS,), 0, env.num_actions)
    seen, first = game.reset(key_reset, inner)
    own_seen, own_first = env.reset(key_reset, env.default_params)
    np.testing.assert_array_equal(own_seen[0], seen)
    first = jax.tree.map(lambda leaf, form: jnp.asarray(leaf, form.dtype), first, own_first.game)
    theirs = play(lambda *now: game.step(*now, inner), key_steps, first, actions)
    ours = play(env.step, key_steps, own_first, actions[:, None])
    assert np.sum(theirs[3]) >= 1
    np.testing.assert_array_equal(ours[0][:, 0], theirs[0])
    jax.tree.map(np.testing.assert_array_equal, ours[1].game, theirs[1])
    np.testing.assert_array_equal(ours[5]["principal_reward"][:, 0], theirs[2])
    np.testing.assert_array_equal(ours[3], theirs[3])


def frozen_lake():
    """A game whose first state holds Python's numbers, and which observes one number."""
    from gymnax.environments.misc.frozen_lake import FrozenLake

    game = FrozenLake()
    return game, game.default_params


def test_the_agent_bears_the_cost_of_what_it_meant_and_the_principal_has_what_happened():
    env = from_gymnax("Catch-bsuite", slip=0.3, cost=0.25, idle=1)
    params = env.default_params
    assert not env.observed_actions
    probs = env.outcome_probs(None, params)
    np.testing.assert_allclose(probs[0], 0.7 * np.eye(3) + 0.1, rtol=1e-6)
    state = env.initial_state(jax.random.key(0), params)
    for meant, happened, reward in ((0, 2, -0.25), (1, 0, 0.0), (2, 1, -0.25)):
        done = env.resolve(
            jax.random.key(1), state, jnp.array([meant]), jnp.array([happened]), params
        )
        assert done.state.game.paddle_x == state.game.paddle_x + happened - 1
        np.testing.assert_allclose(done.agent_reward, [reward])


def test_what_the_game_is_made_of_is_traced():
    env = from_gymnax("CartPole-v1")
    params = env.default_params
    state = env.initial_state(jax.random.key(0), params)

    def step(gravity, limit):
        inner = dataclasses.replace(params.game, gravity=gravity)
        own = params.replace(game=inner, max_steps_in_episode=limit)
        return env.step(jax.random.key(1), state, jnp.array([1]), own)

    after = jax.vmap(step)(jnp.array([9.8, 20.0]), jnp.array([500, 1]))
    moved = after[5]["next_state"].game.theta_dot
    assert moved[0] != moved[1]
    np.testing.assert_array_equal(after[4], [False, True])  # the time limit is ours


def test_games_are_equal_that_are_made_of_the_same():
    one, same = (from_gymnax(Catch(rows=6), idle=1) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    inner = Catch().default_params.replace(max_steps_in_episode=7)
    others = [
        from_gymnax(Catch(rows=7), idle=1),
        from_gymnax(Catch(rows=6)),
        from_gymnax(Catch(rows=6), idle=1, slip=0.1),
        from_gymnax(Catch(rows=6), inner, idle=1),
        from_gymnax("CartPole-v1"),
    ]
    assert one not in others
    assert len({one, same, *others}) == 6


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Catch-bsuite", {}),
        ("CartPole-v1", {"slip": 0.1, "max_steps_in_episode": 40}),
        ("Breakout-MinAtar", {}),
    ],
)
def test_nothing_is_wrong_with_them(name, options):
    assert jaxparl.check_env(from_gymnax(name, **options)) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Pendulum-v1", {}, "Pendulum-v1: its actions must be Discrete, not Box"),
        ("UmbrellaChain-bsuite", {}, "must be a function of its state and params alone"),
        ("Catch-bsuite", {"idle": 3}, "Catch-bsuite: idle must be one of its actions, 0 to 2"),
        ("Catch-bsuite", {"slip": 1.0}, "slip must be at least 0 and below 1, not 1.0"),
        ("Catch-bsuite", {"cost": float("nan")}, "cost must be a number, not nan"),
        ("Catch-bsuite", {"max_steps_in_episode": 0}, "max_steps_in_episode must be at least 1"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(name, options, message):
    with pytest.raises(ValueError, match=message) as error:
        from_gymnax(name, **options)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_principal_learns_what_the_actions_of_an_agent_cost():
    env = from_gymnax(Catch(rows=3, columns=3), idle=1, cost=0.2, slip=0.1)
    config = dataclasses.replace(
        quick_preset(env, None).config,
        iterations=800,
        evaluation_interval=400,
        target_interval=50,
        replay_capacity=16_000,
        hidden_sizes=(32,),
    )
    train = jax.jit(jaxparl.make_train(config, env, env.default_params))
    metrics = train(jax.random.key(0)).metrics
    assert np.all(metrics.episodes == 80)
    # Without the agent's help the ball, which falls for two steps, is caught in a third of all
    # games; with it, in nearly all, for little more than the cost of one step.
    assert metrics.principal_utility[-1] > 0.4
    assert 0.05 < metrics.payment[-1] < 0.4
