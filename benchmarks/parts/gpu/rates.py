"""How fast training goes, of one run and of many, and with other flags for the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import throughput
from report_card import Row
from throughput import Measured

from parts.gpu.children import measure
from parts.gpu.plan import Plan, attempt

#: So many times as many runs each time.
FACTOR = 4
#: The one with bars first.
BOARDS = ("coin_game_7x7", "coin_game_3x3")
#: What is tried, by what it does. Kernels that are as small as these wait for being launched.
FLAGS = {
    "no other flags": "",
    "no command buffers": "--xla_gpu_enable_command_buffer=",
    "loops in command buffers": (
        "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,"
        "DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE --xla_gpu_graph_min_graph_size=1"
    ),
    "no autotuning": "--xla_gpu_autotune_level=0",
    "deterministic": "--xla_gpu_deterministic_ops=true",
}
#: One run of each is timed with them.
FLAGGED = ("game_tree", "coin_game_7x7")
# Seconds: without these nothing is begun; with flags that make a program wait, it is ended.
_LEAST, _MOST_WITH_FLAGS = 30, 75


def trees(plan: Plan) -> Iterator[Row]:
    """Training on trees, of more and more runs."""
    return grown("game_tree", plan, plan.sizes.trees)


def boards(plan: Plan) -> Iterator[Row]:
    """Training on boards, likewise."""
    for name in BOARDS[: plan.sizes.games]:
        yield from attempt(name, plan.budget, _LEAST, grown(name, plan, plan.sizes.boards))


def grown(name: str, plan: Plan, most: int) -> Iterator[Row]:
    """A row for each number of runs of one game."""
    first = None
    arguments = {"name": name, "options": plan.options(name), "most": most, "factor": FACTOR}
    for found in measure("rates", plan.budget, **arguments):
        if found["measured"] is None:
            yield throughput.no_room(name, found["runs"])
        else:
            measured = Measured(**found["measured"])
            first = first or measured
            yield throughput.measured_row(name, found["num_envs"], first, measured)


def flags(plan: Plan) -> Iterator[Row]:
    """One run of each game, with one set of flags after the other."""
    plain: dict[str, float] = {}
    for what in FLAGS:
        for name in FLAGGED[: plan.sizes.games]:
            rows = flagged(name, what, plan, plain)
            yield from attempt(f"{name}: {what}", plan.budget, _LEAST, rows)


def flagged(name: str, what: str, plan: Plan, plain: dict[str, float]) -> Iterator[Row]:
    """One run with a set of flags; `plain` keeps the rates without, by game."""
    budget, options = plan.budget.within(_MOST_WITH_FLAGS), plan.options(name)
    with_flags = partial(measure, "rates", budget, FLAGS[what])
    for found in with_flags(name=name, options=options, most=1, factor=FACTOR):
        measured = Measured(**found["measured"])
        rate, over = measured.iterations_per_second, ""
        if not FLAGS[what]:
            plain[name] = rate
        elif name in plain:
            over = f", {rate / plain[name]:.2f} times as fast"
        yield Row(
            f"{name}: 1 run, {what}: iterations/s (compiled in)",
            f"{rate:,.0f}{over} ({measured.compile_seconds:.1f} s)",
            "",
            None,
            {"flags": FLAGS[what], **measured._asdict()},
        )
