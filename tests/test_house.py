"""The limits that keep the code readable (CONTRIBUTING.md), where no linter has a rule for them."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("jaxparl", "envs", "tests", "benchmarks")
FILES = sorted(
    path
    for path in [ROOT / "train.py", *itertools.chain(*((ROOT / f).rglob("*.py") for f in FOLDERS))]
    if "__pycache__" not in path.parts
)
LONGEST_FILE, LONGEST_FUNCTION, DEEPEST, MOST_POSITIONAL = 320, 60, 2, 5

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, depth: int = 1) -> Iterator[tuple[Function, int]]:
    """Every function in a tree, and how deep its definition is nested in others."""
    for node in ast.iter_child_nodes(tree):
        is_function = isinstance(node, Function)
        if is_function:
            yield node, depth
        yield from functions(node, depth + is_function)


def excesses(source: str) -> list[str]:
    """What in a source goes beyond the limits."""
    found = []
    if (count := len(source.splitlines())) > LONGEST_FILE:
        found.append(f"{count} lines")
    for function, depth in functions(ast.parse(source)):
        lines = (function.end_lineno or 0) - function.lineno + 1
        arguments = [*function.args.posonlyargs, *function.args.args]
        positional = [each for each in arguments if each.arg not in ("self", "cls")]
        for number, limit, what in (
            (lines, LONGEST_FUNCTION, "lines"),
            (depth, DEEPEST, "definitions deep"),
            (len(positional), MOST_POSITIONAL, "positional parameters"),
        ):
            if number > limit:
                found.append(f"{function.name}: {number} {what}")
    return found


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("x = 0\n" * 321, "321 lines"),
        ("def f():\n" + "    x = 0\n" * 60, "f: 61 lines"),
        ("def f():\n def g():\n  def h(): pass", "h: 3 definitions deep"),
        ("class C:\n def f(self, a, b, c, d, e, g): pass", "f: 6 positional parameters"),
        ("async def f(a, b, c, d, e, /, g): pass", "f: 6 positional parameters"),
    ],
)
def test_whatever_goes_beyond_a_limit_is_found(source, complaint):
    assert excesses(source) == [complaint]


def test_what_is_just_within_the_limits_passes():
    keyword_only = "def f(a, b, c, d, e, *, g):\n    def h(): pass\n"
    assert excesses(keyword_only + "x = 0\n" * 318) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_functions_and_signatures_stay_short(path):
    assert excesses(path.read_text()) == []


def test_the_median_file_of_the_package_is_about_150_lines():
    lengths = [
        len(path.read_text().splitlines())
        for path in FILES
        if path.parts[len(ROOT.parts)] in ("jaxparl", "envs") and path.name != "__init__.py"
    ]
    assert sorted(lengths)[len(lengths) // 2] <= 170


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "common", "misc"}
    assert not drawers & {path.stem for path in FILES}


def test_train_imports_the_command_line_and_nothing_else_of_ours():
    tree = ast.parse((ROOT / "train.py").read_text())
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {ast.unparse(node) for node in imported} == {
        "import sys",
        "from jaxparl.__main__ import main",
    }
