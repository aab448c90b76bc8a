"""Which workarounds for XLA are still needed?

    python benchmarks/workarounds.py [--parts XLA-01 XLA-02 ...] [--out JSON]

docs/xla.md lists what XLA and JAX do that jaxparl works around. Each workaround is tried here, with
and without: by timing both in turns (medians), or by looking at the compiled program, the memory
that it takes, or the bits that come out. One that is no longer needed can go, if every processor
that matters agrees: speeds differ between processors, and on a busy machine they differ by chance.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable

from report_card import Row, announce, compile_everything, parse_options, report
from xla_checks import compilation, devices, loops, products, reductions, rounding, storage
from xla_checks.finding import Finding

CHECKS: dict[str, tuple[str, Callable[[], Finding]]] = {
    "XLA-01": ("kernel gradients behind a barrier", products.kernel_gradient),
    "XLA-02": ("convolution by patches", products.convolution),
    "XLA-03": ("one stored step is written as two", storage.single_write),
    "XLA-04": ("no counter in a run's state", storage.shared_counter),
    "XLA-05": ("targets move after nested scans", loops.nested_scans),
    "XLA-06": ("Adam counts by the loop's counter", rounding.optimiser_count),
    "XLA-07": ("calls of 200 iterations at most", loops.short_calls),
    "XLA-08": ("no common subexpressions removed", rounding.common_subexpressions),
    "XLA-09": ("set-up compiled without optimising", compilation.unoptimised_set_up),
    "XLA-10": ("programs compiled side by side", compilation.side_by_side),
    "XLA-11": ("every core is a device", devices.a_core_each),
    "XLA-12": ("first minimum by two reductions", reductions.first_minimum),
    "XLA-13": ("numbers split by bit masks", rounding.fused_multiply_subtract),
    "XLA-14": ("batches that divide all states", loops.no_rest),
    "XLA-15": ("loops over agents unrolled", loops.unrolled),
    "XLA-16": ("running sums in order", reductions.running_sums),
}


def row(identifier: str) -> Row:
    """Tries one workaround."""
    subject, check = CHECKS[identifier]
    found = check()
    verdict = "still needed" if found.is_needed else "can go"
    version = importlib.metadata.version("jaxlib")
    return Row(
        f"{identifier}, {subject}: {verdict} (jaxlib {version})",
        found.figures,
        "",
        None,
        {"is_needed": found.is_needed},
    )


def main() -> int:
    options = parse_options(__doc__, list(CHECKS))
    compile_everything()
    rows = [line for identifier in options.parts for line in announce([row(identifier)])]
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
