"""Where does the time of an iteration go, and how far is it from what the machine could do?

    python benchmarks/breakdown.py [--parts game_tree coin_game_3x3 coin_game_7x7] [--out JSON]

Each part takes one run with the paper's settings, times the iteration, and then its steps, each
alone in a compiled loop of its own. The floor is counted: the operations of an iteration, by XLA's
count, over the machine's rate at a matrix product, plus the bytes of weights, gradients and moments
that the optimisers go through over its rate at a copy, both rates measured in the same process. A
Python loop that calls one compiled iteration at a time is timed, too. Times are medians.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from parts.iteration import CALLS, STEPS, Trained, iterate, seconds_of, train_a_little
from report_card import Row, parse_options, report
from throughput import PAPERS

# Rows of the square matrices whose product is timed.
SIZE = 2048


class Rate(NamedTuple):
    """What the machine can do: operations and bytes per second."""

    operations: float
    bytes: float


def ceilings(num_bytes: float, size: int) -> Rate:
    """A product of matrices `[size, size]`, and going through so many bytes, each in a loop."""
    matrix = jax.random.normal(jax.random.key(0), (size, size)) / math.sqrt(size)
    product = seconds_of(lambda carry, _: carry @ matrix, matrix)
    array = jnp.zeros(int(num_bytes / 8))  # read and written, 4 bytes each
    copy = seconds_of(lambda carry, number: carry + number, array)
    return Rate(2.0 * size**3 / product, 8.0 * array.size / copy)


def floor_rows(
    name: str, trained: Trained, compiled: jax.stages.Compiled, whole: float, size: int
) -> list[Row]:
    """How fast an iteration could be, given its operations and bytes; `size` as in `ceilings`."""
    operations = compiled.cost_analysis()["flops"]
    weights = (trained.state.agent.params, trained.state.principal.params)
    # A gradient is written and read, weights and two moments are read and written.
    through = 8 * sum(leaf.nbytes for leaf in jax.tree.leaves(weights))
    rate = ceilings(through, size)
    floor = operations / rate.operations + through / rate.bytes
    found = {
        "million operations": f"{operations / 1e6:.1f} at {rate.operations / 1e9:.0f} G/s",
        "megabytes through the optimisers": f"{through / 1e6:.1f} at {rate.bytes / 1e9:.0f} GB/s",
        "the floor": f"{1e6 * floor:.0f} us ({floor / whole:.0%})",
    }
    rows = [Row(f"{name}: {what}", shown, "", None) for what, shown in found.items()]
    return [*rows[:-1], rows[-1]._replace(values={"floor_seconds": floor, "seconds": whole})]


def python_row(name: str, trained: Trained, compiled: jax.stages.Compiled, whole: float) -> Row:
    """The same iteration, called by a loop of Python; it consumes the run's state."""
    state = trained.state
    start = time.perf_counter()
    for number in range(CALLS):
        state = compiled(state, np.int32(number))
    jax.block_until_ready(state)
    taken = (time.perf_counter() - start) / CALLS
    return Row(
        f"{name}: called from Python, one by one",
        f"{1e6 * taken:.0f} us ({taken / whole:.0%})",
        "",
        None,
    )


def part(name: str, options: Sequence[str] = (), size: int = SIZE) -> Iterator[Row]:
    """One run of one game: the iteration, its steps, its floor, and Python's loop.

    Args:
      name: of the game.
      options: of its preset that are changed.
      size: rows of the matrices whose product is the ceiling.
    """
    trained = train_a_little(*PAPERS[name], *options)
    step = partial(iterate, trained.learner)
    whole = seconds_of(step, trained.state)
    yield Row(f"{name}: an iteration", f"{1e6 * whole:.0f} us", "", None)
    for what, measure in STEPS.items():
        seconds = measure(trained)
        shown = f"{1e6 * seconds:.0f} us ({seconds / whole:.0%})"
        yield Row(f"{name}: {what}", shown, "", None)
    compiled = jax.jit(step, donate_argnums=0).lower(trained.state, jnp.int32(0)).compile()
    yield from floor_rows(name, trained, compiled, whole, size)
    yield python_row(name, trained, compiled, whole)


def main() -> int:
    options = parse_options(__doc__, list(PAPERS))
    return report([row for name in options.parts for row in part(name)], options.out)


if __name__ == "__main__":
    sys.exit(main())
