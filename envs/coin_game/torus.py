"""The torus on which the Coin Game is played: its cells, and the steps between them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

#: Row and column of a step right, left, down and up, and of staying: what the actions 0 to 4 mean.
STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0), (0, 0))


class Torus(NamedTuple):
    """A square of `size` x `size` cells, numbered row by row, whose opposite edges are joined.

    Cells are integers in arrays of any shape, and results have their type.

    Examples:
      >>> torus = Torus(size=3)
      >>> torus.move(jnp.array([0, 2, 6, 8]), action=jnp.array(0)).tolist()  # right
      [1, 0, 7, 6]
      >>> int(torus.relative_to(jnp.array(8), origin=jnp.array(4)))
      4
    """

    size: int

    @property
    def num_cells(self) -> int:
        """The number of cells C."""
        return self.size**2

    def move(self, cell: jax.Array, action: jax.Array) -> jax.Array:
        """The cell that an action leads to."""
        row, column = jnp.divmod(cell, self.size)
        down, right = jnp.asarray(STEPS, cell.dtype).T
        return (row + down[action]) % self.size * self.size + (column + right[action]) % self.size

    def relative_to(self, cell: jax.Array, origin: jax.Array) -> jax.Array:
        """The number of a cell if `origin` were cell 0."""
        row, column = (
            (of_cell - of_origin) % self.size
            for of_cell, of_origin in zip(
                jnp.divmod(cell, self.size), jnp.divmod(origin, self.size), strict=True
            )
        )
        return row * self.size + column
