"""Several processes that train one sweep: the same numbers, one folder, and one of them speaks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from jaxparl import __main__, launch, processes

ROOT = Path(__file__).parent.parent
SWEEP = (
    *("game_tree", "--depth", "3", "--iterations", "400", "--evaluation-interval", "100"),
    *("--replay-capacity", "1600", "--hidden-sizes", "16", "16", "--games", "0:1"),
    *("--seeds", "0:5", "--checkpoint-seconds", "0", "--resume", "auto"),
)


def start(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    cache = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"])}
    with log.open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "train.py", *SWEEP, *arguments],
            cwd=ROOT,
            env=os.environ | cache,
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def results(folder: Path) -> tuple[bytes, dict[str, object]]:
    summary = json.loads((folder / "summary.json").read_text())
    del summary["timing"]
    return (folder / "metrics.csv").read_bytes(), summary


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_two_processes_give_the_numbers_of_one_and_one_goes_on_where_two_stopped(tmp_path):
    whole, both = tmp_path / "whole", tmp_path / "both"
    logs = [tmp_path / "0.log", tmp_path / "1.log"]
    port = free_port()
    pair = [
        start(log, "--out", str(both), "--distributed", f"127.0.0.1:{port},{index}/2")
        for index, log in enumerate(logs)
    ]
    deadline = time.monotonic() + 300
    while "training  25%" not in logs[0].read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    # A signal to any of them stops all, at the same iteration.
    pair[1].send_signal(signal.SIGTERM)
    codes = [process.wait(300) for process in pair]
    said = [log.read_text() for log in logs]
    if codes == [0, 0]:  # the run was over before the signal came
        assert "100%" in said[0]
    else:
        assert codes == [128 + signal.SIGTERM] * 2, said
        assert "stopped at iteration" in said[0]
        assert start(logs[0], "--out", str(both)).wait(300) == 0, logs[0].read_text()
    # The second has nothing to say, but for what the libraries do.
    assert "training" not in said[1]
    assert "results in" not in said[1]

    assert start(logs[0], "--out", str(whole)).wait(300) == 0, logs[0].read_text()
    assert results(both) == results(whole)
    assert {path.name for path in both.iterdir()} == {path.name for path in whole.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--preset", "figure3"], "figure3"),
        (["--preset=figure3"], "figure3"),
        (["--preset"], None),
        (["figure3"], None),
    ],
)
def test_an_option_is_found_before_all_are_parsed(arguments, expected):
    assert launch.option(arguments, "--preset") == expected


def test_a_place_is_an_address_and_a_part():
    assert launch.place("auto") is None
    assert launch.place("10.0.0.1:99,1/4") == ("10.0.0.1:99", 1, 4)
    assert launch.place("[::1]:99,0/1") == ("[::1]:99", 0, 1)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("10.0.0.1,0/2", "distributed must be auto or HOST:PORT,I/N"),
        ("10.0.0.1:99,2/2", "distributed must be auto or HOST:PORT,I/N"),
        ("auto", "no Slurm, MPI or TPU launch was found"),
    ],
)
def test_a_place_that_is_none_is_refused_before_anything_is_started(said, says, capsys):
    # A new process, as this one has arrays already.
    found = subprocess.run(
        [sys.executable, "train.py", *SWEEP, "--distributed", said],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2, found.stderr
    assert says in found.stderr
    assert "Traceback" not in found.stderr


def test_a_process_alone_is_the_first_and_agrees_with_itself():
    assert processes.is_first()
    assert processes.any_process(True) == 1
    assert processes.any_process(0) == 0

    @processes.by_first
    def fail() -> None:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        fail()
    assert processes.by_first(lambda: 3)() == 3


def test_what_is_said_elsewhere_about_devices_and_the_cache_wins(monkeypatch):
    said = dict[str, object]()
    monkeypatch.setattr(jax.config, "update", said.__setitem__)
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    launch.start([])
    assert "jax_num_cpu_devices" not in said
    assert "jax_compilation_cache_dir" not in said  # the tests have one


def test_the_command_is_the_module(capsys):
    __main__.main(["--help"])
    assert "jaxparl plan ENV" in capsys.readouterr().out
