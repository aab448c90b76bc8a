"""What the pages of the games say: exact values, and what every seed has learned.

    python benchmarks/games.py [--parts machine ...] [--write docs/games/results]

Each part solves a game exactly. Then it runs one command, which trains a preset and, where the
preset says so, validates its principals. --write keeps what was found, one JSON file per part. The
tables in docs/games/ are made of these files. Wall-clock times are of the whole command, compiling
included. Exits with 1 if a bar is missed.
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
from parts import estimated_game
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
    "escape_room_3_2": Part("escape_room", "three", least=0.99, validated=0.99, minutes=0),
    "cleanup": Part("cleanup", "full"),
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


def by_seed(group: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """The last values of a group's metrics: seed -> name -> value; None where it is undefined."""
    names = [name for name in group["metrics"] if not name.endswith("_last_quarter")]
    return {
        str(seed): {name: group["metrics"][name]["per_run"][str(seed)] for name in names}
        for seed in group["seeds"]
    }


def measure(part: Part) -> dict[str, Any]:
    """Everything that is found of a part."""
    found = {"exact": solve(part)} | ({"learned": train(part)} if part.preset else {})
    return found | {"machine": machine(), "versions": versions()}


# --- Tables -----------------------------------------------------------------------------------


def table(head: list[str], lines: list[list[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]


def number(value: float | None, form: str = ".3f") -> str:
    """A value as it is shown; nothing where it is undefined."""
    return "" if value is None else format(value, form)


def exact_table(found: dict[str, Any]) -> list[str]:
    """The exact values."""
    exact = found["exact"]
    if "optimal_welfare" not in exact:
        head = ["principal's utility", "agent's", "principal's, if it may not pay"]
        names = ["principal_utility", "agent_utility", "unpaid_principal_utility"]
        return table(head, [[number(exact[name]) for name in names]])
    head = ["best welfare", "of selfish play", "in equilibrium", "paid in equilibrium"]
    names = ["optimal_welfare", "selfish_welfare", "equilibrium_welfare"]
    paid = number(exact["equilibrium_payment_share"], ".2%")
    return table(head, [[*(number(exact[name]) for name in names), paid]])


#: The columns of what was learned, for one agent and for several: head, metric, format.
OF_ONE = (
    ("principal's utility", "principal_utility", ".3f"),
    ("of the equilibrium's", "utility_ratio", ".1%"),
    ("agent's utility", "agent_utility", ".3f"),
    ("right recommendations", "recommendation_accuracy", ".1%"),
)
OF_MANY = (
    ("welfare", "welfare", ".3f"),
    ("of the best", "welfare_ratio", ".1%"),
    ("paid", "payment_share", ".1%"),
    ("gain by deviating", "deviation_gain", ".3f"),
    ("of one's utility", "relative_deviation_gain", ".1%"),
)
VALIDATED = (
    ("black boxes", "welfare", ".3f"),
    ("of the best", "welfare_ratio", ".1%"),
    ("paid", "payment_share", ".1%"),
    ("followed", "followed_share", ".1%"),
)


def learned_table(found: dict[str, Any]) -> list[str]:
    """What every seed has learned, and what black boxes make of it."""
    seeds = found["learned"]["seeds"]
    validated = validation_of(found)
    columns = OF_MANY if "welfare" in next(iter(seeds.values())) else OF_ONE
    more = VALIDATED if validated else ()
    lines = [
        [
            seed,
            *(number(values[name], form) for _, name, form in columns),
            *(number(validated[seed][name], form) for _, name, form in more),
        ]
        for seed, values in seeds.items()
    ]
    return table(["seed", *(head for head, *_ in (*columns, *more))], lines)


def validation_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What black boxes bring under the principal of each seed, with its share of the best."""
    principal = found["learned"].get("schemes", {}).get("principal", {})
    return {
        seed: values | {"welfare_ratio": values["welfare"] / values["optimal_welfare"]}
        for seed, values in principal.items()
        if "welfare" in values
    }


def tables(found: dict[str, Any]) -> list[str]:
    """All lines of a part's tables, as they stand in its page."""
    if not found["exact"]:
        head, *lines = estimated_game.lines(found)
        return table(head, lines)
    learned = ["", *learned_table(found)] if "learned" in found else []
    return [*exact_table(found), *learned]


# --- Bars -------------------------------------------------------------------------------------


def rows(name: str, part: Part, found: dict[str, Any]) -> list[Row]:
    """What was found beside its bars."""
    if not found["exact"]:
        return estimated_game.rows(name, found)
    seconds = found["exact"]["seconds"]
    solved = at_most(f"{name}: solved, compiling included", seconds, part.solved, "s")
    result = [solved._replace(values=found)]
    if not part.preset:
        return result
    learned = found["learned"]
    main = "welfare_ratio" if "optimal_welfare" in found["exact"] else "utility_ratio"
    worst = min(values[main] or 0.0 for values in learned["seeds"].values())
    result.append(
        at_least(f"{name}: the worst of {len(learned['seeds'])} seeds", worst, part.least)
    )
    if part.validated:
        worst = min(values["welfare_ratio"] for values in validation_of(found).values())
        result.append(at_least(f"{name}: black boxes, the worst seed", worst, part.validated))
    command = f"{name}: {learned['command']}"
    return [*result, at_most(command, learned["seconds"] / 60, part.minutes, "min")]


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
        print("\n".join(["", name, "", *tables(found)]), flush=True)
        if options.write:
            path = options.write / f"{name}.json"
            path.write_text(json.dumps(found, indent=2) + "\n")
    return report(result, options.out)


if __name__ == "__main__":
    sys.exit(main())
