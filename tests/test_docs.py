"""The documentation: its links, its lengths, its code, its notebooks, and a place for each name."""

from __future__ import annotations

import importlib
import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from jaxparl.envs import REGISTRY

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))
MOST_WORDS = 1_500
# Reference, which is looked up and not read through.
LONG = {"results.md", "xla.md"}
# The pages about games of one's own have tests of their own.
TESTED_ELSEWHERE = {"extending.md", "wrapped_games.md", "sweeps.md"}
WITH_CODE = sorted(
    page
    for page in [*DOCS.glob("*.md"), *(DOCS / "concepts").glob("*.md")]
    if "```python\n" in page.read_text() and page.name not in TESTED_ELSEWHERE
)
# `print(...)  # VALUE: what it is`, where a value is a number, an array or a tuple of them, or a
# truth.
TOLD = re.compile(r"^print\(.*\)  # (\[[-\d. ]+\]|\([-\d., ]+\)|-?[\d.]+|True|False):", re.M)
ROOMS = ("contracts", "envs", "equilibrium", "testing", "trackers", "training", "wrappers")
PUBLIC = ["jaxparl", *(f"jaxparl.{room}" for room in ROOMS if find_spec(f"jaxparl.{room}"))]
# Where a measured table names its machine.
MEASURED = {"results.md", "performance.md", "reproducibility.md", "xla.md"}
MACHINES = re.compile(r"Intel|Xeon|EPYC|AMD")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *PAGES], ids=relative)
def test_every_file_that_is_linked_exists(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        # Pages that the site makes of files at the top of the repository.
        made = re.sub(r"^(\.\./)*(contributing|changelog)\.md$", "/", target) == "/"
        assert made or (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", *PAGES], ids=relative)
def test_no_page_is_longer_than_one_reads_at_once(page):
    if page.name not in LONG and page.parent.name != "api":
        assert len(page.read_text().split()) <= MOST_WORDS


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_machines_are_named_where_something_is_measured(page):
    if page.name not in MEASURED and page.parent.name not in ("decisions", "games"):
        assert not MACHINES.search(page.read_text())


@pytest.mark.parametrize("page", WITH_CODE, ids=relative)
def test_the_code_on_a_page_runs_and_prints_what_it_says(page, capsys, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
    names: dict = {}
    for block in blocks:
        if "runs/NAME" not in block:  # of a run that the reader has
            exec(block, names)
    printed = capsys.readouterr().out
    for value in [value for block in blocks for value in TOLD.findall(block)]:
        assert f"\n{value}\n" in f"\n{printed}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=relative)
def test_notebooks_are_kept_without_what_they_print(path):
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    last = "".join(notebook["cells"][-1]["source"])
    assert last.startswith("## Exercise")


def test_every_tutorial_is_listed():
    index = (DOCS / "tutorials" / "index.md").read_text()
    assert {path.name for path in NOTEBOOKS} == set(re.findall(r"\((\w+\.ipynb)\)", index))


def places(name: str) -> set[str]:
    """The names by which a public name may stand on a page of the API."""
    module, _, short = name.rpartition(".")
    value = getattr(importlib.import_module(module), short)
    home = getattr(value, "__module__", None)
    own = {f"{home}.{value.__qualname__}"} if home and hasattr(value, "__qualname__") else set()
    return {name, f"jaxparl.{short}", *own}


def test_every_public_name_has_a_place_in_the_api():
    pages = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    found = set(re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE))
    names = [f"{module}.{name}" for module in PUBLIC for name in _exports(module)]
    assert not [name for name in names if not places(name) & found]
    assert len(found) == len(re.findall(r"^::: ", pages, re.MULTILINE)), "a name stands there twice"


def _exports(module: str) -> set[str]:
    return set(importlib.import_module(module).__all__) - {"__version__"}


def test_every_game_is_listed():
    listed = (DOCS / "games.md").read_text()
    assert not [name for name in REGISTRY if f"`{name}`" not in listed]
