"""Writes the tables of the docs anew, from what was measured.

    python benchmarks/tables.py [--keep RUN_FOLDER ...] [--check]

A table stands in a page between `<!-- table: KIND NAME ... -->` and `<!-- end -->`, and is made of
the files called NAME in docs/measured/. games/, mechanisms/ and fronts/ hold what the benchmarks of
these names write with --write, cards/ what any benchmark writes with --out, and runs/ what --keep
copies of finished run folders, with their figures drawn again. --check changes nothing, and exits
with 1 if a page would change.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parts import card_tables, front_tables, game_tables, mechanism_tables, run_tables

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MEASURED = DOCS / "measured"
MARKED = re.compile(r"(<!-- table: (\S+)((?: \S+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def game(name: str) -> dict[str, Any]:
    """What was found of a game."""
    return json.loads((MEASURED / "games" / f"{name}.json").read_text())


def card(name: str) -> dict[str, Any]:
    """What a benchmark has reported."""
    return json.loads((MEASURED / "cards" / f"{name}.json").read_text())


def mechanism(name: str) -> dict[str, Any]:
    """What was found of all mechanisms on a game."""
    return json.loads((MEASURED / "mechanisms" / f"{name}.json").read_text())


def front(name: str) -> dict[str, Any]:
    """What a margin costs and brings."""
    return json.loads((MEASURED / "fronts" / f"{name}.json").read_text())


def run(name: str) -> Path:
    """The folder of kept runs."""
    return MEASURED / "runs" / name


#: How each kind of table is made of the names that stand beside it.
KINDS: dict[str, Callable[..., list[str]]] = {
    "exact": lambda name: game_tables.exact(game(name)),
    "learned": lambda name: game_tables.learned(game(name)),
    "schemes": lambda name: game_tables.schemes(game(name)),
    "games": lambda *names: game_tables.index({name: game(name) for name in names}),
    "trees": lambda name: run_tables.trees(run(name)),
    "trees_overview": lambda *names: run_tables.trees_overview([run(name) for name in names]),
    "training": lambda name: run_tables.training(run(name)),
    "validation": lambda name: run_tables.validation(run(name)),
    "front": lambda *names: run_tables.front(*(run(name) for name in names)),
    "course": lambda name: run_tables.course(run(name)),
    "boards_overview": lambda *names: run_tables.boards_overview([run(name) for name in names]),
    "mechanisms": lambda name: mechanism_tables.mechanisms(mechanism(name)),
    "nudges": lambda name: front_tables.nudges(front(name)),
    "alphas": lambda name: front_tables.alphas(front(name)),
    "card": lambda name: card_tables.rows(card(name)),
    "grid": lambda name: card_tables.grid(card(name)),
}


def filled(text: str) -> str:
    """A page with its tables made anew."""

    def fill(found: re.Match[str]) -> str:
        lines = KINDS[found[2]](*found[3].split())
        return "\n".join([found[1], *lines, "", found[4]])

    return MARKED.sub(fill, text)


def keep(folder: Path) -> None:
    """Copies what the tables need of a finished run, and redraws its figures there."""
    # Only this imports figures, and with them the whole of jaxparl.
    from jaxparl.experiment.show import show

    target = run(folder.name)
    target.mkdir(parents=True, exist_ok=True)
    for name in run_tables.KEPT:
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
    show([target])


def main() -> int:
    """Fills all pages, or says which of them would change."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", nargs="+", type=Path, default=[], help="finished run folders")
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    for folder in options.keep:
        keep(folder)
    changed = []
    for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md"))):
        text = page.read_text()
        if filled(text) != text:
            changed.append(str(page.relative_to(ROOT)))
            if not options.check:
                page.write_text(filled(text))
    print("\n".join(changed) or "all tables are as measured")
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
