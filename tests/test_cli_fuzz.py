"""Whatever is wrong with a command line: exit code 2, one readable message, nothing written."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import typing
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxparl import cli, startup
from jaxparl.config import Config, HyperParams
from jaxparl.envs import REGISTRY
from jaxparl.experiment import options
from jaxparl.experiment.options import RunOptions

# What no option of the type takes; and by name, what is of the type and out of range.
NOT_OF_TYPE = {
    int: ["many", "1.5"],
    float: ["", "nan"],
    bool: ["maybe"],
    tuple: ["wide", "-3"],
    typing.Literal: ["guess", ""],
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
    "config": ["nowhere"],
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
# The options that all games have, and are tried on one of them.
SHARED = (RunOptions, Config, HyperParams)


def kind(annotation: object) -> object:
    """The type of an option: of `int | None` the int, of `Literal[...]` Literal itself."""
    parts = [part for part in typing.get_args(annotation) if part is not type(None)]
    if type(None) in typing.get_args(annotation):
        return kind(parts[0])
    return typing.get_origin(annotation) or annotation


def wrong_options() -> list[tuple[str, str, str]]:
    """Every option with everything that is wrong for it, and a game that has it."""
    groups = [(next(iter(REGISTRY)), group) for group in SHARED]
    groups += [(name, entry.settings) for name, entry in REGISTRY.items()]
    found = []
    for name, group in groups:
        types = typing.get_type_hints(group)
        for field in dataclasses.fields(group):
            if field.name == "hyper_params":
                continue
            values = [*NOT_OF_TYPE[kind(types[field.name])], *OUT_OF_RANGE.get(field.name, [])]
            found += [(name, field.name, value) for value in values]
    return found


WRONG = wrong_options()


def assert_refused(environment: str, option: str, value: str) -> None:
    printed = io.StringIO()
    flag = f"--{option.replace('_', '-')}={value}"
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        pytest.raises(SystemExit) as stop,
    ):
        cli.main(["train", environment, flag])
    text = printed.getvalue()
    assert stop.value.code == 2, text
    assert "Traceback" not in text
    plain = " ".join(text.replace("│", " ").split())
    # It names the option, as it is written on the command line or in a config, or what was given.
    assert any(name in plain for name in (option, option.replace("_", "-"), value or option)), text
    assert os.listdir() == ["file"]


def test_every_option_has_something_that_is_wrong_for_it():
    covered = {option for _, option, _ in WRONG}
    groups = [*SHARED, *(entry.settings for entry in REGISTRY.values())]
    names = {field.name for group in groups for field in dataclasses.fields(group)}
    assert covered == names - {"hyper_params"}
    assert len(WRONG) >= 130


def test_all_that_is_known_to_be_wrong_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    for wrong in WRONG:
        assert_refused(*wrong)


def assert_read_or_refused(parse: Callable[[str], object], text: str, message: str) -> object:
    """The value of a text, or None where it is refused with that message, in one line."""
    try:
        return parse(text)
    except ValueError as error:
        assert message in str(error)
        assert "\n" not in str(error).replace(text, "")
        return None


# Texts that are almost right.
near = st.text("0123456789:/,=.-x", max_size=12)


@given(near)
def test_a_range_is_read_or_refused(text):
    parse = lambda text: options.parse_range("seeds", text)  # noqa: E731
    found = assert_read_or_refused(parse, text, "--seeds must be A:B")
    assert found is None or 0 <= found[0] <= found[-1] < 2**31


@given(near)
def test_a_part_is_read_or_refused(text):
    found = assert_read_or_refused(options.parse_part, text, "--shard must be I/N")
    assert found is None or 0 <= found.index < found.count


@given(st.sampled_from(["", "nudge", "follow-share", "hyper_params"]), near)
def test_a_sweep_is_read_or_refused(name, text):
    found = assert_read_or_refused(options.parse_sweep, f"{name}{text}", "--sweep ")
    if found is not None:
        field, values = found
        assert field in ("nudge", "follow_share")
        assert len(set(values)) == len(values) >= 1


@given(st.sampled_from(["", "host", "host:80", "host:80,0/"]), near)
def test_a_place_among_processes_is_read_or_refused(start, text):
    found = assert_read_or_refused(
        startup.parse_distributed, f"{start}{text}", "distributed must be auto or HOST:PORT,I/N"
    )
    assert found is None or 0 <= found[1] < found[2]


@pytest.mark.parametrize(
    "parse",
    [
        lambda text: options.parse_range("seeds", text),
        options.parse_part,
        options.parse_sweep,
        startup.parse_distributed,
    ],
    ids=["range", "part", "sweep", "place"],
)
@given(text=st.text(max_size=8).filter(lambda text: text != "auto"))
def test_what_is_nothing_like_a_value_is_refused_and_nothing_else_happens(parse, text):
    assert_read_or_refused(parse, text, "must be")
