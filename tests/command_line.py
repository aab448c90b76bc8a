"""The command line in this process, on one small tree and one small Coin Game.

Every test that trains one of the two runs programs that are compiled once.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxparl import cli
from jaxparl.experiment import console, stage
from jaxparl.experiment import run as running
from jaxparl.training.runs import AnyRun
from jaxparl.training.sweep import Progress

_SIZES = (
    *("--iterations", "400", "--evaluation-interval", "100", "--replay-capacity", "1600"),
    *("--hidden-sizes", "16", "16"),
)
LEARNING = (*_SIZES, "--games", "0:1", "--seeds", "0:2")
SMALL_TREE = ("game_tree", "--depth", "3", *LEARNING)
_COIN_GAME = ("coin_game", "--grid-size", "2", "--max-steps-in-episode", "4")
SMALL_COIN_GAME = (*_COIN_GAME, *LEARNING)
# The same game for --principal, which validates the runs of a folder.
OF_A_FOLDER = (*_COIN_GAME, *_SIZES)
# Iterations between two evaluations, and how many evaluations there are.
INTERVAL, EVALUATIONS = 100, 4
RESUMED = ("--checkpoint-seconds", "0", "--resume", "auto")

_COMPILED: dict[Any, Any] = {}


def _memoised(compile_runs: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but what was compiled for equal arguments is used again."""

    def compiled(config: Any, env: Any, runs: Any, *rest: Any, components: Any) -> Any:
        # Weights are arguments, too: of the same bits.
        leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(rest)]
        key = (compile_runs.__name__, config, env, tuple(runs), components, *leaves)
        if key not in _COMPILED:
            _COMPILED[key] = compile_runs(config, env, runs, *rest, components=components)
        return _COMPILED[key]

    return compiled


def compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets experiments share what they compile, until the end of all tests."""
    for name in ("compile_training", "compile_validation"):
        monkeypatch.setattr(running, name, _memoised(getattr(running, name)))


def train(folder: Path, *arguments: str) -> int:
    """Runs `jaxparl train` in a folder; returns its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        compile_once(patch)
        try:
            cli.main(["train", *arguments, "--out", str(folder)])
        except SystemExit as stop:
            assert isinstance(stop.code, int)
            return stop.code
    return 0


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs `jaxparl` on bad input; returns what it prints, without boxes and line breaks."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    shown = "".join(capsys.readouterr())
    assert stop.value.code == 2, shown
    assert "Traceback" not in shown
    return " ".join(shown.replace("│", " ").split())


def stop_after(
    monkeypatch: pytest.MonkeyPatch, evaluations: int, number: signal.Signals = signal.SIGTERM
) -> None:
    """Sends this process a signal after so many evaluations, of all stages together."""
    update, seen = console.ProgressLine.update, []

    def counted(self: Any, *shown: Any) -> None:
        update(self, *shown)
        seen.append(shown)
        if len(seen) == evaluations:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(console.ProgressLine, "update", counted)


def diverge(monkeypatch: pytest.MonkeyPatch, lost: Sequence[AnyRun]) -> None:
    """Lets the principals of some runs diverge after 300 iterations."""
    run = stage.sweep.run

    def diverging(config: Any, compiled: Any, *arguments: Any) -> Iterator[Progress]:
        rows = [number for number, one in enumerate(compiled.runs) if one in lost]
        for progress in run(config, compiled, *arguments):
            metrics = progress.metrics
            if progress.evaluations > 3:
                loss = np.array(metrics.principal_loss)
                loss[rows] = np.nan
                metrics = dataclasses.replace(metrics, principal_loss=loss)
            yield progress._replace(metrics=metrics)

    monkeypatch.setattr(stage.sweep, "run", diverging)


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_summary(folder: Path, name: str = "summary") -> dict[str, Any]:
    """NAME.json, without what took how long."""
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    del content["timing"]
    return content


def assert_same_results(one: Path, other: Path) -> None:
    """Every number that two folders hold is the same, but for what took how long."""
    names = {path.name for path in one.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names:
        if name.endswith(".csv"):
            assert (one / name).read_bytes() == (other / name).read_bytes()
        elif name.endswith(".npz"):
            arrays, others = np.load(one / name), np.load(other / name)
            for field in arrays:
                np.testing.assert_array_equal(arrays[field], others[field])
        elif name in ("summary.json", "validation.json"):
            stem = name.removesuffix(".json")
            # The fingerprints of every run's whole state are among them.
            assert read_summary(one, stem) == read_summary(other, stem)


_FINISHED = tempfile.TemporaryDirectory(prefix="jaxparl-finished-")
atexit.register(_FINISHED.cleanup)


@functools.cache
def finished(*arguments: str) -> Path:
    """The folder of a finished run, which is trained once. Copy it before you change anything."""
    folder = Path(tempfile.mkdtemp(dir=_FINISHED.name)) / "run"
    assert train(folder, *arguments) == 0
    return folder


@functools.cache
def stopped_tree() -> Path:
    """A small tree stopped after 300 of 400 iterations, with checkpoints after 200 and 300."""
    folder = Path(tempfile.mkdtemp(dir=_FINISHED.name)) / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        assert train(folder, *SMALL_TREE, *RESUMED) == 128 + signal.SIGTERM
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Changes fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
