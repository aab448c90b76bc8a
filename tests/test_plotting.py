"""What the figure shows."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageSequence

from jaxparl import play, plotting
from jaxparl.envs import make
from jaxparl.runs import grid


def test_every_game_has_a_curve_a_band_and_its_exact_optimum(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(plt, "close", closed.append)
    runs = grid([0, 1, 2], [0, 1])
    curve = np.linspace(0, 1, 6 * 4).reshape(6, 4)
    curves = {
        "principal_utility": curve,
        "equilibrium_principal_utility": np.repeat([[2.0], [3.0], [4.0]], 2, axis=0) + 0 * curve,
        "recommendation_accuracy": curve,
    }
    path = tmp_path / "figure.png"
    groups = [f"tree {run.game}" for run in runs]
    plotting.learning_curves(path, groups, np.array([1, 2, 3, 4]), curves)
    assert path.read_bytes().startswith(b"\x89PNG")
    utility, accuracy = closed[0].axes
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


def test_a_recorded_episode_is_one_of_the_game_and_a_frame_per_step(tmp_path):
    env, params = make("coin_game", grid_size=2, max_steps_in_episode=5)

    def decide(game):
        # The first agent is asked to go right, and does; the second goes left instead, unpaid.
        return jnp.array([0, 2]), jnp.array([0, 1]), jnp.array([0.25, 0.0])

    turns = play.record_episode(env, params, decide, jax.random.key(0), 5)
    assert turns.reward.shape == (5, 2)
    np.testing.assert_array_equal(turns.game.time, np.arange(5))
    right, left = (env.moved(turns.game.agents[:-1, agent], agent) for agent in (0, 1))
    np.testing.assert_array_equal(turns.game.agents[1:], np.stack([right, left], axis=1))

    path = tmp_path / "episode.gif"
    plotting.episode(path, env, turns)
    with Image.open(path) as picture:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(picture)]
    assert len(frames) == 5
    assert all((one != other).any() for one, other in itertools.pairwise(frames))
