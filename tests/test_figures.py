"""What the figures show."""

from __future__ import annotations

import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image, ImageSequence

from jaxparl.config import Config, HyperParams
from jaxparl.envs import make
from jaxparl.evaluation.rollouts import record_episode
from jaxparl.experiment import animation, figures
from jaxparl.experiment.results import StageResult, diverged
from jaxparl.experiment.statistics import group_runs
from jaxparl.learning.problem import Problem
from jaxparl.training.runs import ValidationRun, grid


def drawn(path, runs, curves, label="tree"):
    """The figure of these runs, whose losses say which of them have diverged."""
    num_evaluations = next(iter(curves.values())).shape[1]
    curves.setdefault("agent_loss", np.ones((len(runs), num_evaluations)))
    result = StageResult(runs, np.arange(1, num_evaluations + 1), curves, {}, [])
    groups = group_runs(runs, diverged(curves), label)
    figure = figures.learning_curves(path / "figure.png", groups, result)
    assert (path / "figure.png").read_bytes().startswith(b"\x89PNG")
    return figure


def lines(axis, width):
    """The curves of a panel that are so wide, in the order of their groups."""
    return [line for line in axis.lines if line.get_linewidth() == width]


THICK, THIN, EXACT = 1.6, 0.6, 1.0


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_of_few_seeds_every_run_is_a_thin_line_and_their_mean_a_thick_one(tmp_path):
    runs = grid([0, 1, 2], [0, 1])
    curve = np.random.default_rng(0).random((6, 4))
    curves = {
        "principal_utility": curve,
        "equilibrium_principal_utility": np.repeat([[2.0], [3.0], [4.0]], 2, axis=0) + 0 * curve,
        "recommendation_accuracy": curve,
    }
    figure = drawn(tmp_path, runs, curves)
    assert plt.get_fignums() == [], "a figure that pyplot knows of is never freed"
    utility, accuracy = figure.axes
    assert [line.get_ydata()[0] for line in lines(utility, EXACT)] == [2.0, 3.0, 4.0]
    assert lines(accuracy, EXACT) == []
    thick = lines(utility, THICK)
    np.testing.assert_allclose(thick[1].get_ydata(), curve[2:4].mean(axis=0))
    assert len({line.get_color() for line in thick}) == 3
    np.testing.assert_allclose([line.get_ydata() for line in lines(utility, THIN)], curve)
    assert len(utility.collections) == 0, "a band of two runs says nothing"
    assert legend(figure) == ["tree 0 (2 seeds)", "tree 1 (2 seeds)", "tree 2 (2 seeds)", "exact"]


@pytest.mark.parametrize("seeds", [5, 20])
def test_from_five_seeds_on_there_is_a_band_that_stays_inside_of_the_runs(seeds, tmp_path):
    curve = np.random.default_rng(0).random((seeds, 4))
    (axis,) = drawn(tmp_path, grid([0], range(seeds)), {"welfare": curve}).axes
    (band,) = axis.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert curve.min() <= heights.min() < heights.max() <= curve.max()
    assert lines(axis, THIN) == []


def test_a_run_that_has_diverged_leaves_the_mean_and_the_exact_line_alone(tmp_path):
    curve = np.arange(12.0).reshape(3, 4)
    exact = np.full((3, 4), 9.0)
    loss = np.ones((3, 4))
    for values in (curve, exact, loss):
        values[1, 2:] = np.nan
    curves = {
        "principal_utility": curve,
        "equilibrium_principal_utility": exact,
        "agent_loss": loss,
    }
    figure = drawn(tmp_path, grid([0], [0, 1, 2]), curves)
    (axis,) = figure.axes
    (thick,) = lines(axis, THICK)
    np.testing.assert_array_equal(thick.get_ydata(), curve[[0, 2]].mean(axis=0))
    assert [line.get_ydata()[0] for line in lines(axis, EXACT)] == [9.0]
    (cross,) = [line for line in axis.lines if line.get_marker() == "x"]
    assert (cross.get_xdata().tolist(), cross.get_ydata().tolist()) == ([2], [5.0])
    assert legend(figure)[0] == "tree 0 (2 of 3 seeds, 1 diverged)"


def test_a_run_that_diverged_before_its_first_evaluation_has_its_cross_in_the_corner(tmp_path):
    curve, loss = np.full((4, 3), 7.0), np.ones((4, 3))
    for run in (1, 2, 3):
        curve[run] = loss[run] = np.nan
    curves = {"welfare": curve, "agent_loss": loss}
    (axis,) = drawn(tmp_path, grid([0, 1], [0, 1]), curves).axes
    thick = lines(axis, THICK)
    assert [line.get_ydata().tolist() for line in thick] == [[7.0] * 3]
    axis.figure.draw_without_rendering()
    corner = axis.transAxes.transform((0, 0))
    crosses = [
        cross.get_offset_transform().transform(cross.get_offsets()) for cross in axis.collections
    ]
    np.testing.assert_allclose(np.concatenate(crosses), [corner] * 3)
    colours = [cross.get_edgecolor()[0] for cross in axis.collections]
    assert to_hex(colours[0]) == to_hex(thick[0].get_color()) != to_hex(colours[1])
    assert axis.get_ylim()[0] == 0, "a cross is no value"


def test_a_metric_that_a_group_does_not_have_has_no_crosses(tmp_path):
    curves = {"welfare": np.ones((2, 2)), "payment_share": np.full((2, 2), np.nan)}
    curves["agent_loss"] = np.array([[1.0, 1.0], [1.0, np.nan]])
    curves["welfare"][1, 1] = np.nan
    welfare, share = drawn(tmp_path, grid([0], [0, 1]), curves).axes
    assert [bool(axis.lines) for axis in (welfare, share)] == [True, False]
    assert not share.collections


def test_a_group_of_which_all_have_diverged_is_in_the_legend(tmp_path):
    loss = np.ones((4, 2))
    loss[:2, 1] = np.nan
    figure = drawn(tmp_path, grid([0, 1], [0, 1]), {"welfare": np.ones((4, 2)), "agent_loss": loss})
    assert legend(figure) == ["tree 0 (0 of 2 seeds, 2 diverged)", "tree 1 (2 seeds)"]


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_estimates_are_marked_and_those_of_few_seeds_have_a_band_of_their_own(seeds, tmp_path):
    values = np.repeat(np.linspace(1.0, 2.0, seeds)[:, None], 4, axis=1)
    curves = {"welfare": values, "welfare_se": np.full((seeds, 4), 0.5)}
    figure = drawn(tmp_path, grid([0], range(seeds)), curves)
    (axis,) = figure.axes
    assert axis.get_title(loc="left") == "≈ Social welfare"
    (band,) = axis.collections
    heights = band.get_paths()[0].vertices[:, 1]
    if seeds < 5:
        half = 1.96 * 0.5 / np.sqrt(seeds)
        mean = values.mean()
        np.testing.assert_allclose((heights.min(), heights.max()), (mean - half, mean + half))
    else:
        assert 1.0 <= heights.min() < heights.max() <= 2.0
    title = figure.legends[0].get_title().get_text()
    assert "≈: estimated by episodes" in title
    assert ("95% interval over them" in title) == (seeds < 5)


def test_a_single_estimate_has_whiskers(tmp_path):
    curves = {"welfare": np.array([[2.0]]), "welfare_se": np.array([[0.5]])}
    (axis,) = drawn(tmp_path, grid([0], [0]), curves).axes
    ends = np.array([bar.get_segments()[0][:, 1] for bar in axis.collections[:1]])
    np.testing.assert_allclose(ends, [[2.0 - 0.98, 2.0 + 0.98]])


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_a_single_evaluation_is_drawn_as_points(seeds, tmp_path):
    (axis,) = drawn(tmp_path, grid([0], range(seeds)), {"welfare": np.ones((seeds, 1))}).axes
    (point,) = lines(axis, THICK)
    assert point.get_marker() == "o"
    low, high = axis.get_xlim()
    assert low < point.get_xdata()[0] < high


def test_many_groups_are_told_apart_and_their_legend_covers_no_curve(tmp_path):
    figure = drawn(
        tmp_path, grid(range(12), [0]), {"welfare": np.random.default_rng(0).random((12, 3))}
    )
    (axis,) = figure.axes
    looks = {(line.get_color(), line.get_linestyle()) for line in lines(axis, THICK)}
    assert len(looks) == 12
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert not box.overlaps(axis.get_window_extent())


def test_a_scheme_has_the_same_colour_in_every_setting_and_a_setting_one_kind_of_line(tmp_path):
    settings = grid([0, 1], [0], {"nudge": [0.0, 0.5]})
    runs = [ValidationRun(scheme, run) for scheme in ("learned", "selfish") for run in settings]
    curves = {"welfare": np.ones((8, 2)), "optimal_welfare": np.arange(16.0).reshape(8, 2)}
    (axis,) = drawn(tmp_path, runs, curves).axes
    thick = lines(axis, THICK)
    colours = [line.get_color() for line in thick]
    assert len(set(colours[:4])) == len(set(colours[4:])) == 1
    kinds = [str(line._unscaled_dash_pattern) for line in thick]
    assert kinds[:4] == kinds[4:] and len(set(kinds)) == 4
    assert {line.get_color() for line in lines(axis, EXACT)}.isdisjoint(colours)


def test_large_values_take_no_room_from_their_panels(tmp_path):
    def widths(size):
        curves = {name: np.full((1, 2), size) for name in ("welfare", "payment_share")}
        figure = drawn(tmp_path, grid([0], [0]), curves)
        return [axis.get_window_extent().width for axis in figure.axes]

    np.testing.assert_allclose(widths(1.7e17), widths(0.5), rtol=0.1)


def test_values_below_zero_are_not_hidden(tmp_path):
    for low in (-2.0, 2.0):
        curves = {"welfare": np.array([[low, 3.0]])}
        (axis,) = drawn(tmp_path, grid([0], [0]), curves).axes
        assert axis.get_ylim()[0] <= min(low, 0.0)
        assert (axis.get_ylim()[0] == 0) == (low > 0)


def test_shares_are_drawn_in_percent_and_utilities_in_their_unit(tmp_path):
    curves = {name: np.full((1, 2), 0.5) for name in ("principal_utility", "payment_share")}
    utility, share = drawn(tmp_path, grid([0], [0]), curves).axes
    formats = [axis.yaxis.get_major_formatter()(0.5) for axis in (utility, share)]
    assert ["%" in text for text in formats] == [False, True]
    assert [axis.get_ylabel() for axis in (utility, share)] == ["reward per episode", ""]


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
    animation.episode(path, env, steps)
    with Image.open(path) as picture:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(picture)]
    assert len(frames) == 6  # the state before each step, and the one after the last
    assert all((one != other).any() for one, other in itertools.pairwise(frames))


def test_an_episode_in_which_nobody_earns_anything_is_drawn_without_a_warning(tmp_path):
    env, params = make("coin_game", grid_size=2, max_steps_in_episode=2)
    still = jnp.zeros(2, jnp.int32)
    problem = Problem(Config(), env, params, HyperParams())
    nothing = jnp.zeros((2, env.num_outcomes))
    steps = record_episode(problem, lambda _: (still, still, nothing), jax.random.key(0), 2)
    animation.episode(tmp_path / "episode.gif", env, steps._replace(reward=0.0 * steps.reward))


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
