"""Where a state stands in an enumeration of states.

A state is any tree of arrays. What tells states apart are the entries of these arrays, column by
column. Columns are joined one after the other: the number of the distinct values so far, and of
the next column's, is looked up in the sorted list of those pairs that occur. So every lookup is a
few binary searches, whatever the states consist of, and no table is larger than the enumeration.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.types import PyTree

#: The position of a state that is not enumerated.
NOWHERE = -1


class StateLookup(NamedTuple):
    """Finds states in an enumeration; made by `make_lookup`.

    Attributes:
      columns: which columns of a flattened state tell states apart.
      values: the distinct values of each of these columns, sorted.
      pairs: of each of them, the pairs of the columns so far and this one that occur, sorted.
      position: `[S]`, of the distinct states in sorted order, the position in the enumeration.
    """

    columns: tuple[int, ...]
    values: tuple[np.ndarray, ...]
    pairs: tuple[np.ndarray, ...]
    position: np.ndarray

    def place_of(self, state: PyTree) -> jax.Array:
        """`[]` int32, the position of a state; `NOWHERE` if it is not enumerated."""
        entries = [jnp.ravel(leaf) for leaf in jax.tree.leaves(state)]
        entries = [entry for leaf in entries for entry in leaf]
        number, is_there = jnp.int32(0), jnp.bool_(True)
        for column, values, pairs in zip(self.columns, self.values, self.pairs, strict=True):
            digit, is_value = _find(values, entries[column])
            number, is_pair = _find(pairs, number * len(values) + digit)
            is_there &= is_value & is_pair
        return jnp.where(is_there, jnp.asarray(self.position)[number], NOWHERE)


def _find(ordered: np.ndarray, value: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The position of a value in an ordered array, and whether it is there."""
    known = jnp.asarray(ordered)
    place = jnp.clip(jnp.searchsorted(known, value.astype(known.dtype)), 0, len(ordered) - 1)
    return place.astype(jnp.int32), known[place] == value


def make_lookup(states: PyTree) -> StateLookup:
    """Makes the lookup of an enumeration `[S, ...]`, in NumPy.

    The time is left out where states differ without it: the same state may come at several steps.

    Raises:
      ValueError: a state is there twice, or there are too many.

    Examples:
      >>> lookup = make_lookup({"cell": np.array([[4, 0], [0, 4], [4, 4]]), "key": np.ones(3)})
      >>> [int(lookup.place_of({"cell": np.array(cell), "key": 1.0})) for cell in ([4, 4], [0, 0])]
      [2, -1]
    """
    flat, is_time = [], []
    for path, leaf in jax.tree_util.tree_flatten_with_path(states)[0]:
        rows = np.asarray(leaf).reshape(len(leaf), -1)
        flat += list(rows.T)
        is_time += [jax.tree_util.keystr(path) == ".time"] * rows.shape[1]
    every = range(len(flat))
    timeless = tuple(number for number in every if not is_time[number])
    for columns in (timeless, tuple(every)):
        found = _join([flat[number] for number in columns], len(flat[0]), columns)
        if found is not None:
            return found
    raise ValueError("a state is enumerated twice")


def _join(flat: list[np.ndarray], size: int, columns: tuple[int, ...]) -> StateLookup | None:
    """The lookup by these columns; None where they do not tell all states apart."""
    number = np.zeros(size, np.int64)
    values, pairs = [], []
    for column in flat:
        distinct, digit = np.unique(column, return_inverse=True)
        known, number = np.unique(number * len(distinct) + digit.ravel(), return_inverse=True)
        if known[-1] > np.iinfo(np.int32).max:
            raise ValueError("there are too many states to be looked up")
        values.append(distinct)
        pairs.append(known.astype(np.int32))
    position = np.zeros(size, np.int32)
    position[number.ravel()] = np.arange(size, dtype=np.int32)
    is_told_apart = len(np.unique(number)) == size
    return StateLookup(columns, tuple(values), tuple(pairs), position) if is_told_apart else None
