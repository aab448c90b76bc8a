"""Every workaround for XLA is explained, and there is a check that shows when it can go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmark_imports import importing_benchmarks

ROOT = Path(__file__).parents[1]
IDENTIFIER = re.compile(r"XLA-\d\d")
# Those that neither time anything nor train.
CHEAP = ("XLA-04", "XLA-05", "XLA-14", "XLA-16")


@pytest.fixture
def workarounds():
    with importing_benchmarks() as importer:
        yield importer("workarounds")


def sections() -> dict[str, str]:
    """The sections of docs/xla.md by identifier."""
    found: dict[str, str] = {}
    for section in (ROOT / "docs" / "xla.md").read_text().split("\n## ")[1:]:
        identifier = IDENTIFIER.match(section)
        if identifier:
            assert identifier[0] not in found
            found[identifier[0]] = section
    return found


def in_the_code() -> set[str]:
    """The identifiers in comments of the package and of the environments."""
    files = [*(ROOT / "jaxparl").rglob("*.py"), *(ROOT / "envs").rglob("*.py")]
    return {name for path in files for name in IDENTIFIER.findall(path.read_text())}


def test_code_page_and_checks_have_the_same_workarounds(workarounds):
    assert in_the_code() == set(sections()) == set(workarounds.CHECKS)


def test_a_workaround_is_described_in_full():
    for identifier, section in sections().items():
        for part in ("**Where**", "**Instead**", "**Buys**", "**Seen in**", "**Upstream**"):
            assert part in section, (identifier, part)


def test_a_workaround_is_described_with_the_file_that_has_it():
    for identifier, section in sections().items():
        (where,) = re.findall(r"\*\*Where\*\*: `([^`]+)`", section)
        assert identifier in (ROOT / where).read_text(), (identifier, where)


@pytest.mark.parametrize("identifier", CHEAP)
def test_a_workaround_is_still_needed(identifier, workarounds):
    # Where this fails after a new version of JAX, the workaround can go.
    row = workarounds.row(identifier)
    assert row.values["is_needed"], row.measured
    assert f"{identifier}, " in row.what and "still needed" in row.what
