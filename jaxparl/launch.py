"""What has to be said before the first array is made: which devices, with whom, what is kept."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import jax

# Programs that compile faster are compiled again rather than read.
_WORTH_KEEPING = 0.1
# Of glibc's malloc.h.
_M_ARENA_MAX = -8
# With one, threads that compile wait for each other: it then takes a third longer.
_ARENAS = 8
# Whoever says this knows how many devices there shall be.
_FORCED = "--xla_force_host_platform_device_count"


def start(arguments: Sequence[str]) -> None:
    """Sets up devices, the other processes, and the cache of compiled programs.

    Args:
      arguments: those of the command line; only --distributed matters here.

    Raises:
      ValueError: --distributed is neither `auto` nor HOST:PORT,I/N, or nothing is found.
      RuntimeError: the other processes cannot be reached.
    """
    # A core is a device of its own, so that runs side by side share nothing and wait for nobody.
    # It does not concern accelerators; a process that has arrays already keeps what it has.
    already = jax.config.values
    is_forced = _FORCED in os.environ.get("XLA_FLAGS", "")
    if already["jax_num_cpu_devices"] < 0 and not is_forced:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", _cores())
    if already["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(_cache()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
    _share_memory_between_threads()
    said = option(arguments, "--distributed")
    if said is not None:
        _join(said)


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of `--name VALUE` or `--name=VALUE`, before anything else is parsed."""
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{name}="):
            return argument.removeprefix(f"{name}=")
    return None


def place(said: str) -> tuple[str, int, int] | None:
    """What --distributed says: address, which process and of how many; None for `auto`.

    Raises:
      ValueError: it says neither.
    """
    if said == "auto":
        return None
    address, _, numbers = said.partition(",")
    index, _, count = numbers.partition("/")
    host, _, port = address.rpartition(":")
    is_one = host and all(number.isdecimal() for number in (port, index, count))
    if not is_one or int(index) >= int(count):
        raise ValueError(
            "distributed must be auto or HOST:PORT,I/N with 0 <= I < N, HOST:PORT being where "
            f"the first process listens, not {said!r}"
        )
    return address, int(index), int(count)


def _share_memory_between_threads() -> None:
    """Lets threads take memory from a few places that they share, where the C library is glibc.

    By default there are eight places for every core, and none gives back what one of the many
    threads that write a checkpoint has used: resident memory then grows with every checkpoint.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def _join(said: str) -> None:
    found = place(said)
    # Signals are caught by ourselves, between chunks.
    jax.config.update("jax_enable_preemption_service", False)
    if found is not None:
        address, index, count = found
        jax.distributed.initialize(address, count, index)
        return
    try:
        jax.distributed.initialize()
    except ValueError as error:
        raise ValueError(
            "--distributed auto: no Slurm, MPI or TPU launch was found; say HOST:PORT,I/N"
        ) from error


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache() -> Path:
    """A folder for compiled programs; machines of other processors have others."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    about = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    text = "\n".join([platform.machine(), platform.processor(), *about])
    return base / "jaxparl" / hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
