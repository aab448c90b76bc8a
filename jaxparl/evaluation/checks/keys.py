"""Whether a game uses a random key twice, which draws the same numbers twice.

A method is traced, and its program is followed from key to key: each has a number, those that are
made by splitting have new ones, and what is sliced or reshaped keeps its own. Only what is certain
is said. A key that is picked by a traced index is not followed any further.

JAX has a check of its own (`jax.debug_key_reuse`), which also complains about right programs, such
as loops that take one of several keys by their counter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks.failures import is_written, own_files
from jaxparl.types import PyTree, fixed_key

# What draws from a key, or makes others of it that replace it.
_CONSUMES = ("random_bits", "random_split", "random_gamma")
# What has the same keys as before, in another shape.
_RESHAPES = ("reshape", "squeeze", "expand_dims", "copy", "copy_p", "device_put")
_LOOPS = ("scan", "while")


def complaints(env: Environment, env_params: GameParams, state: PyTree) -> Iterator[str]:
    """The methods that use a key twice, given the form of a state."""
    key = jax.eval_shape(fixed_key, 0)
    actions = jax.ShapeDtypeStruct((env.num_agents,), np.int32)
    for name, arguments in (
        ("initial_state", (key, env_params)),
        ("sample_params", (key,)),
        ("resolve", (key, state, actions, actions, env_params)),
    ):
        if not is_written(env, name):
            continue
        for place in find_reuse(getattr(env, name), arguments, own_files(env))[:1]:
            yield f"its {name} uses a random key twice{place}: split it, and use each part once"


def find_reuse(
    function: Callable[..., Any], arguments: Sequence[PyTree], files: Collection[str] = ()
) -> list[str]:
    """Where a function uses a key that was used before, in brackets, by its lines in `files`.

    Examples:
      >>> def twice(key):
      ...     return jax.random.uniform(key) + jax.random.normal(key)
      >>> find_reuse(twice, [jax.random.key(0)])
      ['']
      >>> find_reuse(jax.random.uniform, [jax.random.key(0)])
      []
    """
    return _Reuse(files).find(jax.make_jaxpr(function)(*arguments).jaxpr)


class _Reuse:
    """Follows the keys of a program.

    Attributes:
      used: the numbers of the keys that were used.
      places: where one of them was used again.
    """

    def __init__(self, files: Collection[str]):
        self._files = files
        self._numbers = itertools.count()
        self._depth = 0
        self._outermost: Any = None
        self.used: set[int] = set()
        self.places: list[str] = []

    def find(self, jaxpr: Any) -> list[str]:
        """Where a program uses a key again."""
        self._follow(jaxpr, [self._fresh(var) for var in jaxpr.invars])
        return self.places

    def _fresh(self, var: Any) -> np.ndarray | None:
        """New numbers for the keys of a variable; None where it has none."""
        if not _is_key(var):
            return None
        size = int(np.prod(var.aval.shape))
        numbers = np.fromiter(itertools.islice(self._numbers, size), int, size)
        return numbers.reshape(var.aval.shape)

    def _follow(self, jaxpr: Any, given: list[np.ndarray | None]) -> list[np.ndarray | None]:
        """Follows the keys through a program; returns those that come out of it."""
        known = dict(zip(jaxpr.invars, given, strict=True))
        for eqn in jaxpr.eqns:
            if not self._depth:
                self._outermost = eqn
            # Literals cannot be looked up, and are no keys.
            keys = [known.get(var) if _is_key(var) else None for var in eqn.invars]
            self._depth += 1
            outs = self._apply(eqn, keys)
            self._depth -= 1
            known.update(zip(eqn.outvars, outs, strict=True))
        return [known.get(var) if _is_key(var) else None for var in jaxpr.outvars]

    def _apply(self, eqn: Any, keys: list[np.ndarray | None]) -> list[np.ndarray | None]:
        if not any(map(_is_key, (*eqn.invars, *eqn.outvars))):
            return [None] * len(eqn.outvars)
        if not any(map(_is_of_jax, _inner(eqn))):
            return self._apply_own(eqn, keys)
        # What happens within one of JAX' own functions is its business: Poisson's numbers are
        # drawn in two ways with one key, of which one is taken; binomial ones too, in two loops.
        before, places, self.used = self.used, len(self.places), set()
        outs = self._apply_own(eqn, keys)
        del self.places[places:]
        inside, self.used = self.used, before
        if eqn.primitive.name in _LOOPS:
            self.used |= inside
        else:
            self._use_numbers(inside)
        return outs

    def _apply_own(self, eqn: Any, keys: list[np.ndarray | None]) -> list[np.ndarray | None]:
        name, outs = eqn.primitive.name, eqn.outvars
        if name in _CONSUMES:
            self._use(keys[0])
        elif name in _RESHAPES and keys[0] is not None:
            return [keys[0].reshape(outs[0].aval.shape)]
        elif name == "slice" and keys[0] is not None:
            return [keys[0][_slices(eqn.params)]]
        elif name == "unstack" and keys[0] is not None:
            return list(np.moveaxis(keys[0], eqn.params["axis"], 0))
        elif name == "cond":
            return self._cond(eqn, keys[1:])
        elif name in _LOOPS:
            self._loop(eqn, keys)
        else:
            for inner in _inner(eqn):
                if len(inner.invars) == len(keys):
                    return self._follow(inner, keys)
        is_new = name in (*_CONSUMES, "random_fold_in", "random_wrap", "random_seed")
        return [self._fresh(var) if is_new else None for var in outs]

    def _use(self, keys: np.ndarray | None) -> None:
        self._use_numbers(_numbers([keys]))

    def _use_numbers(self, numbers: set[int]) -> None:
        if numbers & self.used:
            self.places.append(self._place())
        self.used |= numbers

    def _cond(self, eqn: Any, keys: list[np.ndarray | None]) -> list[np.ndarray | None]:
        """Only one of the branches happens."""
        before, after = set(self.used), set(self.used)
        for branch in eqn.params["branches"]:
            self.used = set(before)
            self._follow(_program(branch), keys)
            after |= self.used
        self.used = after
        return [None] * len(eqn.outvars)

    def _loop(self, eqn: Any, keys: list[np.ndarray | None]) -> None:
        """A loop uses the keys that it starts with, and the same ones again if it keeps them."""
        params = eqn.params
        if eqn.primitive.name == "scan":
            body = _program(params["jaxpr"])
            # What is scanned, or stacked, has one more axis outside of the loop. How many there are
            # is a parameter of the equation, too, which has another name in every version of JAX.
            first_slice = _num_alike(eqn.invars, body.invars)
            num_kept = first_slice - _num_alike(eqn.outvars, body.outvars)
        else:
            body, num_kept = _program(params["body_jaxpr"]), params["body_nconsts"]
            keys = keys[params["cond_nconsts"] :]
            first_slice = len(keys)
        # An iteration is given what the loop was, and of what is scanned one after the other.
        inside = [*keys[:first_slice], *map(self._fresh, body.invars[first_slice:])]
        before = set(self.used)
        outs = self._follow(body, inside)
        kept = inside[:num_kept]
        for one, other in zip(inside[num_kept:first_slice], outs, strict=False):
            is_same = one is not None and other is not None and np.array_equal(one, other)
            kept.append(one if is_same else None)
        if _numbers(kept) & (self.used - before) and params.get("length") != 1:
            self.places.append(self._place())
        for outer, inner in zip(keys[first_slice:], inside[first_slice:], strict=True):
            if _numbers([inner]) & self.used:
                self._use(outer)

    def _place(self) -> str:
        """The line of the game's own file, in brackets."""
        # That of the outermost call: what it calls may have been traced for another one before.
        trace = self._outermost.source_info.traceback
        for frame in trace.frames if trace is not None else ():
            if frame.file_name in self._files:
                return f" ({frame.file_name.rpartition('/')[2]}, line {frame.line_num})"
        return ""


def _is_key(var: Any) -> bool:
    dtype = getattr(var.aval, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _slices(params: Any) -> tuple[slice, ...]:
    strides = params["strides"] or [None] * len(params["start_indices"])
    return tuple(map(slice, params["start_indices"], params["limit_indices"], strides))


def _inner(eqn: Any) -> list[Any]:
    """The programs that an equation runs."""
    programs = map(_program, eqn.params.values())
    return [program for program in programs if hasattr(program, "eqns")]


def _program(value: Any) -> Any:
    """A program without its constants, which some versions of JAX keep beside it."""
    return getattr(value, "jaxpr", value)


def _num_alike(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """How many of the first variables have as many axes outside of a loop as inside."""
    pairs = zip(outside, inside, strict=True)
    return len(
        list(itertools.takewhile(lambda pair: _num_axes(pair[0]) == _num_axes(pair[1]), pairs))
    )


def _num_axes(var: Any) -> int:
    return len(var.aval.shape)


def _is_of_jax(program: Any) -> bool:
    """Whether a program was traced from a function of JAX."""
    info = getattr(program, "debug_info", None)
    return f" at {Path(jax.__file__).parent}" in str(getattr(info, "func_src_info", ""))


def _numbers(keys: list[np.ndarray | None]) -> set[int]:
    return {number for each in keys if each is not None for number in each.ravel().tolist()}
