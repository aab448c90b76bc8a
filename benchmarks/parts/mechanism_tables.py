"""The table of mechanisms: what black boxes bring under each of them, beside exact values."""

from __future__ import annotations

from typing import Any

from parts.markdown import (
    BySeed,
    estimate_of,
    known,
    measured_on,
    ratio,
    table,
    values_of,
    what_a_cell_says,
    worst,
)

#: Where no principal pays anything: agents do, or, where all cooperate, nobody.
UNPAID = ("pigovian", "fine", "exchange", "selfish")
# With less in the equilibrium, ratios to it say nothing.
LEAST_PAID = 1e-3

HEAD = (
    *("", "welfare, of the best", "worst seed", "paid, of the welfare", "over the equilibrium's"),
    *("followed", "gain by deviating"),
)


def cells(found: dict[str, Any]) -> dict[str, list[str]]:
    """Of each scheme what its line says, by name."""
    least = found["exact"]["equilibrium_payment_share"]
    return {name: _line(name, seeds, least) for name, seeds in found["schemes"].items()}


def _line(name: str, seeds: BySeed, least: float) -> list[str]:
    welfare = [
        ratio(values.get("welfare"), values.get("optimal_welfare")) for values in seeds.values()
    ]
    paid = values_of(seeds if name not in UNPAID else {}, "payment_share")
    return [
        estimate_of(known(welfare), ".1%"),
        f"{worst(welfare):.1%}",
        estimate_of(paid, ".1%"),
        estimate_of(paid / least, ".2f") if least > LEAST_PAID else "",
        estimate_of(values_of(seeds, "followed_share"), ".1%"),
        estimate_of(values_of(seeds, "best_response_over_following") - 1, ".2%"),
    ]


def mechanisms(found: dict[str, Any]) -> list[str]:
    """The lines of one game, and below them what is exact."""
    lines = [[f"`{name}`", *cells] for name, cells in cells(found).items()]
    exact = found["exact"]
    count = len(next(iter(found["schemes"].values())))
    says = what_a_cell_says(count)
    return [
        *table(HEAD, lines),
        "",
        f"*Exact: best welfare {exact['optimal_welfare']:.3f}, selfish "
        f"{exact['selfish_welfare']:.3f}; the equilibrium pays "
        f"{exact['equilibrium_payment_share']:.1%}, and {exact['unique_payment_share']:.1%} is "
        f"enough to be sure; cooperation takes a share of {exact['least_share']:.3f}, or a fine of "
        f"{exact['least_fine']:.3f}. Payments are a principal's: there are none where cells are "
        f"empty. {says[0].upper()}{says[1:]}; {measured_on(found)}.*",
    ]
