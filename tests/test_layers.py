"""The ladder: every file imports only from the steps below its own (CONTRIBUTING.md)."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

STEPS = (
    {"types", "config", "interruption", "launch", "processes"},
    {
        "runs",
        "layout",
        "environment",
        "contracts",
        "networks",
        "replay",
        "td_targets",
        "players",
        "run_state",
    },
    {"critics", "tabular", "priorities", "selection", "loop", "chunk"},
    {"agent", "principal", "outcome_model", "sampling", "equilibrium"},
    {"lockstep", "stationary"},
    {"play"},
    {"oracle", "audit", "episodes", "schemes"},
    {"evaluation", "panels"},
    {"training", "validation"},
    {"sweep"},
    {"comparison"},
    {"plan"},
    {"records", "checkpoint"},
    {"plotting", "report"},
    {"phase"},
    {"experiment"},
    {"merge"},
    {"cli"},
    {"__main__"},
)
STEP_OF = {module: step for step, modules in enumerate(STEPS) for module in modules}

FILES = {path.stem: path for path in (ROOT / "jaxparl").glob("*.py") if path.stem != "__init__"}
GAMES = {path.stem: path for path in (ROOT / "envs").glob("*.py") if path.stem != "__init__"}
REGISTRY_FILE, TRAIN_FILE = ROOT / "envs" / "__init__.py", ROOT / "train.py"
ALL_FILES = [*FILES.values(), *GAMES.values(), REGISTRY_FILE, TRAIN_FILE]


def imports(source):
    """The dotted names that the source imports, wherever in the file.

    `from a import b` counts as `a.b`: b may be a module.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path):
    """The modules of jaxparl that a file imports, without `jaxparl.`; a game is `envs.NAME`."""
    found = set()
    for name in imports(path.read_text()):
        package, _, rest = name.partition(".")
        if package == "jaxparl":
            module, _, member = rest.partition(".")
            found.add(f"envs.{member.partition('.')[0]}" if module == "envs" else module)
    return found


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import jaxparl.replay as ring", {"jaxparl.replay"}),
        ("from jaxparl import replay, players", {"jaxparl.replay", "jaxparl.players"}),
        ("from jaxparl.types import Offer", {"jaxparl.types.Offer"}),
        ("def plot():\n    import matplotlib.pyplot", {"matplotlib.pyplot"}),
    ],
)
def test_the_reader_sees_every_kind_of_import(source, names):
    assert imports(source) == names


def test_the_reader_finds_the_edges_that_everyone_knows():
    assert {"agent", "principal", "replay", "types"} <= ours(FILES["lockstep"])
    assert "envs.REGISTRY" in ours(FILES["cli"])
    assert "envs.game_tree" in ours(REGISTRY_FILE)


def test_every_module_stands_on_the_ladder():
    assert set(FILES) == set(STEP_OF)
    assert sum(len(modules) for modules in STEPS) == len(STEP_OF), "a module has one step"


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_module_imports_only_from_the_steps_below_its_own(module):
    step = STEP_OF[module]
    wrong = {
        name: STEP_OF.get(name)
        for name in ours(FILES[module])
        if not name.startswith("envs.") and STEP_OF.get(name, step) >= step
    }
    assert not wrong, f"{module} stands on step {step}"


def test_the_contributing_guide_shows_the_same_ladder():
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    shown = {module: int(step) for step, cell in rows for module in re.findall(r"`(\w+)`", cell)}
    assert shown == STEP_OF


@pytest.mark.parametrize("module", sorted(set(FILES) - {"cli"}))
def test_only_the_command_line_knows_which_games_there_are(module):
    assert not {name for name in ours(FILES[module]) if name.startswith("envs.")}


PARTS = ("exact", "settings", "picture")


def game_of(name):
    """The game that a file of `envs/` belongs to: coin_game of coin_game_exact."""
    return re.sub(f"_({'|'.join(PARTS)})$", "", name)


@pytest.mark.parametrize("name", sorted(GAMES))
def test_a_game_imports_only_what_a_game_is_and_its_own_parts(name):
    game = game_of(name)
    own = {f"envs.{game}", *(f"envs.{game}_{part}" for part in PARTS)}
    assert ours(GAMES[name]) <= {"environment", "types", "config"} | own
    assert game in GAMES, "a part is of a game"


def test_the_registry_imports_the_games_and_what_a_game_is():
    games = {f"envs.{game}" for game in GAMES if game_of(game) == game}
    settings = {f"envs.{name}" for name in GAMES if name.endswith("_settings")}
    assert games <= ours(REGISTRY_FILE), "every game is in the registry"
    assert ours(REGISTRY_FILE) <= games | settings | {"environment", "types", "config"}


def test_train_imports_the_command_line_and_no_mathematics():
    assert imports(TRAIN_FILE.read_text()) == {"sys", "jaxparl.__main__.main"}


@pytest.mark.parametrize(
    ("package", "owner"),
    [
        ("orbax", "checkpoint"),
        ("matplotlib", "plotting"),
        ("rich", "report"),
        ("tyro", "cli"),
    ],
)
def test_a_heavy_package_is_imported_in_one_file(package, owner):
    users = [
        path
        for path in ALL_FILES
        if any(name.split(".")[0] == package for name in imports(path.read_text()))
    ]
    assert users == [FILES[owner]]


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "common", "misc"}
    assert not drawers & (set(FILES) | set(GAMES))
