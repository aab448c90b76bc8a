"""Writes the tables of the docs anew, from what was measured.

    python benchmarks/tables.py [--check]

A table stands in a page between `<!-- table: KIND NAME ... -->` and `<!-- end -->`, and is made of
the files called NAME in docs/measured/games/, which benchmarks/games.py writes with --write.
--check changes nothing, and exits with 1 if a page would change.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parts import game_tables

DOCS = Path(__file__).parents[1] / "docs"
MEASURED = DOCS / "measured"
MARKED = re.compile(r"(<!-- table: (\S+)((?: \S+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def game(name: str) -> dict[str, Any]:
    """What was found of a game."""
    return json.loads((MEASURED / "games" / f"{name}.json").read_text())


#: How each kind of table is made of the names that stand beside it.
KINDS: dict[str, Callable[..., list[str]]] = {
    "exact": lambda name: game_tables.exact(game(name)),
    "learned": lambda name: game_tables.learned(game(name)),
    "schemes": lambda name: game_tables.schemes(game(name)),
    "games": lambda *names: game_tables.index({name: game(name) for name in names}),
}


def filled(text: str) -> str:
    """A page with its tables made anew."""

    def fill(found: re.Match[str]) -> str:
        lines = KINDS[found[2]](*found[3].split())
        return "\n".join([found[1], *lines, "", found[4]])

    return MARKED.sub(fill, text)


def main() -> int:
    """Fills all pages, or says which of them would change."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    changed = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        if filled(text) != text:
            changed.append(str(page.relative_to(DOCS)))
            if not options.check:
                page.write_text(filled(text))
    print("\n".join(changed) or "all tables are as measured")
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
