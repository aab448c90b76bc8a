"""Trains in processes of their own, as users do, and reads what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxparl import cli
from jaxparl.environment import Environment
from jaxparl.envs import REGISTRY
from jaxparl.experiment.options import Job

#: The paper's preset of each environment.
PAPERS = {"game_tree": "figure3", "coin_game": "figure4"}
#: A run as short as can be compared.
SHORT = ("--iterations", "200", "--evaluation-interval", "200", "--games", "0:1", "--no-validate")


class Found(NamedTuple):
    """What a run folder holds of one stage: arrays `[R, ...]`, digests of final states `[R]`."""

    arrays: dict[str, np.ndarray]
    fingerprints: list[str]

    def select(self, rows: Sequence[int]) -> Found:
        arrays = {name: values[list(rows)] for name, values in self.arrays.items()}
        return Found(arrays, [self.fingerprints[row] for row in rows])

    def same(self, other: Found) -> bool:
        """Whether every bit is the same."""
        return self.fingerprints == other.fingerprints and all(
            values.tobytes() == other.arrays[name].tobytes() for name, values in self.arrays.items()
        )


def read(folder: Path, name: str = "metrics", summary: str = "summary") -> Found:
    found = np.load(folder / f"{name}.npz")
    recorded = json.loads((folder / f"{summary}.json").read_text())
    arrays = {field: found[field] for field in found if field != "iteration"}
    return Found(arrays, [run["fingerprint"] for run in recorded["runs"]])


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "jaxparl", "train", *arguments, "--out", str(folder)]


def run(line: Sequence[str], **environment: str) -> int:
    """Runs a command to its end; returns the most bytes that it had resident."""
    # Read until it ends: afterwards, what the system reports may be of this process, as which a
    # child begins.
    most = 0
    with subprocess.Popen(line, env=os.environ | environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, resident(process.pid, "VmHWM"))
            time.sleep(0.01)
    assert process.returncode == 0, f"{' '.join(line)} ended with {process.returncode}"
    return most


def train(folder: Path, *arguments: str, **environment: str) -> Found:
    """Trains in a process of its own, to its end."""
    run(command(folder, *arguments), **environment)
    return read(folder)


def ends(line: Sequence[str], seconds: float) -> bool:
    """Whether a command ends by itself in that time; otherwise it is killed."""
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        try:
            assert process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return False
        return True


def parse(*arguments: str) -> tuple[Job, Environment]:
    """What a command line asks for, and its environment."""
    job = cli.parse(arguments)
    return job, REGISTRY[job.environment].environment(job.settings)


def resident(pid: int, what: str = "VmRSS") -> int:
    """The bytes that a process has resident; VmHWM: the most that it ever had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith(what)]
    return 1024 * int(found[0]) if found else 0
