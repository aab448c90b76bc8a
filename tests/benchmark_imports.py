"""Imports benchmarks as they import each other, with their own folder on the path."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "benchmarks"
NAMES = [path.stem for path in sorted(FOLDER.glob("*.py")) if path.stem != "report_card"]


@contextlib.contextmanager
def importing_benchmarks() -> Iterator[Callable[[str], ModuleType]]:
    """`name -> module`; nothing of it stays imported, as some have names of other modules."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(FOLDER))
        ours = [
            name
            for name, module in sys.modules.items()
            if str(getattr(module, "__file__", None) or "").startswith(f"{FOLDER}/")
        ]
        for name in ours:
            del sys.modules[name]
