"""What a finished stage leaves in its folder: arrays, figures, an episode, and a summary."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxparl.evaluation.rollouts import Decide, play_back
from jaxparl.experiment import console
from jaxparl.experiment.processes import by_first
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.run_folder import RunFolder, atomic
from jaxparl.experiment.stage import Stage
from jaxparl.experiment.statistics import Group, summary
from jaxparl.learning.problem import Problem
from jaxparl.types import fixed_key

_MOST_FRAMES = 60
_EPISODE_SEED = 0


class Playback(NamedTuple):
    """What is played to draw an episode: the game of `problem`, and what happens in each state."""

    problem: Problem
    decide: Decide


def record(
    folder: RunFolder,
    stage: Stage,
    groups: Sequence[Group],
    result: StageResult,
    playback: Playback | None = None,
) -> None:
    """Writes and draws what a stage has found; the summary comes last, and says it is finished.

    Args:
      folder: of the run.
      stage: which stage it is.
      groups: of its runs.
      result: what it has found.
      playback: the episode to draw; none by default.
    """
    folder.write_arrays(result, stage.metrics)
    _draw_curves(folder.path / f"{stage.figure}.png", groups, result)
    if playback:
        _draw_episode(folder.path / f"{stage.episode}.gif", playback)
    folder.write_summary(stage.summary, summary(result, groups))


@by_first
def _draw_curves(path: Path, groups: Sequence[Group], result: StageResult) -> None:
    """Draws the learning curves, if matplotlib is installed."""
    if _has_matplotlib():
        from jaxparl.experiment import figures

        with atomic(path) as target:
            figures.learning_curves(target, groups, result)
    else:
        console.note("no figure: matplotlib is missing; pip install 'jaxparl[plot]'")


@by_first
def _draw_episode(path: Path, playback: Playback) -> None:
    """Plays an episode and draws it as a GIF, if matplotlib is installed."""
    if not _has_matplotlib():
        return  # `_draw_curves` has said so
    from jaxparl.experiment import animation

    problem, decide = playback
    length = min(int(problem.env_params.max_steps_in_episode), _MOST_FRAMES)
    steps = play_back(problem, decide, fixed_key(_EPISODE_SEED), length)
    with atomic(path) as target:
        animation.episode(target, problem.env, steps)


def _has_matplotlib() -> bool:
    return importlib.util.find_spec("matplotlib") is not None
