"""What the package says about itself: its version, its extras, and what comes with it."""

from __future__ import annotations

import datetime
import importlib.metadata
import re

import pytest
from release_check import PROJECT, ROOT, VERSION

import jaxparl

TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "jaxparl").rglob("*.py")),
]
# `jaxparl[plot]`, `'.[plot,cuda12]'`, `WHEEL.whl[plot]`
EXTRAS = re.compile(r"(?:jaxparl|'\.|\.whl)\[([a-z0-9,]+)\]")


def field(name: str) -> str:
    """A field of CITATION.cff."""
    (value,) = re.findall(rf"^{name}: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    return value


def test_the_version_is_the_same_wherever_it_stands():
    assert VERSION == field("version") == jaxparl.__version__


def test_the_newest_release_in_the_changelog_is_the_one_that_is_cited():
    heads = re.findall(r"^## \[(\d.*?)\](?: - (.*))?$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert heads[0] == (VERSION, field("date-released"))
    datetime.date.fromisoformat(field("date-released"))


@pytest.mark.parametrize(
    ("text", "extras"),
    [
        ("pip install 'jaxparl[plot]'", {"plot"}),
        ("pip install -c constraints.txt '.[plot,cuda12]'", {"plot", "cuda12"}),
        ("pip install 'PATH/WHEEL.whl[tpu]'", {"tpu"}),
        ("jax[cuda12], and mask[0]", set()),
    ],
)
def test_extras_are_found_where_they_are_named(text, extras):
    assert named(text) == extras


def named(text: str) -> set[str]:
    return {extra for found in EXTRAS.findall(text) for extra in found.split(",")}


def test_every_extra_that_is_named_somewhere_exists():
    everywhere = {extra for path in TEXTS for extra in named(path.read_text())}
    assert {"plot", "cuda12", "jaxmarl", "docs"} <= everywhere
    assert everywhere <= set(PROJECT["optional-dependencies"])


def test_matplotlib_comes_with_gymnax_as_getting_started_says():
    # If it no longer does, an installation without it is one: say so there.
    needed = importlib.metadata.requires("gymnax") or []
    assert "matplotlib" in {re.split(r"[^\w.-]", each)[0] for each in needed if "extra" not in each}
