"""Compares the results of two checkouts bit by bit: of every preset, and of a validation.

A change that restructures the code must not change any result. Each preset is run, shortened, by
both checkouts. Compared are the metrics of every evaluation, and a digest of the whole state of
every run after the last iteration: weights, optimisers, replay, environments and keys.

    python benchmarks/same_bits.py OTHER_CHECKOUT

Both checkouts need a virtual environment in `.venv` (`make setup`). Exits with 1 where bits differ.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tyro

ROOT = Path(__file__).resolve().parents[1]
# Arrays that had other names in versions before 0.3.
_RENAMED = {"validation.follow_share": "validation.followed_share"}

# Each preset, shortened; one seed, except where the axis of the runs is to be seen.
_TREE = ("--seeds", "0:2", "--iterations", "2000", "--evaluation-interval", "400")
_SMALL_BOARD = ("--seeds", "0:1", "--iterations", "1000", "--evaluation-interval", "500")
_BOARD = ("--seeds", "0:1", "--iterations", "400", "--evaluation-interval", "400")
_PRESETS = {
    ("game_tree", "quick"): _TREE,
    ("game_tree", "figure3"): _TREE,
    ("game_tree", "figure3_per_action"): _TREE,
    ("game_tree", "figure3_learned_outcomes"): _TREE,
    ("coin_game", "quick"): (*_SMALL_BOARD, "--validate"),
    ("coin_game", "figure4_fast"): (*_SMALL_BOARD, "--no-validate"),
    ("coin_game", "figure4"): (*_SMALL_BOARD, "--no-validate"),
    ("coin_game", "figure2_fast"): (*_BOARD, "--no-validate"),
    ("coin_game", "figure2"): (*_BOARD, "--no-validate"),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compare.

    Attributes:
      other: the other checkout.
      only: presets to run, `ENV/PRESET`; all by default.
      keep: a folder in which results stay, so that a finished run is not repeated.
    """

    other: tyro.conf.Positional[Path]
    only: tuple[str, ...] = ()
    keep: Path | None = None


def main() -> None:
    """Runs every preset by both checkouts, and prints what differs."""
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        base = options.keep or Path(scratch)
        differing = 0
        for (env, preset), arguments in _PRESETS.items():
            if options.only and f"{env}/{preset}" not in options.only:
                continue
            folders = [
                _run(
                    checkout, base / name / f"{env}-{preset}", (env, "--preset", preset), arguments
                )
                for name, checkout in (("here", ROOT), ("other", options.other.resolve()))
            ]
            found = _differences(*folders)
            differing += len(found)
            print(f"{env:<10} {preset:<26} {_compared(folders[0])}: ", end="")
            print("the same bits" if not found else "; ".join(found), flush=True)
    sys.exit(1 if differing else 0)


def _run(checkout: Path, out: Path, what: tuple[str, ...], arguments: tuple[str, ...]) -> Path:
    """Runs one preset in one checkout; what is finished already is not run again."""
    command = [".venv/bin/python", "train.py", *what, *arguments]
    options = ["--out", str(out.resolve()), "--resume", "auto"]
    done = subprocess.run([*command, *options], cwd=checkout, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return out


def _results(folder: Path) -> dict[str, np.ndarray | list[str]]:
    """Every array and digest that a run has left, by name."""
    found: dict[str, np.ndarray | list[str]] = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            found |= {f"{path.stem}.{name}": arrays[name] for name in arrays}
    for name in ("summary", "validation"):
        path = folder / f"{name}.json"
        if path.exists():
            found[f"{name}.fingerprints"] = _fingerprints(json.loads(path.read_text()))
    return {_RENAMED.get(name, name): value for name, value in found.items()}


def _fingerprints(summary: dict[str, Any]) -> list[str]:
    """The digest of each run; in versions before 0.3 they stand in a list of their own."""
    if "runs" in summary:
        return [run["fingerprint"] for run in summary["runs"]]
    return summary["fingerprints"]


def _compared(folder: Path) -> str:
    results = _results(folder)
    runs = sum(len(value) for name, value in results.items() if name.endswith("fingerprints"))
    return f"{len(results) - 1} arrays, whole state of {runs} runs"


def _differences(here: Path, there: Path) -> list[str]:
    """What differs between two folders, by name."""
    mine, theirs = _results(here), _results(there)
    missing = [f"{name} is missing" for name in {*mine} ^ {*theirs}]
    differing = [
        f"{name} differs"
        for name in {*mine} & {*theirs}
        if np.asarray(mine[name]).tobytes() != np.asarray(theirs[name]).tobytes()
    ]
    return sorted([*missing, *differing])


if __name__ == "__main__":
    main()
