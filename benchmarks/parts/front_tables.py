"""The tables of what a margin costs and what it buys, exact and learned."""

from __future__ import annotations

from typing import Any

from parts.markdown import estimate_of, known, measured_on, table, what_a_cell_says, worst

#: What was found with one setting; of lists, one value a seed, None where it is undefined.
Point = dict[str, Any]


def nudges(found: dict[str, Any]) -> list[str]:
    """A line for every nudge, uniform and in proportion: what it costs, and what is followed."""
    head = ("nudge", "", "exactly paid", "welfare", "paid: all follow", "welfare", "paid")
    followed, boxes = (
        {_setting(point): point for point in found[kind]} for kind in ("followed", "black boxes")
    )
    lines = []
    for scale, points in found["exact"].items():
        for point in points:
            key = point["nudge"], float(scale)
            lines.append(
                [
                    f"{point['nudge']:g}",
                    f"in proportion, up to {scale}" if float(scale) else "uniform",
                    f"{point['paid']:.1%}",
                    f"{point['welfare']:.1%}",
                    estimate_of(known(followed[key]["paid"]), ".1%"),
                    _and_worst(boxes[key]["welfare"]),
                    estimate_of(known(boxes[key]["paid"]), ".1%"),
                ]
            )
    return [*table(head, lines), "", _caption(found)]


def alphas(found: dict[str, Any]) -> list[str]:
    """A line for every alpha, a column for every nudge: welfare and payments when all follow."""
    points = {
        (point["labels"]["alpha"], point["labels"]["nudge"]): point for point in found["followed"]
    }
    all_nudges = sorted({nudge for _, nudge in points})
    exact = {(point["alpha"], point["nudge"]): point for point in found["exact"]}
    lines = []
    for alpha in sorted({alpha for alpha, _ in points}):
        cells = []
        for nudge in all_nudges:
            here, least = points[alpha, nudge], exact[alpha, nudge]
            cells.append(
                f"{mean_of(here['welfare'])} ({least['welfare']:.1%}), "
                f"{mean_of(here['paid'])} ({least['paid']:.1%})"
            )
        lines.append([f"{alpha:g}", *cells])
    head = ("alpha", *(f"nudge {nudge:g}" for nudge in all_nudges))
    return [*table(head, lines), "", _caption(found)]


def _setting(point: Point) -> tuple[float, float]:
    return point["labels"]["nudge"], point["labels"]["nudge_scale"]


def _and_worst(welfare: list[float | None]) -> str:
    return f"{estimate_of(known(welfare), '.1%')}; worst {worst(welfare):.1%}"


def mean_of(values: list[float | None]) -> str:
    """The mean of the seeds that have a value."""
    found = known(values)
    return f"{found.mean():.1%}" if len(found) else "-"


def _caption(found: dict[str, Any]) -> str:
    says = what_a_cell_says(len(found["followed"][0]["welfare"]))
    return f"*{says[0].upper()}{says[1:]}; `{found['command']}`; {measured_on(found)}.*"
