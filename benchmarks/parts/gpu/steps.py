"""Where the time of an iteration goes: its steps, and the kernels that it launches."""

from __future__ import annotations

from collections.abc import Iterator

from report_card import Row
from throughput import PAPERS

from parts.gpu.children import measure
from parts.gpu.plan import Plan, attempt

# Seconds without which a game is not begun.
_LEAST_OF_STEPS, _LEAST_OF_KERNELS = 40, 20
# So many kinds of kernels are named.
_SHOWN = 5


def breakdown(plan: Plan) -> Iterator[Row]:
    """The steps of an iteration of each game, as breakdown.py times them."""
    for name in [*PAPERS][: plan.sizes.games]:
        yield from attempt(name, plan.budget, _LEAST_OF_STEPS, steps(name, plan))


def steps(name: str, plan: Plan) -> Iterator[Row]:
    """Those of one game."""
    given = {"name": name, "options": plan.options(name), "size": plan.sizes.product}
    for found in measure("steps", plan.budget, **given):
        yield Row(**found)


def kernels(plan: Plan) -> Iterator[Row]:
    """What an iteration of each game launches."""
    for name in [*PAPERS][: plan.sizes.games]:
        yield from attempt(name, plan.budget, _LEAST_OF_KERNELS, launched(name, plan))


def launched(name: str, plan: Plan) -> Iterator[Row]:
    """That of one game."""
    for found in measure("kernels", plan.budget, name=name, options=plan.options(name)):
        kinds = found["kinds"]
        largest = ", ".join(f"{count} {kind}" for kind, count in [*kinds.items()][:_SHOWN])
        yield Row(
            f"{name}: 1 run: kernels an iteration (in so many command buffers): most frequent ones",
            f"{sum(kinds.values())} ({found['captured']} in {found['buffers']}): {largest}",
            "",
            None,
            found,
        )
