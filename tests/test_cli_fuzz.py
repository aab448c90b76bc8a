"""Whatever is wrong with a command line: exit code 2, one readable message, nothing written."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import typing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxparl import cli
from jaxparl.config import Config, Rates
from jaxparl.envs import REGISTRY
from jaxparl.selection import Selection

# What no option of the type takes; and by name, what is of the type and out of range.
NOT_OF_TYPE = {
    int: ["many", "1.5", "", "nan", "1e9", "1 2"],
    float: ["much", "", "nan", "-1", "1,5", "1 2"],
    bool: ["maybe"],
    tuple: ["wide", "", "nan", "-3"],
    typing.Literal: ["guess", "", "0"],
    str: [],
    Path: [],
}
OUT_OF_RANGE = {
    "preset": ["figure99", ""],
    "games": ["3", "5:2", "0:0", "-1:2", "a:b", ""],
    "seeds": ["3", "5:2", "0:0", "-1:2", "a:b", ""],
    "sweep": ["nudge", "colour=1", "nudge=", "nudge=-1", "alpha=0", "nudge=0,0", "=1"],
    "shard": ["3", "2/2", "-1/2", "a/b", "", "0/0", "0/1000"],
    "distributed": ["", "no", "host,0/2", "host:80", "host:80,2/2", ":80,0/2", "host:80,-1/2"],
    "lanes": ["0", "-1"],
    "principal": ["nowhere"],
    "out": ["file"],
    "iterations": ["0", "-1", "1001"],
    "num_envs": ["0", "-8", "7"],
    "batch_size": ["0", "-1"],
    "replay_capacity": ["0", "-1", "100001"],
    "target_interval": ["0", "-1"],
    "evaluation_interval": ["0", "-1", "33"],
    "epsilon": ["1.1", "inf"],
    "follow_share": ["0", "1.1"],
    "alpha": ["0", "inf"],
    "learning_rate": ["0", "inf"],
    "target_window": ["1"],
    "max_gradient_norm": ["0", "inf"],
    "priority_floor": ["0"],
    "depth": ["0", "17"],
    "grid_size": ["1", "0"],
    "num_agents": ["1", "1000"],
    "max_steps_in_episode": ["0"],
}


def kind(annotation: object) -> object:
    """The type of an option: of `int | None` the int, of `Literal[...]` Literal itself."""
    parts = [part for part in typing.get_args(annotation) if part is not type(None)]
    if type(None) in typing.get_args(annotation):
        return kind(parts[0])
    return typing.get_origin(annotation) or annotation


def wrong_options() -> list[tuple[str, str, str]]:
    """Every option of every game with everything that is wrong for it."""
    found = []
    for name, entry in REGISTRY.items():
        for group in (Selection, entry.settings, Config, Rates):
            types = typing.get_type_hints(group)
            for field in dataclasses.fields(group):
                if field.name == "rates":
                    continue
                values = [*NOT_OF_TYPE[kind(types[field.name])], *OUT_OF_RANGE.get(field.name, [])]
                found += [(name, field.name, value) for value in values]
    return found


WRONG = wrong_options()


def refused(environment: str, option: str, value: str) -> None:
    said = io.StringIO()
    flag = f"--{option.replace('_', '-')}={value}"
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        pytest.raises(SystemExit) as stop,
    ):
        cli.main(["train", environment, flag])
    text = said.getvalue()
    assert stop.value.code == 2, text
    assert "Traceback" not in text
    plain = " ".join(text.replace("│", " ").split())
    # It names the option, as it is written on the command line or in a config, or what was given.
    assert any(name in plain for name in (option, option.replace("_", "-"), value or option)), text
    assert os.listdir() == ["file"]


def test_every_option_has_something_that_is_wrong_for_it():
    covered = {option for _, option, _ in WRONG}
    groups = [Selection, Config, Rates, *(entry.settings for entry in REGISTRY.values())]
    names = {field.name for group in groups for field in dataclasses.fields(group)} - {"rates"}
    assert covered == names


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(WRONG))
def test_a_wrong_option_is_refused(elsewhere, wrong):
    refused(*wrong)


def test_all_that_is_known_to_be_wrong_is_refused(elsewhere):
    assert len(WRONG) >= 500
    for wrong in WRONG:
        refused(*wrong)
