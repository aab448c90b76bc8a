"""The pages of the games say what the benchmark has found, and that meets its bars."""

import dataclasses
import json
from pathlib import Path

import pytest
from benchmark_imports import importing_benchmarks

from jaxparl.envs import REGISTRY

PAGES = Path(__file__).parents[1] / "docs" / "games"
GAMES = sorted(page for page in PAGES.glob("*.md") if page.name != "README.md")

with importing_benchmarks() as benchmark:
    games = benchmark("games")


def found_of(name):
    return json.loads((PAGES / "results" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", games.PARTS)
def test_a_page_has_the_tables_that_are_made_of_what_was_found(name):
    page = (PAGES / f"{games.PARTS[name].environment}.md").read_text()
    for table in "\n".join(games.tables(found_of(name))).split("\n\n"):
        assert f"\n{table}\n" in page


@pytest.mark.parametrize("name", games.PARTS)
def test_what_was_found_meets_its_bars_and_is_of_todays_preset(name):
    part, found = games.PARTS[name], found_of(name)
    missed = [row.what for row in games.rows(name, part, found) if row.passed is False]
    assert not missed
    if part.preset:
        preset = REGISTRY[part.environment].presets[part.preset]
        first, last = preset.seeds.split(":")
        assert list(found["learned"]["seeds"]) == [str(s) for s in range(int(first), int(last))]
        assert found["learned"]["iterations"] == preset.config.iterations


def test_every_file_of_results_is_of_a_part():
    assert {path.stem for path in (PAGES / "results").glob("*.json")} == set(games.PARTS)


@pytest.mark.parametrize("page", GAMES, ids=lambda page: page.stem)
def test_a_page_names_all_settings_and_params_of_its_game(page):
    entry, text = REGISTRY[page.stem], page.read_text()
    settings = entry.settings()
    params = vars(entry.environment(settings).default_params)
    names = {*(field.name for field in dataclasses.fields(settings)), *params}
    # A time limit that only cuts off episodes of training is mentioned in words.
    names -= {"max_steps_in_episode"}
    assert not [name for name in sorted(names) if f"--{name.replace('_', '-')}" not in text]


def test_the_index_names_every_page():
    index = (PAGES / "README.md").read_text()
    assert not [page.name for page in GAMES if f"]({page.name})" not in index]
