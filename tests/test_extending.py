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
(PRINTED,) = blocks("extending.md", "")[:1]
SHORT = ("--iterations", "400", "--evaluation-interval", "200", "--replay-capacity", "4000")


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


def test_the_exact_values_are_those_that_the_page_prints(folder):
    assert python(folder, "-c", EXACT) == PRINTED


def test_the_command_trains_and_audits_the_game(folder):
    python(folder, "-m", "jaxparl", "train", "./bridge.py:Bridge", *SHORT, "--out", "run")
    summary = json.loads((folder / "run" / "summary.json").read_text())
    (group,) = summary["groups"]
    assert group["metrics"]["optimal_welfare"]["mean"] == pytest.approx(9, abs=1e-3)
    assert (folder / "run" / "figure.png").exists()


def test_a_game_of_gymnax_is_wrapped(folder):
    assert python(folder, "-c", GYMNAX) == "[] False\n"


def test_a_game_of_jaxmarl_is_wrapped_where_it_is_installed(folder):
    pytest.importorskip("jaxmarl", reason="JaxMARL is not installed: pip install jaxparl[jaxmarl]")
    *_, printed = python(folder, "-c", JAXMARL).splitlines()
    agents = [f"'adversary_{number}'" for number in range(3)]
    assert printed == f"[{', '.join(agents)}, 'agent_0'] (16,)"


def test_progress_can_be_logged(folder):
    lines = python(folder, "-c", LOGGING).splitlines()
    assert [line.split()[0] for line in lines] == ["400", "800"]
