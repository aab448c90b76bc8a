"""`jaxparl.check_env`: every kind of mistake is named in one sentence, and nothing else is."""

from __future__ import annotations

import re
import time

import pytest
from command_line import fails
from environment_play import NAMES
from mistakes import DECLARED, PARAMS, Mistake
from mistakes_in_forms import FORMS
from mistakes_in_play import PLAY, TABLES
from right_games import RIGHT, Forever, NoTable
from workshop import Settings, Workshop

import jaxparl
from jaxparl.cli import main
from jaxparl.config import Config
from jaxparl.envs import REGISTRY, Entry, Preset
from jaxparl.envs.coin_game import CoinGame
from jaxparl.envs.coin_game import Settings as CoinSettings
from jaxparl.evaluation.checks import check_game, describe

MISTAKES = {
    f"{kind}: {name}": mistake
    for kind, mistakes in (
        ("declared", DECLARED),
        ("params", PARAMS),
        ("forms", FORMS),
        ("play", PLAY),
        ("tables", TABLES),
    )
    for name, mistake in mistakes.items()
}


@pytest.mark.parametrize("name", list(MISTAKES))
def test_a_mistake_is_named_in_one_sentence(name):
    found = jaxparl.check_env(MISTAKES[name].game())
    assert len(found) == 1, found
    assert re.fullmatch(f"Workshop: {MISTAKES[name].complaint}", found[0]), found[0]
    assert "\n" not in found[0]


def test_all_mistakes_are_named_at_once():
    mistakes = (DECLARED["labels"], PARAMS["sampled"], PLAY["observations outside"], TABLES["sums"])
    members = {name: value for each in mistakes for name, value in each.members.items()}
    found = jaxparl.check_env(Mistake(members, "").game())
    assert len(found) == len(mistakes)
    for sentence, mistake in zip(found, mistakes, strict=True):
        assert re.fullmatch(f"Workshop: {mistake.complaint}", sentence)


@pytest.mark.parametrize("name", ["params: discount", "forms: rewards of three", "tables: sums"])
def test_training_refuses_what_is_found_in_a_moment_and_says_the_same(name):
    env = MISTAKES[name].game()
    with pytest.raises(ValueError, match=f"^Workshop: {MISTAKES[name].complaint}$"):
        check_game(env, env.default_params)


def test_what_is_no_game_at_all_is_said_too():
    assert jaxparl.check_env(Workshop) == ["Workshop is a class: check an instance of it"]  # type: ignore[arg-type]
    (sentence,) = jaxparl.check_env("game_tree")  # type: ignore[arg-type]
    assert sentence == "str does not derive from PrincipalAgentEnvironment"


def test_a_horizon_is_that_of_the_params_that_are_checked():
    env = Workshop(Settings(num_agents=1))
    (sentence,) = jaxparl.check_env(env, env.default_params.replace(max_steps_in_episode=5))
    assert sentence.startswith("Workshop: its episodes are cut off after 5 steps")


# --- Right games ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RIGHT, ids=lambda kind: kind.__name__)
def test_nothing_is_said_of_a_right_game(kind):
    assert jaxparl.check_env(kind()) == []


@pytest.mark.parametrize("kind", [Workshop, Forever], ids=lambda kind: kind.__name__)
def test_nothing_is_said_of_a_right_game_of_one_agent(kind):
    assert jaxparl.check_env(kind(Settings(num_agents=1))) == []


def test_nothing_is_said_of_three_agents_whose_table_joins_what_looks_the_same():
    settings = CoinSettings(grid_size=2, num_agents=3, max_steps_in_episode=4, view="centred")
    assert jaxparl.check_env(CoinGame(settings)) == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_said_of_the_games_that_come_with_jaxparl_and_soon(name):
    entry = REGISTRY[name]
    env = entry.environment(entry.presets["quick"].settings)
    start, started = time.process_time(), time.perf_counter()
    assert jaxparl.check_env(env) == []
    # On one quiet core it takes no longer than it computes; beside other tests, it waits as well.
    seconds = min(time.process_time() - start, time.perf_counter() - started)
    assert seconds < 10


# --- The command line -------------------------------------------------------------------------


def test_the_command_says_that_nothing_is_wrong_and_what_was_checked(capsys):
    main(["check", "game_tree", "--depth", "3"])
    said = "GameTree: 1 agent, hidden actions, 7 states enumerated, episodes of at most 3 steps"
    assert capsys.readouterr().out == f"nothing is wrong with {said}\n"


def test_the_command_prints_a_line_for_each_mistake_and_fails(capsys, monkeypatch):
    mistake = Mistake({**DECLARED["labels"].members, **PARAMS["sampled"].members}, "")
    entry = Entry(
        environment=lambda settings: mistake.game(),
        settings=Settings,
        presets={"quick": Preset(summary="wrong", settings=Settings(), config=Config())},
        label="workshop",
        summary="a workshop",
    )
    monkeypatch.setitem(REGISTRY, "wrong", entry)
    with pytest.raises(SystemExit) as stop:
        main(["check", "wrong"])
    assert stop.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    for line, name in zip(lines, (DECLARED["labels"], PARAMS["sampled"]), strict=True):
        assert re.fullmatch(f"Workshop: {name.complaint}", line)


def test_a_game_that_does_not_exist_is_bad_input(capsys):
    assert "unknown environment 'nosuch'" in fails(capsys, "check", "nosuch")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (Workshop(), "2 agents, hidden actions, 3 states enumerated, episodes of at most 20 steps"),
        (Forever(), "2 agents, hidden actions, 3 states enumerated, no horizon, discounted by 0.9"),
        (NoTable(), "2 agents, hidden actions, states not enumerated, episodes end by the rules"),
    ],
    ids=["horizon", "forever", "no table"],
)
def test_what_was_checked_is_described(env, said):
    assert describe(env, env.default_params) == f"{env.name}: {said}"
