"""The pages of the games say what the benchmark has found, and that meets its bars."""

import json
from pathlib import Path

import pytest
from benchmark_imports import importing_benchmarks

from jaxparl.envs import REGISTRY

PAGES = Path(__file__).parents[1] / "docs" / "games"

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


def test_every_page_names_all_settings_and_params_of_its_game():
    for page in PAGES.glob("*.md"):
        text = page.read_text()
        entry = REGISTRY[page.stem]
        env = entry.environment(entry.settings())
        numbers = set(vars(env.default_params)) - {"max_steps_in_episode"}
        if page.stem != "coin_game":
            assert not [name for name in numbers if name.replace("_", "-") not in text], page.stem
