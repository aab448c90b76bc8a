"""What the page of a game without a table says: estimates by episodes, with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from report_card import Row

from jaxparl.experiment.statistics import estimate

MINUTES_BAR = 30.0
#: The columns: head, metric, format.
COLUMNS = (
    ("welfare", "welfare", ".2f"),
    ("payments", "payment", ".2f"),
    ("followed", "followed_share", ".1%"),
    ("gain by deviating", "deviation_gain", ".2f"),
)


def lines(found: dict[str, Any]) -> list[list[str]]:
    """The head and the lines of a table: what each scheme brings."""
    learned = found["learned"]
    trained = {"training, all follow": learned["seeds"]}
    schemes = [[name, *cells(seeds)] for name, seeds in (trained | learned["schemes"]).items()]
    return [["", *(head for head, *_ in COLUMNS)], *schemes]


def cells(seeds: dict[str, dict[str, float | None]]) -> list[str]:
    """The metrics of one scheme, `1.2 (1.1 to 1.3)`; empty where a metric is undefined."""
    found = []
    for _, name, form in COLUMNS:
        values = values_of(seeds, name)
        ends = interval(values) if len(values) else ()
        centre, *rest = (format(end, form) for end in ends) if ends else ("",)
        found.append(f"{centre} ({' to '.join(rest)})" if rest else centre)
    return found


def values_of(seeds: dict[str, dict[str, float | None]], name: str) -> np.ndarray:
    """A metric of all seeds that have it."""
    values = [values.get(name) for values in seeds.values()]
    return np.array([value for value in values if value is not None], float)


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Interquartile mean of the seeds, and its 95% interval."""
    found = estimate(values[:, None])
    return found.centre.item(), found.low.item(), found.high.item()


def rows(name: str, found: dict[str, Any]) -> list[Row]:
    """What was found beside its bars: better than without a principal, and in time."""
    learned = found["learned"]
    principal, selfish, cooperative = (
        interval(values_of(learned["schemes"][scheme], "welfare"))
        for scheme in ("principal", "selfish", "cooperative")
    )
    minutes = learned["seconds"] / 60
    return [
        Row(
            f"{name}: welfare under the principal, lower end",
            f"{principal[1]:.2f}",
            f"> {selfish[2]:.2f}, selfish, upper end",
            principal[1] > selfish[2],
            found,
        ),
        Row(
            f"{name}: the same over that of cooperative agents",
            f"{principal[0] / cooperative[0]:.1%}",
            "",
            None,
        ),
        Row(
            f"{name}: {learned['command']}",
            f"{minutes:.1f} min",
            f"<= {MINUTES_BAR:g} min",
            minutes <= MINUTES_BAR,
        ),
    ]
