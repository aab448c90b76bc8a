"""Exploration: how often agents explore, and for how long."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.config import Config, HyperParams
from jaxparl.envs import make
from jaxparl.learning import acting
from jaxparl.learning.acting import ActorState
from jaxparl.learning.problem import Problem

COUNT = 20_000


def explored(exploration: str, starts: bool, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """What is done and who explores, of 20,000 that want action 1 and did not explore so far."""
    env, env_params = make("game_tree", depth=2)
    hyper_params = HyperParams(epsilon=epsilon, epsilon_final=epsilon)
    problem = Problem(Config(exploration=exploration), env, env_params, hyper_params)
    actor = ActorState((), jnp.full(COUNT, starts), explores=jnp.zeros((COUNT, 1), bool))
    wanted = jnp.ones((COUNT, 1), jnp.int32)
    action, explores = acting.explore(problem, actor, wanted, jax.random.key(1), 0)
    return np.asarray(action), np.asarray(explores)


@pytest.mark.parametrize("exploration", ["per_step", "per_episode"])
def test_exploration_begins_as_often_as_epsilon_says(exploration):
    for epsilon in (0.0, 0.3, 1.0):
        action, explores = explored(exploration, True, epsilon)
        assert np.mean(explores) == pytest.approx(epsilon, abs=0.01)
        # Half of the random actions are the wanted one.
        assert np.mean(action == 0) == pytest.approx(epsilon / 2, abs=0.01)
        assert np.all(action[~explores] == 1)


def test_within_an_episode_only_exploration_per_step_is_drawn_anew():
    assert not explored("per_episode", False, 1.0)[1].any()
    assert explored("per_step", False, 1.0)[1].all()


def test_epsilon_falls_linearly_to_its_final_value():
    env, env_params = make("game_tree", depth=2)
    hyper_params = HyperParams(epsilon=0.8, epsilon_final=0.2)
    config = Config(iterations=400, exploration="per_step")
    problem = Problem(config, env, env_params, hyper_params)
    actor = ActorState((), jnp.ones(COUNT, bool), explores=jnp.zeros((COUNT, 1), bool))
    wanted = jnp.ones((COUNT, 1), jnp.int32)
    for iteration, epsilon in ((0, 0.8), (100, 0.65), (400, 0.2)):
        _, explores = acting.explore(problem, actor, wanted, jax.random.key(1), iteration)
        assert np.mean(explores) == pytest.approx(epsilon, abs=0.01)
