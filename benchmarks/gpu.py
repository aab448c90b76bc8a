"""Everything that is measured on a GPU, within so many minutes.

    python benchmarks/gpu.py [--parts device trees ...] [--minutes M] [--folder FOLDER]
                             [--tiny] [--out JSON]

Each part is measured in processes of its own, one after the other, which are ended when its time is
up. A part that does not fit into what is left is left out, one that fails is reported, and --out is
written after every row: whatever ends it, nothing that was measured is lost. To measure what was
left out, name it with --parts. The figures are trained in --folder, and go on there.

    device       the device, its memory, and the settings that decide which bits it computes
    trees        training on trees, of 1, 4, 16, ... runs
    boards       the same on the Coin Game, 7x7 and 3x3
    breakdown    where the time of an iteration goes, as breakdown.py says
    kernels      how many kernels an iteration launches, by the compiled program
    flags        one run with other flags for XLA, a process for each
    precision    what products in TF32 change: contracts, and the weights after an iteration
    determinism  whether a run has the same bits when it is made twice, or alone
    figure3, figure4, figure2
                 the presets by the command line: training, validation, baselines

--tiny makes everything small, to try the script on a CPU. Exits with 1 if a bar is missed or a part
fails.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

# This process asks which GPU there is, and computes nothing: its children need the memory.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

from parts.gpu import figures, numerics, rates, steps
from parts.gpu.plan import FULL, TINY, Budget, Plan, attempt
from report_card import Row, announce, option_parser, report, write

#: A little less than ten minutes, as ending a process takes some seconds.
MINUTES = 9.5


class Part(NamedTuple):
    """What measures it, and how many seconds it takes on a GPU: at least, and at most."""

    rows: Callable[[Plan], Iterator[Row]]
    least: float
    most: float


#: In the order in which they are measured.
PARTS = {
    "device": Part(numerics.device, 10, 30),
    "trees": Part(rates.trees, 45, 150),
    "boards": Part(rates.boards, 45, 180),
    "breakdown": Part(steps.breakdown, 60, 240),
    "kernels": Part(steps.kernels, 30, 90),
    "flags": Part(rates.flags, 60, 240),
    "precision": Part(numerics.precision, 30, 120),
    "determinism": Part(numerics.determinism, 90, 300),
    **{name: Part(partial(figures.figure, name), 90, math.inf) for name in figures.FIGURES},
}


def rows_of(parts: Mapping[str, Part], plan: Plan) -> Iterator[Row]:
    """All rows of these parts; each part has its own share of the time that is left."""
    for name, part in parts.items():
        own = plan._replace(budget=plan.budget.within(part.most))
        yield from attempt(name, plan.budget, part.least, part.rows(own))


def main() -> int:
    parser = option_parser(__doc__, list(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("runs/gpu"), help="of the figures")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try it on a CPU")
    options = parser.parse_args()
    folder = options.folder / "tiny" if options.tiny else options.folder
    budget = Budget.of(60 * options.minutes)
    plan = Plan(budget, TINY if options.tiny else FULL, folder)
    rows: list[Row] = []
    for row in rows_of({name: PARTS[name] for name in options.parts}, plan):
        # Bars are for the paper's sizes.
        has_no_bar = options.tiny and row.bar
        rows += announce([row._replace(bar="", passed=None) if has_no_bar else row])
        if options.out:
            write(rows, options.out)
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
