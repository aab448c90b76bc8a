"""What goes wrong in the code of a game, said in one sentence with the names of that game."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from jaxparl.environment import Environment, PrincipalAgentEnvironment
from jaxparl.types import PyTree

Result = TypeVar("Result")

# Of the value of a leaf, so many characters are shown.
_LONGEST_VALUE = 40
_HINTS = (
    (
        jax.errors.TracerBoolConversionError,
        "values are not known while it is traced: use jnp.where or jax.lax.cond instead of "
        "`if`, `while`, `and` and `or`",
    ),
    (
        (
            jax.errors.ConcretizationTypeError,
            jax.errors.TracerArrayConversionError,
            jax.errors.TracerIntegerConversionError,
            jax.errors.NonConcreteBooleanIndexError,
        ),
        "values are not known while it is traced: sizes and Python numbers belong in settings, and "
        "functions of jax.numpy take the place of NumPy's",
    ),
)


class BrokenGameError(Exception):
    """A method of a game fails; the message is a sentence about it."""


def attempt(env: Environment, name: str, call: Callable[..., Result], *arguments: Any) -> Result:
    """What `call` returns, which runs the method `name` of a game.

    Raises:
      BrokenGameError: whatever it raised, in one sentence.
    """
    try:
        return call(*arguments)
    except Exception as error:  # whatever its author's code raises
        raise BrokenGameError(f"its {name} fails{_because(env, error)}") from error


def fails(env: Environment, error: Exception) -> str:
    """The sentence about an error that came from somewhere in a game."""
    frames = _own_frames(env, error)
    name = frames[0].name if frames else "code"
    return f"its {name} fails{_because(env, error)}"


def guarded(env: Environment, complaints: Iterator[str]) -> Iterator[str]:
    """The same complaints, and one more if the code of the game fails."""
    try:
        yield from complaints
    except BrokenGameError as error:
        yield str(error)
    except Exception as error:  # whatever its author's code raises
        yield fails(env, error)


def is_written(env: Environment, name: str) -> bool:
    """Whether a game says something of its own about a method or property of the interface."""
    own, usual = getattr(type(env), name, None), getattr(PrincipalAgentEnvironment, name, None)
    return own is not usual or name in vars(env)


def _because(env: Environment, error: Exception) -> str:
    frames = _own_frames(env, error)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = ": ".join([type(error).__name__, *lines[:1]])
    hint = next((f"; {text}" for kinds, text in _HINTS if isinstance(error, kinds)), "")
    return f"{place}: {message}{hint}"


def _own_frames(env: Environment, error: Exception) -> list[traceback.FrameSummary]:
    """Where the error went through the files that define the game, outermost first."""
    files = own_files(env)
    return [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]


def own_files(env: Environment) -> set[str]:
    """The files in which a game is written: its classes and their methods."""
    own = [kind for kind in type(env).__mro__ if kind not in PrincipalAgentEnvironment.__mro__]
    files = {getattr(sys.modules.get(kind.__module__), "__file__", None) for kind in own}
    for member in (member for kind in own for member in vars(kind).values()):
        function: Any = member.fget if isinstance(member, property) else member
        function = inspect.unwrap(function)
        if inspect.isfunction(function):
            files.add(function.__code__.co_filename)
    return {file for file in files if file}


# --- Names ------------------------------------------------------------------------------------


def form(leaf: Any) -> str:
    """The dtype and the shape of an array, as JAX writes them; learning is done in 32 bits.

    Examples:
      >>> form(np.zeros((2, 3), np.float64)), form(np.int16(0))
      ('float32[2,3]', 'int16[]')
    """
    return f"{dtype_of(leaf)}[{','.join(map(str, leaf.shape))}]"


def dtype_of(leaf: Any) -> Any:
    """The dtype that an array has in 32 bits, whatever JAX and NumPy are set to."""
    dtype = leaf.dtype
    is_wide = isinstance(dtype, np.dtype) and dtype.kind in "iuf" and dtype.itemsize == 8
    return np.dtype(f"{dtype.kind}4") if is_wide else dtype


def leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves of a tree by their paths.

    Examples:
      >>> leaves({"cell": 3, "time": 0})
      {"['cell']": 3, "['time']": 0}
    """
    return {
        jax.tree_util.keystr(path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def shown(state: PyTree) -> str:
    """The values of one state, leaf by leaf, none of them long.

    Examples:
      >>> shown({"cell": np.array([3, 1]), "time": np.int32(0)})
      "['cell']=[3, 1], ['time']=0"
    """
    texts = {path: str(np.asarray(leaf).tolist()) for path, leaf in leaves(state).items()}
    short = {
        path: text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 4]} ..."
        for path, text in texts.items()
    }
    return ", ".join(f"{path}={text}" for path, text in short.items())


def row_of(tree: PyTree, *row: int) -> PyTree:
    """One of many states."""
    return jax.tree.map(lambda leaf: leaf[row], tree)


def differences(
    found: PyTree, expected: PyTree, names: tuple[str, str], axes: tuple[int, ...] = ()
) -> Iterator[str]:
    """How the form of one tree differs from that of another.

    Args:
      found: arrays, or what stands for their form.
      expected: likewise.
      names: what the two are called.
      axes: what the shapes of `found` have in front of those of `expected`.
    """
    ours, theirs = leaves(found), leaves(expected)
    only = (
        ("has no leaf", [path for path in theirs if path not in ours]),
        ("has a leaf", [path for path in ours if path not in theirs]),
    )
    unlike = " and ".join(f"{what} {', '.join(paths)}" for what, paths in only if paths)
    if unlike:
        yield f"{names[0]} {unlike}, unlike {names[1]}"
        return
    if jax.tree.structure(found) != jax.tree.structure(expected):
        kinds = type(found).__name__, type(expected).__name__
        what = f"is a {kinds[0]}, but {names[1]} is a {kinds[1]}"
        yield f"{names[0]} {what if kinds[0] != kinds[1] else f'is not built as {names[1]}'}"
        return
    for path, leaf in ours.items():
        wanted = jax.ShapeDtypeStruct((*axes, *theirs[path].shape), theirs[path].dtype)
        if form(leaf) != form(wanted):
            yield f"{path or 'the array'} of {names[0]} is {form(leaf)}, but it must be " + (
                f"{form(wanted)}, as {names[1]} has it"
                if not axes
                else f"{form(wanted)}: {names[1]} has {form(theirs[path])}"
            )
