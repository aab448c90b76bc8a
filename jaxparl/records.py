"""The run folder: what was asked for, every evaluation of every run, and a summary.

config.json    settings, versions and machine, written before training starts
metrics.csv    one row per run and evaluation, appended while training
metrics.npz    the same as arrays [run, evaluation]
summary.json   mean, 95% interval and value per run of each metric's last evaluation
figure.png     the learning curves
checkpoints/   the weights after the last iteration, `[run, ...]`
validation.*   the same files of the validation phase, where there was one
*.gif          an episode in which all follow, and one of the black boxes of validation, of games
               that can be drawn
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import stats

from jaxparl.sweep import RunId

_CONFIDENCE = 0.95
_PACKAGES = ("jaxparl", "jax", "jaxlib", "flax", "optax", "gymnax", "orbax-checkpoint", "numpy")


def interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Student's 95% interval for the mean of `[R]` values; None where R is 1."""
    if len(values) < 2:
        return None, None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = error * float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1))
    return mean - half, mean + half


def half_interval(values: np.ndarray) -> float:
    """Half the width of `interval`; NaN where R is 1."""
    low, high = interval(values)
    return float("nan") if low is None or high is None else (high - low) / 2


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def machine() -> dict[str, Any]:
    """The machine that a timing depends on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].split(":", 1)[1].strip() if names else processor
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "devices": sorted({device.device_kind for device in jax.devices()}),
    }


def read_config(path: Path) -> dict[str, Any]:
    """What `RunFolder.write_config` recorded in the folder of an earlier run.

    Raises:
      FileNotFoundError: where there is none.
    """
    target = path / "config.json"
    if not target.exists():
        raise FileNotFoundError(f"no run in {path}: it has no config.json")
    content: dict[str, Any] = json.loads(target.read_text())
    return content


class RunFolder:
    """Writes one sweep's results.

    It is made before anything is computed, so that a bad place for them is known at once.

    Args:
      path: the folder; it must be empty or not exist.

    Raises:
      FileExistsError: where it holds anything.
      OSError: where it cannot be made or written to.
    """

    def __init__(self, path: Path):
        self.path = path
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(
                f"{path} exists and is not empty; nothing was written. Choose another --out"
            )
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()

    def write_config(self, settings: Mapping[str, Any], runs: Sequence[RunId]) -> None:
        """Records what is about to be run, and on what."""
        content = {
            **settings,
            "runs": [run._asdict() for run in runs],
            "versions": versions(),
            "machine": machine(),
        }
        self._write_json("config", content)

    def append_metrics(
        self, runs: Sequence[tuple[Any, ...]], iteration: int, metrics: Any, name: str = "metrics"
    ) -> None:
        """Adds one evaluation of all runs, fields `[R]`, to NAME.csv."""
        columns = vars(metrics)
        target = self.path / f"{name}.csv"
        new = not target.exists()
        with target.open("a", newline="") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow([*run_fields(runs), "iteration", *columns])
            for index, run in enumerate(runs):
                values = [f"{float(column[index]):.8g}" for column in columns.values()]
                writer.writerow([*run, iteration, *values])

    def write_arrays(
        self,
        runs: Sequence[tuple[Any, ...]],
        iterations: np.ndarray,
        curves: Mapping[str, np.ndarray],
        name: str = "metrics",
    ) -> None:
        """Writes NAME.npz: curves `[R, evaluations]`, and what each run was."""
        columns = zip(*runs, strict=True)
        arrays = {
            **{
                field: np.array(values)
                for field, values in zip(run_fields(runs), columns, strict=True)
            },
            "iteration": iterations,
            **curves,
        }
        np.savez(self.path / f"{name}.npz", allow_pickle=False, **arrays)

    def write_summary(
        self,
        iterations: np.ndarray,
        curves: Mapping[str, np.ndarray],
        timing: Mapping[str, float],
    ) -> None:
        """Writes summary.json from curves `[R, evaluations]`."""
        summary = {name: summarise(values[:, -1]) for name, values in curves.items()}
        last_quarter = iterations > 0.75 * iterations[-1]
        for name in ("utility_ratio", "recommendation_accuracy", "welfare_ratio", "payment_share"):
            if name in curves:
                mean = curves[name][:, last_quarter].mean(axis=1)
                summary[f"{name}_last_quarter"] = summarise(mean)
        self._write_json("summary", {**summary, "timing": dict(timing)})

    def write_comparison(
        self,
        groups: Sequence[str],
        curves: Mapping[str, np.ndarray],
        timing: Mapping[str, float],
    ) -> None:
        """Writes validation.json: the last evaluation of each metric, by the group of a run."""
        content: dict[str, Any] = {"timing": dict(timing)}
        for group in dict.fromkeys(groups):
            rows = np.array([name == group for name in groups])
            content[group] = {name: summarise(curve[rows, -1]) for name, curve in curves.items()}
        self._write_json("validation", content)

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        (self.path / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def run_fields(runs: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    """The names of what tells runs apart: those of `RunId`, or of another named tuple."""
    fields: tuple[str, ...] = getattr(runs[0], "_fields")  # noqa: B009
    return fields


def summarise(values: np.ndarray) -> dict[str, Any]:
    """Mean, 95% interval over runs, and every run's own value, of `[R]` values.

    What is not a number, as JSON has none, is None.
    """
    low, high = interval(values)
    return {
        "mean": _number(float(np.mean(values))),
        "ci_low": _number(low),
        "ci_high": _number(high),
        "per_run": [_number(float(value)) for value in values],
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
