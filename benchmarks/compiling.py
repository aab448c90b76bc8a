"""How long does a start take to compile, the first time and again?

    python benchmarks/compiling.py [--parts game_tree/figure3 ...] [--tries N] [--out JSON]

Starts `jaxparl train` with two runs of every preset, cut short: each try once with nothing kept of
earlier starts, and once more with what the first has kept. Presets that validate compile a second
time, for the black boxes, once the principals are trained; it is a row of its own. The median of
the tries, and their range. Importing and solving the game come on top. Exits with 1 if a bar is
missed.
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

from report_card import Row, option_parser, report, tell

from jaxparl.envs import REGISTRY

# As few iterations as every preset's intervals divide.
SHORT = ("--iterations", "100", "--evaluation-interval", "100")
RUNS = ("--games", "0:1", "--seeds", "0:2")
# Where each phase leaves its timing, in the order in which they are trained.
TOLD = {"training": "summary.json", "validation": "validation.json"}
# Below the first, compiled programs are kept, unless one of the others says otherwise.
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


def compile_seconds(asked: Sequence[str], kept: Path, out: Path) -> dict[str, float]:
    """Starts a process that keeps its programs in `kept`; seconds by phase."""
    environment = {name: said for name, said in os.environ.items() if name not in UNSET}
    command = [sys.executable, "-m", "jaxparl", "train", *asked, "--out", str(out)]
    subprocess.run(
        command, env=environment | {CACHE: str(kept)}, stdout=subprocess.DEVNULL, check=True
    )
    return {
        phase: json.loads((out / name).read_text())["timing"]["compile_seconds"]
        for phase, name in TOLD.items()
        if (out / name).exists()
    }


def starts(environment: str, preset: str, tries: int) -> list[Row]:
    """One row for each phase and start of a preset."""
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(tries):
        with tempfile.TemporaryDirectory(prefix="jaxparl-compiling-") as name:
            place = Path(name)
            for start in BARS:
                asked = (environment, "--preset", preset, *RUNS, *SHORT)
                found = compile_seconds(asked, place / "kept", place / start)
                for phase, seconds in found.items():
                    taken.setdefault((phase, start), []).append(seconds)
    rows = []
    for (phase, start), seconds in taken.items():
        middle, bar = statistics.median(seconds), BARS[start]
        rows.append(
            Row(
                f"{environment}, {preset}: {phase}, {start} start",
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
        rows += tell(starts(*parts()[part], options.tries))
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
