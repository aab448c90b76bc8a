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
from jaxparl.envs.coin_game import CoinGame, Settings
from jaxparl.envs.escape_room import EscapeRoom
from jaxparl.equilibrium import JointSolutions
from jaxparl.equilibrium.mechanisms import cooperation, least_fine, least_share, reachable
from jaxparl.types import JointGame

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


@pytest.mark.parametrize("payoffs, share, fine, tax", DILEMMAS)
def test_textbook_dilemmas_have_the_numbers_that_they_have_by_hand(payoffs, share, fine, tax):
    _, _, found = solve("matrix_game", payoffs=payoffs)
    assert not found.action.any()  # both cooperate, whatever happened
    assert least_share(found) == pytest.approx(share, rel=1e-5)
    assert least_fine(found) == pytest.approx(fine, rel=1e-5)
    np.testing.assert_array_equal(found.harm[:, :, 0], 0)  # who cooperates pays nothing
    np.testing.assert_allclose(found.harm[:, :, 1], tax, rtol=1e-5)


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
    """The rewards of each mechanism, with its number, and with a little less."""
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


class EndlessRoom(EscapeRoom):
    has_horizon = False


ENDLESS = [
    ("commons", {}),
    ("escape_room", {"num_agents": 3, "num_pullers": 2}),
    ("matrix_game", {"payoffs": "prisoners_dilemma"}),
    ("matrix_game", {"payoffs": "chicken"}),
]


@pytest.mark.parametrize(
    "mechanism, name, settings",
    [
        *(("fine", *game) for game in ENDLESS),
        *(("tax", *game) for game in [*ENDLESS, ("commons", {"hidden": True})]),
    ],
)
def test_cooperating_is_a_best_response_to_cooperation_under_a_tax_and_under_a_fine(
    mechanism, name, settings
):
    """By dynamic programming over all that an agent may do, later charges included."""
    env, env_params = make(name, **settings)
    if name == "escape_room":
        env = EndlessRoom(env.settings)
    found = jax.jit(partial(cooperation, env))(env_params)
    deviates = 1 - jax.nn.one_hot(found.action, env.num_actions)
    charges = found.harm if mechanism == "tax" else least_fine(found) * deviates
    exact, nothing = JointSolutions(Tabulation(env)), jnp.zeros(found.action.shape)
    followed = exact.play_values(env_params, found.action, nothing).utilities
    unpaid = exact.best_responses(env_params, found.action, 0 * charges)
    best = exact.best_responses(env_params, found.action, -charges)
    assert (unpaid > followed + 0.1).any()
    np.testing.assert_allclose(best, followed, rtol=1e-5)


def test_a_nudge_on_top_of_the_least_share_is_what_a_deviation_then_loses():
    _, _, found = solve("matrix_game", payoffs="prisoners_dilemma")
    share = least_share(found, nudge=0.5)
    # Defecting brings 2 more, and costs the other 3.
    assert 2 * (1 - share) - 3 * share == pytest.approx(-0.5, abs=1e-5)


# --- States ---------------------------------------------------------------------------------------


def places_after(env, env_params, state, action):
    """`[K]`, the places of the states that may follow; -1 for what has no chance, or is the end."""
    found = env.transitions(state, action, action, env_params)
    goes_on = (found.probs > 0) & ~found.terminated
    return jnp.where(goes_on, jax.vmap(env.state_index)(found.state), -1)


def by_search(env, env_params):
    """The states that steps lead to, from those that episodes start in, whatever agents do."""
    joint = jnp.array(list(itertools.product(range(env.num_actions), repeat=env.num_agents)))
    after = partial(places_after, env, env_params)
    after = jax.jit(jax.vmap(jax.vmap(after, (None, 0)), (0, None)))  # over S and J
    start = np.asarray(env.start_probs(env_params))
    follows = np.asarray(after(env.tabular_states(), joint)).reshape(len(start), -1)
    known, new = set(), set(np.flatnonzero(start).tolist())
    while new:
        known |= new
        new = {int(place) for state in new for place in follows[state]} - known - {-1}
    return np.isin(np.arange(len(start)), sorted(known))


@pytest.mark.parametrize(
    "name, settings",
    [
        ("coin_game", {"grid_size": 2}),
        ("coin_game", {"grid_size": 2, "num_agents": 3, "view": "centred"}),
        ("escape_room", {}),
    ],
)
def test_the_states_that_can_be_reached_are_those_of_a_search(name, settings):
    env, env_params = make(name, **settings)
    found = np.asarray(reachable(Tabulation(env).joint_game(env_params)))
    np.testing.assert_array_equal(found, by_search(env, env_params))
    assert not found.all()


def test_of_the_coin_game_all_is_reached_but_a_coin_under_an_agent():
    env, _, found = solve("coin_game", grid_size=2)
    states = env.exact.states()
    under = (states.agents == states.coin[:, None]).any(axis=1)
    np.testing.assert_array_equal(found.reachable, ~under)


def test_outcomes_that_no_action_has_lead_nowhere():
    """One agent; its three outcomes lead to the states of their numbers, but the last never is."""
    game = JointGame(
        action=jnp.broadcast_to(jnp.arange(2)[:, None], (4, 2, 1)),
        agent_reward=jnp.zeros((4, 2, 1)),
        outcome_probs=jnp.broadcast_to(jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]), (4, 1, 2, 3)),
        outcome=jnp.arange(3)[:, None],
        principal_reward=jnp.zeros((4, 3)),
        successor=jnp.broadcast_to(jnp.arange(3)[:, None], (4, 3, 1)),
        successor_probs=jnp.ones((4, 3, 1)),
        start_probs=jnp.array([0.0, 0.0, 0.0, 1.0]),
        discount=jnp.float32(0.9),
    )
    assert reachable(game).tolist() == [True, True, False, True]


@pytest.mark.parametrize("view", ["board", "centred"])
@pytest.mark.parametrize("num_agents", [2, 3])
def test_a_state_of_the_coin_game_is_where_it_is_listed_in_both_views(num_agents, view):
    env = CoinGame(Settings(grid_size=2, num_agents=num_agents, view=view))
    states = env.tabular_states()
    index = jax.jit(jax.vmap(env.state_index))(states)
    np.testing.assert_array_equal(index, np.arange(len(states.colour)))
    # Three agents are listed with the first on one cell, where they see the board from there.
    cells = 1 if (num_agents, view) == (3, "centred") else 4
    assert len(index) == cells * 4**num_agents * num_agents


def test_cooperation_does_not_depend_on_the_view():
    found = [solve("coin_game", grid_size=3, view=view)[2] for view in ("board", "centred")]
    jax.tree.map(np.testing.assert_array_equal, *found)
    assert least_share(found[0]) > 0.1


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "game, changes, complaint",
    [
        (make("game_tree", depth=2), {}, "cooperation needs several agents, and .* has one"),
        (make("cleanup"), {}, "cooperation needs a table, and .* has no tabular_states"),
        (make("commons"), {"discount": 1.0}, "cooperation needs a discount below 1, and that of"),
    ],
)
def test_games_without_its_numbers_are_refused(game, changes, complaint):
    env, env_params = game
    with pytest.raises(ValueError, match=complaint):
        cooperation(env, env_params.replace(**changes))
