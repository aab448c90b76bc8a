"""How do mechanisms compare on games whose best outcome is known?

    python benchmarks/mechanisms.py [--parts chicken ...] [--runs FOLDER] [--seeds 0:10]
                                    [--write docs/measured/mechanisms]

Each part trains the principals of one game, and lets black boxes learn under them and under every
other mechanism, all seeds side by side: one `jaxparl train` that is resumed where it was stopped.
Rewards are exchanged, and fines are set, by the exact least number at which cooperation is an
equilibrium; the principal's contracts are learned. --write keeps what was found, one JSON file per
part, of which tables.py makes a table where a page asks for it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from parts import mechanism_tables
from parts.markdown import by_seed
from parts.resuming import train
from report_card import Row, announce, option_parser, report

from jaxparl.envs import REGISTRY, make
from jaxparl.equilibrium import solutions_of
from jaxparl.equilibrium.mechanisms import cooperation, least_fine, least_share

SCHEMES = (
    *("principal", "conditional", "pigovian", "fine", "exchange"),
    *("constant", "cooperative", "selfish"),
)


class Part(NamedTuple):
    """A game, and the preset by which its principals are trained."""

    environment: str
    preset: str


PARTS = {
    "prisoners_dilemma": Part("matrix_game", "quick"),
    "stag_hunt": Part("matrix_game", "stag_hunt"),
    "chicken": Part("matrix_game", "chicken"),
    "escape_room_2_1": Part("escape_room", "quick"),
    "escape_room_3_2": Part("escape_room", "three"),
    "commons_3": Part("commons", "quick"),
    "coin_game_2": Part("coin_game", "figure4_fast"),
    "coin_game_3": Part("coin_game", "three"),
}


def solve(part: Part) -> dict[str, float]:
    """The exact values of a game: what each mechanism needs, and what it then costs."""
    preset = REGISTRY[part.environment].presets[part.preset]
    env, env_params = make(part.environment, **vars(preset.settings))
    exact, alpha = solutions_of(env), preset.config.hyper_params.alpha
    equilibrium, unique = (
        exact.equilibrium(env_params, alpha, env_params.discount, unique=is_unique)
        for is_unique in (False, True)
    )
    found = cooperation(env, env_params)
    values = {
        "optimal_welfare": exact.optimal_welfare(env_params),
        "selfish_welfare": exact.selfish_play(env_params).welfare,
        "equilibrium_payment_share": equilibrium.payment_share,
        "unique_payment_share": unique.payment_share,
        "least_share": least_share(found),
        "least_fine": least_fine(found),
    }
    return {name: float(value) for name, value in values.items()}


def collect(part: Part, folder: Path) -> dict[str, Any]:
    """What was found of a part, exact values included."""
    config = json.loads((folder / "config.json").read_text())
    groups = json.loads((folder / "validation.json").read_text())["groups"]
    return {
        "game": part.environment,
        "preset": part.preset,
        "exact": solve(part),
        "schemes": {group["labels"]["scheme"]: by_seed(group) for group in groups},
        "machine": config["machine"],
        "versions": config["versions"],
    }


def main() -> int:
    """Runs the chosen parts."""
    parser = option_parser(__doc__, list(PARTS))
    parser.add_argument("--runs", type=Path, default=Path("runs/mechanisms"), help="where to train")
    parser.add_argument("--seeds", default="0:10", help="of each game")
    parser.add_argument("--write", type=Path, help="a folder for one JSON file per part")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.parts:
        part = PARTS[name]
        folder = train(
            options.runs / name,
            *(part.environment, "--preset", part.preset, "--seeds", options.seeds),
            *("--schemes", *SCHEMES, "--validate"),
        )
        found = collect(part, folder)
        if options.write:
            options.write.mkdir(parents=True, exist_ok=True)
            (options.write / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n")
        rows += announce(
            [
                Row(f"{name}: {scheme}", ", ".join(cells), "", None)
                for scheme, cells in mechanism_tables.cells(found).items()
            ]
        )
    return report(rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
