"""Games in which agents can also give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxparl import check_env
from jaxparl.environment import Tabulation
from jaxparl.envs import make
from jaxparl.equilibrium import joint_rules, solutions_of
from jaxparl.equilibrium.joint import play_on
from jaxparl.wrappers import with_gifts


def test_gifts_change_hands_and_nothing_else_changes():
    game, env_params = make("coin_game", grid_size=3, num_agents=3)
    env = with_gifts(game, size=0.25)
    key = jax.random.key(0)
    _, state = game.reset(key, env_params)
    rng = np.random.default_rng(0)
    for _ in range(20):
        own, gives = rng.integers(game.num_actions, size=3), rng.integers(2, size=3)
        plain = game.step(key, state, jnp.asarray(own), env_params)
        gifted = env.step(key, state, jnp.asarray(own + game.num_actions * gives), env_params)
        expected = plain[2] + 0.25 * ((gives.sum() - gives) / 2 - gives)
        np.testing.assert_allclose(gifted[2], expected, atol=1e-6)
        assert gifted[2].sum() == pytest.approx(float(plain[2].sum()), abs=1e-5)
        for mine, its in zip(*map(jax.tree.leaves, (gifted[1], plain[1])), strict=True):
            np.testing.assert_array_equal(mine, its)
        state = plain[1]


GAMES = [("matrix_game", {"payoffs": "prisoners_dilemma"}), ("commons", {})]


@pytest.mark.parametrize("name, settings", GAMES)
def test_whoever_reasons_gives_nothing(name, settings):
    game, env_params = make(name, **settings)
    env = with_gifts(game, size=0.5)

    @jax.jit
    def selfish():
        table = Tabulation(env).joint_game(env_params)
        found = play_on(table, joint_rules.selfish, num_actions=env.num_actions, discount=0.9)
        return jnp.take_along_axis(table.action, found.joint[:, None, None], axis=1)

    assert (selfish() < game.num_actions).all()


@pytest.mark.parametrize("name, settings", GAMES)
def test_the_best_response_to_givers_is_that_of_the_game_and_what_they_give(name, settings):
    game, env_params = make(name, **settings)
    plain, gifted = solutions_of(game), solutions_of(with_gifts(game, size=0.5))
    rng = np.random.default_rng(0)
    actions = rng.integers(game.num_actions, size=(plain.num_states, game.num_agents))
    unpaid = np.zeros((*actions.shape, game.num_actions))
    expected = plain.best_responses(env_params, jnp.asarray(actions), unpaid)
    unpaid = np.zeros((*actions.shape, 2 * game.num_actions))
    found = gifted.best_responses(env_params, jnp.asarray(actions + game.num_actions), unpaid)
    received = 0.5 / (1 - env_params.discount)  # by each in every step, for ever
    np.testing.assert_allclose(found, expected + received, rtol=1e-4)


def test_an_episode_is_shown_as_in_the_game_and_says_who_gives():
    game, env_params = make("matrix_game", payoffs="stag_hunt")
    env = with_gifts(game, size=0.5)
    assert env.action_labels == ("stag", "hare", "stag + gift", "hare + gift")
    _, state = env.reset(jax.random.key(0), env_params)
    shown = []
    for one in (game, env):
        assert one.can_draw
        axes = Figure().subplots()
        one.draw(axes, state)
        shown.append([text.get_text() for text in axes.texts])
    assert shown[0] == shown[1] != []


def test_it_keeps_all_promises_of_a_game():
    assert check_env(with_gifts(make("matrix_game")[0], size=0.5)) == []


def test_equal_games_with_equal_gifts_are_equal():
    game, other = make("matrix_game")[0], make("matrix_game")[0]
    assert with_gifts(game, 0.5) == with_gifts(other, 0.5) != with_gifts(game, 0.25)
    assert hash(with_gifts(game, 0.5)) == hash(with_gifts(other, 0.5))


@pytest.mark.parametrize(
    "game, size, complaint",
    [
        (make("game_tree"), 0.5, "gifts need several agents, and .* has one"),
        (make("commons", hidden=True), 0.5, "gifts need observed actions, and .* hides them"),
        (make("matrix_game"), 0.0, "the size of a gift must be > 0, not 0.0"),
    ],
)
def test_games_without_anybody_to_give_to_or_without_seen_gifts_are_refused(game, size, complaint):
    with pytest.raises(ValueError, match=complaint):
        with_gifts(game[0], size)
