"""The tables of the docs are made of what was measured, and what was measured meets its bars."""

import dataclasses
import re
from pathlib import Path

import pytest
from benchmark_imports import importing_benchmarks

from jaxparl.envs import REGISTRY

DOCS = Path(__file__).parents[1] / "docs"
GAMES = sorted((DOCS / "games").glob("*.md"))
PAGES = (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md")))
MARKED = [page for page in PAGES if "<!-- table: " in page.read_text()]

with importing_benchmarks() as benchmark:
    games, tables = benchmark("games"), benchmark("tables")


@pytest.mark.parametrize("page", MARKED, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_the_tables_of_a_page_are_made_of_what_was_measured(page):
    assert tables.filled(page.read_text()) == page.read_text()


@pytest.mark.parametrize("page", GAMES, ids=lambda page: page.stem)
def test_no_measured_table_of_a_game_is_typed(page):
    typed = tables.MARKED.sub("", page.read_text())
    assert not re.search(r"^\|.*\d+\.\d+%", typed, re.MULTILINE)


@pytest.mark.parametrize("name", games.PARTS)
def test_what_was_found_meets_its_bars_and_is_of_todays_preset(name):
    part, found = games.PARTS[name], tables.game(name)
    missed = [row.what for row in games.rows(name, part, found) if row.passed is False]
    assert not missed
    if part.preset:
        preset = REGISTRY[part.environment].presets[part.preset]
        first, last = preset.seeds.split(":")
        assert list(found["learned"]["seeds"]) == [str(s) for s in range(int(first), int(last))]
        assert found["learned"]["iterations"] == preset.config.iterations


def test_every_file_that_was_measured_is_in_a_table():
    named = " ".join(re.findall(r"<!-- table: \S+ (.*?) -->", "".join(map(Path.read_text, MARKED))))
    kept = {path.stem for path in (DOCS / "measured").glob("*/*") if path.suffix in ("", ".json")}
    assert kept == set(named.split())


@pytest.mark.parametrize("page", GAMES, ids=lambda page: page.stem)
def test_a_page_names_all_settings_and_params_of_its_game(page):
    entry, text = REGISTRY[page.stem], page.read_text()
    settings = entry.settings()
    params = vars(entry.environment(settings).default_params)
    names = {*(field.name for field in dataclasses.fields(settings)), *params}
    # A time limit that only cuts off episodes of training is mentioned in words.
    names -= {"max_steps_in_episode"}
    assert not [name for name in sorted(names) if f"--{name.replace('_', '-')}" not in text]
