"""The tables of what a benchmark has reported with --out."""

from __future__ import annotations

from typing import Any

from parts.markdown import measured_on, table


def rows(found: dict[str, Any]) -> list[str]:
    """A line for each row, with its bar."""
    verdict = {True: "met", False: "missed", None: ""}
    lines = [
        [row["what"], row["measured"], row["bar"], verdict[row["passed"]]] for row in found["rows"]
    ]
    return [*table(["what", "measured", "bar", ""], lines), "", caption(found)]


def grid(found: dict[str, Any]) -> list[str]:
    """Rows that are called `column: line`, side by side."""
    cells: dict[str, dict[str, str]] = {}
    heads: dict[str, None] = {}
    for row in found["rows"]:
        column, _, line = row["what"].partition(": ")
        heads[column] = None
        cells.setdefault(line, {})[column] = row["measured"]
    lines = [[line, *(of.get(column, "") for column in heads)] for line, of in cells.items()]
    return [*table(["", *heads], lines), "", caption(found)]


def caption(found: dict[str, Any]) -> str:
    """What was run, and where."""
    return f"*`{found['command']}`: {measured_on(found)}.*"
