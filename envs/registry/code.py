"""Code that others have written: imported from a module or a file, its errors in one line."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def explained(title: str, code: Any = None) -> Iterator[None]:
    """Turns whatever an author's code raises into one line.

    Args:
      title: what the line begins with.
      code: a path, a class, a function: the line says where in its file the error arose.

    Raises:
      ValueError: `TITLE: FILE, line 3: KeyError: 'x'`.

    Examples:
      >>> with explained("the game fails"):
      ...     {}["x"]
      Traceback (most recent call last):
      ...
      ValueError: the game fails: KeyError: 'x'
    """
    try:
        yield
    # A script without a guard for `__main__` may end the process.
    except (Exception, SystemExit) as error:
        raise ValueError(f"{title}: {_place(error, file_of(code))}{_said(error)}") from error


def _said(error: BaseException) -> str:
    """`KeyError: 'x'`, in one line."""
    message = str(error.msg if isinstance(error, SyntaxError) else error).strip()
    return ": ".join([type(error).__name__, *message.splitlines()[:1]])


def _place(error: BaseException, file: str | None) -> str:
    """`FILE, line 3: `, the innermost line of that file, if the error arose in it."""
    if file is None:
        return ""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{file}, line {error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f"{file}, line {lines[-1]}: " if lines else ""


def file_of(code: Any) -> str | None:
    """The file of a class or a function, or a path itself; None where there is none."""
    if code is None or isinstance(code, Path):
        return code and str(code)
    try:
        return inspect.getsourcefile(code)
    except TypeError:  # it is made in a notebook, or is no code
        return None


@functools.cache
def digest_of(file: str) -> str:
    """The SHA-256 of a file that has been imported, as it was then; as `sha256sum` prints it."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def import_file(path: Path) -> ModuleType:
    """The module in a file, which is executed once in a process.

    Its folder can be imported from, as that of a script.

    Raises:
      ValueError: there is no such file, or it fails.
    """
    file = os.path.abspath(path)
    if not os.path.isfile(file):
        raise ValueError(f"there is no file {path}")
    name = _module_name(Path(file))
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _let_import_from(os.path.dirname(file))
    # Dataclasses and type hints look for it there.
    sys.modules[name] = module
    try:
        with explained(f"{path.name} cannot be imported", Path(file)):
            # Not by the loader: it may take compiled code of a file that has just been changed.
            exec(compile(Path(file).read_bytes(), file, "exec"), vars(module))
    except ValueError:
        del sys.modules[name]
        raise
    digest_of(file)
    return module


def _module_name(file: Path) -> str:
    """The file's own name, which its neighbours import it by, unless another module has it."""
    other = f"{file.stem}_{hashlib.sha256(bytes(file)).hexdigest()[:8]}"
    if not file.stem.isidentifier():
        return other
    if file.stem in sys.modules:
        found = getattr(sys.modules[file.stem], "__file__", None)
    else:
        spec = importlib.util.find_spec(file.stem)
        found = str(file) if spec is None else spec.origin
    return file.stem if found and os.path.abspath(found) == str(file) else other


def import_module(name: str) -> ModuleType:
    """A module by its dotted name; the current directory can be imported from, as by `python -m`.

    Raises:
      ValueError: there is none, or it fails.
    """
    _let_import_from(os.getcwd())
    with explained(f"{name} cannot be imported", _module_file(name)):
        return importlib.import_module(name)


def _module_file(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    # Looking for it imports the packages that it is in.
    except Exception:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _let_import_from(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)
