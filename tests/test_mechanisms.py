"""What other mechanisms need for cooperation: by hand, and against brute force."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.environment import Tabulation
from jaxparl.envs import make
from jaxparl.equilibrium.mechanisms import (
    cooperation,
    externality,
    least_fine,
    least_share,
    reachable,
)

DILEMMAS = [
    # Defecting brings 5 instead of 3, and costs the other 3: 2 (1 - x) <= 3 x.
    ("prisoners_dilemma", 2 / 5, 2.0, 3.0),
    # Nobody gains by leaving the other with the stag.
    ("stag_hunt", 0.0, 0.0, 4.0),
    # Going straight brings 4 instead of 3, and costs the other 2: 1 - x <= 2 x.
    ("chicken", 1 / 3, 1.0, 2.0),
]
GAMES = [
    ("commons", {}),
    ("escape_room", {}),
    ("coin_game", {"grid_size": 2}),
]


def solve(name, **settings):
    env, env_params = make(name, **settings)
    if name == "coin_game":
        # Soon forgotten, so that the sums below are short.
        env_params = dataclasses.replace(env_params, discount=0.5)
    return env, env_params, jax.jit(partial(cooperation, env))(env_params)


@pytest.mark.parametrize("payoffs, share, fine, payment", DILEMMAS)
def test_textbook_dilemmas_have_the_numbers_that_they_have_by_hand(payoffs, share, fine, payment):
    _, _, found = solve("matrix_game", payoffs=payoffs)
    assert not found.action.any()  # both cooperate, whatever happened
    assert least_share(found) == pytest.approx(share, rel=1e-5)
    assert least_fine(found) == pytest.approx(fine, rel=1e-5)
    np.testing.assert_allclose(externality(found)[:, :, 0], payment, rtol=1e-5)
    np.testing.assert_allclose(externality(found)[:, :, 1], 0)


@pytest.mark.parametrize("name, settings", GAMES)
def test_cooperation_brings_most_and_its_values_are_those_of_a_long_play(name, settings):
    env, env_params, found = solve(name, **settings)
    game = jax.tree.map(np.asarray, Tabulation(env).joint_game(env_params))
    size, joint = game.action.shape[:2]
    value = np.zeros((size, env.num_agents))
    for _ in range(400):
        ahead = (game.successor_probs[..., None] * value[game.successor]).sum(axis=2)
        reward = game.agent_reward + game.discount * ahead  # [S, J, N]
        best = reward.sum(axis=-1)
        chosen = (best >= best.max(axis=1, keepdims=True) - 1e-4).argmax(axis=1)
        value = reward[np.arange(size), chosen]
    by_joint = {tuple(action): place for place, action in enumerate(game.action[0])}
    for state, agent in itertools.product(range(size), range(env.num_agents)):
        for action in range(env.num_actions):
            what = list(game.action[state, chosen[state]])
            what[agent] = action
            row = reward[state, by_joint[tuple(what)]]
            np.testing.assert_allclose(found.own[state, agent, action], row[agent], atol=2e-3)
            others = row.sum() - row[agent]
            np.testing.assert_allclose(found.others[state, agent, action], others, atol=2e-3)
    assert joint == env.num_actions**env.num_agents


@pytest.mark.parametrize("name, settings", [*GAMES, ("matrix_game", {})])
def test_they_are_the_least_at_which_nobody_gains_by_deviating(name, settings):
    """The rewards of each mechanism, with a little more and a little less of its number."""
    env, _, found = solve(name, **settings)
    num_agents = env.num_agents
    states = np.asarray(found.reachable)
    is_asked = jax.nn.one_hot(found.action, env.num_actions)

    def largest_gain(own):
        cooperates = jnp.take_along_axis(own, found.action[..., None], axis=-1)
        return float(jnp.max((own - cooperates)[states]))

    def exchanged(share):
        return (1 - share) * found.own + share / (num_agents - 1) * found.others

    def fined(fine):
        return found.own + fine * is_asked

    for least, of in ((least_share(found), exchanged), (least_fine(found), fined)):
        assert largest_gain(of(least)) <= 2e-4
        if least > 0.02:
            assert largest_gain(of(0.98 * least)) > 1e-3
    assert largest_gain(found.own + externality(found)) <= 2e-4


def test_states_that_no_play_leads_to_do_not_count():
    env, env_params, found = solve("coin_game", grid_size=2)
    states = env.exact.states()
    # The coin is never under an agent: whoever moves there takes it, and a new one appears.
    under = (states.agents == states.coin[:, None]).any(axis=1)
    assert not (np.asarray(found.reachable) & np.asarray(under)).any()
    np.testing.assert_array_equal(
        reachable(Tabulation(env).joint_game(env_params)), found.reachable
    )
