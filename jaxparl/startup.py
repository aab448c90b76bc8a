"""What a process sets up before its first array: devices, its peers, the compilation cache."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from jaxparl.run_options import parse_distributed as parse_distributed

# Programs that compile faster than this, in seconds, are compiled again rather than read.
_LEAST_SECONDS_TO_CACHE = 0.1
# From glibc's malloc.h.
_M_ARENA_MAX = -8
# With one arena, threads that compile wait for each other, and compiling takes a third longer.
_ARENAS = 8
# Whoever sets this flag has chosen the number of devices.
_DEVICE_COUNT_FLAG = "--xla_force_host_platform_device_count"


def start(arguments: Sequence[str]) -> None:
    """Sets up the devices, the precision, the other processes, and the compilation cache.

    Args:
      arguments: those of the command line; only --distributed matters here.

    Raises:
      ValueError: --distributed is neither `auto` nor HOST:PORT,I/N, or `auto` finds no launcher; or
        JAX is set to use devices that this machine does not have, or to compile nothing, or to
        copy nothing to them.
      RuntimeError: the other processes cannot be reached.
    """
    # What a game and a seed mean does not depend on how JAX is set: `types.KEY_IMPL` fixes how a
    # key draws numbers, and these two the rest. Nothing else that changes bits has a value that is
    # right everywhere; `experiment.provenance` records it.
    jax.config.update("jax_threefry_partitionable", True)
    jax.config.update("jax_random_seed_offset", 0)
    # XLA-11, see docs/xla.md.
    # Every core is a device of its own, so that runs on different cores share nothing and never
    # wait for each other. Accelerators are not concerned. A process that already has arrays keeps
    # the devices that it has.
    present = jax.config.values
    if present["jax_disable_jit"]:
        raise ValueError("JAX_DISABLE_JIT is set, and training is compiled; unset it")
    guard = str(present["jax_transfer_guard"])
    if guard.startswith("disallow"):
        raise ValueError(f"JAX_TRANSFER_GUARD is {guard}, and training copies to devices; unset it")
    if present["jax_enable_x64"]:
        # Only exact solvers gain from float64, and they are used from Python.
        print("warning: jaxparl learns in float32; JAX_ENABLE_X64 is ignored", file=sys.stderr)
        jax.config.update("jax_enable_x64", False)
    is_forced = _DEVICE_COUNT_FLAG in os.environ.get("XLA_FLAGS", "")
    if present["jax_num_cpu_devices"] < 0 and not is_forced:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", cores())
    cache = _cache_folder()
    if present["jax_compilation_cache_dir"] is None and cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS_TO_CACHE)
    _limit_malloc_arenas()
    distributed = option(arguments, "--distributed")
    if distributed is not None:
        _join_processes(distributed)
    _find_devices()


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of `--name VALUE` or `--name=VALUE`, before the command line is parsed.

    Examples:
      >>> option(["train", "game_tree", "--distributed", "auto"], "--distributed")
      'auto'
    """
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{name}="):
            return argument.removeprefix(f"{name}=")
    return None


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """The number of threads that XLA has on a CPU, by which it splits sums.

    One for every core or, if there are more of them, for every device; NPROC replaces the cores.
    """
    given = os.environ.get("NPROC", "")
    return max(int(given) if given.isdecimal() else cores(), jax.local_device_count())


def processor() -> str:
    """The name of the processor, as exactly as the system tells."""
    names = [line for line in _cpuinfo() if line.startswith("model name")]
    if names:
        return names[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpuinfo() -> list[str]:
    """What Linux says about the processor: its model and its instruction sets, a line each."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return list(dict.fromkeys(kept))


def _cache_folder() -> Path | None:
    """A folder for compiled programs; machines with other processors have others.

    None where there is no home directory, as in containers whose user has no name.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    text = "\n".join([platform.machine(), platform.processor(), *sorted(_cpuinfo())])
    return base / "jaxparl" / hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _limit_malloc_arenas() -> None:
    """Limits the number of glibc's malloc arenas.

    By default there are eight for every core, and none gives back what one of the many threads
    that write a checkpoint has used: resident memory then grows with every checkpoint.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def _find_devices() -> None:
    """Starts JAX's backend, so that a machine without the devices that are asked for is refused.

    Raises:
      ValueError: it has none of them.
    """
    try:
        jax.devices()
    # Which exception it is depends on the platform: a GPU that is missing fails an assertion.
    except Exception as error:
        asked = jax.config.values["jax_platforms"]
        reason = next(iter(str(error).splitlines()), "")
        raise ValueError(
            f"JAX has no device to compute on (JAX_PLATFORMS is {asked!r})"
            f"{f': {reason}' if reason else ''}"
        ) from error


def _join_processes(distributed: str) -> None:
    peers = parse_distributed(distributed)
    # We catch signals ourselves, between evaluations. Older versions have no such option; there our
    # handlers come after JAX's, and take its place.
    if "jax_enable_preemption_service" in jax.config.values:
        jax.config.update("jax_enable_preemption_service", False)
    if peers is not None:
        address, index, count = peers
        jax.distributed.initialize(address, count, index)
        return
    try:
        jax.distributed.initialize()
    except ValueError as error:
        raise ValueError(
            "--distributed auto: no Slurm, MPI or TPU launch was found; give HOST:PORT,I/N"
        ) from error
