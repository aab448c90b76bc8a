"""Who imports whom: the rules in pyproject.toml hold, and are those that CONTRIBUTING.md shows."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVS = ROOT / "envs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RULES = {rule["id"]: rule for rule in PROJECT["tool"]["importlinter"]["contracts"]}
NAMES = {rule["name"] for rule in RULES.values()}
COLOUR = re.compile(r"\x1b\[\d+m")
# The vocabulary, which every room may import.
VOCABULARY = {"types", "numbers", "summaries", "config", "run_options", "exact", "environment"}


@pytest.fixture
def installed(tmp_path):
    """A copy of the package as it is installed, where envs/ is a part of it."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "jaxparl", tmp_path / "jaxparl", ignore=ignored)
    shutil.copytree(ENVS, tmp_path / "jaxparl" / "envs", ignore=ignored)
    # Import-linter finds its rules there, whatever its version calls the option.
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken(folder: Path) -> set[str]:
    """The names of the rules that the package in a folder breaks, by import-linter."""
    call = "from importlinter.cli import lint_imports_command as lint; lint()"
    command = [sys.executable, "-c", call, "--no-cache"]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    shown = COLOUR.sub("", shown)
    assert re.search(r"Contracts: \d+ kept, \d+ broken", shown), shown
    found = re.findall(r"^(.*) (?:KEPT|BROKEN)$", shown, re.MULTILINE)
    assert set(found) == NAMES
    return set(re.findall(r"^(.*) BROKEN$", shown, re.MULTILINE))


def test_every_room_imports_only_what_it_may(installed):
    assert broken(installed) == set()


def test_whatever_breaks_a_rule_is_found(installed):
    wrong = "import jaxparl.envs, jaxparl.training, matplotlib, orbax, rich, tyro\n"
    (installed / "jaxparl" / "contracts" / "wrong.py").write_text(wrong)
    assert broken(installed) == NAMES


def test_the_contributing_guide_shows_the_same_floors():
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    shown = {room: int(floor) for floor, cell in rows for room in re.findall(r"`(\w+)/?`", cell)}
    layers = [line.replace("|", " ").split() for line in RULES["rooms"]["layers"]]
    order = [room for layer in layers for room in layer]
    assert set(shown) == set(order)
    assert [shown[room] for room in order] == sorted(shown.values(), reverse=True)
    for layer in layers:
        assert len({shown[room] for room in layer}) == 1


def imports(source: str) -> set[str]:
    """The dotted names that a source imports; `from a import b` counts as `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import jaxparl.learning.ring as ring", {"jaxparl.learning.ring"}),
        ("from jaxparl import types, config", {"jaxparl.types", "jaxparl.config"}),
        ("def plot():\n    import matplotlib.pyplot", {"matplotlib.pyplot"}),
    ],
)
def test_the_reader_sees_every_kind_of_import(source, names):
    assert imports(source) == names
    with pytest.raises(AssertionError, match="absolute"):
        imports("from . import ring")


def strangers(source: str, own: str) -> set[str]:
    """What a file of an environment imports of jaxparl, and is not its own."""
    ours = {name.removeprefix("jaxparl.") for name in imports(source) if name[:8] == "jaxparl."}
    allowed = (f"envs.{own}", "envs.registry", *VOCABULARY)
    return {name for name in ours if not f"{name}.".startswith(tuple(f"{a}." for a in allowed))}


def test_a_stranger_among_the_imports_of_an_environment_is_found():
    source = "from jaxparl.envs import chess, go\nfrom jaxparl.types import Offer"
    assert strangers(source, "chess") == {"envs.go"}
    assert strangers("import jaxparl.contracts", "chess") == {"contracts"}


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(ENVS.rglob("*.py")) if path.parent != ENVS or path.stem[0] != "_"],
    ids=lambda path: str(path.relative_to(ENVS)),
)
def test_an_environment_imports_only_the_vocabulary_and_its_own_parts(path):
    own = path.relative_to(ENVS).parts[0].removesuffix(".py")
    assert strangers(path.read_text(), own) == set()


def test_all_imports_are_absolute():
    folders = ("jaxparl", "envs", "tests", "benchmarks")
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        imports(path.read_text())
