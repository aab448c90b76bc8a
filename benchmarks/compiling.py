"""How long does a start take to compile, the first time and again?

    python benchmarks/compiling.py [--parts game_tree/figure3 ...] [--tries N] [--out JSON]

Starts `jaxparl train` with two runs of every preset, cut short. Each try starts it once with an
empty compilation cache, and once more with the cache that the first start has left. Presets that
validate compile a second time, for the black boxes, once the principals are trained: a row of its
own. Shown are the median of the tries, and their range. Importing and solving the game come on top.
Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from report_card import Row, announce, option_parser, report

from jaxparl.envs import REGISTRY

# The fewest iterations that every preset's intervals divide.
SHORT = ("--iterations", "100", "--evaluation-interval", "100")
RUNS = ("--games", "0:1", "--seeds", "0:2")
# Where each stage leaves its timing, in the order in which they are run.
SUMMARIES = {"training": "summary.json", "validation": "validation.json"}
# The compilation cache is below the first, unless one of the others is set.
CACHE = "XDG_CACHE_HOME"
UNSET = ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE")
# Seconds, by start.
BARS = {"first": 10.0, "second": 3.0}
TRIES = 3


def parts() -> dict[str, tuple[str, str]]:
    """Every environment and preset that is registered."""
    return {
        f"{name}/{preset}": (name, preset)
        for name, entry in REGISTRY.items()
        for preset in entry.presets
    }


def compile_seconds(arguments: Sequence[str], cache: Path, out: Path) -> dict[str, float]:
    """Trains in a process of its own that caches programs in `cache`; seconds by stage."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    command = [sys.executable, "-m", "jaxparl", "train", *arguments, "--out", str(out)]
    subprocess.run(
        command, env=environment | {CACHE: str(cache)}, stdout=subprocess.DEVNULL, check=True
    )
    return {
        stage: json.loads((out / name).read_text())["timing"]["compile_seconds"]
        for stage, name in SUMMARIES.items()
        if (out / name).exists()
    }


def starts(environment: str, preset: str, tries: int) -> list[Row]:
    """One row for each stage and start of a preset."""
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(tries):
        with tempfile.TemporaryDirectory(prefix="jaxparl-compiling-") as name:
            folder = Path(name)
            for start in BARS:
                arguments = (environment, "--preset", preset, *RUNS, *SHORT)
                found = compile_seconds(arguments, folder / "cache", folder / start)
                for stage, seconds in found.items():
                    taken.setdefault((stage, start), []).append(seconds)
    rows = []
    for (stage, start), seconds in taken.items():
        middle, bar = statistics.median(seconds), BARS[start]
        rows.append(
            Row(
                f"{environment}, {preset}: {stage}, {start} start",
                f"{middle:.1f} s ({min(seconds):.1f} to {max(seconds):.1f})",
                f"<= {bar:g} s",
                middle <= bar,
                {"seconds": seconds},
            )
        )
    return rows


def main() -> int:
    parser = option_parser(__doc__, list(parts()))
    parser.add_argument("--tries", type=int, default=TRIES, help="how often each start is made")
    options = parser.parse_args()
    rows = []
    for part in options.parts:
        rows += announce(starts(*parts()[part], options.tries))
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
