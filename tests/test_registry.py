"""The registry: making environments, registering new ones, their presets and their examples."""

import dataclasses
import doctest
import importlib
import pkgutil

import jax
import numpy as np
import pytest

from jaxparl import envs
from jaxparl.config import Config
from jaxparl.environment import GameParams
from jaxparl.envs import REGISTRY, Entry, Preset, make, register
from jaxparl.envs.game_tree import GameTree, Settings

NAMES = list(REGISTRY)


@pytest.fixture(autouse=True)
def registry():
    """What a test registers is forgotten after it."""
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


def entry_with(**changes):
    """A sound entry, but for the changes."""
    quick = Preset(summary="a small tree", settings=Settings(depth=2), config=Config())
    sound = Entry(
        environment=GameTree,
        settings=Settings,
        presets={"quick": quick},
        label="tree",
        summary="a tree, for tests",
    )
    return dataclasses.replace(sound, **changes)


# --- Making -----------------------------------------------------------------------------------


def test_an_unknown_environment_is_refused_with_the_names_that_are_known():
    with pytest.raises(ValueError, match="'chess'") as error:
        make("chess")
    assert all(name in str(error.value) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_setting_is_refused_with_the_settings_that_are_known(name):
    with pytest.raises(ValueError, match="'colour'") as error:
        make(name, colour="red")
    fields = dataclasses.fields(REGISTRY[name].settings)
    assert all(field.name in str(error.value) for field in fields)


SIZES = [
    (name, field.name)
    for name, entry in REGISTRY.items()
    for field in dataclasses.fields(entry.settings)
    if type(field.default) is int
]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_a_size_below_zero_is_refused_by_its_name(name, size):
    with pytest.raises(ValueError, match=f"{size} .*-1"):
        make(name, **{size: -1})


@pytest.mark.parametrize("name", NAMES)
def test_make_gives_an_environment_and_its_default_params(name):
    env, params = make(name)
    assert isinstance(params, GameParams)
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(env.default_params), strict=True)
    assert all(np.array_equal(leaf, default) for leaf, default in pairs)


# --- Entries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_describes_its_environment(name):
    entry = REGISTRY[name]
    assert entry.label and entry.summary and "\n" not in entry.summary
    assert all(preset.summary and "\n" not in preset.summary for preset in entry.presets.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_makes_an_environment_of_its_own_settings(name):
    entry = REGISTRY[name]
    for preset in entry.presets.values():
        assert entry.environment(preset.settings).settings == preset.settings


def test_a_registered_environment_is_made_by_its_name():
    register("my_tree", entry_with())
    assert list(REGISTRY) == [*NAMES, "my_tree"]
    env, _ = make("my_tree", depth=2)
    assert env == GameTree(Settings(depth=2))


@pytest.mark.parametrize("name", ["", "my tree", "my-tree", "2048", "--help"])
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match="must be an identifier"):
        register(name, entry_with())


def test_a_name_is_registered_once():
    register("my_tree", entry_with())
    with pytest.raises(ValueError, match="'my_tree' is registered already"):
        register("my_tree", entry_with())


def test_an_entry_needs_the_preset_that_the_command_line_starts_from():
    slow = REGISTRY["game_tree"].presets["figure3"]
    with pytest.raises(ValueError, match="my_tree needs a preset 'quick'; it has: slow"):
        register("my_tree", entry_with(presets={"slow": slow}))


@dataclasses.dataclass
class Mutable:
    depth: int = 2


QUICK = Preset(summary="quick", settings=Settings(), config=Config())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"settings": Mutable}, "settings of my_tree must be a frozen dataclass"),
        ({"settings": dict}, "settings of my_tree must be a frozen dataclass"),
        ({"presets": {"quick": {"depth": 3}}}, "'quick' of my_tree must be a Preset, not dict"),
        (
            {"presets": {"quick": dataclasses.replace(QUICK, settings=Mutable())}},
            r"settings of the preset 'quick' of my_tree must be .*game_tree\.Settings, not Mutable",
        ),
        (
            {"presets": {"quick": dataclasses.replace(QUICK, config={"iterations": 1})}},
            r"config of the preset 'quick' of my_tree must be .*Config, not dict",
        ),
    ],
)
def test_an_entry_of_the_wrong_types_is_refused(changes, complaint):
    with pytest.raises(TypeError, match=complaint):
        register("my_tree", entry_with(**changes))
    assert "my_tree" not in REGISTRY


# --- Examples ---------------------------------------------------------------------------------

MODULES = [
    "jaxparl.envs",
    *(module.name for module in pkgutil.walk_packages(envs.__path__, "jaxparl.envs.")),
]


# pytest does not collect them itself: it would import envs/ again, as a package of that name.
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_environments_run(name):
    assert not doctest.testmod(importlib.import_module(name)).failed


def test_the_names_that_users_import_have_examples():
    finder = doctest.DocTestFinder()
    for function in (make, register, Preset):
        assert any(test.examples for test in finder.find(function)), function
