"""How every benchmark reports: a table of what was measured beside its bar, and the machine.

Importing it sets the process up as the command line does. Import it before the environments.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

from jaxparl import startup
from jaxparl.experiment.provenance import machine, versions

startup.start([])


class Row(NamedTuple):
    """One line of the table; `passed` is None where there is no bar, `values` go into the JSON."""

    what: str
    measured: str
    bar: str
    passed: bool | None
    values: Mapping[str, Any] = MappingProxyType({})


def compile_everything() -> None:
    """Turns the compilation cache off, so that compile times are measured."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()


def option_parser(doc: str | None, parts: Sequence[str] = ()) -> argparse.ArgumentParser:
    """A parser of --out and, where a benchmark has parts, of --parts: all of them by default."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if parts:
        parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--out", type=Path, help="also write the table to this JSON file")
    return parser


def parse_options(doc: str | None, parts: Sequence[str] = ()) -> argparse.Namespace:
    """Reads the options that every benchmark has."""
    return option_parser(doc, parts).parse_args()


def announce(rows: list[Row]) -> list[Row]:
    """Prints rows as soon as they are measured, where the whole table takes long; returns them."""
    for row in rows:
        print(f"{row.what}: {row.measured}", file=sys.stderr, flush=True)
    return rows


def report(rows: list[Row], out: Path | None) -> int:
    """Prints the table in Markdown; returns the exit code, 1 if a bar was missed."""
    found = machine()
    hardware = f"{found['processor']}, {found['cores']} cores, on {', '.join(found['devices'])}"
    software = ", ".join(f"{name} {version}" for name, version in versions().items())
    print(f"\n`{_command()}`\n\n{hardware}; {software}\n")
    print("| what | measured | bar | |\n|---|---|---|---|")
    for row in rows:
        verdict = {True: "met", False: "MISSED", None: ""}[row.passed]
        print(f"| {row.what} | {row.measured} | {row.bar} | {verdict} |")
    if out:
        write(rows, out)
    return int(any(row.passed is False for row in rows))


def write(rows: list[Row], out: Path) -> None:
    """Writes the table to a JSON file, which is complete whenever the process is ended."""
    content = {"command": _command(), "machine": machine(), "versions": versions()}
    lines = [{**row._asdict(), "values": dict(row.values)} for row in rows]
    beside = out.with_name(f".{out.name}.part")
    beside.write_text(json.dumps({**content, "rows": lines}, indent=2) + "\n")
    beside.replace(out)


def _command() -> str:
    return f"python {shlex.join(sys.argv)}"
