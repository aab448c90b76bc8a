"""The code of docs/extending.md and docs/wrapped_games.md does what the pages say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page, kind):
    found = re.findall(r"```(\w*)\n(.*?)```", (DOCS / page).read_text(), re.S)
    return [text for kind_of, text in found if kind_of == kind]


GAME, EXACT, LOGGING = blocks("extending.md", "python")
GYMNAX, JAXMARL = blocks("wrapped_games.md", "python")
PRINTED, COMMANDS, GOING_ON = blocks("extending.md", "")
CHECK, TRAIN, HELP, SWEEP, PLAN, LONGER = [*COMMANDS.splitlines(), *GOING_ON.splitlines()]
SHORT = ("--iterations", "400", "--evaluation-interval", "200", "--replay-capacity", "4000")
#: Of what the page says, what would take too long, and what takes its place.
SHORTER = {"0:5": "0:1", "0:1000": "0:2", "40000": "800"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("extending")
    (place / "bridge.py").write_text(GAME)
    return place


def python(folder, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def follow(folder, command, *options):
    """Runs a command of the page in a shorter form; returns what it prints."""
    program, name, game, *rest = command.split("#")[0].split()
    short = () if name == "check" else SHORT
    rest = [SHORTER.get(word, word) for word in rest]
    return python(folder, "-m", program, name, game, *short, *rest, *options)


def test_the_exact_values_are_those_that_the_page_prints(folder):
    assert python(folder, "-c", EXACT) == PRINTED


@pytest.mark.slow
def test_the_command_trains_and_audits_the_game(folder):
    follow(folder, TRAIN, "--out", "run")
    summary = json.loads((folder / "run" / "summary.json").read_text())
    (group,) = summary["groups"]
    assert group["metrics"]["optimal_welfare"]["mean"] == pytest.approx(9, abs=1e-3)
    assert (folder / "run" / "figure.png").exists()


def test_the_game_is_found_to_be_right_and_its_params_are_options(folder):
    assert "nothing is wrong" in follow(folder, CHECK)
    assert "--jam" in follow(folder, HELP)


@pytest.mark.slow
def test_the_sweep_is_planned_and_goes_on_for_more_iterations(folder):
    follow(folder, SWEEP)
    assert "runs that fit" in follow(folder, PLAN)
    follow(folder, LONGER)
    recorded = json.loads((folder / "runs" / "jam" / "config.json").read_text())
    assert (recorded["extended_after"], recorded["config"]["iterations"]) == ([400], 800)
    assert [run["jam"] for run in recorded["runs"]] == [0.1, 0.3, 0.45]


def test_a_game_of_gymnax_is_wrapped(folder):
    assert python(folder, "-c", GYMNAX) == "[] False\n"


def test_a_game_of_jaxmarl_is_wrapped_where_it_is_installed(folder):
    pytest.importorskip("jaxmarl", reason="JaxMARL is not installed: pip install jaxparl[jaxmarl]")
    *_, printed = python(folder, "-c", JAXMARL).splitlines()
    agents = [f"'adversary_{number}'" for number in range(3)]
    assert printed == f"[{', '.join(agents)}, 'agent_0'] (16,)"


@pytest.mark.slow
def test_progress_can_be_logged(folder):
    lines = python(folder, "-c", LOGGING).splitlines()
    assert [line.split()[0] for line in lines] == ["400", "800"]
