"""The table of mechanisms: what black boxes bring under each of them, beside exact values."""

from __future__ import annotations

from typing import Any

import numpy as np

from parts.markdown import BySeed, by_seed, estimate_of, measured_on, table, what_a_cell_says

__all__ = ["by_seed", "cells", "mechanisms"]

HEAD = (
    *("", "welfare, of the best", "worst seed", "paid, of the welfare", "over the equilibrium's"),
    *("followed", "gain by deviating"),
)


def cells(found: dict[str, Any]) -> dict[str, list[str]]:
    """Of each scheme what its line says, by name."""
    least = found["exact"]["equilibrium_payment_share"]
    return {name: _line(seeds, least) for name, seeds in found["schemes"].items()}


def _line(seeds: BySeed, least: float) -> list[str]:
    def of(metric: str) -> np.ndarray:
        values = [values.get(metric) for values in seeds.values()]
        return np.array([np.nan if value is None else value for value in values], float)

    welfare, paid = of("welfare") / of("optimal_welfare"), of("payment_share")
    gain = of("best_response_over_following") - 1
    over = paid / least if least > 1e-3 else np.full_like(paid, np.nan)
    return [
        estimate_of(welfare, ".1%"),
        f"{np.nan_to_num(welfare).min():.1%}",
        estimate_of(known(paid), ".1%"),
        estimate_of(known(over), ".2f"),
        estimate_of(known(of("followed_share")), ".1%"),
        estimate_of(known(gain), ".2%"),
    ]


def known(values: np.ndarray) -> np.ndarray:
    """Those that are defined."""
    return values[np.isfinite(values)]


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
        f"{exact['equilibrium_payment_share']:.1%}, and {exact['unique_payment_share']:.1%} where "
        f"nothing else is one; cooperation takes a share of {exact['least_share']:.3f}, or a fine "
        f"of {exact['least_fine']:.3f}. {says[0].upper()}{says[1:]}; {measured_on(found)}.*",
    ]
