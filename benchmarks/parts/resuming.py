"""Trainings that are resumed where they were stopped, as they take hours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def train(folder: Path, *arguments: str) -> Path:
    """One `jaxparl train` in a process of its own, or what is left of it; returns its folder."""
    line = ["train", *arguments, "--resume", "auto", "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "jaxparl", *line], check=True, stdout=sys.stderr)
    return folder
