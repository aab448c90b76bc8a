"""Value iteration for a `TabularGame` without a horizon, and the fixed points it is made of.

The discount is below 1, and every array of a solution lacks the leading `T`: `S` comes first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Generic, TypeVar

import chex
import jax
import jax.numpy as jnp
from flax import struct
from jax.core import Tracer
from jax.typing import ArrayLike

from jaxparl.equilibrium.finite_horizon import (
    Equilibrium,
    equilibrium_backup,
    response_backup,
)
from jaxparl.equilibrium.tabular import (
    Values,
    check_table,
    in_one_precision,
    over_states,
    values_after_the_end,
)
from jaxparl.numbers import by_precision
from jaxparl.types import PyTree, TabularGame

MAX_BACKUPS = 10_000

Tree = TypeVar("Tree")


def value_iteration(
    table: TabularGame, tolerance: ArrayLike | None = None, max_iterations: int = MAX_BACKUPS
) -> Equilibrium:
    """Returns the stationary equilibrium that backward induction approaches as the horizon grows.

    Convergence is not guaranteed. With hidden actions the agent's rent jumps where the principal
    changes its mind, and a few games cycle, even at a discount of 0.5. With observed actions the
    agent gets no rent, and the values always settle.

    Args:
      table: the game as a table, with a discount below 1.
      tolerance: the change of a backup at which to stop, in the sup-norm, in units of reward;
        relative to the largest value where that exceeds 1; by default 1e-6, and 1e-14 in float64.
      max_iterations: the largest number of backups, static.

    Returns:
      An `Equilibrium` without `T`.

    Raises:
      ValueError: outside `jit`, `check_table` finds an array invalid, or the discount is 1.
      RuntimeError: outside `jit`, the values did not settle. Inside they are NaN then.

    Examples:
      The game goes on until the first failure, at a discount of 0.5:

      >>> import jax.numpy as jnp
      >>> from jaxparl.equilibrium import TabularGame, value_iteration
      >>> table = TabularGame(
      ...     agent_reward=jnp.array([[-0.5, 0.0]]),  # work, shirk
      ...     principal_reward=jnp.array([[2.0, 0.0]]),  # success, failure
      ...     outcome_probs=jnp.array([[[0.75, 0.25], [0.25, 0.75]]]),
      ...     successor=jnp.array([[[0], [0]]]),  # state 0 again
      ...     successor_probs=jnp.array([[[1.0], [0.0]]]),  # a failure ends the game
      ...     discount=jnp.array(0.5),
      ... )
      >>> solution = value_iteration(table)
      >>> print(f"{solution.agent_value[0]:.3f} {solution.principal_value[0]:.3f}")
      0.250 1.350
      >>> print(f"{solution.contract[0, 0]:.3f} for a success")
      0.875 for a success
    """
    check_table(table, has_horizon=False)
    solution, is_settled = _value_iteration(table, tolerance, max_iterations)
    return _settled(solution, is_settled, max_iterations)


def stationary_response(
    table: TabularGame,
    contracts: ArrayLike,
    recommended: ArrayLike,
    tolerance: ArrayLike | None = None,
    max_iterations: int = MAX_BACKUPS,
) -> Equilibrium:
    """Returns the agent's optimum against contracts that are always the same.

    Args:
      table: the game as a table, with a discount below 1.
      contracts: `[S, O]`, payments in units of reward.
      recommended: `[S]` int, taken where it is as good as the best action, see `best_response`.
      tolerance: as of `value_iteration`.
      max_iterations: likewise.

    Returns:
      An `Equilibrium` without `T`, whose contracts are the given ones.

    Raises:
      ValueError: outside `jit`, `check_table` finds an array invalid, or the discount is 1.
      RuntimeError: outside `jit`, the values did not settle. Inside they are NaN then.
      AssertionError: a shape is wrong.

    Examples:
      The game goes on until the first failure. Paid 1 for a success the agent works, and expects
      0.25 a step, 0.75 times the next one, at a discount of 0.5:

      >>> import jax.numpy as jnp
      >>> from jaxparl.equilibrium import TabularGame, stationary_response
      >>> table = TabularGame(
      ...     agent_reward=jnp.array([[-0.5, 0.0]]),  # work, shirk
      ...     principal_reward=jnp.array([[2.0, 0.0]]),  # success, failure
      ...     outcome_probs=jnp.array([[[0.75, 0.25], [0.25, 0.75]]]),
      ...     successor=jnp.array([[[0], [0]]]),  # state 0 again
      ...     successor_probs=jnp.array([[[1.0], [0.0]]]),  # a failure ends the game
      ...     discount=jnp.array(0.5),
      ... )
      >>> response = stationary_response(table, jnp.array([[1.0, 0.0]]), jnp.array([0]))
      >>> print(response.action, f"{response.agent_value[0]:.2f}")
      [0] 0.40
    """
    check_table(table, has_horizon=False)
    chex.assert_shape(contracts, table.principal_reward.shape)
    chex.assert_shape(recommended, table.agent_reward.shape[:1])
    solution, is_settled = _stationary_response(
        table, contracts, recommended, tolerance, max_iterations
    )
    return _settled(solution, is_settled, max_iterations)


def _settled(solution: Equilibrium, is_settled: jax.Array, max_iterations: int) -> Equilibrium:
    """The solution; where it is traced, its values are NaN if they did not settle."""
    if isinstance(is_settled, Tracer):
        values = (
            jnp.where(is_settled, value, jnp.nan)
            for value in (solution.agent_value, solution.principal_value)
        )
        return Equilibrium(solution.action, solution.contract, *values)
    if not is_settled:
        raise RuntimeError(f"the values did not settle within {max_iterations} backups")
    return solution


@functools.partial(jax.jit, static_argnums=4)
def _stationary_response(
    table: TabularGame,
    contracts: jax.Array,
    recommended: jax.Array,
    tolerance: ArrayLike | None,
    max_iterations: int,
) -> tuple[Equilibrium, jax.Array]:
    table = in_one_precision(table)
    backup = over_states(response_backup, table, None, 0, 0)

    def respond(values: Values) -> tuple[Values, Equilibrium]:
        return backup(values, contracts, recommended)

    end = _settle(lambda values: respond(values)[0], table, tolerance, max_iterations)
    return respond(end.values)[1], end.is_settled


@functools.partial(jax.jit, static_argnums=2)
def _value_iteration(
    table: TabularGame, tolerance: ArrayLike | None, max_iterations: int
) -> tuple[Equilibrium, jax.Array]:
    table = in_one_precision(table)
    backup = over_states(equilibrium_backup, table, None)
    end = _settle(lambda values: backup(values)[0], table, tolerance, max_iterations)
    return backup(end.values)[1], end.is_settled


def _settle(
    backup: Callable[[Values], Values],
    table: TabularGame,
    tolerance: ArrayLike | None,
    max_iterations: int,
) -> FixedPoint[Values]:
    """Repeats a backup until the values settle: to a tolerance, or as far as numbers resolve."""
    start = values_after_the_end(table)
    if tolerance is None and max_iterations == MAX_BACKUPS:
        return discounted_fixed_point(backup, start, table.discount)
    if tolerance is None:
        tolerance = by_precision(start.agent.dtype, single=1e-6, double=1e-14)
    return fixed_point(backup, start, tolerance, max_iterations)


@struct.dataclass
class FixedPoint(Generic[Tree]):
    """Where a fixed-point iteration stands.

    Attributes:
      values: of the last iteration.
      is_settled: `[]` bool, whether that one changed no value by more than the tolerance.
      count: `[]` int32, iterations made.
    """

    values: Tree
    is_settled: jax.Array
    count: jax.Array


def discounted_fixed_point(
    operator: Callable[[Tree], Tree], start: Tree, discount: jax.Array
) -> FixedPoint[Tree]:
    """The fixed point of an operator whose errors shrink by `discount` `[]` each time.

    A small change does not yet mean a small error, which may be 1 / (1 - discount) times as large.
    So it is repeated until the first error is below the resolution of its numbers, and then until
    nothing changes by more than a few roundings.
    """
    dtype = discount.dtype
    least = jnp.log(jnp.finfo(dtype).eps) / jnp.log(jnp.clip(discount, 1e-3, 1 - 1e-4))
    tolerance = by_precision(dtype, single=1e-6, double=1e-14)
    least = jnp.ceil(least).astype(jnp.int32)
    return fixed_point(operator, start, tolerance, MAX_BACKUPS, least=least)


def fixed_point(
    operator: Callable[[Tree], Tree],
    start: Tree,
    tolerance: ArrayLike,
    max_iterations: ArrayLike,
    *,
    least: ArrayLike = 0,
) -> FixedPoint[Tree]:
    """Repeats `operator` until no value changes by more than `tolerance`.

    Args:
      operator: from values to values of the same structure.
      start: the first values.
      tolerance: in units of the values; relative to the largest of them where that exceeds 1,
        because floating-point numbers resolve no more.
      max_iterations: `[]`.
      least: how many iterations there are at least.

    Returns:
      The last values, and whether they settled.
    """

    def iterate(now: FixedPoint[Tree]) -> FixedPoint[Tree]:
        after = operator(now.values)
        change = _largest(jax.tree.map(jnp.subtract, after, now.values))
        is_settled = change <= tolerance * jnp.maximum(1.0, _largest(after))
        return FixedPoint(after, is_settled, now.count + 1)

    def is_unfinished(now: FixedPoint[Tree]) -> jax.Array:
        return (~now.is_settled | (now.count < least)) & (now.count < max_iterations)

    state = FixedPoint(start, jnp.bool_(False), jnp.int32(0))
    return jax.lax.while_loop(is_unfinished, iterate, state)


def _largest(tree: PyTree) -> jax.Array:
    """`[]`, the sup-norm over all leaves."""
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)]))
