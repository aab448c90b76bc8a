"""What the pages of the games say: exact values, and what every seed has learned.

    python benchmarks/games.py [--parts machine ...] [--write docs/measured/games]

Each part solves a game exactly. Then it runs one command, which trains a preset and, where the
preset says so, validates its principals. --write keeps what was found, one JSON file per part, of
which tables.py makes the tables in docs/games/. Wall-clock times are of the whole command,
compiling included. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from parts import game_tables
from parts.markdown import by_seed, interval, least, values_of
from report_card import Row, announce, option_parser, report

from jaxparl.environment import Environment, GameParams
from jaxparl.envs import REGISTRY, make
from jaxparl.equilibrium import solutions_of, stationary_response, value_iteration
from jaxparl.experiment.provenance import machine, versions

ROOT = Path(__file__).parents[1]


class Part(NamedTuple):
    """A game, and how it is trained.

    Attributes:
      environment: its name.
      preset: what is trained, with its settings; empty where the game is only solved.
      least: the share of the exact best that every seed has to reach in training.
      validated: the same of black boxes under the principal; 0 where there is no bar.
      solved: the seconds in which it has to be solved; 0 where there is no bar.
      minutes: those that the command may take; 0 where there is no bar.
      settings: of the game, where there is no preset.
    """

    environment: str
    preset: str = "quick"
    least: float = 0.98
    validated: float = 0.0
    solved: float = 0.0
    minutes: float = 2.0
    settings: dict[str, Any] = {}  # noqa: RUF012


PARTS = {
    "machine": Part("machine"),
    "prisoners_dilemma": Part("matrix_game"),
    "stag_hunt": Part("matrix_game", "stag_hunt"),
    "chicken": Part("matrix_game", "chicken"),
    "commons_3": Part("commons"),
    "commons_5": Part("commons", "five"),
    "escape_room_2_1": Part("escape_room", least=0.99, validated=0.99),
    "escape_room_3_2": Part("escape_room", "three", least=0.99, validated=0.99),
    "cleanup": Part("cleanup", "full", minutes=30),
    "coin_game_3": Part("coin_game", "three", least=0.97, solved=60, minutes=0),
    "coin_game_4": Part(
        "coin_game",
        preset="",
        settings={
            "grid_size": 3,
            "max_steps_in_episode": 20,
            "num_agents": 4,
            "view": "centred",
        },
    ),
}


def settings_of(part: Part) -> dict[str, Any]:
    """The settings of its game."""
    if not part.preset:
        return part.settings
    return dataclasses.asdict(REGISTRY[part.environment].presets[part.preset].settings)


def solve(part: Part) -> dict[str, float]:
    """The exact values of its game, and the seconds that they took, compiling included.

    Of a game without a table there are none.
    """
    env, env_params = make(part.environment, **settings_of(part))
    if env.exact is None:
        return {}
    alpha = 0.1
    if part.preset:
        alpha = REGISTRY[part.environment].presets[part.preset].config.hyper_params.alpha
    before = time.perf_counter()
    values = of_one(env, env_params) if env.num_agents == 1 else of_many(env, env_params, alpha)
    found = {name: float(value) for name, value in values.items()}
    return found | {"seconds": time.perf_counter() - before}


def of_one(env: Environment, env_params: GameParams) -> dict[str, jax.Array]:
    """The equilibrium of a game of one agent that has no horizon, and what nobody pays for."""
    table, start = env.tabular(env_params), env.start_probs(env_params)
    solution = value_iteration(table)
    size, num_outcomes = table.principal_reward.shape
    unpaid = stationary_response(table, jnp.zeros((size, num_outcomes)), jnp.zeros(size, int))
    return {
        "principal_utility": start @ solution.principal_value,
        "agent_utility": start @ solution.agent_value,
        "unpaid_principal_utility": start @ unpaid.principal_value,
    }


def of_many(env: Environment, env_params: GameParams, alpha: float) -> dict[str, jax.Array]:
    """The best welfare, that of selfish play, and the equilibrium of the paper's objective."""
    exact = solutions_of(env)
    equilibrium = exact.equilibrium(env_params, alpha, env_params.discount)
    return {
        "alpha": jnp.asarray(alpha),
        "optimal_welfare": exact.optimal_welfare(env_params),
        "selfish_welfare": exact.selfish_play(env_params).welfare,
        "equilibrium_welfare": equilibrium.welfare,
        "equilibrium_payment_share": equilibrium.payment_share,
    }


def train(part: Part) -> dict[str, Any]:
    """Runs the command of a part; returns what every seed has learned, and how long it took."""
    command = ["train", part.environment, "--preset", part.preset]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        before = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "jaxparl", *command, "--out", str(out)],
            check=True,
            stdout=sys.stderr,
            env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
        )
        seconds = time.perf_counter() - before
        summary = json.loads((out / "summary.json").read_text())
        validation = out / "validation.json"
        found = {
            "command": f"jaxparl {' '.join(command)}",
            "seconds": seconds,
            "timing": summary["timing"],
            "iterations": REGISTRY[part.environment].presets[part.preset].config.iterations,
            "seeds": by_seed(summary["groups"][0]),
        }
        if validation.exists():
            groups = json.loads(validation.read_text())["groups"]
            found["schemes"] = {group["labels"]["scheme"]: by_seed(group) for group in groups}
    return found


def measure(part: Part) -> dict[str, Any]:
    """Everything that is found of a part."""
    found = {"exact": solve(part)} | ({"learned": train(part)} if part.preset else {})
    return found | {"machine": machine(), "versions": versions()}


# --- Bars -------------------------------------------------------------------------------------


def rows(name: str, part: Part, found: dict[str, Any]) -> list[Row]:
    """What was found beside its bars."""
    if not found["exact"]:
        return estimated_rows(name, part, found)
    seconds = found["exact"]["seconds"]
    solved = at_most(f"{name}: solved, compiling included", seconds, part.solved, "s")
    result = [solved._replace(values=found)]
    if not part.preset:
        return result
    learned = found["learned"]
    worst = game_tables.worst(found)
    result.append(
        at_least(f"{name}: the worst of {len(learned['seeds'])} seeds", worst, part.least)
    )
    if part.validated:
        boxes = game_tables.validation_of(found)
        worst = least(boxes, "validated_welfare_ratio")
        result.append(at_least(f"{name}: black boxes, the worst seed", worst, part.validated))
    command = f"{name}: {learned['command']}"
    return [*result, at_most(command, learned["seconds"] / 60, part.minutes, "min")]


def estimated_rows(name: str, part: Part, found: dict[str, Any]) -> list[Row]:
    """The same of a game without a table: better than without a principal, and in time."""
    learned = found["learned"]
    principal, selfish, cooperative = (
        interval(values_of(learned["schemes"][scheme], "welfare"))
        for scheme in ("principal", "selfish", "cooperative")
    )
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
        at_most(f"{name}: {learned['command']}", learned["seconds"] / 60, part.minutes, "min"),
    ]


def at_most(what: str, value: float, bar: float, unit: str) -> Row:
    """A row with an upper bar, unless that is 0."""
    rule = f"<= {bar:g} {unit}" if bar else ""
    return Row(what, f"{value:.2f} {unit}", rule, value <= bar if bar else None)


def at_least(what: str, value: float, bar: float) -> Row:
    """A row with a lower bar."""
    return Row(what, f"{value:.4f}", f">= {bar:g}", value >= bar)


def main() -> int:
    """Measures the parts, and writes their files."""
    parser = option_parser(__doc__ or "", list(PARTS))
    parser.add_argument("--write", type=Path, help="a folder for one JSON file per part")
    options = parser.parse_args()
    result = []
    for name in options.parts:
        found = measure(PARTS[name])
        result += announce(rows(name, PARTS[name], found))
        if options.write:
            path = options.write / f"{name}.json"
            path.write_text(json.dumps(found, indent=2) + "\n")
    return report(result, options.out)


if __name__ == "__main__":
    sys.exit(main())
