"""Learning curves in a notebook: of recorded runs, and of results that are in memory."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxparl.experiment.finished import read_finished
from jaxparl.experiment.results import StageResult, diverged
from jaxparl.experiment.stage import TRAINING, VALIDATION
from jaxparl.experiment.statistics import Group, group_runs
from jaxparl.training import TrainResult, ValidationResult
from jaxparl.training.runs import RunId

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What `plot` draws: the folder of a run, or what `make_train` or `make_validate` has returned.
Drawable = str | os.PathLike[str] | TrainResult | ValidationResult


def plot(results: Drawable | Mapping[str, Drawable], *, validation: bool = False) -> Figure:
    """Draws learning curves, with what is exact as dashed lines; a notebook shows the figure.

    Args:
      results: the folder of a finished run, or a `TrainResult` or `ValidationResult`, whose runs,
        `[R]` or `[...]` of them, differ by nothing but their keys. To compare several, a mapping
        from the names that they have in the legend.
      validation: whether to draw the validation that a folder holds, instead of its training.

    Returns:
      A figure of matplotlib: a panel for each metric, a colour for each group of seeds.

    Raises:
      ImportError: matplotlib is missing.
      FileNotFoundError: a folder holds no run.
      ValueError: a run is not finished, or it is damaged or of another version of jaxparl.
      TypeError: it is something else.

    Examples:
      Four runs of a small tree, and four without a nudge:

      >>> import jax
      >>> from jaxparl import Config, HyperParams, make, make_train, plot
      >>> env, env_params = make("game_tree", depth=2)
      >>> config = Config(iterations=4, target_interval=1, evaluation_interval=2, hidden_sizes=(8,))
      >>> train = jax.jit(jax.vmap(make_train(config, env, env_params), (0, None)))
      >>> keys = jax.random.split(jax.random.key(0), 4)
      >>> found = {f"nudge {xi}": train(keys, HyperParams(nudge=xi)) for xi in (0.006, 0.0)}
      >>> figure = plot(found)
      >>> [text.get_text() for text in figure.legends[0].get_texts()]
      ['nudge 0.006 (4 seeds)', 'nudge 0.0 (4 seeds)', 'exact']
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("plots need matplotlib: pip install 'jaxparl[plot]'")
    from jaxparl.experiment import figures

    named = results if isinstance(results, Mapping) else {"": results}
    if not named:
        raise ValueError("there is nothing to plot")
    first, *others = [_curves(name, each, validation) for name, each in named.items()]
    return figures.learning_curves(None, *first, others)


def _curves(name: str, result: Drawable, validation: bool) -> tuple[list[Group], StageResult]:
    if isinstance(result, TrainResult | ValidationResult):
        return _of_memory(name, result)
    if isinstance(result, str | os.PathLike):
        return _of_folder(name, Path(result), validation)
    raise TypeError(
        "plot takes the folder of a run, a TrainResult or a ValidationResult, or a mapping of "
        f"them, not {type(result).__name__}"
    )


def _of_folder(name: str, path: Path, validation: bool) -> tuple[list[Group], StageResult]:
    found = read_finished(path, VALIDATION if validation else TRAINING)
    if found is None:
        raise ValueError(f"{path} holds no finished {'validation' if validation else 'training'}")
    before = f"{name}: " if name else ""
    return [each._replace(name=before + each.name) for each in found.groups], found.result


def _of_memory(
    name: str, result: TrainResult | ValidationResult
) -> tuple[list[Group], StageResult]:
    histories = {metric: np.asarray(values) for metric, values in vars(result.metrics).items()}
    curves = {
        metric: values.reshape(-1, values.shape[-1])  # [R, evaluations]
        for metric, values in histories.items()
    }
    num_runs, evaluations = next(iter(curves.values())).shape
    iterations = result.evaluation_interval * np.arange(1, evaluations + 1)
    runs = [RunId(0, number) for number in range(num_runs)]
    (group,) = group_runs(runs, diverged(curves))
    found = StageResult(runs, iterations, curves, {}, [])
    return [group._replace(name=name or "learned")], found
