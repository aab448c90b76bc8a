"""Episodes that are recorded or played: what is paid in them, and where they end."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from untrained import noise

from jaxparl import evaluation
from jaxparl.config import Config
from jaxparl.envs import game_tree, make
from jaxparl.evaluation import rollouts
from jaxparl.evaluation.offers import learned_offers
from jaxparl.evaluation.rollouts import all_follow, play_back
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Losses, target_weights

CONFIG = Config(hidden_sizes=(8,), replay_capacity=800)


class EndlessTree(game_tree.GameTree):
    """A tree of which nobody says how it is solved, and which goes on at its leaves for ever."""

    exact = None

    def resolve(self, key, state, action, outcome, params):
        return (
            super()
            .resolve(key, state, action, outcome, params)
            .replace(terminated=jnp.array(0) > 1)
        )


def learner_of(env, env_params):
    return make_learner(Problem(CONFIG, env, env_params, CONFIG.hyper_params))


def test_a_recorded_episode_pays_for_outcomes_and_stops_where_the_game_ends():
    env, _ = make("game_tree", depth=4)
    env_params = env.sample_params(jax.random.key(3))
    learns = learner_of(env, env_params)
    weights = target_weights(noise(learns, jax.random.key(0)))
    offered = jax.jit(partial(learned_offers, learns))(weights)
    surprised = False
    for seed in range(4):
        steps = play_back(learns.problem, all_follow(learns, weights), jax.random.key(seed), 60)
        node = steps.env_state.node
        assert len(node) == 4
        np.testing.assert_array_equal(steps.env_state.time, np.arange(4))
        outcome = node[1:] - 2 * node[:-1] - 1
        paid = np.asarray(offered.contract.payments)[node[:-1], 0, outcome]
        np.testing.assert_allclose(steps.payment[:-1, 0], paid, rtol=1e-5)
        asked = np.asarray(offered.contract.payments)[node[:-1], 0, steps.recommendation[:-1, 0]]
        surprised |= bool((asked != paid).any())
    assert surprised, "or payments for actions would have passed"


def test_an_episode_that_does_not_end_is_given_up_and_worth_nothing_that_is_known(monkeypatch):
    monkeypatch.setattr(rollouts, "LONGEST_EPISODE", 10)
    env = EndlessTree(game_tree.Settings(depth=2))

    def metrics(env_params):
        learns = learner_of(env, env_params)
        state = noise(learns, jax.random.key(0))
        return evaluation.evaluate(learns, (), state, Losses(*jnp.zeros(3)))

    endless = metrics(env.default_params)
    assert all(
        np.isnan(value) for value in (endless.welfare, endless.payment, endless.principal_utility)
    )
    limited = metrics(env.default_params.replace(max_steps_in_episode=10))
    assert np.isfinite(limited.welfare) and np.isfinite(limited.principal_utility)
