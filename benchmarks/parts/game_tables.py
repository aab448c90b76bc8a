"""The tables of one game: its exact values, what every seed has learned, what schemes bring."""

from __future__ import annotations

from typing import Any

from parts.markdown import (
    BySeed,
    Column,
    estimates,
    least,
    measured_on,
    number,
    ratio,
    seed_lines,
    table,
    what_a_cell_says,
)

OF_ONE = (
    Column("principal's utility", "principal_utility", ".3f"),
    Column("of the equilibrium's", "utility_ratio", ".1%"),
    Column("agent's utility", "agent_utility", ".3f"),
    Column("right recommendations", "recommendation_accuracy", ".1%"),
)
OF_MANY = (
    Column("welfare", "welfare", ".3f"),
    Column("of the best", "welfare_ratio", ".1%"),
    Column("paid", "payment_share", ".1%"),
    Column("gain by deviating", "deviation_gain", ".3f"),
    Column("of one's utility", "relative_deviation_gain", ".1%"),
)
VALIDATED = (
    Column("black boxes", "validated_welfare", ".3f"),
    Column("of the best", "validated_welfare_ratio", ".1%"),
    Column("paid", "validated_payment_share", ".1%"),
    Column("followed", "validated_followed_share", ".1%"),
)
ESTIMATED = (
    Column("welfare", "welfare", ".2f"),
    Column("payments", "payment", ".2f"),
    Column("followed", "followed_share", ".1%"),
    Column("gain by deviating", "deviation_gain", ".2f"),
)


def exact(found: dict[str, Any]) -> list[str]:
    """Its exact values."""
    values = found["exact"]
    if "optimal_welfare" not in values:
        head = ["principal's utility", "agent's", "principal's, if it may not pay"]
        names = ["principal_utility", "agent_utility", "unpaid_principal_utility"]
        return table(head, [[number(values[name]) for name in names]])
    head = ["best welfare", "of selfish play", "in equilibrium", "paid in equilibrium", "solved in"]
    names = ["optimal_welfare", "selfish_welfare", "equilibrium_welfare"]
    paid = number(values["equilibrium_payment_share"], ".2%")
    seconds = f"{values['seconds']:.0f} s"
    return table(head, [[*(number(values[name]) for name in names), paid, seconds]])


def learned(found: dict[str, Any]) -> list[str]:
    """What every seed has learned, and what black boxes make of it."""
    seeds = found["learned"]["seeds"]
    validated = validation_of(found)
    columns = OF_MANY if "welfare" in next(iter(seeds.values())) else OF_ONE
    more = VALIDATED if validated else ()
    joined = {seed: values | validated.get(seed, {}) for seed, values in seeds.items()}
    lines = table(
        ["seed", *(column.head for column in (*columns, *more))],
        seed_lines(joined, (*columns, *more)),
    )
    return [*lines, "", caption(found)]


def schemes(found: dict[str, Any]) -> list[str]:
    """What each scheme brings, by episodes."""
    by_scheme: dict[str, BySeed] = {"training, all follow": found["learned"]["seeds"]}
    by_scheme |= found["learned"]["schemes"]
    lines = [[name, *estimates(seeds, ESTIMATED)] for name, seeds in by_scheme.items()]
    how = what_a_cell_says(len(found["learned"]["seeds"]))
    return [*table(["", *(column.head for column in ESTIMATED)], lines), "", caption(found, how)]


def caption(found: dict[str, Any], how: str = "") -> str:
    """What was run where, and how long it took; and first, how a cell is to be read."""
    minutes = found["learned"]["seconds"] / 60
    start = f"{how[0].upper()}{how[1:]}. " if how else ""
    command = found["learned"]["command"]
    return f"*{start}`{command}`: {minutes:.1f} minutes, compiling included; {measured_on(found)}.*"


def validation_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What black boxes bring under the principal of each seed, with its share of the best."""
    principal = found["learned"].get("schemes", {}).get("principal", {})
    result = {}
    for seed, values in principal.items():
        share = ratio(values["welfare"], values["optimal_welfare"])
        shown = values | {"welfare_ratio": share}
        result[seed] = {f"validated_{name}": value for name, value in shown.items()}
    return result


def worst(found: dict[str, Any]) -> float:
    """The least share of the best that a seed has reached."""
    name = "welfare_ratio" if "optimal_welfare" in found["exact"] else "utility_ratio"
    return least(found["learned"]["seeds"], name)


def index(all_found: dict[str, dict[str, Any]]) -> list[str]:
    """Exact values and what was learned of all games side by side."""
    head = ["", "best welfare", "selfish", "paid in equilibrium", "learned: the worst of its seeds"]
    lines = []
    for name, found in all_found.items():
        values = found["exact"]
        cells = [
            number(values.get("optimal_welfare"), ".2f"),
            number(values.get("selfish_welfare"), ".2f"),
            number(values.get("equilibrium_payment_share"), ".1%"),
        ]
        if found["exact"]:
            learned = number(worst(found), ".1%") if "learned" in found else ""
            lines.append([f"`{name}`", *cells, learned])
    return table(head, lines)
