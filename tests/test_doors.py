"""Games of others, found by a module, a file or an installed package: what is wrong is one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from command_line import fails

from jaxparl import cli
from jaxparl.envs import find, make, names, refused

# The least that can be found; nothing of it is played here.
TINY = """
from jaxparl.environment import GameParams, PrincipalAgentEnvironment

class Tiny(PrincipalAgentEnvironment):
    '''A tiny game.'''

    num_agents, num_actions, num_outcomes = 1, 2, 2
    default_params = GameParams(max_steps_in_episode=3)
"""
FILES = {
    "tiny.py": TINY,
    "entry.py": f"""{TINY}
import neighbour
from jaxparl.config import Config
from jaxparl.envs import Entry, Preset
from jaxparl.envs.registry.entries import NoSettings

quick = Preset(summary="quick", settings=NoSettings(), config=Config(iterations=400))
ENTRY = Entry(environment=lambda _: Tiny(), settings=NoSettings, presets={{"quick": quick}})
NO_QUICK = Entry(environment=Tiny, settings=NoSettings, presets={{"slow": quick}})
INSTANCE = Tiny()
NUMBER = 3
""",
    "neighbour.py": "",
    "broken.py": "x = 1\nimport nosuch\n",
    "syntax.py": "x = 1\ny = = 2\n",
    "ends.py": "import sys\nsys.exit('done')\n",
    "wrong.py": f"""{TINY}
import dataclasses
from flax import struct

class Plain:
    pass

class Failing(Tiny):
    def __init__(self):
        raise KeyError("apples")

class NoParams(Tiny):
    default_params = property(lambda self: 1 / 0)

class OtherParams(Tiny):
    default_params = {{"discount": 0.9}}

@struct.dataclass
class Params(GameParams):
    nudge: float = 0.5

class TakenParam(Tiny):
    default_params = Params()

@dataclasses.dataclass(frozen=True)
class Settings:
    discount: float = 0.5

class TakenBySetting(Tiny):
    settings_class = Settings
    default_params = GameParams()
""",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with files in it that no other test has imported."""
    for name, source in FILES.items():
        (tmp_path / name).write_text(source)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


# --- A file, or a module ------------------------------------------------------------------------


def test_a_class_in_a_file_is_a_game(folder):
    job = cli.parse(["./tiny.py:Tiny", "--discount", "0.5"])
    assert (job.environment, job.label) == ("tiny.py:Tiny", "game")
    assert job.env_params == {"discount": 0.5}
    assert job.source["door"] == f"{folder}/tiny.py:Tiny"
    assert job.source["file"] == str(folder / "tiny.py")


def test_the_same_file_gives_the_same_class_from_wherever_it_is_named(folder, monkeypatch):
    env, _ = make("tiny.py:Tiny")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    for door in ("../tiny.py:Tiny", f"{folder}/tiny.py:Tiny"):
        assert make(door)[0] is env


def test_files_of_one_name_are_games_of_their_own(folder):
    other = folder / "other"
    other.mkdir()
    (other / "tiny.py").write_text(
        TINY.replace("num_agents, num_actions", "num_actions, num_agents")
    )
    one, another = (make(f"{path}/tiny.py:Tiny")[0] for path in (folder, other))
    assert (one.num_agents, another.num_agents) == (1, 2)
    assert find("tiny.py:Tiny").name == find("other/tiny.py:Tiny").name


def test_a_class_in_a_module_of_the_current_directory_is_a_game(folder):
    (folder / "package").mkdir()
    (folder / "package" / "tiny.py").write_text(TINY)
    game = find("package.tiny:Tiny")
    assert game.name == game.source["door"] == "package.tiny:Tiny"
    assert game.source["file"] == str(folder / "package" / "tiny.py")
    assert game.entry.summary == "A tiny game"


def test_a_file_may_import_its_neighbours_and_hold_an_entry(folder, monkeypatch):
    monkeypatch.chdir("/")
    assert cli.parse([f"{folder}/entry.py:ENTRY"]).config.iterations == 400


def test_an_environment_that_a_file_has_made_is_a_game(folder):
    env, env_params = make("entry.py:INSTANCE")
    assert env is sys.modules[type(env).__module__].INSTANCE
    assert env_params.max_steps_in_episode == 3
    job = cli.parse(["entry.py:INSTANCE", "--discount", "0.5"])
    assert job.source["door"] == f"{folder}/entry.py:INSTANCE"
    assert find("entry.py:INSTANCE").entry.summary == "the game Tiny"


@pytest.mark.parametrize(
    ("door", "message"),
    [
        ("nosuch.py:Tiny", "there is no file {folder}/nosuch.py"),
        ("tiny.py", "tiny.py does not say which class; write tiny.py:CLASS"),
        ("tiny.py:", "'tiny.py:' is no game: a game of your own is named by its class"),
        ("tiny.py:Huge", "{folder}/tiny.py has no Huge; it defines: Tiny"),
        ("neighbour.py:Huge", "neighbour.py has no Huge; it defines no environment"),
        (
            "broken.py:X",
            "error: broken.py cannot be imported: {folder}/broken.py, line 2: Modul",
        ),
        (
            "broken:X",
            "broken cannot be imported: {folder}/broken.py, line 2: ModuleNotFoundError: ",
        ),
        (
            "nosuch.module:X",
            "nosuch.module cannot be imported: ModuleNotFoundError: No module name",
        ),
        ("syntax.py:X", "{folder}/syntax.py, line 2: SyntaxError: invalid syntax"),
        ("ends.py:X", "{folder}/ends.py, line 2: SystemExit: done"),
        (
            "entry.py:NUMBER",
            "entry.py:NUMBER must be a class of environments, an environment, or an Entry, not int",
        ),
        ("entry.py:NO_QUICK", "entry.py:NO_QUICK needs a preset 'quick'; it has: slow"),
        ("wrong.py:Plain", "wrong.py:Plain must be a class that derives PrincipalAgentEnvironment"),
        ("wrong.py:Failing", "cannot be created: {folder}/wrong.py, line 18: KeyError: 'apples'"),
        (
            "wrong.py:NoParams",
            "default_params of wrong.py:NoParams cannot be created: {folder}/wron",
        ),
        ("wrong.py:OtherParams", "must be of a class that derives GameParams, not dict"),
        ("wrong.py:TakenParam", "the param 'nudge' of wrong.py:TakenParam is called as an option"),
        (
            "wrong.py:TakenBySetting",
            "'discount' of wrong.py:TakenBySetting is called as one of its",
        ),
    ],
)
@pytest.mark.parametrize("command", ["train", "plan"])
def test_what_is_no_game_costs_one_line_and_nothing_is_written(
    door, message, command, folder, capsys
):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, door])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert message.format(folder=folder) in shown.err
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == set(FILES)


# --- Installed packages -------------------------------------------------------------------------


@pytest.fixture
def install(folder, monkeypatch):
    """Declares games as an installed package does: `install(package, name="module:Class")`."""
    monkeypatch.syspath_prepend(str(folder))

    def declare(package: str, **games: str) -> None:
        about = folder / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in games.items()]
        (about / "entry_points.txt").write_text("\n".join(["[jaxparl.envs]", *lines]))

    return declare


def test_a_game_of_an_installed_package_has_a_name_and_is_loaded_only_if_it_is_asked_for(install):
    install("farming", tiny_farm="tiny:Tiny")
    assert names()[-1] == "tiny_farm"
    assert "tiny" not in sys.modules
    job = cli.parse(["tiny_farm"])
    assert (job.environment, job.door) == ("tiny_farm", "tiny_farm")
    assert job.source["file"] == str(Path("tiny.py").absolute())
    assert make("tiny_farm")[0] is make("tiny_farm")[0]


def test_a_broken_package_is_one_warning_in_the_list_and_an_error_where_it_is_used(install, capsys):
    install("farming", tiny_plot="tiny:Tiny", broken_farm="broken:Farm", no_farm="tiny:Farm")
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    shown = capsys.readouterr()
    assert re.search(r" tiny_plot +A tiny game\n", shown.out)
    says = {
        "broken_farm": "the game broken_farm of farming cannot be loaded: ModuleNotFoundError: No",
        "no_farm": "the game no_farm of farming: ",
    }
    warnings = shown.err.splitlines()
    assert len(warnings) == len(says)
    for warning, (name, message) in zip(warnings, says.items(), strict=True):
        assert warning.startswith(f"warning: {message}")
        assert message in fails(capsys, "train", name)


def test_a_name_that_is_taken_is_refused_and_means_the_game_that_had_it(install, capsys):
    install("farming", game_tree="tiny:Tiny")
    assert cli.parse(["game_tree"]).settings.depth == 10
    message = (
        "farming declares a game 'game_tree', and there is another one of that name: it is left "
        "out, and found as tiny:Tiny"
    )
    assert capsys.readouterr().err == f"warning: {message}\n"
    assert refused() == [message]
    assert not refused("coin_game")
    assert names().count("game_tree") == 1


def test_a_name_that_two_packages_declare_is_refused(install, capsys):
    install("farming", tiny_field="tiny:Tiny")
    install("mining", tiny_field="tiny:Tiny")
    message = fails(capsys, "train", "tiny_field")
    assert "farming declares a game 'tiny_field', and there is another one of that name" in message
    assert "mining declares" in message
