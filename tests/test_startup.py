"""Setting up a process: devices, the cache, and several processes that train one sweep."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
from command_line import RESUMED, SMALL_TREE, assert_same_results, finished, train

import jaxparl
from jaxparl import __main__, startup
from jaxparl.experiment import processes

ROOT = Path(__file__).parent.parent
# More runs than devices, and not a multiple of their number.
SWEEP = (*SMALL_TREE, "--seeds", "0:5", *RESUMED)


def start(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    cache = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"])}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "train.py", *SWEEP, *arguments],
            cwd=ROOT,
            env=os.environ | cache,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_two_processes_give_the_numbers_of_one_which_resumes_where_they_stopped(tmp_path):
    both, logs = tmp_path / "both", [tmp_path / "0.log", tmp_path / "1.log"]
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
    printed = [log.read_text() for log in logs]
    if codes == [0, 0]:  # the run was over before the signal came
        assert "100%" in printed[0]
    else:
        assert codes == [128 + signal.SIGTERM] * 2, printed
        assert "stopped at iteration" in printed[0]
        assert train(both, *SWEEP) == 0
    # The second prints nothing, but for what the libraries do.
    assert "training" not in printed[1]
    assert "results in" not in printed[1]
    assert_same_results(both, finished(*SWEEP))


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
    assert startup.option(arguments, "--preset") == expected


def test_a_place_is_an_address_and_a_part():
    assert startup.parse_distributed("auto") is None
    assert startup.parse_distributed("10.0.0.1:99,1/4") == ("10.0.0.1:99", 1, 4)
    assert startup.parse_distributed("[::1]:99,0/1") == ("[::1]:99", 0, 1)


@pytest.mark.parametrize("text", ["10.0.0.1,0/2", "10.0.0.1:99,2/2"])
def test_a_place_that_is_none_is_refused_before_anything_is_started(text, capsys):
    with pytest.raises(SystemExit) as stop:
        __main__.main(["train", *SWEEP, "--distributed", text])
    assert stop.value.code == 2
    assert "error: distributed must be auto or HOST:PORT,I/N" in capsys.readouterr().err


def test_where_nothing_has_started_several_processes_this_is_said():
    # A new process, because this one already has arrays.
    found = subprocess.run(
        [sys.executable, "train.py", *SWEEP, "--distributed", "auto"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2, found.stderr
    assert "no Slurm, MPI or TPU launch was found; give HOST:PORT,I/N" in found.stderr
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
    updates = dict[str, object]()
    monkeypatch.setattr(jax.config, "update", updates.__setitem__)
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    startup.start([])
    assert "jax_num_cpu_devices" not in updates
    assert "jax_compilation_cache_dir" not in updates  # the tests have one


def test_the_cache_is_where_the_system_says_and_another_one_on_another_processor(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    here = startup._cache_folder()
    assert here.parent == Path("/somewhere/jaxparl")
    assert startup._cache_folder() == here
    monkeypatch.setattr(startup, "_cpuinfo", lambda: ["model name : another"])
    assert startup._cache_folder() != here
    assert startup.processor() == "another"


def test_without_a_home_directory_there_is_no_cache(monkeypatch):
    def nobody(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", classmethod(nobody))
    assert startup._cache_folder() is None


def test_what_games_and_seeds_mean_does_not_depend_on_how_jax_is_set(monkeypatch):
    updates = dict[str, object]()
    monkeypatch.setattr(jax.config, "update", updates.__setitem__)
    startup.start([])
    assert updates["jax_threefry_partitionable"] is True
    assert updates["jax_random_seed_offset"] == 0


def test_a_machine_without_the_devices_that_are_asked_for_is_refused(monkeypatch, capsys):
    def none() -> list[jax.Device]:
        raise RuntimeError("Unable to initialize backend 'cuda': none\nand more lines")

    monkeypatch.setattr(jax, "devices", none)
    with pytest.raises(SystemExit) as stop:
        __main__.main(["train", *SWEEP])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: JAX has no device to compute on (JAX_PLATFORMS is None): "
        "Unable to initialize backend 'cuda': none\n"
    )


def test_settings_in_which_jax_cannot_be_imported_are_refused_in_one_line():
    for name, value in (("JAX_ENABLE_X64", "maybe"), ("JAX_NUM_CPU_DEVICES", "many")):
        found = subprocess.run(
            [sys.executable, "train.py", *SWEEP],
            cwd=ROOT,
            env=os.environ | {name: value},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
        assert found.stderr.startswith("error: JAX cannot be imported: ")
        assert value in found.stderr


def test_a_guard_against_transfers_is_refused_before_anything_is_computed(capsys):
    jax.config.update("jax_transfer_guard", "disallow")
    try:
        with pytest.raises(SystemExit) as stop:
            __main__.main(["train", *SWEEP])
    finally:
        jax.config.update("jax_transfer_guard", None)
    assert stop.value.code == 2
    said = "error: JAX_TRANSFER_GUARD is disallow, and training copies to devices; unset it\n"
    assert capsys.readouterr().err == said


def test_threads_are_those_of_the_cores_or_the_devices(monkeypatch):
    monkeypatch.setattr(startup, "cores", lambda: 3)
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    assert startup.threads() == 3
    monkeypatch.setenv("NPROC", "1")
    assert startup.threads() == 2
    monkeypatch.setenv("NPROC", "7")
    assert startup.threads() == 7


def test_the_command_is_the_module(capsys):
    with pytest.raises(SystemExit) as stop:
        __main__.main(["--help"])
    assert stop.value.code == 0
    assert "usage: jaxparl" in capsys.readouterr().out


def test_the_version_is_printed_even_where_jax_cannot_start():
    command = [sys.executable, "-m", "jaxparl", "--version"]
    nowhere = os.environ | {"JAX_PLATFORMS": "nowhere"}
    printed = subprocess.run(command, env=nowhere, capture_output=True, text=True, check=True)
    assert (printed.stdout, printed.stderr) == (f"jaxparl {jaxparl.__version__}\n", "")


def test_a_process_learns_in_float32_and_says_so_if_it_was_told_otherwise(capsys):
    startup.start([])
    assert not capsys.readouterr().err
    jax.config.update("jax_enable_x64", True)
    try:
        startup.start([])
        assert not jax.config.values["jax_enable_x64"]
    finally:
        jax.config.update("jax_enable_x64", False)
    said = "warning: jaxparl learns in float32; JAX_ENABLE_X64 is ignored\n"
    assert capsys.readouterr().err == said
