"""The registry: making environments, registering new ones, their presets and their examples."""

import dataclasses
import doctest
import importlib
import pkgutil
from typing import ClassVar

import jax
import numpy as np
import pytest

from jaxparl import envs
from jaxparl.config import Config, HyperParams
from jaxparl.environment import GameParams, PrincipalAgentEnvironment
from jaxparl.envs import REGISTRY, Preset, make, register
from jaxparl.envs.game_tree import GameTree, Settings

NAMES = list(REGISTRY)


@pytest.fixture(autouse=True)
def registry():
    """What a test registers is forgotten after it."""
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


QUICK = Preset(summary="a small tree", settings=Settings(depth=2), config=Config())


def register_tree(name="my_tree", **changes):
    """Registers a sound game, but for the changes."""
    sound = {
        "environment": GameTree,
        "settings": Settings,
        "presets": {"quick": QUICK},
        "label": "tree",
        "summary": "a tree, for tests",
    }
    register(name, **{**sound, **changes})


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
    register_tree()
    assert list(REGISTRY) == [*NAMES, "my_tree"]
    env, _ = make("my_tree", depth=2)
    assert env == GameTree(Settings(depth=2))


@pytest.mark.parametrize("name", ["", "my tree", "my-tree", "2048", "--help"])
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match="must be an identifier"):
        register_tree(name)


@pytest.mark.parametrize("name", ["my_tree", "coin_game"])
def test_a_name_is_registered_once(name):
    with pytest.raises(ValueError, match=f"'{name}' is registered already"):
        register_tree(name)
        register_tree(name)


def test_an_entry_needs_the_preset_that_the_command_line_starts_from():
    slow = REGISTRY["game_tree"].presets["figure3"]
    with pytest.raises(ValueError, match="my_tree needs a preset 'quick'; it has: slow"):
        register_tree(presets={"slow": slow})


def settings_with(name: str, **options):
    return dataclasses.make_dataclass("Changed", [(name, int, 2)], frozen=True, **options)


@dataclasses.dataclass
class Mutable:
    depth: int = 2


@dataclasses.dataclass(frozen=True)
class Lacking:
    depth: int


@dataclasses.dataclass(frozen=True)
class Unrecorded:
    rewards: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))


class Sizeless(PrincipalAgentEnvironment):
    """It does not say how many agents there are."""

    num_actions = 2


class Failing(Sizeless):
    def __init__(self):
        raise KeyError("apples")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"environment": dict}, "my_tree must be a class that derives Princ.*, and dict does not"),
        ({"environment": 3}, "my_tree must be a class that derives .*makes one, not int"),
        ({"environment": lambda _: 3}, "must make a PrincipalAgentEnvironment, and makes int"),
        ({"settings": Mutable}, "settings of my_tree must be a frozen dataclass"),
        ({"settings": dict}, "settings of my_tree must be a frozen dataclass"),
        ({"settings": Settings()}, "settings of my_tree must be a frozen dataclass"),
        ({"settings": Lacking}, "the setting 'depth' of my_tree has no default"),
        ({"settings": Unrecorded}, "the setting 'rewards' .* a tuple of these, not ndarray"),
        ({"presets": [QUICK]}, "the presets of my_tree must be a mapping, not list"),
        ({"presets": {"quick": 3}}, "'quick' of my_tree must be a Preset, .* not int"),
        ({"summary": "two\nlines"}, "the summary of my_tree must be one line"),
    ],
)
def test_an_entry_of_the_wrong_types_is_refused(changes, complaint):
    made = {} if "presets" in changes else {"presets": None}
    with pytest.raises(TypeError, match=complaint):
        register_tree(**{**made, **changes})
    assert "my_tree" not in REGISTRY


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"settings": Mutable()}, r"must be .*game_tree\.Settings, not Mutable"),
        ({"config": {"iterations": 1}}, r"the config of the preset 'quick' .*Config, not dict"),
        ({"seeds": 3}, "the seeds of the preset 'quick' of my_tree must be str, not int"),
    ],
)
def test_a_preset_of_the_wrong_types_is_refused(changes, complaint):
    with pytest.raises(TypeError, match=complaint):
        register_tree(presets={"quick": dataclasses.replace(QUICK, **changes)})


@pytest.mark.parametrize("name", ["seeds", "iterations", "nudge", "hyper_params", "help"])
def test_a_setting_that_is_called_as_an_option_is_refused(name):
    with pytest.raises(ValueError, match=f"the setting '{name}' of my_tree is called as an option"):
        register_tree(settings=settings_with(name))


def test_a_setting_of_a_type_that_is_not_known_is_refused():
    settings = settings_with("size")
    settings.__annotations__["size"] = "Literal['x']"
    with pytest.raises(ValueError, match=r"the settings of my_tree: a type is not known: NameErr"):
        register_tree(settings=settings)


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        (Failing, f"my_tree cannot be created: {__file__}, line \\d+: KeyError: 'apples'"),
        (Sizeless, "my_tree does not say its num_agents: AttributeError: .* 'num_agents'"),
    ],
)
def test_what_cannot_be_created_is_refused_with_its_place(environment, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        register_tree(environment=environment, settings=None, presets=None)
    assert "\n" not in str(error.value)


# --- Presets ----------------------------------------------------------------------------------


def test_a_preset_may_be_options_by_name_and_the_others_are_made():
    options = {"depth": 3, "iterations": 800, "nudge": 0.5, "seeds": "1:2", "summary": "three"}
    register_tree(presets={"quick": options})
    preset = REGISTRY["my_tree"].presets["quick"]
    assert (preset.settings, preset.seeds, preset.summary) == (Settings(depth=3), "1:2", "three")
    assert preset.config == Config(iterations=800, hyper_params=HyperParams(nudge=0.5))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"iteration": 400}, "'quick' of my_tree has 'iteration', .*did you mean iterations\\?"),
        ({"out": "runs"}, "'quick' of my_tree has 'out', which it cannot set; it may have: depth"),
        ({"depth": 0}, "'quick' of my_tree: depth must be between 1 and 16, not 0"),
        ({"nudge": -1}, "'quick' of my_tree: nudge must be >= 0"),
        ({"iterations": 401}, "'quick' of my_tree: iterations must be a multiple"),
    ],
)
def test_a_preset_of_what_is_no_option_is_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        register_tree(presets={"quick": options})


class Alone(PrincipalAgentEnvironment):
    """A game of one agent.

    Nothing more is said of it here.
    """

    num_agents, num_actions, num_outcomes = 1, 2, 3


class Together(Alone):
    num_agents = 3


class Seen(Together):
    observed_actions, num_outcomes = True, 2

    def sample_params(self, key):
        return GameParams()


def test_a_game_without_presets_gets_one_for_its_kind():
    for environment in (Alone, Together, Seen):
        register(environment.__name__, environment)
    alone, together, seen = (REGISTRY[name].presets for name in ("Alone", "Together", "Seen"))
    assert [*alone] == [*together] == [*seen] == ["quick"]
    assert alone["quick"].config == Config()
    assert (alone["quick"].games, seen["quick"].games) == ("0:1", "0:2")
    for preset, critic in ((together, "per_outcome"), (seen, "per_action")):
        config = preset["quick"].config
        assert (config.critic, config.loss, config.max_gradient_norm) == (critic, "huber", 10.0)
        assert (config.hyper_params.alpha, config.hyper_params.follow_share) == (0.1, 0.5)
    assert REGISTRY["Alone"].summary == "A game of one agent"
    assert REGISTRY["Together"].summary == "a game without a description"


def test_a_class_may_say_its_settings_and_presets_itself():
    class Self(GameTree):
        settings_class = Settings
        presets: ClassVar = {"quick": {"depth": 2}, "deep": {"depth": 5}}

    register("own_tree", Self)
    assert REGISTRY["own_tree"].settings is Settings
    assert REGISTRY["own_tree"].presets["deep"].settings == Settings(depth=5)


def test_a_game_without_settings_is_made_once_so_that_what_is_compiled_for_it_is_shared():
    register("Alone", Alone)
    entry = REGISTRY["Alone"]
    assert entry.environment(entry.settings()) is entry.environment(entry.settings())
    with pytest.raises(ValueError, match="Alone has no setting 'depth'; it has none"):
        make("Alone", depth=3)


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
