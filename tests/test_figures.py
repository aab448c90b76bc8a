"""What the figures show."""

from __future__ import annotations

import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageSequence

from jaxparl.config import Config, HyperParams
from jaxparl.envs import make
from jaxparl.evaluation.rollouts import record_episode
from jaxparl.experiment import figures
from jaxparl.experiment.results import StageResult
from jaxparl.learning.problem import Problem
from jaxparl.training.runs import grid


def test_every_game_has_a_curve_a_band_and_its_exact_optimum(tmp_path):
    runs = grid([0, 1, 2], [0, 1])
    curve = np.linspace(0, 1, 6 * 4).reshape(6, 4)
    curves = {
        "principal_utility": curve,
        "equilibrium_principal_utility": np.repeat([[2.0], [3.0], [4.0]], 2, axis=0) + 0 * curve,
        "recommendation_accuracy": curve,
    }
    result = StageResult(runs, np.array([1, 2, 3, 4]), curves, {}, [])
    path = tmp_path / "figure.png"
    groups = [f"tree {run.game_id}" for run in runs]
    figure = figures.learning_curves(path, groups, result)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert plt.get_fignums() == [], "a figure that pyplot knows of is never freed"
    utility, accuracy = figure.axes
    dashed = [
        line for line in utility.lines if line.get_linestyle() == "--" and len(line.get_xdata())
    ]
    assert [line.get_ydata()[0] for line in dashed] == [2.0, 3.0, 4.0]
    solid = [line for line in utility.lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(solid[1].get_ydata(), curve[2:4].mean(axis=0))
    assert len({line.get_color() for line in solid}) == 3
    assert len(utility.collections) == 3
    dashed = [line for line in accuracy.lines if line.get_linestyle() == "--"]
    assert [len(line.get_xdata()) for line in dashed] == [0]  # the legend's
    labels = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert labels == ["tree 0", "tree 1", "tree 2", "exact"]


def test_shares_are_drawn_in_percent_and_utilities_are_not(tmp_path):
    curves = {name: np.full((1, 2), 0.5) for name in ("principal_utility", "payment_share")}
    result = StageResult(grid([0], [0]), np.array([1, 2]), curves, {}, [])
    figure = figures.learning_curves(tmp_path / "figure.png", ["tree 0"], result)
    formats = [axis.yaxis.get_major_formatter()(0.5) for axis in figure.axes]
    assert ["%" in text for text in formats] == [False, True]


def test_a_recorded_episode_is_one_of_the_game_and_a_frame_per_step(tmp_path):
    env, params = make("coin_game", grid_size=2, max_steps_in_episode=5)

    def decide(env_state):
        # The first agent is asked to go right, and does; the second goes left instead, unpaid.
        payments = jnp.array([[0.25, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0]])
        return jnp.array([0, 2]), jnp.array([0, 1]), payments

    problem = Problem(Config(), env, params, HyperParams())
    steps = record_episode(problem, decide, jax.random.key(0), 5)
    assert steps.reward.shape == (5, 2)
    np.testing.assert_array_equal(steps.payment, [[0.25, 0.0]] * 5)
    np.testing.assert_array_equal(steps.env_state.time, np.arange(5))
    right, left = (env.torus.move(steps.env_state.agents[:-1, agent], agent) for agent in (0, 1))
    np.testing.assert_array_equal(steps.env_state.agents[1:], np.stack([right, left], axis=1))

    path = tmp_path / "episode.gif"
    figures.episode(path, env, steps)
    with Image.open(path) as picture:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(picture)]
    assert len(frames) == 5
    assert all((one != other).any() for one, other in itertools.pairwise(frames))


def test_importing_what_draws_and_writes_leaves_other_settings_as_they_were():
    script = (
        "import matplotlib\n"
        "matplotlib.rcParams['backend'] = 'svg'\n"
        "from jaxparl.experiment import figures\n"
        "assert matplotlib.rcParams['backend'] == 'svg'\n"
        "import logging\n"
        "level = logging.getLogger('absl').level\n"
        "from jaxparl.experiment import checkpoint\n"
        "assert logging.getLogger('absl').level == level\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
