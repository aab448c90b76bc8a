"""Games in which agents can also give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl import check_env
from jaxparl.envs import make
from jaxparl.equilibrium import solutions_of
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


def test_whoever_reasons_gives_nothing():
    game, env_params = make("matrix_game", payoffs="prisoners_dilemma")
    env = with_gifts(game, size=0.5)
    plain, gifted = solutions_of(game), solutions_of(env)
    for found, wanted in (
        (gifted.optimal_welfare(env_params), plain.optimal_welfare(env_params)),
        (gifted.selfish_play(env_params).welfare, plain.selfish_play(env_params).welfare),
    ):
        assert found == pytest.approx(float(wanted), rel=1e-5)


def test_it_keeps_all_promises_of_a_game():
    assert check_env(with_gifts(make("matrix_game")[0], size=0.5)) == []


def test_equal_games_with_equal_gifts_are_equal():
    game, other = make("matrix_game")[0], make("matrix_game")[0]
    assert with_gifts(game, 0.5) == with_gifts(other, 0.5) != with_gifts(game, 0.25)
    assert hash(with_gifts(game, 0.5)) == hash(with_gifts(other, 0.5))


@pytest.mark.parametrize(
    "game, size, complaint",
    [
        ("game_tree", 0.5, "gifts need several agents, and .* has one"),
        ("matrix_game", 0.0, "the size of a gift must be > 0, not 0.0"),
    ],
)
def test_games_without_anybody_to_give_to_are_refused(game, size, complaint):
    with pytest.raises(ValueError, match=complaint):
        with_gifts(make(game)[0], size)
