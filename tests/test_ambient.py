"""Wherever a command line runs, it computes the same bits, or says in one line why it does not."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import pytest
from command_line import RESUMED, SMALL_TREE, assert_same_results, finished, stop_after, train

ROOT = Path(__file__).parent.parent
TREE = (*SMALL_TREE, *RESUMED)


def run(folder: Path, settings: dict[str, str], before: str = "") -> tuple[int, str, str]:
    """Trains in a process of its own, under other settings; its code, and what it prints."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"])}
    command = [sys.executable, "train.py", *TREE]
    found = subprocess.run(
        ["bash", "-c", f'{before}\nexec "$@"', "bash", *command, "--out", str(folder)],
        cwd=ROOT,
        env=os.environ | cache | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.returncode, found.stdout, found.stderr


@pytest.mark.slow
def test_what_jax_is_set_to_draws_the_same_numbers(tmp_path):
    settings = {
        "JAX_DEFAULT_PRNG_IMPL": "rbg",
        "JAX_THREEFRY_PARTITIONABLE": "0",
        "JAX_RANDOM_SEED_OFFSET": "5",
        # On a CPU it changes nothing.
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "JAX_LEGACY_PRNG_KEY": "error",
    }
    code, shown, said = run(tmp_path / "run", settings)
    assert (code, said) == (0, ""), shown
    assert_same_results(tmp_path / "run", finished(*SMALL_TREE))


# What else a process may be set to, or find itself in.
AMBIENT = {
    "another generator": ({"JAX_DEFAULT_PRNG_IMPL": "rbg"}, ""),
    "another partitioning": ({"JAX_THREEFRY_PARTITIONABLE": "0"}, ""),
    "an offset of seeds": ({"JAX_RANDOM_SEED_OFFSET": "5"}, ""),
    "another precision": ({"JAX_DEFAULT_MATMUL_PRECISION": "highest"}, ""),
    "a search for NaN": ({"JAX_DEBUG_NANS": "1"}, ""),
    "strict promotion": (
        {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_NUMPY_RANK_PROMOTION": "raise"},
        "",
    ),
    "more devices": ({"JAX_NUM_CPU_DEVICES": "5"}, "export NPROC=5"),
    "no cache": ({"JAX_ENABLE_COMPILATION_CACHE": "false"}, ""),
    "no home": ({}, "unset HOME XDG_CACHE_HOME JAX_COMPILATION_CACHE_DIR"),
    "a home that does not exist": ({"HOME": "/nowhere"}, "unset XDG_CACHE_HOME"),
    "no output": ({}, "exec >&- 2>&-"),
    "a full disk for its output": ({}, "exec > /dev/full"),
    "a narrow screen": ({"COLUMNS": "20"}, ""),
}
# What it cannot compute in, and what it says.
REFUSED = {
    "a device that is not there": ({"JAX_PLATFORMS": "cuda"}, "", 2, "JAX has no device"),
    "no compiler": ({"JAX_DISABLE_JIT": "1"}, "", 2, "JAX_DISABLE_JIT is set"),
    # What is compiled is not kept, lest half of it is.
    "no room": (
        {"JAX_ENABLE_COMPILATION_CACHE": "false"},
        "ulimit -f 8",
        1,
        "could not be written (File too large)",
    ),
    "a lone task": (
        dict.fromkeys((f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX")), "3")
        | {"SLURM_ARRAY_TASK_STEP": "1", "SLURM_ARRAY_TASK_COUNT": "1"},
        "",
        2,
        "an array of one task does not say which part",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", AMBIENT)
def test_the_same_bits_are_computed_in(name, tmp_path):
    code, _, said = run(tmp_path / "run", *AMBIENT[name])
    assert (code, said) == (0, "")
    assert_same_results(tmp_path / "run", finished(*SMALL_TREE))


@pytest.mark.slow
def test_the_same_bits_are_computed_where_64_are_asked_for_and_one_line_says_so(tmp_path):
    code, _, said = run(tmp_path / "run", {"JAX_ENABLE_X64": "1"})
    assert (code, said.count("\n")) == (0, 1)
    assert "learns in float32" in said
    assert_same_results(tmp_path / "run", finished(*SMALL_TREE))


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_one_line_says_why_nothing_is_computed_in(name, tmp_path):
    settings, before, expected, says = REFUSED[name]
    code, _, said = run(tmp_path / "run", settings, before)
    assert code == expected
    assert says in said
    assert said.strip().count("\n") == 0


def test_the_same_bits_are_computed_in_another_thread(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, tmp_path / "run", *SMALL_TREE).result() == 0
    assert_same_results(tmp_path / "run", finished(*SMALL_TREE))


class Closed(io.StringIO):
    """A pipe that nobody reads after its first line."""

    def write(self, text: str) -> int:
        if "compiled" in text:
            raise BrokenPipeError
        return super().write(text)


def test_the_same_bits_are_computed_where_nobody_reads_on(tmp_path, monkeypatch):
    pipe = Closed()
    monkeypatch.setattr(sys, "stdout", pipe)
    assert train(tmp_path / "run", *SMALL_TREE) == 0
    assert pipe.getvalue().splitlines()[-1].endswith("compiling ...")
    assert_same_results(tmp_path / "run", finished(*SMALL_TREE))


def test_the_same_bits_are_computed_after_a_signal_of_slurm(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2, signal.SIGUSR1)
        assert train(tmp_path / "run", *TREE) == 128 + signal.SIGUSR1
    assert train(tmp_path / "run", *TREE) == 0
    assert_same_results(tmp_path / "run", finished(*SMALL_TREE))
