"""Do runs at scale keep their promises: bit for bit, in so much memory, at so little cost?

    python benchmarks/scale.py [--parts kills independence sweep memory plan cost] [--out JSON]

Each part trains through the command line, as its users do. `kills` ends runs of both games with
SIGKILL at twenty random moments, and resumes them. `independence` trains a run alone, among
sixteen, on one and on eight devices and in two parts, at equal lanes and at others. `sweep`
compares 96 runs of one program with 96 programs of one run. `memory` watches processes from
iteration 1,000 to 20,000. `plan` compares the bytes of a plan with what processes take. `cost` is
the time that goes into anything but training. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from parts import resources, same_results
from report_card import announce, parse_options, report

PARTS = {
    "kills": same_results.kills,
    "independence": same_results.independence,
    "sweep": same_results.sweep_of_settings,
    "memory": resources.memory,
    "plan": resources.plans,
    "cost": resources.cost,
}


def main() -> int:
    options = parse_options(__doc__, list(PARTS))
    rows = []
    for part in options.parts:
        with tempfile.TemporaryDirectory(prefix="jaxparl-scale-") as folder:
            rows += announce(PARTS[part](Path(folder)))
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
